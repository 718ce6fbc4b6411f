---How activation maximisation is done: a row a dialect, with its steps, its optimiser
---and what the picture is made of.
local parameters = require "lunette.features.parameters"
local regularizers = require "lunette.features.regularizers"
local transforms = require "lunette.features.transforms"

local M = {}

---@class lunette.FeatureDialect
---@field steps integer
---@field rate number
---@field optimizer string
---@field parametrise? fun(net, o): lunette.Parametrisation   nil: the input itself
---@field transforms fun(net, o): function[]
---@field regularizers fun(): function[]
---@field revives? boolean     closed relus are opened where a picture would not move
---@field views? integer      moved copies of every picture in a step (1)
---@field keep "best"|"last"   which picture is given back
---@field unit? boolean        a picture's gradient is divided by its length


local function none() return {} end


---Olah et al. 2017: Fourier parameters, decorrelated colours, moves undone every step.
M.lucid = {
  revives = true,
  steps = 256, rate = 0.05, optimizer = "adam", keep = "best", regularizers = none,
  parametrise = function(net, o)
    return parameters[o.parameters](net.input[1], net.input[2], net.input[3],
                                    { decay = o.decay })
  end,
  transforms = function(net)
    return transforms.standard(math.min(net.input[2], net.input[3]))
  end,
}


---Fel et al. 2023: the spectrum's magnitude is that of photographs, its phases alone
---are changed; crops that shrink from a half to a twentieth, with noise.
M.maco = {
  revives = true,
  steps = 256, rate = 1.0, optimizer = "nadam", keep = "best", regularizers = none,
  views = 8,
  parametrise = function(net, o)
    return parameters.phases(net.input[1], net.input[2], net.input[3],
                             { magnitude = o.magnitude or nil, decay = o.decay })
  end,
  transforms = function() return { transforms.crop(0.5, 0.05, 0.08) } end,
}


---tf-keras-vis 0.8: the input itself, moved for good before every step, never clipped
---but at the end.
M["tf-keras-vis"] = {
  steps = 200, rate = 1.0, optimizer = "rmsprop", keep = "last",
  transforms = function() return { transforms.roll(4), transforms.turn(1) } end,
  regularizers = function()
    return { regularizers.total_variation(1), regularizers.norm(0.3, 1) }
  end,
}


---keras-vis: |x|_6 and squared differences, gradients of length 1, the best kept.
M["keras-vis"] = {
  steps = 200, rate = 1.0, optimizer = "rmsprop_95", keep = "best", unit = true,
  transforms = none,
  regularizers = function()
    return { regularizers.norm_per_value(10, 6), regularizers.smoothness(10) }
  end,
}

return M
