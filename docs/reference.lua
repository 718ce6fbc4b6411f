-- Writes the library's doc comments as LDoc reads them: lua5.4 docs/reference.lua DIR.
-- The sources hold LuaCATS comments (for editors, help and completion); LDoc knows
-- other tags, so that each module becomes one file of comments and signatures here.
local docs = require "lunette.repl.docs"
local exports = require "lunette.repl.exports"
local files = require "lunette.base.files"
require "lunette.repl.session" -- whose commands are exports too

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
  return (text:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub("@", "&#64;")
          :gsub("\n", "\n-- "))
end


local function type_text(kind)
  return kind ~= "" and "<code>" .. clean(kind:gsub("lunette%.", "")) .. "</code> " or ""
end


---LDoc's types are words: what a LuaCATS type says goes into the text.
local function tagged(tag, name, p)
  return ("-- @%s %s %s%s"):format(tag, name, type_text(p.type), clean(p.text or ""))
end


---The keys of an option table, as a list in the prose.
local function options_of(e)
  local fields = docs.options_for(e)
  if #fields == 0 then return nil end
  local out = { "--\n-- <ul>" }
  for _, f in ipairs(fields) do
    out[#out + 1] = ("-- <li><code>%s</code> %s%s</li>"):format(f.name,
      type_text(f.type), clean(f.text or ""))
  end
  return table.concat(out, "\n") .. "\n-- </ul>\n--"
end


local function block(name, e)
  local out = { "--- " .. clean(e.text ~= "" and e.text or name .. ".") }
  out[#out + 1] = options_of(e)
  if e.caveat then
    out[#out + 1] = "--\n-- <strong>Caveat:</strong> " .. clean(e.caveat)
  end
  out[#out + 1] = "-- @function " .. name
  for _, p in ipairs(e.params) do out[#out + 1] = tagged("param", p.name, p) end
  for _, r in ipairs(e.returns) do out[#out + 1] = tagged("return", "", r) end
  if e.example then
    out[#out + 1] = "-- @usage\n-- " .. e.example:gsub("\n", "\n-- ")
  end
  return table.concat(out, "\n") .. "\n"
end


---Everything exported, by page: what the parity test compares. `methods`: of the class
---that the page's module makes, if it has one.
local function write(page, title, pattern, methods)
  local out = { ("--- %s\n-- @module %s\n"):format(title, page) }
  local help = require "lunette.repl.help"
  for _, x in ipairs(exports.list()) do
    if x.name:find(pattern) or methods and x.name:find(methods) then
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
    and docs.all().modules[require("lunette").module_of(key)]
  if header and key ~= "core" then
    local first = header.text:gsub("%s+", " "):match "^.-[.:]%s" or header.text
    write(key, (first:gsub(":%s*$", ".")), "^lu%." .. key .. "%.", "^" .. key .. ":")
  end
end
