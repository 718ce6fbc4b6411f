-- Is there a backdoor in a network, and how easily do its labels and maps move? The
-- report in words, and a picture of every class's trigger. (`lunette audit` does the
-- same with more options.)
local lu = require "lunette"

local args = lu.cli {
  "audit.lua [image ...]", model = "glyphs",
  reference = { "", "a network that is known to be clean, to compare with" },
  count = 120, steps = 100, seed = 1, out = "out/audit.png",
}
local net = assert(lu.load(args.model))
local images = #args.image > 0 and assert(net:images(args))
  or lu.glyphs.input(lu.glyphs.scenes { n = args.count, seed = 7000 + args.seed,
                                        side = net.input[2] }.images)

local report = assert(lu.audit(net, images, {
  reference = args.reference ~= "" and assert(lu.load(args.reference)) or nil,
  pictures = images:dim(1) * 6 // 10, steps = args.steps, seed = args.seed,
}))
print(report)
print("wrote " .. assert(report:draw():save(args.out)))
