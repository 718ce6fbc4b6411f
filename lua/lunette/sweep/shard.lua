---A shard of a sweep: its pictures, one at a time, so that results do not depend on the
---order, the other pictures or the number of processes.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local files = require "lunette.base.files"
local manifest = require "lunette.sweep.manifest"
local methods = require "lunette.methods"
local result = require "lunette.sweep.result"
local unsoftened = require "lunette.explain.unsoftened"
local warn = require "lunette.base.warn"

local M = {}

---@class lunette.Shard
---@field plan lunette.SweepPlan
---@field net lunette.Net
---@field folder string
---@field manifest lunette.SweepManifest
---@field counts { made: integer, there: integer, errors: integer }


---What a method is called with.
local function call_options(job, run)
  local row, opts = methods[job.method], {}
  for key, value in pairs(job.options) do opts[key] = value end
  opts.layer = job.layer
  if row.options.score and job.class ~= nil then opts.score = job.class end
  if row.options.modifiers then
    opts.modifiers = unsoftened(run.output_layer, job.modifiers)
  end
  return opts
end


---The class that a map explains, with its probability or score.
local function explained(map, ranking)
  local id = (map.story.classes or {})[1]
  for _, c in ipairs(id and ranking or {}) do
    if c.class == id then return c end
  end
  return id and { class = id } or nil
end


---The record of a map, without the weights' path on this machine.
local function record_of(shard, path, sum, job, map, run)
  local ok, all = pcall(run.top, run, math.maxinteger)
  local ranking, s, story = ok and all[1] or {}, map:stats(), {}
  for key, value in pairs(map.story) do story[key] = value end
  story.weights, story.weights_sha256 = nil, shard.plan.weights
  return { path = path, picture_sha256 = sum, job = job, story = story,
           model = shard.net.name, explained = explained(map, ranking),
           top = { table.unpack(ranking, 1, 5) }, shape = map:shape(),
           least = s.min, greatest = s.max, mean = s.mean }
end


---Computes and writes one result.
---@return lunette.SweepFiles? sums, string? message   a message is an error of the file
---  system; what a method raises is raised
local function make(shard, path, sum, job, name, run)
  local warnings = {}
  local map = warn.during(function(message) warnings[#warnings + 1] = message end,
                          methods[job.method], run, call_options(job, run))
  if not map:stats().finite then error("the map holds NaN or infinity", 0) end
  local record = record_of(shard, path, sum, job, map, run)
  record.warnings = #warnings > 0 and warnings or nil
  local sums, message = result.write(shard.folder, name, map, record)
  map:release()
  return sums, message
end


---Manifest entries that say of every job of a picture why it failed.
local function entries_of_errors(shard, path, message)
  local entries = {}
  for k in ipairs(shard.plan.jobs) do
    entries[k] = { path = path, job = k, error = message }
  end
  return entries
end


---The run of a picture, or nil and a message.
local function run_of(shard, path)
  local p = shard.plan.pictures
  local images, message = shard.net:images { image = { path }, fit = p.fit,
    filter = p.filter, orient = p.orient }
  if not images then return nil, message end
  return shard.net:run(images)
end


---Is it an error of the machine's, not of the picture's? Such a result is tried again.
local function is_out_of_memory(message)
  return message:find "out of memory" or message:find "not enough memory"
end


---Makes one result of a picture; its error is an entry too.
local function attempt(shard, path, sum, k, name, run)
  local ok, sums, message = pcall(make, shard, path, sum, shard.plan.jobs[k], name, run)
  if ok and not sums then return nil, message, "write" end
  if ok then
    shard.counts.made = shard.counts.made + 1
    return { path = path, job = k, name = name, json_sha256 = sums.json_sha256,
             npy_sha256 = sums.npy_sha256 }
  end
  message = blame.bare(sums)
  if is_out_of_memory(message) then return nil, message, "memory" end
  return { path = path, job = k, error = message }
end


---All results of a picture: existing ones are verified, the others computed.
---@return lunette.SweepEntry[]? entries, string? message, string? what   "write" or
---  "memory"
local function picture(shard, path)
  local bytes, message = files.read(path)
  if not bytes then
    return entries_of_errors(shard, path, message)
  end
  local sum, entries, run = core.sha256(bytes), {}, nil
  for k, job in ipairs(shard.plan.jobs) do
    local name = result.name(shard.plan, path, sum, job)
    local sums = result.verify(shard.folder, name)
    if sums then
      shard.counts.there = shard.counts.there + 1
      entries[k] = { path = path, job = k, name = name,
                     json_sha256 = sums.json_sha256, npy_sha256 = sums.npy_sha256 }
    else
      if not run then run, message = run_of(shard, path) end
      if not run then return entries_of_errors(shard, path, message) end
      local what
      entries[k], message, what = attempt(shard, path, sum, k, name, run)
      if what then return nil, message, what end
    end
  end
  if run then run:release() end
  return entries
end


---Adds a picture's entries to the manifest.
local function note(shard, entries)
  for _, entry in ipairs(entries) do
    if entry.error then shard.counts.errors = shard.counts.errors + 1 end
    local ok, message = shard.manifest:add(entry)
    if not ok then return nil, message end
  end
  return true
end


---Processes one picture; SIGTERM, SIGUSR1 and the deadline can end that.
---@return "stopped"|"write"|"memory"|nil what, string? message
local function step(shard, path)
  local ended, entries, message, what = core.protect(picture, shard, path)
  if ended == nil then
    return "stopped", core.stop_asked() or "interrupted"
  end
  if not ended then error(entries, 0) end
  if not entries then return what, message end
  local ok
  ok, message = note(shard, entries)
  if not ok then return "write", message end
  return nil
end


---Computes the pictures i, i + n, i + 2n ... of the list, i from 0.
---@param plan lunette.SweepPlan
---@param net lunette.Net
---@param folder string
---@param i integer
---@param n integer
---@return { made: integer, there: integer, errors: integer } counts
---@return "stopped"|"write"|"memory"|nil what   why it ended before the end
---@return string? message
function M.run(plan, net, folder, i, n)
  local shard = { plan = plan, net = net, folder = folder,
                  manifest = manifest.new(folder, i, n),
                  counts = { made = 0, there = 0, errors = 0 } }
  local count = (#plan.paths - i + n - 1) // n
  local bar <close> = require("lunette.base.progress").start("sweep", count)
  local what, message
  for at = i + 1, #plan.paths, n do
    if core.stop_asked() then
      what, message = "stopped", core.stop_asked()
    else
      what, message = step(shard, plan.paths[at])
    end
    if what then break end
    collectgarbage() -- else pictures' garbage waits for the soft limit
    bar:add(1)
  end
  local ok, why = shard.manifest:flush()
  if not ok and not what then what, message = "write", why end
  return shard.counts, what, message
end

return M
