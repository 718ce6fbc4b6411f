---Heads of networks: dense layers, and batch norms between them, in the order in which
---they are computed. Names say that, or places in a sequence, or shapes in one way
---only; what may be read in two ways is an error that lists both.
local modules = require "lunette.weights.import.modules"

local M = {}


local function fail(message, ...) error(message:format(...), 0) end


-- the dense layers -----------------------------------------------------------------


local known_order = {
  fc1 = 1, fc2 = 2, predictions = 99, ["pre_logits.fc1"] = 1, ["pre_logits.fc2"] = 2,
  ["head.fc"] = 99,
}


---Units of a dense layer, and how many values it reads.
---@param m lunette.import.Module
---@return integer units, integer reads
function M.size(m)
  local s, inner = m.params.weight.shape, 1
  for i = 2, #s do inner = inner * s[i] end
  return s[1], inner
end


local function chains(list, channels)
  for i, m in ipairs(list) do
    local _, n = M.size(m)
    if i == 1 and n % channels ~= 0 or i > 1 and n ~= M.size(list[i - 1]) then
      return false
    end
  end
  return true
end


local function names_of(list)
  local names = {}
  for i, m in ipairs(list) do names[i] = m.name end
  return table.concat(names, ", ")
end


---Orders in which each layer reads what the one before puts out.
local function fitting_orders(list, channels)
  local found = {}
  local function go(order, rest)
    if #found > 8 then return end
    if #rest == 0 then
      if chains(order, channels) then found[#found + 1] = { table.unpack(order) } end
      return
    end
    for i, m in ipairs(rest) do
      local others = { table.unpack(rest) }
      table.remove(others, i)
      order[#order + 1] = m
      if chains(order, channels) then go(order, others) end
      order[#order] = nil
    end
  end
  go({}, list)
  return found
end


local function all(list, check)
  for _, m in ipairs(list) do
    if not check(m.name) then return false end
  end
  return true
end


---A comparison of two modules by their order in the file or by their names; nil where
---neither tells.
local function ranks(list, given)
  local rank, stem = {}, list[1] and list[1].name:gsub("[%d_.]+$", "")
  for i, name in ipairs(given.layer_names or {}) do rank[name] = i end
  local function by(place)
    return all(list, place) and function(a, b) return place(a.name) < place(b.name) end
  end
  local function known(name)
    return known_order[name] or tonumber(name:match "^fc(%d+)$")
  end
  local function same_stem(name) return name:gsub("[%d_.]+$", "") == stem end
  return by(function(name) return rank[name] end) or by(known)
    or all(list, same_stem) and function(a, b) return modules.before(a.name, b.name) end
    or nil
end


---The dense layers in the order in which they are computed; raises where that is open.
---@param list lunette.import.Module[]
---@param channels integer   of the map that the first reads
---@param given lunette.import.Given
---@return lunette.import.Module[]
function M.in_order(list, channels, given)
  local before = ranks(list, given)
  if before then
    table.sort(list, before)
    if chains(list, channels) then return list end
    fail("its dense layers %s do not follow each other by their shapes", names_of(list))
  end
  local orders = fitting_orders(list, channels)
  if #orders == 1 then return orders[1] end
  if #orders == 0 then
    fail("its dense layers %s fit in no order behind %d channels", names_of(list),
         channels)
  end
  local texts = {}
  for i, order in ipairs(orders) do texts[i] = names_of(order) end
  fail("its dense layers may come in several orders (%s): describe the network with "
    .. "--arch net.lua", table.concat(texts, "; or "))
end


-- batch norms between them ---------------------------------------------------------


---Where modules stand: by the file's list of layers, or by the last number of names
---that begin alike ("classifier.4"); nil: neither.
local function places(list, given)
  local rank, stem, at = {}, nil, {}
  for i, name in ipairs(given.layer_names or {}) do rank[name] = i end
  for _, m in ipairs(list) do
    local base, number = m.name:match "^(.*)%.(%d+)$"
    at[m] = rank[m.name] or math.tointeger(tonumber(number))
    stem = stem or base or false
    if not at[m] or not rank[m.name] and base ~= stem then return nil end
  end
  return at
end


---Those batch norms that stand behind the last convolution, where the file's list of
---layers tells that; where it has none, all.
---@param convs lunette.import.Module[]
---@param norms lunette.import.Module[]
---@param given lunette.import.Given
---@return lunette.import.Module[]
function M.behind_convs(convs, norms, given)
  local rank, last, list = {}, 0, {}
  for i, name in ipairs(given.layer_names or {}) do rank[name] = i end
  for _, m in ipairs(convs) do last = math.max(last, rank[m.name] or 0) end
  for _, m in ipairs(norms) do
    if (rank[m.name] or math.huge) > last then list[#list + 1] = m end
  end
  return list
end


---Does Keras' list of layers name an activation between two places?
local function activation_between(names, from, to)
  for i = from + 1, to - 1 do
    if names[i]:find "^activation" or names[i]:find "relu" or names[i]:find "re_lu" then
      return true
    end
  end
  return false
end


---Is the norm at `n` before or behind the relu of the dense layer at `d`, the next one
---at `next` (nil: it is the last, which has none)? Raises where both may be. The second
---answer: is there a relu at all?
local function side_of_relu(at, names, m, d, n, next)
  if not next then return "before", false end
  if names then
    local before = activation_between(names, d, n)
    local behind = activation_between(names, n, next)
    if before and behind then return nil end
    return behind and "before" or "behind", true
  end
  local room_before, room_behind = n - d > 1, next - n > 1
  if room_before and room_behind then
    fail("its batch norm '%s' may stand behind the relu of '%s' or before it: describe "
      .. "the network with --arch net.lua", m.name, at)
  end
  return room_before and "behind" or "before", room_before or room_behind
end


---The dense layer that a batch norm follows, and the one behind that; raises where
---there is none of its size.
local function around(list, at, n)
  local k
  for i, m in ipairs(list) do
    if at[m] < at[n] then k = i end
  end
  local dense, next = k and list[k], k and list[k + 1]
  local size = n.params.running_mean.shape[1]
  if not dense or size ~= M.size(dense) then
    fail("its head has a batch norm ('%s') that follows no dense layer of %d units: "
      .. "describe the network with --arch net.lua", n.name, size)
  end
  return dense, next
end


---A batch norm before the first dense layer: is there a relu between the two? Raises
---where there may be, or where it has another size than what is read.
local function in_front(list, at, names, n, channels)
  local size = n.params.running_mean.shape[1]
  local _, reads = M.size(list[1])
  if size ~= reads and size ~= channels then
    fail("its head has a batch norm ('%s') of %d values before a dense layer that "
      .. "reads %d: describe the network with --arch net.lua", n.name, size, reads)
  end
  local room = at[list[1]] - at[n] > 1
  if room and not names then
    fail("its batch norm '%s' may have a relu between it and '%s', or none: describe "
      .. "the network with --arch net.lua", n.name, list[1].name)
  end
  return { norm = n, map = size ~= reads,
           relu = room and activation_between(names, at[n], at[list[1]]) }
end


---The batch norms of a head, each with the dense layer that it follows; `front` is one
---before the first of these, of the values that it reads, or (`map`) of the channels.
---@param list lunette.import.Module[]    dense layers, in order
---@param norms lunette.import.Module[]
---@param given lunette.import.Given
---@param channels? integer   of the map that the first dense layer reads
---@return table<lunette.import.Module|"front", { norm: lunette.import.Module,
---  side: "before"|"behind", relu: boolean, map: boolean }>   by the dense layer
function M.norms(list, norms, given, channels)
  local found = {}
  if #norms == 0 then return found end
  local at = places(table.move(norms, 1, #norms, #list + 1, { table.unpack(list) }),
                    given)
  if not at then
    fail("its head has a batch norm ('%s'), whose place before or behind a relu no "
      .. "name says: describe the network with --arch net.lua", norms[1].name)
  end
  local names = given.layer_names and #given.layer_names > 0 and given.layer_names
  local function keep(key, n, what)
    if not what or found[key] then
      fail("its batch norm '%s' is one of several, or has activations before and "
        .. "behind it: describe the network with --arch net.lua", n.name)
    end
    found[key] = what
  end
  for _, n in ipairs(norms) do
    if list[1] and at[n] < at[list[1]] then
      keep("front", n, in_front(list, at, names, n, channels))
    else
      local dense, next = around(list, at, n)
      local side, relu = side_of_relu(dense.name, names, n, at[dense], at[n],
                                      next and at[next])
      keep(dense, n, side and { norm = n, side = side, relu = relu })
    end
  end
  return found
end


---What is assumed of a head's activations and norms, as a sentence; nil: nothing.
---@return string?
function M.assumption(list, norms)
  if #list < 2 then return nil end
  local plain = true
  for i = 1, #list - 1 do plain = plain and not norms[list[i]] end
  if plain then return "relu between its dense layers" end
  local words = {}
  for i = 1, #list - 1 do
    local n = norms[list[i]]
    words[i] = not n and "relu" or not n.relu and "batch norm, no relu"
      or n.side == "before" and "batch norm, relu" or "relu, batch norm"
  end
  return ("between its dense layers: %s"):format(table.concat(words, "; "))
end

return M
