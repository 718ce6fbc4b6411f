---lu.bake: an ONNX file that has a network's outputs, and a method's map beside them.
local blame = require "lunette.base.blame"
local apply = require "lunette.modifiers.apply"
local emit = require "lunette.onnx.emit"
local export = require "lunette.onnx.export"
local graphs = require "lunette.onnx.graph"
local methods = require "lunette.methods"
local named = require "lunette.modifiers.named"
local options = require "lunette.base.options"
local runs = require "lunette.onnx.run"
local suggest = require "lunette.base.suggest"
local trace = require "lunette.trace"

local M = {}


local function row_of(what)
  if type(what) == "table" and what.explain then return what end
  if methods[what] then return methods[what] end
  local names = require("lunette.base.rows").names(methods)
  blame(("bake: no method '%s'%s"):format(tostring(what),
        suggest.after(tostring(what), names)))
end


---The options that a method has of those of the call, and its own.
local function options_of(row, opts, own)
  local given = {}
  for key, v in pairs(opts) do
    if row.options[key] then given[key] = v end
  end
  for key, v in pairs(own) do if key ~= 1 then given[key] = v end end
  return given
end


---What is baked: { row =, name =, opts = } of each method.
local function jobs_of(list, opts)
  if type(list) ~= "table" or list.explain then list = { list } end
  local jobs, taken = {}, {}
  for i, what in ipairs(list) do
    local own = type(what) == "table" and not what.explain and what or { what }
    local row = row_of(own[1])
    local name = #list == 1 and "map" or "map_" .. row.name
    taken[name] = (taken[name] or 0) + 1
    if taken[name] > 1 then name = name .. taken[name] end
    jobs[i] = { row = row, opts = options_of(row, opts, own), name = name }
  end
  if #jobs == 0 then blame "bake: no method is named" end
  return jobs
end


---The runs of the jobs: those of the same forward modifiers share one.
local function run_of(known, net, values, mods)
  local key = ""
  for _, m in ipairs(mods) do key = key .. m.name .. "|" end
  known[key] = known[key] or runs.new(net, values, mods)
  return known[key]
end


---Traces every job; their maps, and the runs that they are of.
local function trace_jobs(net, values, jobs)
  local known, maps = {}, {}
  for i, job in ipairs(jobs) do
    local mods = apply.forward(named.list(job.opts.modifiers or {}))
    job.run = run_of(known, net, values, mods)
    maps[i] = trace.within(job.name, job.row, job.run, job.opts)
  end
  return maps
end


---The class as an input, or, where the file finds it, as an output.
local function put_class(e, graph, jobs)
  for _, job in ipairs(jobs) do
    local input, found = job.run.class_input, job.run.predicted
    if input and not e.names[input] then
      e.names[input] = graph:name "class"
      graph:input(e.names[input], emit.INT64, { "N" })
    end
    if found and not e.class then e.class = found end
  end
end


---Gives a value that is written the name of an output, or, where a layer has that, one
---like it.
---@return string name
local function put_output(e, graph, value, name, kind)
  local written = e:write({ value })[1]
  name = graph:name(name)
  graph:node("Identity", { written }, nil, { name }, "output." .. name)
  graph:output(name, kind, emit.dimensions(value.dims))
  return name
end


---The options that go to the methods.
local function shared_options(opts)
  local given = { score = opts.class }
  for key, v in pairs(opts) do given[key] = v end
  given.opset, given.half, given.size, given.class = nil, nil, nil, nil
  if opts.size ~= nil then
    options.choice("bake: size", opts.size, { "picture", "layer" })
    given.expand = opts.size == "picture"
  end
  return given
end


---@class lunette.BakeOptions
---@field opset? integer     of ONNX's operators, 13 to 17 (17)
---@field half? boolean      weights as float16
---@field class? any         "predicted" (the largest output, found in the file),
---  "input" (an input of the file, `class`, int64 (N)), an id or a name
---@field size? "picture"|"layer"   of class activation maps (picture); every option of
---  the methods besides: layer, modifiers, dialect, steps ...

---Writes a network as an ONNX file that explains itself: its outputs, and `map` beside
---them, what the method would say of the same pictures, computed by ordinary operators.
---Several methods share one forward; their outputs are `map_METHOD`. A rule written in
---Lua, or a method made of operators, is baked as well: it is run once on tracing
---tensors; what reads a value is refused.
---Example:
---  local net = lu.load "glyphs"
---  local path = os.tmpname()
---  local report = assert(lu.bake(net, path, "gradcam", { modifiers = { "linear" } }))
---  print(report.nodes)
---  os.remove(path)
---@param net lunette.Net
---@param path string
---@param what any   a method, or a list of methods, each maybe with options of its own:
---  "gradcam", { "gradcam", { "lrp", composite = "deep_taylor" } }
---@param opts? lunette.BakeOptions
---@return table? report   { bytes =, nodes =, forward_nodes =, maps = }
---@return string? message
function M.bake(net, path, what, opts)
  export.check("bake", net, path)
  opts = opts or {}
  local jobs = jobs_of(what, shared_options(opts))
  local graph = graphs.new { opset = export.check_opset("bake", opts.opset or 17),
                             half = opts.half }
  export.describe(graph, net)
  local e, values, copy = export.network(graph, net)
  local forward_nodes, names = #graph.nodes, {}
  local maps = trace_jobs(copy, values, jobs)
  put_class(e, graph, jobs)
  for i, map in ipairs(maps) do
    names[i] = put_output(e, graph, map, jobs[i].name, emit.FLOAT)
  end
  if e.class then put_output(e, graph, e.class, "class", emit.INT64) end
  local bytes, message = graph:write(path, net.name)
  if not bytes then return nil, message end
  return { bytes = bytes, nodes = #graph.nodes, forward_nodes = forward_nodes,
           maps = names }
end

return M
