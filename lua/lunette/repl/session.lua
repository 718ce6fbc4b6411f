---The commands of a session: what is a global in the REPL besides `lu`.
local docs = require "lunette.repl.docs"
local exports = require "lunette.repl.exports"
local guard = require "lunette.base.guard"
local strict = require "lunette.base.strict"

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


---Writes what was typed and went well as a script that runs by itself: bare
---expressions are printed, and `show` writes pictures beside it.
---Example:
---  save "out/exp.lua" -- then: lunette out/exp.lua
---@param path string   .lua
function commands.save(path)
  if type(path) ~= "string" or not path:find "[^/]%.lua$" then
    error("save: expected a name that ends in .lua; canvas:save writes pictures, "
          .. "lu.save networks", 2)
  end
  local text, message = require("lunette.repl.record").script((path:gsub("%.lua$", "")))
  if text then text, message = require("lunette.base.files").write(path, text) end
  print(text and "wrote " .. path or message)
end


---The traceback of the last error, the first time that one was raised on top.
M.trace = nil


---Prints where the last error came from: the calls that led to it.
---Example:
---  traceback()
function commands.traceback()
  print(M.trace or "there was no error yet")
end


strict.module("commands", commands)
M.commands = commands
exports.add_commands(commands)


---lu.show, whose parts are loaded when it is first called.
local function show(...)
  return guard.call("show", require("lunette.picture.show").show, ...)
end

docs.stands_for[show] = function() return require("lunette.picture.show").show end


---Puts the commands and `lu` where the session's code finds them.
---@param env table   _G
function M.install(env)
  for name, f in pairs(commands) do env[name] = env[name] or f end
  env.help, env.show = commands.help, show
  env.lu = env.lu or require "lunette"
end

return M
