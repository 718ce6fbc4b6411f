---Tensors as the REPL prints them: shape, range and corners, never all of one.
local escape = require("lunette.base.text").escape

local M = {}


local function short(v)
  if v == math.floor(v) and math.abs(v) < 1e6 then return ("%d"):format(v) end
  if v ~= v or v == math.huge or v == -math.huge then return tostring(v) end
  local a = math.abs(v)
  if a >= 1e5 or a < 1e-3 then return ("%.2e"):format(v) end
  return (("%.4f"):format(v):sub(1, v < 0 and 7 or 6):gsub("%.$", ""))
end


---Places of a dimension that are shown: three at each end.
local function places(n)
  local list = {}
  for i = 1, n do
    if n <= 7 or i <= 3 or i > n - 3 then list[#list + 1] = i end
    if n > 7 and i == 3 then list[#list + 1] = false end
  end
  return list
end


local function row_text(t, lead, row)
  local cells, index = {}, { table.unpack(lead) }
  if row then index[#index + 1] = row end
  for _, i in ipairs(places(t:dim(t:dim()))) do
    if i then
      index[#index + 1] = i
      cells[#cells + 1] = ("%9s"):format(short(t:get(table.unpack(index))))
      index[#index] = nil
    else
      cells[#cells + 1] = "  ..."
    end
  end
  return "  " .. table.concat(cells, " ")
end


---The corners of the first matrix of a tensor.
local function corners(t)
  local n, lead, out = t:dim(), {}, {}
  for d = 1, n - 2 do lead[d] = 1 end
  if n == 1 then return row_text(t, {}) end
  if n > 2 then
    out[1] = ("  [%s]"):format(table.concat(lead, ","))
  end
  for _, i in ipairs(places(t:dim(n - 1))) do
    out[#out + 1] = i and row_text(t, lead, i) or "        ..."
  end
  return table.concat(out, "\n")
end


---One line about a tensor: shape, range, mean, zeros.
---@param t lunette.Tensor
---@return string
function M.line(t)
  local head = "Tensor (" .. table.concat(t:shape(), ", ") .. ")"
  if t:size() == 0 then return head .. "  empty" end
  local s = t:stats()
  if t:size() == 1 then return head .. "  " .. short(s.min) end
  if s.nan == t:size() then return head .. "  all NaN" end
  local line = ("%s  %s .. %s, mean %s"):format(head, short(s.min), short(s.max),
                                                 short(s.mean))
  if s.zeros >= 0.005 then line = line .. (", %.0f %% zeros"):format(100 * s.zeros) end
  if s.nan > 0 then line = line .. (", %d NaN"):format(s.nan) end
  if s.infinite > 0 then line = line .. (", %d infinite"):format(s.infinite) end
  return line
end


local function story_line(story)
  local list = {}
  for _, key in ipairs { "method", "model", "layer", "score" } do
    if story[key] then list[#list + 1] = escape(tostring(story[key])) end
  end
  local how = story.modifiers and table.concat(story.modifiers, ", ") or ""
  if how ~= "" then list[#list + 1] = how end
  return "  " .. table.concat(list, ", ")
end


---A tensor at the top: its line, its story, the corners of its first matrix.
---@param t lunette.Tensor
---@return string
function M.text(t)
  local ok, shape = pcall(t.shape, t)
  if not ok then return "Tensor (released)" end
  local out = { M.line(t) }
  local story = t.story
  if type(story) == "table" then out[#out + 1] = story_line(story) end
  if #shape > 0 and t:size() > 1 then out[#out + 1] = corners(t) end
  return table.concat(out, "\n")
end

return M
