local blame = require "lunette.base.blame"
local core = require "lunette.core"
local factorise = require "lunette.explain.factorise"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local tokens = require "lunette.explain.tokens"


---What of the layer each concept makes up: (K, C, h, w), the pixels' shares times the
---channels' weights.
local function parts_of(shares, weights)
  local k, h, w = shares:dim(1), shares:dim(2), shares:dim(3)
  local c = weights:dim(2)
  return shares:reshape { k, 1, h, w } * weights:reshape { k, c, 1, 1 }
end


---The class that the rest of the network sees in each concept alone.
local function classes_of(run, layer, parts)
  local ok, part = pcall(run.net.run_from, run.net, layer.name, parts,
                         { modifiers = run.modifiers, keep = false })
  if not ok then return nil end -- another branch is read there
  local _ <close> = part
  local can, top = pcall(part.top, part, 1)
  if not can then return nil end
  local names = {}
  for k = 1, #top do names[k] = top[k][1].name end
  return names
end


---One image: its concepts' maps (K,h,w), and what the story says of them.
local function concepts_of(run, A, o)
  local c, h, w = A:dim(1), A:dim(2), A:dim(3)
  local low = A:reshape { c, h * w }:min { dims = { 2 }, keepdims = true }
  local pixels = (A:reshape { c, h * w } - low):permute { dims = { 2, 1 } }
  local W, H, off = factorise(pixels, o.concepts, { steps = o.steps, seed = o.seed })
  local k = W:dim(2)
  local shares = W:permute { dims = { 2, 1 } }:reshape { k, h, w }
  return shares, { error = off,
                   classes = classes_of(run, o.layer, parts_of(shares, H)) }
end


---From concepts' maps at the layer to maps of the picture's size, each from 0 to 1.
local function finish(raw, o, run)
  local size = run.net.input
  if o.expand then raw = raw:resize(size[2], size[3]) end
  local n, k, h, w = table.unpack(raw:shape())
  return raw:reshape { n * k, h, w }:normalize():reshape { n, k, h, w }
end


---Deep feature factorisation (Collins et al. 2018): the activations of a layer, pixels
---by channels, as a product of two matrices without negative entries: how much each
---pixel has of each of `concepts` parts, and which channels make a part. (N,K,H,W), a
---map a part, those that carry most first, and every picture by itself. No class; but
---the story has `labels`, what the rest of the network sees in each part alone, and
---`error`, the share of the activations' length that is not made up. As
---pytorch-grad-cam's, with the least of each channel taken off first.
---Caveat: parts are what factorises well, not what the class is decided by; another
---  start (`seed`) or number of parts gives others.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local opts = { concepts = 3, layer = "block4_conv3" }
---  local map = lu.deep_feature_factorization(run, opts)
---  print(map.story.error[1])
---  show(map)
return method {
  name = "deep_feature_factorization", family = "layer", draws = "channels",
  flat = false,
  paper = "Collins et al. 2018, Deep feature factorization for concept discovery",
  options = {
    "seed",
    layer = opt.layer("last", "what is factorised", { spatial = true }),
    concepts = opt.count(5, "parts"),
    steps = opt.count(200, "of the factorisation"),
    expand = opt.flag(true, "resize to the picture"),
  },
  finish = finish,
  explain = function(run, o)
    local A, message = run:activation(o.layer.name)
    if not A then blame("deep_feature_factorization: " .. message) end
    A = A:detach()
    local grid = tokens.grid_of(run.net, o.layer)
    if grid then A = tokens.map(A, grid) end
    local n, h, w = A:dim(1), A:dim(3), A:dim(4)
    local k = math.min(o.concepts, A:dim(2), h * w)
    local maps, facts = {}, { error = {}, labels = {} }
    for i = 1, n do
      local said
      maps[i], said = concepts_of(run, A[i], o)
      facts.error[i], facts.labels[i] = said.error, said.classes
    end
    local all = core.zeros(n, k, h, w)
    for i, shares in ipairs(maps) do all[i] = shares end
    return all, facts
  end,
}
