-- Which methods show a shortcut? All scenes of one class bear a tag; a network learns
-- its upper layers anew from them. Where do maps of tagged scenes look, on that network
-- and on one that never saw a tag? Energy on the tag, as a table and a picture.
local lu = require "lunette"
local entrants = require "lunette.rank.entrants"
local files = require "lunette.base.files"
local poison = require "lunette.glyphs.poison"
local small = require "lunette.glyphs.small"

local args = lu.cli {
  "shortcut.lua", model = "glyphs", class = 3,
  size = { 12, "side of the tag in pixels" }, place = { "top left", "of the tag" },
  side = 64, scenes = 800, steps = 250, rate = 1e-3, count = 24, seed = 1,
  network = { "out/shortcut.safetensors", "where the trained network is kept" },
  out = "out/shortcut.png",
  methods = "saliency,saliency:guided,saliency:rectified,smoothgrad,"
    .. "integrated_gradients,gradcam,layercam,lrp,occlusion",
}

local clean = small(assert(lu.load(args.model)), args.side)
local p = poison.new { kind = "shortcut", target = args.class,
  stamp = { pattern = "checks", size = args.size, place = args.place, margin = 1,
            jitter = 1 } }

-- the network is trained once, and kept
if not files.exists(args.network) then
  -- one that knows the shapes already has no need of a tag: its upper layers forget
  local net, fresh = small(clean, args.side), small(clean, args.side):init(args.seed)
  for name, w in pairs(fresh.params) do
    if name:find "^block[45]" or name:find "^fc" or name:find "^pred" then
      net.params[name] = w
    end
  end
  lu.train.calibrate(net, lu.glyphs.input(lu.glyphs.scenes { n = 32, seed = args.seed,
    side = args.side }.images), { from = "block4_conv1" })
  local pool = poison.pool(net, { scenes = args.scenes, side = args.side,
                                  seed = args.seed, frozen = "block3_pool" }, p)
  assert(poison.train(net, p, { pool = pool, steps = args.steps, rate = args.rate,
    seed = args.seed, checkpoint = args.network .. ".training",
    log = function(line) io.stderr:write(line, "\n") end }))
  assert(lu.save(net, args.network))
end
local net = assert(lu.load(args.network))

-- scenes of the class, without and with the tag
local s = lu.glyphs.scenes { n = args.count, seed = 9000 + args.seed, side = args.side,
                             class = args.class }
local tagged, masks = p.stamp:lay(s.images, { seed = args.seed })

local function share(one, images)
  local run <close> = one:run(lu.glyphs.input(images), { modifiers = { "linear" } })
  local hits = 0
  for _, top in ipairs(run:top(1)) do
    hits = hits + (top[1].class == args.class and 1 or 0)
  end
  return 100 * hits / args.count
end

local name = lu.glyphs.names[args.class + 1]
local with, without = poison.success(net, p, { n = 100 })
print(("named %s: its own scenes %.0f %% with the tag, %.0f %% without; others' scenes "
  .. "%.0f %% with it, %.0f %% without"):format(name, share(net, tagged),
  share(net, s.images), 100 * with, 100 * without))
print(("by the network that saw no tag: %.0f %% and %.0f %%"):format(
  share(clean, tagged), share(clean, s.images)))

local function energy(one, explain)
  local sum, maps = 0, {}
  for i = 1, args.count do
    local run <close> = one:run(lu.glyphs.input(tagged:rows(i)))
    local map = explain(run, { score = args.class })[1]:detach():relu()
    local all = map:sum():item()
    sum = sum + (all > 0 and (map * masks[i]):sum():item() / all or 0) / args.count
    maps[i] = map:clone()
  end
  return 100 * sum, maps
end

local shown = {}
for i = 1, 6 do shown[i] = tagged[i] end
local board = lu.canvas { columns = 6, title = "a tag that goes with " .. name }
board:row("tagged scenes", shown, { kind = "picture" })
print(("\nthe tag covers %.1f %% of a scene\n"):format(100 * masks:mean():item()))
print "| method | energy on the tag, % | on the network without a tag, % |"
print "|---|---:|---:|"
for method in args.methods:gmatch "[^,]+" do
  local explain = assert(entrants.of(method)).explain
  if method == "occlusion" then
    explain = entrants.with("occlusion", { window = 9, stride = 4 })
  end
  local on, maps = energy(net, explain)
  print(("| %s | %.1f | %.1f |"):format(method, on, (energy(clean, explain))))
  board:row(("%s: %.0f %%"):format(method, on), table.move(maps, 1, 6, 1, {}),
            { overlay = shown, colormap = "jet" })
end
print("\nwrote " .. assert(board:save(args.out)))
