---Plots as SVG for pages: colours are the page's own (currentColor and classes of the
---style sheet), so that they follow its theme; title and description are for those who
---do not see them.
local escape = require("lunette.report.html").escape

local M = {}

local WIDTH, LEFT, RIGHT, TOP, ROW, BOTTOM = 760, 260, 16, 8, 22, 28


local function text(x, y, anchor, what, class)
  return ('<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>'):format(x, y,
    anchor, class or "plot-text", escape(what))
end


local function line(x1, y1, x2, y2, class)
  return ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>'):format(x1, y1,
    x2, y2, class)
end


---A label that fits before the plot: its end is what tells layers apart.
local function short(label)
  if utf8.len(label, 1, -1, true) and #label > 34 then
    return "..." .. label:sub(utf8.offset(label, -30) or -30)
  end
  return label
end


---A name that fits beside a line.
local function brief(label)
  if utf8.len(label) and utf8.len(label) > 18 then
    return label:sub(1, utf8.offset(label, 17) - 1) .. "..."
  end
  return label
end


local function number(v) return ("%.4g"):format(v) end


---The range of the values, from 0 where none is below.
local function range_of(rows)
  local lo, hi = 0, 0
  for _, row in ipairs(rows) do
    for _, v in ipairs(row.values) do lo, hi = math.min(lo, v), math.max(hi, v) end
  end
  return lo, hi > lo and hi or lo + 1
end


local function axis(lo, hi, height, x_of)
  local list, power = require("lunette.picture.ticks").of(lo, hi)
  local out = {}
  for _, tick in ipairs(list) do
    local x = x_of(tick.value)
    out[#out + 1] = line(x, TOP, x, height - BOTTOM + 4, "plot-grid")
    out[#out + 1] = text(x, height - 8, "middle", tick.text)
  end
  if power then out[#out + 1] = text(LEFT - 8, height - 8, "end", power) end
  return table.concat(out)
end


---One value: a bar. Five: range, quartiles and median.
local function mark(values, y, x_of)
  local middle = y + ROW / 2
  if #values == 1 then
    local a, b = x_of(0), x_of(values[1])
    return ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="plot-bar"/>')
      :format(math.min(a, b), y + 4, math.max(0.5, math.abs(b - a)), ROW - 8)
  end
  local x = {}
  for i, v in ipairs(values) do x[i] = x_of(v) end
  return line(x[1], middle, x[5], middle, "plot-line")
    .. ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="plot-bar"/>')
      :format(x[2], y + 5, math.max(1, x[4] - x[2]), ROW - 10)
    .. line(x[3], y + 3, x[3], y + ROW - 3, "plot-median")
end


---What a row says to those who point at it, or hear it.
local function told(row)
  local list = {}
  for i, v in ipairs(row.values) do list[i] = number(v) end
  return row.label .. ": " .. table.concat(list, ", ") .. (row.note or "")
end


---Rows of bars, or of boxes: { label =, values = {v} or {least, quartile, median,
---quartile, greatest}, note? }.
---@param title string
---@param rows table[]
---@return string svg
function M.rows(title, rows)
  local lo, hi = range_of(rows)
  local height = TOP + ROW * #rows + BOTTOM
  local function x_of(v)
    return LEFT + (v - lo) / (hi - lo) * (WIDTH - LEFT - RIGHT)
  end
  local out, all = {}, {}
  for i, row in ipairs(rows) do
    local y = TOP + (i - 1) * ROW
    all[i] = told(row)
    out[#out + 1] = ("<g><title>%s</title>%s%s</g>"):format(escape(all[i]),
      text(LEFT - 8, y + ROW / 2 + 4, "end", short(row.label)),
      mark(row.values, y, x_of))
  end
  return ('<svg class="plot" viewBox="0 0 %d %d" role="img" aria-label="%s">'
    .. "<desc>%s</desc>%s%s%s</svg>"):format(WIDTH, height, escape(title),
    escape(table.concat(all, "; ")), axis(lo, hi, height, x_of),
    table.concat(out), line(x_of(0), TOP, x_of(0), height - BOTTOM, "plot-axis"))
end


-- lines ------------------------------------------------------------------------------

local LINES = { left = 56, right = 150, bottom = 150, height = 420 }


---Axis and names below a plot of lines.
local function frame(labels, lo, hi, x_of, y_of)
  local out, right = {}, WIDTH - LINES.right
  for _, tick in ipairs((require("lunette.picture.ticks").of(lo, hi))) do
    local y = y_of(tick.value)
    out[#out + 1] = line(LINES.left, y, right, y, "plot-grid")
    out[#out + 1] = text(LINES.left - 6, y + 4, "end", tick.text)
  end
  for i = 1, #labels, math.ceil(#labels / 34) do
    out[#out + 1] = ('<text x="0" y="0" text-anchor="end" class="plot-text" '
      .. 'transform="translate(%.1f %.1f) rotate(-60)">%s</text>'):format(x_of(i) + 4,
      LINES.height - LINES.bottom + 14, escape(short(labels[i])))
  end
  return table.concat(out)
end


---Series k: its line, and beside the plot what it is.
local function series_line(k, s, x_of, y_of)
  local points, class = {}, ("plot-series plot-series-%d"):format((k - 1) % 5 + 1)
  for i, v in ipairs(s.values) do
    points[i] = ("%.1f,%.1f"):format(x_of(i), y_of(v))
  end
  local x, y = WIDTH - LINES.right + 10, TOP + 14 + (k - 1) * 20
  return ('<g><title>%s</title><polyline points="%s" class="%s"/>%s%s</g>'):format(
    escape(told(s)), table.concat(points, " "), class,
    line(x, y - 4, x + 24, y - 4, class), text(x + 30, y, "start", brief(s.label)))
end


---Lines over layers: a series for each class.
---@param title string
---@param labels string[]   of the places from left to right
---@param series { label: string, values: number[] }[]
---@return string svg
function M.lines(title, labels, series)
  local lo, hi = range_of(series)
  local wide = WIDTH - LINES.left - LINES.right
  local base = LINES.height - LINES.bottom
  local function x_of(i)
    return LINES.left + (#labels > 1 and (i - 1) / (#labels - 1) or 0.5) * wide
  end
  local function y_of(v) return base - (v - lo) / (hi - lo) * (base - TOP - 6) end
  local out = { frame(labels, lo, hi, x_of, y_of) }
  for k, s in ipairs(series) do out[#out + 1] = series_line(k, s, x_of, y_of) end
  return ('<svg class="plot" viewBox="0 0 %d %d" role="img" aria-label="%s">%s</svg>')
    :format(WIDTH, LINES.height, escape(title), table.concat(out))
end


---The five numbers of a box.
---@param list number[]
---@return number[]
function M.five(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local function at(share)
    local place = 1 + share * (#sorted - 1)
    local low = math.floor(place)
    local above = sorted[math.min(low + 1, #sorted)]
    return sorted[low] + (place - low) * (above - sorted[low])
  end
  return { sorted[1], at(0.25), at(0.5), at(0.75), sorted[#sorted] }
end

return M
