---The program `lunette`: scripts, code, commands, and the REPL.
local usage = [[
usage: lunette                             the REPL
       lunette SCRIPT [ARGUMENTS]          run a script (-i first: then the REPL)
       lunette -e CODE                     run code
       lunette explain IMAGE...            explain pictures (see explain --help)
       lunette summary MODEL               print a network's layers
       lunette import FILE                 turn a model file into ours
       lunette models [get NAME]           models known and installed
       lunette --version | --help]]

-- exit codes (sysexits.h)
local OK, USAGE, SOFTWARE = 0, 64, 70

local commands = { explain = true, summary = true, import = true, models = true,
                   demo = true }


local function complain(message)
  io.stderr:write("lunette: ", tostring(message), "\n")
end


---Errors of the library are for people: one line; a traceback on request.
local function handler(e)
  if type(e) ~= "string" then return e end
  if os.getenv "LUNETTE_TRACE" then return debug.traceback(e, 2) end
  return e
end


local function protected(f, ...)
  local result = table.pack(xpcall(f, handler, ...))
  if not result[1] then
    local e = result[2]
    if type(e) == "string" and e:find "interrupted" then
      complain "interrupted"
      return 130
    end
    complain(e)
    return SOFTWARE
  end
  return math.type(result[2]) == "integer" and result[2] or OK
end


local function shift_args(name, rest)
  arg = { [0] = name, table.unpack(rest) } -- luacheck: globals arg
end


local function run_script(path, rest)
  local f, message = loadfile(path, "t")
  if not f then
    complain(message)
    return 66 -- no input
  end
  shift_args(path, rest)
  return protected(f, table.unpack(rest))
end


local function run_code(code, rest)
  if not code then
    complain "-e wants code"
    return USAGE
  end
  shift_args("=(code)", rest)
  _G.lu = require "lunette"
  local f, message = load("return " .. code, "=(code)", "t")
  if not f then f, message = load(code, "=(code)", "t") end
  if not f then
    complain(message)
    return USAGE
  end
  return protected(function()
    local values = table.pack(f())
    for i = 1, values.n do print(values[i]) end
  end)
end


local function run_command(name, rest)
  shift_args(name, rest)
  local ok, command = pcall(require, "lunette.commands." .. name)
  if not ok then
    complain(command)
    return SOFTWARE
  end
  return protected(command, rest)
end


local function dispatch(argv)
  local first = argv[1]
  local rest = table.move(argv, 2, #argv, 1, {})
  if not first or first == "-i" then
    local script = table.remove(rest, 1)
    return require("lunette.repl").start { script = script, args = rest }
  elseif first == "--help" or first == "-h" then
    print(usage)
  elseif first == "--version" or first == "-v" then
    print(require("lunette.version").text())
  elseif first == "-e" then
    return run_code(table.remove(rest, 1), rest)
  elseif commands[first] then
    return run_command(first, rest)
  elseif first:sub(1, 1) == "-" and first ~= "-" then
    complain(("unknown option '%s'\n%s"):format(first, usage))
    return USAGE
  elseif first ~= "-" and not io.open(first, "r") then
    local names = {}
    for name in pairs(commands) do names[#names + 1] = name end
    complain(("'%s' is neither a script nor a command%s"):format(first,
             require("lunette.suggest").after(first, names)))
    return USAGE
  else
    return run_script(first ~= "-" and first or nil, rest)
  end
  return OK
end


if _VERSION ~= "Lua 5.4" then
  io.stderr:write("lunette needs Lua 5.4, this is ", _VERSION, "\n")
  os.exit(USAGE)
end
local ok, core = pcall(require, "lunette.core")
if not ok then
  complain("the engine is not built; run `make` first (" .. core:match "[^\n]*" .. ")")
  os.exit(SOFTWARE)
end
core.catch_signals(true)
local code = dispatch(arg)
io.stdout:flush()
os.exit(code, true)
