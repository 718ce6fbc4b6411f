---How much processor time a network and its maps take, in a runtime that is named: the
---engine of this process, or ONNX Runtime for Node, which runs the files themselves.
local core = require "lunette.core"
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local paths = require "lunette.base.paths"
local text = require "lunette.base.text"

local M = {}

---@class lunette.BakeTime
---@field runtime string   "Lunette 0.9, 2 threads"
---@field forward number   milliseconds for one picture, the least of some runs
---@field map number       of the outputs and the maps together

---Runs of each file or function, of which the least counts.
local RUNS = 5

---Where a run takes longer than this many milliseconds, fewer.
local LONG = 1000


---The least time of f and of g in turns, in milliseconds.
local function in_turns(f, g)
  local least = { math.huge, math.huge }
  local function timed(k, run)
    local start = os.clock()
    run()
    least[k] = math.min(least[k], (os.clock() - start) * 1e3)
  end
  for i = 1, RUNS do
    timed(1, f)
    timed(2, g)
    if i > 1 and least[2] > LONG then break end
  end
  return least[1], least[2]
end


---The engine of this process: the methods themselves, which are what is baked.
---@param net lunette.Net
---@param list { row: lunette.Method, opts: table }[]
---@return lunette.BakeTime
function M.here(net, list)
  local x = core.normal(1, 0, { 1, table.unpack(net.input) })
  local forward, map = in_turns(function() net:run(x):release() end, function()
    for _, job in ipairs(list) do job.row(net, x, job.opts) end
  end)
  local name = ("Lunette %s, %s, processor time"):format(core.build().version,
    text.count(core.threads(), "thread"))
  return { runtime = name, forward = forward, map = map }
end


-- ONNX Runtime -----------------------------------------------------------------------


local SCRIPT = [[
const ort = require('onnxruntime-node'), [plain, baked, runs] = process.argv.slice(2);
const options = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 };

function feed(session) {
  const feeds = {};
  session.inputMetadata.forEach((input) => {
    const dims = input.shape.map((d) => typeof d === 'number' && d > 0 ? d : 1);
    const size = dims.reduce((a, b) => a * b, 1);
    feeds[input.name] = input.type === 'int64'
      ? new ort.Tensor('int64', new BigInt64Array(size), dims)
      : new ort.Tensor('float32', Float32Array.from({ length: size },
                                                    (_, i) => Math.sin(i)), dims);
  });
  return feeds;
}

(async () => {
  const sessions = [], feeds = [], least = [Infinity, Infinity];
  for (const file of [plain, baked]) {
    const session = await ort.InferenceSession.create(file, options);
    sessions.push(session);
    feeds.push(feed(session));
  }
  for (let i = 0; i <= runs; i++)
    for (let k = 0; k < 2; k++) {
      const start = process.cpuUsage();
      await sessions[k].run(feeds[k]);
      const used = process.cpuUsage(start);
      if (i > 0) least[k] = Math.min(least[k], (used.user + used.system) / 1e3);
    }
  console.log(JSON.stringify({ version: ort.env.versions.node, forward: least[0],
                               map: least[1] }));
})().catch((e) => { console.log(JSON.stringify({ error: String(e.message || e) })); });
]]


---ONNX Runtime for Node, one thread: processor time of the files, in turns.
---@param modules string   the folder node_modules that has onnxruntime-node
---@param plain string     a file without maps
---@param baked string
---@return lunette.BakeTime? time, string? message
function M.onnxruntime(modules, plain, baked)
  if not files.exists(modules .. "/onnxruntime-node/package.json") then
    return nil, ("no onnxruntime-node in %s (npm install onnxruntime-node makes "
      .. "node_modules)"):format(modules)
  end
  local env, node = paths.program "env", paths.program "node"
  if not env or not node then return nil, "node is not installed" end
  local process, message = core.spawn(env, { "NODE_PATH=" .. modules,
    "ORT_DISABLE_TELEMETRY=1", node, "-", plain, baked, tostring(RUNS) }, SCRIPT)
  if not process then return nil, message end
  local said = process:finish()
  local answer = json.decode(said)
  if type(answer) ~= "table" or not answer.forward then
    return nil, "ONNX Runtime: " .. (type(answer) == "table" and answer.error or said)
  end
  local name = ("ONNX Runtime %s for Node, 1 thread, processor time"):format(
    answer.version)
  return { runtime = name, forward = answer.forward, map = answer.map }
end

return M
