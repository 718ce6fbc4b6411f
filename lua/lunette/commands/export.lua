---`lunette export MODEL -o OUT.onnx [--opset N] [--half]`: a network as an ONNX file.
local cli = require "lunette.commands.cli"
local text = require "lunette.base.text"

local fail = cli.failing "lunette export"

local M = {}


---The options that files of ONNX have, also those of `lunette bake`.
---@param p any   of argparse
function M.add_options(p)
  p:option("-o --output", "the file to write (default: MODEL.onnx in this folder)")
  p:option("--opset", "of ONNX's operators, 13 to 17 (default: 17; `bake` keeps an "
    .. "ONNX file's own)"):convert(tonumber)
  p:flag("--half", "weights as float16: half the bytes")
end


---Where the file goes; nil and a message.
---@param o table   parsed
---@return string? path, string? message
function M.path_of(o)
  if not o.output then
    return (o.model:match "[^/]*$":gsub("%.[%w_]+$", "")) .. ".onnx"
  elseif o.output == "" then
    return nil, "--output is empty: give a file's name"
  end
  return o.output
end


---The network that is named, and where it goes; nil, the code and a message.
---@param o table   parsed
---@return lunette.Net? net, string|integer path_or_code, string? message
function M.open(o)
  local path, wrong = M.path_of(o)
  if not path then return nil, 64, wrong end
  if path == o.model then
    return nil, 64, "the output is the model itself: give another name with -o"
  end
  local net, message = require("lunette.weights.load").load(o.model)
  if not net then return nil, 66, message end
  return net, path
end


---@param n integer   bytes
---@return string
function M.size_text(n) return ("%.2f MB"):format(n / 1e6) end


---@param args string[]
---@return integer code   0, 64 usage, 66 no such file, 74 cannot write
function M.run(args)
  local p = cli.parser("lunette export", "Writes a network as an ONNX file.")
  p:argument("model", "an installed model's name, or a model file")
  M.add_options(p)
  local o = p:parse(args)
  local net, path, message = M.open(o)
  if not net then return fail(path, message) end
  local report
  report, message = require("lunette.onnx.export").export(net, path, {
    opset = o.opset or 17, half = o.half })
  if not report then return fail(74, message) end
  text.say(("wrote %s (%s, %s, opset %d)"):format(path, M.size_text(report.bytes),
           text.count(report.nodes, "node"), o.opset or 17))
  return 0
end

return setmetatable(M, { __call = function(_, args) return M.run(args) end })
