---The commands of a session: what is a global in the REPL besides `lu`.
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


M.commands = setmetatable(commands, {
  __index = function(t, key)
    if key ~= "show" then return nil end
    local show = require "lunette.show"
    rawset(t, key, show)
    return show
  end,
})


---Puts the commands and `lu` where the session's code finds them.
---@param env table   _G
function M.install(env)
  env.help, env.apropos = commands.help, commands.apropos
  env.show = function(...) return require "lunette.show"(...) end
  env.lu = env.lu or require "lunette"
end

return M
