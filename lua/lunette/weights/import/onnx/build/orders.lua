---Shapes and orders of live values: what ONNX sees of them, and how they lie.
local fold = require "lunette.weights.import.onnx.fold"

---Without the dimension ONNX calls `axis` (from 1), which has one element.
local function drop(order, axis)
  local gone, out = order[axis], {}
  for i, d in ipairs(order) do
    if i ~= axis then out[#out + 1] = gone > 1 and d > gone and d - 1 or d end
  end
  return out
end


---Where ONNX sees the batch of a value; nil: it does not.
local function batch_at(order)
  for i, d in ipairs(order) do if d == 1 then return i end end
  return nil
end


---The only dimension of one element, or nil.
local function only_one(shape)
  local found
  for i, d in ipairs(shape) do
    if d == 1 and found then return nil end
    if d == 1 then found = i end
  end
  return found
end


---Which dimensions of ours ONNX's are, and our shape, of values that lie in the order
---of ONNX's `shape`, whose dimension `batch` is the batch (nil: hidden).
local function as_they_lie(shape, batch)
  local order, ours = {}, {}
  for i, d in ipairs(shape) do
    if i == batch then
      order[i] = 1
    else
      ours[#ours + 1] = d
      order[i] = #ours + 1
    end
  end
  if #ours == 0 then ours[1] = 1 end
  return order, ours
end


---Our shape: `sizes` by ONNX's dimensions.
local function ours_of(order, sizes)
  local shape = {}
  for i, d in ipairs(order) do if d > 1 then shape[d - 1] = sizes[i] end end
  if #shape == 0 then shape = { 1 } end
  return shape
end


---Gives a graph that is built its methods for shapes and orders.
return function(Build)
  ---The layer of a step on the way, or the node's own.
  local function maker(b, own, word)
    if own then return function(...) return b:layer(...) end end
    return function(...) return b:step(word, ...) end
  end


  ---The value in the order that operators want: ONNX's own, the batch first. If values
  ---must be moved because of a Transpose, the new layer gets the Transpose's name.
  ---@param x table live
  ---@param want? integer[]   another order
  function Build:ordered(x, want)
    local own = not want and x.turned
    want = want or Build.natural(x, #x.shape)
    if Build.same(x.order, want) then return x end
    local dims = { Build.batched(x) and 0 or 1 }
    for i, d in ipairs(want) do dims[d] = x.order[i] end
    if dims[1] ~= 1 then
      self:fail("the batch is not the first dimension where it has to be")
    end
    if not own or self.shapes[own.name] then -- that name is taken
      return self:step("order", "permute", { x }, { dims = dims }, want)
    end
    local y = self:add(own.name, "permute", { x }, { dims = dims }, want)
    self.origin[y.spec].node = own.node
    return y
  end


  ---The same value as ONNX sees it without the batch, which is 1 there.
  function Build.hidden(_, x)
    local at, order, shape = batch_at(x.order), {}, {}
    for i, d in ipairs(x.order) do
      if i ~= at then order[#order + 1], shape[#shape + 1] = d, x.shape[i] end
    end
    return { layer = x.layer, spec = x.spec, shape = shape, order = order,
             turned = x.turned }
  end


  ---Which dimension of ONNX's new shape is the batch: the first, that in which it was,
  ---or the only one of one element. Where there is none it is hidden: the graph is
  ---computed for every picture by itself, whatever its numbers are arranged as.
  function Build:batch_of(x, shape)
    if shape[1] == 1 then return 1 end
    if self.single then return nil end
    local was = batch_at(x.order)
    if was and shape[was] == 1 then return was end
    return not was and only_one(shape) or nil
  end


  ---The value with its first dimension as copies of each picture, part of the batch.
  ---@param x table live   one whose batch is hidden
  function Build:folded(x)
    x = self:ordered(x)
    local ours = { table.unpack(x.shape, 2) }
    if #ours == 0 then ours[1] = 1 end
    return self:step("copies", "reshape", { x }, { shape = ours, copies = x.shape[1] },
                     Build.identity(#x.shape))
  end


  ---Copies of each picture as a dimension like others, the batch hidden.
  ---@param x table live   one of copies
  function Build:unfolded(x)
    x = self:ordered(x)
    local order = {}
    for i = 1, #x.shape do order[i] = i + 1 end
    return self:step("apart", "reshape", { x }, { shape = x.shape, copies = 1 }, order)
  end


  ---A value of copies in another shape. As one row of numbers (`flat` is what it is a
  ---row of) it is made only where somebody wants all of them as one: see `settled`.
  local function reshape_copies(b, x, shape, own)
    local copies = b.copies[x.layer]
    if copies == 1 then copies = shape[1] end
    if #shape == 1 and shape[1] ~= copies then
      return { shape = shape, order = { 2 }, flat = x, through = x.through }
    elseif shape[1] ~= copies and shape[1] ~= 1 then
      return b:reshape(b:unfolded(x), shape, own)
    end
    local ours = { table.unpack(shape, 2) }
    if #ours == 0 then ours[1] = 1 end
    return maker(b, own, "shape")("reshape", { b:ordered(x) },
      { shape = ours, copies = shape[1] }, Build.identity(#shape))
  end


  ---The value with its layer; one that was put off (reshape_copies) is made now.
  function Build:settled(x)
    if not x.flat then return x end
    local apart = self:unfolded(x.flat)
    return self:step("row", "reshape", { apart }, { shape = x.shape }, { 2 })
  end


  ---Does a shape begin with copies of each picture? (1,K,C,H,W) seen as (K,C,H,W) does,
  ---and where a graph has K copies, whatever keeps or gets a first dimension of K.
  local function makes_copies(b, x, shape)
    local count = shape[1]
    if b.single or (count or 1) == 1 then return false end
    if not Build.batched(x) then return b.counts[count] and x.shape[1] == count end
    if x.order[1] ~= 1 or x.shape[2] ~= count then return false end
    local maps = #shape == 4 and Build.same(shape, { table.unpack(x.shape, 2) })
    b.counts[count] = b.counts[count] or maps
    return b.counts[count]
  end


  ---The value with the shape that ONNX wants to see; its numbers stay in place. In the
  ---result, `guessed` says that its dimension of 1 is only taken to be the batch.
  ---@param x table live
  ---@param shape integer[]   ONNX's, batch included
  ---@param own? boolean      it is the node's own layer
  function Build:reshape(x, shape, own)
    if fold.product(shape) ~= fold.product(x.shape) then
      self:fail("%d numbers do not make (%s)", fold.product(x.shape),
                table.concat(shape, ", "))
    end
    x = x.flat or x
    if self.copies[x.layer] > 1 or makes_copies(self, x, shape) then
      return reshape_copies(self, Build.batched(x) and x or self:folded(x), shape, own)
    end
    local batch = self:batch_of(x, shape)
    local guessed = batch and batch > 1 and not Build.batched(x)
    local order, ours = as_they_lie(shape, batch)
    x = self:ordered(self:hidden(x))
    local y = maker(self, own, "shape")("reshape", { x }, { shape = ours }, order)
    y.guessed = guessed
    return y
  end


  ---Takes dimensions of one element out: a list of axes, from 1.
  function Build:squeeze(x, axes, own)
    local gone, order, sizes = {}, x.order, {}
    for _, a in ipairs(axes) do gone[a] = true end
    for a = #x.shape, 1, -1 do
      if gone[a] and x.shape[a] ~= 1 then
        self:fail("dimension %d has %d, not 1", a, x.shape[a])
      end
      if gone[a] then order = drop(order, a) end
    end
    for a, d in ipairs(x.shape) do
      if not gone[a] then sizes[#sizes + 1] = d end
    end
    return maker(self, own, "squeeze")("reshape", { x },
                                       { shape = ours_of(order, sizes) }, order)
  end


  ---A dimension of one element that is put into what had no batch is the batch.
  function Build:with_batch(x, axes, own)
    local order, shape, rest = { table.unpack(x.order) }, { table.unpack(x.shape) }, {}
    table.insert(order, axes[1], 1)
    table.insert(shape, axes[1], 1)
    table.move(axes, 2, #axes, 1, rest)
    local y = { layer = x.layer, spec = x.spec, shape = shape, order = order }
    return #rest > 0 and self:unsqueeze(y, rest, own) or y
  end


  ---Puts dimensions of one element in, where ONNX's result has them (from 1).
  function Build:unsqueeze(x, axes, own)
    local new, order, sizes, at = {}, {}, {}, 0
    axes = { table.unpack(axes) }
    table.sort(axes)
    if not Build.batched(x) and (axes[1] == 1 or not self.single) then
      return self:with_batch(x, axes, own)
    end
    for _, a in ipairs(axes) do new[a] = true end
    local last = #x.shape + (Build.batched(x) and 0 or 1)
    for a = 1, #x.shape + #axes do
      if new[a] then
        last = last + 1
        order[a], sizes[a] = last, 1 -- ours: at the end
      else
        at = at + 1
        order[a], sizes[a] = x.order[at], x.shape[at]
      end
    end
    return maker(self, own, "shape")("reshape", { x },
                                     { shape = ours_of(order, sizes) }, order)
  end
end
