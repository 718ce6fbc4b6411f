---`lunette summary MODEL`: the table of a network's layers.
local cli = require "lunette.commands.cli"
local text = require "lunette.base.text"


---@param args string[]
---@return integer exit code
return function(args)
  local parser = cli.parser("lunette summary", "Prints a network's layers.")
  parser:argument("model", "an architecture, an installed model or a model file")
  parser:flag("--all", "activations on lines of their own")
  local o = parser:parse(args)
  local net, message = require("lunette.weights.load").load(o.model)
  local models = not net and require "lunette.models"
  if models and models.architecture(o.model) then
    net = require("lunette.net").new(models[o.model]()) -- shapes need no weights
  end
  if not net then
    text.complain(message)
    return 66
  end
  text.say(net:summary { all = o.all })
  return 0
end
