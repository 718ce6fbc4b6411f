---The command that makes a map again, from its story.
local flags = require "lunette.explain.flags"
local methods = require "lunette.methods"
local quoted = require("lunette.base.text").quoted
local stories = require "lunette.explain.story"

local M = {}


---A word for the shell, where it can be written in one line.
local function add(words, ...)
  for _, word in ipairs { ... } do words[#words + 1] = quoted(word) end
end


---A value as its flag reads it; nil: as the default, or none that can be typed.
local function typed(option, value)
  if value == nil or value == option.default then return nil end
  if type(value) == "number" then return ("%.17g"):format(value) end
  return type(value) == "string" and value or nil
end


local function add_options(words, row, story)
  for _, flag in ipairs(flags.of(row)) do
    local value, option = story[flag.key], flag.option
    if option.type == "flag" then
      if value == not option.default then add(words, "--" .. flag.name) end
    else
      local word = typed(option, value)
      if word then add(words, "--" .. flag.name, word) end
    end
  end
end


---The network by its name where that finds the same file, else by its file.
local function model_of(entry)
  local path = entry.story.weights
  local found = require("lunette.weights.load").find(entry.model)
  if type(path) ~= "string" or found == path then return entry.model end
  return path
end


---How the picture was prepared.
local function add_picture(words, story)
  if type(story.fit) == "string" then add(words, "--fit", story.fit) end
  if type(story.filter) == "string" then add(words, "--filter", story.filter) end
  if story.oriented then add(words, "--orient") end
end


---Rules of the way back. `linear` is added by the command itself.
local function add_modifiers(words, row, story)
  if not row.options.modifiers or type(story.modifiers) ~= "table" then return end
  for _, name in ipairs(story.modifiers) do
    if name ~= "linear" then add(words, "--modifier", name) end
  end
end


---Whose numbers; or none's.
local function add_dialect(words, row, story)
  if row.options.dialect and type(story.dialect) == "string" then
    add(words, "--dialect", story.dialect)
  end
  if row.options.raw and story.raw then add(words, "--raw") end
end


---The line for a shell; nil where the map is of a method or of a score that has no
---command: one's own, or a combination of classes.
---@param entry lunette.ReportEntry
---@return string?
function M.of(entry)
  local story, id = entry.story, (entry.class or {}).class
  local row = type(story.method) == "string" and methods[story.method]
  if not row or not entry.path or story.score and not id then return nil end
  if type(story.output) == "table" then return nil end -- classes of several outputs
  local words = { "lunette", "explain" }
  add(words, entry.path, "--model", model_of(entry), "--method", story.method)
  if row.options.score and id then add(words, "--class", ("%d"):format(id)) end
  local head = stories.named_output(story)
  if head then add(words, "--head", head) end
  add_dialect(words, row, story)
  add_modifiers(words, row, story)
  add_options(words, row, story)
  add_picture(words, story)
  return table.concat(words, " ")
end

return M
