---What files of relevance maps do with weights (relu(w), min(w, 0), w + g relu(w),
---max(w, g w), w times a number for each channel): of a constant whose numbers are not
---read here, functions that are a straight line on each side of 0. Such a constant has
---`slopes`, { ups, downs, axis = }: up x where x > 0, else down x. Lists of one number
---are for all of it; of more, for the places of an axis of the file's tensor.
---lunette-import multiplies while it copies.
local M = {}


local function of(c)
  local s = c.slopes or { { 1 }, { 1 } }
  return s[1], s[2], s.axis
end


local function all_zero(list)
  for _, v in ipairs(list) do if v ~= 0 then return false end end
  return true
end


---The constant by other slopes; where all are 0, zeros.
local function with(c, ups, downs, axis)
  if all_zero(ups) and all_zero(downs) then
    return { const = true, shape = c.shape, same = 0.0 }
  end
  local y = {}
  for key, v in pairs(c) do y[key] = v end
  y.slopes = { ups, downs, axis = axis }
  return y
end


local function each(list, f)
  local out = {}
  for i, v in ipairs(list) do out[i] = f(v) end
  return out
end


---f of the numbers of two lists, of which one may have one number for all.
local function both(a, b, f)
  local out = {}
  for i = 1, math.max(#a, #b) do out[i] = f(a[i] or a[1], b[i] or b[1]) end
  return out
end


---What f makes of a constant when f is a line on each side of 0, by f(1) and f(-1).
local function through(f)
  return function(c)
    local ups, downs, axis = of(c)
    return with(c, each(ups, f), each(downs, function(v) return -f(-v) end), axis)
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


---Slopes times numbers along an axis; nil: they have slopes along another.
local function times(c, list, axis)
  local ups, downs, own = of(c)
  if own and axis and own ~= axis then return nil end
  local function product(a, b) return a * b end
  return with(c, both(ups, list, product), both(downs, list, product), own or axis)
end


---f of two constants that are alike: a sum, or the larger or smaller of them.
local function combined(a, b, f)
  local ups, downs, axis = of(a)
  local ups2, downs2, axis2 = of(b)
  if axis and axis2 and axis ~= axis2 then return nil end
  local function below_0(x, y) return -f(-x, -y) end
  return with(a, both(ups, ups2, f), both(downs, downs2, below_0), axis or axis2)
end


local of_alike = { Add = function(x, y) return x + y end,
                   Sub = function(x, y) return x - y end,
                   Max = math.max, Min = math.min }

local with_number = {
  Mul = function(a, n) return times(a, { n }) end,
  Div = function(a, n) return n ~= 0 and times(a, { 1 / n }) or nil end,
  Max = function(a, n) return n == 0 and above(a) or nil end,
  Min = function(a, n) return n == 0 and below(a) or nil end,
}


---The only axis of a constant along which numbers beside it differ, as an axis of the
---file's tensor; nil: there are more, or the constant is seen in another shape.
local function axis_of(c, shape)
  local before, found = #c.shape - #shape, nil
  if before < 0 or #c.view ~= #c.shape then return nil end
  for i, d in ipairs(shape) do
    local k = c.perm[before + i]
    if d ~= 1 then
      if found or c.view[k] ~= d or c.shape[before + i] ~= d then return nil end
      found = k
    end
  end
  return found
end


---A constant times known numbers along one of its axes.
local function by_channel(a, b)
  if a.data then a, b = b, a end
  local axis = a.source and b.data and axis_of(a, b.shape)
  return axis and times(a, b.data, axis)
end


local function by_number(f, a, b)
  if not f or not a.source or #b.shape > #a.shape then return nil end
  return f(a, number(b))
end


---The large constant that a node makes of its inputs; nil: it is no such function.
---@param op string
---@param x table[]   constants
---@return table?
function M.of(op, x)
  local a, b = x[1], x[2]
  if one[op] then return a.source and one[op](a) end
  if #x ~= 2 then return nil end
  if of_alike[op] and alike(a, b) then return combined(a, b, of_alike[op]) end
  if op ~= "Div" and number(a) then a, b = b, a end -- the number stands second
  if not number(b) then return op == "Mul" and by_channel(a, b) or nil end
  return by_number(with_number[op], a, b)
end

return M
