---The table of truth: do the maps of a network lie on the objects of scenes whose
---masks are known? Every method under every backward rule, by every metric.
local core = require "lunette.core"
local glyphs = require "lunette.glyphs"
local metrics = require "lunette.metrics"
local options = require "lunette.base.options"
local progress = require "lunette.base.progress"

local M = {}

---Rows of the table: method and backward rule.
M.rules = { "vanilla", "guided", "rectified" }
M.methods = {}
for name, row in pairs(require "lunette.methods") do
  if row.measured then M.methods[#M.methods + 1] = name end
end
table.sort(M.methods, function(a, b) return a > b end)


local function measure(map, mask, o)
  return { pointing = metrics.pointing(map, mask, { tolerance = o.tolerance }),
           energy = metrics.energy(map, mask), iou = metrics.iou(map, mask) }
end


---Adds n times the values to the row, which holds sums until `finish`.
local function add(row, values, n)
  for key, value in pairs(values) do row[key] = (row[key] or 0) + n * value end
  row.n = (row.n or 0) + n
end


---One class a scene: its maps against its mask, and against the other object's.
local function explain(rows, run, labels, mask, other, o)
  local n = run:count()
  for _, method in ipairs(M.methods) do
    for _, rule in ipairs(M.rules) do
      local map = require("lunette.methods")[method](run,
        { score = labels, modifiers = { rule } })
      local values = measure(map, mask, o)
      if other then
        values.wrong_pointing = metrics.pointing(map, other,
                                                 { tolerance = o.tolerance })
        values.wrong_energy = metrics.energy(map, other)
      end
      local name = method .. " " .. rule
      rows[name] = rows[name] or {}
      add(rows[name], values, n)
    end
  end
  local noise = core.uniform(o.seed, rows.chance.n or 0, mask:shape())
  add(rows.chance, measure(noise, mask, o), n)
end


---Scenes whose first guess is one of their objects.
local function count_right(run, s)
  local right = 0
  for i, top in ipairs(run:top(1)) do
    local guess = top[1].class
    local hit = guess == s.labels[i] or s.labels2 and guess == s.labels2[i]
    right = right + (hit and 1 or 0)
  end
  return right
end


local function finish(rows)
  for _, row in pairs(rows) do
    for key, sum in pairs(row) do
      if key ~= "n" then row[key] = sum / row.n end
    end
  end
  return rows
end


---@class lunette.TruthOptions
---@field n? integer          scenes (200)
---@field seed? integer       of the scenes (2000)
---@field objects? integer    1, or 2: both classes are asked for, one after the other
---@field tolerance? number   of the pointing game, in pixels (0)
---@field progress? any

---Measures saliency and Grad-CAM under three rules. A row "chance" has a map of
---random numbers.
---@param net lunette.Net   that knows glyphs
---@param opts? lunette.TruthOptions
---@return table<string, table<string, number>> rows   "gradcam guided" -> pointing,
---  energy, iou (0 .. 1); two objects: wrong_pointing, wrong_energy on the other one
---@return number accuracy   share of scenes whose first guess is (one of) the truth
function M.measure(net, opts)
  local o = options.check("truth", opts, { n = 200, seed = 2000, objects = 1,
                                           tolerance = 0, progress = true })
  local bar <close> = progress.start("truth", o.n, o.progress)
  local rows, right, size = { chance = {} }, 0, 20
  for first = 1, o.n, size do
    local s = glyphs.scenes { n = math.min(size, o.n - first + 1), first = first,
                              seed = o.seed, objects = o.objects }
    local run <close> = net:run(glyphs.input(s.images), { modifiers = { "linear" } })
    right = right + count_right(run, s)
    explain(rows, run, s.labels, s.masks, s.masks2, o)
    if s.masks2 then explain(rows, run, s.labels2, s.masks2, s.masks, o) end
    bar:add(run:count())
  end
  return finish(rows), right / o.n
end


local columns = {
  { "pointing", "pointing %" },
  { "energy", "energy inside %" },
  { "iou", "best IoU %" },
  { "wrong_pointing", "points at the other %" },
  { "wrong_energy", "energy on the other %" },
}


---The rows as a Markdown table, in per cent.
---@return string
function M.markdown(rows)
  local shown = {}
  for _, c in ipairs(columns) do
    if rows["saliency vanilla"][c[1]] then shown[#shown + 1] = c end
  end
  local lines = { "| map |", "| --- |" }
  for _, c in ipairs(shown) do
    lines[1] = lines[1] .. " " .. c[2] .. " |"
    lines[2] = lines[2] .. " ---: |"
  end
  local function line(name)
    local text = "| " .. name .. " |"
    for _, c in ipairs(shown) do
      local v = rows[name][c[1]]
      text = text .. (v and (" %.1f |"):format(100 * v) or "  |")
    end
    lines[#lines + 1] = text
  end
  for _, method in ipairs(M.methods) do
    for _, rule in ipairs(M.rules) do line(method .. " " .. rule) end
  end
  line "chance"
  return table.concat(lines, "\n")
end

return M
