---`lunette import FILE [-o OUT] [--half]`: other people's weights into ours.
local argparse = require "argparse"
local text = require "lunette.base.text"


local function parser()
  local p = argparse("lunette import",
    "Turn a model file (Keras .h5 or .keras, torch .pth, ONNX, safetensors) into a "
    .. "Lunette file.")
  p:argument("file", "the file; what it is, is found by its content")
  p:option("-o --output", "path to write (default: known weights go to the store, "
    .. "others to FILE.safetensors in this folder)")
  p:option("--name", "keep it in the store under that name: lu.load finds it by that")
  p:flag("--force", "replace what is at the output, whatever it is")
  p:flag("--list", "show the file's tensors and what it says of itself; import nothing")
  p:flag("--half", "store float16: half the bytes, the same top-5")
  p:option("--arch", "which network it is: an architecture's name, or a Lua file that "
    .. "returns what lu.net takes (names are matched exactly)")
  p:option("--side", "height and width of the input, where the file leaves them open: "
    .. "224, or 64x96")
  p:option("--last", "the last activation: softmax, sigmoid, none")
  p:option("--preprocessing", "what pictures go through: caffe, torch, tf, or JSON")
  p:option("--labels", "names of the classes: a file of lines, JSON, CSV, YAML")
  p:option("--prefix", "which copy of the network, where there are several")
  return p
end


local function size_text(n) return ("%.1f MB"):format(n / 1e6) end


-- What a message says, and the exit code of that: the system is short of something, the
-- place, the file. All else is bad data.
local codes = {
  { "Too many open files", 70 }, { "temporarily unavailable", 70 },
  { "Cannot allocate memory", 70 }, { "cannot start '", 70 },
  { "allowed here (ulimit", 70 },
  { "no such file, or unreadable", 66 }, { "cannot open ", 66 },
  { "cannot write '", 74 }, { "cannot make folder '", 74 }, { "write: ", 74 },
  { "No space", 74 }, { "Permission denied", 74 }, { "No such file or directory", 74 },
}


local function code_of(message)
  for _, known in ipairs(codes) do
    if message:find(known[1], 1, true) then return known[2] end
  end
  return 65
end


local function report_text(out, r)
  local opts = {}
  local size = r.input and table.concat(r.input, "x")
  if size then opts[1] = "input " .. size end
  for _, key in ipairs { "classes", "fc" } do
    if r.options[key] then opts[#opts + 1] = key .. " " .. r.options[key] end
  end
  if r.options.top == false then opts[#opts + 1] = "no dense layers" end
  local lines = {
    ("%s (%s), %s"):format(r.model, table.concat(opts, ", "), r.format),
    r.known and "weights        " .. r.weights
      or "weights        not in the catalogue: judge for yourself where they come from",
    "sha256         " .. r.sha256,
  }
  if r.preprocessing then lines[#lines + 1] = "preprocessing  " .. r.preprocessing end
  for _, what in ipairs(r.assumed) do
    lines[#lines + 1] = "assumed        " .. what
  end
  if #r.left > 0 then
    lines[#lines + 1] = "left out       " .. table.concat(r.left, ", ")
  end
  if #r.skipped > 0 then
    lines[#lines + 1] = ("left closed    objects of %s"):format(
      table.concat(r.skipped, ", "))
  end
  lines[#lines + 1] = ("wrote          %s (%s)"):format(out, size_text(r.bytes))
  return table.concat(lines, "\n")
end


---The file's tensors and what it says of itself.
local function list(file)
  local found, message = require("lunette.weights.import.listing").list(file)
  if not found then return nil, ("%s: %s"):format(file, message) end
  text.say(("%s: %s, %s"):format(file, found.format,
    text.count(#found.tensors, "tensor")))
  local keys = {}
  for key in pairs(found.meta) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    text.say(("  %s = %s"):format(key, found.meta[key]))
  end
  for _, t in ipairs(found.tensors) do
    text.say(("  %-5s %-20s %s"):format(t.type,
      "(" .. table.concat(t.shape, ",") .. ")", t.name))
  end
  if #found.skipped > 0 then
    text.say("  left closed: objects of " .. table.concat(found.skipped, ", "))
  end
  return true
end


---Tells of a failure; the exit code.
local function failed(message)
  text.complain(message, "lunette import")
  return code_of(message)
end


---@param args string[]
---@return integer code   0, 64 usage, 65 bad data, 66 no such file, 70 the system is
---  short of something, 74 cannot write
return function(args)
  local ok, opts = parser():pparse(args)
  if not ok then
    text.complain(tostring(opts), "lunette import")
    return 64
  end
  if opts.help then return 0 end
  if opts.list then
    local listed, message = list(opts.file)
    return listed and 0 or failed(message)
  end
  local out, report = require("lunette.weights.import")(opts.file, {
    out = opts.output, half = opts.half, preprocessing = opts.preprocessing,
    side = opts.side, force = opts.force, arch = opts.arch, last = opts.last,
    labels = opts.labels, prefix = opts.prefix, kept_as = opts.name,
  })
  if not out then return failed(report) end
  text.say(report_text(out, report))
  return 0
end
