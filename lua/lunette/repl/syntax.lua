---What other languages write and Lua does not: for the message about a line that cannot
---be read.
local M = {}

---Lua's patterns, tried in this order on the line without its strings and comments.
local written = {
  { "^%s*import%s+[%w_.]+", 'a library is loaded by lu = require "lunette"' },
  { "^%s*from%s+[%w_.]+%s+import", 'a library is loaded by lu = require "lunette"' },
  { "^%s*def%s", "a function is written function f(x) ... end" },
  { "^%s*class%s", "Lua has no classes; a table holds what belongs together" },
  { "%f[%w_]lambda%s", "a function without a name is function(x) return ... end" },
  { "^%s*elif%s", "the word is elseif" },
  { "^%s*#", "comments begin with --" },
  { "^%s*//", "comments begin with --" },
  { "/%*", "comments begin with --" },
  { "!=", "not equal is ~=" },
  { "&&", "the words are and, or, not" },
  { "||", "the words are and, or, not" },
  { "%f[%w_!]!", "the words are and, or, not" },
  { "%+%+", "write i = i + 1" },
  { "[%+%-%*/]=", "write x = x + 1" },
  { "%*%*", "a power is x ^ 2" },
  { "@", "a product of matrices is a:matmul(b)" },
  { "%f[%w_]f''", 'numbers go into a text by ("%.2f"):format(x)' },
  { "%[[^%[%]]*:[^%[%]]*%]",
    "a part of a tensor is x[{ { 1, 2 }, {} }], counted from 1, both ends included" },
  { "[%w_%]]%s*%[[^%[%]]+,", "one value is x:get(i, j), a column x[{ {}, j }]" },
  { "[=,%(%[]%s*%[[^%[]", "a list is { 1, 2 }" },
  { "%f[%w_]if%s[^=~<>]-[^=~<>]=[^=].-%f[%w_]then", "equal is ==" },
  { "^%s*[%a_][%w_.]*%s+%-?%d", "a call has parentheses: f(5)" },
  { "%f[%w_][%w_]+%s*%([^(){}]-[%a_][%w_]*%s*=%f[^=]",
    "named arguments stand in braces: f { name = value }" },
  { "%(%s*%([^()]*,", "several values stand without brackets of their own: f(a, b)" },
  { "{%s*''%s*:", "fields are written { name = value }" },
  { ":%s*$", "a block begins with then or do, and finishes with end" },
}


---The line without what stands in strings and comments.
local function bare(line)
  line = line:gsub('\\.', ""):gsub('"[^"]*"', "''"):gsub("'[^']*'", "''")
  return (line:gsub("%-%-.*", ""))
end


---What to add to the message about a line that Lua cannot read, or nil.
---@param line string
---@return string?
function M.hint(line)
  line = bare(line)
  for _, row in ipairs(written) do
    if line:find(row[1]) then return row[2] end
  end
  return nil
end

return M
