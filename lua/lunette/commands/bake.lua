---`lunette bake METHOD MODEL -o OUT.onnx`: an ONNX file that explains itself.
local cli = require "lunette.commands.cli"
local export = require "lunette.commands.export"
local flags = require "lunette.commands.method_flags"
local json = require "lunette.base.json"
local methods = require "lunette.methods"
local rows = require "lunette.base.rows"
local text = require "lunette.base.text"
local timing = require "lunette.onnx.timing"
local warn = require "lunette.base.warn"

local fail = cli.failing "lunette bake"

---Options of methods that a file has not: it has one map, of one class, at once.
local refused = { "classes", "top", "checkpoint", "batch", "memory" }


---The rows that a text names: "gradcam", "gradcam,saliency"; nil and a message.
local function rows_of(names)
  local list = {}
  for name in names:gmatch "[^,]+" do
    local row, known = methods[name], rows.names(methods)
    if not row then
      return nil, ("method '%s' not found%s"):format(name,
        require("lunette.base.suggest").after(name, known))
    end
    list[#list + 1] = row
  end
  if #list == 0 then return nil, "no method is named" end
  return list
end


local function parser_for(list)
  local p = cli.parser("lunette bake", "Writes an ONNX file that has the network's "
    .. "outputs and, beside them, the method's map.")
  p:argument("method", "how; several with commas, which share one forward: "
    .. "gradcam,saliency")
  p:argument("model", "an installed model's name, or a model file")
  export.add_options(p)
  p:option("-c --class", "predicted (default: the largest output, found in the file), "
    .. "input (an input of the file, `class`), an id or a name")
  p:option("--modifier", "backward rule, or linear (may be repeated); of a network "
    .. "that ends in a softmax, linear is meant"):count "*"
  p:option("--dialect", "whose numbers")
  p:option("--size", "of class activation maps: picture or layer")
    :choices { "picture", "layer" }
  p:flag("--raw", "signed values, not finished")
  p:option("--time", "how long forward and maps take: here (this engine), none, or the "
    .. "folder node_modules of onnxruntime-node, which runs the files"):default "here"
  p:flag("--json", "a line of JSON instead of text")
  flags.add(p, list, refused)
  return p
end


---Backward rules, and of a network that ends in a softmax `linear`.
local function modifiers_of(o, net)
  local last = net:layers()[#net:layers()]
  local mods = { (last.kind == "softmax" or last.kind == "log_softmax") and "linear"
                 or nil }
  table.move(o.modifier, 1, #o.modifier, #mods + 1, mods)
  return mods
end


---The methods, each with the options that were given of those it has; and what all of
---them share.
---@return table[] list, table opts   for bake
local function asked(o, list, net)
  local mods, jobs = modifiers_of(o, net), {}
  for i, row in ipairs(list) do
    jobs[i] = flags.read(o, row)
    jobs[i][1], jobs[i].modifiers = row, row.options.modifiers and mods
  end
  return jobs, { modifiers = #o.modifier > 0 and mods or nil, dialect = o.dialect,
                 raw = o.raw or nil, opset = o.opset, half = o.half, size = o.size,
                 class = o.class }
end


-- what it costs ----------------------------------------------------------------------


---The methods as this engine is asked for what is baked.
local function calls_of(jobs, opts)
  local shared, calls = {}, {}
  for key, v in pairs(opts) do shared[key] = v end
  shared.score = opts.class == "input" and 0 or opts.class or "predicted"
  if opts.size then shared.expand = opts.size == "picture" end
  for i, job in ipairs(jobs) do
    local own = {}
    for key, v in pairs(shared) do if job[1].options[key] then own[key] = v end end
    for key, v in pairs(job) do if key ~= 1 then own[key] = v end end
    calls[i] = { row = job[1], opts = own }
  end
  return calls
end


---The file without maps that the other runtime is to run: the one that was added to, or
---one that is made for that; whether it is to be removed.
local function plain_file(net, opts, report)
  if report.original then return report.original end
  local path = os.tmpname()
  local ok, message = require("lunette.onnx.export").export(net, path, {
    opset = opts.opset, half = opts.half })
  return ok and path, message, true
end


---@return lunette.BakeTime? time, string? message
local function time_of(o, net, jobs, opts, path, report)
  if o.time == "none" then return nil end
  if o.time == "here" then
    -- of a random picture
    return warn.during(false, timing.here, net, calls_of(jobs, opts))
  end
  local plain, message, passing = plain_file(net, opts, report)
  if not plain then return nil, message end
  local time
  time, message = timing.onnxruntime(o.time, plain, path)
  if passing then os.remove(plain) end
  return time, message
end


local function growth(r) return r.bytes - r.plain_bytes end


local function report_text(path, r)
  local lines = {
    ("wrote %s (%s): %s of the network, %d more for %s"):format(path,
      export.size_text(r.bytes), text.count(r.forward_nodes, "node"),
      r.nodes - r.forward_nodes, table.concat(r.maps, ", ")),
    ("grew by %d bytes (%.2g %%)"):format(growth(r), 100 * growth(r) / r.plain_bytes) }
  if r.original then
    lines[2] = lines[2] .. (": %s is in it as it was, its outputs keep their bits")
      :format(r.original)
  elseif r.anew then
    lines[2] = lines[2] .. ": its layers are written anew, as " .. r.anew
  end
  local t = r.time
  if t then
    lines[3] = ("%s: forward %.3g ms, with %s %.3g ms (%.2f times)"):format(t.runtime,
      t.forward, #r.maps == 1 and "the map" or "the maps", t.map, t.map / t.forward)
  end
  return table.concat(lines, "\n")
end


local function report_json(path, r)
  return json.encode { file = path, bytes = r.bytes, growth = growth(r),
    growth_percent = 100 * growth(r) / r.plain_bytes, nodes = r.nodes,
    forward_nodes = r.forward_nodes, maps = r.maps, original = r.original,
    anew = r.anew, runtime = r.time and r.time.runtime,
    forward_ms = r.time and r.time.forward, map_ms = r.time and r.time.map }
end


---Bakes what was read from the command line.
---@return integer code
local function bake(o, list)
  local net, path, message = export.open(o)
  if not net then return fail(path, message) end
  local jobs, opts = asked(o, list, net)
  local report, wrong = require("lunette.onnx.bake").bake(net, path, jobs, opts)
  if not report then return fail(74, wrong) end
  report.time, wrong = time_of(o, net, jobs, opts, path, report)
  text.say((o.json and report_json or report_text)(path, report))
  return wrong and fail(69, wrong) or 0
end


---@param args string[]
---@return integer code   0, 64 usage, 66 no such file, 69 no such runtime, 74 cannot
---  write
return function(args)
  local named
  for i, word in ipairs(args) do -- its options are flags, so it is known before
    if not named and not word:find "^%-" then named = i end
  end
  local list, message = rows_of(named and args[named] or "gradcam")
  if not list then return fail(64, message) end
  return bake(parser_for(list):parse(args), list)
end
