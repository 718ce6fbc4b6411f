---Tensors as text, to the letter as numpy prints float32: the fewest digits that tell a
---value from its neighbours, at most 8 behind the point, all columns alike; of more
---than 1000 values the first and last three of every dimension.

local M = {}

local THRESHOLD, EDGE, WIDTH, PRECISION = 1000, 3, 75, 8


-- numbers ------------------------------------------------------------------------


local function is_finite(v) return v == v and v ~= math.huge and v ~= -math.huge end


---The fewest significant digits (less one) that give the same float32.
local function digits_of(v)
  for p = 0, 7 do
    local written = tonumber(("%%.%de"):format(p):format(v))
    if string.unpack("f", string.pack("f", written)) == v then return p end
  end
  return 8
end


---"1.5", "3.", "0.12345679"
local function positional(v)
  local exponent = v == 0 and 0 or tonumber(("%.8e"):format(v):match "e(.*)$")
  local behind = math.max(0, math.min(PRECISION, digits_of(v) - exponent))
  local s = ("%%.%df"):format(behind):format(v)
  if behind == 0 then return s .. "." end
  return (s:gsub("0+$", ""))
end


---"1.5e-05", "3.e+10": mantissa and exponent; of so many digits behind the point, or of
---the fewest.
local function scientific(v, digits)
  local s = ("%%.%de"):format(digits or math.min(PRECISION, digits_of(v))):format(v)
  local mantissa, exponent = s:match "^(.*)e(.*)$"
  if not mantissa:find(".", 1, true) then mantissa = mantissa .. "." end
  if not digits then mantissa = mantissa:gsub("(%.%d-)0+$", "%1") end
  return mantissa, exponent
end


---Are these values written with exponents: are they large, small, or far apart?
local function by_exponent(list)
  local most, least = 0, math.huge
  for _, v in ipairs(list) do
    if v ~= 0 and is_finite(v) then
      most, least = math.max(most, math.abs(v)), math.min(least, math.abs(v))
    end
  end
  return most >= 1e8 or most > 0 and (least < 1e-4 or most / least > 1000)
end


local function odd_text(v) return v ~= v and "nan" or v > 0 and "inf" or "-inf" end


---Digits before the point, those behind it (`digits` of them before an exponent), and
---the exponent with its letter or "".
local function parts_of(v, with_exponent, digits)
  local s, exponent = positional(v), ""
  if with_exponent then
    s, exponent = scientific(v, digits)
    exponent = "e" .. exponent
  end
  local whole, part = s:match "^([^.]*)%.(.*)$"
  return whole, part, exponent
end


---How all values are written alike: f(value), whose results have one length.
local function formatter(list)
  local with_exponent = by_exponent(list)
  local left, right, tail = 0, 0, 0
  for _, v in ipairs(list) do
    if is_finite(v) then
      local whole, part, exponent = parts_of(v, with_exponent)
      left, right = math.max(left, #whole), math.max(right, #part)
      tail = math.max(tail, #exponent)
    end
  end
  for _, v in ipairs(list) do
    if not is_finite(v) then left = math.max(left, #odd_text(v) - right - tail - 1) end
  end
  return function(v)
    if not is_finite(v) then
      return (" "):rep(left + right + tail + 1 - #odd_text(v)) .. odd_text(v)
    end
    local whole, part, exponent = parts_of(v, with_exponent, right)
    return (" "):rep(left - #whole) .. whole .. "." .. part
      .. (" "):rep(right - #part) .. exponent
  end
end


---One number, as numpy prints a float32 that is alone.
---@param v number
---@return string
function M.number(v)
  local one = formatter { v }(v)
  return (one:gsub("%.$", ".0"))
end


-- brackets -----------------------------------------------------------------------


---Places of a dimension that are shown; false stands for those between.
local function places(n, summary)
  local list = {}
  for i = 1, n do
    local shown = not summary or n <= 2 * EDGE or i <= EDGE or i > n - EDGE
    if shown then
      list[#list + 1] = i
    elseif i == EDGE + 1 then
      list[#list + 1] = false
    end
  end
  return list
end


---The values that are shown, in order.
local function shown_values(t, shape, summary)
  local list, index = {}, {}
  local function visit(d)
    if d > #shape then
      list[#list + 1] = t:get(table.unpack(index))
      return
    end
    for _, i in ipairs(places(shape[d], summary)) do
      if i then
        index[d] = i
        visit(d + 1)
      end
    end
  end
  visit(1)
  return list
end


---Words in lines of that width, each line after the first behind `indent`.
local function fill(words, width, indent)
  local lines, line = {}, indent
  for _, word in ipairs(words) do
    if #line + #word > width and #line > #indent then
      lines[#lines + 1] = line:gsub("%s+$", "")
      line = indent
    end
    line = line .. word .. " "
  end
  lines[#lines + 1] = line:sub(1, -2)
  return table.concat(lines, "\n")
end


---The array in brackets, whatever its size.
---@param t lunette.Tensor
---@return string
function M.array(t)
  local shape = t:shape()
  if #shape == 0 then return M.number(t:item()) end
  local summary = t:size() > THRESHOLD
  local values = shown_values(t, shape, summary)
  local write, at = formatter(values), 0
  local function text(d, indent, width)
    if d > #shape then
      at = at + 1
      return write(values[at])
    end
    local words = {}
    for i, place in ipairs(places(shape[d], summary)) do
      words[i] = place and text(d + 1, indent .. " ", width - 1) or "..."
    end
    local body
    if d == #shape then
      body = fill(words, width - 1, indent)
    else
      body = indent .. table.concat(words, ("\n"):rep(#shape - d) .. indent)
    end
    return "[" .. body:sub(#indent + 1) .. "]"
  end
  return text(1, " ", WIDTH)
end


---Its shape and range, and its values below; of what was released or is empty a line.
---@param t lunette.Tensor
---@param short fun(t: lunette.Tensor): string   the first line
---@return string
function M.text(t, short)
  local head = short(t)
  if head:find "released" or head:find "empty" then return head end
  local array = M.array(t) -- which computes what was deferred
  return short(t) .. "\n" .. array
end

return M
