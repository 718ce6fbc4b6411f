---Weighted linear regression in double precision, for tens of features: what LIME and
---KernelSHAP fit. Rows are lists of numbers.
local core = require "lunette.core"

---Weighted means of the columns and of y, and the sum of the weights.
local function means(x, y, w)
  local mean, total, of_y = {}, 0, 0
  for c = 1, #x[1] do mean[c] = 0 end
  for r = 1, #x do
    total, of_y = total + w[r], of_y + w[r] * y[r]
    for c = 1, #mean do mean[c] = mean[c] + w[r] * x[r][c] end
  end
  for c = 1, #mean do mean[c] = mean[c] / total end
  return mean, of_y / total, total
end


---Rows and values less their means, times the root of their weights.
local function centred(x, y, w, mean, of_y)
  local rows, values = {}, {}
  for r = 1, #x do
    local root, row = math.sqrt(w[r]), {}
    for c = 1, #mean do row[c] = root * (x[r][c] - mean[c]) end
    rows[r], values[r] = row, root * (y[r] - of_y)
  end
  return rows, values
end


---Rows that say sqrt(ridge) b = 0.
local function add_ridge(rows, values, ridge)
  local m, n = #rows, #rows[1]
  for i = 1, ridge > 0 and n or 0 do
    local row = {}
    for c = 1, n do row[c] = c == i and math.sqrt(ridge) or 0 end
    rows[m + i], values[m + i] = row, 0
  end
end


---A'A and A'b.
local function gram(rows, values)
  local n, a, b = #rows[1], {}, {}
  for i = 1, n do
    a[i], b[i] = {}, 0
    for j = 1, n do a[i][j] = 0 end
  end
  for r, row in ipairs(rows) do
    for i = 1, n do
      b[i] = b[i] + row[i] * values[r]
      for j = 1, n do a[i][j] = a[i][j] + row[i] * row[j] end
    end
  end
  return a, b
end


---One round over all coefficients; returns the largest change.
local function lasso_round(a, b, t, x)
  local most = 0
  for i = 1, #b do
    local rest = b[i]
    for j = 1, #b do
      if j ~= i then rest = rest - a[i][j] * x[j] end
    end
    local size = math.max(math.abs(rest) - t, 0)
    local new = a[i][i] > 0 and (rest < 0 and -size or size) / a[i][i] or 0
    most = math.max(most, math.abs(new - x[i]))
    x[i] = new
  end
  return most
end


---Coordinate descent for 1/2 x'ax - b'x + t |x|.
local function lasso(a, b, t)
  local x = {}
  for i = 1, #b do x[i] = 0 end
  for _ = 1, 10000 do
    if lasso_round(a, b, t, x) < 1e-12 then break end
  end
  return x
end


---Coefficients and intercept of y ~ x. The intercept is never penalised. Where rows do
---not decide (fewer rows than features, a feature that never changes), the shortest of
---the best fits, as numpy.linalg.lstsq has it: what is not told apart shares equally.
---@param x number[][]   rows of features
---@param y number[]
---@param w number[]     weights of the rows
---@param o? { ridge?: number, lasso?: number }   ridge: min sum w r^2 + ridge |b|^2;
---  lasso: 1/(2 sum w) sum w r^2 + lasso sum |b|
---@return number[] coefficients, number intercept
return function(x, y, w, o)
  local mean, of_y, total = means(x, y, w)
  local rows, values = centred(x, y, w, mean, of_y)
  local found
  if o and o.lasso then
    local a, b = gram(rows, values)
    found = lasso(a, b, o.lasso * total)
  else
    add_ridge(rows, values, o and o.ridge or 0)
    found = core.least_squares(rows, values)
  end
  local intercept = of_y
  for i = 1, #found do intercept = intercept - found[i] * mean[i] end
  return found, intercept
end
