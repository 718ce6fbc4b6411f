---A method within a method: options that name it, and its values as they come.
---
---  local inner = require "lunette.explain.inner" (function()
---    return require "lunette.methods"
---  end)
local options = require "lunette.base.options"
local warn = require "lunette.base.warn"
local opt = options.opt

---@class lunette.Inner
---@field option lunette.Option   which method
---@field with lunette.Option     its own options
---@field map fun(run: lunette.Run, o: table, score: any): lunette.Tensor   its map of a
---  run, with the outer method's score (or that given) and modifiers; of what it would
---  warn of the outer method warns, which knows the picture
---@field within fun(o: table, net: lunette.Net): lunette.Method, table   the inner
---  method and its options, of the outer one's


---The options that the inner method is called with: the values as they come.
local function options_of(row, o, score)
  local opts = { raw = row.options.raw and true or nil }
  for key, value in pairs(o.with) do opts[key] = value end
  if opts.keepdims then opts.raw = nil end
  if row.options.score then opts.score = score or o.score end
  if row.options.modifiers then opts.modifiers = o.modifiers end
  return opts
end


---@param methods fun(): table   all methods, by name
---@return lunette.Inner
return function(methods)
  return {
    option = opt.any("saliency", "name of the method", function(name)
      return not methods()[name] and "a method's name" or nil
    end),
    with = opt.any({}, "its own options", function(v)
      return type(v) ~= "table" and "a table" or nil
    end),
    map = function(run, o, score)
      local row = methods()[o.of]
      local opts = options_of(row, o, score)
      options.check("with: " .. row.name, opts, row.options)
      local map = warn.during(false, row, run, opts)
      o.changed = o.changed or map.story.changed_nodes or {}
      return map
    end,
    within = function(o, net)
      local row = methods()[o.of]
      local own = require("lunette.explain.call").options(row, net,
                                                          options_of(row, o, o.score))
      own.score, own.modifiers = o.score, o.modifiers
      return row, own
    end,
  }
end
