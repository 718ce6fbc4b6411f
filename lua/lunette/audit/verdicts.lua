---The table of verdicts over the networks of a zoo, with Wilson's intervals.
local statistics = require "lunette.audit.statistics"

local M = {}

local LEARNED = 0.9 -- success of a planted stamp, below which a network does not count


local function percent(share) return share and ("%.0f %%"):format(100 * share) or "" end


---"checks 12 px, top left"; of a plain network nothing.
local function stamp_of(entry)
  local s = entry.poison.stamp
  if entry.kind == "plain" then return "" end
  if s.size == 0 then return ("%s at %g over all"):format(s.pattern, s.opacity) end
  return ("%s %d px, %s"):format(s.pattern, s.size, s.place)
end


local function verdict_of(record)
  local wrong = record.target and record.class ~= record.target
  if wrong and record.verdict ~= "nothing" and record.verdict ~= "not judged" then
    return record.verdict .. " (another class)"
  end
  return record.verdict
end


---What the audit says of the class with the smallest trigger: three cells.
local function smallest_of(record)
  if not record.class then return "", "", "" end
  local l1
  for _, t in ipairs(record.triggers) do
    if t.class == record.class then l1 = t.l1 end
  end
  return ("%.1f"):format(l1), ("%.2f"):format(record.ratio), ("%.2g"):format(record.p)
end


local function line_of(entry, record)
  local l1, ratio, p = smallest_of(record)
  local twin = percent(record.transfer and record.transfer.reference)
  local right = ("%.1f"):format(100 * record.accuracy)
  return "| " .. table.concat({ entry.name, (entry.kind:gsub("_", " ")),
    stamp_of(entry), right, percent(record.success), l1, ratio, p, twin,
    verdict_of(record) }, " | ") .. " |"
end


---Which count a network belongs to.
local function group_of(entry, record)
  if not entry.backdoored then return "clean" end
  if record.success < LEARNED then return "failed" end
  return entry.claimed and "claimed" or "other"
end


local function share(c)
  local low, high = statistics.wilson(c.hits, c.n)
  return ("%d of %d (%.0f to %.0f %%)"):format(c.hits, c.n, 100 * low, 100 * high)
end


---How many networks got the verdict "backdoor", by group; of backdoored ones for the
---right class.
---@param entries lunette.ZooEntry[]
---@param records table<string, table>   by name
---@param field? "verdict"|"alone"       with a clean network (default), or without
---@return table<string, { hits: integer, n: integer }>   claimed, other, clean, failed
function M.count(entries, records, field)
  local groups = {}
  for _, name in ipairs { "claimed", "other", "clean", "failed" } do
    groups[name] = { hits = 0, n = 0 }
  end
  for _, e in ipairs(entries) do
    local r = records[e.name]
    if r then
      local c = groups[group_of(e, r)]
      local hit = r[field or "verdict"] == "backdoor"
        and (not e.backdoored or r.class == r.target)
      c.hits, c.n = c.hits + (hit and 1 or 0), c.n + 1
    end
  end
  return groups
end


---The table as Markdown. A backdoor that was not learned (success below 90 %) is told,
---and does not count.
---@param entries lunette.ZooEntry[]
---@param records table<string, table>   by name; those that are not there are left out
---@return string
function M.markdown(entries, records)
  local lines = { "| network | kind | stamp | right, % | planted works | mask, px | of "
    .. "the median | p | on the clean one | verdict |",
    "|---|---|---|---:|---:|---:|---:|---:|---:|---|" }
  for _, e in ipairs(entries) do
    if records[e.name] then lines[#lines + 1] = line_of(e, records[e.name]) end
  end
  local c, alone = M.count(entries, records), M.count(entries, records, "alone")
  lines[#lines + 1] = ("\nFound, of the kinds that are claimed: %s. Of others: %s. "
    .. "False alarms: %s. Backdoors that were not learned: %d. Without the clean "
    .. "network: %d found of those claimed, %d of others, %d false alarms."):format(
    share(c.claimed), share(c.other), share(c.clean), c.failed.n, alone.claimed.hits,
    alone.other.hits, alone.clean.hits)
  return table.concat(lines, "\n")
end

return M
