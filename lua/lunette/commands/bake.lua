---`lunette bake METHOD MODEL -o OUT.onnx`: an ONNX file that explains itself.
local cli = require "lunette.commands.cli"
local export = require "lunette.commands.export"
local flags = require "lunette.commands.method_flags"
local methods = require "lunette.methods"
local rows = require "lunette.base.rows"
local text = require "lunette.base.text"


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


local function parser_for(row)
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
  flags.add(p, row)
  return p
end


---What the methods are called with.
local function options_of(o, row, net)
  local opts, mods = flags.read(o, row), {}
  local last = net:layers()[#net:layers()]
  if last.kind == "softmax" or last.kind == "log_softmax" then mods[1] = "linear" end
  for _, m in ipairs(o.modifier) do mods[#mods + 1] = m end
  opts.modifiers, opts.dialect, opts.raw = mods, o.dialect, o.raw or nil
  opts.opset, opts.half, opts.size, opts.class = o.opset, o.half, o.size, o.class
  return opts
end


local function report_text(path, r)
  return ("wrote %s (%s): %d nodes of the network, %d more for %s"):format(path,
    export.size_text(r.bytes), r.forward_nodes, r.nodes - r.forward_nodes,
    table.concat(r.maps, ", "))
end


---@param args string[]
---@return integer code   0, 64 usage, 66 no such file, 74 cannot write
return function(args)
  local named
  for i, word in ipairs(args) do -- its options are flags, so it is known before
    if not named and not word:find "^%-" then named = i end
  end
  local list, message = rows_of(named and args[named] or "gradcam")
  if not list then return export.fail("lunette bake", 64, message) end
  local o = parser_for(list[1]):parse(args)
  local net, path
  net, path, message = export.open(o)
  if not net then return export.fail("lunette bake", path, message) end
  local report
  report, message = require("lunette.onnx.bake").bake(net, path, list,
                                                      options_of(o, list[1], net))
  if not report then return export.fail("lunette bake", 74, message) end
  text.say(report_text(path, report))
  return 0
end
