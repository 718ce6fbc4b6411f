---Single changes to a source file that a test should notice. Text is cut into code,
---comments and strings; only code is changed.
local M = {}


---Code of a line begins and ends where: comments and strings are blanked, so that
---places stay what they are.
local function blank(text) return (text:gsub("[^\n]", " ")) end


local function end_of_line(text, at)
  return (text:find("\n", at, true) or #text + 1) - 1
end


---The end of `[==[ ... ]==]` that begins at `at`, or nil.
local function end_of_long(text, at)
  local level = text:match("^%[(=*)%[", at)
  return level and select(2, text:find("]" .. level .. "]", at, true))
end


local function end_of_quoted(text, at)
  local quote, i = text:sub(at, at), at + 1
  while i <= #text and text:sub(i, i) ~= quote do
    i = i + (text:sub(i, i) == "\\" and 2 or 1)
  end
  return i
end


---Where a comment or string that begins at `at` ends; nil: it is code.
local function not_code(text, at, lua)
  local two = text:sub(at, at + 1)
  if two:find "^[\"']" then return end_of_quoted(text, at) end
  if not lua then
    if two == "/*" then return select(2, text:find("*/", at + 2, true)) end
    return two == "//" and end_of_line(text, at) or nil
  end
  if two == "--" then return end_of_long(text, at + 2) or end_of_line(text, at) end
  return end_of_long(text, at)
end


---The text with comments and strings blanked.
---@param text string
---@param lua boolean
---@return string code   as long as text
function M.code(text, lua)
  local out, at, from = {}, 1, 1
  while at <= #text do
    local to = not_code(text, at, lua)
    if to then
      out[#out + 1] = text:sub(from, at - 1)
      out[#out + 1] = blank(text:sub(at, to))
      at, from = to + 1, to + 1
    else
      at = at + 1
    end
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end


-- { pattern with the place in (), what replaces the match, what it is }. Operators
-- stand between blanks in formatted code; unary ones and pointers do not.
local both = {
  { "() <= ()", " < " }, { "() < ()", " <= " }, { "() >= ()", " > " },
  { "() > ()", " >= " }, { "() == ()", nil, "other" }, { "() %+ ()", " - " },
  { "() %- ()", " + " }, { "() %* ()", " / " }, { "() / ()", " * " },
  { "() %% ()", " + " }, { "() %+= ()", " -= " }, { "() %-= ()", " += " },
}
local c_only = {
  { "() && ()", " || " }, { "() || ()", " && " }, { "() != ()", " == " },
  { "() %? ()", " && 0 ? " }, { "()[%(%s]()![%w_%(]", nil, "not" },
  { "()if %(()", nil, "if" }, { "()%+%+()", "--" }, { "() | ()", " & " },
  { "() << ()", " >> " },
}
local lua_only = {
  { "() and ()", " or " }, { "() or ()", " and " }, { "() ~= ()", " == " },
  { "()%f[%w]not ()", "" }, { "()%f[%w]true%f[%W]()", "false" },
  { "()%f[%w]false%f[%W]()", "true" }, { "()%f[%w]if ()", nil, "if" },
  { "() // ()", " * " }, { "() %.%. ()", nil, "skip" },
}


local function add(list, from, to, new)
  list[#list + 1] = { from = from, to = to, new = new }
end


local special = {
  other = function(list, from, to, _, lua)
    add(list, from, to, lua and " ~= " or " != ")
  end,
  ["not"] = function(list, from) add(list, from + 1, from + 1, "") end,
  skip = function() end,
  ["if"] = function(list, _, to, code, lua)
    if lua then
      local stop = code:find("%f[%w]then%f[%W]", to + 1)
      if not stop then return end
      add(list, to + 1, stop - 1, "false ")
      add(list, to + 1, stop - 1, "true ")
      return
    end
    local _, close = code:find("^%b()", to)
    if not close then return end
    add(list, to + 1, close - 1, "0")
    add(list, to + 1, close - 1, "1")
  end,
}


local function find_all(list, code, rules, lua)
  for _, rule in ipairs(rules) do
    local at = 1
    while true do
      local _, stop, from, to = code:find(rule[1], at)
      if not from then break end
      if rule[3] then
        special[rule[3]](list, from, to - 1, code, lua)
      else
        add(list, from, to - 1, rule[2])
      end
      at = math.max(from + 1, math.min(stop, to))
    end
  end
end


---Numbers grow by one; 0 and 1 change into each other.
local function find_numbers(list, code)
  for from, digits, to in code:gmatch "()%f[%w_.](%d+)%f[^%w_.]()" do
    local n = tonumber(digits)
    if n and n < 1000 then
      add(list, from, to - 1, tostring(n == 1 and 0 or math.floor(n + 1)))
    end
  end
end


local function is_statement(body, lua)
  if body:find "^return" or body:find "^end" then return false end
  if lua then
    return body:find "^[%w_.:]+%b()$" or body:find "^[%w_.%[%]]+ = [^{(]*$"
  end
  return body:find "^[%w_]+%b();$"
    or body:find "^[%w_%->%.%[%]%*]+ [%+%-|]?= [^;]*;$"
end


---Statements of one line that are calls or assignments go.
local function find_statements(list, code, lua)
  local at = 1
  for line in code:gmatch "([^\n]*)\n?" do
    local body = line:match "^%s*(.-)%s*$"
    if is_statement(body, lua) then
      local from = at + #line:match "^%s*"
      add(list, from, from + #body - 1, lua and "do end" or ";")
    end
    at = at + #line + 1
  end
end


---Every change that may be made to a file.
---@param text string
---@param lua boolean
---@return table[]   {from =, to = (places), new = (text), line =}
function M.mutations(text, lua)
  local code, list = M.code(text, lua), {}
  if not lua then code = ("\n" .. code):gsub("\n#[^\n]*", blank):sub(2) end
  find_all(list, code, both, lua)
  find_all(list, code, lua and lua_only or c_only, lua)
  find_numbers(list, code)
  find_statements(list, code, lua)
  table.sort(list, function(a, b)
    if a.from ~= b.from then return a.from < b.from end
    return a.new < b.new
  end)
  local line, at = 1, 1
  for _, m in ipairs(list) do
    line = line + select(2, text:sub(at, m.from - 1):gsub("\n", ""))
    at, m.line = m.from, line
  end
  return list
end


---The text with a change made.
function M.apply(text, m)
  return text:sub(1, m.from - 1) .. m.new .. text:sub(m.to + 1)
end


return M
