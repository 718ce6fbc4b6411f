---The plan of a sweep: every picture of a list with every job, a job being a method
---with its options, layer and class. It depends on the list and the sweep's table
---alone, so that every shard computes the same plan.
local core = require "lunette.core"
local json = require "lunette.base.json"
local labels = require "lunette.score.labels"
local methods = require "lunette.methods"
local options = require "lunette.base.options"
local suggest = require "lunette.base.suggest"

local M = {}

---@class lunette.SweepJob
---@field method string
---@field layer? string
---@field class? string|integer   a class, or "predicted"
---@field modifiers string[]
---@field options table           all others

---@class lunette.SweepPlan
---@field paths string[]     the list, each path once
---@field again integer      repeated lines of the list, which are left out
---@field jobs lunette.SweepJob[]
---@field pictures table     fit, filter, orient
---@field text string        JSON of all that determines the results but the pictures

local keys = { model = true, methods = true, layers = true, classes = true,
               modifiers = true, fit = true, filter = true, orient = true }


---Reads the table that a Lua file returns.
---@param path string
---@return table? spec, string? message
function M.read(path)
  local f, message = loadfile(path, "t")
  if not f then return nil, message end
  local ok, spec = pcall(f)
  if not ok then return nil, tostring(spec) end
  if type(spec) ~= "table" then
    return nil, ("%s returns a %s; expected a table { methods = { \"gradcam\" }, ... }"
      ):format(path, type(spec))
  end
  for key in pairs(spec) do
    if not keys[key] then
      local known = {}
      for name in pairs(keys) do known[#known + 1] = name end
      table.sort(known)
      return nil, ("%s: unknown key '%s'%s (there are: %s)"):format(path, tostring(key),
        suggest.after(tostring(key), known), table.concat(known, ", "))
    end
  end
  return spec
end


---A list, of a list, a single value or nil (the default).
local function list_of(value, default)
  if value == nil then return default end
  return type(value) == "table" and value or { value }
end


---The name and own options of an entry of `methods`: "gradcam", or
---{ "saliency", smooth_samples = 8 }.
local function entry(value)
  if type(value) ~= "table" then return value, {} end
  local own = {}
  for key, v in pairs(value) do
    if key ~= 1 then own[key] = v end
  end
  return value[1], own
end


local function row_of(name)
  if methods[name] then return methods[name] end
  error(("method '%s' not found%s"):format(tostring(name), suggest.after(tostring(name),
    require("lunette.base.rows").names(methods))), 0)
end


---The values of a property by which jobs differ; {false}: the method does not have it.
local function choices(has, own, common, default)
  if not has then return { false } end
  return list_of(own, list_of(common, default))
end


---Adds the jobs of one method: one for each of its layers and classes.
local function expand(jobs, spec, name, own)
  local row = row_of(name)
  local has = row.options
  local layers = choices(has.layer, own.layer, spec.layers, { false })
  local classes = choices(has.score and not own.classes and not own.top, own.class,
                          spec.classes, { "predicted" })
  local mods = choices(has.modifiers, own.modifiers, spec.modifiers, {})
  if not has.modifiers then mods = {} end
  own.layer, own.class, own.modifiers = nil, nil, nil
  options.check(row.name, own, has)
  for _, layer in ipairs(layers) do
    for _, class in ipairs(classes) do
      jobs[#jobs + 1] = { method = name, layer = layer or nil, class = class or nil,
                          modifiers = json.array { table.unpack(mods) }, options = own }
    end
  end
end


---Raises for a class name that the network does not have.
local function check_class(net, class)
  if class == nil or class == "predicted" then return end
  if not net.labels and math.tointeger(tonumber(class)) then return end
  local id, message = labels.find(class, net)
  if not id then error(message, 0) end
end


local function check_layer(net, name)
  if name == nil or name == "last" then return end
  local layer, message = net:activated(name)
  if not layer then error(message, 0) end
end


local function make_jobs(spec, net)
  local jobs = {}
  for _, value in ipairs(list_of(spec.methods, { "gradcam" })) do
    expand(jobs, spec, entry(value))
  end
  local seen = {}
  for _, job in ipairs(jobs) do
    check_layer(net, job.layer)
    check_class(net, job.class)
    local text = json.encode(job)
    if seen[text] then error("twice in the sweep: " .. text, 0) end
    seen[text] = true
  end
  if #jobs == 0 then error("a sweep of no method", 0) end
  return jobs
end


---Each path once, and the number of repetitions.
local function unique(lines)
  local paths, seen = {}, {}
  for _, path in ipairs(lines) do
    if not seen[path] then paths[#paths + 1] = path end
    seen[path] = true
  end
  return paths, #lines - #paths
end


---The plan of a sweep.
---@param spec table        see docs/sweeps.md
---@param net lunette.Net
---@param weights string    SHA-256 of the model's file
---@param lines string[]    the list
---@return lunette.SweepPlan? plan, string? message   of an unknown name
function M.make(spec, net, weights, lines)
  local ok, jobs = pcall(make_jobs, spec, net)
  if not ok then return nil, jobs end
  local paths, again = unique(lines)
  local build = core.build()
  local pictures = { fit = spec.fit, filter = spec.filter, orient = spec.orient }
  local text
  ok, text = pcall(json.encode, {
    jobs = json.array(jobs), pictures = pictures, weights_sha256 = weights,
    model = net.name, version = build.version, commit = build.commit,
    list_sha256 = core.sha256(table.concat(paths, "\n")), paths = #paths,
  }, { indent = 2 })
  if not ok then return nil, "options of a sweep are plain values: " .. text end
  return { paths = paths, again = again, jobs = jobs, pictures = pictures,
           text = text .. "\n", weights = weights }
end

return M
