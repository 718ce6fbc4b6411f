---Functions that refuse more, or other, arguments than they take, and whose errors
---tell the caller's line (guard.lua). How many is in their definition, of which type in
---their comment, so nothing is declared twice. Those of the core count in C
---(engine/bind/box.c), rows of methods in their own call.
local blame = require "lunette.base.blame"
local guard = require "lunette.base.guard"

local M = {}

local behind = setmetatable({}, { __mode = "k" }) -- checking function -> the original


---Are both values of one type, and is `one` no plain list?
local function is_one(one, other)
  if type(one) == "table" and getmetatable(one) == nil then return false end
  return type(one) == type(other)
end


---The hint to put values into a list, "" where it does not apply: several values of one
---type were given, and the parameter may be a table.
local function as_list(name, f, given, ...)
  local p = given > 1 and require("lunette.base.declared").of(f)
  local object = p and not name:find "[.]" and 1 or 0
  local kind = p and p[object + 1] and p[object + 1].type or ""
  if not (kind:find "%f[%w]table%f[^%w]" or kind:find "%[%]") then return "" end
  if not is_one(select(object + 1, ...)) then return "" end
  return ("; several go into a list: %s { ... }"):format(name)
end


---"net:run takes at most 2 arguments (x, opts), got 3"
local function too_many(name, f, most, given, ...)
  local names, hint = {}, as_list(name, f, given, ...)
  for i = 1, most do names[i] = debug.getlocal(f, i) end
  if not name:find "[.]" then -- "net:run", the call of a "metric"
    table.remove(names, 1)
    given = given - 1
  end
  local list = #names > 0 and (" (%s)"):format(table.concat(names, ", ")) or ""
  blame(("%s takes %s%d argument%s%s, got %d%s"):format(name, #names > 0 and "at most "
        or "", #names, #names == 1 and "" or "s", list, given, hint))
end


---How many arguments are there, nils at the end left out?
local function count(...)
  local n = select("#", ...)
  while n > 0 and select(n, ...) == nil do n = n - 1 end
  return n
end


---Is `object` of the class: is the class its metatable, or that one's __index? Tensors
---have `methods` there, and a tracing tensor counts as a tensor.
local function is_object(class, object)
  local meta = getmetatable(object)
  if meta == class or type(meta) ~= "table" then return meta == class end
  return rawget(meta, "__index") == class or rawget(meta, "methods") == class
    or rawget(meta, "__operator") ~= nil
end


---Was a function of a module called with a colon, `lu.image:load "a.png"`?
local function has_colon(short, f, first)
  return type(first) == "table" and rawequal(rawget(first, short), f)
end


---The check for a function of any number of arguments, which checks them itself.
local function open(called, f)
  return function(...)
    if blame.is_inner() then return f(...) end
    return guard.call(called(...), f, ...)
  end
end


---A function that checks its arguments and then calls `f`. Types are checked only in
---calls from outside the library. Functions of the core, and values that are no
---functions, are returned as they are.
---@param name string   "lu.save", "net:run": for the message
---@param f any
---@param class? table   of the object that a method is called on
---@return any
function M.of(name, f, class)
  local info = type(f) == "function" and not behind[f] and debug.getinfo(f, "Su")
  if not info or info.what == "C" then return f end
  local short = name:match "[%w_]+$"
  local function called(object) -- a row says its own name
    local own = short == name and type(object) == "table" and rawget(object, "name")
    return type(own) == "string" and own or short
  end
  if info.isvararg then
    local call = open(called, f)
    behind[call] = f
    return call
  end
  local most = info.nparams
  local declared, list
  local strict
  function strict(...)
    if has_colon(short, strict, (...)) and not blame.is_inner() then
      blame(("%s: call it with a dot, %s(...)"):format(name, name))
    end
    if select("#", ...) > most and count(...) > most then
      too_many(name, f, most, count(...), ...)
    end
    if blame.is_inner() then return f(...) end
    if not list then
      declared = require "lunette.base.declared"
      list = declared.of(f)
    end
    local wrong = declared.wrong(list, ...)
    if class and not is_object(class, (...)) then
      wrong = ("call it with a colon, %s(...)"):format(name)
    end
    if wrong then
      blame(("%s: %s"):format(name:find "[.:]" and name or called(...), wrong))
    end
    return guard.call(called(...), f, ...)
  end
  behind[strict] = f
  return strict
end


---The original of a checking function: doc comments are found by where it was defined.
---@param f any
---@return any
function M.behind(f) return behind[f] or f end


---Makes the functions of a module strict, in place.
---@param name string   "lu.score"
---@param module table
---@return table module
function M.module(name, module)
  for key, value in next, module do
    if type(key) == "string" and not key:find "^_" then
      module[key] = M.of(name .. "." .. key, value)
    end
  end
  return module
end


---Makes the methods of a class strict as they are defined, and its call; other
---metamethods are Lua's to call.
---@param name string   "net"
---@param class table   which has no methods yet
---@return table class
function M.class(name, class)
  local meta = getmetatable(class) or {}
  function meta.__newindex(t, key, value)
    if key == "__call" then
      value = M.of(name, value)
    elseif type(key) == "string" and not key:find "^_" then
      value = M.of(name .. ":" .. key, value, class)
    end
    rawset(t, key, value)
  end
  return setmetatable(class, meta)
end

return M
