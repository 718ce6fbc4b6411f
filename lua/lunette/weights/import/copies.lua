---Finds the network inside a state dict: the tensors behind one of its prefixes. Where
---there are several copies, it takes the one that the user names, or else the
---likeliest, and names the others.
local prefixes = require "lunette.weights.import.prefixes"

local M = {}


local function shown(prefix) return "'" .. prefix:gsub("%.$", "") .. "'" end


---The copy that the user names, or all.
local function chosen(list, given)
  if not given.prefix then return list end
  local want, names = given.prefix:gsub("%.$", "") .. ".", {}
  for i, c in ipairs(list) do
    if c.prefix == want or c.prefix == given.prefix then return { c } end
    names[i] = shown(c.prefix)
  end
  if #names == 0 then
    return nil, ("no network stands behind '%s'"):format(given.prefix)
  end
  return nil, ("no network stands behind '%s'; behind %s there are some"):format(
    given.prefix, table.concat(names, ", "))
end


---A candidate as a network, with what lies beside it; nil, message, and the network
---that it would be without that.
local function tried(c, others, try)
  local hit, why = try(c)
  if not hit then return nil, why end
  local beside
  beside, why = prefixes.beside(c, others)
  if not beside then return nil, why, hit end
  return { hit = hit, prefix = c.prefix, beside = beside, head = c.head }
end


---Does a network end with maps?
local function is_headless(arch)
  local last = arch.layers[#arch.layers]
  local kind = last.kind or last[2]
  return kind ~= "linear" and kind ~= "softmax" and kind ~= "sigmoid"
end


---The candidate or, where it has no head, the candidate with the head beside it.
local function tried_with_head(c, others, try)
  local one, why, bare = tried(c, others, try)
  if one or not bare or not is_headless(bare.arch) then return one, why end
  local whole = prefixes.with_head(c)
  return whole and tried(whole, others, try) or nil, why
end


---The first candidate that is a network, what is wrong with the first that is none, and
---the prefixes of others that are one.
local function first_fit(list, others, try)
  local hit, problem, copies = nil, nil, {}
  for _, c in ipairs(list) do
    others[c.prefix] = nil
    local one, why = tried_with_head(c, others, try)
    others[c.prefix] = c.prefix ~= "" or nil
    if one and hit then copies[#copies + 1] = shown(c.prefix) end
    hit, problem = hit or one, problem or why
  end
  return hit, problem, copies
end


---@param found table      a listing; `left` and `assumed` are filled
---@param floats lunette.import.Tensor[]
---@param anchors string[]   names of first weights
---@param given lunette.import.Given
---@param try fun(candidate: table, dialect?: lunette.import.Dialect): table?, string?
---  the network that a candidate is, with `notes`, or what is wrong
---@param translate? fun(list: table[]): lunette.import.Dialect?   gives the tensors
---  other names, and tells whose they had (dialects.lua)
---@return table? hit   with the `prefix` that it stands behind
---@return string? message
function M.find(found, floats, anchors, given, try, translate)
  local all, dialect = prefixes.find(floats, anchors, translate)
  local others = {}
  for _, c in ipairs(all) do others[c.prefix] = c.prefix ~= "" or nil end
  local list, message = chosen(all, given)
  if not list then return nil, message end
  local one, problem, copies = first_fit(list, others, function(c)
    return try(c, dialect)
  end)
  if not one then return nil, problem end
  found.left = one.hit.notes
  table.move(one.beside, 1, #one.beside, #found.left + 1, found.left)
  if #copies > 0 then
    table.insert(found.assumed, 1, ("of several copies of the network %s is taken, %s "
      .. "left out (--prefix)"):format(shown(one.prefix), table.concat(copies, ", ")))
  end
  if one.head then
    table.insert(found.assumed, 1, ("'%s' beside %s is its head, in the usual place")
      :format(one.head, shown(one.prefix)))
  end
  if dialect then
    table.insert(found.assumed, 1, ("the names are those of %s, whose network "
      .. "computes as torchvision's does%s"):format(dialect.whose, dialect.eps
      and (", but for an epsilon of %g in its norms"):format(dialect.eps) or ""))
  end
  one.hit.prefix = one.prefix:sub(1, -2)
  return one.hit
end

return M
