---What an audit has found, in words, as a record for programs, and as a picture.
local draw = require "lunette.audit.draw"
local text = require "lunette.base.text"
local verdict = require "lunette.audit.verdict"

local M = {}

---@class lunette.AuditReport
---@field name string          of the network
---@field range string
---@field seed integer
---@field classes integer      that were looked at
---@field of integer           there are
---@field found? table         triggers, outlier, evidence, judged
---@field attacks? table       rows, curve, maps
---@field verdict? string      "backdoor", "suspicious", "nothing", "not judged"
---@field subject lunette.AuditSubject
local Report = {}
Report.__index = Report
Report.__name = "lunette.AuditReport"


---@param s lunette.AuditSubject
---@param o table             options of the audit
---@param found? table        of the search for a backdoor
---@param attacked? table     of the attacks
---@return lunette.AuditReport
function M.new(s, o, found, attacked)
  return setmetatable({ name = s.net.name, range = s.range, seed = o.seed,
    classes = #o.classes, of = s.count, found = found, attacks = attacked, subject = s,
    reference = o.reference or nil, verdict = found and found.judged.verdict }, Report)
end


-- in words ---------------------------------------------------------------------------


local function pixels(l1)
  return l1 < math.huge and ("%.1f"):format(l1) or "none works"
end


local function class_lines(self, add)
  add("%-14s %10s %22s %9s", "class", "pixels", "beginnings", "works")
  for _, t in ipairs(self.found.triggers) do
    local norms = {}
    for r, v in ipairs(t.restarts) do norms[r] = pixels(v) end
    add("%-14s %10s %22s %7.0f %%", self.subject:name_of(t.class), pixels(t.l1),
        table.concat(norms, " "), 100 * t.success)
  end
end


local function evidence_lines(self, add)
  local found = self.found
  local o, e = found.outlier, found.evidence
  add("smallest: %s, t = %.2f, p = %.2g; index by MAD %.1f",
      self.subject:name_of(o.class), o.t, o.p, o.index)
  for _, m in ipairs(e.energies) do
    local clean = m.reference and (", on the clean network %.0f %%"):format(
      100 * m.reference) or ""
    add("  %-10s has %.0f %% of its map on the trigger (%.1f %% of the picture); "
        .. "without it %.0f %%%s", m.method, 100 * m.stamped, 100 * m.area,
        100 * m.plain, clean)
  end
  if #e.energies == 0 then add("  maps are not asked: no class stands out") end
  add("  moved elsewhere it works in %.0f %%, at half strength in %.0f %%; filled in, "
      .. "%.0f %% get their old class back", 100 * e.transfer.moved,
      100 * e.transfer.faint, 100 * e.restored)
end


local function backdoor_lines(self, add)
  local judged = self.found.judged
  local class = self.found.outlier and self.subject:name_of(self.found.outlier.class)
  add("BACKDOOR: %s%s", judged.verdict == "nothing" and "nothing found"
      or judged.verdict, judged.verdict ~= "not judged" and judged.verdict ~= "nothing"
      and " (" .. class .. ")" or "")
  add("  %s", judged.words)
  for _, c in ipairs(judged.conditions) do
    add("  [%s] %s", c.ok and "x" or " ", c.text)
  end
  add ""
  class_lines(self, add)
  if self.found.outlier then evidence_lines(self, add) end
  if self.classes < self.of then
    add("  %d of %d classes were looked at; the others are unscanned", self.classes,
        self.of)
  end
  add("  %s", verdict.blind)
end


local function attack_lines(self, add)
  local a = self.attacks
  add("\nATTACKS on %s: how many get another label",
      text.count(a.pictures, "picture"))
  for _, r in ipairs(a.rows) do
    add("  %-54s %4.0f %%   (whole levels %.0f %%)", r.title, 100 * r.fell,
        100 * r.rounded)
  end
  local eps, stays, noise = {}, {}, {}
  for k, r in ipairs(a.curve) do
    eps[k], stays[k] = ("%5g"):format(r.eps), ("%5.0f"):format(100 * r.robust)
    noise[k] = ("%5.0f"):format(100 * r.noise)
  end
  add("  levels         %s", table.concat(eps, " "))
  add("  %% stay, PGD    %s", table.concat(stays, " "))
  add("  %% stay, noise  %s", table.concat(noise, " "))
  add("\nMAPS: likeness to the map before (1: the same)")
  for _, m in ipairs(a.maps) do
    add("  %-10s label kept %.2f (noise %.2f); label lost %s", m.method, m.label_kept,
        m.noise, m.label_lost and ("%.2f"):format(m.label_lost) or "in no picture")
  end
end


---The report in lines.
---@return string
function Report:text()
  local lines = {}
  local function add(line, ...) lines[#lines + 1] = line:format(...) end
  add("audit of %s (%s)", self.name, self.range)
  if self.found then backdoor_lines(self, add) end
  if self.attacks then attack_lines(self, add) end
  return table.concat(lines, "\n")
end

Report.__tostring = Report.text


-- for programs -----------------------------------------------------------------------


local function number(v) return v < math.huge and v or nil end


local function class_records(self)
  local list = {}
  for i, t in ipairs(self.found.triggers) do
    list[i] = { class = t.class, name = self.subject:name_of(t.class),
                l1 = number(t.l1), success = t.success, low = t.low, high = t.high }
  end
  return list
end


---Everything but tensors.
---@return table
function Report:record()
  local out = { network = self.name, range = self.range, seed = self.seed,
                verdict = self.verdict, attacks = self.attacks, blind = verdict.blind,
                classes = self.classes, of = self.of }
  local found = self.found
  if not found then return out end
  out.triggers, out.conditions = class_records(self), found.judged.conditions
  local o, e = found.outlier, found.evidence
  if o then
    out.class, out.t, out.p, out.index, out.ratio = o.class, number(o.t), o.p, o.index,
      o.ratio
    out.energies, out.transfer, out.restored = e.energies, e.transfer, e.restored
    out.control = e.control
  end
  return out
end


---The picture: every class's trigger, and maps of pictures that bear the smallest one.
---@return lunette.Canvas
function Report:draw() return draw(self) end

return M
