---From what was typed to a function: an expression, an assignment, or statements, whose
---local variables become the session's.
local M = {}


---Local variables of a command become the session's: what is pasted line by line
---works. Called at the end of each chunk, where they are still alive.
function M.keep()
  local i = 1
  while true do
    local name, value = debug.getlocal(2, i)
    if not name then return end
    if not name:find "^%(" then rawset(_G, name, value) end
    i = i + 1
  end
end

---What stands at the end of a chunk whose local variables are to be kept.
M.keep_call = "\n;require'lunette.repl.chunk'.keep()"


---@param message string?   of `load`
---@return boolean
function M.is_incomplete(message)
  return message ~= nil and message:find "<eof>'?$" ~= nil
end


---An expression. It is no tail call, so that an error which blames its caller finds
---this line.
local function expression(code, name)
  local bare = code:gsub("^%s*=", "", 1)
  local f = load("return " .. bare, name, "t")
  if not f then return nil end
  local inside = bare:gsub(";%s*$", "")
  for _, stop in ipairs { ")", "\n)" } do -- the second one after a comment
    local whole = load("return (function(...) return ... end)(" .. inside .. stop, name,
                       "t")
    if whole then return whole end
  end
  return f
end


---`target = expression`. Where the value is nil and a message came beside it, `told`
---hears of both: the assignment alone would drop the message.
local function assignment(code, name, told)
  local head, rest = code:match "^(%s*local%s+[%a_][%w_]*%s*=%s*)(.+)$"
  if not head then
    head, rest = code:match "^(%s*[%a_][%w_%.%[%]\"']*%s*=%s*)([^=].*)$"
  end
  if not head then return nil end
  local target = head:gsub("^%s*local%s", ""):match "^%s*(.-)%s*=%s*$"
  local get = expression(("\n"):rep(select(2, head:gsub("\n", ""))) .. rest, name)
  local set = load(target .. " = ...", name, "t")
  if not get or not set then return nil end
  return function()
    local values = table.pack(get())
    set((values[1]))
    if values[1] == nil and type(values[2]) == "string" then told(target, values[2]) end
  end
end


---A chunk for what was typed.
---@param code string
---@param name string   of the chunk
---@param told fun(target: string, message: string)
---@return function? chunk, string? message
---@return boolean? expression
function M.compile(code, name, told)
  local f = expression(code, name)
  if f then return f, nil, true end
  f = assignment(code, name, told) or load(code .. M.keep_call, name, "t")
  if f then return f end
  local message
  f, message = load(code, name, "t")
  return f, message
end

return M
