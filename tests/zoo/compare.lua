-- The networks that tests/zoo/write.py wrote, loaded by torchvision's names and
-- compared with what torchvision answered:
--
--   python3 tests/zoo/write.py FOLDER NAME...
--   lua5.4 tests/zoo/compare.lua FOLDER NAME...
--
-- Exits with 1 where logits are more than 1e-5 (relative L2) away.
local core = require "lunette.core"
local lu = require "lunette"

local folder, failed = arg[1], false


---Tensors of a safetensors file, by name.
local function tensors(path)
  local file, found = assert(core.weights(path)), {}
  for i, e in ipairs(file:list()) do found[e.name] = file:tensor(i) end
  return found
end


for i = 2, #arg do
  local path = ("%s/%s"):format(folder, arg[i])
  local want = tensors(path .. ".golden.safetensors")
  local weights = tensors(path .. ".safetensors")
  local net = assert(lu.net(lu.models[arg[i]] { side = 96 }))
  local count = 0
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local value
      for _, name in ipairs { layer.name, table.unpack(layer.aliases) } do
        value = value or weights[name .. "." .. q.key] or weights[name .. "_" .. q.key]
          or name == q.key and weights[name]
      end
      assert(value, q.name .. " is not in the file")
      net.params[q.name] = value:view(table.unpack(q.shape))
      count = count + value:size()
    end
  end
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
