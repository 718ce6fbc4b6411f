---Is the smallest of a few norms an outlier? Several answers, of lists of at least
---three positive numbers.
local median = require("lunette.explain.asking").median

local M = {}


---How many median absolute deviations the smallest lies below the median (Wang et al.
---2019, with 1.4826 as for a normal distribution); 0 where there is no spread.
---@param list number[]
---@return number
function M.mad_index(list)
  local middle, off, least = median(list), {}, math.huge
  for i, v in ipairs(list) do
    off[i] = math.abs(v - middle)
    least = math.min(least, v)
  end
  local mad = 1.4826 * median(off)
  return mad > 0 and (middle - least) / mad or 0
end


---Continued fraction of the incomplete beta function (Lentz's way).
local function beta_fraction(x, a, b)
  local tiny = 1e-300
  local c, d = 1, 1 - (a + b) * x / (a + 1)
  d = 1 / (math.abs(d) < tiny and tiny or d)
  local f = d
  for m = 1, 200 do
    local up = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
    local down = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    for _, k in ipairs { up, down } do
      d, c = 1 + k * d, 1 + k / c
      d = 1 / (math.abs(d) < tiny and tiny or d)
      c = math.abs(c) < tiny and tiny or c
      f = f * c * d
    end
    if math.abs(c * d - 1) < 1e-14 then break end
  end
  return f
end


---log Gamma of half-integers 0.5, 1, 1.5 ..., exactly by recurrence.
local function log_gamma(z)
  local sum = 0
  while z > 1 do
    z = z - 1
    sum = sum + math.log(z)
  end
  return sum + (z == 0.5 and 0.5 * math.log(math.pi) or 0)
end


---P(T > t) of Student's t with n degrees of freedom.
---@param t number
---@param n integer
---@return number
function M.student_tail(t, n)
  if t < 0 then return 1 - M.student_tail(-t, n) end
  local x, a, b = n / (n + t * t), n / 2, 0.5
  if x >= 1 then return 0.5 end
  local front = math.exp(a * math.log(x) + b * math.log(1 - x) + log_gamma(a + b)
                         - log_gamma(a) - log_gamma(b))
  local beta = x < (a + 1) / (a + b + 2) and front * beta_fraction(x, a, b) / a
    or 1 - front * beta_fraction(1 - x, b, a) / b
  return beta / 2
end


---How far the smallest norm lies below the others, on logarithms:
---  t = (mean of the others - smallest) / (their sd sqrt(1 + 1/(K-1)))
---and p, the chance that K normal values have a smallest one as far away: K times
---Student's tail with K - 2 degrees of freedom, at most 1.
---@param list number[]   at least 3, positive
---@return number t, number p
function M.smallest(list)
  local logs, at = {}, 1
  for i, v in ipairs(list) do
    logs[i] = math.log(v)
    if logs[i] < logs[at] then at = i end
  end
  local n, sum, squares = #list - 1, 0, 0
  for i, v in ipairs(logs) do if i ~= at then sum = sum + v end end
  local mean = sum / n
  for i, v in ipairs(logs) do if i ~= at then squares = squares + (v - mean) ^ 2 end end
  local sd = math.sqrt(squares / (n - 1))
  if sd == 0 then -- all others are equal
    if mean > logs[at] then return math.huge, 0 end
    return 0, 1
  end
  local t = (mean - logs[at]) / (sd * math.sqrt(1 + 1 / n))
  return t, math.min(1, #list * M.student_tail(t, n - 1))
end


---Wilson's interval of a share (95 %).
---@param hits integer
---@param n integer
---@return number low, number high
function M.wilson(hits, n)
  if n == 0 then return 0, 1 end
  local z = 1.959964
  local p = hits / n
  local middle = (p + z * z / (2 * n)) / (1 + z * z / n)
  local half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
  return math.max(0, middle - half), math.min(1, middle + half)
end

return M
