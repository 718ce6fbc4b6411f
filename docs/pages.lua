---Writes what the pages of docs/methods say of the methods' rows, and docs/metrics.md of
---the metrics', between two marks: `make pages`. The rest of a page is written by hand;
---docs_spec compares the marked part with the rows.
local M = {}

local BEGIN, END = "<!-- from the row: make pages -->\n", "<!-- /row -->\n"

---Options that have the same meaning in all methods: the index tells them.
local common = { score = true, classes = true, top = true, modifiers = true,
                 normalize = true, progress = true, batch = true, seed = true,
                 memory = true, checkpoint = true, dialect = true, raw = true }


---Those of all metrics: the head of their page tells them.
local metric_common = { score = true, modifiers = true, batch = true, seed = true,
                        method = true, with = true }


---Kinds of options whose range says something.
local ranged = { number = true, count = true, choice = true }


---@param name string   of a method
---@return string
function M.path(name) return ("docs/methods/%s.md"):format(name) end


local function sorted_options(row)
  local names = {}
  for key in pairs(row.options) do
    if not common[key] then names[#names + 1] = key end
  end
  table.sort(names)
  return names
end


---A cell of a table: the bar ends one.
local function cell(s) return (s:gsub("|", "\\|"):gsub("%s+", " ")) end


---Lines of a table of options, after its head.
local function option_lines(row, names, out)
  for _, name in ipairs(names) do
    local option = row.options[name]
    local kind = ranged[option.type] and " (" .. option:kind() .. ")" or ""
    local flag = row.flags and row.flags[name] -- of the command line, where it differs
    out[#out + 1] = ("| `%s`%s | %s | %s |\n"):format(name,
      flag and (" (`--%s`)"):format(flag) or "",
      cell(option:default_text() or "-"), cell(option.text .. kind))
  end
end


---What the row says: paper, dialects, options.
---@param row lunette.Method
---@return string
function M.block(row)
  local out = { BEGIN, ("`lu.%s` · %s · %s\n"):format(row.name, row.family, row.paper) }
  out[#out + 1] = "\n    lunette explain photo.jpg --method " .. row.name .. "\n"
  if #row.dialects > 0 then
    out[#out + 1] = ("\nDialects: `%s` (default: the first).\n"):format(
      table.concat(row.dialects, "`, `"))
  end
  local names = sorted_options(row)
  if #names > 0 then out[#out + 1] = "\n| option | default | what |\n|---|---|---|\n" end
  option_lines(row, names, out)
  out[#out + 1] = END
  return table.concat(out)
end


---Where the page of the metrics is.
M.metrics_path = "docs/metrics.md"

local given = { mask = "a mask", map = "another map", run = "the run",
                method = "the run; calls the method again" }


---What a metric's row says: what it needs, which end is good, paper, options.
local function metric_block(row, out)
  local good = row.better and "; " .. row.better .. " is better" or ""
  out[#out + 1] = ("\n### %s\n\n`lu.metrics.%s` · needs %s%s · %s\n"):format(row.name,
    row.name, row.needs and given[row.needs] or "the map alone", good, row.paper)
  out[#out + 1] = "\n" .. require("lunette.repl.docs").of_row(row).text .. "\n"
  local names = {}
  for key in pairs(row.options) do
    if not metric_common[key] then names[#names + 1] = key end
  end
  table.sort(names)
  if #names > 0 then out[#out + 1] = "\n| option | default | what |\n|---|---|---|\n" end
  option_lines(row, names, out)
end


---What all metrics' rows say, family by family.
---@return string
function M.metrics_block()
  local out, metrics = { BEGIN }, require "lunette.metrics"
  for _, family in ipairs(require("lunette.explain.metric").families) do
    out[#out + 1] = ("\n## %s\n"):format(family:sub(1, 1):upper() .. family:sub(2))
    for _, row in pairs(metrics) do
      if row.family == family then metric_block(row, out) end
    end
  end
  out[#out + 1] = END
  return table.concat(out)
end


---The page with the row's part as it should be; nil where the page has no marks.
---@param text string
---@param row? lunette.Method   nil: the page of the metrics
---@return string?
function M.renewed(text, row)
  local first, last = text:find(BEGIN, 1, true), select(2, text:find(END, 1, true))
  if not first or not last then return nil end
  local block = row and M.block(row) or M.metrics_block()
  return text:sub(1, first - 1) .. block .. text:sub(last + 1)
end


---@param path string
---@return string?
function M.read(path)
  local f = io.open(path, "r")
  if not f then return nil end
  local text = f:read "a"
  f:close()
  return text
end


---Writes the page anew.
local function write(path, new)
  if not new then error(path .. " lacks the marks of the row's part", 0) end
  local f = assert(io.open(path, "w"))
  f:write(new)
  f:close()
end


local function write_all()
  for name, row in pairs(require "lunette.methods") do
    local path = M.path(name)
    write(path, M.renewed(M.read(path) or ("# %s\n\n%s%s"):format(name, BEGIN, END), row))
  end
  write(M.metrics_path, M.renewed(M.read(M.metrics_path) or ""))
end


if arg and arg[0] and arg[0]:find "pages%.lua$" then write_all() end

return M
