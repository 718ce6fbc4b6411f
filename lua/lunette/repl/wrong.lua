---What to do about a value of the wrong kind: a network that is called, a tensor in a
---text, a list that is too short, a nil among the arguments. Nothing of the user's is
---called.
local known = require "lunette.repl.known"
local suggest = require "lunette.base.suggest"

local M = {}


---What is done instead of calling an object of a class.
local called = {
  Net = "a network is run: net:run(x)",
  Run = "a run is read: run.LAYER, run:top(), lu.gradcam(run)",
  tensor = "values are x:get(i, j), rows x[i]",
  Layer = "what a layer put out is run.LAYER; its weights are net.LAYER.weight",
  Canvas = "a canvas has methods: canvas:row(...), canvas:save(file)",
}

local of_one = "the number of a tensor that has one is x:item()"


---The sentence about a tensor, or another object, where Lua wants a number or a text.
local function about_object(message)
  local class = message:match "attempt to call a lunette%.(%w+) value"
  if class then return called[class] end
  if message:find "attempt to concatenate a lunette%.tensor value" then
    return of_one .. ", its text tostring(x)"
  end
  if message:find "attempt to concatenate a lunette%." then
    return "its text is tostring(x)"
  end
  local wanted = message:match "%((%a+) expected, got lunette%.tensor%)"
  if wanted == "number" then return of_one end
  if message:find "%(tensor expected, got table%)" then
    return "lu.tensor(list) makes one of a list"
  end
  if message:find "attempt to get length of a number value" then
    return "a number has no length: it is itself what was counted"
  end
  if message:find "attempt to index a number value" then
    return "a number has no parts: a tensor of one dimension gives numbers"
  end
  if wanted == "string" then return of_one .. ", its text tostring(x)" end
  return nil
end


---The same of a variable that a line before gave one: n = x.shape.
local function made_of_method(message, look)
  local variable = message:match "a function value %(%a+ '([^']*)'%)"
  local at, code, several = look.made(variable or "")
  local made = at and (code or several and several.code) or ""
  local from, method = made:match "^([%a_][%w_%.]*)%.([%a_][%w_]*)%s*$"
  return from and ("line %d: it is a method: %s:%s()"):format(at, from, method) or nil
end


---The sentence about a method that was not called: x.shape[1], ipairs(x.shape).
local function about_function(message, line, look)
  local name = message:match "attempt to [%a ]+ a function value %(%a+ '([^']*)'%)"
  local owner = name and look.owner_of(name)
  if owner then return ("it is a method: %s:%s()"):format(owner, name) end
  if not message:find "attempt to [%a ]+ a function value"
     and not message:find "table expected, got function" then
    return nil
  end
  local made = made_of_method(message, look)
  if made then return made end
  for chain, method, after in line:gmatch "([%a_][%w_%.]*)%.([%a_][%w_]*)(.?)" do
    local value = after:find "[%),%]%s]" and look.value_of(chain .. "." .. method)
    if type(value) == "function" then
      return ("it is a method: %s:%s()"):format(chain, method)
    end
  end
  return nil
end


---How the values of what stands after `in` are walked through.
local function walked(chain, value)
  if known.is_tensor(value) then
    return ("for i = 1, %s:dim(1) do local row = %s[i] ... end"):format(chain, chain)
  end
  if known.is_net(value) or known.is_run(value) then
    return "for _, layer in ipairs(net:layers()) do ... end"
  end
  local list = type(value) == "table" and (#value > 0 or next(value) == nil)
  if type(value) == "number" then return ("for i = 1, %s do ... end"):format(chain) end
  return list and ("for i, value in ipairs(%s) do ... end"):format(chain)
    or ("for name, value in pairs(%s) do ... end"):format(chain)
end


---The sentence about a loop over what is no function: `for row in t do`.
local function about_loop(message, line, look)
  local index = message:find "index a nil value$" and line:find "%sin%s+ipairs%s*%("
  if not index and not message:find "for iterator" then return nil end
  local call, chain = line:match "%sin%s+([%a_][%w_]*)%s*%(%s*([%a_][%w_%.:%[%]]*)"
  if call == "pairs" or call == "ipairs" then -- of nil, or of what is no table
    local value = look.value_of(chain)
    if type(value) == "function" then return nil end -- a method that was not called
    return value == nil and ("'%s' is nil here"):format(chain)
      or "it is written " .. walked(chain, value)
  end
  chain = line:match "%sin%s+([%a_][%w_%.%[%]]*)%s*do%f[%W]"
    or line:match "%sin%s+([%a_][%w_%.%[%]]*)%s*$"
  local value = chain and look.value_of(chain)
  if value == nil then
    return "a loop over a list is written for i, value in ipairs(list) do ... end"
  end
  return "it is written " .. walked(chain, value)
end


---The functions of a table, by their whole names.
local function functions_of(chain, value)
  local list = {}
  for key, f in next, type(value) == "table" and value or {} do
    if type(key) == "string" and type(f) == "function" and not key:find "^_" then
      list[#list + 1] = ("%s.%s"):format(chain, key)
    end
  end
  table.sort(list)
  return list
end


---The sentence about a table that was called.
local function about_called(message, look)
  local name = message:match "attempt to call a table value %(%a+ '([^']*)'%)"
  if not name then return nil end
  local owner = look.owner_of(name)
  local chain = owner and owner .. "." .. name or name
  local list = functions_of(chain, look.value_of(chain))
  if #list == 0 then return ("it is a table: %s[1], %s.NAME"):format(chain, chain) end
  local more = #list > 12 and (" ... (%d)"):format(#list) or ""
  return ("it is a table of functions: %s%s"):format(table.concat(list, ", ", 1,
          math.min(12, #list)), more)
end


---The sentence about a list that is shorter.
local function about_list(message, line, look)
  if not message:find "a nil value %(field '%?'%)"
     and not message:find "a nil value %(field 'integer index'%)" then
    return nil
  end
  for chain, index in line:gmatch "([%a_][%w_%.]*)%[([%w_]+)%]" do
    local list = look.value_of(chain)
    if known.is_run(list) or known.is_net(list) then
      return ("layers go by name: %s.NAME; net:names() lists them"):format(chain)
    end
    local i = tonumber(index) or look.value_of(index)
    local plain = type(list) == "table" and math.type(i) == "integer"
    if plain and rawget(list, i) == nil and not (getmetatable(list) or {}).__index then
      return ("%s has %d values, from 1 on; there is no %s[%d]"):format(chain, #list,
                                                                       chain, i)
    end
  end
  return nil
end


---The sentence about a module that is not there.
local function about_module(message)
  local name = message:match "module '([^']*)' not found"
  if not name then return nil end
  if suggest.nearest(name, { "lunette" })[1] then return "did you mean 'lunette'?" end
  return "a file of yours is found where package.path says: "
    .. 'package.path = "FOLDER/?.lua;" .. package.path'
end


---@class lunette.Look
---@field owner_of fun(name: string): string?   the owner of a method on that line
---@field value_of fun(chain: string): any      what stands for a value there
---@field made fun(name: string): integer?, string?, table?   see unknown.hint

---@param message string
---@param line string
---@param look lunette.Look
---@return string?
function M.hint(message, line, look)
  return about_loop(message, line, look) or about_called(message, look)
    or about_list(message, line, look) or about_object(message)
    or about_function(message, line, look) or about_module(message)
end


-- nil among the arguments ----------------------------------------------------------


local keywords = {}
for word in ("and break do else elseif end false for function goto if in local nil not "
             .. "or repeat return then true until while"):gmatch "%a+" do
  keywords[word] = true
end


---The line without strings, comments, and what it gives values to.
local function read_part(line)
  line = line:gsub("\\.", ""):gsub('"[^"]*"', '""'):gsub("'[^']*'", "''")
  line = line:gsub("%-%-.*", ""):gsub("^%s*local%s+[%w_%s,<>]-=%f[^=]", "", 1)
  line = line:gsub("^%s*for%s+[%w_%s,]-%sin%s", "", 1)
  return (line:gsub("^%s*[%a_][%w_%.,%s]*=%f[^=]", "", 1))
end


---Words of a line that are neither fields nor keys nor Lua's own.
local function variables_of(line)
  local list, seen, part = {}, {}, read_part(line)
  for names in part:gmatch "function%s*[%w_%.:]*%s*(%b())" do -- parameters
    for word in names:gmatch "[%a_][%w_]*" do seen[word] = true end
  end
  for at, word, after in part:gmatch "()%f[%w_]([%a_][%w_]*)()" do
    local before, rest = part:sub(1, at - 1), part:sub(after)
    local field = before:find "[%.:]%s*$" and not before:find "%.%.%s*$"
    local key = rest:find "^%s*=[^=]" and before:find "[{,]%s*$"
    if not (field or key or keywords[word] or seen[word]) then
      seen[word], list[#list + 1] = true, word
    end
  end
  return list
end


---Where an argument is nil: the variables of that line that are.
---@param line string
---@param value_of fun(name: string): any
---@param hint_of fun(name: string): string   what to add about such a one
---@return string?
function M.nil_argument(line, value_of, hint_of)
  local found = {}
  for _, name in ipairs(variables_of(line)) do
    if value_of(name) == nil then
      found[#found + 1] = ("'%s' is nil here%s"):format(name, hint_of(name))
    end
  end
  return #found > 0 and table.concat(found, ", ") or nil
end

return M
