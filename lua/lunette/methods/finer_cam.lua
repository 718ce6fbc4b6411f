local blame = require "lunette.base.blame"
local cam = require("lunette.explain.cam").new
local opt = require("lunette.base.options").opt
local score_class = require "lunette.score.score"
local scores = require "lunette.score"
local types = require "lunette.base.types"


local function is_list_of_ranks(v)
  for _, rank in ipairs(type(v) == "table" and v or { false }) do
    if rank ~= 0 and not types.is_count(rank) then return "a list of ranks" end
  end
  return nil
end


---The classes at those ranks of |z - z_c|, nearest first; rank 0 is c itself.
local function nearest(z, class, ranks)
  local order = (-(z - z[class + 1]):abs()):argsort():totable()
  local list = {}
  for _, rank in ipairs(ranks) do
    list[#list + 1] = math.floor(order[rank + 1] or order[#order])
  end
  return list
end


---sum_i p_i (z_c - alpha z_i) / (sum p_i + 1e-9), over the classes that lie nearest.
local function finer(score, ranks, alpha)
  local name = "finer " .. score.name
  local new = score_class.over(score, name, function(output, run, self, layer)
    local inner = self.parts[1]
    local core, z = require "lunette.core", output:detach()
    local n, k = z:dim(1), z:dim(2)
    if k < 2 then blame "finer_cam: the output has one unit: no class lies near it" end
    local mask = core.zeros(n, k)
    for i = 1, n do
      local class = inner.classes[#inner.classes == 1 and 1 or i]
      if class < 0 or class >= k then
        blame(("finer_cam: class %d is outside 0 .. %d"):format(class, k - 1))
      end
      for _, c in ipairs(nearest(z[i], class, ranks)) do mask:set(i, c, 1) end
    end
    local p = output:softmax(2) * mask
    local one = inner.fn(output, run, inner, layer):reshape { n, 1 }
    local over = { dims = { 2 }, keepdims = true }
    return (p * (one - output * alpha)):sum(over) / (p:sum(over) + 1e-9)
  end)
  new.parts = { score }
  return new
end


---FinerCAM (Zhang et al. 2025): Grad-CAM of what tells the class from those whose
---scores lie nearest: sum_i p_i (z_c - alpha z_i) / sum p_i.
---Caveat: what the class shares with its neighbours is left out on purpose.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.finer_cam(run, { modifiers = { "linear" } }))
return cam {
  name = "finer_cam", needs = "means",
  paper = "Zhang et al. 2025, Finer-CAM",
  options = {
    alpha = opt.number(1, "how much of the neighbours is taken away"),
    ranks = opt.any({ 1, 2, 3 }, "which neighbours, by nearness of their scores",
      is_list_of_ranks),
  },
  score = function(run, o)
    local score = scores.resolve(o.score, run)
    if not score.classes then blame("finer_cam: the score must be a class") end
    if type(score.classes) ~= "table" then score.classes = { score.classes } end
    return finer(score, o.ranks, o.alpha)
  end,
  weights = function(_, means) return means end,
}
