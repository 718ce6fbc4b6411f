---Writes what the pages of docs/methods say of the methods' rows, between two marks:
---`make pages`. The rest of a page is written by hand; docs_spec compares the marked
---part with the rows.
local M = {}

local BEGIN, END = "<!-- from the row: make pages -->\n", "<!-- /row -->\n"

---Options that have the same meaning in all methods: the index tells them.
local common = { score = true, classes = true, top = true, modifiers = true,
                 normalize = true, progress = true, batch = true, seed = true,
                 memory = true, checkpoint = true, dialect = true, raw = true }


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
  for _, name in ipairs(names) do
    local option = row.options[name]
    local kind = ranged[option.type] and " (" .. option:kind() .. ")" or ""
    out[#out + 1] = ("| `%s` | %s | %s |\n"):format(name,
      cell(option:default_text() or "-"), cell(option.text .. kind))
  end
  out[#out + 1] = END
  return table.concat(out)
end


---The page with the row's part as it should be; nil where the page has no marks.
---@param text string
---@param row lunette.Method
---@return string?
function M.renewed(text, row)
  local first, last = text:find(BEGIN, 1, true), select(2, text:find(END, 1, true))
  if not first or not last then return nil end
  return text:sub(1, first - 1) .. M.block(row) .. text:sub(last + 1)
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


local function write_all()
  for name, row in pairs(require "lunette.methods") do
    local path = M.path(name)
    local new = M.renewed(M.read(path) or ("# %s\n\n%s%s"):format(name, BEGIN, END), row)
    if not new then error(path .. " lacks the marks of the row's part", 0) end
    local f = assert(io.open(path, "w"))
    f:write(new)
    f:close()
  end
end


if arg and arg[0] and arg[0]:find "pages%.lua$" then write_all() end

return M
