---A bar chart of a ranking: a panel for each measure, a row for each method, bars with
---intervals; controls in grey.
local core = require "lunette.core"

local M = {}

local MARGIN, LINE, PANEL, GAP, TEXT, HEAD = 16, 15, 150, 26, 11, 12
local INK, SOFT, GRID = 0x1A1A1A, 0x505050, 0xD8D8D8
local GOOD, FAILED, CONTROL = 0x2A6FBB, 0xC2571A, 0x9A9A9A

---@class lunette.ChartBar
---@field name string
---@field control boolean
---@field failed boolean


---The range of a panel: from 0, or from the smallest negative value.
local function span_of(means)
  local low, high = 0, 0
  for _, m in pairs(means) do
    low, high = math.min(low, m.low or m.mean), math.max(high, m.high or m.mean)
  end
  return low, high > low and high or low + 1
end


local function draw_bar(im, panel, m, y, colour)
  local function at(v)
    local share = (v - panel.low) / (panel.high - panel.low)
    return panel.x + math.floor(share * PANEL + 0.5)
  end
  local from, to = at(0), at(m.mean)
  im:fill(math.min(from, to), y + 2, math.max(1, math.abs(to - from)), LINE - 5, colour)
  if not m.low then return end -- of too few pictures
  im:fill(at(m.low), y + LINE // 2 - 1, math.max(1, at(m.high) - at(m.low)), 1, INK)
  for _, v in ipairs { m.low, m.high } do
    im:fill(at(v), y + LINE // 2 - 3, 1, 5, INK)
  end
end


local function draw_panel(im, panel, bars, top, height)
  im:text(panel.x, top - 20, HEAD, INK, panel.title)
  local arrow = panel.better and panel.better .. " is better" or ""
  im:text(panel.x, top - 7, TEXT - 1, SOFT, arrow)
  for k = 0, 2 do
    local x = panel.x + k * PANEL // 2
    im:fill(x, top, 1, height, GRID)
    local text = ("%.2g"):format(panel.low + (panel.high - panel.low) * k / 2)
    local wide = core.image.text_width(TEXT - 1, text)
    im:text(x - wide * k // 2, top + height + 13, TEXT - 1, SOFT, text)
  end
  for k, bar in ipairs(bars) do
    local m = panel.means[bar.name]
    local colour = bar.control and CONTROL or bar.failed and FAILED or GOOD
    if m then draw_bar(im, panel, m, top + (k - 1) * LINE, colour) end
  end
end


---Draws the panels side by side.
---@param title string
---@param bars lunette.ChartBar[]   in the order of the rows
---@param panels { title: string, better?: string, means: table }[]
---@return userdata image
function M.draw(title, bars, panels)
  local names = 0
  for _, bar in ipairs(bars) do
    names = math.max(names, core.image.text_width(TEXT, bar.name))
  end
  local left, top = MARGIN + names + 8, MARGIN + 62
  local height = #bars * LINE
  local wide = left + #panels * PANEL + (#panels - 1) * GAP + MARGIN + 16
  local im = core.image.new(wide, top + height + 54, 0xFFFFFF)
  im:text(MARGIN, MARGIN + 14, 17, INK, title)
  for k, bar in ipairs(bars) do
    local w = core.image.text_width(TEXT, bar.name)
    im:text(left - 8 - w, top + (k - 1) * LINE + LINE - 4, TEXT,
            bar.control and SOFT or INK, bar.name)
  end
  for k, panel in ipairs(panels) do
    panel.x = left + (k - 1) * (PANEL + GAP)
    panel.low, panel.high = span_of(panel.means)
    draw_panel(im, panel, bars, top, height)
  end
  local y = top + height + 40
  im:text(MARGIN, y, TEXT, SOFT, "Whiskers: 95 % of bootstrap draws over pictures. "
    .. "Blue: methods; orange: those that fail a sanity check; grey: controls, which "
    .. "know nothing of the network.")
  return im
end

return M
