-- The layers of a network: names, output shapes, parameters.
local lu = require "lunette"

local args = lu.cli { "summary.lua", model = "vgg16" }
local net, message = lu.load(args.model)
local architecture = lu.models.architecture(args.model) -- shapes need no weights
print(assert(net or architecture and lu.net(architecture()), message):summary())
