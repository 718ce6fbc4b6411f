---`lunette import FILE [-o OUT] [--half]`: other people's weights into ours.
local argparse = require "argparse"
local text = require "lunette.base.text"


local function parser()
  local p = argparse("lunette import",
    "Turn a model file (Keras .h5, torch .pth, safetensors) into a Lunette file.")
  p:argument("file", "the file; what it is, is found by its content")
  p:option("-o --output", "path to write (default: known weights go to the store, "
    .. "others to FILE.safetensors in this folder)")
  p:flag("--half", "store float16: half the bytes, the same top-5")
  p:option("--side", "height and width of the input, where the file leaves them open")
    :convert(tonumber)
  p:option("--preprocessing", "what pictures go through: caffe, torch, tf")
  return p
end


local function size_text(n) return ("%.1f MB"):format(n / 1e6) end


-- Errors of the system, of the place, and of the data have codes of their own.
local function code_of(message)
  if message:find("no such file, or unreadable", 1, true) then return 66 end
  if message:find("write: ", 1, true) or message:find("No space", 1, true)
     or message:find("Permission denied", 1, true)
     or message:find("No such file or directory", 1, true) then
    return 74
  end
  return 65
end


local function report_text(out, r)
  local opts = {}
  local size = r.options.side == nil and r.input and table.concat(r.input, "x")
  if size then opts[1] = "input " .. size end
  for _, key in ipairs { "side", "classes", "fc" } do
    if r.options[key] then opts[#opts + 1] = key .. " " .. r.options[key] end
  end
  if r.options.top == false then opts[#opts + 1] = "no dense layers" end
  local lines = {
    ("%s (%s), %s"):format(r.model, table.concat(opts, ", "), r.format),
    r.known and "weights        " .. r.weights
      or "weights        not in the catalogue: judge for yourself where they come from",
    "sha256         " .. r.sha256,
    "preprocessing  " .. r.preprocessing,
  }
  for _, what in ipairs(r.assumed) do
    lines[#lines + 1] = "assumed        " .. what
  end
  lines[#lines + 1] = ("wrote          %s (%s)"):format(out, size_text(r.bytes))
  return table.concat(lines, "\n")
end


---@param args string[]
---@return integer code   0, 64 usage, 65 bad data, 66 no such file, 74 cannot write
return function(args)
  local ok, opts = parser():pparse(args)
  if not ok then
    text.complain(tostring(opts), "lunette import")
    return 64
  end
  if opts.help then return 0 end
  local out, report = require("lunette.weights.import")(opts.file, {
    out = opts.output, half = opts.half, preprocessing = opts.preprocessing,
    side = opts.side,
  })
  if not out then
    text.complain(report, "lunette import")
    return code_of(report)
  end
  text.say(report_text(out, report))
  return 0
end
