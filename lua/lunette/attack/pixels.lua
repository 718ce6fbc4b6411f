---Attacks that change one pixel or a few (Su et al. 2019): places and colours by
---differential evolution, without gradients.
local core = require "lunette.core"

local M = {}


---The picture with the pixels of one candidate: rows { y, x, level of each channel }.
local function painted(levels, candidate, count, width)
  local out = levels:clone()
  local c, h, w = levels:dim(1), levels:dim(2), levels:dim(3)
  for k = 0, count - 1 do
    local at = k * width
    local y = 1 + math.min(h - 1, math.floor(candidate[at + 1] * h))
    local x = 1 + math.min(w - 1, math.floor(candidate[at + 2] * w))
    for channel = 1, c do
      out:set(channel, y, x, math.floor(candidate[at + 2 + channel] * 255 + 0.5))
    end
  end
  return out
end


---Candidates a + 0.5 (b - c) of three others, clamped to 0 .. 1.
local function children(population, generation, o, length)
  local n, list = #population, {}
  local u = core.uniform(o.seed, generation, n, 3)
  for i = 1, n do
    local a, b, c = population[math.floor(u:get(i, 1) * n) + 1],
      population[math.floor(u:get(i, 2) * n) + 1],
      population[math.floor(u:get(i, 3) * n) + 1]
    local child = {}
    for k = 1, length do
      child[k] = math.min(1, math.max(0, a[k] + 0.5 * (b[k] - c[k])))
    end
    list[i] = child
  end
  return list
end


---The leads of candidates, a batch at a time.
local function ask(p, i, list, o, width)
  local values = {}
  local shape = { table.unpack(p.levels:shape(), 2) }
  for first = 1, #list, o.batch do
    local k = math.min(o.batch, #list - first + 1)
    local batch, places = core.zeros(k, table.unpack(shape)), {}
    for n = 1, k do
      batch[n] = painted(p.levels[i], list[first + n - 1], o.pixels, width)
      places[n] = i
    end
    local some = p.goal:take(places):ask(p.net, p.space:input(batch), false)
    table.move(some, 1, k, first, values)
  end
  return values
end


---The best candidate for picture i.
local function evolve(p, i, o, width)
  local length, population = o.pixels * width, {}
  local u = core.uniform(o.seed, 1 << 30, o.population, length)
  for n = 1, o.population do population[n] = u[n]:totable() end
  local values = ask(p, i, population, o, width)
  for generation = 1, o.generations do
    local best = math.min(table.unpack(values))
    if best < 0 then break end
    local list = children(population, generation, o, length)
    for n, v in ipairs(ask(p, i, list, o, width)) do
      if v < values[n] then population[n], values[n] = list[n], v end
    end
  end
  local at = 1
  for n, v in ipairs(values) do at = v < values[at] and n or at end
  return population[at]
end


---@param p { net: lunette.Net, space: lunette.LevelSpace, levels: lunette.Tensor,
---  goal: lunette.Goal }
---@param o { pixels: integer, population: integer, generations: integer,
---  batch: integer, seed: integer }
---@return lunette.Tensor levels
function M.attack(p, o)
  local out, width = p.levels:clone(), 2 + p.levels:dim(2)
  for i = 1, p.levels:dim(1) do
    out[i] = painted(p.levels[i], evolve(p, i, o, width), o.pixels, width)
  end
  return out
end

return M
