---Reads the code up to the cursor for completion: which brackets are open, what was
---called, which dotted name is being written, and whether a string is open.
local M = {}

---@class lunette.Typed
---@field stack table[]     open brackets: {open =, chain =, key =, arg =, args =}
---@field chain string      the expression that ends at the cursor: "net.block5_"
---@field text? string      inside a string: what was typed of it
---@field quote? string     what ends that string
---@field before? string    the expression before that string
---@field comment? boolean  inside a comment

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil
  not or repeat return then true until while]]):gmatch "%a+" do
  keywords[word] = true
end
M.keywords = keywords


---Skips the string that starts at i: the place after it, or nil when it does not
---end; where its text begins; its quote.
local function skip_string(s, i)
  local long = s:match("^%[(=*)%[", i)
  if long then
    local _, stop = s:find("]" .. long .. "]", i, true)
    return stop and stop + 1, i + #long + 2, "["
  end
  local quote, at = s:sub(i, i), i + 1
  while at <= #s do
    local c = s:sub(at, at)
    if c == quote then return at + 1, i + 1, quote end
    if c == "\n" then return at, i + 1, quote end
    at = at + (c == "\\" and 2 or 1)
  end
  return nil, i + 1, quote
end


local function skip_comment(s, i)
  local long = s:match("^%-%-%[(=*)%[", i)
  if long then
    local _, stop = s:find("]" .. long .. "]", i, true)
    return stop and stop + 1 or #s + 1
  end
  return s:find("\n", i, true) or #s + 1
end


-- Each reader takes the state and the place of its token, and gives the next place.


local function read_string(p, s, i)
  local stop, first, quote = skip_string(s, i)
  if not stop then
    p.text, p.quote, p.before, p.chain = s:sub(first), quote, p.chain, ""
    return #s + 1
  end
  local top = p.stack[#p.stack]
  if top and top.open == "[" then
    p.chain = s:sub(i, stop - 1)
  else
    p.chain = p.chain ~= "" and p.chain .. "()" or '""'
  end
  return stop
end


local function read_word(p, s, i)
  local word = s:match("^[%w_]+", i)
  if not p.chain:find "[.:]$" then p.chain = "" end
  p.chain = p.chain .. word
  i = i + #word
  if keywords[word] and i <= #s then p.chain = "" end
  return i
end


local function read_open(p, s, i)
  table.insert(p.stack, { open = s:sub(i, i), chain = p.chain, arg = 1, at = i + 1,
                          args = {} })
  p.chain = ""
  return i + 1
end


local function read_close(p, _, i)
  local open = table.remove(p.stack)
  if open and open.open == "[" then
    p.chain = open.chain .. "[" .. p.chain .. "]"
  elseif open then
    p.chain = open.chain .. "()"
  end
  return i + 1
end


local function read_dot(p, s, i)
  if s:find("^%.%.", i) or s:find("^::", i) then
    p.chain = ""
    return i + 2
  end
  p.chain = p.chain .. s:sub(i, i)
  return i + 1
end


local function read_comma(p, s, i)
  local top = p.stack[#p.stack]
  if top then
    top.args[top.arg] = s:sub(top.at, i - 1)
    top.arg, top.key, top.at = top.arg + 1, nil, i + 1
  end
  p.chain = ""
  return i + 1
end


local function read_equals(p, s, i)
  local top = p.stack[#p.stack]
  if top and top.open == "{" and p.chain ~= "" and s:sub(i + 1, i + 1) ~= "=" then
    top.key = p.chain
  end
  p.chain = ""
  return i + 1
end


local function read_space(p, s, i)
  if i == #s then p.chain = "" end -- a new word begins
  return i + 1
end


local function read_number(p, s, i)
  p.chain = s:match("^[%w.]+", i)
  return i + #p.chain
end


local function read_comment(p, s, i)
  local stop = skip_comment(s, i)
  if stop > #s then p.comment, p.chain = true, "" end
  return stop
end


local function read_other(p, _, i)
  p.chain = ""
  return i + 1
end


local readers = {
  { "^%s", read_space }, { "^%-%-", read_comment }, { "^[\"']", read_string },
  { "^%[=*%[", read_string }, { "^[%a_]", read_word }, { "^%d", read_number },
  { "^[%({%[]", read_open }, { "^[%)}%]]", read_close }, { "^[.:]", read_dot },
  { "^,", read_comma }, { "^=", read_equals }, { "^.", read_other },
}


---@param s string   the code up to the cursor
---@return lunette.Typed
function M.scan(s)
  local p, i = { stack = {}, chain = "" }, 1
  while i <= #s do
    for _, r in ipairs(readers) do
      if s:find(r[1], i) then
        i = r[2](p, s, i)
        break
      end
    end
  end
  return p
end

return M
