---The REPL: reads Lua, runs it, prints what comes out. On a terminal with line
---editing, history, completion and pictures; on a pipe a plain filter.
---  require("lunette.repl").start { script = path, args = {...} } -> exit code
local blame = require "lunette.base.blame"
local chunks = require "lunette.repl.chunk"
local core = require "lunette.core"
local printer = require "lunette.repl.print"
local record = require "lunette.repl.record"
local session = require "lunette.repl.session"
local unknown = require "lunette.repl.unknown"
local unset = require "lunette.repl.unset"

local M = {}

---Settings; the start-up file may change them: `require("lunette.repl").settings`.
M.settings = {
  prompt = "> ", prompt2 = ">> ",
  autoshow = true,         -- maps are drawn after their numbers
  time = 0.5,              -- seconds from which a command's cost is printed
  keep = 256 * 2 ^ 20,     -- bytes that older results (_2 .. _9) may hold
}

local state = { interactive = false, failed = false, count = 0, sources = {},
                results = {} }


local function out(text) io.stdout:write(text, "\n") end


local function paint(code, text)
  if not (state.interactive and require("lunette.picture.term").colour()) then
    return text
  end
  return "\27[" .. code .. "m" .. text .. "\27[0m"
end


-- results ----------------------------------------------------------------------


---Puts results where `_`, `_1` .. `_9` find them: `_1` is the newest. Older ones are
---let go when together they hold too much.
local function remember(value, bytes)
  local list = state.results
  table.insert(list, 1, { value = value, bytes = bytes })
  list[10] = nil
  local sum = 0
  for i, r in ipairs(list) do
    sum = sum + r.bytes
    if i > 1 and sum > M.settings.keep then
      for k = #list, i, -1 do list[k] = nil end
      break
    end
  end
  for i = 1, 9 do rawset(_G, "_" .. i, list[i] and list[i].value) end
  rawset(_G, "_", value)
end


---A remark on standard error that is no error.
local function remark(message)
  io.stdout:flush()
  message = state.interactive and paint("33", message) or "lunette: " .. message
  io.stderr:write(message, "\n")
end


---An assignment that took nil from a `nil, message`: says the message.
local function tell_nil(target, message)
  remark(("%s is nil: %s"):format(target, printer.escape(message, "\n\t")))
end


local function is_silent(code)
  return code:find ";%s*$" ~= nil
end


-- running ----------------------------------------------------------------------


local function megabytes(n)
  if n >= 2 ^ 30 then return ("%.2f GB"):format(n / 2 ^ 30) end
  return ("%.0f MB"):format(n / 2 ^ 20)
end


local function report_cost(seconds)
  if seconds < M.settings.time or not state.interactive then return end
  out(paint("2", ("%.2f s, peak %s"):format(seconds, megabytes(core.memory().peak))))
end


---The line of the session that a message speaks of, its number, and whether it is one
---of several: of the place nearest to the fault, which stands last.
local function source_line(message)
  local n, line = message:match ".*in%[(%d+)%]:(%d+):"
  local source, i = n and state.sources[tonumber(n)], 0
  for text in ((source or "") .. "\n"):gmatch "(.-)\n" do
    i = i + 1
    if i == tonumber(line) then return text, i, source:find "\n" ~= nil end
  end
  return nil
end


---What an error says, where its stack is still there: with what may have been meant,
---and where it came from noted.
local function at_error(message)
  if type(message) ~= "string" or message == state.passed then return message end
  message = unknown.told(blame.placed(message))
  state.passed, state.passed_trace = message, debug.traceback(message, 2)
  return message
end


---@param message any
---@param trace? string
local function report_error(message, trace)
  if message == state.passed then trace = state.passed_trace end
  local text = type(message) == "string" and message or printer.text(message)
  local line, at, several = source_line(text)
  -- one line typed, one line wrong: its place says nothing
  if not several then text = text:gsub("in%[%d+%]:1: ", "") end
  session.trace = trace
  io.stdout:flush()
  text = printer.escape(text, "\n\t")
  if state.interactive then
    io.stderr:write(paint("31", text), "\n")
  else
    io.stderr:write("lunette: ", text, "\n")
  end
  if several then
    io.stderr:write(("  %d | %s\n"):format(at, printer.escape(line, "\t")))
  end
  io.stderr:flush()
  state.failed = true
end


local function collect()
  collectgarbage()
  collectgarbage() -- what the finalisers of the first let go of
  core.trim()
end


local function report_interruption()
  collect()
  io.stdout:flush()
  -- over the terminal's own "^C" and what is left of a progress bar
  local clear = state.interactive and os.getenv "TERM" ~= "dumb" and "\r\27[K" or ""
  io.stderr:write(clear, paint("33", core.stop_asked()
    and "the limit on processor time (ulimit -t) is reached: the session ends"
    or "interrupted"), "\n")
  state.interrupted = true
end


local function print_value(value)
  out(printer.text(value))
  local known = require "lunette.repl.known"
  if state.interactive and M.settings.autoshow and known.is_tensor(value)
     and type(value.story) == "table" and value:dim() <= 3
     and require("lunette.picture.term").kind() then
    pcall(require("lunette.picture.show").small, value)
  end
end


---@return boolean tables   is one of them a plain table?
local function print_values(values)
  local tables = false
  for i = 1, values.n do
    print_value(values[i])
    tables = tables or printer.is_plain_table(values[i])
  end
  return tables
end


---Runs f as one command of the session. Ctrl-C ends it, and printing too.
---@return boolean? ok, any ...   as core.protect
local function command(f, ...)
  core.reset_peak()
  state.passed = nil
  local begun = core.clock()
  local result = table.pack(core.protect(f, ...))
  if result[1] then
    report_cost(core.clock() - begun)
  elseif result[1] == false then
    report_error(result[2], result[3])
    report_cost(core.clock() - begun)
  else
    result = {}
    report_interruption()
  end
  return table.unpack(result, 1, result.n)
end


---What f returns; an error of it with more in its message.
local function called(f)
  local values = table.pack(xpcall(f, at_error))
  if not values[1] then error(values[2], 0) end
  return table.move(values, 2, values.n, 1, { n = values.n - 1 })
end


local function evaluate(f, expression, silent, code)
  local before = core.memory().live
  unset.begin()
  local values = called(f)
  for _, line in ipairs(unset.notes(code)) do remark(line) end
  if not expression and values.n == 0 then return nil end
  local bytes = math.max(0, core.memory().live - before)
  local reuse = code:find "^%s*_%d?%s*;?%s*$"
  for i = values.n, 1, -1 do
    if values[i] ~= nil and not reuse then remember(values[i], bytes) end
  end
  if silent then return values.n end
  local tables = print_values(values)
  local hint = values.n == 1 and values[1] == nil and unknown.of_nil(code)
  if hint then out(paint("2", hint)) end
  return values.n, tables
end


---Words at the start of a line that are no Lua: `?name`, `$ command`.
---@return boolean done
local function shorthand(code)
  local topic = code:match "^%s*%?%s*([%w_.:]*)%s*$"
  if topic then
    command(session.commands.help, topic ~= "" and topic or nil)
    return true
  end
  local shell = code:match "^%s*[$!]%s*(.+)$"
  if shell then
    io.stdout:flush()
    os.execute(shell)
    return true
  end
  return false
end


---One whole input of the session.
---@param code string
function M.run(code)
  state.interrupted = false
  if not code:find "%S" then return end
  if state.interactive and shorthand(code) then return end
  state.count = state.count + 1
  state.sources[state.count] = code
  local name = ("=in[%d]"):format(state.count)
  unknown.sources[name] = code
  local f, message, expression = chunks.compile(code, name, tell_nil)
  if not f then
    local hint = unknown.of_syntax(message, name)
    return report_error(hint and message .. "; " .. hint or message)
  end
  local ok, results, tables = command(evaluate, f, expression, is_silent(code), code)
  if ok then record.add(code, results, nil, tables) end
end


-- lines ------------------------------------------------------------------------


---Reads until what was typed is complete.
---@param read fun(prompt: string): string|false|nil
---@return string? code   nil at the end of input, false after Ctrl-C
local function read_code(read)
  local code = nil
  while true do
    state.pending = code
    local line, had_text = read(code and M.settings.prompt2 or M.settings.prompt)
    if line == false then return false, had_text or code ~= nil end
    if line == nil then return code end
    code = code and code .. "\n" .. line or line
    if code:find "^%s*[?$!]" then return code end
    local f, message = chunks.compile(code, "=in", tell_nil)
    if f or not chunks.is_incomplete(message) then return code end
  end
end


---A second Ctrl-C within two seconds leaves: after a command was stopped, or on an
---empty line.
local function leaves(had_text)
  local now = core.clock()
  local last = state.last_interrupt
  state.last_interrupt = not had_text and now or nil
  local stopped = state.interrupted and core.interrupted_at()
  state.interrupted = false
  if had_text then return false end
  if stopped and stopped < 2 or last and now - last < 2 then return true end
  out(paint("2", "(Ctrl-C again, or Ctrl-D, leaves)"))
  return false
end


---Whether a second Ctrl-C came while nobody was reading.
local function came_between()
  local ago = state.last_interrupt and core.interrupted_at()
  local at = ago and core.clock() - ago
  -- the engine counts milliseconds, so that `at` may be a little early
  return at ~= nil and math.abs(at - state.last_interrupt) < 2
end


local function loop(read)
  while true do
    if came_between() then return 130 end
    local code, had_text = read_code(read)
    if code == nil then return 0 end
    if code == false then
      if leaves(had_text) then return 130 end
    else
      state.last_interrupt = nil
      if state.on_input then state.on_input(code) end
      M.run(code)
      if core.stop_asked() then return 152 end -- 128 + SIGXCPU
    end
  end
end


-- with line editing --------------------------------------------------------------


local function complete(before)
  local columns, rows = core.term_size(1)
  local code = state.pending and state.pending .. "\n" .. before or before
  return require("lunette.repl.complete").tab(code, columns, rows)
end


local function edited()
  local ok, editor = pcall(require, "lunette.readline")
  if not ok then return nil end
  editor.completer(complete)
  state.on_input = require "lunette.repl.history"(editor)
  return function(prompt)
    io.stdout:flush()
    return editor.read(prompt)
  end
end


local function plain_lines(prompt)
  if state.interactive then
    io.stdout:write(prompt)
    io.stdout:flush()
  end
  return io.read "l"
end


-- starting ---------------------------------------------------------------------


local function run_startup_file()
  local dir = require("lunette.base.paths").xdg("XDG_CONFIG_HOME", "/.config")
  local path = dir and dir .. "/lunette/init.lua"
  local f = path and io.open(path, "r")
  if not f then return end
  f:close()
  local chunk, message = loadfile(path, "t")
  if not chunk then return report_error(message) end
  if command(chunk) then
    record.add(("dofile %q"):format(path), nil, "the start-up file")
  end
end


---Runs a script whose variables the session then has, its local ones too.
---@return integer? code   nil: it could not be read
local function run_script(path, args)
  local code, message = require("lunette.base.files").read(path)
  if not code then
    report_error(message)
    return nil
  end
  code = code:gsub("^#[^\n]*", "")
  local chunk = load(code .. chunks.keep_call, "@" .. path, "t")
  if not chunk then chunk, message = load(code, "@" .. path, "t") end
  if not chunk then return report_error(message) end
  _G.arg = { [0] = path, table.unpack(args) } -- luacheck: ignore 122
  if command(chunk, table.unpack(args)) then record.add(code, nil, path) end
  return 0
end


local function greet()
  out(("Lunette %s (%s). help() says how to begin; Ctrl-D leaves."):format(
      core.build().version, _VERSION))
end


---On a pipe: no greeting, no start-up file, errors on stderr.
local function filter(opts)
  if opts.script and not run_script(opts.script, opts.args or {}) then
    return 66 -- no input
  end
  loop(plain_lines)
  return state.failed and 1 or 0
end


---Starts a session.
---@param opts? { script?: string, args?: string[], quiet?: boolean }
---@return integer code   0; 1 when a filter met an error; 130 after Ctrl-C twice,
---  152 at the limit on processor time
function M.start(opts)
  opts = opts or {}
  state.interactive = core.is_tty(0) and core.is_tty(1)
  core.catch_signals(state.interactive and "commands") -- a filter just ends
  session.install(_G)
  unset.watch "^=in%["
  require("lunette.base.guard").at_error = at_error
  if not state.interactive then return filter(opts) end
  local read = edited() or plain_lines
  if not opts.quiet then greet() end
  run_startup_file()
  if opts.script then run_script(opts.script, opts.args or {}) end
  local code = loop(read)
  if code == 0 then out "" end
  return code
end

return M
