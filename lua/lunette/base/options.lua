---Option tables: every function that takes one names its keys and defaults here,
---and an unknown key is an error with the nearest one. An option may be a plain
---default, or say more of itself: type, range and meaning (`opt.count(8, "...", 1)`),
---which help, completion and the command line read.
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief
local suggest = require "lunette.base.suggest"
local types = require "lunette.base.types"

local M = {}

local MOST_COUNT = 1 << 20 -- copies, steps, masks: more would take days, or all memory

---@return boolean
M.is_tensor = types.is_tensor


-- options that describe themselves ----------------------------------------------


---@class lunette.Option
---@field type string      "flag", "number", "count", "choice", "layer", "score" ...
---@field default any
---@field text string      its meaning, in a few words
---@field least? number
---@field most? number
---@field cap? integer     of a count without `most`
---@field list? string[]   of a choice
---@field check? fun(value: any): string?, boolean?   "a name or a number" where the
---  value will not do; with true the whole message
---@field spatial? boolean  of a layer: it must have height and width
---@field many? boolean    of a layer: a list of them will do too
---@field effect? boolean  false: the values of the result do not depend on it
---@field maybe? boolean   false will do, too
---@field shapes? string[][]   of a tensor: the words of each shape that it may have
local Option = {}
Option.__index = Option
Option.__name = "lunette.Option"


local function new(kind, default, text, more)
  local o = { type = kind, default = default, text = text or "" }
  for key, value in pairs(more or {}) do o[key] = value end
  return setmetatable(o, Option)
end


---Makes options: opt.flag(true, "keep positive evidence only").
local opt = {}
M.opt = opt

---True or false: opt.flag(true, "keep positive evidence only").
---@param default boolean
---@param text string   its meaning, for help
---@return lunette.Option
function opt.flag(default, text) return new("flag", default, text) end


---A finite number from `least` to `most`.
---@param default number
---@param text string   its meaning, for help
---@param least? number
---@param most? number
---@return lunette.Option
function opt.number(default, text, least, most)
  return new("number", default, text, { least = least, most = most })
end


---A whole number from `least` (1) to `most`; a million where that is left open.
---@param default integer
---@param text string   its meaning, for help
---@param least? integer
---@param most? integer
---@return lunette.Option
function opt.count(default, text, least, most)
  least = least or 1
  return new("count", default, text, { least = least, most = most,
             cap = least > math.mininteger and MOST_COUNT or nil })
end


---One word of a list.
---@param default string
---@param list string[]
---@param text string   its meaning, for help
---@return lunette.Option
function opt.choice(default, list, text)
  return new("choice", default, text, { list = list })
end


---A layer's name or alias; "last": the network's last map. The method gets the layer.
---@param default string|false
---@param text string   its meaning, for help
---@param more? { spatial?: boolean, many?: boolean }   it must have height and width;
---  a list of layers will do too
---@return lunette.Option
function opt.layer(default, text, more) return new("layer", default, text, more) end


---A class id or name, "predicted", a score, or a function of the output.
---@param default any
---@param text string   its meaning, for help
---@return lunette.Option
function opt.score(default, text) return new("score", default, text) end


---What stands for "nothing there": a name, a number, a tensor, a function.
---@param default any
---@param text string   its meaning, for help
---@return lunette.Option
function opt.baseline(default, text) return new("baseline", default, text) end


---Anything that `check` has no message against.
---@param default any
---@param text string   its meaning, for help
---@param check? fun(value: any): string?, boolean?   "a name or a number"; with true
---  the whole message
---@return lunette.Option
function opt.any(default, text, check)
  return new("any", default, text, { check = check })
end


---False, or a tensor of the caller's own. The words of its shape are N, C, H, W, which
---are those of the pictures, names of other options, which are what it has at least, or
---letters that may be anything: "(samples,C,H,W)", "(K) or (N,K)".
---@param shape string
---@param meaning string    for help
---@return lunette.Option
function opt.tensor(shape, meaning)
  local shapes = {}
  for words in shape:gmatch "%b()" do
    local list = {}
    for word in words:gmatch "[%w_]+" do list[#list + 1] = word end
    shapes[#shapes + 1] = list
  end
  return new("tensor", false, shape .. ": " .. meaning,
             { shapes = shapes, shape = shape })
end


---The same option, or false: not given.
---@param option lunette.Option
---@return lunette.Option
function opt.maybe(option)
  option.default, option.maybe = false, true
  return option
end


---A copy of the option marked as having no effect on the result; stories leave it out.
---@param option lunette.Option
---@return lunette.Option
function opt.quiet(option)
  option.effect = false
  return option
end


---@return boolean
function M.is_option(value) return getmetatable(value) == Option end


---Type and range as help prints them: "number 0 .. 1", "abs|none".
---@return string
function Option:kind()
  if self.type == "choice" then return table.concat(self.list, "|") end
  if self.type == "flag" then return "boolean" end
  local least, most = self.least, self.most
  if least == math.mininteger then least = nil end
  if not least and not most then return self.type end
  if not most then return ("%s from %g"):format(self.type, least) end
  return ("%s %g .. %g"):format(self.type, least or -math.huge, most)
end


---Its default as text, or nil where there is none to speak of.
---@return string?
function Option:default_text()
  local kind = type(self.default)
  if kind == "number" then return ("%g"):format(self.default) end
  if kind == "string" and self.default ~= "" then return self.default end
  if kind == "boolean" and (self.default or self.type == "flag") then
    return tostring(self.default)
  end
  return nil
end


---The value that a word of a command line stands for.
---@param word string
---@return any
function Option:read(word)
  if self.type == "baseline" and word:find(",", 1, true) then
    local list = {}
    for part in word:gmatch "[^,]+" do list[#list + 1] = self:read(part) end
    return list
  end
  return self.type ~= "choice" and self.type ~= "layer" and tonumber(word) or word
end


local checks = {}


function checks.flag(_, value)
  if type(value) ~= "boolean" then return "is true or false" end
  return nil
end


function checks.number(o, value)
  if type(value) ~= "number" then return "is a number" end
  local finite = value == value and math.abs(value) < math.huge
  if finite and value >= (o.least or value) and value <= (o.most or value) then
    return nil
  end
  if not finite then return "is a finite number", brief(value) end
  local range = o.most and ("from %g to %g"):format(o.least or -math.huge, o.most)
    or ("from %g on"):format(o.least)
  return "is a number " .. range, brief(value)
end


function checks.count(o, value)
  if type(value) ~= "number" then return "is a number" end
  local n, most = math.tointeger(value), o.most or o.cap
  if n and n >= o.least and n <= (most or n) then return nil end
  if not most then return "is a whole number", brief(value) end
  local beyond = o.most or n and n > most
  local range = (beyond and "%d to %d" or "%d on"):format(o.least, most)
  return "is a whole number from " .. range, brief(value)
end


function checks.choice(o, value)
  for _, c in ipairs(o.list) do
    if c == value then return nil end
  end
  return "", ("'%s' is none of %s%s"):format(brief(value),
    table.concat(o.list, ", "), suggest.after(brief(value), o.list))
end


function checks.layer(o, value)
  if type(value) == "string" or value == false then return nil end
  if o.many and type(value) == "table" and #value > 0 then return nil end
  return "is a layer's name"
end


function checks.tensor(o, value)
  if value == false then return nil end
  if not M.is_tensor(value) then
    return ("is false or a tensor %s"):format(o.shape), brief(value)
  end
  for _, words in ipairs(o.shapes) do
    if #words == value:dim() then return nil end
  end
  return "is a tensor " .. o.shape, ("one of shape (%s)"):format(
    table.concat(value:shape(), ","))
end


function checks.any(o, value)
  local message, whole
  if o.check then message, whole = o.check(value) end
  if not message then return nil end
  if whole then return "", message end
  return "is " .. message, brief(value)
end


---Raises when the value is none that the option takes.
local function check_value(what, key, option, value)
  local check = checks[option.type]
  local wrong, got = nil, nil
  if option.maybe and value == false then return end
  if check then wrong, got = check(option, value) end
  if not wrong then return end
  if wrong == "" then blame(("%s: %s: %s"):format(what, key, got)) end
  if got then blame(("%s: %s %s, got %s"):format(what, key, wrong, got)) end
  blame(("%s: option '%s' %s, got %s"):format(what, key, wrong, types.told(value)))
end


-- tables of them -----------------------------------------------------------------


---Where the default is a number, nothing but a number will do.
local function check_type(what, key, value, default)
  if M.is_option(default) then
    check_value(what, key, default, value)
  elseif type(default) == "number" and type(value) ~= "number" then
    blame(("%s: option '%s' is a number, got %s"):format(what, key, types.told(value)))
  end
end


local function unknown(what, key, defaults)
  local known = {}
  for k in pairs(defaults) do known[#known + 1] = tostring(k) end
  table.sort(known)
  if type(key) == "number" then
    blame(("%s: options have names, { name = value }; number %s has none (options: %s)"
      ):format(what, key, table.concat(known, ", ")))
  end
  local hint = suggest.option(tostring(key), known)
  blame(("%s: unknown option '%s'%s (options: %s)"):format(what, tostring(key), hint,
        table.concat(known, ", ")))
end


---The options written as a table, where they were not: `{ score = 3 }` where the value
---tells which one was meant, and their names.
local function written(value, defaults)
  local names, meant = {}, nil
  for key, option in pairs(defaults) do
    names[#names + 1] = key
    for _, word in ipairs(M.is_option(option) and option.list or {}) do
      if word == value then meant = ("{ %s = '%s' }"):format(key, word) end
    end
  end
  table.sort(names)
  if math.type(value) == "integer" and defaults.score ~= nil then
    meant = ("{ score = %d }"):format(value)
  end
  return ("; write %s (options: %s)"):format(meant or "{ name = value }",
                                            table.concat(names, ", "))
end


---Copies `opts` over `defaults`. A plain default of `false` means "not given". What
---does not fit is an error at the line that called the library.
---@param what string       the function, for the message
---@param opts? table
---@param defaults table<string, any>   defaults, or options that describe themselves
---@return table
function M.check(what, opts, defaults)
  if opts ~= nil and (type(opts) ~= "table" or types.class_of(opts)) then
    blame(("%s: options are a table, got %s%s"):format(what, types.told(opts),
          written(opts, defaults)))
  end
  local full = {}
  for key, value in pairs(defaults) do
    if M.is_option(value) then value = value.default end
    full[key] = value
  end
  for key, value in pairs(opts or {}) do
    if defaults[key] == nil then unknown(what, key, defaults) end
    check_type(what, key, value, defaults[key])
    full[key] = value
  end
  return full
end


---Checks that `value` is a whole number of at least `least`.
---@return integer value
function M.whole(what, value, least)
  local n = math.tointeger(value)
  if n and n >= least then return n end
  blame(("%s is a whole number from %d on, got %s"):format(what, least, brief(value)))
end


---Checks that `value` is one of `choices`.
---@return any value
function M.choice(what, value, choices)
  for _, c in ipairs(choices) do
    if c == value then return value end
  end
  blame(("%s: '%s' is none of %s%s"):format(what, brief(value),
        table.concat(choices, ", "), suggest.after(brief(value), choices)))
end

return M
