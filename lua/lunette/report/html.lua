---HTML pages that need nothing but themselves: escaping, the code and style that stand
---as files beside this one, and the frame of a page. What comes from outside (names,
---labels, metadata) passes `escape` or, as data, `json`.
local core = require "lunette.core"
local json = require "lunette.base.json"
local text = require "lunette.base.text"

local M = {}

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "."

local letters = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
                  ["'"] = "&#39;" }


---Text as HTML has it, between tags and in quoted attributes. Control characters, and
---those that turn the direction of writing, are shown as \u{202E}; what is no UTF-8 as
---\xNN.
---@param s any
---@param keep? string   control characters to leave: "\n"
---@return string
function M.escape(s, keep)
  return (text.escape(tostring(s), keep):gsub("[&<>\"']", letters))
end


---JSON that may stand in a <script>: no "<" is in it.
---@param value any
---@return string
function M.json(value)
  return (json.encode(value):gsub("<", "\\u003c"):gsub(">", "\\u003e"))
end


---A text for the page's own code, which shows it as it is: made harmless to read.
---@param s any
---@return string
function M.plain(s) return text.escape(tostring(s), "\n") end


local cache = {}

---A file of the folder page/.
---@param name string
---@return string
function M.asset(name)
  if not cache[name] then
    local bytes, message = require("lunette.base.files").read(here .. "/page/" .. name)
    if not bytes then error(message, 0) end
    cache[name] = bytes
  end
  return cache[name]
end


---A template with each {{key}} replaced by the HTML of that key.
---@param template string
---@param values table<string, string>
---@return string
function M.fill(template, values)
  return (template:gsub("{{([%w_]+)}}", function(key)
    return values[key] or error("no value for {{" .. key .. "}}", 0)
  end))
end


---Bytes as a data: address.
---@param kind string    "image/png"
---@param bytes string
---@return string
function M.data_url(kind, bytes)
  return ("data:%s;base64,%s"):format(kind, core.base64(bytes))
end


---What a page may do: run its own code alone, and ask nobody for anything.
local function policy(script, beside)
  local sum = core.sha256(script):gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end)
  local own = beside and " 'self' file:" or ""
  return ("default-src 'none'; img-src data: blob:%s; style-src 'unsafe-inline'; "
    .. "script-src 'sha256-%s'%s; base-uri 'none'; form-action 'none'"):format(own,
    core.base64(sum), own)
end


---@class lunette.PageParts
---@field title string
---@field lang string       "en", "ru"
---@field styles string[]   files of page/
---@field scripts string[]  files of page/
---@field body string       HTML
---@field beside? boolean   the page reads files beside it

---The two ends of a page, between which more may be written: blocks of data.
---@param p lunette.PageParts
---@return string head, string tail
function M.page(p)
  local styles, scripts = {}, { '"use strict";\n' }
  for i, name in ipairs(p.styles) do styles[i] = M.asset(name) end
  for _, name in ipairs(p.scripts) do scripts[#scripts + 1] = M.asset(name) end
  local script = table.concat(scripts)
  local head = M.fill(M.asset "frame.html", {
    lang = M.escape(p.lang), title = M.escape(p.title), body = p.body,
    policy = M.escape(policy(script, p.beside)), style = table.concat(styles) })
  return head .. "<script>" .. script .. "</script>\n", "</body>\n</html>\n"
end

return M
