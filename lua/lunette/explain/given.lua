---Tensors that a call brings along: their dimensions are those of the pictures, or what
---other options say.
local blame = require "lunette.base.blame"

local M = {}


---What a word of a shape stands for, and whether more will do: a number, N, C, H,
---W of the pictures, or another option; nil: anything.
local function meaning(word, run, o)
  if tonumber(word) then return math.tointeger(tonumber(word)), false end
  local images = run.images:shape()
  for i, name in ipairs(#images == 4 and { "N", "C", "H", "W" } or { "N" }) do
    if word == name then return images[i], false end
  end
  return type(o[word]) == "number" and o[word] or nil, true
end


---The dimension that is another than its word says, as text; nil: all are right.
local function misfit(words, shape, run, o)
  for d, word in ipairs(words) do
    local want, more = meaning(word, run, o)
    if want and shape[d] ~= want and not (more and shape[d] > want) then
      return ("%s is %d%s"):format(word, want, more and " at least" or "")
    end
  end
  return nil
end


---The first of the shapes' misfits, where none of those of as many dimensions fits.
local function none_fits(shapes, shape, run, o)
  local wrong = nil
  for _, words in ipairs(shapes) do
    local why = #words == #shape and misfit(words, shape, run, o)
    if #words == #shape and not why then return nil end
    wrong = wrong or why or nil
  end
  return wrong
end


---Raises where a tensor among the options does not fit.
---@param row lunette.Method
---@param run lunette.Run
---@param o table
function M.check(row, run, o)
  for key, option in pairs(row.options) do
    local value = option.type == "tensor" and o[key]
    local wrong = value and none_fits(option.shapes, value:shape(), run, o)
    if wrong then
      blame(("%s: %s is a tensor %s, got one of shape (%s): %s here"):format(row.name,
            key, option.shape, table.concat(value:shape(), ","), wrong))
    end
  end
end

return M
