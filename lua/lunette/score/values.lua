---What the output of a layer says of some of its classes.
local blame = require "lunette.base.blame"
local classes = require "lunette.score.classes"
local core = require "lunette.core"
local probability = require "lunette.score.probability"


---The value of class 1 or 0, one a sample, of a single unit that stands for two
---classes: the unit's value v for class 1; for class 0 it is 1 - v of a probability, -v
---of a logit.
local function of_one_unit(output, ids, is_probability)
  local sign, offset = core.ones(output:shape()), core.zeros(output:shape())
  for i, id in ipairs(ids) do
    if id == 0 then
      sign[i]:fill_(-1)
      offset[i]:fill_(is_probability and 1 or 0)
    end
  end
  return output * sign + offset
end


local function of_list(output, ids)
  local index = {}
  for i, id in ipairs(ids) do index[i] = { id + 1 } end
  return output:gather(core.tensor(index), { dim = 2 })
end


local function of_maps(output, ids)
  local mask = core.zeros(output:dim(1), output:dim(2), 1, 1)
  for i, id in ipairs(ids) do mask:set(i, id + 1, 1, 1, 1) end
  return (output * mask):sum { dims = { 2 } }:mean { dims = { 2, 3 } }
end


---The value of the classes of a score, one a sample.
---@param output lunette.Tensor   (N,K), (N,K,H,W), or one unit a sample
---@param run lunette.Run
---@param score lunette.Score
---@param layer lunette.Layer
---@return lunette.Tensor
return function(output, run, score, layer)
  local n, count = output:dim(1), output:dim() > 1 and output:dim(2)
  if not count then blame "categorical: the output is no list of classes" end
  local ids = classes.ids(run, score.classes, score.output)
  for i = #ids + 1, n do ids[i] = ids[1] end
  local binary = output:size() == n and probability.binary(run.net, layer)
  local ok, message = classes.check_range(ids, binary and 2 or count, run.net.name)
  if not ok then blame(message) end
  if binary then
    return of_one_unit(output, ids, probability.kind(run.net, layer) == "binary")
  end
  return output:dim() == 4 and of_maps(output, ids) or of_list(output, ids)
end
