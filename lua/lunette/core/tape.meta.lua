---@meta _
---Tapes and backward passes.

---@class lunette.core
local core = {}

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
