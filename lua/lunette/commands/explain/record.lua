---What is known of one picture that was explained, as JSON has it: for --json, and for
---the .json beside a canvas.
local json = require "lunette.base.json"
local stories = require "lunette.explain.story"

local M = {}


---The classes of every picture, or nil and why the network has none.
---@param run lunette.Run
---@param k integer   the most probable
---@return table[][]? list, string? message
function M.classes(run, k)
  local ok, list = pcall(run.top, run, k)
  if ok then return list end
  return nil, (tostring(list):gsub("^top: ", ""))
end


---What map `at` explains, where that is a class: its id, name, and what it comes to.
---@param run lunette.Run
---@param map lunette.Tensor
---@param all table[][]?   all classes of every picture
---@param at integer       of the maps, whose k-th n are the k-th of every picture
---@return table?
function M.class_of(run, map, all, at)
  return stories.class_of(map.story, all and all[(at - 1) % run:count() + 1], at)
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
local function explained(run, map, all)
  local lists, n = {}, run:count()
  for i = 1, n do lists[i] = json.array {} end
  for at = 1, n * (map.story.maps or 1) do
    local c, list = M.class_of(run, map, all, at), lists[(at - 1) % n + 1]
    if c then list[#list + 1] = class_record(c) end
  end
  return lists
end


---One table for every picture of a run: its name, the classes that its maps explain,
---the five most probable ones.
---@param run lunette.Run
---@param map lunette.Tensor
---@return table[]
function M.of(run, map)
  local all, list = M.classes(run, math.maxinteger), {}
  local classes = explained(run, map, all)
  for i = 1, run:count() do
    local top = json.array {}
    for k, c in ipairs(all and all[i] or {}) do
      if k <= 5 then top[k] = class_record(c) end
    end
    list[i] = { picture = run.images.names[i], explained = classes[i], top = top }
  end
  return list
end

return M
