---Reports: many maps as one page for a browser, which needs nothing but itself.
---`lu.report { ... }` and `lunette report DIR`.
local blame = require "lunette.base.blame"
local books = require "lunette.report.book"
local core = require "lunette.core"
local files = require "lunette.base.files"
local html = require "lunette.report.html"
local layers = require "lunette.report.layers"
local options = require "lunette.base.options"
local spools = require "lunette.report.spool"
local svg = require "lunette.report.svg"
local types = require "lunette.base.types"
local warn = require "lunette.base.warn"
local words = require "lunette.report.words"

local M = {}

local scripts = { "theme.js", "png16.js", "blocks.js", "colour.js", "words.js",
                  "table.js", "compare.js", "lightbox.js", "report.js" }

local MOST_PLOT_ROWS = 60


-- plots ------------------------------------------------------------------------------


local function figure(title, note, plot)
  return ("<figure><figcaption><h2>%s</h2>%s</figcaption>%s</figure>"):format(
    html.escape(title), note and "<p>" .. html.escape(note) .. "</p>" or "", plot)
end


local function job_label(job)
  local list = { job.method }
  for _, key in ipairs { "layer", "rules", "options", "model" } do
    if job[key] ~= "" then list[#list + 1] = job[key] end
  end
  return table.concat(list, " ")
end


---How much of the maps of each job is bright.
local function plot_jobs(book, say)
  local rows = {}
  for k, job in ipairs(book.jobs) do
    local areas = book.areas[k]
    if areas and #rows < MOST_PLOT_ROWS then
      rows[#rows + 1] = { label = job_label(job), values = svg.five(areas),
                          note = " (" .. words.count(say, #areas, "map") .. ")" }
    end
  end
  if #rows == 0 then return "" end
  local title = say "share of the map that is at least half of its greatest value"
  return figure(say "Maps by method",
    say "Median, quartiles and range" .. ": " .. title, svg.rows(title, rows))
end


---What a layer's value is, in one plot for each of its statistics.
local function plot_layers(model, say)
  local out = {}
  for _, kind in ipairs { { "mean", "Mean" }, { "max", "Greatest" },
                          { "zeros", "Zeros" } } do
    local rows = {}
    for i, row in ipairs(model.rows) do
      rows[i] = { label = row.layer, values = { row[kind[1]] }, note = " " .. row.kind }
    end
    out[#out + 1] = ("<details%s><summary>%s</summary>%s</details>"):format(
      kind[1] == "zeros" and "" or " open", html.escape(say(kind[2])),
      svg.rows(model.model .. ": " .. say(kind[2]), rows))
  end
  return figure(("%s: %s"):format(say "What the layers put out", model.model),
    words.count(say, model.count, "picture"), table.concat(out))
end


local function plots(book, models, say)
  local out = { plot_jobs(book, say) }
  for _, model in ipairs(models) do out[#out + 1] = plot_layers(model, say) end
  local text = table.concat(out)
  if text == "" then return "" end
  return ('<section id="plots" aria-label="%s">%s</section>'):format(
    html.escape(say "Layers"), text)
end


-- the page ---------------------------------------------------------------------------


---What could not be shown, as a list that opens.
local function failures(book, say)
  if #book.errors == 0 then return "" end
  local list = {}
  for i, e in ipairs(book.errors) do
    list[i] = ("<li><bdi>%s</bdi>: <bdi>%s</bdi></li>"):format(html.escape(e[1]),
      html.escape(e[2]))
  end
  return ('<details class="failures"><summary>%s: %d</summary><ul>%s</ul></details>')
    :format(html.escape(say "Could not be explained"), #list, table.concat(list))
end


---All colour maps, the usual ones first.
local function colormaps()
  local colormap, all, list = require "lunette.picture.colormap", {}, {}
  for _, name in ipairs { "jet", "viridis", "coolwarm", "magma", "gray" } do
    list[#list + 1] = name
    all[name] = true
  end
  for _, name in ipairs(colormap.names) do
    if not all[name] then list[#list + 1] = name end
  end
  for i, name in ipairs(list) do
    list[i] = { name, core.base64(colormap.get(name)),
                colormap.diverging[name] or false }
  end
  return list
end


---The index as JSON, in parts of files.write_set: texts, and what lies on the disk.
local function index_of(book, o)
  local all = { lang = o.lang, words = words.all(o.lang), colormaps = colormaps(),
                pictures = book.pictures, jobs = book.jobs, tops = book.tops,
                maps = book.maps, beside = o.beside or false }
  local keys, parts = {}, { "{" }
  for key in pairs(all) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do
    local v = all[key]
    parts[#parts + 1] = ('%s"%s":'):format(i > 1 and "," or "", key)
    if v == book[key] and v.file then
      table.move({ "[", v.file, "]" }, 1, 3, #parts + 1, parts)
    else
      parts[#parts + 1] = html.json(v)
    end
  end
  parts[#parts + 1] = "}"
  return parts
end


---A template whose words are of the page's language: {{word:Search}}.
local function body_of(name, say, values)
  local template = html.asset(name):gsub("{{word:([^}]+)}}", function(word)
    return html.escape(say(word))
  end)
  return html.fill(template, values)
end


local PLACE = "\0" -- of the index, until it is put there: no text has such a byte


---The page in parts: its head with the index in it, what lies between, its tail.
local function page_of(book, o, models, blocks)
  local say, build = words.of(o.lang), core.build()
  local body = body_of("report.html", say, {
    title = html.escape(o.title), failures = failures(book, say),
    plots = plots(book, models, say), index = PLACE,
    counts = html.escape(words.count(say, book.maps.count, "map") .. ", "
      .. words.count(say, book.groups, "picture")), -- also of two networks it is one
    made = html.escape(("Lunette %s (%s)"):format(build.version, build.commit)),
  })
  local head, tail = html.page { title = o.title, lang = o.lang, body = body,
    scripts = scripts, styles = { "page.css", "report.css" }, beside = o.beside ~= nil }
  local before, after = head:match("^(.-)" .. PLACE .. "(.*)$")
  local parts = { before, table.unpack(index_of(book, o)) }
  parts[#parts + 1] = after
  parts[#parts + 1] = blocks and blocks.file
  parts[#parts + 1] = tail
  return parts
end


---A block as it stands in the page.
local function inline_block(kind, id, bytes)
  if kind == "p" then bytes = core.base64(bytes) end
  return ('<script type="application/json" id="%s%d">%s</script>\n'):format(kind, id,
    kind == "p" and '"' .. bytes .. '"' or bytes)
end


-- making it --------------------------------------------------------------------------


---Where the blocks go: into a spool, or into files beside the page.
local function writer_of(o, blocks)
  if o.linked then
    local folder = o.out:gsub("%.html?$", "") .. ".files"
    o.beside = folder:match "[^/]*$"
    return require("lunette.report.beside").writer(folder)
  end
  return function(kind, id, bytes)
    return blocks:text(inline_block(kind, id, bytes))
  end
end


---@param source lunette.ReportSource
---@param o table
---@return lunette.Book? book, string? message, table? models   of layers.note
local function fill(source, o, blocks)
  local book, message = books.new(writer_of(o, blocks), function()
    return spools.new(o.out)
  end, o.lang)
  if not book then return nil, message end
  local bar <close> = require("lunette.base.progress").start("report", #source.entries)
  local models = {}
  for _, e in ipairs(source.errors) do book:fail(e.path, e.message) end
  for _, read in ipairs(source.entries) do
    local entry, why = read()
    local ok = true
    if entry then ok, why = book:add(entry) else book:fail("?", why) end
    if not ok then return nil, why end
    if entry then layers.note(models, entry, o.layers) end
    bar:add(1)
  end
  return book, nil, models
end


---Says which pictures are missing on the page.
local function warn_of_lost(book)
  local lost = book.lost
  if lost.count == 0 then return end
  warn(("report: %s of %d cannot be read, and the maps stand without: %s. Paths of "
    .. "stories count from the folder in which the maps were made: run it there")
    :format(words.count(words.of "en", lost.count, "picture"), book.pictures.count,
            lost.first))
end


---Writes the page of a source.
---@param source lunette.ReportSource
---@param o { out: string, title: string, lang: string, linked: boolean,
---  layers: integer }
---@return string? path, string? message   nil: it cannot be written
---@return integer? maps, integer? errors
function M.write(source, o)
  local blocks, message, book, models, path
  if not o.linked then
    blocks, message = spools.new(o.out)
    if not blocks then return nil, message end
  end
  book, message, models = fill(source, o, blocks)
  if not book then return nil, message end
  path, message = files.write(o.out, page_of(book, o, layers.measured(models), blocks))
  if not path then return nil, message end
  warn_of_lost(book)
  return path, nil, book.maps.count, #book.errors
end


local defaults = { out = "out/report.html", maps = false, from = false, run = false,
                   title = "", lang = "en", linked = false, layers = 4 }

---@class lunette.ReportOptions
---@field maps? lunette.Tensor|lunette.Tensor[]   what methods returned
---@field run? lunette.Run     of their pictures: saves a forward pass
---@field from? string|string[]   folders of `lunette explain --save npy,json` or of
---  `lunette sweep`, instead of maps
---@field out? string          the page ("out/report.html")
---@field title? string
---@field lang? string         "en" or "ru"
---@field linked? boolean      pictures and values in files beside the page: thousands
---@field layers? integer      pictures whose layers are measured (4; 0: none)


local function check_maps(o)
  if o.run and not types.is_object(o.run, "lunette.Run") then
    blame("report: run is a run, got " .. type(o.run))
  end
  if o.maps and type(o.maps) ~= "table" and not types.is_tensor(o.maps) then
    blame("report: maps is a map or a list of maps, got " .. type(o.maps))
  end
end


local function check_folders(o)
  if o.run then blame "report: run goes with maps, not with from" end
  if type(o.from) ~= "table" then o.from = { o.from } end
  for _, folder in ipairs(o.from) do
    if type(folder) ~= "string" then
      blame("report: from is a folder or a list of folders, and holds " .. type(folder))
    end
  end
end


local function checked(opts)
  local o = options.check("report", opts, defaults)
  options.choice("report: lang", o.lang, require("lunette.report.words").langs)
  o.layers = options.whole("report: layers", o.layers, 0)
  if type(o.out) ~= "string" or o.out == "" then blame "report: out is a path" end
  if (not o.maps) == (not o.from) then blame "report: give either maps or from" end
  if o.maps then check_maps(o) else check_folders(o) end
  if o.title == "" then o.title = words.of(o.lang) "Explanations" end
  return o
end


---One page of many maps: a table to sort and filter, every map large beside the others
---of its picture, colours and thresholds chosen by the reader, values under the
---pointer. It needs nothing but itself, and no network.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(2).images))
---  assert(lu.report { maps = { lu.gradcam(run), lu.saliency(run) }, run = run,
---                     layers = 0, out = "out/report.html" })
---@param opts lunette.ReportOptions
---@return string? path, string? message
---@return integer? maps      that are on the page
---@return integer? errors    that could not be
function M.report(opts)
  local o = checked(opts)
  local source, message
  if o.maps then
    source = require("lunette.report.memory").read(o.maps, o.run or nil)
  else
    source, message = require("lunette.report.folder").read(o.from)
  end
  if not source then return nil, message end
  return M.write(source, o)
end

return M
