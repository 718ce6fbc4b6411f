-- The files that tests/zoo/export.py wrote, imported and compared with what torchvision
-- answered:
--
--   python3 tests/zoo/export.py FOLDER NAME[:OPSET]...
--   lua5.4 tests/zoo/onnx.lua FOLDER NAME...
--
-- Exits with 1 where logits are more than 1e-5 (relative L2) away.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"

local folder, failed = arg[1], false

for i = 2, #arg do
  local path = ("%s/%s"):format(folder, arg[i])
  local file, want = assert(core.weights(path .. ".golden.safetensors")), {}
  for k, e in ipairs(file:list()) do want[e.name] = file:tensor(k) end
  local out, message = import(path .. ".onnx", { out = path .. ".safetensors",
                                                 force = true })
  local net = out and assert(lu.load(out))
  local off = net and net:run(want.input).output:detach():distance(want.logits)
  print(net and ("%-22s %4d layers, logits %.1e off"):format(arg[i], #net:layers(), off)
    or message)
  failed = failed or not (off and off < 1e-5)
end
os.exit(not failed)
