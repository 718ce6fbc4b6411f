---@meta _
---Methods of tensors that are C; tensors/ has those that are Lua.

---A tensor: values, and its place on a tape if it has one. Operators are methods;
---`+ - * / ^` work too. t[i] is the ith row (a view), or a number of a vector.
---@class lunette.Tensor
---@field story? table       maps: how they were made
---@field origin? table      maps: what made them, to call it again: row, opts, net,
---  images, run_modifiers
---@field pictures? lunette.Tensor[]   inputs: what they show, (3,H,W) of 0..255
local Tensor = {}

---The shape as a list.
---@return integer[]
function Tensor:shape() end

---Number of dimensions, or the size of one.
---@param i? integer
---@return integer
function Tensor:dim(i) end

---Number of elements.
---@return integer
function Tensor:size() end

---The value of a tensor of one element.
---@return number
function Tensor:item() end

---One element.
---@param ... integer   an index for each dimension
---@return number
function Tensor:get(...) end

---Writes one element: t:set(i, j, value).
---@param ... number   an index for each dimension, then the value
---@return lunette.Tensor self
function Tensor:set(...) end

---Nested lists of the values.
---@return table
function Tensor:totable() end

---Little-endian float32 values.
---@return string
function Tensor:bytes() end

---How often values of its storage were written to: unchanged, so are they.
---@return integer
function Tensor:version() end

---Are both the same values in memory, in the same shape?
---@param other lunette.Tensor
---@return boolean
function Tensor:shares(other) end

---Range, mean and more of the values; of NaN alone min and max are NaN.
---@return { nan: integer, infinite: integer, min: number, max: number, mean: number, zeros: number, l2: number, finite: boolean } stats   zeros: their share
function Tensor:stats() end

---Eigenvalues of a symmetric matrix (n,n), ascending, and its eigenvectors, one a
---column (LAPACK's dsyevd, in double precision). Reads the lower triangle. No gradient.
---@return lunette.Tensor values, lunette.Tensor vectors   (n), (n,n)
function Tensor:eigh() end

---The singular value decomposition of a matrix (m,n), k = min(m,n): t = u diag(s) v',
---s descending (LAPACK's dgesdd, in double precision). No gradient.
---@return lunette.Tensor u, lunette.Tensor s, lunette.Tensor v   (m,k), (k), (n,k)
function Tensor:svd() end

---Rows from .. to of the first dimension, as a view.
---@param from integer
---@param to? integer   from
---@return lunette.Tensor
function Tensor:rows(from, to) end

---The same values in another shape, off the tape.
---@param ... integer   shape
---@return lunette.Tensor
function Tensor:view(...) end

---A copy with values of its own.
---@return lunette.Tensor
function Tensor:clone() end

---The same values without the tape.
---@return lunette.Tensor
function Tensor:detach() end

---Overwrites the values.
---@param other lunette.Tensor   of the same size
---@return lunette.Tensor self
function Tensor:copy_(other) end

---Writes one value everywhere.
---@param value number
---@return lunette.Tensor self
function Tensor:fill_(value) end

---self = self + factor * other, in place.
---@param other lunette.Tensor
---@param factor? number   1
---@return lunette.Tensor self
function Tensor:add_(other, factor) end

---self = self * factor, in place.
---@param factor number
---@return lunette.Tensor self
function Tensor:mul_(factor) end

---One step of Adam (Kingma & Ba 2014) on parameters, in place.
---@param g lunette.Tensor   gradient
---@param m lunette.Tensor   mean of gradients, kept between steps
---@param v lunette.Tensor   mean of squares, kept between steps
---@param opts table         {step =, rate =, beta1 =, beta2 =, eps =, decay =, scale =}
---@return lunette.Tensor self
function Tensor:adam_(g, m, v, opts) end

---One step of gradient descent with momentum on parameters, in place.
---@param g lunette.Tensor   gradient
---@param v lunette.Tensor   velocity, kept between steps
---@param opts table         {rate =, momentum =, decay =, scale =}
---@return lunette.Tensor self
function Tensor:sgd_(g, v, opts) end

---Writes a part, or a rectangle of it, over the last two dimensions.
---@param part lunette.Tensor
---@param row integer      from 1
---@param column integer   from 1
---@param from_row? integer      the rectangle's first row in `part`, from 1 (all of it)
---@param from_column? integer
---@param height? integer
---@param width? integer
---@return lunette.Tensor self
function Tensor:paste_(part, row, column, from_row, from_column, height, width) end

---The tensor's id on its tape, or nil.
---@return integer?
function Tensor:node() end

---Whether shape and every bit are the same.
---@param other lunette.Tensor
---@return boolean
function Tensor:same(other) end

---Gives the memory back now; the tensor cannot be used afterwards.
function Tensor:release() end
