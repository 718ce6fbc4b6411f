---What is known of one picture that was explained, as JSON has it: for --json, and for
---the .json beside a canvas.
local json = require "lunette.base.json"
local stories = require "lunette.explain.story"

local M = {}


---The classes of every picture, or nil and why the output has none.
---@param run lunette.Run
---@param k integer         the most probable
---@param output? string    of several
---@return table[][]? list, string? message
function M.classes(run, k, output)
  local ok, list = pcall(run.top, run, k, output)
  if ok then return list end
  return nil, (tostring(list):gsub("^top: ", ""))
end


---Is an output one number that is no probability?
---@param run lunette.Run
---@param output? string
---@return boolean
function M.is_number(run, output)
  local layer = run.output_layers[output] or run.output_layer
  return run:kind(output) == "values" and #layer.shape == 1 and layer.shape[1] == 1
end


---The output that map `at` explains.
local function output_of(run, story, at)
  local name = story.output
  if type(name) == "table" then name = name[(at - 1) // run:count() + 1] end
  return run.outputs[name] and name or nil
end


---All classes of every picture by output, ranked when they are asked for.
---@param run lunette.Run
---@return table<string, table[][]|false>   "": the first output
function M.rankings(run)
  return setmetatable({}, { __index = function(known, output)
    local name = output ~= "" and output or nil
    known[output] = M.classes(run, math.maxinteger, name) or false
    return known[output]
  end })
end


---What map `at` explains, where that is a class, or an output that is one number: its
---id, name, and what it comes to.
---@param run lunette.Run
---@param map lunette.Tensor
---@param rankings table   of M.rankings
---@param at integer       of the maps, whose k-th n are the k-th of every picture
---@return table?
function M.class_of(run, map, rankings, at)
  local output = output_of(run, map.story, at)
  local all = rankings[output or ""]
  local c = stories.class_of(map.story, all and all[(at - 1) % run:count() + 1], at)
  if c and #run.output_names > 1 and M.is_number(run, output) then
    return { class = c.class, name = output, score = c.score }
  end
  return c
end


---Numbers that JSON lacks as text.
local function number(v)
  if v and (v ~= v or v == math.huge or v == -math.huge) then return tostring(v) end
  return v
end


---A class of `run:top()` as JSON has it.
local function class_record(c)
  return { class = c.class, name = c.name, probability = number(c.probability),
           score = number(c.score) }
end


---The classes that the maps of every picture explain.
local function explained(run, map, rankings)
  local lists, n = {}, run:count()
  for i = 1, n do lists[i] = json.array {} end
  for at = 1, n * (map.story.maps or 1) do
    local c, list = M.class_of(run, map, rankings, at), lists[(at - 1) % n + 1]
    if c then list[#list + 1] = class_record(c) end
  end
  return lists
end


---One table for every picture of a run: its name, the classes that its maps explain,
---the five most probable ones of that output, and its name where there are several.
---@param run lunette.Run
---@param map lunette.Tensor
---@return table[]
function M.of(run, map)
  local rankings, list = M.rankings(run), {}
  local output = output_of(run, map.story, 1)
  local all, classes = rankings[output or ""], explained(run, map, rankings)
  for i = 1, run:count() do
    local top = json.array {}
    for k, c in ipairs(all and all[i] or {}) do
      if k <= 5 then top[k] = class_record(c) end
    end
    list[i] = { picture = run.images.names[i], explained = classes[i], top = top,
                output = #run.output_names > 1 and output or nil }
  end
  return list
end

return M
