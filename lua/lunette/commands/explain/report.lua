---What `lunette explain` says: text, or with --json a line for every picture; with
---`--quiet` no text and no warnings, but failures. What could not be explained is kept
---for the end.
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local records = require "lunette.commands.explain.record"
local text = require "lunette.base.text"
local warn = require "lunette.base.warn"

---@class lunette.ExplainReport
---@field bad table[]   {picture =, error =} of each that could not be explained
local Report = {}
Report.__index = Report


---@param o { json?: boolean, quiet?: boolean }
---@return lunette.ExplainReport
function Report.new(o)
  return setmetatable({ json = o.json, silent = o.quiet or o.json, quiet = o.quiet,
                        bad = {}, told = {} }, Report)
end


---A line of text for people.
---@param line string
function Report:say(line)
  if not self.silent then text.say(line) end
end


local function put_line(record)
  io.stdout:write(json.encode(record), "\n")
  io.stdout:flush()
end


---The line of a picture: its keys are in byte order, as everywhere.
local function put_record(run, map, record, written)
  record.model, record.method = run.net.name, map.story.method
  record.layer = map.story.layer
  record.files = json.array { table.unpack(written) }
  put_line(record)
end


---What an output says of a picture: its classes in lines, or its number.
local function say_row(run, output, row, indent)
  if records.is_number(run, output) then
    return text.say(("%s%10.4g"):format(indent, row[1].score))
  end
  for _, c in ipairs(row) do
    text.say(indent .. require("lunette.net.report").class_text(c, run:kind(output)))
  end
end


---The outputs that have classes, with the five most probable ones of every picture; of
---the others it is said that they have none.
local function ranked(run, names)
  local heads = {}
  for _, name in ipairs(names) do
    local list, message = records.classes(run, 5, name)
    if not list then text.say(message .. "; --class N means its channel N, from 0") end
    heads[#heads + 1] = list and { name = name, list = list }
  end
  return heads
end


---The five most probable classes of every picture of a run: of one output, or of all.
---@param run lunette.Run
---@param head? string   which of several outputs
function Report:top(run, head)
  if self.silent then return end
  local names = head and { head } or run.output_names
  local heads, indent = ranked(run, names), #names > 1 and "    " or "  "
  for i = 1, #heads > 0 and run:count() or 0 do
    text.say(run.images.names[i])
    for _, h in ipairs(heads) do
      if #names > 1 then text.say("  " .. h.name) end
      say_row(run, h.name, h.list[i], indent)
    end
  end
end


---What was written for the pictures of a run.
---@param run lunette.Run
---@param map lunette.Tensor
---@param path string        the picture
---@param written string[]   all files
function Report:wrote(run, map, path, written)
  self:say("wrote " .. path)
  if not self.json then return end
  for _, record in ipairs(records.of(run, map)) do
    put_record(run, map, record, written)
  end
end


---A picture that could not be explained.
---@param picture string
---@param message string
function Report:failed(picture, message)
  local entry = { picture = picture, error = message }
  self.bad[#self.bad + 1] = entry
  if self.json then put_line(entry) end
  text.complain(message)
end


---Calls f; each warning is told once, with the picture that it came with first.
---@param picture string
---@param f function
---@param ... any
---@return any ...   what f returns
function Report:collecting(picture, f, ...)
  local sink = warn.sink
  return warn.during(function(message)
    if not self.told[message] and not self.quiet then
      sink(("%s: %s"):format(picture, message))
    end
    self.told[message] = (self.told[message] or 0) + 1
  end, f, ...)
end


---One line that says what was drawn.
---@param o table
---@param net lunette.Net
---@param story table
function Report:headline(o, net, story)
  local line = o.method .. " of " .. net.name
  if story.layer then line = line .. ", layer " .. story.layer end
  local several = type(story.score) == "table" and table.concat(story.score, " ")
  if story.score then line = line .. ", score " .. (several or story.score) end
  for _, name in ipairs(story.modifiers or {}) do
    local n = (story.changed_nodes or {})[name]
    line = line .. ", " .. name .. (n and n > 1 and (" (%d nodes)"):format(n) or "")
  end
  self:say(line)
end


---What relu threw away of a class activation map, where that is worth a line.
---@param share any
function Report:lost(share)
  if type(share) ~= "number" or share < 0.005 then return end
  self:say(("%.0f %% of the map was negative, against the class; --raw shows "
            .. "it"):format(100 * share))
end


---How far the sums of complete maps are from the score's rise over the baseline.
---@param deltas any   of a story
function Report:off(deltas)
  if type(deltas) ~= "table" then return end
  local worst = 0
  for _, d in ipairs(deltas) do worst = math.max(worst, math.abs(d)) end
  self:say(("completeness: %.2g is the most that a map's sum is off the score's rise "
            .. "over the baseline"):format(worst))
end


---Checks the maps where that is asked for, and says what is found.
---@param o table
---@param run lunette.Run
---@param map lunette.Tensor   its story gets what is found
---@return table? checks       of `lunette.trust`
function Report:check(o, run, map)
  if not o.trust then return nil end
  local checks = require("lunette.trust").of(map, run)
  self:say(tostring(checks))
  map.story.trust = checks.images
  return checks
end


---Writes what could not be explained to FOLDER/errors.jsonl; where all could, a list of
---an earlier call goes.
---@param folder string
---@return true? ok, string? message
function Report:write_errors(folder)
  local path = folder:gsub("/+$", "") .. "/errors.jsonl"
  if #self.bad == 0 then
    os.remove(path)
    return true
  end
  local lines = {}
  for i, entry in ipairs(self.bad) do lines[i] = json.encode(entry) .. "\n" end
  local ok, message = files.write(path, table.concat(lines))
  if ok then self:say("wrote " .. path) end
  return ok and true, message
end

return Report
