---A ranking as tables: means with intervals, ranks, failed sanity checks, agreement of
---the measures.
local bootstrap = require "lunette.rank.bootstrap"
local chart = require "lunette.rank.chart"
local measures = require "lunette.rank.measures"
local strict = require "lunette.base.strict"

local M = {}

local DRAWS = 1000
local SAME = 0.05 -- a similarity so close to the noise floor fails a sanity check

---Measures that the chart and the shorter table show, one or two of each group.
local charted = { energy = true, auc_roc = true, energy_other = true, deletion = true,
                  insertion = true, road = true, random_logit = true,
                  parameter_randomization = true, seconds = true }

---@class lunette.RankReport
---@field pictures integer
---@field measures lunette.Measure[]      those that have values
---@field means table<string, table>      by measure and method
---@field order string[]                  methods, the best by the first measure first
---@field failed table<string, string[]>  method -> the sanity checks that it fails
---@field controls table<string, boolean>
---@field note string
---@field few boolean                     of too few pictures to be sure of anything
local Report = strict.class("report", {})
Report.__index = Report


---The raw rows as values[measure][method][picture number], and of how many maps a
---measure says nothing: missing[measure][method].
local function tabulated(rows)
  local t = { methods = {}, measures = {}, pictures = 0, values = {}, missing = {} }
  local number, known = {}, {}
  for _, r in ipairs(rows) do
    if not number[r.picture] then
      t.pictures = t.pictures + 1
      number[r.picture] = t.pictures
    end
    if not known[r.method] then
      known[r.method] = true
      t.methods[#t.methods + 1] = r.method
    end
    local one = t.values[r.measure] or {}
    t.values[r.measure] = one
    one[r.method] = one[r.method] or {}
    one[r.method][number[r.picture]] = r.value
    local none = t.missing[r.measure] or {}
    t.missing[r.measure] = none
    none[r.method] = (none[r.method] or 0) + (r.value and 0 or 1)
  end
  return t
end


---The methods at least half of whose maps are the same everywhere.
local function flat_ones(t)
  local failed = {}
  for method, values in pairs(t.values.flat or {}) do
    local n, all = 0, 0
    for _, v in pairs(values) do n, all = n + v, all + 1 end
    if 2 * n >= all then failed[method] = { "flat" } end
  end
  return failed
end


---The sanity checks that each method fails: its map for another class, or with other
---weights, is as similar as under faint noise; or its maps say nothing.
local function failures(means, t)
  local failed, floor = flat_ones(t), means.noise or {}
  for measure, words in pairs { random_logit = "class",
                                parameter_randomization = "weights" } do
    for method, m in pairs(means[measure] or {}) do
      local noise = floor[method] and floor[method].mean or 1
      if m.mean >= noise - SAME then
        failed[method] = failed[method] or {}
        table.insert(failed[method], words)
      end
    end
  end
  for _, list in pairs(failed) do table.sort(list) end
  return failed
end


---The measures that have values, in the order of measures.lua; seconds last.
local function present(t)
  local list = {}
  for _, m in ipairs(measures.list) do
    if t.values[m.name] then list[#list + 1] = m end
  end
  if t.values.seconds then
    list[#list + 1] = { name = "seconds", title = "seconds a map", group = "time",
                        better = "lower" }
  end
  return list
end


---A list of names, those of `all` behind it that it has not.
local function completed(list, all)
  local known = {}
  for _, name in ipairs(list) do known[name] = true end
  for _, name in ipairs(all) do
    if not known[name] then list[#list + 1] = name end
  end
  return list
end


---@param rows table[]                       of lunette.RankValues
---@param controls table<string, boolean>
---@param o? { seed?: integer, note?: string }
---@return lunette.RankReport
function M.new(rows, controls, o)
  o = o or {}
  local t = tabulated(rows)
  local draws = bootstrap.draws(t.pictures, DRAWS, o.seed or 0)
  local self = setmetatable({ pictures = t.pictures, measures = present(t), means = {},
                              controls = controls, note = o.note or "",
                              few = t.pictures < bootstrap.least }, Report)
  for _, m in ipairs(self.measures) do
    self.means[m.name] = bootstrap.means(t, m.name, draws)
    for name, found in pairs(self.means[m.name]) do
      found.missing = t.missing[m.name][name]
    end
    local names = m.better and bootstrap.rank(self.means[m.name], m.better)
    self.order = self.order or names
  end
  self.order = completed(self.order or {}, t.methods)
  self.failed = failures(self.means, t)
  return self
end


local function number(v)
  local size = math.abs(v)
  return size >= 100 and ("%.0f"):format(v) or size >= 10 and ("%.1f"):format(v)
    or ("%.2f"):format(v)
end


local function cell(m)
  if not m then return "" end
  local missing = m.missing > 0 and (", %d missing"):format(m.missing) or ""
  if not m.low then return number(m.mean) .. missing end
  return ("%s [%s, %s]%s"):format(number(m.mean), number(m.low), number(m.high),
                                  missing)
end


---The names of a table's rows: methods first, those that fail sanity below them, the
---controls last; each part by the first measure.
---@return string[]
function Report:rows()
  local parts = { {}, {}, {} }
  for _, name in ipairs(self.order) do
    local part = self.controls[name] and 3 or self.failed[name] and 2 or 1
    table.insert(parts[part], name)
  end
  local list = {}
  for _, part in ipairs(parts) do table.move(part, 1, #part, #list + 1, list) end
  return list
end


---Lines of a table below its two of heads: a row's name, a cell for each measure, and
---the checks that it fails.
---@param self lunette.RankReport
---@param out string[]         the heads; the lines are added
---@param list lunette.Measure[]
---@param quote string         around the names of methods
---@param text_of fun(mean: table?, measure: lunette.Measure): string
---@return string
local function table_of(self, out, list, quote, text_of)
  for _, name in ipairs(self:rows()) do
    local around = self.controls[name] and "*" or quote
    local text = { ("| %s%s%s |"):format(around, name, around) }
    for _, m in ipairs(list) do
      text[#text + 1] = (" %s |"):format(text_of(self.means[m.name][name], m))
    end
    local failed = table.concat(self.failed[name] or {}, ", ")
    out[#out + 1] = table.concat(text) .. (" %s |"):format(failed)
  end
  return table.concat(out, "\n")
end


---The table of means with intervals; "missing": maps of which the measure says nothing,
---such as where a map of zeros has its mass.
---@return string
function Report:markdown()
  local head, line = { "| method |" }, { "| --- |" }
  for _, m in ipairs(self.measures) do
    local arrow = { higher = " ↑", lower = " ↓" }
    head[#head + 1] = (" %s%s |"):format(m.title, arrow[m.better] or "")
    line[#line + 1] = " ---: |"
  end
  local out = { table.concat(head) .. " fails |", table.concat(line) .. " --- |" }
  return table_of(self, out, self.measures, "", cell)
end


---A mean as a cell: what ranks methods with half the width of its interval.
local function brief_cell(m, measure)
  if not m then return "" end
  local half = measure.better and measure.group ~= "time" and m.low
    and (" ±%.2f"):format((m.high - m.low) / 2) or ""
  local missing = m.missing > 0 and (", %d missing"):format(m.missing) or ""
  return ("%.2f%s%s"):format(m.mean, half, missing)
end


---A shorter table: one or two measures of each group, ± half the intervals' width.
---@return string
function Report:brief()
  local head, line, list = "| method |", "|---|", {}
  for _, m in ipairs(self.measures) do
    if charted[m.name] or m.group == "steadiness" then
      list[#list + 1] = m
      local arrow = m.group ~= "time" and ({ higher = " ↑", lower = " ↓" })[m.better]
      head = head .. (" %s%s |"):format(m.title, arrow or "")
      line = line .. "---:|"
    end
  end
  local out = { head .. " fails |", line .. "---|" }
  return table_of(self, out, list, "`", brief_cell)
end


---For each measure the first method, the interval of its rank, and the methods that are
---not significantly behind it.
---@return string
function Report:leaders()
  local out = { "| measure | first | place of 95 % of draws | not surely behind it |",
                "| --- | --- | --- | --- |" }
  for _, m in ipairs(self.measures) do
    local means = m.better and self.means[m.name]
    local best
    for _, name in ipairs(means and self.order or {}) do
      local here = means[name] and not self.controls[name]
      if here and (not best or means[name].place < means[best].place) then
        best = name
      end
    end
    if best then out[#out + 1] = self:leader_line(m, best) end
  end
  return table.concat(out, "\n")
end


---@private
function Report:leader_line(m, best)
  local means, near = self.means[m.name], {}
  for _, name in ipairs(self.order) do
    local here = name ~= best and means[name]
    if here and not bootstrap.differ(means[best], means[name]) then
      near[#near + 1] = name
    end
  end
  local shown = table.concat(near, ", ", 1, math.min(#near, 6))
  if #near > 6 then shown = ("%s and %d more"):format(shown, #near - 6) end
  local low, high = means[best].place_low, means[best].place_high
  local place = low and ("%g to %g"):format(low, high) or ""
  return ("| %s | %s | %s | %s |"):format(m.title, best, place, shown)
end


---Kendall's tau-b of two measures over the methods, with its interval, as a cell.
---@private
function Report:agreement_cell(a, b)
  local sign = a.better == b.better and 1 or -1
  local tau, low, high = bootstrap.agreement(self.means[a.name], self.means[b.name],
                                             sign)
  if tau ~= tau then return "  |" end -- fewer than two methods
  return low and (" %.2f [%.2f, %.2f] |"):format(tau, low, high)
    or (" %.2f |"):format(tau)
end


---Kendall's tau-b between every two measures over the methods, with intervals.
---@return string
function Report:agreement()
  local list = {}
  for _, m in ipairs(self.measures) do
    if m.better and m.group ~= "time" then list[#list + 1] = m end
  end
  local head, line = "| |", "| --- |"
  for k = 2, #list do
    head, line = head .. (" %s |"):format(list[k].title), line .. " ---: |"
  end
  local out = { head, line }
  for i = 1, #list - 1 do
    local text = ("| %s |"):format(list[i].title)
    for k = 2, #list do
      text = text .. (k > i and self:agreement_cell(list[i], list[k]) or "  |")
    end
    out[#out + 1] = text
  end
  return table.concat(out, "\n")
end


---What a table has to say of itself, or nil: of a few pictures it is sure of nothing.
---@return string?
function Report:caveat()
  if not self.few then return nil end
  return ("%s: of fewer than %d there are no intervals, and nothing is sure."):format(
    require("lunette.base.text").count(self.pictures, "picture"), bootstrap.least)
end


---An end of an interval, where there is one.
local function end_of(v) return v and ("%.6g"):format(v) or "" end


---The means as CSV: method, measure, mean, low, high, place, its ends, share of draws
---in which it is first, checks that it fails, maps of which the measure says nothing.
---@return string
function Report:csv()
  local out = { "method,measure,mean,low,high,place,place_low,place_high,first,"
    .. "fails,missing" }
  for _, name in ipairs(self:rows()) do
    for _, m in ipairs(self.measures) do
      local v = self.means[m.name][name]
      if v then
        out[#out + 1] = ("%s,%s,%.6g,%s,%s,%s,%s,%s,%s,%s,%d"):format(name, m.name,
          v.mean, end_of(v.low), end_of(v.high), v.place or "", v.place_low or "",
          v.place_high or "",
          v.first and ("%.3f"):format(v.first) or "",
          table.concat(self.failed[name] or {}, " "), v.missing)
      end
    end
  end
  return table.concat(out, "\n") .. "\n"
end


---The chart as an image.
---@param title string
---@return userdata
function Report:chart(title)
  local bars, panels = {}, {}
  for k, name in ipairs(self:rows()) do
    bars[k] = { name = name, control = self.controls[name],
                failed = self.failed[name] ~= nil }
  end
  for _, m in ipairs(self.measures) do
    if charted[m.name] then
      panels[#panels + 1] = { title = m.title, better = m.better,
                              means = self.means[m.name] }
    end
  end
  return chart.draw(title, bars, panels)
end

return M
