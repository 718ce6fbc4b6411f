---lu.bake: an ONNX file that has a network's outputs, and a method's map beside them.
local blame = require "lunette.base.blame"
local apply = require "lunette.modifiers.apply"
local emit = require "lunette.onnx.emit"
local export = require "lunette.onnx.export"
local graphs = require "lunette.onnx.graph"
local methods = require "lunette.methods"
local named = require "lunette.modifiers.named"
local options = require "lunette.base.options"
local opsets = require "lunette.onnx.opsets"
local originals = require "lunette.onnx.original"
local over = require "lunette.onnx.over"
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


---The methods to bake, as { row =, name =, opts = }.
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
  if #jobs == 0 then
    blame 'bake: no method is named; lu.bake(net, "net.onnx", "gradcam")'
  end
  return jobs
end


---An option of the call is one of bake's own, or of a method.
local function check_options(opts, jobs)
  local known = { opset = false, half = false, class = false, size = false }
  for _, job in ipairs(jobs) do
    for key in pairs(job.row.options) do known[key] = false end
  end
  options.check("bake", opts, known)
end


---The runs of the jobs: those of the same forward modifiers share one.
local function run_of(known, net, values, mods)
  local key = ""
  for _, m in ipairs(mods) do key = key .. m.name .. "|" end
  known[key] = known[key] or runs.new(net, values, mods)
  return known[key]
end


---Traces every job; returns the maps, and sets each job's run.
local function trace_jobs(net, values, jobs)
  local known, maps = {}, {}
  for i, job in ipairs(jobs) do
    local mods = apply.forward(named.list(job.opts.modifiers or {}))
    job.run = run_of(known, net, values, mods)
    maps[i] = trace.within(job.name, job.row, job.run, job.opts)
  end
  return maps
end


---Declares the class as an input of the file, or as an output where the file finds it.
local function put_class(e, graph, jobs)
  for _, job in ipairs(jobs) do
    local input, found = job.run.class_input, job.run.predicted
    if input and not e.names[input] then
      e.names[input] = graph:name "class"
      graph:input(e.names[input], emit.INT64, { graph.batch })
    end
    if found and not e.class then e.class = found end
  end
end


---Makes a value an output of the graph; its name gets a number where a layer has it.
---@return string name
local function put_output(e, graph, value, name, kind)
  local written = e:write({ value })[1]
  name = graph:name(name)
  graph:node("Identity", { written }, nil, { name }, "output." .. name)
  graph:output(name, kind, emit.dimensions(value.dims, graph.batch))
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
---@field opset? integer     of ONNX's operators, 13 to 17 (17, or the file's own)
---@field half? boolean      weights as float16
---@field class? any         "predicted" (the largest output, found in the file),
---  "input" (an input of the file, `class`, int64 (N)), an id or a name
---@field size? "picture"|"layer"   of class activation maps (picture); every option of
---  the methods besides: layer, modifiers, dialect, steps ...

---Writes the nodes of the maps, and what the methods share, into a graph.
---@return table put   { maps = names of the outputs, nodes = of the network, traced =
---  the maps, emitter = }
local function put(graph, net, jobs)
  export.describe(graph, net)
  local make = graph.original and over.network or export.network
  local e, values, copy = make(graph, net)
  local names, nodes = {}, #graph.nodes
  local maps = trace_jobs(copy, values, jobs)
  if graph.original then
    over.give(e, values)
    nodes = #graph.original.origin.model.nodes
  end
  put_class(e, graph, jobs)
  for i, map in ipairs(maps) do
    names[i] = put_output(e, graph, map, jobs[i].name, emit.FLOAT)
  end
  if e.class then put_output(e, graph, e.class, "class", emit.INT64) end
  return { maps = names, nodes = nodes, traced = maps, emitter = e }
end


---The ONNX file that a network was loaded from, opened for nodes to be added. Returns
---nil where there is none, with a reason where there is one that cannot be added to.
local function original_of(net, opts)
  if opts.opset or opts.half or not net.path then return nil end
  local original, why = originals.read(net.path)
  if not original then return nil, why end
  if not originals.is(original, net) then
    return nil, "the network is not what its file says any more"
  end
  return original
end


---The jobs of a call, whose options are all known.
local function checked_jobs(what, opts)
  local jobs = jobs_of(what, shared_options(opts))
  check_options(opts, jobs)
  return jobs
end


---The graph with its maps: added to the file where that can be, else written anew.
---@param net lunette.Net
---@param what any           as of M.bake
---@param opts lunette.BakeOptions
---@return lunette.OnnxGraph graph
---@return { maps: string[], nodes: integer, traced: lunette.Traced[],
---  emitter: lunette.OnnxEmitter } put
---@return string? why   the file's layers are written anew
function M.graph(net, what, opts)
  local original, why = original_of(net, opts)
  if original then
    local graph = graphs.new { original = original }
    local ok, made = pcall(put, graph, net, checked_jobs(what, opts))
    if ok then return graph, made end
    why = opsets.refusal(made)
    if not why then error(made, 0) end
  end
  local graph = graphs.new { opset = export.check_opset("bake", opts.opset or 17),
                             half = opts.half }
  return graph, put(graph, net, checked_jobs(what, opts)), why
end


---@class lunette.BakeReport
---@field bytes integer          of the file
---@field plain_bytes integer    without the maps
---@field nodes integer
---@field forward_nodes integer  without the maps
---@field maps string[]          names of the outputs
---@field original? string       the file that was added to
---@field anew? string           why an ONNX file was not added to, but written anew

---Bytes of the same file without maps.
local function plain_bytes(graph, net)
  local o = graph.original
  if o then return o.bytes end
  local plain = graphs.new { opset = graph.opset, half = graph.half }
  export.describe(plain, net)
  export.network(plain, net)
  return plain:bytes(net.name)
end


---Writes a network as an ONNX file that explains itself: its outputs, and `map` beside
---them, what the method would say of the same pictures, computed by ordinary operators.
---Several methods share one forward; their outputs are `map_METHOD`. A rule written in
---Lua, or a method made of operators, is baked as well: it is run once on tracing
---tensors; what reads a value is refused.
---
---A network that was loaded from an ONNX file keeps that file's nodes and weights, byte
---for byte, and the map's nodes are added: its outputs stay as they were, to the bit.
---Where that cannot be, or an opset or float16 is asked for, it is written anew.
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
---@return lunette.BakeReport? report, string? message
function M.bake(net, path, what, opts)
  export.check("bake", net, path)
  opts = opts or {}
  if opts.opset then export.check_opset("bake", opts.opset) end
  local graph, made, why = M.graph(net, what, opts)
  local o, beside, message = graph.original, nil, nil
  if o then beside, message = originals.beside(o, path) end
  if message then return nil, message end
  local bytes, wrong = graph:write(path, net.name, beside)
  if not bytes then return nil, wrong end
  return { bytes = bytes, plain_bytes = plain_bytes(graph, net),
           nodes = #graph.nodes + (o and made.nodes or 0),
           forward_nodes = made.nodes, maps = made.maps, anew = why,
           original = o and o.path or nil }
end

return M
