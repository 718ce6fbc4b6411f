-- The networks that tests/zoo/write.py wrote, loaded by torchvision's names and
-- compared with what torchvision answered:
--
--   python3 tests/zoo/write.py FOLDER NAME...
--   lua5.4 tests/zoo/compare.lua FOLDER NAME...
--
-- Exits with 1 where logits are more than 1e-5 (relative L2) away.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, failed = arg[1], false


for i = 2, #arg do
  local path = ("%s/%s"):format(folder, arg[i])
  local want = t.tensors(path .. ".golden.safetensors")
  local weights = t.tensors(path .. ".safetensors")
  local net = assert(lu.net(lu.models[arg[i]] { side = 96 }))
  t.fill(net, weights)
  local count = 0
  for _, v in pairs(net.params) do count = count + v:size() end
  local total = 0
  for name, w in pairs(weights) do -- auxiliary heads are of training
    if not name:find "^aux%d" and not name:find "^AuxLogits" then
      total = total + w:size()
    end
  end
  assert(total == count, ("%d of %d numbers are used"):format(count, total))
  local run = net:run(want.input, { modifiers = { "linear" } })
  local off = run.output:detach():distance(want.logits)
  print(("%-22s %9d parameters, logits %.1e off"):format(arg[i], count, off))
  failed = failed or not (off < 1e-5)
end
os.exit(not failed)
