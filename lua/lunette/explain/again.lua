---The method that made a map, called again: of altered pictures, of another class, of
---another network. A map that a method of Lunette made knows which, and how it was
---called (`map.origin`).
local blame = require "lunette.base.blame"
local known = require "lunette.explain.known"
local named = require "lunette.modifiers.named"
local rows = require "lunette.base.rows"
local scores = require "lunette.score"
local types = require "lunette.base.types"

local M = {}

---@class lunette.Again
---@field name string
---@field score lunette.Score    what the map explains
---@field call fun(run: lunette.Run, score: lunette.Score): lunette.Tensor
---@field run_modifiers lunette.Modifier[]   of the runs that it is called with
---@field modifiers lunette.Modifier[]       of the calls
local Again = {}
Again.__index = Again


---Options of a call that are about the call alone, or about several scores.
local apart = { classes = true, top = true, checkpoint = true, progress = true }


---Calls a row with its options, and another score.
local function caller(row, opts)
  return function(run, score)
    local own = {}
    for key, value in pairs(opts) do own[key] = not apart[key] and value or nil end
    if row.options.score then own.score = score end
    if row.options.progress then own.progress = false end
    return row(run, own)
  end
end


---The row, or nothing where a function was given.
local function row_of(what, method)
  if type(method) ~= "string" then
    local row = type(method) == "table" and type(method.options) == "table"
    if row or type(method) == "function" then return method end
    blame(("%s: method is a name, a row of lu.methods or a function, got %s"):format(
          what, type(method)))
  end
  local row = known.methods[method]
  if row then return row end
  blame(("%s: method '%s' not found%s"):format(what, method,
        require("lunette.base.suggest").after(method, rows.names(known.methods))))
end


---A function of the caller's own, which gets the method's modifiers as well.
local function own_caller(f, modifiers)
  return function(run, score)
    return f(run, { score = score, modifiers = modifiers })
  end
end


---What makes the maps of `what` again.
---@param what string            who asks, for messages
---@param map lunette.Tensor
---@param run lunette.Run        of the pictures
---@param o table                method, with, score, modifiers
---@return lunette.Again
function M.new(what, map, run, o)
  local method, opts, mods = o.method, o.with or {}, run.modifiers
  local origin = map.origin
  if not method then
    if not origin then
      blame(what .. ": which method made this map? Give { method = \"gradcam\", with = "
            .. "{ ... } }")
    end
    method, opts = origin.row, origin.opts
    mods = origin.run_modifiers or mods
  end
  local row = row_of(what, method)
  local own = type(row) == "function"
  local rules = own and o.modifiers or opts.modifiers
  return setmetatable({
    name = own and "function" or row.name, run_modifiers = mods, run = run,
    modifiers = named.list(rules or {}), score = scores.resolve(o.score, run),
    call = own and own_caller(row, o.modifiers) or caller(row, opts),
  }, Again)
end


---What takes the score of image i: several copies of one picture share it.
---@param i? integer
---@return lunette.Score
function Again:score_of(i) return i and self.score:take(i) or self.score end


---The maps of pictures x (k,C,H,W), which are altered copies of image i.
---@param x lunette.Tensor
---@param i integer
---@param more? { net?: lunette.Net, score?: any }   another network, another class
---@return lunette.Tensor   (k,H,W) or (k,C,H,W)
function Again:maps(x, i, more)
  more = more or {}
  local quietly = require("lunette.base.warn").during
  local run <close> = (more.net or self.run.net):run(x, { modifiers =
                                                            self.run_modifiers })
  local score = more.score ~= nil and scores.resolve(more.score, run)
    or self:score_of(i)
  local ok, map = pcall(quietly, false, self.call, run, score)
  if not ok then blame(map) end
  if not types.is_tensor(map) then
    blame(("method %s: a map expected, it returned %s"):format(self.name, type(map)))
  end
  return map:detach()
end


---The maps of many copies, some at a time.
---@param i integer
---@param count integer
---@param batch integer
---@param make fun(first: integer, k: integer): lunette.Tensor
---@param use fun(n: integer, map: lunette.Tensor)   of copy n
---@param more? table
function Again:each(i, count, batch, make, use, more)
  for first = 1, count, batch do
    local k = math.min(batch, count - first + 1)
    local maps = self:maps(make(first, k), i, more)
    for n = 1, k do use(first + n - 1, maps[n]) end
    collectgarbage "step"
  end
end

return M
