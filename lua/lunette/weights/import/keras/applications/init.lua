---Networks of keras.applications in files of weights alone: known by the names of
---their layers, all of which must be there and none left over. What a config would say
---is made here, without numbers of channels: any width is read.
local graph = require "lunette.weights.import.keras.applications.graph"
local heads = require "lunette.weights.import.heads"
local modules = require "lunette.weights.import.modules"
local named = require "lunette.models.named"
local weights = require "lunette.weights.import.keras.weights"

local M = {}

---@class lunette.keras.Application
---@field build fun(g: lunette.keras.Graph, has: fun(layer: string): boolean)
---@field side? integer     default 224
---@field logits? string    the layer that gives the classes, where `top` is no Dense
---@field top? fun(g: lunette.keras.Graph, last: string)   the head: gets the activation
---@field last? integer     channels before the head; tells two of one depth
---@field pooled? fun(has: fun(layer: string): boolean): boolean   does what `build`
---  makes end with the mean over places?
---@field input? fun(has: fun(layer: string): boolean): string?   what is assumed of its
---  first layers

---@type table<string, lunette.keras.Application>
local rows, names = {}, {}
for _, file in ipairs { "xception", "inception", "mobilenet", "efficientnet",
                        "efficientnet_v2", "convnext", "nasnet" } do
  local family = require("lunette.weights.import.keras.applications." .. file)
  for name, row in pairs(family) do rows[name], names[#names + 1] = row, name end
end
table.sort(names)


---An application's name without what tells the two ways of naming layers apart.
local function plain(name) return (name:gsub("|", "")) end


local function bare(name) return (name:lower():gsub("[%s_./-]", "")) end


---The name of an application, however it is written: "NASNetMobile" is "nasnet_mobile".
---@param name string
---@return string?
function M.resolve(name)
  for _, one in ipairs(names) do
    if bare(plain(one)) == bare(name) then return plain(one) end
  end
  return nil
end


-- what a file holds ----------------------------------------------------------------


---The layers of a file: which there are, those with Keras' own names in their order,
---the dense ones as modules, and how many others.
local function layers_of(tensors)
  local found = { there = {}, counted = { conv2d = {}, batch_normalization = {},
                  layer_normalization = {} }, dense = {}, others = 0 }
  local w = weights(tensors)
  for _, t in ipairs(w.list) do
    local folder = t.name:match "^(.*)/[^/]+$"
    if folder and not found.there[folder] and #t.shape > 0 then
      found.there[folder] = t
      local name = folder:match "[^/]+$"
      local kind = name:match "^(.-)_?%d*$"
      if found.counted[kind] then table.insert(found.counted[kind], name) end
      found.others = found.others + 1
    end
    if folder and #t.shape == 2 then
      local at = #found.dense + 1
      found.dense[at] = { name = folder:match "[^/]+$", folder = folder,
                          params = { weight = { shape = { t.shape[2], t.shape[1] } } } }
      found.others = found.others - 1
    end
  end
  for _, list in pairs(found.counted) do table.sort(list, modules.before) end
  found.suffixes = w.by_suffix
  return found
end


---Is there a layer of that name, whatever it lies in?
local function has_layer(found, name)
  for _, slot in ipairs { "kernel", "depthwise_kernel", "gamma", "beta", "mean",
                          "Variable", "variable" } do
    if found.suffixes[name .. "/" .. slot] then return true end
  end
  return false
end


-- one application ------------------------------------------------------------------


---Classes of layers that have weights; those that Keras' own names are looked up of by
---what these begin with. (Dense layers are counted apart: see layers_of.)
local with_weights = { Conv2D = "conv2d", DepthwiseConv2D = "", SeparableConv2D = "",
                       BatchNormalization = "batch_normalization", LayerScale = "",
                       LayerNormalization = "layer_normalization" }


---Has a call weights in the file?
local function is_weighted(call)
  return with_weights[call.class] ~= nil
    or call.class == "Normalization" and not call.config.mean
end


---Gives the layers with Keras' own names those that they have in the file, in order.
---False where there are more or fewer.
local function rename(calls, counted)
  local at = { conv2d = 0, batch_normalization = 0, layer_normalization = 0 }
  for _, call in ipairs(calls) do
    local kind = call.counted and with_weights[call.class]
    if kind then
      at[kind] = at[kind] + 1
      call.path2 = { counted[kind][at[kind]] }
      if #call.path2 == 0 then return false end
    end
  end
  for kind, n in pairs(at) do
    if n ~= #counted[kind] then return false end
  end
  return true
end


---Are these calls' layers those of the file, dense ones left aside?
local function is_whole(calls, found)
  if not rename(calls, found.counted) then return false end
  local n = 0
  for _, call in ipairs(calls) do
    local weighted = is_weighted(call)
    if weighted or call.class == "Dense" then
      if not has_layer(found, call.path2[1]) then return false end
      n = n + (weighted and 1 or 0)
    end
  end
  return n == found.others
end


---The file's dense layers that are none of these calls'.
local function dense_beside(calls, found)
  local inside, list = {}, {}
  for _, call in ipairs(calls) do
    if call.class == "Dense" then inside[call.name] = true end
  end
  for _, m in ipairs(found.dense) do
    if not inside[m.name] then list[#list + 1] = m end
  end
  return list
end


---The graph of an application, with the file's head where that is its own.
local function graph_of(row, found, given, last)
  local side = row.side or 224
  local g = graph(given.side or { side, side })
  row.build(g, function(name) return has_layer(found, name) end)
  local is_own = row.logits ~= nil and has_layer(found, row.logits)
  if is_own then row.top(g, last) end
  return g, is_own
end


---Applications whose layers are those of the file.
local function fitting(found, given)
  local list = {}
  for _, name in ipairs(names) do
    local asked = not given.arch or given.arch == plain(name)
    local g = asked and graph_of(rows[name], found, given, "linear")
    if g and is_whole(g.calls, found) then list[#list + 1] = name end
  end
  return list
end


---Of those of the same layers the one whose last channels are as many.
local function by_width(list, found)
  local top = found.suffixes["top_bn/gamma"]
  for _, name in ipairs(list) do
    if top and top[1].shape[1] == rows[name].last then return name end
  end
  return list[1]
end


-- the head -------------------------------------------------------------------------


---What ends a network of so many units, as `--last` or the habit says.
local function last_of(units, given, assumed)
  if given.last then return "linear" end -- which is put behind it (finish)
  if units == 1 then
    assumed[#assumed + 1] = "its one output is a value: no sigmoid behind it "
      .. "(--last sigmoid)"
    return "linear"
  end
  assumed[#assumed + 1] = ("a softmax over its %d outputs (--last)"):format(units)
  return "softmax"
end


---The mean over places, unless it was taken, and the dense layers of the file.
local function add_dense(g, list, o, found)
  local last = o.last
  if not o.pooled then g:add("GlobalAveragePooling2D", {}, nil, "avg_pool") end
  for i, m in ipairs(list) do
    g:add("Dense", { activation = i == #list and last or "relu",
                     use_bias = found.suffixes[m.name .. "/bias"] ~= nil }, nil, m.name)
  end
end


---Units of the file's last layer; 0: it has no head.
local function units_of(row, list, found)
  local logits = row.logits and found.suffixes[row.logits .. "/kernel"]
  return #list > 0 and heads.size(list[#list]) or logits and logits[1].shape[4] or 0
end


---What each application may be, one after the other: with its own head or without, with
---means in the file or without.
---@return fun(): lunette.keras.Call[]?
function M.each()
  return coroutine.wrap(function()
    for _, name in ipairs(names) do
      local row = rows[name]
      for _, has in ipairs { true, false } do
        for _, top in ipairs { true, row.top and false } do
          local g = graph { row.side or 224, row.side or 224 }
          local function has_layer_of() return has end
          row.build(g, has_layer_of)
          if row.top and top then row.top(g, "linear") end
          g.calls.last = row.last
          g.calls.pooled = row.pooled and row.pooled(has_layer_of)
          coroutine.yield(g.calls)
        end
      end
    end
  end)
end


---@class lunette.keras.Known
---@field name string
---@field model table        as config.read gives one
---@field units integer      of the last layer; 0: it has no head
---@field assumed string[]

---The one whose layers are those of the file; nil: none, and why where one was asked
---for that is nothing else.
local function name_of(found, given)
  local name = found.others >= 20 and by_width(fitting(found, given), found)
  if name then return name end
  local only = M.resolve(given.arch or "") and not named.resolve(given.arch)
  return nil, only and ("its layers are not those of Keras' %s"):format(given.arch)
    or nil
end


---The application that a file's weights are of; nil: of none, and why where one was
---asked for that is nothing else.
---@param tensors lunette.import.Tensor[]
---@param given lunette.import.Given
---@return lunette.keras.Known?, string? message
function M.find(tensors, given)
  local found = layers_of(tensors)
  local name, why = name_of(found, given)
  if not name then return nil, why end
  local row, assumed = rows[name], { ("%s as Keras has it (--arch)"):format(
    plain(name)) }
  local body = graph_of(row, found, given, "linear")
  local list = heads.in_order(dense_beside(body.calls, found), 1, given)
  local units = units_of(row, list, found)
  local last = units > 0 and last_of(units, given, assumed) or "linear"
  local g, is_own = graph_of(row, found, given, last)
  rename(g.calls, found.counted)
  local function has(layer) return has_layer(found, layer) end
  if #list > 0 and not is_own then
    add_dense(g, list, { last = last, pooled = row.pooled and row.pooled(has) }, found)
  end
  assumed[#assumed + 1] = row.input and row.input(has)
  assumed[#assumed + 1] = heads.assumption(list, {})
  if not given.side then
    local side = row.side or 224
    assumed[#assumed + 1] = ("input %dx%d (--side)"):format(side, side)
  end
  return { name = plain(name), units = units, assumed = assumed,
           model = { name = plain(name), calls = g.calls, outputs = { g.last } } }
end

return M
