---Checks that a sweep is complete: every picture has for every job exactly one verified
---result or one recorded error. Then writes the tables, which do not depend on the
---number of shards.
local core = require "lunette.core"
local files = require "lunette.base.files"
local before = require("lunette.base.text").before
local json = require "lunette.base.json"
local lfs = require "lfs"
local manifest = require "lunette.sweep.manifest"
local result = require "lunette.sweep.result"

local M = {}

---@class lunette.Merge
---@field folder string
---@field paths string[]
---@field jobs lunette.SweepJob[]
---@field results table[]     the lines of results.jsonl, in the list's order
---@field errors table[]      {path, job, error}
---@field missing table[]     {path, job}
---@field damaged string[]    what is wrong


---The sweep's plan and list, as its shards wrote them.
local function read_plan(folder)
  local text, message = files.read(folder .. "/sweep.json")
  if not text then
    return nil, ("%s is no sweep's folder: %s"):format(folder, message)
  end
  local plan
  plan, message = json.decode(text)
  if type(plan) ~= "table" or type(plan.jobs) ~= "table" then
    return nil, ("%s/sweep.json: %s"):format(folder, message or "holds no jobs")
  end
  local list
  list, message = files.read(folder .. "/list.txt")
  if not list then return nil, message end
  local paths = {}
  for path in list:gmatch "[^\n]+" do paths[#paths + 1] = path end
  if core.sha256(table.concat(paths, "\n")) ~= plan.list_sha256 then
    return nil, folder .. "/list.txt is not the list that the sweep began with"
  end
  return plan, nil, paths
end


---The manifest entries by picture and job.
local function by_place(entries)
  local places = {}
  for _, entry in ipairs(entries) do
    local key = ("%s\n%s"):format(entry.path, entry.job)
    places[key] = places[key] or {}
    table.insert(places[key], entry)
  end
  return places
end


---The entry that counts for a picture and job. Several shards may have verified the
---same result; a result outweighs an earlier error; two different results are an error.
---@return lunette.SweepEntry? one, string? message
local function one_of(entries)
  local one
  for _, entry in ipairs(entries) do
    if entry.name and one and one.name and one.name ~= entry.name then
      return nil, ("%s has two results: %s and %s"):format(entry.path, one.name,
        entry.name)
    end
    if not one or entry.name and not one.name then one = entry end
  end
  return one
end


---Verifies a result: of this picture and job, and unchanged since its shard wrote it.
local function check_result(m, entry, job)
  local sums, message, record = result.verify(m.folder, entry.name)
  if not sums then return nil, message end
  if sums.json_sha256 ~= entry.json_sha256 or sums.npy_sha256 ~= entry.npy_sha256 then
    return nil, entry.name .. ": not what the manifest says"
  end
  if record.path ~= entry.path or json.encode(record.job) ~= json.encode(job) then
    return nil, entry.name .. ": is of another picture or job"
  end
  return record
end


---What is kept of a verified result: its line of results.jsonl, not its whole record,
---which is many times that.
local function result_line(entry, record)
  return { path = entry.path, job = entry.job, name = entry.name,
           json_sha256 = entry.json_sha256, npy_sha256 = entry.npy_sha256,
           method = record.job.method, layer = record.story.layer,
           explained = record.explained, first = record.top[1], least = record.least,
           greatest = record.greatest, mean = record.mean }
end


local function add_place(m, path, k, entries)
  local one, message = nil, nil
  if entries then one, message = one_of(entries) end
  if message then
    table.insert(m.damaged, message)
  elseif not one then
    table.insert(m.missing, { path = path, job = k })
  elseif one.error then
    table.insert(m.errors, { path = path, job = k, error = one.error })
  else
    local record
    record, message = check_result(m, one, m.jobs[k])
    if record then
      table.insert(m.results, result_line(one, record))
    else
      table.insert(m.damaged, message)
    end
  end
end


---Reads all manifests and verifies all results.
---@param folder string
---@return lunette.Merge? m, string? message   nil: it is no sweep's folder
function M.check(folder)
  local plan, message, paths = read_plan(folder)
  if not plan then return nil, message end
  local entries
  entries, message = manifest.read_all(folder)
  if not entries then return nil, message end
  local places = by_place(entries)
  local m = { folder = folder, paths = paths, jobs = plan.jobs, results = {},
              errors = {}, missing = {}, damaged = {} }
  for _, path in ipairs(paths) do
    for k in ipairs(m.jobs) do
      add_place(m, path, k, places[("%s\n%d"):format(path, k)])
    end
  end
  return m
end


-- tables ---------------------------------------------------------------------------


local function lines_of(list)
  local lines = {}
  for i, value in ipairs(list) do lines[i] = json.encode(value) .. "\n" end
  return table.concat(lines)
end


---Sums over the results of a job.
local function row_of(m, k)
  local row = { results = 0, errors = 0, first = 0, with_class = 0, p = 0, with_p = 0,
                mean = 0 }
  for _, r in ipairs(m.results) do
    local c = r.explained
    if r.job == k then
      row.results, row.mean = row.results + 1, row.mean + r.mean
      if c and c.probability then
        row.with_p, row.p = row.with_p + 1, row.p + c.probability
      end
      if c then row.with_class = row.with_class + 1 end
      if c and r.first and r.first.class == c.class then row.first = row.first + 1 end
    end
  end
  for _, e in ipairs(m.errors) do
    if e.job == k then row.errors = row.errors + 1 end
  end
  return row
end


local function mean_text(sum, n) return n > 0 and ("%.6g"):format(sum / n) or "-" end


---The summary: a row for every job, its columns apart by tabulators.
---@param m lunette.Merge
---@return string
function M.summary(m)
  local lines = { "job\tmethod\tlayer\tclass\tmodifiers\toptions\tresults\terrors\t"
                  .. "mean_probability\tis_first\tmean_of_maps" }
  for k, job in ipairs(m.jobs) do
    local row = row_of(m, k)
    local options = next(job.options) and json.encode(job.options) or "-"
    local modifiers = #job.modifiers > 0 and table.concat(job.modifiers, ",") or "-"
    lines[#lines + 1] = table.concat({ k, job.method, job.layer or "-",
      job.class or "-", modifiers, options, row.results, row.errors,
      mean_text(row.p, row.with_p), mean_text(row.first, row.with_class),
      mean_text(row.mean, row.results) }, "\t")
  end
  return table.concat(lines, "\n") .. "\n"
end


---Writes results.jsonl, errors.jsonl and summary.tsv.
---@param m lunette.Merge
---@return string? tree   SHA-256 of all names and sums, or nil and a message
---@return string? message
function M.write(m)
  local sums = {}
  for _, r in ipairs(m.results) do
    sums[#sums + 1] = ("%s  %s.json"):format(r.json_sha256, r.name)
    sums[#sums + 1] = ("%s  %s.npy"):format(r.npy_sha256, r.name)
  end
  local set = { { m.folder .. "/results.jsonl", lines_of(m.results) },
                { m.folder .. "/errors.jsonl", lines_of(m.errors) },
                { m.folder .. "/summary.tsv", M.summary(m) } }
  local ok, message = files.write_set(set)
  if not ok then return nil, message end
  for _, file in ipairs(set) do
    sums[#sums + 1] = ("%s  %s"):format(core.sha256(file[2]), file[1]:match "[^/]*$")
  end
  table.sort(sums, before)
  return core.sha256(table.concat(sums, "\n"))
end


-- files of no result ----------------------------------------------------------------


---Removes partial files of killed writers, and counts files that belong to no result
---(those of pictures that have changed since).
---@param m lunette.Merge
---@return integer strays
function M.tidy(m)
  local known, strays, root = {}, 0, m.folder .. "/results"
  for _, r in ipairs(m.results) do
    known[r.name .. ".json"], known[r.name .. ".npy"] = true, true
  end
  if lfs.attributes(root, "mode") ~= "directory" then return 0 end
  for sub in lfs.dir(root) do
    local folder = root .. "/" .. sub
    if sub:find "^%x%x$" and lfs.attributes(folder, "mode") == "directory" then
      for name in lfs.dir(folder) do
        if name:find "^%..*%.lunette%-%d+$" then
          os.remove(folder .. "/" .. name)
        elseif name:sub(1, 1) ~= "." and not known[("results/%s/%s"):format(sub, name)]
        then
          strays = strays + 1
        end
      end
    end
  end
  return strays
end

return M
