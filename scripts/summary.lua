-- The layers of a network: names, output shapes, parameters.
local lu = require "lunette"

local args = lu.cli { "summary.lua", model = "vgg16" }
local net = lu.load(args.model) or lu.net(lu.models[args.model]())
print(net:summary())
