local cam = require("lunette.explain.cam")
local core = require "lunette.core"
local opt = require("lunette.base.options").opt
local perturb = require "lunette.explain.perturb"
local progress = require "lunette.base.progress"
local score_class = require "lunette.score.score"


---The score of the softmax of what is scored (tf-keras-vis).
local function of_softmax(score)
  local new = score_class.over(score, score.name, function(output, run, self, layer)
    local inner = self.parts[1]
    return inner.fn(output:softmax(2), run, inner, layer)
  end)
  new.parts = { score }
  return new
end


---The channels of one image that vary most, that which varies most first, or all (0).
local function chosen(A, most)
  local k = A:dim(1)
  local flat = A:view(k, A:size() // k)
  local varies = (flat - flat:mean { dims = { 2 }, keepdims = true }):square()
    :mean { dims = { 2 } }:argsort():totable()
  local list = {}
  for i = 1, most > 0 and math.min(most, k) or k do list[i] = math.floor(varies[i]) end
  if most == 0 then table.sort(list) end
  return list
end


---Weights of one image's channels, 0 for those that are left out.
local function weights_of(A, i, run, o)
  local keras = o.dialect == "tf-keras-vis"
  local list = chosen(A, o.most)
  local some = A:index_select(core.tensor(list), { dim = 1 })
  local values = core.zeros(#list)
  perturb.each(run, { only = i, score = o.score, wrap = keras and of_softmax or nil,
    masks = { count = #list,
              get = cam.masks_of(some, run.net.input, keras and 1e-7 or 1e-8) },
    modifiers = o.modifiers, batch = o.batch, name = "scorecam",
    progress = progress.part(o.progress, i, run:count()),
  }, function(_, first, _, v) values:rows(first, first + v:size() - 1):copy_(v) end)
  if not keras then values = values:view(1, #list):softmax(2):view(#list) end
  local all = core.zeros(A:dim(1))
  for n, k in ipairs(list) do all[k] = values[n] end
  return all, list, values
end


---Score-CAM (Wang et al. 2020): a channel weighs what the network says of the picture
---seen through that channel, laid over it as a mask. With `most`, Faster Score-CAM (Li
---et al. 2021): only the channels that vary most. The story has the `weights`, and
---which `channels` they are of.
---Dialects: "tf-keras-vis" weighs by the class's softmax probability,
---"pytorch-grad-cam" by the softmax over channels of the scores.
---Caveat: one forward a channel; a masked picture is none that the network has seen. Of
---  a network whose own softmax stays, tf-keras-vis takes the softmax of a softmax,
---  which tells classes hardly apart: give { modifiers = { "linear" } }.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.scorecam(run, { most = 8, modifiers = { "linear" } }))
return cam.new {
  name = "scorecam", needs = "score", dialects = { "tf-keras-vis", "pytorch-grad-cam" },
  paper = "Wang et al. 2020, Score-CAM",
  options = {
    "progress",
    most = opt.count(0, "channels, those that vary most; 0: all", 0),
    batch = opt.quiet(opt.count(16, "masked pictures at a time")),
  },
  weights = function(A, _, run, o)
    local all, facts = core.zeros(A:dim(1), A:dim(2), 1, 1),
      { channels = {}, weights = {} }
    for i = 1, A:dim(1) do
      local w, list, values = weights_of(A[i], i, run, o)
      all[i] = w:view(A:dim(2), 1, 1)
      facts.channels[i] = o.most > 0 and list or nil
      facts.weights[i] = values:totable()
    end
    return all, facts
  end,
}
