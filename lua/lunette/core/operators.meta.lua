---@meta _
---Operators: methods of tensors, and core.ops.NAME(tensors..., attributes...).

---@class lunette.core
local core = {}

---@class lunette.Tensor
local Tensor = {}

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

---gelu(x, approximate = none): x Phi(x), Phi the normal distribution (by erf); tanh:
---x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
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

---hard_sigmoid(x, alpha = 1/6, beta = 1/2): alpha x + beta, at least 0 and at most 1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:hard_sigmoid(...) end

---hard_swish(x): x hard_sigmoid(x), 0 below -3, x above 3
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:hard_swish(...) end

---identity(x): x, as a node of its own
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:identity(...) end

---index_select(x, index, dim): the index'th slices, counted from 1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:index_select(...) end

---irfft2(s (..,2H,W//2+1), width): what rfft2 made s of; width: W, unless it is even
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:irfft2(...) end

---rfft2(x (..,H,W)): half of the Fourier transform, (..,2H,W//2+1), real parts above
---imaginary parts
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:rfft2(...) end

---affine(x (N,C,H,W), matrix, value, mirror, shift): the output at p from the centre is
---x at M p + shift, bilinear; outside it is value, or mirrored
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

---max_pool2d_places(x, kernel, stride = kernel, padding, padding_end, ceil_mode,
---dilation): where in the image (C,H,W) the first maximum of each window is, counted
---from 1
---@param ... any   other operands, then attributes by position or in a table
---@return lunette.Tensor
function Tensor:max_pool2d_places(...) end

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
