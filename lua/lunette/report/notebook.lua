---Notebooks: a script's code, what it prints, its tables and what it shows, in order,
---as one page. `local page = lu.notebook "exp.html"` at its beginning is all it takes.
local blame = require "lunette.base.blame"
local cells_of = require "lunette.report.cells"
local documents = require "lunette.report.document"
local is_object = require("lunette.base.types").is_object
local options = require "lunette.base.options"
local show = require "lunette.picture.show"
local text = require "lunette.base.text"
local warn = require "lunette.base.warn"

local M = {}

---@class lunette.Notebook
---@field path string
local Notebook = {}
Notebook.__index = Notebook
Notebook.__name = "lunette.Notebook"

---The notebook that print and show write to.
---@type lunette.Notebook?
M.current = nil


-- code -------------------------------------------------------------------------------


---Where the script is now: the line of its outermost call.
local function line_of(self)
  local line = nil
  for level = 2, 200 do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    if info.source == self.source then line = info.currentline end
  end
  return line
end


---Puts code that is waiting on the page, as one piece.
local function flush_code(self)
  if #self.waiting == 0 then return end
  local code = table.concat(self.waiting, "\n")
  self.waiting = {}
  self.document:pre(code, self.class)
end


---Puts what was printed since the last part on the page.
local function flush(self)
  flush_code(self)
  if #self.printed == 0 then return end
  local printed = table.concat(self.printed)
  self.printed = {}
  self.document:pre((printed:gsub("\n$", "")), "out")
end


---Puts the code down to the statement of that line where the page stands.
local function code_to(self, line)
  while self.cells[1] and self.cells[1].first <= line do
    if #self.printed > 0 then flush(self) end
    local cell = table.remove(self.cells, 1)
    if self.code and cell.text:find "%S" then
      self.waiting[#self.waiting + 1] = cell.text
    end
  end
end


local function come_here(self)
  local line = line_of(self)
  if line then code_to(self, line) end
end


-- what a script puts there -----------------------------------------------------------


---Puts a part of the document behind the code down to here and what it printed.
local function put(self, part, ...)
  come_here(self)
  flush(self)
  self.document[part](self.document, ...)
  return self
end


---Text between code and output; an empty line begins a paragraph.
---@param words string
---@return lunette.Notebook self
function Notebook:text(words) return put(self, "text", tostring(words)) end


---A heading.
---@param words string
---@return lunette.Notebook self
function Notebook:heading(words) return put(self, "heading", tostring(words)) end


---Text that keeps its lines.
---@param words any   what print would print
---@return lunette.Notebook self
function Notebook:print(words)
  come_here(self)
  flush_code(self)
  self.printed[#self.printed + 1] = tostring(words) .. "\n"
  return self
end


---A table.
---@param rows any[][]
---@param head? string[]
---@return lunette.Notebook self
function Notebook:table(rows, head) return put(self, "table", rows, head) end


---What show() draws, as a picture of the page.
---@param x any            a tensor, a canvas, a layer ...
---@param caption? string
---@return lunette.Notebook self
function Notebook:show(x, caption)
  come_here(self)
  flush(self)
  if is_object(x, "lunette.Canvas") and not x.lang then x.lang = self.document.lang end
  local ok, image, note = pcall(show.image, x)
  if not ok then blame(image) end
  if not image then
    self.document:pre(note, "out")
    return self
  end
  local width, height = image:size()
  self.document:picture(image:encode "png", caption or note or "", width, height,
                        caption or note)
  image:release()
  return self
end


-- beginning and end ------------------------------------------------------------------


local real_print = print


---Catches what the script prints and shows from now on.
local function catch(self)
  self.warn = warn.sink
  warn.sink = function(message)
    come_here(self)
    flush(self)
    self.document:pre("warning: " .. message, "out wrap")
    self.warn(message)
  end
  function _G.print(...) -- luacheck: ignore 122
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    self:print(table.concat(parts, "\t"))
    real_print(...)
  end
  show.sink = function(x) self:show(x) end
end


local function release(self)
  _G.print, show.sink, M.current = real_print, nil, nil -- luacheck: ignore 122
  warn.sink = self.warn
end


---Writes the page. What follows of the script stands on it without output.
---@param failure? string   the error that ended the script
---@return string? path, string? message
function Notebook:close(failure)
  if M.current ~= self then return self.path end
  release(self)
  if failure then
    code_to(self, self.failed_at or 0)
    flush(self)
    self.document:pre(failure, "failed")
    self.class = "waiting"
    code_to(self, math.maxinteger)
  else
    code_to(self, math.maxinteger)
  end
  flush(self)
  local path, message = self.document:save(self.path)
  if not path then
    text.complain(message)
    return nil, message
  end
  text.say("wrote " .. path)
  return path
end


---Notes where the script is, as an error passes: afterwards its calls are gone.
function M.failing()
  if M.current then M.current.failed_at = line_of(M.current) end
end


---The end of the script: the program calls this, with the error if there was one.
---@param failure? any
---@return boolean ok   false: the page cannot be written
function M.finish(failure)
  if not M.current then return true end
  return M.current:close(failure and tostring(failure)) ~= nil
end


-- a state that is closed (lua5.4 without our program, os.exit) writes the page as well
local guard = setmetatable({}, { __gc = function() M.finish() end })


local defaults = { out = "", title = "", lang = "en", code = true }


---The script that called: its name in debug.getinfo, and its text.
local function caller()
  for level = 3, 200 do
    local info = debug.getinfo(level, "S")
    if not info then break end
    if info.what == "main" then
      local path = info.source:match "^@(.*)"
      return info.source, path and require("lunette.base.files").read(path) or "", path
    end
  end
  return "", "", nil
end


---The first sentence of a script: its first comment.
local function sentence(code)
  return code:gsub("^#![^\n]*\n", ""):match "^%s*%-%-+%s*([^\n]+)"
end


---Makes the script that calls it a notebook: its code, what it prints, and what it
---shows become one page, in order, for any browser. An error of the script is on the
---page, and all that came before.
---Example:
---  local page = lu.notebook "out/example.html"
---  page:heading "Noise"
---  show(lu.uniform(8, 8))
---  page:close()
---@param what string|table   the page; or { out =, title =, lang = "en"|"ru", code =
---  false to leave the code out }
---@return lunette.Notebook page   :heading, :text, :table, :show(x, caption), :close
function M.new(what)
  local given = type(what) == "string" and { out = what } or what
  local o = options.check("notebook", given, defaults)
  options.choice("notebook: lang", o.lang, require("lunette.report.words").langs)
  if type(o.out) ~= "string" or o.out == "" then blame "notebook: out is a path" end
  if M.current then
    blame(("notebook: '%s' is open; close it first"):format(M.current.path))
  end
  local source, code, path = caller()
  local title = o.title ~= "" and o.title or sentence(code) or path
    and path:match "[^/]*$" or o.out
  M.current = setmetatable({ path = o.out, source = source, code = o.code,
    cells = cells_of(code), printed = {}, waiting = {}, class = "code", guard = guard,
    document = documents.new(title, o.lang) }, Notebook)
  catch(M.current)
  return M.current
end

return M
