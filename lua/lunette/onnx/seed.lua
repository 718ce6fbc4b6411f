---The seed of a traced backward pass: the gradient of the score with respect to the
---output. The class is fixed, found in the file (the largest output) or an input of the
---file.
local blame = require "lunette.base.blame"
local classes = require "lunette.score.classes"
local core = require "lunette.core"
local gradient = require "lunette.trace.gradient"
local labels = require "lunette.score.labels"
local probability = require "lunette.score.probability"
local trace = require "lunette.trace"

local M = {}

---Values of `class` besides an id or a name.
M.PREDICTED, M.INPUT = "predicted", "input"


---The id of a fixed class.
local function id_of(net, what, count)
  local id = math.tointeger(tonumber(what))
  if not id then
    local message
    id, message = labels.find(what, net)
    if not id then blame(message) end
  end
  local ok, message = classes.check_range({ id }, count, net.name)
  return ok and id or blame(message)
end


---Class ids of a batch (N), or the number of a fixed class.
---@param run table         the traced run
---@param what any          "predicted", "input", an id or a name
---@param values lunette.Traced   (N,K), whose largest is "predicted"
---@return lunette.Traced|integer
local function class_of(run, what, values)
  local count = values:dim(2)
  if what == M.INPUT then
    run.class_input = run.class_input or trace.leaf("class", { trace.BATCH })
    return run.class_input
  end
  if what ~= M.PREDICTED then return id_of(run.net, what, count) end
  if not run.predicted then
    run.predicted = trace.special("argmax", { values }, {}, { trace.BATCH })
  end
  return run.predicted
end


---1 at the class, 0 elsewhere: (N,K), or (1,K) of a fixed class.
local function one_hot(class, count)
  if trace.is(class) then
    return trace.special("one_hot", { class }, {}, { trace.BATCH, count })
  end
  local t = core.zeros(1, count)
  t:set(1, class + 1, 1)
  return trace.of(t)
end


---The seed of a single unit for two classes: +1 for class 1, -1 for class 0.
local function sign_of(run, what, output, layer)
  local middle = probability.kind(run.net, layer) == "binary" and 0.5 or 0
  if what == M.PREDICTED then return output:gt(middle) * 2 - 1 end
  if what == M.INPUT then
    blame "class = input: the network has one unit; give the class, 0 or 1"
  end
  return trace.filled(id_of(run.net, what, 2) * 2 - 1, output:shape())
end


---The gradient of the class's value with respect to the scored output.
---@param run table
---@param what any
---@param output lunette.Traced   (N,K), (N,K,H,W), or one unit a sample
---@param layer lunette.Layer     whose output it is
---@return lunette.Traced seed    as output
function M.of_class(run, what, output, layer)
  if output:size() == trace.BATCH and probability.binary(run.net, layer) then
    return sign_of(run, what, output, layer)
  end
  local maps = output:dim() == 4
  local values = maps and output:mean { dims = { 3, 4 } } or output
  if values:dim() ~= 2 then
    blame(("%s: its output '%s' is no list of classes"):format(run.net.name,
          layer.name))
  end
  local hot = one_hot(class_of(run, what, values), values:dim(2))
  if not maps then return hot:expand { shape = output:shape() } end
  local area = output:dim(3) * output:dim(4)
  return (hot * (1 / area)):reshape { hot:dim(1), hot:dim(2), 1, 1 }
    :expand { shape = output:shape() }
end


---The gradient of any score with respect to the scored output.
---@param run table
---@param score lunette.Score
---@param output lunette.Traced
---@param layer lunette.Layer
---@return lunette.Traced seed
function M.of_score(run, score, output, layer)
  if score.classes then
    local list = classes.list(score.classes)
    if #list > 1 then blame "a file that is baked explains one class, not a list" end
    if run.of then return run:seed_of_copies(list[1], output, layer) end
    return M.of_class(run, list[1], output, layer)
  end
  local value = score.fn(output, run, score, layer)
  if not trace.is(value) then
    blame(("score '%s' cannot be traced"):format(score.name))
  end
  local per = value:size() // trace.BATCH
  return gradient.of(value, trace.filled(1 / per, value:shape()), { output })[1]
    or blame(("score '%s' does not depend on the output"):format(score.name))
end

return M
