---Text that comes from outside: file names, metadata, labels, class names, messages.
---A terminal obeys what is in it; whatever is printed goes through here.
local M = {}


---The same text in valid UTF-8: each byte that belongs to no character becomes
---U+FFFD.
---@param text string
---@return string
function M.utf8(text)
  local parts, at = {}, 1
  while true do
    local count, bad = utf8.len(text, at)
    parts[#parts + 1] = text:sub(at, count and #text or bad - 1)
    if count then return table.concat(parts) end
    parts[#parts + 1] = "\u{FFFD}"
    at = bad + 1
  end
end


local names = { ["\a"] = "\\a", ["\b"] = "\\b", ["\t"] = "\\t", ["\r"] = "\\r",
                ["\v"] = "\\v", ["\f"] = "\\f", ["\27"] = "\\27", ["\n"] = "\\n" }


local function control(c)
  return names[c] or ("\\x%02X"):format(c:byte())
end


local function code_point(c) return ("\\u{%X}"):format(utf8.codepoint(c)) end


---C1 control characters, and those that turn the direction of writing round.
local function escape_characters(s)
  s = s:gsub("\xC2[\x80-\x9F]", code_point):gsub("\xD8\x9C", code_point)
  s = s:gsub("\xE2\x80[\x8E\x8F\xA8-\xAE]", code_point)
  return (s:gsub("\xE2\x81[\xA6-\xA9]", code_point))
end


---Bytes that are no UTF-8 as \xNN, characters that a terminal acts on as \u{N}.
local function escape_high(s)
  local out, at = {}, 1
  while at <= #s do
    local good, bad = utf8.len(s, at)
    local stop = good and #s + 1 or bad
    out[#out + 1] = escape_characters(s:sub(at, stop - 1))
    if stop <= #s then out[#out + 1] = control(s:sub(stop, stop)) end
    at = stop + 1
  end
  return table.concat(out)
end


---A text with everything escaped that would move the cursor, change colours, or write
---backwards.
---@param s string
---@param keep? string   characters to leave: "\n\t"
---@return string
function M.escape(s, keep)
  s = s:gsub("%c", function(c)
    return keep and keep:find(c, 1, true) and c or control(c)
  end)
  return s:find "[\x80-\xFF]" and escape_high(s) or s
end


---What has no place in a file's name: characters that act, or that nobody sees (blanks
---of any width, marks of direction, U+FFFD).
local unseen = {
  "[^%w._+\x80-\xFF-]", "\xC2[\x80-\xA0\xAD]", "\xD8\x9C",
  "\xE2\x80[\x80-\x8F\xA8-\xAF]", "\xE2\x81[\x9F-\xAF]", "\xE3\x80\x80",
  "\xEF\xBB\xBF", "\xEF\xBF[\xB9-\xBF]", "\xF3\xA0[\x80-\x81].",
}


---A word of a file's name: letters of any alphabet, digits and `. _ + -`; each other
---character becomes "_".
---@param s string
---@param most integer   bytes; it is cut between characters
---@return string
function M.file_word(s, most)
  s = M.utf8(s)
  for _, pattern in ipairs(unseen) do s = s:gsub(pattern, "_") end
  return #s <= most and s or s:sub(1, utf8.offset(s, 0, most + 1) - 1)
end


---A word as a POSIX shell takes it: in quotes where it needs them.
---@param word any
---@return string
function M.quoted(word)
  word = tostring(word)
  if word:find "^[%w_@%%+=:,./-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end


---"1 picture", "2 pictures".
---@param n integer
---@param noun string     singular
---@return string
function M.count(n, noun) return ("%d %s%s"):format(n, noun, n == 1 and "" or "s") end


---What a value is, for a message: the first line of its text, at most 80 letters,
---without what a terminal acts on.
---@param v any
---@return string
function M.brief(v)
  local s = M.escape(tostring(v):match "^[^\n]*")
  return #s <= 80 and s or s:sub(1, utf8.offset(s, 0, 78) - 1) .. "..."
end


---Is a before b, byte by byte? (`<` of strings would follow the locale.)
---@param a string
---@param b string
---@return boolean
function M.before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end


---Prints lines on standard output, as `print` does, with what is no text escaped.
---@param ... any
function M.say(...)
  local parts = table.pack(...)
  for i = 1, parts.n do parts[i] = M.escape(tostring(parts[i]), "\n\t") end
  io.stdout:write(table.concat(parts, "\t"), "\n")
end


---What a script raised, as text; its `__tostring` may fail.
---@param e any
---@return string
function M.of_error(e)
  local ok, said = pcall(tostring, e)
  return ok and said or ("an error (a %s) that cannot be shown"):format(type(e))
end


---A line on standard error: "lunette: ..." without another beginning.
---@param message any
---@param who? string   "lunette"
function M.complain(message, who)
  io.stderr:write(who or "lunette", ": ", M.escape(M.of_error(message), "\n\t"), "\n")
end

return M
