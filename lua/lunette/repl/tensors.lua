---Tensors as the REPL prints them: shape, range, and values as numpy prints them.
local escape = require("lunette.base.text").escape

local M = {}

local LINES = 10


local function short(v)
  if v == math.floor(v) and math.abs(v) < 1e6 then return ("%d"):format(v) end
  if v ~= v or v == math.huge or v == -math.huge then return tostring(v) end
  local a = math.abs(v)
  if a >= 1e5 or a < 1e-3 then return ("%.2e"):format(v) end
  return (("%.4f"):format(v):sub(1, v < 0 and 7 or 6):gsub("%.$", ""))
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


---The first lines of an array; `print` writes all of them.
local function first_lines(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  local more = #lines - LINES
  if more <= 2 then return text end
  lines[LINES + 1] = (" ... %d more lines; print(x) writes them"):format(more)
  return table.concat(lines, "\n", 1, LINES + 1)
end


---A tensor at the top: its line, its story, its values.
---@param t lunette.Tensor
---@return string
function M.text(t)
  local ok, shape = pcall(t.shape, t)
  if not ok then return "Tensor (released)" end
  local out = { M.line(t) }
  local story = t.story
  if type(story) == "table" then out[#out + 1] = story_line(story) end
  if #shape > 0 and t:size() > 1 then
    out[#out + 1] = first_lines(require("lunette.tensors.text").array(t))
  end
  return table.concat(out, "\n")
end

return M
