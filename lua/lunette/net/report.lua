---What a person looking into a network asks first of a run: its classes, what each
---layer puts out, and where two runs differ. Adds printing, run:stats() and
---run:compare(other).
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local forward = require "lunette.net.forward"
local escape = require("lunette.base.text").escape
local layers = require "lunette.layers"

local M = {}

local Report = { __name = "lunette.Report" }
Report.__index = Report


function Report.__tostring(r) return r.text end


---A class of `run:top()` as a line: per cent where the output is probabilities, its
---value where it is not.
---@param c table      {class =, name =, probability =, score =}
---@param kind string  what `run:kind()` says
---@return string
function M.class_text(c, kind)
  if kind == "values" then
    return ("%10.4g  %4d  %s"):format(c.score, c.class, c.name)
  end
  return ("%5.1f %%  %4d  %s"):format(100 * c.probability, c.class, c.name)
end


---One class, the classes of an image and those of all images as text.
local texts = {
  class = function(c)
    local p = c.probability and (", probability = %.4g"):format(c.probability) or ""
    return ('{ class = %d, name = "%s"%s, score = %.4g }'):format(c.class, c.name, p,
                                                                  c.score)
  end,
  image = function(row, kind)
    local out = {}
    for i, c in ipairs(row) do out[i] = M.class_text(c, kind) end
    return table.concat(out, "\n")
  end,
  images = function(list)
    if #list == 1 then return tostring(list[1]) end
    local out = {}
    for n, row in ipairs(list) do out[n] = ("image %d\n%s"):format(n, tostring(row)) end
    return table.concat(out, "\n")
  end,
}

local where = { image = "[1].", images = "[1][1]." }


---A field of a class, asked of the list that it stands in: nil would be no answer.
local function of_entries(what)
  return where[what] and function(_, key)
    if key == "class" or key == "name" or key == "probability" or key == "score" then
      blame(("run:top gives a list for every image, best class first: it is a list, "
             .. "whose entries have it: %s%s"):format(where[what], key))
    end
    return nil
  end or nil
end


local printing = {} -- what run:kind() says .. what is printed -> metatable


local function printed(t, what, kind)
  local key = kind .. what
  printing[key] = printing[key] or { __name = "lunette.Top", __tostring = function(v)
    return escape(texts[what](v, kind), "\n")
  end, __index = of_entries(what) }
  return setmetatable(t, printing[key])
end


---Makes the list that `run:top()` gives print as lines, and each part of it.
---@param list table[][]
---@param kind string   what `run:kind()` says
---@return table[][] list
function M.top(list, kind)
  for _, row in ipairs(list) do
    for _, c in ipairs(row) do printed(c, "class", kind) end
    printed(row, "image", kind)
  end
  return printed(list, "images", kind)
end


---The values of one output, where it has no classes or only one.
local function value_text(run, name, n)
  local value = run.outputs[name][n]:detach()
  if value:size() == 1 then return ("%10.4g"):format(value:item()) end
  return table.concat(value:shape(), "x") .. " values"
end


local function add_output(out, run, name, n)
  local kind, several = run:kind(name), #run.output_names > 1
  local ok, top = pcall(run.top, run, 5, name)
  if several then out[#out + 1] = ("    %s"):format(name) end
  local indent = several and "      " or "    "
  if not ok or kind == "values" and #top[n] == 1 then
    out[#out + 1] = indent .. value_text(run, name, n)
    return
  end
  for _, c in ipairs(top[n]) do out[#out + 1] = indent .. M.class_text(c, kind) end
end


---A run as text: what it was of, and each image's classes or values.
---@param run lunette.Run
---@return string
function M.text(run)
  if forward.is_released(run) then return "Run (released)" end
  local names = {}
  for i, name in ipairs(run.output_names) do
    names[i] = run.output_layers[name].name
  end
  local out = { ("Run of %s over %d image%s, output %s"):format(run.net.name,
                run:count(), run:count() == 1 and "" or "s",
                table.concat(names, ", ")) }
  for n = 1, math.min(run:count(), 8) do
    out[#out + 1] = ("  image %d"):format(n)
    for _, name in ipairs(run.output_names) do add_output(out, run, name, n) end
  end
  if run:count() > 8 then out[#out + 1] = ("  ... %d more"):format(run:count() - 8) end
  return escape(table.concat(out, "\n"), "\n")
end


---Layers with values: a convolution that was computed in one pass with the relu after
---it is no row of its own, and the relu's row stands for both.
local function rows_of(run)
  local list, before = {}, nil
  for _, node in ipairs(forward.nodes(run)) do
    local layer = node.layer
    local joined = forward.state_of(run).tape:node(node.id).joined
    if joined and not layers.is(layer, "activation") then
      before = layer
    else
      local name = before and before.name or layer.name
      local kind = before and before.kind .. " + " .. layer.kind or layer.kind
      list[#list + 1] = { layer = name, node = layer.name, kind = kind }
      before = nil
    end
  end
  return list
end


local function shape_text(shape)
  return table.concat(shape, "x", 2)
end


local function name_width(rows)
  local width = 5
  for _, r in ipairs(rows) do width = math.max(width, #r.layer) end
  return math.min(width, 32)
end


local function stats_text(rows)
  local w = name_width(rows)
  local head = "%-" .. w .. "s  %-16s %-13s %10s %10s %10s %7s"
  local form = "%-" .. w .. "s  %-16s %-13s %10.4g %10.4g %10.4g %5.1f %%%s"
  local out = { head:format("layer", "kind", "shape", "min", "max", "mean", "zeros") }
  for _, r in ipairs(rows) do
    out[#out + 1] = form:format(r.layer, r.kind, shape_text(r.shape), r.min, r.max,
                                r.mean, 100 * r.zeros,
                                r.finite and "" or "  not finite")
  end
  return escape(table.concat(out, "\n"), "\n")
end


---Range, mean and share of zeros of every layer of a run; prints as a table.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print(run:stats())
---@param run lunette.Run
---@return table report   a row a layer: {layer, kind, shape, min, max, mean, zeros,
---  finite}
function M.stats(run)
  local rows = rows_of(run)
  for _, r in ipairs(rows) do
    local t = run:preactivation(r.node)
    local s = t:stats()
    r.shape, r.min, r.max, r.mean = t:shape(), s.min, s.max, s.mean
    r.zeros, r.finite = s.zeros, s.finite
    t:release()
  end
  rows.text = stats_text(rows)
  return setmetatable(rows, Report)
end


---Classes among the first five of either run: what became of them, in probabilities
---where both runs have them.
local function top_changes(a, b)
  local ok, tops = pcall(function() return { a:top(5), b:top(5) } end)
  if not ok then return {} end
  local pa, pb, list = a:probabilities(), b:probabilities(), {}
  list.values = not (pa and pb)
  if list.values then pa, pb = a.output:detach(), b.output:detach() end
  if pa:dim(2) ~= pb:dim(2) then return {} end
  for n = 1, a:count() do
    local row, seen = {}, {}
    for _, top in ipairs(tops) do
      for _, c in ipairs(top[n]) do
        if not seen[c.class] then
          seen[c.class] = true
          row[#row + 1] = { class = c.class, name = c.name, before = pa[n][c.class + 1],
                            after = pb[n][c.class + 1] }
        end
      end
    end
    list[n] = row
  end
  return list
end


local function bar(share)
  local n = math.floor(math.min(1, share) * 20 + 0.5)
  return ("#"):rep(n)
end


local function compare_text(r)
  local w = name_width(r)
  local out = { ("%-" .. w .. "s  %-16s %12s"):format("layer", "kind", "distance") }
  for _, row in ipairs(r) do
    out[#out + 1] = ("%-" .. w .. "s  %-16s %12.4g  %s"):format(row.layer, row.kind,
      row.distance, bar(row.distance)):gsub("%s+$", "")
  end
  for n, classes in ipairs(r.top) do
    if n > 8 then break end
    out[#out + 1] = ("image %d"):format(n)
    for _, c in ipairs(classes) do
      out[#out + 1] = r.top.values
        and ("  %10.4g -> %10.4g  %4d  %s"):format(c.before, c.after, c.class, c.name)
        or ("  %6.2f %% -> %6.2f %%  %4d  %s"):format(100 * c.before, 100 * c.after,
                                                     c.class, c.name)
    end
  end
  return escape(table.concat(out, "\n"), "\n")
end


---Where another run of the same network differs: per layer the relative distance
---||other - run|| / ||run||, and what became of the first five classes.
---Example:
---  local net = lu.load "glyphs"
---  local pictures = lu.glyphs.default_images(2).images
---  local a = net:run(net:images { pictures[1] })
---  local b = net:run(net:images { pictures[2] })
---  print(a:compare(b))
---@param run lunette.Run
---@param other lunette.Run   of the same network, as many images
---@return table report   a row a layer: {layer, kind, distance}, and .top
function M.compare(run, other)
  if getmetatable(other) ~= getmetatable(run) then
    blame "compare: expected another run"
  end
  if other:count() ~= run:count() then
    blame(("compare: runs of %d and %d images"):format(run:count(), other:count()))
  end
  local rows, found = rows_of(run), {}
  for _, r in ipairs(rows) do
    local a, b = run:preactivation(r.node), other:preactivation(r.node)
    if a and b and a:size() == b:size() then
      r.distance = core.methods.distance(b, a)
      found[#found + 1] = r
    end
  end
  if #found == 0 then blame "compare: the runs share no layer of the same size" end
  found.top = top_changes(run, other)
  found.text = compare_text(found)
  return setmetatable(found, Report)
end


---Adds the reports to the class.
---@param Run table
function M.install(Run)
  Run.stats, Run.compare, Run.__tostring = M.stats, M.compare, M.text
end

return M
