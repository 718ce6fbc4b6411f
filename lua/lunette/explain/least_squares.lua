---Weighted linear regression in double precision, for tens of features: what LIME and
---KernelSHAP fit. Rows are lists of numbers.

---Solves a x = b (a symmetric, positive) by elimination with pivots; a and b are
---overwritten.
local function solve(a, b)
  local n = #b
  for c = 1, n do
    local p = c
    for r = c + 1, n do
      if math.abs(a[r][c]) > math.abs(a[p][c]) then p = r end
    end
    a[c], a[p], b[c], b[p] = a[p], a[c], b[p], b[c]
    local pivot = a[c][c]
    if pivot == 0 then pivot, a[c][c] = 1e-300, 1e-300 end
    for r = c + 1, n do
      local f = a[r][c] / pivot
      if f ~= 0 then
        for k = c, n do a[r][k] = a[r][k] - f * a[c][k] end
        b[r] = b[r] - f * b[c]
      end
    end
  end
  for r = n, 1, -1 do
    for k = r + 1, n do b[r] = b[r] - a[r][k] * b[k] end
    b[r] = b[r] / a[r][r]
  end
  return b
end


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


---X'WX and X'Wy of what is left when the means are taken away.
local function gram(x, y, w, mean, of_y)
  local n, a, b = #mean, {}, {}
  for i = 1, n do
    a[i], b[i] = {}, 0
    for j = 1, n do a[i][j] = 0 end
  end
  for r = 1, #x do
    local dy, d = y[r] - of_y, {}
    for i = 1, n do d[i] = x[r][i] - mean[i] end
    for i = 1, n do
      local wd = w[r] * d[i]
      b[i] = b[i] + wd * dy
      for j = 1, n do a[i][j] = a[i][j] + wd * d[j] end
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


---Coefficients and intercept of y ~ x. The intercept is never penalised.
---@param x number[][]   rows of features
---@param y number[]
---@param w number[]     weights of the rows
---@param o? { ridge?: number, lasso?: number }   ridge: min sum w r^2 + ridge |b|^2;
---  lasso: 1/(2 sum w) sum w r^2 + lasso sum |b|
---@return number[] coefficients, number intercept
return function(x, y, w, o)
  local mean, of_y, total = means(x, y, w)
  local a, b = gram(x, y, w, mean, of_y)
  local found
  if o and o.lasso then
    found = lasso(a, b, o.lasso * total)
  else
    for i = 1, #b do a[i][i] = a[i][i] + (o and o.ridge or 0) end
    found = solve(a, b)
  end
  local intercept = of_y
  for i = 1, #found do intercept = intercept - found[i] * mean[i] end
  return found, intercept
end
