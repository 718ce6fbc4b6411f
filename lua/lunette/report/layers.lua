---What the layers of a network put out for the pictures of a page: run:stats() of some
---of them, averaged.
local M = {}


---The networks of the entries by name, with the file that their stories name.
local function load_net(model, story)
  local load = require "lunette.weights.load"
  local path = type(story.weights) == "string" and story.weights or load.find(model)
  if not path or not require("lunette.base.files").exists(path) then return nil end
  local h, w = tostring(story.side):match "^(%d+)x(%d+)$"
  local net = load.load(path)
  if not net then return nil end
  h, w = tonumber(h), tonumber(w)
  if h and (net.input[2] ~= h or net.input[3] ~= w) then
    net = load.load(path, { side = { h, w } })
  end
  return net
end


---Adds the statistics of a run to sums by layer.
local function add(sums, run)
  for _, row in ipairs(run:stats()) do
    local s = sums[row.layer]
    if not s then
      s = { layer = row.layer, kind = row.kind, n = 0, mean = 0, max = 0, zeros = 0 }
      sums[row.layer], sums[#sums + 1] = s, s
    end
    if row.finite then
      s.n, s.mean, s.max = s.n + 1, s.mean + row.mean, s.max + row.max
      s.zeros = s.zeros + row.zeros
    end
  end
end


---Rows of {layer, kind, mean, max, zeros}, averaged over the pictures.
---@param net lunette.Net
---@param pictures any[]   paths or pictures
---@param told table       a story: fit, filter, oriented
---@return table[]? rows, integer count   pictures that could be read
function M.of(net, pictures, told)
  local sums, count = {}, 0
  for _, picture in ipairs(pictures) do
    local images = net:images { image = { picture }, fit = told.fit,
                                filter = told.filter, orient = told.oriented }
    if images then
      local run <close> = net:run(images)
      add(sums, run)
      count = count + 1
    end
  end
  for _, s in ipairs(sums) do
    local n = math.max(1, s.n)
    s.mean, s.max, s.zeros = s.mean / n, s.max / n, s.zeros / n
  end
  return count > 0 and sums or nil, count
end


---Notes what a page is to measure: of every network its first pictures.
---@param models table                 network -> what is noted, and a list of it
---@param entry lunette.ReportEntry
---@param most integer                 pictures of each
function M.note(models, entry, most)
  local m = models[entry.model]
  if not m then
    m = { model = entry.model, pictures = {}, seen = {}, story = entry.story,
          net = entry.net }
    models[entry.model], models[#models + 1] = m, m
  end
  local picture = entry.path or entry.image
  if picture and not m.seen[picture] and #m.pictures < most then
    m.seen[picture] = true
    table.insert(m.pictures, picture)
  end
end


---The statistics of what was noted, for each network that is on this machine.
---@param models table   of M.note
---@return table[]   {model, rows, count}
function M.measured(models)
  local out = {}
  for _, m in ipairs(models) do
    local net = #m.pictures > 0 and (m.net or load_net(m.model, m.story))
    local rows, count
    if net then rows, count = M.of(net, m.pictures, m.story) end
    if rows then out[#out + 1] = { model = m.model, rows = rows, count = count } end
  end
  return out
end

return M
