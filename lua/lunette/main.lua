---The program `lunette`: scripts, code, commands, and the REPL.
local usage = [[
usage: lunette                             the REPL
       lunette SCRIPT [ARGUMENTS]          run a script (-i first: then the REPL)
       lunette NAME [ARGUMENTS]            a script that comes along: saliency, gallery
       lunette -e CODE                     run code
       lunette explain IMAGE...            explain pictures (see explain --help)
       lunette summary MODEL               print a network's layers
       lunette import FILE                 turn a model file into ours
       lunette export MODEL                write a network as an ONNX file
       lunette bake METHOD MODEL           the same, with a map among its outputs
       lunette methods [NAME...]           the methods: paper, cost, dialects
       lunette metrics [NAME...]           the metrics: what maps are judged by
       lunette rank [PICTURES...]          methods by metrics over many pictures
       lunette choose [PICTURES...]        method and options, searched by a metric
       lunette audit MODEL                 is there a backdoor, what do attacks move
       lunette sweep --list FILE -o DIR    many pictures, in shards anywhere
       lunette merge DIR                   prove that a sweep is whole
       lunette report DIR...               a page to look at maps in a browser
       lunette explore PHOTO               a page of every layer's channels
       lunette lab_report                  the lab report, as a page
       lunette models [get NAME]           models known and installed
       lunette demo                        the lab report's two canvases, into out/
       lunette --version | --help]]

-- exit codes (sysexits.h)
local OK, USAGE, NO_INPUT, SOFTWARE, CANNOT_WRITE = 0, 64, 66, 70, 74


---Lua's own search path ends in the working folder, where a download may lie: no
---module comes from there. (Not `require`d: this has to come first.)
local function elsewhere(path)
  local list = {}
  for entry in path:gmatch "[^;]+" do
    if not entry:find "^%.?/*%?" then list[#list + 1] = entry end
  end
  return table.concat(list, ";")
end
package.path, package.cpath = elsewhere(package.path), elsewhere(package.cpath)

local commands = { explain = true, summary = true, import = true, export = true,
                   bake = true, models = true, methods = true, metrics = true,
                   rank = true, choose = true, audit = true, demo = true,
                   sweep = true, merge = true, report = true,
                   explore = true }


local function complain(message)
  require("lunette.base.text").complain(message)
end


---The message about a chunk that cannot be read, with what Lua writes instead.
local function with_syntax(message, source)
  local hint = require("lunette.repl.unknown").of_syntax(message, source)
  return hint and message .. "; " .. hint or message
end


---Errors of the library are for people: one line, with what a name that means nothing
---may have meant. Where the stack of the error is still there.
local function with_hint(e)
  if type(e) ~= "string" then return e end
  e = require("lunette.repl.unknown").told(require("lunette.base.blame").placed(e))
  if os.getenv "LUNETTE_TRACE" and not e:find "\nstack traceback:" then
    return debug.traceback(e, 2)
  end
  return e
end


local function is_interruption(e)
  return type(e) == "string" and e:find "interrupted" ~= nil
end


---Where nothing below catches the error any more. An interruption is answered here: it
---would be raised again by every instruction, those that report it among them.
local function handler(e)
  if is_interruption(e) then require("lunette.core").interrupt(false) end
  local notebook = package.loaded["lunette.report.notebook"]
  if notebook then notebook.failing() end
  return with_hint(e)
end


---The page of a script that is a notebook is written whatever ended the script.
local function finish_notebook(failure)
  local notebook = package.loaded["lunette.report.notebook"]
  return not notebook or notebook.finish(failure)
end


local endings = { [2] = "interrupted",
                  [24] = "the limit on processor time (ulimit -t) is reached" }

---Says what ended a command, by its signal: 2 of Ctrl-C, 24 of the limit.
---@return integer code
local function ended_by(signal)
  signal = signal or 2
  complain(endings[signal])
  return 128 + signal
end


---Calls f; an error becomes a line on stderr and an exit code, by `judge`.
local function protected(f, judge, ...)
  require("lunette.base.guard").at_error = with_hint
  local result = table.pack(xpcall(f, handler, ...))
  local failure = not result[1] and result[2] or nil
  if not finish_notebook(failure) then return CANNOT_WRITE end
  local cut, signal = require("lunette.core").interrupted_at() -- whatever came of it
  if result[1] then
    local code = math.type(result[2]) == "integer" and result[2] or OK
    return code ~= OK and cut and 128 + signal or code
  end
  local e = result[2]
  if cut or is_interruption(e) then return ended_by(signal) end
  local message, code = judge(e)
  complain(message)
  return code
end


---A script's error, by what it is about: what was typed, or the script itself.
local function script_error(e)
  local said = require("lunette.base.text").of_error(e)
  if require("lunette.base.files").refused(said) then return e, CANNOT_WRITE end
  local typed = package.loaded["lunette.commands.typed"]
  return e, typed and typed.code_of(e) or SOFTWARE
end


---The same of a script that comes along, whose lines are nobody's own.
local function our_error(e)
  local message, code = script_error(e)
  return code ~= SOFTWARE and require("lunette.base.blame").bare(e) or message, code
end


local function shift_args(name, rest)
  arg = { [0] = name, table.unpack(rest) } -- luacheck: globals arg
end


local function run_script(path, rest, judge)
  local f, message = loadfile(path, "t")
  if not f then
    complain(path and with_syntax(message, "@" .. path) or message)
    return NO_INPUT
  end
  shift_args(path or "-", rest)
  require("lunette.repl.unset").watch()
  return protected(f, judge or script_error, table.unpack(rest))
end


local function run_code(code, rest)
  if not code then
    complain "-e wants code"
    return USAGE
  end
  shift_args("=(code)", rest)
  _G.lu = require "lunette"
  require("lunette.repl.unknown").sources["=(code)"] = code
  -- an expression is no tail call, so that its line is there to be named
  local f, message = load("return (function(...) return ... end)(" .. code .. "\n)",
                          "=(code)", "t")
  if not f then f, message = load(code, "=(code)", "t") end
  if not f then
    complain(with_syntax(message, "=(code)"))
    return USAGE
  end
  return protected(function()
    local values = table.pack(f())
    local tty = require("lunette.core").is_tty(1)
    local say = tty and require("lunette.base.text").say or print
    for i = 1, values.n do say(values[i]) end
  end, script_error)
end


---Errors that the library blames on its caller, here a command, are about what the
---user typed: no place in our code, and the exit code of bad usage.
local function blame(e)
  if type(e) ~= "string" then return e, SOFTWARE end
  local place, text = e:match "^([^\n]-%.lua:%d+): (.*)$" -- a path may have blanks
  if require("lunette.base.files").refused(e) then return text or e, CANNOT_WRITE end
  if not place then return e, USAGE end
  if place:find("/commands/", 1, true) and not text:find "^attempt to " then
    return text, USAGE
  end
  return e, SOFTWARE
end


local function run_command(name, rest)
  shift_args(name, rest)
  local command
  local code = protected(function() command = require("lunette.commands." .. name) end,
                         function(e) return e, SOFTWARE end)
  if not command then return code end
  return protected(command, blame, rest)
end


local function start_repl(script, rest)
  local ok, repl = pcall(require, "lunette.repl")
  if ok then return repl.start { script = script, args = rest } end
  complain(usage) -- a build without one
  return USAGE
end


local function unknown(what)
  if what:sub(1, 1) == "-" then
    complain(("unknown option '%s'\n%s"):format(what, usage))
    return USAGE
  end
  if what:find "%.lua$" or what:find("/", 1, true) then
    complain(("no such file: '%s'%s"):format(what,
             require("lunette.base.files").hint(what)))
    return USAGE
  end
  local names = {}
  for name in pairs(commands) do names[#names + 1] = name end
  local scripts = require("lunette.base.paths").scripts()
  for _, file in ipairs(require("lunette.base.folders").names(scripts) or {}) do
    names[#names + 1] = file:match "^([%w_]+)%.lua$"
  end
  table.sort(names)
  complain(("'%s' is neither a script nor a command%s"):format(what,
           require("lunette.base.suggest").after(what, names)))
  return USAGE
end


local function say(text)
  print(text)
  return OK
end


---What the first argument may be, besides a command or a script.
local options = {
  ["--help"] = function() return say(usage) end,
  ["--version"] = function() return say(require("lunette.base.version").text()) end,
  ["-e"] = function(rest) return run_code(table.remove(rest, 1), rest) end,
  ["-i"] = function(rest) return start_repl(table.remove(rest, 1), rest) end,
  ["-"] = function(rest) return run_script(nil, rest) end,
}
options["-h"], options["-v"] = options["--help"], options["--version"]


---One of the scripts that come along, by its name: "saliency".
local function script_named(name)
  if not name:find "^[%w_]+$" then return nil end
  local path = ("%s/%s.lua"):format(require("lunette.base.paths").scripts(), name)
  return require("lunette.base.files").exists(path) and path or nil
end


local function dispatch(argv)
  local first = argv[1]
  local rest = table.move(argv, 2, #argv, 1, {})
  if not first then return start_repl(nil, rest) end
  if options[first] then return options[first](rest) or OK end
  if commands[first] then return run_command(first, rest) end
  if require("lfs").attributes(first) then return run_script(first, rest) end
  local script = script_named(first)
  if script then return run_script(script, rest, our_error) end
  return unknown(first)
end


if _VERSION ~= "Lua 5.4" then
  io.stderr:write("lunette needs Lua 5.4, this is ", _VERSION, "\n")
  os.exit(USAGE)
end
local ok, core = pcall(require, "lunette.core")
if not ok and core:find "interrupted!" then -- by Ctrl-C, which is still Lua's own
  complain "interrupted"
  os.exit(130)
elseif not ok then
  complain((core:find "not found:" and "the engine is not built; run `make` first (%s)"
            or "the engine cannot be loaded (%s)"):format(core:match "[^\n]*"))
  os.exit(SOFTWARE)
end


local leave = os.exit

---Every way out, a script's and --help's too: what was printed and did not arrive is
---no success.
function os.exit(code, close) -- luacheck: ignore 122
  if not finish_notebook() then code = CANNOT_WRITE end
  local arrived, message = core.flush_output()
  if not arrived then
    complain(message)
    if code == nil or code == true or code == OK then code = SOFTWARE end
  end
  leave(code, close)
end

core.standard_files()
core.catch_signals(true)
os.exit(dispatch(arg), true)
