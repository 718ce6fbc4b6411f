-- Baked files against the methods themselves: which methods, how far ONNX Runtime's
-- maps are from ours, and how far once its decisions (masks, places of largest values,
-- the class) are imposed on ours.
local bake = require "lunette.onnx.bake"
local core = require "lunette.core"
local emit = require "lunette.onnx.emit"
local evaluate = require "lunette.trace.evaluate"
local lu = require "lunette"
local originals = require "lunette.onnx.original"
local ort = require "tests.lua.ort"
local trace = require "lunette.trace"
local warn = require "lunette.base.warn"

local M = {}

local box = lu.modifiers.epsilon_gamma_box { low = -4, high = 4 }

---Every method that docs/bake.md names: title, method, options.
M.cases = {
  { "saliency", "saliency" },
  { "guided", "saliency", { modifiers = { "guided" } } },
  { "deconvnet", "saliency", { modifiers = { "deconvnet" } } },
  { "rectified", "saliency", { modifiers = { "rectified" } } },
  { "input x gradient", "input_x_gradient" },
  { "Grad-CAM", "gradcam" },
  { "Grad-CAM, pytorch", "gradcam", { dialect = "pytorch-grad-cam" } },
  { "Grad-CAM++", "gradcam_pp" }, { "HiResCAM", "hirescam" },
  { "LayerCAM", "layercam" }, { "XGrad-CAM", "xgradcam" },
  { "guided Grad-CAM", "guided_gradcam" },
  { "integrated gradients", "integrated_gradients", { steps = 5 } },
  { "LRP epsilon-plus", "lrp" },
  { "LRP epsilon-gamma-box", "lrp", { composite = box } },
  { "Recipro-CAM", "recipro_cam" },
}


---Options of a case for a network: without its softmax.
function M.options(net, case)
  local last, opts = net:layers()[#net:layers()], { modifiers = {} }
  if last.kind == "softmax" then opts.modifiers[1] = "linear" end
  for key, v in pairs(case[3] or {}) do
    if key ~= "modifiers" then opts[key] = v end
  end
  for _, m in ipairs(case[3] and case[3].modifiers or {}) do
    table.insert(opts.modifiers, m)
  end
  return opts
end


---A picture of a network, and what its file, or one that is baked from it, is given.
---@param net lunette.Net
---@return lunette.Tensor x, table inputs
---@return string? why   the file's layers are written anew
function M.fed(net)
  local o, why = originals.read(net.path)
  local n = o and math.type(o.batch) == "integer" and o.batch or 2
  local x = core.normal(5, 0, { n, table.unpack(net.input) })
  if not o then return x, { input = x }, why end
  return x, { [o.origin.picture.name] = x:permute { dims = o.origin.picture.order } }
end


---Calls f, its warnings unheard.
local function quietly(f, ...)
  return pcall(warn.during, false, f, ...)
end


---The cases of a network, with what the methods themselves say; one without relus, or
---maps, has not all of them.
local function wanted(net, x)
  local jobs = {}
  for _, case in ipairs(M.cases) do
    local opts = M.options(net, case)
    local ok, want = quietly(lu[case[2]], net, x, opts)
    if ok then
      jobs[#jobs + 1] = { want = want, title = case[1], case = case, opts = opts }
    end
  end
  return jobs
end


---Files of a network, one a case.
---@param folder string
---@param net lunette.Net
---@param x lunette.Tensor
---@param inputs? table   what the files are given: { input = x }
---@return table[] jobs   for ort.run
function M.jobs(folder, net, x, inputs)
  local jobs = wanted(net, x)
  for _, job in ipairs(jobs) do
    job.model = ("%s/%s-%s.onnx"):format(folder, net.name:gsub("%W", "_"),
                                         job.title:gsub("%W", "_"))
    job.report = assert(lu.bake(net, job.model, job.case[2], job.opts))
    job.inputs = job.report.original and inputs or { input = x }
  end
  return jobs
end


---The same with all maps in one file, which has the network once.
function M.joint_jobs(folder, net, x, inputs)
  local jobs, maps = wanted(net, x), {}
  local path = ("%s/%s.onnx"):format(folder, net.name:gsub("%W", "_"))
  for i, job in ipairs(jobs) do
    maps[i] = { job.case[2] }
    for key, value in pairs(job.opts) do maps[i][key] = value end
  end
  local report = assert(lu.bake(net, path, maps))
  for i, job in ipairs(jobs) do
    job.model, job.report = path, { maps = { report.maps[i] }, anew = report.anew }
    job.inputs = report.original and inputs or { input = x }
  end
  return jobs
end


---The largest difference as a share of the largest value.
function M.off(a, b)
  return (a - b):abs():max():item() / math.max(b:abs():max():item(), 1e-30)
end


---The job's file with all that is decided in it as outputs.
---@return table job, table made   of bake.graph
local function with_decisions(folder, net, job)
  local graph, made = bake.graph(net, job.case[2], job.opts)
  local path = folder .. "/decisions.onnx"
  for _, d in ipairs(made.emitter.decisions) do
    local t = d.value.op == "backward" and d.value.inputs[1] or d.value -- places: as dy
    graph:output(d.name, d.kind, emit.dimensions(t.dims, graph.batch))
  end
  assert(graph:write(path, "decisions"))
  return { model = path, inputs = job.inputs }, made
end


---What was decided, by traced value; and ours of the same.
local function decided(made, got, x)
  local imposed, list, n = {}, {}, x:dim(1)
  local seen = {}
  for _, d in ipairs(made.emitter.decisions) do
    if not seen[d.value] then
      seen[d.value] = true
      list[#list + 1] = d.value
      imposed[d.value] = got[d.name]
    end
  end
  for t, v in pairs(imposed) do
    if t.op ~= "backward" then
      imposed[t] = v:reshape { shape = trace.for_batch(t:shape(), n) }
    end
  end
  return imposed, list
end


---ONNX Runtime's map against ours with its decisions.
---@return { off: number, flips: integer, of: integer, map: lunette.Tensor }
function M.imposed(folder, net, x, job)
  local file, made = with_decisions(folder, net, job)
  local got = ort.run(folder, { file })[1]
  assert(not got.error, got.error)
  local imposed, list = decided(made, got, x)
  local leaves = { input = x }
  local map = evaluate.run(made.traced, leaves, x:dim(1), imposed)[1]
  local flips, of = 0, 0
  local own = evaluate.run(list, leaves, x:dim(1))
  for i, t in ipairs(list) do
    of = of + imposed[t]:size()
    if t.op == "backward" then -- counted by what they did
      local theirs = evaluate.run({ t }, leaves, x:dim(1), { [t] = imposed[t] })[1]
      flips = flips + theirs:ne(own[i]):sum():item() // 2
    else
      flips = flips + imposed[t]:ne(own[i]):sum():item()
    end
  end
  return { off = M.off(got[made.maps[1]], map), flips = math.tointeger(flips), of = of,
           map = got[made.maps[1]] }
end

---How far our own map moves when the picture does by a rounding, up or down: nobody's
---map is nearer to another's than that.
---@return number
function M.moves(net, x, job)
  local most = 0
  for seed = 1, 3 do
    local up = core.normal(1, seed, x:shape()):gt(0) * 2 - 1
    local moved = x * (up * 2 ^ -23 + 1)
    local _, map = quietly(lu[job.case[2]], net, moved, job.opts)
    most = math.max(most, M.off(map, job.want))
  end
  return most
end


---Is a map further away than `limit` that near once decisions are imposed, or as near
---as our own map stays when the picture moves by a rounding? And the numbers of that.
---The file with the decisions is another one than `got` is of: its map has to be that.
---@return boolean shown, string text
function M.shown(folder, net, x, job, limit, got)
  local r, moves = M.imposed(folder, net, x, job), M.moves(net, x, job)
  local most = math.max(limit, 4 * moves)
  return r.off <= most and M.off(M.map_of(job, got), r.map) <= most,
    ("%d of %d decided otherwise, then %.1e; a rounding of the picture moves %.1e")
      :format(r.flips, r.of, r.off, moves)
end


---The map of a job's answer: `map`, where the file has no value of that name.
---@return lunette.Tensor
function M.map_of(job, got) return got[job.report.maps[1]] end


---How far ours and theirs are from float64.
---@return number ours, number theirs
function M.from_double(folder, job, got)
  local exact = M.map_of(job, ort.double(folder, job))
  return M.off(job.want, exact), M.off(M.map_of(job, got), exact)
end

---Ways to write networks into files of a folder.
---@param folder string
---@return fun(): string fresh   a path that was not given before
---@return fun(net: lunette.Net, opts?: table): lunette.Net, string again   the network
---  that an exported one is loaded as, and its file
function M.files(folder)
  local count = 0
  local function fresh()
    count = count + 1
    return ("%s/net%d.onnx"):format(folder, count)
  end
  return fresh, function(net, opts)
    local path = fresh()
    assert(lu.export(net, path, opts))
    return assert(lu.load(path)), path
  end
end


---A network of what exporters write in pieces: gelu, layer norm, a class token.
function M.tokens()
  return assert(lu.net {
    name = "tokens", input = { 3, 8, 8 }, layers = {
      { "patches", "conv2d", filters = 6, kernel = 2, stride = 2 },
      { "flat", "reshape", shape = { 6, 16 } },
      { "rows", "permute", dims = { 1, 3, 2 } },
      { "with_class", "concat", dim = 2,
        from = { { param = "class", shape = { 1, 6 } }, "rows" } },
      { "norm", "layer_norm" },
      { "fc", "linear", units = 8, rows = true },
      { "act", "gelu" },
      { "back", "linear", units = 6, rows = true },
      { "sum", "add", from = { "back", "with_class" } },
      { "first", "narrow", dim = 2, start = 1, length = 1 },
      { "token", "flatten" },
      { "out", "linear", units = 4 },
      { "softmax", "softmax" } },
  }):init(4)
end

return M
