-- Hostile values in every argument of what options_spec does not drive: methods of
-- tensors, metrics, attacks, rankings, choices, clusters of maps, concepts. An answer,
-- or an error in words; never one of the library's own lines, never raw control
-- characters.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local nan, huge = 0 / 0, math.huge
local escape = "\27[31mred\7"

local function loose() -- a table that answers everything with itself
  return setmetatable({}, { __index = function(s) return s end,
                            __len = function() return 1 << 40 end,
                            __call = function(s) return s end })
end

---Each made anew: what is written in place is no other call's value.
local values = {
  function() return nil end, function() return 0 end, function() return -1 end,
  function() return 0.5 end, function() return 2 ^ 31 end,
  function() return math.maxinteger end, function() return math.mininteger end,
  function() return huge end, function() return nan end, function() return 1e300 end,
  function() return "" end, function() return escape end, function() return true end,
  function() return print end, function() return {} end, function() return { {} } end,
  function() return { nan } end, function() return { -1, 3 } end,
  function() return { [escape] = 1 } end, function() return { dim = huge } end,
  function() return { dims = { 1, 1 } } end, loose,
  function() return coroutine.create(print) end, function() return io.stdout end,
  function() return core.zeros(0) end, function() return core.uniform(1, 0, 2, 2) end,
  function() return core.full(nan, 3, 4) end,
}


---What is wrong with an error; nil: nothing.
local function fault(message)
  if type(message) ~= "string" then return "no text: " .. tostring(message) end
  for _, words in ipairs { "attempt to", "lunette/[%w_/]+%.lua:%d",
                           "stack overflow" } do
    if message:find(words) then return message end
  end
  if #message > 5000 then return "a message of " .. #message end
  if message:gsub("[\n\t]", ""):find "%c" then return "control characters" end
  return nil
end


---Calls, and stops what takes long: what was asked for is really being done.
local function call(f, ...)
  local start = os.clock()
  debug.sethook(function()
    if os.clock() - start > 0.01 then error("long", 0) end
  end, "", 1000)
  local ended, ok, message = pcall(function(...)
    local fine, what, more = pcall(f, ...)
    debug.sethook()
    return fine, not fine and what or what == nil and more or "long"
  end, ...)
  debug.sethook()
  if not ended then ok, message = false, ok end
  if ok and type(message) ~= "string" or message == "long" then return nil end
  return fault(message)
end


local function shown(v) return (tostring(v):gsub("%c", "?"):sub(1, 160)) end


---All that is wrong, one a message.
local function tell(found)
  local list, seen = {}, {}
  for _, text in ipairs(found) do
    local what = text:match ": (.*)"
    if not seen[what] then list[#list + 1] = text end
    seen[what] = true
  end
  assert(#list == 0, table.concat(list, "\n"))
end


---Calls with one hostile value among the arguments; what is wrong is noted.
local function try(found, name, v, f, ...)
  local wrong = call(f, ...)
  if wrong then
    found[#found + 1] = ("%s = %s: %s"):format(name, shown(v):sub(1, 30), shown(wrong))
  end
end


---Tries a function with hostile values at each place of its good arguments, and beside
---them; `good` makes them anew.
local function attack(name, f, good)
  local n, found = good().n or #good(), {}
  for place = 1, n + 1 do
    for _, value in ipairs(values) do
      local args = good()
      local v = value()
      args[place] = v
      try(found, ("%s, argument %d"):format(name, place), v, f,
          table.unpack(args, 1, math.max(n, place)))
    end
  end
  tell(found)
end


---The same with each option of a table of options.
local function attack_options(name, f, good, place, keys)
  local found = {}
  for _, key in ipairs(keys) do
    for _, value in ipairs(values) do
      local args, v, opts = good(), value(), {}
      for k, o in pairs(args[place] or {}) do opts[k] = o end
      opts[key] = v
      args[place] = opts
      try(found, ("%s, option %s"):format(name, key), v, f,
          table.unpack(args, 1, math.max(place, #args)))
    end
  end
  tell(found)
end


local function keys_of(options)
  local keys = {}
  for key in pairs(options) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end


describe("hostile arguments of a tensor's method", function()
  local names = {}
  for name, f in pairs(core.methods) do
    -- files and the terminal are not written here, memory not read as it is
    if type(f) == "function" and not name:find "^__" then names[#names + 1] = name end
  end
  table.sort(names)

  for _, name in ipairs(names) do
    it(name .. " are an answer or an error in words", function()
      local f = core.methods[name]
      t.warnings(function()
        for _, other in ipairs { false, true } do
          attack(name, f, function()
            return { core.uniform(1, 0, 4, 4),
                     other and core.uniform(2, 0, 4, 4) or nil }
          end)
        end
        attack(name, f, function() return { core.uniform(1, 0, 4, 4), 1, 1 } end)
      end)
    end)
  end
end)


describe("hostile arguments of", function()
  local net = t.net()
  local x = core.normal(3, 0, 1, 3, 12, 12)
  local run = net:run(x)
  local map = lu.saliency(run)
  local mask = core.zeros(1, 12, 12)
  mask[1]:narrow { dim = 1, start = 3, length = 5 }:fill_(1)

  local function plainly(r, o) return lu.saliency(r, { score = o and o.score }) end

  for name, row in pairs(lu.metrics) do
    it("the metric " .. name, function()
      local second = ({ mask = mask, map = map, run = run, method = run })[row.needs]
      local few = {}
      for key, v in pairs { samples = 2, runs = 4, steps = 4, features = 4, cells = 2,
                            sizes = 2, subset = 4, regions = 4, side = 4, k = 4 } do
        if row.options[key] then few[key] = v end
      end
      if row.options.score then few.score = 1 end
      if row.needs == "method" then few.method = plainly end
      local place = second and 3 or 2
      t.warnings(function()
        attack(name, row, function()
          return second and { map, second, few } or { map, few }
        end)
        attack_options(name, row, function()
          return second and { map, second, few } or { map, few }
        end, place, keys_of(row.options))
      end)
    end)
  end

  local tries = {
    fgsm = { "eps", "classes", "target", "norm" },
    pgd = { "norm", "eps", "steps", "step", "restarts", "start", "classes", "target",
            "seed" },
    deepfool = { "steps", "rivals", "overshoot", "classes", "target" },
    noise = { "eps", "classes", "target", "seed" },
    pixels = { "pixels", "population", "generations", "batch", "classes", "target",
               "seed" },
    universal = { "eps", "steps", "batch", "classes", "target", "seed" },
    patch = { "side", "steps", "batch", "rate", "classes", "target", "seed" },
  }
  for name, keys in pairs(tries) do
    it("the attack " .. name, function()
      local small = { steps = name ~= "fgsm" and name ~= "noise" and name ~= "pixels"
                      and 2 or nil }
      if name == "pixels" then small = { population = 4, generations = 2 } end
      t.warnings(function()
        attack(name, lu.attack[name], function() return { net, x, small } end)
        attack_options(name, lu.attack[name], function() return { net, x, small } end,
                       3, keys)
      end)
    end)
  end

  it("attacks on explanations, curves and laid patterns", function()
    t.warnings(function()
      attack("explanation", lu.attack.explanation, function()
        return { net, x, plainly, { steps = 1 } }
      end)
      attack_options("explanation", lu.attack.explanation, function()
        return { net, x, plainly, { steps = 1 } }
      end, 4, { "eps", "steps", "seed" })
      attack("curve", lu.attack.curve, function()
        return { net, x, { 0, 1 }, { steps = 1 } }
      end)
      attack("laid", lu.attack.laid, function()
        return { net, x, core.zeros(1, 3, 12, 12), {} }
      end)
    end)
  end)

  it("spray and tcav", function()
    local maps = core.uniform(1, 1, 6, 12, 12)
    t.warnings(function()
      attack("spray", lu.spray, function() return { maps, { clusters = 2 } } end)
      attack_options("spray", lu.spray, function() return { maps, {} } end, 2,
                     { "abs", "cells", "clusters", "most", "neighbours", "seed" })
      local some = core.normal(3, 0, 6, 3, 12, 12)
      local function good()
        return { net, { concept = some, random = some, pictures = some },
                 { layer = net:layers()[1].name, class = 1, runs = 2 } }
      end
      attack("tcav", lu.tcav, good)
      attack_options("tcav", lu.tcav, good, 2, { "concept", "random", "pictures" })
      attack_options("tcav", lu.tcav, good, 3, { "layer", "class", "runs", "seed" })
    end)
  end)
end)


describe("hostile arguments of", function()
  local net = lu.load "glyphs"
  if not net then return pending "needs the network 'glyphs'" end
  local source = require("lunette.glyphs.cases").source

  it("rank and choose", function()
    t.warnings(function()
      local function ranked()
        return { net, source { count = 2 }, { measures = { "energy" },
                                              methods = { "gradcam" } } }
      end
      attack("rank", lu.rank, ranked)
      attack_options("rank", lu.rank, ranked, 3, { "measures", "methods", "seed",
        "score", "file", "progress", "batch" })
      local function chosen()
        return { net, source { count = 2 }, { measure = "energy",
                                              methods = { "gradcam" } } }
      end
      attack("choose", lu.choose, chosen)
      attack_options("choose", lu.choose, chosen, 3, { "measure", "methods", "seed",
        "options", "score", "budget", "progress" })
    end)
  end)
end)
