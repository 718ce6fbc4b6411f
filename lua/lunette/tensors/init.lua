---What tensors can do beyond the operators. A method's file is loaded when the method
---is first used: whoever uses none does not wait for them. `pairs(core.methods)` loads
---all.
local core = require "lunette.core"
local strict = require "lunette.base.strict"

local M = {}

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

---The methods of tensors that each file has (tensors_spec.lua compares).
---@type table<string, string[]>
M.methods = {
  algebra = words "cosine distance dot pearson spearman",
  order = words("argmax argmin argsort isfinite isnan masked_fill masked_select "
                .. "nonzero sort top"),
  pictures = words "gaussian_blur normalize paste resize rotate unfold",
  reduce = words "all any cumsum histogram logsumexp median norm prod quantile std var",
  shape = words("chunk region select set_region split squeeze table tile transpose "
                .. "unsqueeze"),
}

---The functions of `lu` that each file gives.
local functions = {
  algebra = { "einsum" },
  makers = words "arange eye full_like linspace ones_like zeros_like",
  shape = { "concat", "stack" },
}


---name -> file
local function places(list)
  local at = {}
  for file, names in pairs(list) do
    for _, name in ipairs(names) do at[name] = file end
  end
  return at
end

local at = places(M.methods)


---Functions of `lu`: name -> file, "concat" -> "shape".
---@type table<string, string>
M.functions = places(functions)


---Loads what was not used yet.
---@return table<string, function> methods   of tensors, all of them
function M.all()
  for file in pairs(M.methods) do require("lunette.tensors." .. file) end
  return core.methods
end


setmetatable(core.methods, {
  __index = function(known, name)
    if not at[name] then return nil end
    require("lunette.tensors." .. at[name])
    return rawget(known, name)
  end,
  __pairs = function() return next, M.all() end,
})
strict.class("tensor", core.methods)


---`print` and `tostring` of a tensor: its shape and range, and its values as numpy
---prints them.
local meta = debug.getmetatable(core.zeros(1))
local short = meta.__tostring

local function not_compared()
  require "lunette.base.blame"("tensors are compared by x:gt(y), lt, ge, le, eq, which "
    .. "give 1 where it holds and 0 elsewhere; y may be a number")
end

meta.__lt, meta.__le = not_compared, not_compared


function meta.__tostring(t) return require "lunette.tensors.text".text(t, short) end


return M
