---What a value is.
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief

local M = {}


local function is_class(value, name)
  return type(value) == "userdata" and (getmetatable(value) or {}).__name == name
end


---@param value any
---@return boolean
function M.is_tensor(value) return is_class(value, "lunette.tensor") end


---Is it a whole number from 1 on? A text of one is none; math.tointeger takes it.
---@param value any
---@return boolean
function M.is_count(value)
  return type(value) == "number" and math.tointeger(value) ~= nil and value >= 1
end


---An image of the engine's own (8-bit, for drawing); pictures of users are tensors.
---@param value any
---@return boolean
function M.is_image(value) return is_class(value, "lunette.image") end


---Is it an object of a class of Lua: "lunette.Net", "lunette.Run"?
---@param value any
---@param name string
---@return boolean
function M.is_object(value, name)
  return type(value) == "table" and (getmetatable(value) or {}).__name == name
end


local spoken = { Net = "network", Images = "batch of pictures" }


---A class's name as people say it: "lunette.Net" is "a network".
local function spoken_of(name)
  local class = name:match "^lunette%.([%w_]+)$" or name
  local word = spoken[class] or class:lower()
  return (word:find "^[aeiou]" and "an " or "a ") .. word
end


---The name of an object's class, "lunette.Net"; nil of plain values.
---@param value any
---@return string?
function M.class_of(value)
  local meta = debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or nil
end


---What was given where something else was expected: "a tensor (2,3)", "a network",
---"a function", "'hen.jpg'", "5", "nil".
---@param value any
---@return string
function M.told(value)
  local kind = type(value)
  if M.is_tensor(value) then
    local there, shape = pcall(value.shape, value) -- not of one that was released
    return there and ("a tensor (%s)"):format(table.concat(shape, ",")) or "a tensor"
  end
  if kind == "string" then return brief(("'%s'"):format(value)) end
  if kind == "number" or kind == "boolean" or kind == "nil" then return brief(value) end
  if value == package.loaded.lunette then
    return "the library itself: a dot, no colon"
  end
  if M.class_of(value) == "lunette.Rows" then
    return "the table of all of them: a dot, no colon"
  end
  local name = M.class_of(value)
  return name and spoken_of(name) or "a " .. kind
end


local of_net = 'assert(lu.load "glyphs"), or lu.net { ... }, gives a network'
local of_run = "net:run(images) gives a run"
local of_tensor = "lu.tensor(list) makes a tensor of a list"

---What makes the kind of value that is wanted of the one that was given.
local remedies = {
  Net = { string = of_net, ["nil"] = of_net, table = of_net, Run = "run.net is one",
          Images = of_net, tensor = "lu.npy.write(path, x) writes a tensor" },
  Run = { Net = of_run, Images = of_run, tensor = of_run, ["nil"] = of_run,
          table = of_run, string = of_run },
  Tensor = { table = of_tensor, number = of_tensor,
             string = "net:images(path) reads pictures, lu.npy.read(path) a .npy",
             Run = "run.images was put in, run.LAYER and run.output came out",
             Net = "net:run(x).LAYER is what a layer puts out",
             Layer = "run.LAYER is what a layer put out" },
  string = { Layer = "its name is layer.name" },
  number = { tensor = "x:item() is the number of a tensor that has one" },
  integer = { tensor = "x:item() is the number of a tensor that has one" },
}


---What to add to the message about a value of another kind: "; net:run(images) gives a
---run", or "".
---@param wanted string   the type, as doc comments have it
---@param value any
---@return string
function M.remedy(wanted, value)
  local given = (M.class_of(value) or type(value)):gsub("^lunette%.", "")
  for kind in wanted:gmatch "[%w_%.]+" do
    local of = remedies[(kind:gsub("^lunette%.", ""))]
    if of and of[given] then return "; " .. of[given] end
  end
  return ""
end


---Raises where a network is expected and something else was given.
---@param what string   who was called
---@param value any
function M.check_net(what, value)
  if M.is_object(value, "lunette.Net") then return end
  blame(("%s: a network expected, got %s%s"):format(what, M.told(value),
        M.remedy("Net", value)))
end

return M
