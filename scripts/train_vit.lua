-- Trains a small Vision Transformer on drawn scenes of 64 x 64 pixels, measures it on
-- scenes that it has never seen, and asks how good relevance is there: AttnLRP, CP-LRP,
-- beside them the plain gradient and chance. Killed and started again, it goes on.
--   lunette scripts/train_vit.lua --steps 4000
local lu = require "lunette"
local train = lu.train

local args = lu.cli {
  "train_vit.lua", out = "out/vit_glyphs.safetensors", seed = 1, steps = 4000,
  batch = 16, rate = 1e-3, width = 48, depth = 3, heads = 4, patch = 8, side = 64,
  test = 200,
}

local net = assert(lu.net(lu.models.vit_b_16 {
  side = args.side, patch = args.patch, width = args.width, inner = 2 * args.width,
  depth = args.depth, heads = args.heads, classes = #lu.glyphs.names,
  preprocessing = lu.glyphs.preprocessing })):init(args.seed)
net.labels = lu.glyphs.names
for name, p in pairs(net.params) do -- what is added to tokens begins small
  local added = name:find "out_proj" or name:find "mlp.3" or name:find "heads"
    or name:find "pos_embedding" or name:find "class_token"
  if added then p:mul_(0.1) end
end


local function scenes(seed, first, n, clutter)
  return lu.glyphs.scenes { n = n, seed = seed, first = first, side = args.side,
                            clutter = clutter }
end


assert(train.fit(net, train.adam(net.params, { decay = 0.05 }), {
  steps = args.steps, clip = 1, checkpoint = args.out .. ".checkpoint",
  rate = train.schedule { steps = args.steps, rate = args.rate, warmup = 200 },
  log = function(line) print(os.date "!%H:%M:%S", line) end,
  batch = function(step)
    local s = scenes(args.seed, (step - 1) * args.batch + 1, args.batch,
                     math.min(1, 2 * step / args.steps))
    return lu.glyphs.input(s.images), s.labels
  end,
}))
assert(lu.save(net, args.out))


local right, sums = 0, {}
local rows = { "attn_lrp", "cp_lrp", "gradient", "chance" }

local function add(name, map, run, masks)
  local row = sums[name] or { energy = 0, deletion = 0, insertion = 0 }
  row.energy = row.energy + lu.metrics.energy(map, masks) * map:dim(1)
  for _, metric in ipairs { "deletion", "insertion" } do
    row[metric] = row[metric] + lu.metrics[metric](map, run) * map:dim(1)
  end
  sums[name] = row
end

local function look_at(first, n)
  local s = scenes(1001, first, n)
  local run <close> = net:run(lu.glyphs.input(s.images), { modifiers = { "linear" } })
  for i, top in ipairs(run:top(1)) do
    right = right + (top[1].class == s.labels[i] and 1 or 0)
  end
  for _, name in ipairs { "attn_lrp", "cp_lrp" } do
    local r = lu.relevance.at(run, { composite = name })
    add(name, r:sum { dims = { 2 } }:relu():view(n, args.side, args.side), run, s.masks)
  end
  add("gradient", lu.saliency(run), run, s.masks)
  add("chance", lu.uniform(n, args.side, args.side, { seed = first }), run, s.masks)
end

for first = 1, args.test, 20 do look_at(first, math.min(20, args.test - first + 1)) end
print(("right: %.1f %% of %d unseen scenes"):format(100 * right / args.test, args.test))
print "of the predicted class: share of the map on the object, deletion, insertion"
for _, name in ipairs(rows) do
  local row = sums[name]
  print(("%-10s %.1f %%  %.2f  %.2f"):format(name, 100 * row.energy / args.test,
        row.deletion / args.test, row.insertion / args.test))
end
