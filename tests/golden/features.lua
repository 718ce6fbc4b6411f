-- Reference values of activation maximisation: tf-keras-vis' loop in float64, without
-- moves, from a given picture.
local lu = require "lunette"

local optimizers = { rmsprop_inside = "rmsprop", rmsprop_outside = "rmsprop_outside",
                     adam_keras = "adam_keras", adam_torch = "adam" }


---The call that a run's name stands for: "rmsprop_inside_lr0.01_guided_minus".
local function call_of(name)
  local optimizer, rate, rest = name:match "^(.-)_lr([%d.]+)(.*)$"
  local gate = rest:match "^_guided_(%a+)$"
  return { optimizer = optimizers[optimizer], rate = tonumber(rate), steps = 20,
           gate = gate == "minus" and "loss" or "score",
           modifiers = { "linear", gate and "guided" or nil } }
end


---The pictures after each step, and what each step began with.
local function climb(case, name)
  case.climbs = case.climbs or {}
  if case.climbs[name] then return case.climbs[name] end
  local o, images = call_of(name), {}
  o.score, o.dialect, o.from, o.transforms = case.class, "tf-keras-vis", case.input, {}
  o.input_range, o.progress = { -math.huge, math.huge }, false
  o.watch = function(pictures, t) images[t] = pictures() end
  local _, trace = lu.activation_maximization(case.net, o)
  case.climbs[name] = { images = images, trace = trace }
  return case.climbs[name]
end


return function(test)
  test("^(.*_lr.*)/image(%d+)$", function(case, name, t)
    return climb(case, name).images[tonumber(t)]
  end, 1e-3)
  -- Steps of 31 grey levels carry one flipped relu on: 5e-6 with SSE2's kernels, 7e-3
  -- and 5e-2 with AVX's, whose sums round otherwise.
  test("^(rmsprop_outside_lr1)/image([25]0?)$", function(case, name, t)
    return climb(case, name).images[tonumber(t)]
  end, 6e-2)
  test("^(.*_lr.*)/history$", function(case, name)
    local rows = {}
    for t, step in ipairs(climb(case, name).trace) do
      rows[t] = { step.values[1], step.costs[1][1], step.costs[2][1] }
    end
    return lu.tensor(rows)
  end, 1e-3)
  -- from its parts: -dS/dx and the penalties' gradients
  test("^(.*_lr.*)/gradient1$", function(case, name)
    local o, penalties = call_of(name), lu.features.regularizers
    local score = lu.score.of(case.class)
    if o.gate == "loss" then score = -score end
    local g = case.run:gradient { score = score, modifiers = o.modifiers }
    if o.gate == "score" then g = -g end
    return g + lu.gradient(penalties.total_variation(1), case.input)
      + lu.gradient(penalties.norm(0.3, 1), case.input)
  end, 1e-3)
end
