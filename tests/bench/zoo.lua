-- The worker of tests/bench/zoo.py: `write CASE FILE` does the case once and writes its
-- result, raw float32; `time CASE` does it once more and answers the milliseconds.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"

local file = arg[1]
local out = file:gsub("%.onnx$", "") .. ".imported.safetensors"
core.threads(math.tointeger(os.getenv "LUNETTE_THREADS"))
local net = assert(lu.load((assert(import(file, { out = out, force = true })))))
local x = core.zeros(1, table.unpack(net.input))
local peer = { x = 12.9898, seed = 1001 * 78.233 } -- tests/zoo/write.py's formula
local values, n = {}, x:size()
for i = 0, n - 1 do
  local v = math.sin(i * peer.x + peer.seed) * 43758.5453
  values[i + 1] = (v - math.floor(v)) * 2 - 1
end
x = lu.tensor(values):reshape(1, table.unpack(net.input))
local now = os.getenv "BENCH_CLOCK" == "1" and core.clock or os.clock

local cases = {
  forward = function()
    local run <close> = net:run(x, { keep = false })
    return run.output:detach()
  end,
  gradient = function()
    local run <close> = net:run(x)
    return run:gradient { score = run.output:argmax() - 1 }
  end,
}

local commands = {
  write = function(case, path)
    local f <close> = assert(io.open(path, "wb"))
    f:write(cases[case]():bytes())
    return "ok"
  end,
  time = function(case)
    local start = now()
    cases[case]():release()
    return ("%.3f"):format(1e3 * (now() - start))
  end,
}

io.stdout:setvbuf "line"
for line in io.lines() do
  local words = {}
  for word in line:gmatch "%S+" do words[#words + 1] = word end
  print(commands[words[1]](words[2], words[3]))
end
