---The measures of a ranking: metrics with fixed options, one number for each map. A
---measure that needs a mask is left out where there is none.
local alike = require "lunette.explain.alike"
local asking = require "lunette.explain.asking"
local copies = require "lunette.explain.copies"
local faint = require "lunette.explain.faint"
local metrics = require "lunette.metrics"

local M = {}

---@class lunette.RankSubject
---@field map lunette.Tensor        (1,H,W) of the picture's size
---@field run lunette.Run           of the picture alone
---@field class integer             that is explained
---@field mask? lunette.Tensor      (1,H,W)
---@field other? lunette.Tensor     (1,H,W) of another object in the picture
---@field explain fun(run: lunette.Run, o: table): lunette.Tensor

---@class lunette.Measure
---@field name string
---@field title string
---@field group string              what it looks at
---@field better? "higher"|"lower"
---@field mask? "mask"|"other"      what it needs
---@field options? table            of the metric, written beside the values
---@field value fun(s: lunette.RankSubject): number


---A metric that needs a mask.
local function masked(name, opts, which)
  local row = metrics[name]
  which = which or "mask"
  local other = which == "other"
  return { name = other and name .. "_other" or name, mask = which, options = opts,
           title = other and "energy on the other" or row.title:gsub(" %%$", ""),
           better = other and "lower" or row.better,
           group = other and "contrast" or "on the object",
           value = function(s) return (row(s.map, s[which], opts)) end }
end


---A metric that asks the network for the class's probability.
local function asked(name, opts)
  local row = metrics[name]
  return { name = name, title = row.title, better = row.better, options = opts,
           group = "faithfulness", value = function(s)
    local o = { score = s.class }
    for key, v in pairs(opts) do o[key] = v end
    return (row(s.map, s.run, o))
  end }
end


---A sanity check, which calls the method again. It rejects and does not rank (Binder et
---al. 2023): noise would be first.
local function sane(name, title, opts, more)
  local row = metrics[name]
  return { name = name, title = title, options = opts, group = "sanity",
           value = function(s)
    local o = { score = s.class, method = s.explain }
    for key, v in pairs(opts) do o[key] = v end
    for key, v in pairs(more and more(s) or {}) do o[key] = v end
    return (row(s.map, s.run, o))
  end }
end


local function upper(s)
  return { layers = copies.upper(s.run.net, s.run.output_layer) }
end


---How alike the map is to itself when the picture gets faint noise: the floor of the
---sanity checks.
local function noise_floor(s)
  local x, list = s.run.images, {}
  local noise = faint(x)
  for k = 1, 2 do
    local run <close> = s.run.net:run(x + noise(0, k, x:shape()),
                                      { modifiers = s.run.modifiers })
    local map = s.explain(run, { score = s.class })
    list[k] = alike.of("ssim", s.map[1], alike.plane(map[1]:detach()))
  end
  return asking.mean(list)
end


---All measures, in the order of a table's columns.
---@type lunette.Measure[]
M.list = {
  masked("energy"), masked("relevance_rank"), masked("auc_roc"),
  masked("pointing", { tolerance = 15 }), masked("energy", nil, "other"),
  asked("deletion", { steps = 16, baseline = "mean" }),
  asked("insertion", { steps = 16, baseline = "blur" }),
  asked("road", { percentiles = { 80, 90 }, noise = 0, close = 1e-2 }),
  sane("random_logit", "another class", { count = 2 }),
  sane("parameter_randomization", "other weights", { how = "together" }, upper),
  { name = "noise", title = "faint noise", group = "steadiness",
    value = noise_floor },
  { name = "sparseness", title = "sparseness", group = "size",
    value = function(s) return (metrics.sparseness(s.map)) end },
}


---The measures whose masks a case has.
---@param names? string[]        these alone
---@param has table<string, any>  mask, other
---@return lunette.Measure[]
function M.of(names, has)
  local wanted, list = nil, {}
  if names then
    wanted = {}
    for _, name in ipairs(names) do wanted[name] = true end
  end
  for _, m in ipairs(M.list) do
    local here = not m.mask or has[m.mask]
    if here and (not wanted or wanted[m.name]) then list[#list + 1] = m end
  end
  return list
end


---@return string[]
function M.names()
  local list = {}
  for k, m in ipairs(M.list) do list[k] = m.name end
  return list
end

return M
