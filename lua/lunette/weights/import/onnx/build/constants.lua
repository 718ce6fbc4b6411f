---Constants of the graph that is built, as parameters of its layers.
local fold = require "lunette.weights.import.onnx.fold"
local model = require "lunette.weights.import.onnx.model"

---A constant in another shape or order: its numbers stay where they are.
local function like(c, shape, perm)
  return { const = true, shape = shape, data = c.data, whole = c.whole, same = c.same,
           source = c.source, view = c.view, perm = perm or c.perm, slopes = c.slopes }
end


---Which of a source's dimensions each of a constant's is made of, when it is
---neighbours that became one: (16,4,4,10) seen as (256,10).
local function groups(view, shape)
  local list, at = {}, 1
  for i, d in ipairs(shape) do
    local n, group = 1, {}
    while at <= #view and (n < d or view[at] == 1 and #group == 0 and d == 1) do
      group[#group + 1], n = at, n * view[at]
      at = at + 1
    end
    if n ~= d then return nil end
    list[i] = group
  end
  return at > #view and list or nil
end


local function permuted(list, perm)
  local out = {}
  for i, p in ipairs(perm) do out[i] = list[p] end
  return out
end


---Which of a constant's dimensions stand in each of ours, our batch left out.
local function ours_of(order, rank)
  local at, turned = {}, {}
  for i, d in ipairs(order) do at[d] = i end
  for d = 1, rank + 1 do if at[d] then turned[#turned + 1] = at[d] end end
  return at, turned
end


---Do dimensions that are more than 1 keep their order?
local function in_order(turned, shape)
  local last = 0
  for _, i in ipairs(turned) do
    if shape[i] ~= 1 then
      if i < last then return false end
      last = i
    end
  end
  return true
end


local function is_finite(v) return v == v and math.abs(v) ~= math.huge end


---Gives a graph that is built its methods for constants.
return function(Build)
  ---Keeps a constant as parameter `key` of layer `name`, in this shape.
  function Build:keep(name, key, c, shape)
    local p = { name = name .. "." .. key, shape = shape }
    if c.same then
      p.same = c.same
    elseif c.source and not (c.whole and c.data) then
      p.source, p.view, p.perm, p.slopes = c.source, c.view, c.perm, c.slopes
    elseif c.data then
      p.data = c.data
    else
      self:fail("the numbers of '%s' are not known", key)
    end
    if fold.product(shape) ~= fold.product(c.shape) then
      self:fail("'%s' has shape (%s), wanted (%s)", key, table.concat(c.shape, ","),
                table.concat(shape, ","))
    end
    if p.source and c.whole then
      self:fail("'%s' is of integers (%s)", key, c.source.type)
    end
    self.params[#self.params + 1] = p
  end


  ---A constant that is the same for all copies of a picture as that of one, beside a
  ---value in `order`.
  function Build:of_one(c, order)
    local copies = order[1] == 1 and #order == #c.shape and c.shape[1] or 1
    if copies == 1 then return c end
    local one = { 1, table.unpack(c.shape, 2) }
    if c.same then return like(c, one) end
    local n, alike = fold.product(one), c.data ~= nil
    for i = n + 1, alike and #c.data or 0 do
      alike = alike and c.data[i] == c.data[i - n]
    end
    if not alike then self:fail("a constant differs between pictures") end
    return fold.make(one, table.move(c.data, 1, n, 1, {}), c.whole)
  end


  ---A constant's shape with dimensions of 1 before, so that it has `rank`.
  local function filled_up(b, c, rank)
    local shape = { table.unpack(c.shape) }
    while #shape < rank do table.insert(shape, 1, 1) end
    if #shape > rank then b:fail("a constant has %d dimensions", #shape) end
    return shape
  end


  ---A constant as an operand beside a live value of `rank` dimensions in `order`.
  function Build:operand(c, key, rank, order)
    if c.data and fold.product(c.shape) == 1 and is_finite(c.data[1]) then
      return c.data[1] + 0.0
    end
    c = self:of_one(c, order)
    local shape = filled_up(self, c, rank)
    local at, turned = ours_of(order, rank)
    if at[1] and shape[at[1]] ~= 1 then
      self:fail("a constant differs between pictures")
    end
    local ordered = permuted(shape, turned)
    if not in_order(turned, shape) then c = self:turn(like(c, shape), turned) end
    if at[1] then table.remove(ordered, 1) end
    if #ordered == 0 then ordered = { 1 } end
    self:keep(self.own, key, c, ordered)
    return { param = key, shape = ordered, frozen = true }
  end


  ---A constant as a live value: added to zeros that are made of the picture.
  function Build:alive(c)
    if not self.picture then self:fail("its input 1 does not depend on the picture") end
    local batch = not self.single and #c.shape > 1 and c.shape[1] == 1
    local order, ones, dims = {}, {}, {}
    for i in ipairs(c.shape) do order[i] = batch and i or i + 1 end
    for i = 1, math.max(1, #order - (batch and 1 or 0)) do ones[i] = 1 end
    for i in ipairs(self.shapes.input) do dims[i] = i + 1 end
    local p = self.picture
    local y = self:step("nothing", "lt", { p, p }, nil, p.order)
    y = self:step("zero", "max", { y }, { dims = dims, keepdims = true }, p.order)
    y = self:step("zeros", "reshape", { y }, { shape = ones }, order)
    return self:inside("constant", function()
      local by = self:operand(c, "value", #c.shape, order)
      return self:layer("add", { y, by }, nil, order)
    end)
  end


  ---A constant in another shape.
  function Build.reshaped(_, c, shape) return like(c, shape) end


  ---A constant with its dimensions in another order (from 1).
  ---@return table? c   nil: its numbers would not lie as the file has them
  function Build.turned(_, c, perm)
    if c.data then return fold.transpose(c, perm) end
    local shape = permuted(c.shape, perm)
    if c.same then return like(c, shape) end
    local natural = Build.same(c.perm, Build.identity(#c.perm))
    local parts = natural and groups(c.view, c.shape)
    if parts then
      local both = {}
      for _, p in ipairs(perm) do
        table.move(parts[p], 1, #parts[p], #both + 1, both)
      end
      return like(c, shape, both)
    elseif natural and Build.same(c.view, c.shape) then
      return like(c, shape, perm)
    elseif #c.view == #c.shape and #c.perm == #perm then
      return like(c, shape, permuted(c.perm, perm))
    end
    return nil
  end


  ---The same, or an error.
  function Build:turn(c, perm)
    return self:turned(c, perm)
      or self:fail "a large constant is reshaped and transposed"
  end


  ---The constant of a tensor of the file.
  function Build:tensor(t)
    return { const = true, shape = t.shape, source = t, view = t.shape,
             perm = Build.identity(#t.shape), data = model.values(self.model, t.index),
             whole = not (t.type:find "^F" or t.type == "BF16") }
  end
end
