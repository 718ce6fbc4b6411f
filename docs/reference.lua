-- Writes the library's doc comments as LDoc reads them: lua5.4 docs/reference.lua DIR.
-- The sources hold LuaCATS comments (for editors, help and completion); LDoc knows
-- other tags, so that each module becomes one file of comments and signatures here.
local docs = require "lunette.repl.docs"
local exports = require "lunette.repl.exports"
local files = require "lunette.files"

local dir = arg and arg[1] or "build/reference"

-- where names that people type are described: the page and its first sentence
local pages = {
  { "lunette", "The library: `local lu = require \"lunette\"`.", "^lu%.[%w_]+$" },
  { "net", "Networks: what `lu.load` and `lu.net` return.", "^net:" },
  { "run", "Runs: what `net:run` returns.", "^run:" },
  { "tensor", "Tensors and their operators.", "^tensor:" },
  { "canvas", "Canvases: what `lu.canvas` returns.", "^canvas:" },
  { "session", "Commands of the REPL.", "^[%w_]+$" },
  { "core", "The engine, `require \"lunette.core\"`.", "^core%.[%w_]+$" },
  { "core_image", "Pictures of the engine, `core.image`.", "^core%.image%." },
}


local function clean(text)
  return (text:gsub("@", "@ "):gsub("\n", "\n-- "))
end


---LDoc's types are words: what a LuaCATS type says goes into the text.
local function tagged(tag, name, p)
  local kind = p.type ~= "" and "(`" .. p.type:gsub("lunette%.", "") .. "`) " or ""
  return ("-- @%s %s%s%s"):format(tag, name, name ~= "" and " " or "",
                                  clean(kind .. (p.text or "")))
end


local function options_text(e, out)
  for i = #e.params, 1, -1 do
    local fields = docs.options_of(e.params[i].type)
    for _, f in ipairs(fields) do
      out[#out + 1] = ("-- @field %s (`%s`) %s"):format(f.name,
        f.type:gsub("lunette%.", ""), clean(f.text or ""))
    end
    if #fields > 0 then return end
  end
end


local function block(name, e)
  local out = { "--- " .. clean(e.text ~= "" and e.text or name .. ".") }
  if e.caveat then out[#out + 1] = "--\n-- **Caveat:** " .. clean(e.caveat) end
  out[#out + 1] = "-- @function " .. name
  for _, p in ipairs(e.params) do
    out[#out + 1] = tagged("param", p.name == "..." and "..." or p.name, p)
  end
  for _, r in ipairs(e.returns) do out[#out + 1] = tagged("return", "", r) end
  if e.example then
    out[#out + 1] = "-- @usage\n-- " .. e.example:gsub("\n", "\n-- ")
  end
  -- options go into the prose: LDoc's @field belongs to tables
  local options = {}
  options_text(e, options)
  if #options > 0 then
    local list = { "--\n-- Options:\n--" }
    for _, line in ipairs(options) do
      list[#list + 1] = line:gsub("^%-%- @field (%S+)", "-- * `%1`")
    end
    table.insert(out, 2, table.concat(list, "\n") .. "\n--")
  end
  return table.concat(out, "\n") .. "\n"
end


---Everything exported, by page: what the parity test compares.
local function write(page, title, pattern)
  local out = { ("--- %s\n-- @module %s\n"):format(title, page) }
  local help = require "lunette.repl.help"
  for _, x in ipairs(exports.list()) do
    if x.name:find(pattern) then
      local e = help.entry_of(x)
      if e then out[#out + 1] = block(x.short, e) end
    end
  end
  assert(files.write(("%s/%s.lua"):format(dir, page), table.concat(out, "\n")))
end


for _, page in ipairs(pages) do write(table.unpack(page)) end
for _, key in ipairs(require("lunette").names()) do -- lu.score, lu.modifiers ...
  local ok, module = pcall(function() return require("lunette")[key] end)
  local header = ok and type(module) == "table"
    and docs.all().modules["lunette." .. key:gsub("^modifiers$", "modifier")]
  if header and key ~= "core" then
    local first = header.text:gsub("%s+", " "):match "^.-[.:]%s" or header.text
    write(key, (first:gsub(":%s*$", ".")), "^lu%." .. key .. "%.")
  end
end
