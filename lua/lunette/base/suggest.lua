-- Nearest names for messages: `layer 'block5_conv4' not found; did you mean ...?`
-- local suggest = require "lunette.base.suggest"
-- suggest("gard", { "gradcam", "guided" })  --> "did you mean 'gradcam'?", or ""

local M = {}


-- Edit distance in which swapping two neighbours costs one step (optimal string
-- alignment, Damerau 1964): rows i-2, i-1 and i of the usual table.
local function distance(a, b)
  local older, old = {}, {}
  for j = 0, #b do old[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    local x, before = a:byte(i), a:byte(i - 1)
    for j = 1, #b do
      local y, same = b:byte(j), 0
      if x ~= y then same = 1 end
      local d = math.min(old[j] + 1, row[j - 1] + 1, old[j - 1] + same)
      if i > 1 and j > 1 and x == b:byte(j - 1) and before == y then
        d = math.min(d, older[j - 2] + 1)
      end
      row[j] = d
    end
    older, old = old, row
  end
  return old[#b]
end


-- Is what was typed the name with letters left out, from its first to its last: `cols`
-- for columns?
local function is_shortened(typed, name)
  if typed:sub(1, 1) ~= name:sub(1, 1) or typed:sub(-1) ~= name:sub(-1) then
    return false
  end
  local at = 1
  for c in typed:gmatch "." do
    at = name:find(c, at, true)
    if not at then return false end
    at = at + 1
  end
  return true
end


-- Small is near. A name that starts with, or contains, what was typed is nearer
-- than any edit: people type the beginning of a word. One that is part of what was
-- typed comes next: `guided_backprop` for guided.
local function cost(typed, name)
  if name:sub(1, #typed) == typed then return (#name - #typed) / (#name + 1) / 2 end
  local c = distance(typed, name)
  if #typed >= 3 and name:find(typed, 1, true) then c = math.min(c, 1) end
  if #name >= 5 and typed:find(name, 1, true) then c = math.min(c, 2) end
  if #typed >= 3 and is_shortened(typed, name) then c = math.min(c, 1.5) end
  return c
end


---The names nearest to what was typed, nearest first, case ignored. A name that
---needs more edits than a third of its letters (at least 2; 1 of three letters or
---fewer, which are near to anything) is no suggestion.
---@param typed string
---@param list string[]   names that exist
---@param most? integer   how many at most; default 3
---@return string[] names   may be empty
function M.nearest(typed, list, most)
  local low, found = tostring(typed):lower():sub(1, 64), {}
  for i, name in ipairs(list) do
    local text = tostring(name)
    local c = cost(low, text:lower():sub(1, 64))
    if c <= math.max(#low > 3 and 2 or 1, #low // 3) and c < #low then
      found[#found + 1] = { text, c, i }
    end
  end
  table.sort(found, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[3] < b[3]
  end)
  local names = {}
  for i = 1, math.min(most or 3, #found) do names[i] = found[i][1] end
  return names
end


---The end of an error message: "did you mean 'x'?", or "" when nothing is near.
---@param typed string
---@param list string[]
---@return string hint
function M.suggest(typed, list)
  local best = M.nearest(typed, list, 1)[1]
  return best and ("did you mean '%s'?"):format(best) or ""
end


---The same as the end of a sentence: "; did you mean 'x'?", or "".
---@param typed string
---@param list string[]
---@return string hint
function M.after(typed, list)
  local hint = M.suggest(typed, list)
  return hint == "" and "" or "; " .. hint
end


---The same for an option, which may be called otherwise in other libraries.
---@param typed string
---@param list string[]   options that there are
---@return string hint
function M.option(typed, list)
  local near = M.nearest(typed, list, 1)[1]
  if near and typed:sub(1, #near - 2) == near:sub(1, -3) then -- but for its end
    return M.after(near, list)
  end
  local meant = require("lunette.base.foreign").option(typed, list)
  return M.after(meant or typed, list)
end


---The words of a name, without an s at their ends: "load_images" is load, image.
local function words_of(name)
  local list = {}
  name = name:gsub("(%l)(%u)", "%1_%2"):lower():gsub("plus_?plus", "pp")
  for word in name:gmatch "[%a%d]+" do list[#list + 1] = word:gsub("(%a%a)s$", "%1") end
  return list
end


---The name that has all the words of what was typed: "lu.image.load" for load_images.
---@param typed string
---@param list string[]   names that exist
---@return string?
function M.by_words(typed, list)
  local words, best, fewest = words_of(typed), nil, math.huge
  if #words < 2 then return nil end
  for _, name in ipairs(list) do
    local there, own = {}, words_of(name)
    for _, word in ipairs(own) do there[word] = true end
    local all = true
    for _, word in ipairs(words) do all = all and there[word] end
    if all and #own < fewest then best, fewest = name, #own end
  end
  return best
end


return setmetatable(M, { __call = function(_, typed, list)
  return M.suggest(typed, list)
end })
