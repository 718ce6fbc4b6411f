-- Trains a small Vision Transformer on drawn scenes of 64 x 64 pixels, measures it on
-- scenes that it has never seen, and asks how good relevance is there: AttnLRP, CP-LRP,
-- beside them the plain gradient and chance. Killed and started again, it goes on.
--   lunette scripts/train_vit.lua
-- Its patches come from three convolutions instead of one (Xiao et al. 2021, "Early
-- convolutions help transformers see better"), `--stem 0` leaves them out.
local lu = require "lunette"
local train = lu.train

local args = lu.cli {
  "train_vit.lua", out = "out/vit_glyphs.safetensors", seed = 1, steps = 3600,
  batch = 16, rate = 1e-3, width = { 64, "of a token" }, depth = { 4, "blocks" },
  heads = { 4, "of an attention" }, patch = { 8, "side of a patch in pixels" },
  side = 64, stem = { 16, "filters of the convolutions before; 0: none" }, test = 100,
}


---The layers, `conv_proj` replaced by 3x3 convolutions that halve the picture until a
---place is a patch.
local function graph()
  local vit = lu.models.vit_b_16 {
    side = args.side, patch = args.patch, width = args.width, inner = 2 * args.width,
    depth = args.depth, heads = args.heads, classes = #lu.glyphs.names,
    preprocessing = lu.glyphs.preprocessing }
  if args.stem == 0 then return vit end
  local stem, filters, halved = {}, args.stem, 1
  while halved < args.patch do
    local name = "stem" .. #stem // 2 + 1
    stem[#stem + 1] = { name .. "_conv", "conv2d", filters = filters, kernel = 3,
                        stride = 2, padding = 1 }
    stem[#stem + 1] = { name .. "_relu", "relu" }
    filters, halved = 2 * filters, 2 * halved
  end
  stem[#stem + 1] = { "conv_proj", "conv2d", filters = args.width, kernel = 1 }
  assert(vit.layers[1][1] == "conv_proj")
  vit.layers = table.move(vit.layers, 2, #vit.layers, #stem + 1, stem)
  return vit
end


local net = assert(lu.net(graph())):init(args.seed)
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


-- Drawing a scene takes half as long as learning from it, and a scene that is turned
-- or mirrored is another one of the same class: 256 scenes are used four times, in
-- four of their eight symmetries and in another order. The ground is as cluttered as
-- it will be after a quarter of the steps.
local DRAWN, TIMES = 256, 4
local STRIDES = { 1, 37, 101, 171 } -- odd: k * stride mod 256 meets every scene once
local drawn = {}

local function block(number)
  if drawn.number ~= number then
    local step = number * DRAWN * TIMES / args.batch
    drawn.number = number
    drawn.scenes = scenes(args.seed, number * DRAWN + 1, DRAWN,
                          math.min(1, 4 * step / args.steps))
  end
  return drawn.scenes
end


---One of the eight symmetries of the square.
local function symmetry(x, k)
  local reversed = lu.range(args.side, 1, -1)
  if k & 1 ~= 0 then x = x:permute { dims = { 1, 2, 4, 3 } } end
  if k & 2 ~= 0 then x = x:index_select(reversed, { dim = 3 }) end
  if k & 4 ~= 0 then x = x:index_select(reversed, { dim = 4 }) end
  return x
end


local function batch(step)
  local first = (step - 1) * args.batch
  local number, at = first // (DRAWN * TIMES), first % (DRAWN * TIMES)
  local s, time = block(number), at // DRAWN
  local index, labels = {}, {}
  for i = 1, args.batch do
    index[i] = (at + i - 1) * STRIDES[time + 1] % DRAWN + 1
    labels[i] = s.labels[index[i]]
  end
  local x = s.images:index_select(lu.tensor(index), { dim = 1 })
  return lu.glyphs.input(symmetry(x, (2 * time + number) % 8)), labels
end


assert(train.fit(net, train.adam(net.params, { decay = 0.05 }), {
  steps = args.steps, clip = 1, checkpoint = args.out .. ".checkpoint",
  rate = train.schedule { steps = args.steps, rate = args.rate, warmup = 200 },
  log = function(line) print(os.date "!%H:%M:%S", line) end,
  batch = batch,
}))
assert(lu.save(net, args.out))


local right, sums, shares = 0, {}, {}
local rows = { "attn_lrp", "cp_lrp", "gradient", "chance" }

local function add(name, map, run, masks)
  local row = sums[name] or { energy = 0, deletion = 0, insertion = 0 }
  row.energy = row.energy + lu.metrics.energy(map, masks) * map:dim(1)
  for _, metric in ipairs { "deletion", "insertion" } do
    row[metric] = row[metric] + lu.metrics[metric](map, run) * map:dim(1)
  end
  sums[name] = row
end

---Adds up what of the relevance handed back reaches the picture, and where the rest is.
local function account(name, flow)
  local row = shares[name] or { 0, 0, 0, 0, 0 }
  row[1] = row[1] + flow.reached
  for _, at in ipairs(flow) do
    local place = at.kind == "softmax" and 4 or flow:why(at) == "constant" and 3 or 5
    row[2] = row[2] + at.bias
    row[place] = row[place] + at.relevance - at.handed_on - at.bias
  end
  shares[name] = row
end

local function look_at(first, n)
  local s = scenes(1001, first, n)
  local run <close> = net:run(lu.glyphs.input(s.images), { modifiers = { "linear" } })
  for i, top in ipairs(run:top(1)) do
    right = right + (top[1].class == s.labels[i] and 1 or 0)
  end
  for _, name in ipairs { "attn_lrp", "cp_lrp" } do
    local flow, r = lu.relevance.flow(run, { composite = name })
    account(name, flow)
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
for _, name in ipairs { "attn_lrp", "cp_lrp" } do
  local row = shares[name]
  for i = 1, #row do row[i] = row[i] / args.test end
  print(("of 1 handed back by %s: picture %.2f, biases %.2f, constants %.2f, softmax "
    .. "%.2f, other rules %.2f"):format(name, table.unpack(row)))
end
