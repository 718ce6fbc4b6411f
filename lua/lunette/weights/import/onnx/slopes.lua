---What files of relevance maps do with weights (relu(w), min(w, 0), w + g relu(w)): of
---a constant whose numbers are not read here, functions that are a straight line on
---each side of 0. Such a constant has `slopes`, { up, down }: up x where x > 0, else
---down x. lunette-import multiplies while it copies.
local M = {}


local function of(c) return table.unpack(c.slopes or { 1, 1 }) end


---The constant by other slopes; where both are 0, zeros.
local function with(c, up, down)
  if up == 0 and down == 0 then return { const = true, shape = c.shape, same = 0.0 } end
  local y = {}
  for key, v in pairs(c) do y[key] = v end
  y.slopes = { up, down }
  return y
end


---What f makes of a constant when f is a line on each side of 0, by f(1) and f(-1).
local function through(f)
  return function(c)
    local up, down = of(c)
    return with(c, f(up), -f(-down))
  end
end

local one = { Relu = through(function(v) return math.max(v, 0) end),
              Neg = through(function(v) return -v end), Abs = through(math.abs) }

local above, below = one.Relu, through(function(v) return math.min(v, 0) end)


---The number that a constant of one element is.
local function number(c)
  return c and c.data and #c.data == 1 and c.data[1] or nil
end


---The same numbers of the file, in the same order?
local function alike(a, b)
  local function same(x, y) return table.concat(x, ",") == table.concat(y, ",") end
  return a.source and a.source == b.source and same(a.shape, b.shape)
    and same(a.view, b.view) and same(a.perm, b.perm)
end


local function times(c, by)
  local up, down = of(c)
  return with(c, up * by, down * by)
end


local function plus(a, b, sign)
  local up, down = of(a)
  local up2, down2 = of(b)
  return with(a, up + sign * up2, down + sign * down2)
end


local sums = { Add = 1, Sub = -1 }

local with_number = {
  Mul = times,
  Div = function(a, n) return n ~= 0 and times(a, 1 / n) or nil end,
  Max = function(a, n) return n == 0 and above(a) or nil end,
  Min = function(a, n) return n == 0 and below(a) or nil end,
}


---The large constant that a node makes of its inputs; nil: it is no such function.
---@param op string
---@param x table[]   constants
---@return table?
function M.of(op, x)
  local a, b = x[1], x[2]
  if one[op] then return a.source and one[op](a) end
  if #x ~= 2 then return nil end
  if sums[op] and alike(a, b) then return plus(a, b, sums[op]) end
  if op ~= "Div" and number(a) then a, b = b, a end -- the number stands second
  local n, f = number(b), with_number[op]
  if not n or not f or not a.source or #b.shape > #a.shape then return nil end
  return f(a, n)
end

return M
