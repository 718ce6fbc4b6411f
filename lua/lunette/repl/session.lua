---The commands of a session: what is a global in the REPL besides `lu`.
local docs = require "lunette.repl.docs"
local exports = require "lunette.repl.exports"

local M = {}

local commands = {}


---Prints what the documentation says about a function, a layer, a network, a run, a
---method's name or a topic; without an argument, how to begin.
---Example:
---  help "gradcam"
---  help(lu.score)
---@param x? any   a value, or a name: "gradcam", "net:run", "guided"
function commands.help(x)
  local text, message = require("lunette.repl.help").text(x)
  print(text or message)
end


---Prints the names that contain a word, or whose description does.
---Example:
---  apropos "cam"
---@param word string   plain text, case ignored
function commands.apropos(word)
  local text, message = require("lunette.repl.help").apropos(word)
  print(text or message)
end


M.commands = commands
exports.add_commands(commands)


---lu.show, whose parts are loaded when it is first called.
local function show(...) return require("lunette.picture.show").show(...) end

docs.stands_for[show] = function() return require("lunette.picture.show").show end


---Puts the commands and `lu` where the session's code finds them.
---@param env table   _G
function M.install(env)
  env.help, env.apropos, env.show = commands.help, commands.apropos, show
  env.lu = env.lu or require "lunette"
end

return M
