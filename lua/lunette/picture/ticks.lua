---Numbers beside a colour bar: round steps, few digits, a common power of ten.
local M = {}

local superscript = { ["-"] = "⁻", ["0"] = "⁰", ["1"] = "¹", ["2"] = "²", ["3"] = "³",
                      ["4"] = "⁴", ["5"] = "⁵", ["6"] = "⁶", ["7"] = "⁷", ["8"] = "⁸",
                      ["9"] = "⁹" }


---The least of 1, 2, 5 times a power of ten that is not below `rough`.
local function round_step(rough)
  local unit = 10.0 ^ math.floor(math.log(rough, 10))
  for _, m in ipairs { 1, 2, 5 } do
    if m * unit >= rough * (1 - 1e-9) then return m * unit end
  end
  return 10 * unit
end


---Digits after the point that a step needs.
local function decimals(step)
  return math.max(0, math.ceil(-math.log(step, 10) - 1e-9))
end


local function text_of(value, digits)
  local text = ("%%.%df"):format(digits):format(value)
  if tonumber(text) == 0 then text = text:gsub("^-", "") end
  return (text:gsub("^-", "−"))
end


---Ticks for the values from lo to hi.
---@param lo number
---@param hi number
---@param most? integer    most ticks (6)
---@return table[] ticks   {{value =, text =}, ...}, ascending
---@return string? power   "×10⁻⁴" when the texts are in units of that
function M.of(lo, hi, most)
  if hi <= lo then
    return { { value = lo, text = (("%.3g"):format(lo):gsub("^-", "−")) } }
  end
  local big, exponent = math.max(math.abs(lo), math.abs(hi)), 0
  if big >= 1e4 or big < 1e-2 then exponent = math.floor(math.log(big, 10)) end
  local unit = 10.0 ^ exponent
  local step = round_step((hi - lo) / unit / ((most or 6) - 1))
  local digits, ticks = decimals(step), {}
  for i = math.ceil(lo / unit / step - 1e-6), math.floor(hi / unit / step + 1e-6) do
    ticks[#ticks + 1] = { value = i * step * unit, text = text_of(i * step, digits) }
  end
  if exponent == 0 then return ticks end
  return ticks, "×10" .. tostring(exponent):gsub(".", superscript)
end

return M
