---@meta lunette.core
---The C part of Lunette. Tensors are float32, row-major, up to 6 dimensions; images
---are (N,C,H,W). Indices and dimensions count from 1; class ids from 0.

local core = {}

---A tensor: values, and its place on a tape if it has one. Operators are methods;
---`+ - * / ^` work too. t[i] is the ith row (a view), or a number of a vector.
---@class lunette.Tensor
---@field story? table       maps: how they were made
---@field pictures? lunette.Tensor[]   inputs: what they show, (3,H,W) of 0..255
local Tensor = {}


-- making -----------------------------------------------------------------------

---A tensor from nested lists of numbers.
---Example:
---  local lu = require "lunette"
---  print(lu.tensor { { 1, 2 }, { 3, 4 } })
---@param values table
---@return lunette.Tensor
function core.tensor(values) end

---A tensor with one value everywhere.
---@param value number
---@param ... integer   shape, or one list
---@return lunette.Tensor
function core.full(value, ...) end

---A tensor of zeros.
---@param ... integer   shape, or one list
---@return lunette.Tensor
function core.zeros(...) end

---A tensor of ones.
---@param ... integer   shape, or one list
---@return lunette.Tensor
function core.ones(...) end

---from, from + step ... up to `to` included.
---@param from number
---@param to number
---@param step? number   1
---@return lunette.Tensor   (n)
function core.range(from, to, step) end

---A tensor from raw bytes.
---@param bytes string          little-endian
---@param kind "f32"|"u8"
---@param ... integer           shape
---@return lunette.Tensor
function core.from_bytes(bytes, kind, ...) end

---Random numbers from 0 to below 1. Counter-based (Philox): the same seed and stream
---give the same numbers everywhere.
---@param seed integer
---@param stream integer
---@param ... integer   shape
---@return lunette.Tensor
function core.uniform(seed, stream, ...) end

---Normally distributed random numbers, mean 0, deviation 1.
---@param seed integer
---@param stream integer
---@param ... integer   shape
---@return lunette.Tensor
function core.normal(seed, stream, ...) end


-- tensors ----------------------------------------------------------------------

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

---Flat index (from 1) of the first largest value, and the value.
---@return integer index, number value
function Tensor:argmax() end

---Range, mean and more of the values; of NaN alone min and max are NaN.
---@return { nan: integer, infinite: integer, min: number, max: number, mean: number, zeros: number, l2: number, finite: boolean } stats   zeros: their share
function Tensor:stats() end

---Positions (from 1) in every n values that sort them, largest first, ties in order, NaN
---last; and the sorted values; both flat. (With `lunette` loaded: see `t:argsort(d)`.)
---@param n? integer   the whole size
---@return lunette.Tensor index, lunette.Tensor values
function Tensor:argsort(n) end

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


-- operators: also core.ops.NAME(tensors..., attributes...) ------------------------

---Every operator as a function; see the methods of tensors of the same names.
---@type table<string, function>
core.ops = {}

---Methods of tensors; what is added here every tensor has.
---@type table<string, function>
core.methods = {}

---abs(x): |x|
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:abs(...) end

---add(a, b): a + b
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:add(...) end

---atan2(a, b): the angle of (x = b, y = a)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:atan2(...) end

---avg_pool2d(x, kernel, stride = kernel, padding, padding_end, ceil_mode, dilation,
---count_include_pad = 1)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:avg_pool2d(...) end

---batch_norm(x (N,C,...), mean, var, gamma, beta, eps): (x - mean) / sqrt(var + eps)
---gamma + beta
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:batch_norm(...) end

---ceil(x)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:ceil(...) end

---clamp(x, min, max): gradient 1 from min to max, 0 outside
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:clamp(...) end

---concat(x1, x2 ..., dim): one after the other along dim
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:concat(...) end

---conv2d(x (N,C,H,W), w (K,C/groups,kh,kw), b (K), stride, padding, padding_end,
---dilation, groups): cross-correlation
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:conv2d(...) end

---conv_transpose2d(x (N,C,H,W), w (C,K/groups,kh,kw), b (K), stride, padding,
---padding_end, output_padding, dilation, groups): a convolution's input gradient as a
---layer
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:conv_transpose2d(...) end

---cos(x)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:cos(...) end

---erf(x): the error function
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:erf(...) end

---div(a, b): a / b
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:div(...) end

---dropout(x, p): x; only training would drop anything
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:dropout(...) end

---elu(x, alpha): x where x > 0, else alpha (exp(x) - 1)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:elu(...) end

---eq(a, b): 1 where a = b, else 0
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:eq(...) end

---exp(x)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:exp(...) end

---expand(x, shape): repeats dimensions of 1; -1 keeps one
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:expand(...) end

---expm1(x): exp(x) - 1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:expm1(...) end

---flatten(x, from): dims from .. last become one
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:flatten(...) end

---flip(x, dims): those dimensions backwards
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:flip(...) end

---floor(x)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:floor(...) end

---gather(x, index, dim): y[i][j] = x[i][index[i][j]] for dim 2; indices count from 1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:gather(...) end

---ge(a, b): 1 where a >= b, else 0
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:ge(...) end

---gelu(x): x Phi(x), Phi the normal distribution (erf form)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:gelu(...) end

---global_avg_pool(x): (N,C,H,W) to (N,C,1,1)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:global_avg_pool(...) end

---global_max_pool(x): (N,C,H,W) to (N,C,1,1)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:global_max_pool(...) end

---gt(a, b): 1 where a > b, else 0
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:gt(...) end

---identity(x): x, as a node of its own
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:identity(...) end

---index_select(x, index, dim): the index'th slices, counted from 1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:index_select(...) end

---affine(x (N,C,H,W), matrix, value, mirror): the output at p from the centre is x at M
---p, bilinear; outside it is value, or mirrored
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:affine(...) end

---interpolate(x (N,C,H,W), size, mode, align_corners): mode 0 nearest, 1 bilinear, 2
---bicubic
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:interpolate(...) end

---le(a, b): 1 where a <= b, else 0
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:le(...) end

---leaky_relu(x, slope): x where x > 0, else slope x
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:leaky_relu(...) end

---linear(x (N,..,in), w (out,in), b (out), weight_layout = out_in): x w' + b; in_out: w
---is (in,out)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:linear(...) end

---log(x): natural logarithm
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:log(...) end

---log1p(x): log(1 + x)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:log1p(...) end

---log_softmax(x, dim): x - log sum exp(x) along dim
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:log_softmax(...) end

---layer_norm(x, gamma, beta, dim = -1, last = -1, eps): (x - mean) / sqrt(var + eps)
---gamma + beta, mean and variance over dimensions dim to last
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:layer_norm(...) end

---lrn(x (N,C,...), size, alpha, beta, k): x / (k + alpha / size sum x^2)^beta over
---neighbouring channels
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:lrn(...) end

---lt(a, b): 1 where a < b, else 0
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:lt(...) end

---matmul(a (..,m,k), b (..,k,n), transpose_a, transpose_b): a b, the dimensions before
---broadcast
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:matmul(...) end

---max(x, dims, keepdims): gradient to the first maximum
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:max(...) end

---max_pool2d(x, kernel, stride = kernel, padding, padding_end, ceil_mode, dilation):
---gradient to the first maximum
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:max_pool2d(...) end

---maximum(a, b): the larger; ties share the gradient
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:maximum(...) end

---mean(x, dims, keepdims): over dims, or over all
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:mean(...) end

---min(x, dims, keepdims): gradient to the first minimum
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:min(...) end

---minimum(a, b): the smaller; ties share the gradient
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:minimum(...) end

---mul(a, b): a b
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:mul(...) end

---narrow(x, dim, start, length): from start, counted from 1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:narrow(...) end

---ne(a, b): 1 where a and b differ, else 0
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:ne(...) end

---neg(x): -x
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:neg(...) end

---pad(x, before, after, mode, value): mode 0 constant, 1 reflect, 2 replicate
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:pad(...) end

---permute(x, dims): dimension d of the result is dims[d] of x
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:permute(...) end

---pow(a, b): a^b
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:pow(...) end

---reciprocal(x): 1 / x
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:reciprocal(...) end

---relu(x): max(x, 0)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:relu(...) end

---relu6(x): min(max(x, 0), 6)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:relu6(...) end

---reshape(x, shape): one number may be -1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:reshape(...) end

---roll(x, shift): element i of a dimension goes to i + shift, round the end
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:roll(...) end

---round(x): halves to even
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:round(...) end

---scatter_add(x, index, values, dim): x with y[i][index[i][j]] += values[i][j] for dim 2;
---indices count from 1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:scatter_add(...) end

---sigmoid(x): 1 / (1 + exp(-x))
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:sigmoid(...) end

---sign(x): -1, 0 or 1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:sign(...) end

---silu(x): x sigmoid(x)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:silu(...) end

---sin(x)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:sin(...) end

---softmax(x, dim): exp(x) / sum exp(x) along dim
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:softmax(...) end

---softplus(x, beta): log(1 + exp(beta x)) / beta
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:softplus(...) end

---sqrt(x)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:sqrt(...) end

---square(x): x^2
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:square(...) end

---sub(a, b): a - b
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:sub(...) end

---sum(x, dims, keepdims): over dims, or over all
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:sum(...) end

---tanh(x)
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:tanh(...) end

---where(c, a, b): a where c is not 0, else b
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:where(...) end


-- tapes and backward -------------------------------------------------------------

---What an operator says of itself.
---@param name string
---@return { doc: string, is: string, inputs: integer[], attrs: string[], words: table<string, string[]>, rules: string[], parameters: table }?
---  `is`: what a layer of it is, in the words of engine/ops/ops.def; `inputs`: least
---  and most; `words`: the values of attributes that are words; `parameters`: of each
---  rule, in order, { name, default }
function core.op_info(name) end

---The shape that an operator would put out for inputs of these shapes, batch included.
---Example:
---  local core = require "lunette.core"
---  local shape = core.shape("conv2d", { { 1, 3, 8, 8 }, { 4, 3, 3, 3 } }, { stride = 2 })
---  print(table.concat(shape, ", "))
---@param op string
---@param shapes table   a list a tensor; false for an optional one that is left out
---@param attributes? table   by name; `name` labels the message
---@return integer[]? shape, string? message
function core.shape(op, shapes, attributes) end

---A record of operators, over which gradients go back.
---@class lunette.Tape
local Tape = {}

---An empty tape.
---@return lunette.Tape
function core.tape() end

---The tensor as a leaf of the tape: what is computed from it is recorded.
---@param t lunette.Tensor
---@return lunette.Tensor
function Tape:watch(t) end

---Drops the value of a node.
---@param id integer
function Tape:forget(id) end

---@return integer   number of nodes
function Tape:count() end

---Was the tensor computed on this tape?
---@param t any
---@return boolean
function Tape:has(t) end

---A node, as backward rules see it.
---@param id integer
---@return lunette.Node
function Tape:node(id) end

---The node's output as a tensor on the tape.
---@param id integer
---@return lunette.Tensor
function Tape:box(id) end

---Gives the tape's memory back.
function Tape:release() end

---One applied operator, as a backward rule sees it.
---@class lunette.Node
---@field id integer
---@field name string              the layer's name
---@field kind string              operator
---@field shape integer[]          of the output
---@field copies integer           seeds of this backward pass
---@field joined boolean           computed in one pass with the node after it
---@field input lunette.Tensor     first input
---@field inputs lunette.Tensor[]
---@field output lunette.Tensor
---@field weight? lunette.Tensor
---@field bias? lunette.Tensor
---@field attrs table<string, number|number[]>
local Node = {}

---The operator's output for other values, off the tape: what is not given is the
---node's own, and `bias = false` leaves the bias out. `input` may have any number of
---rows; weight and bias have the shapes of the layer's.
---@param values? { input: lunette.Tensor, weight: lunette.Tensor, bias: lunette.Tensor|false }
---@return lunette.Tensor output   as many rows as `input`, or as the node's input
function Node:forward(values) end

---Gradient of the first input by one of the operator's own rules.
---@param dy lunette.Tensor   gradient of the output, one or more copies of its shape
---@param how? string|table   a rule's name, or { rule =, its parameters by name, and
---  values of one's own: input =, weight =, bias = }; default: the true gradient. A
---  table `flow` among these gets what a relevance rule gives the bias, as `bias`
---@return lunette.Tensor
function Node:backward(dy, how) end

---Gradients of `output` with respect to the nodes `wants`.
---@param output lunette.Tensor   on a tape
---@param seed lunette.Tensor     its gradient, one or more copies
---@param wants integer[]         node ids
---@param rules? table<integer, string|table|function>   other rules, by node id
---@param flows? table   filled: by node id what went into its inputs, summed over
---  everything, and what a relevance rule gave its bias: { sum, ..., bias = sum }
---@return (lunette.Tensor|false)[] gradients   false: no path leads there
function core.backward(output, seed, wants, rules, flows) end


-- files ------------------------------------------------------------------------

---A safetensors file, mapped into memory.
---@class lunette.Weights
local Weights = {}

---Opens a safetensors file.
---@param path string
---@return lunette.Weights? weights, string? message
function core.weights(path) end

---Its tensors in file order.
---@return { name: string, dtype: string, shape: integer[] }[]
function Weights:list() end

---@param i integer   place in the list, from 1
---@return lunette.Tensor? t, string? message
function Weights:tensor(i) end

---@return table<string, string>   the file's metadata
function Weights:meta() end

---Whether the file is still what it was when it was opened.
---@return true? unchanged, string? message   it was cut or overwritten
function Weights:unchanged() end

---Unmaps the file.
function Weights:release() end

---Writes a safetensors file.
---@param path string
---@param tensors table[]      {{name, tensor}, ...}
---@param dtype "f32"|"f16"
---@param meta? table<string, string>
---@return boolean? ok, string? message
function core.write_weights(path, tensors, dtype, meta) end


-- pictures ---------------------------------------------------------------------

---Pictures of 8-bit RGB; colours are 0xRRGGBB, coordinates count from 0.
core.image = {}

---A picture of 8-bit RGB.
---@class lunette.Image
local Image = {}

---Reads a JPEG, PNG or BMP file.
---@param path string
---@return lunette.Image? image, table|string info   or nil and a message
function core.image.load(path) end

---The same from bytes.
---@param bytes string
---@param name? string   for messages
---@return lunette.Image? image, table|string info
function core.image.decode(bytes, name) end

---An empty picture.
---@param width integer
---@param height integer
---@param colour? integer   0
---@return lunette.Image
function core.image.new(width, height, colour) end

---Pictures to a tensor, preprocessed.
---@param images lunette.Image[]
---@param prep? { mean?: number[], std?: number[], scale?: number, bgr?: boolean }
---@return lunette.Tensor   (N,3,H,W)
function core.image.to_planes(images, prep) end

---The way back.
---@param t lunette.Tensor   (3,H,W)
---@param prep? table
---@return lunette.Image
function core.image.from_planes(t, prep) end

---Least and greatest value, and how many are not finite.
---@param t lunette.Tensor
---@return number least, number greatest, integer bad
function core.image.range(t) end

---The p-th percentile of the absolute values.
---@param t lunette.Tensor
---@param p number   0 .. 100
---@return number
function core.image.percentile(t, p) end

---Resizes maps as Pillow would.
---@param t lunette.Tensor   (...,H,W)
---@param height integer
---@param width integer
---@param filter? string   "bilinear"
---@return lunette.Tensor
function core.image.resize_map(t, height, width, filter) end

---Colours a map.
---@param t lunette.Tensor   (H,W)
---@param colours string     256 RGB triples
---@param lo number
---@param hi number
---@return lunette.Image
function core.image.colormap(t, colours, lo, hi) end

---Width of a text in pixels.
---@param size number   height of the letters
---@param text string
---@return integer
function core.image.text_width(size, text) end

---Room a text needs above and below its base line.
---@param size number
---@return integer above, integer below
function core.image.text_height(size) end

---@return integer width, integer height
function Image:size() end

---@param x integer
---@param y integer
---@return integer colour
function Image:get(x, y) end

---A resized copy, as Pillow would make it.
---@param width integer
---@param height integer
---@param filter? string   "bilinear"
---@return lunette.Image
function Image:resize(width, height, filter) end

---A part as a picture of its own.
---@param left integer
---@param top integer
---@param width integer
---@param height integer
---@return lunette.Image
function Image:crop(left, top, width, height) end

---Fills a rectangle.
---@param x integer
---@param y integer
---@param width integer
---@param height integer
---@param colour integer
---@return lunette.Image self
function Image:fill(x, y, width, height, colour) end

---Lays another picture over this one.
---@param other lunette.Image
---@param x integer
---@param y integer
---@return lunette.Image self
function Image:paste(other, x, y) end

---Mixes another picture in.
---@param other lunette.Image
---@param x integer
---@param y integer
---@param alpha number   0 .. 1
---@return lunette.Image self
function Image:blend(other, x, y, alpha) end

---Makes it grey.
---@return lunette.Image self
function Image:grey() end

---Writes a text whose base line starts at (x, y).
---@param x integer
---@param y integer
---@param size number
---@param colour integer
---@param text string
---@param turned? boolean   upwards
---@return lunette.Image self
function Image:text(x, y, size, colour, text, turned) end

---The bytes of a PNG file.
---@param texts? string[]   {key, value, ...}
---@return string
function Image:png(texts) end

---The bytes of a file: PNG with texts, JPEG (quality 95, colours at full size) or BMP.
---@param format "png"|"jpg"|"jpeg"|"bmp"
---@param texts? string[]   key, value, key, value ... (PNG alone has room for them)
---@return string
function Image:encode(format, texts) end

---Gives the memory back.
function Image:release() end


-- the engine as a whole -----------------------------------------------------------

---Memory of the engine in bytes.
---@return { live: integer, peak: integer, cached: integer, blocks: integer, system: integer }
function core.memory() end

---Starts the peak anew.
function core.reset_peak() end

---Gives cached memory back to the system.
function core.trim() end

---Sets the soft limit above which garbage is collected.
---@param bytes? integer
---@return integer before
function core.memory_limit(bytes) end

---Sets how many bytes tensors and the pool of freed ones may take together before the
---pool gives back to the system what it would keep. Tensors may take more.
---@param bytes? integer   nil: any number
---@return integer? before
function core.memory_ceiling(bytes) end

---Sets the number of threads. Results have the same bits for any number.
---@param n? integer   1 .. 64
---@return integer before
function core.threads(n) end

---Where the C module was loaded from.
---@return string? path   absolute
function core.library() end

---@class lunette.Process
local Process = {}

---Starts another program, without a shell; the path is taken as it is.
---@param path string
---@param arguments string[]
---@param input? string        what it reads on its stdin
---@return lunette.Process? process, string? message
function core.spawn(path, arguments, input) end

---Reads what it says to the end and waits for it.
---@return string said
---@return integer code   exit code; 128 + the signal that ended it
function Process:finish() end

---For tests: the nth allocation from now on fails.
---@param nth integer      0: none
---@return integer left    how far off the one was that was asked for last: 0, it came
function core.fail_at(nth) end

---Interrupts what is being computed, or takes that back.
---@param on? boolean   true
function core.interrupt(on) end

---Makes Ctrl-C the error "interrupted"; with "commands" only inside core.protect.
---@param on boolean|"commands"
function core.catch_signals(on) end

---Seconds since the last Ctrl-C.
---@return number?
function core.interrupted_at() end

---Runs f as one command of a session: Ctrl-C ends it, whatever it catches itself.
---@param f function
---@param ... any
---@return boolean? ok   true, results; false, message, traceback; nil, "interrupted"
function core.protect(f, ...) end

---Seconds of a clock that only goes forward.
---@return number
function core.clock() end

---Whether a file descriptor is a terminal.
---@param fd integer
---@return boolean
function core.is_tty(fd) end

---Size of a terminal in characters and, where it says so, in pixels.
---@param fd? integer   1
---@return integer? columns, integer? rows, integer? across, integer? down
function core.term_size(fd) end

---Asks the terminal something.
---@param question string
---@param last string          the character that ends its answer
---@param milliseconds integer how long to wait
---@return string? answer
function core.term_ask(question, last, milliseconds) end

---Writes a set of files: all of them whole, or none. Old files stay until then, links
---are followed, what is no regular file (/dev/null, a FIFO) is written to as it is.
---@param list { [1]: string, [2]: string }[]   path and bytes of each
---@return true? ok, string? message
function core.write_files(list) end

---Whether all that was printed has arrived.
---@return true? ok, string? message
function core.flush_output() end

---JSON by jansson; use lunette.base.json, which walks tables.
core.json = {}

---JSON text of one scalar; floats with the fewest digits that give the same bits.
---@param value number|string|boolean
---@return string? text, string? message   nil for NaN, infinities and what is no UTF-8
function core.json.scalar(value) end

---Reads JSON text: at most 4 MiB, 100 levels deep, no key twice.
---@param text string
---@param arrays? table   metatable for arrays
---@return any value, string? message   null is a light userdata
function core.json.decode(text, arrays) end

---What the library of matrix products says of itself. Opens it, which takes longer
---than the rest of the program's start; else the first product does.
---@return string   "OpenBLAS 0.3.21 ..."
function core.blas() end

---Facts for bug reports.
---@return { version: string, commit: string, compiler: string, isa: string, threads: integer }
function core.build() end

return core
