---A trigger for each class, found anew from several beginnings, the smallest one kept,
---and tried on pictures that it has not seen. A checkpoint is written after each class.
local checkpoint = require "lunette.base.checkpoint"
local core = require "lunette.core"
local files = require "lunette.base.files"
local folders = require "lunette.base.folders"
local invert = require "lunette.audit.invert"
local statistics = require "lunette.audit.statistics"

local M = {}

---@class lunette.AuditTrigger
---@field class integer
---@field mask? lunette.Tensor      (1,1,H,W), 0 .. 1
---@field pattern? lunette.Tensor   (1,C,H,W), levels
---@field l1 number                 the mask's sum in pixels; math.huge: none was found
---@field restarts number[]         that of every beginning
---@field success number            on unseen pictures
---@field low number                its Wilson interval
---@field high number


---What several descents have found, the smallest mask first, and the smallest of each.
local function found_by(s, class, o)
  local p = { net = s.net, space = s.space, target = class,
              levels = s:others(class, 1, o.pictures) }
  local all, norms = {}, {}
  for r = 1, p.levels and o.restarts or 0 do
    local list = invert.invert(p, { steps = o.steps, batch = o.batch, rate = o.rate,
      cell = o.cell, weight = o.weight, seed = o.seed + 1000 * r })
    norms[r] = #list > 0 and list[#list].l1 or math.huge
    table.move(list, 1, #list, #all + 1, all)
  end
  table.sort(all, function(a, b) return a.l1 < b.l1 end)
  return all, norms
end


---Tries a mask on pictures that did not find it.
local function try(t, s, found, unseen)
  t.mask, t.pattern = found.mask, found.pattern
  t.hits, t.tried = invert.hits(s, unseen, found, t.class)
  t.success = t.hits / t.tried
  t.low, t.high = statistics.wilson(t.hits, t.tried)
end


---The smallest mask that also works on unseen pictures, as often as the verdict asks. A
---smaller one that works on some by luck would represent the class, and then be
---refused.
---@param s lunette.AuditSubject
---@param class integer
---@param o table   of the audit
---@return lunette.AuditTrigger
function M.of(s, class, o)
  local all, norms = found_by(s, class, o)
  local t = { class = class, l1 = math.huge, restarts = norms, success = 0, low = 0,
              high = 1, hits = 0, tried = 0 }
  local unseen = s:others(class, o.pictures + 1, s.levels:dim(1))
  for _, found in ipairs(unseen and all or {}) do
    try(t, s, found, unseen)
    if t.success >= o.least then
      t.l1 = found.l1
      break
    end
  end
  return t
end


-- checkpoints ------------------------------------------------------------------------


local INFINITE = 1e300 -- JSON has no infinity

local function told(t)
  local norms = {}
  for r, v in ipairs(t.restarts) do norms[r] = math.min(v, INFINITE) end
  return { class = t.class, l1 = math.min(t.l1, INFINITE), restarts = norms,
           success = t.success, low = t.low, high = t.high, hits = t.hits,
           tried = t.tried }
end


local function file_of(folder, class) return ("%s/class-%d"):format(folder, class) end


---Writes what was found for a class: a file for each, so that a class costs the same
---however many were looked at before.
local function save(folder, identity, t)
  local ok, message = files.mkdir(folder)
  if not ok then return nil, message end
  local tensors = { mask = t.mask, pattern = t.pattern }
  if not t.mask then tensors.none = core.zeros(1) end -- a file has a tensor
  return checkpoint.save(file_of(folder, t.class), identity, tensors, told(t))
end


---What an earlier call has found for a class; false: nothing; nil and a message: it
---cannot be read, or was another call.
local function known(folder, identity, class)
  local path = file_of(folder, class)
  if folder == "" or not checkpoint.exists(path) then return false end
  local tensors, t = checkpoint.load(path, identity)
  if not tensors then return nil, t .. ", and the others in " .. folder end
  t.mask, t.pattern = tensors.mask, tensors.pattern
  if t.l1 >= INFINITE then t.l1 = math.huge end
  return t
end


---Removes a checkpoint.
---@param folder string
function M.forget(folder)
  for _, name in ipairs(folders.names(folder) or {}) do
    if name:find "^class%-%d+$" then os.remove(folder .. "/" .. name) end
  end
  os.remove(folder) -- stays where other files are in it
end


---The trigger of a class, taken up or found.
local function one(s, class, o, identity)
  local t, message = known(o.checkpoint, identity, class)
  if t or message then return t, message end
  t = M.of(s, class, o)
  if o.checkpoint ~= "" then
    local ok
    ok, message = save(o.checkpoint, identity, t)
    if not ok then return nil, message end
  end
  return t
end


---Triggers of all classes in `o.classes`. nil and a message where the checkpoint cannot
---be read or written.
---@param s lunette.AuditSubject
---@param o table              of the audit
---@param identity string      what decides the numbers
---@param bar lunette.Progress
---@return lunette.AuditTrigger[]? triggers, string? message
function M.all(s, o, identity, bar)
  local list = {}
  for i, class in ipairs(o.classes) do
    local t, message = one(s, class, o, identity)
    if not t then return nil, message end
    list[i] = t
    bar:add(1)
    collectgarbage()
  end
  return list
end

return M
