---Documents for a browser, from top to bottom: headings, text, code, tables, pictures,
---plots. Every text is escaped; pictures lie in the page.
local files = require "lunette.base.files"
local html = require "lunette.report.html"

local M = {}

---@class lunette.Document
---@field title string
---@field lang string
local Document = {}
Document.__index = Document


---@param title string
---@param lang string   "en" or "ru"
---@return lunette.Document
function M.new(title, lang)
  return setmetatable({ title = title, lang = lang, parts = {} }, Document)
end


---Adds HTML as it is.
---@param text string
---@return lunette.Document self
function Document:html(text)
  self.parts[#self.parts + 1] = text .. "\n"
  return self
end


---@param text string
---@param level? integer   2
---@return lunette.Document self
function Document:heading(text, level)
  level = level or 2
  return self:html(("<h%d>%s</h%d>"):format(level, html.escape(text), level))
end


---Paragraphs, which empty lines part; what stands between `backticks` is code.
---@param text string
---@param class? string   of the style sheet
---@return lunette.Document self
function Document:text(text, class)
  local open = class and ('<p class="%s">'):format(class) or "<p>"
  for part in (text .. "\n\n"):gmatch "(.-)\n%s*\n" do
    local words = part:match "^%s*(.-)%s*$"
    if words ~= "" then
      local escaped = html.escape((words:gsub("%s+", " ")))
      self:html(open .. escaped:gsub("`([^`]+)`", "<code>%1</code>") .. "</p>")
    end
  end
  return self
end


---Text that keeps its lines: code, or what was printed.
---@param text string
---@param class string   "code", "out", "failed"
---@return lunette.Document self
function Document:pre(text, class)
  return self:html(('<pre class="%s" tabindex="0">%s</pre>'):format(class,
    html.escape(text, "\n\t")))
end


---' class="number"' for a number, or a share: "12.5 %".
local function class_of(cell)
  local number = type(cell) == "string" and cell:match "^(.*) %%$" or cell
  return tonumber(number) and ' class="number"' or ""
end


---A table: rows of cells, below a row of heads. Numbers stand at the right.
---@param rows any[][]
---@param head? string[]
---@return lunette.Document self
function Document:table(rows, head)
  local out = { '<div class="wide"><table>' }
  if head then
    out[#out + 1] = "<thead><tr>"
    for k, cell in ipairs(head) do
      out[#out + 1] = ('<th scope="col"%s>%s</th>'):format(
        class_of(rows[1] and rows[1][k]), html.escape(cell))
    end
    out[#out + 1] = "</tr></thead>"
  end
  out[#out + 1] = "<tbody>"
  for _, row in ipairs(rows) do
    out[#out + 1] = "<tr>"
    for _, cell in ipairs(row) do
      out[#out + 1] = ("<td%s>%s</td>"):format(class_of(cell), html.escape(cell))
    end
    out[#out + 1] = "</tr>"
  end
  out[#out + 1] = "</tbody></table></div>"
  return self:html(table.concat(out))
end


---A picture.
---@param png string      bytes of a PNG file
---@param alt string      for those who do not see it
---@param width integer   pixels
---@param height integer
---@param caption? string
---@return lunette.Document self
function Document:picture(png, alt, width, height, caption)
  return self:html(('<figure><img alt="%s" width="%d" height="%d" src="%s">%s</figure>')
    :format(html.escape(alt), width, height, html.data_url("image/png", png), caption
      and "<figcaption>" .. html.escape(caption) .. "</figcaption>" or ""))
end


---The whole page.
---@return string
function Document:render()
  local body = ('<header class="top"><h1>%s</h1><p class="tools"><label>%s '
    .. '<select id="theme"><option value="system">%s</option>'
    .. '<option value="light">%s</option><option value="dark">%s</option></select>'
    .. "</label></p></header>\n<main>\n%s</main>\n")
  local say = require("lunette.report.words").of(self.lang)
  local head, tail = html.page { title = self.title, lang = self.lang,
    styles = { "page.css", "document.css" }, scripts = { "theme.js" },
    body = body:format(html.escape(self.title), html.escape(say "Theme"),
      html.escape(say "system"), html.escape(say "light"), html.escape(say "dark"),
      table.concat(self.parts)) }
  return head .. tail
end


---@param path string
---@return string? path, string? message
function Document:save(path) return files.write(path, self:render()) end

return M
