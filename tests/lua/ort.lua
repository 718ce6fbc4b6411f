-- ONNX Runtime for tests: node with onnxruntime-node, where there is one. The package's
-- folder (.../node_modules) is said by LUNETTE_ORT.
local core = require "lunette.core"
local json = require "lunette.base.json"

local M = { modules = os.getenv "LUNETTE_ORT" }

---Why there is none, or nil.
M.missing = not M.modules
  and "needs ONNX Runtime: LUNETTE_ORT=FOLDER/node_modules, with onnxruntime-node"
  or nil


local function spit(path, bytes)
  local f = assert(io.open(path, "wb"))
  f:write(bytes)
  f:close()
end


local function slurp(path)
  local f = assert(io.open(path, "rb"))
  local bytes = f:read "a"
  f:close()
  return bytes
end


---A tensor, or a list of whole numbers, as a file.
local function feed(x, path)
  if type(x) == "table" then
    local list = {}
    for i, v in ipairs(x) do list[i] = string.pack("<i8", v) end
    spit(path, table.concat(list))
    return { type = "int64", dims = { #x }, file = path }
  end
  spit(path, x:bytes())
  return { type = "float32", dims = x:shape(), file = path }
end


local function read(output, double)
  local bytes, list, shape = slurp(output.file), {}, {}
  local kind, width = double and "<d" or "<f", double and 8 or 4
  for k = 1, #bytes // width do
    list[k] = string.unpack(kind, bytes, width * (k - 1) + 1)
  end
  for i, d in ipairs(output.dims) do shape[i] = math.tointeger(d) end
  if #shape == 0 then shape[1] = 1 end
  return core.tensor(list):reshape { shape = shape }
end


---What the programs that run files are told.
local function described(folder, i, job)
  local inputs, count = {}, 0
  for name, x in pairs(job.inputs) do
    count = count + 1
    inputs[name] = feed(x, ("%s/%d.%d.bin"):format(folder, i, count))
  end
  return { model = job.model, inputs = inputs, times = job.times,
           out = ("%s/out%d"):format(folder, i) }
end


local node -- the process that runs all files: what it is told, what it says


---Starts it: it reads names of files of jobs, and says "done" through a named pipe, or
---"ended" where it is gone. It ends with this process.
local function started()
  if node then return node end
  local pipe = os.tmpname()
  os.remove(pipe)
  assert(os.execute(("mkfifo '%s'"):format(pipe)))
  local to = assert(io.popen(("exec 3<>'%s'; ORT_DISABLE_TELEMETRY=1 NODE_PATH='%s' "
    .. "node tests/onnx/ort.js; echo ended >&3"):format(pipe, M.modules), "w"))
  node = { to = to, from = assert(io.open(pipe, "r")) }
  os.remove(pipe)
  return node
end


---Runs files: { model =, inputs = { name = tensor or list of whole numbers },
---times = }.
---@param folder string   for what is written on the way
---@param jobs table[]
---@return table[]   { [output] = tensor, ms = list }, or { error = text }
function M.run(folder, jobs)
  local list, runtime = {}, started()
  for i, job in ipairs(jobs) do list[i] = described(folder, i, job) end
  spit(folder .. "/jobs.json", json.encode(list))
  assert(runtime.to:write(folder, "/jobs.json\n"))
  assert(runtime.to:flush())
  local said = runtime.from:read "l"
  assert(said == "done", "ONNX Runtime's process: " .. tostring(said))
  local found = {}
  for i, job in ipairs(list) do
    local answer = json.decode(slurp(job.out .. ".json"))
    found[i] = { error = answer.error, ms = answer.ms }
    for name, output in pairs(answer.outputs or {}) do found[i][name] = read(output) end
  end
  return found
end

---Can files be run in float64 (tests/onnx/double.py)?
---@return boolean
function M.has_double()
  local said = os.execute "/usr/bin/python3 -c 'import onnx.helper, torch' 2> /dev/null"
  return said == true
end


---A file's outputs in float64, rounded once: exact as far as float32 can tell.
---@param folder string
---@param job table   as for run
---@return table<string, lunette.Tensor>
function M.double(folder, job)
  local spec = described(folder, 0, job)
  spit(folder .. "/double.json", json.encode(spec))
  assert(os.execute(("/usr/bin/python3 tests/onnx/double.py '%s' '%s/double.json'")
    :format(job.model, folder)))
  local found = {}
  for name, output in pairs(json.decode(slurp(spec.out .. ".json")).outputs) do
    found[name] = read(output, true)
  end
  return found
end

return M
