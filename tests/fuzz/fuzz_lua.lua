-- fuzz_lua.lua SEED CALLS [hostile]: calls what lunette.core exports, and methods
-- of what it gives back, with arguments of right and wrong kinds. Errors are fine; a
-- crash, a sanitizer's report or a leak is a finding. "hostile" adds tables whose
-- metamethods release operands, collect and lie about lengths. The calls are written
-- to $FUZZ_LOG before they are made.
local seed, calls, hostile = tonumber(arg[1]), tonumber(arg[2]), arg[3] == "hostile"
local core = require "lunette.core"
local random = math.random
math.randomseed(seed)
local log = os.getenv "FUZZ_LOG" and io.open(os.getenv "FUZZ_LOG", "w")
if log then log:setvbuf "line" end


local function pick(list) return list[random(#list)] end

local function chance(p) return random() < p end

local function sorted(t)
  local list = {}
  for k in pairs(t) do if type(k) == "string" then list[#list + 1] = k end end
  table.sort(list)
  return list
end


local pool = {} -- values that calls gave back

local function keep(v)
  if type(v) ~= "userdata" or io.type(v) then return end
  pool[#pool < 60 and #pool + 1 or random(60)] = v
end


local integers = { 0, 1, 2, 3, 5, 8, -1, 64, 255, 65536, 1 << 31, 1 << 32, (1 << 32) + 1,
                   1 << 40, math.maxinteger, math.mininteger, 768 }
local floats = { 0.5, -0.0, 1e-300, 1e300, math.huge, -math.huge, 0 / 0, 2 ^ 53, 2 ^ 63 }
local strings = { "", "x", "f32", "u8", "relu", "guided", "nearest", "lanczos", "a\0b",
                  ("y"):rep(5000), "\xff\xfe", "%s%n", "output", ("\1"):rep(768),
                  "\x89PNG\r\n\x1a\n", "commands", "png" }
local keys = { "stride", "padding", "groups", "name", "defer", "kernel", "dims", "dim",
               "size", "shape", "eps", "step", "rate", "beta1", "mean", "std", "weight",
               "bias", "input", "rule", "scale" }
local value


local function tensor()
  local shape = {}
  for i = 1, random(1, 5) do shape[i] = random(1, 6) end
  if chance(0.05) then shape[random(#shape)] = 0 end
  return core.normal(random(9), 1, shape)
end


local closing = false


---Releases a value while others use it. A node makes what is read of it, `release` too,
---and what is made while the state closes Lua never finalises (its manual, lua_close).
local function let_go(victim)
  local release = closing and getmetatable(victim).__gc or victim.release
  release(victim)
end


local function treacherous()
  local function act()
    local victim = #pool > 0 and pick(pool)
    if victim and chance(0.5) then pcall(let_go, victim) end
    if victim and chance(0.1) then
      pcall(function() getmetatable(victim).__gc(victim) end)
    end
    if chance(0.5) then collectgarbage() end
    if chance(0.2) then core.trim() end
    if chance(0.1) then error "hostile" end
  end
  return setmetatable({}, {
    __len = function() act() return pick { 0, 1, 2, 4, -1, 1 << 31, 1 << 40 } end,
    __index = function() act() return value(2) end,
    __newindex = act, __close = act, __gc = chance(0.5) and act or nil,
    __tostring = function() act() return "t" end,
  })
end


local function rule()
  return pick {
    function() error "no" end,
    function(_, dy) return dy end,
    function() return value(1) end,
    function(_, dy) if hostile then dy:release() end return dy end,
    function(n, dy)
      return n:backward(dy, { rule = value(2), weight = value(2), input = value(2) })
    end,
    function(n, dy) pcall(n.forward, n, { input = dy, weight = value(1) }) return dy end,
  }
end


local function list(depth)
  local t = {}
  for i = 1, random(0, 5) do t[i] = value(depth + 1) end
  for _ = 1, random(0, 3) do t[pick(keys)] = value(depth + 1) end
  return t
end


function value(depth)
  local r = random(100)
  if r <= 40 and #pool > 0 then return pick(pool) end
  if r <= 50 then return tensor() end
  if r <= 65 then return random(0, 5) end
  if r <= 71 then return pick(integers) end
  if r <= 76 then return pick(floats) end
  if r <= 82 then return pick(strings) end
  if r <= 84 then return nil end
  if r <= 86 then return chance(0.5) end
  if r <= 89 then return rule() end
  if hostile and r <= 95 then return treacherous() end
  return depth > 3 and {} or list(depth)
end


local function call(name, f, ...)
  if log then log:write(name, " ", select("#", ...), "\n") end
  local result = table.pack(pcall(f, ...))
  for i = 2, result[1] and result.n or 0 do keep(result[i]) end
end


local function arguments(n)
  local args = {}
  for i = 1, n do args[i] = value(0) end
  return table.unpack(args, 1, n)
end


-- left out: what waits, ends the process, or writes where it likes
local skip = { spawn = true, catch_signals = true, term_ask = true, write_weights = true,
               write_file = true, threads = true, release = true }

local function exported()
  local from = chance(0.5) and core or core.image
  local name = pick(sorted(from))
  if type(from[name]) == "function" and not skip[name] and not name:find "write" then
    call(name, from[name], arguments(random(0, 5)))
  end
end


local function method()
  local v = #pool > 0 and pick(pool) or tensor()
  local meta = getmetatable(v)
  local methods = meta.methods or type(meta.__index) == "table" and meta.__index
  if not methods then -- a node
    local key = chance(0.9) and pick { "name", "shape", "output", "input", "inputs",
      "attrs", "input_shape", "weight", "bias" } or value(1)
    call("node." .. tostring(key), function() return v[key] end)
    call("node:backward", function(...) return v:backward(...) end, arguments(2))
    return call("node:forward", function(...) return v:forward(...) end, value(0))
  end
  local name = pick(sorted(methods))
  if name == "release" and chance(0.7) then return end
  call(name, methods[name], v, arguments(random(0, 5)))
  if chance(0.05) then call("__gc", meta.__gc, v) end
  if chance(0.05) then call("newindex", function() v[pick(integers)] = value(0) end) end
end


-- a graph on a tape, and backward through it with rules of every kind
local function graph()
  local tape = core.tape()
  local nodes = { tape:watch(tensor()) }
  local names = sorted(core.ops)
  for _ = 1, random(1, 10) do
    local other = chance(0.5) and pick(nodes) or value(1)
    local name = pick(names)
    if log then log:write("graph ", name, "\n") end
    local ok, y = pcall(core.ops[name], pick(nodes), other, value(1))
    if ok then nodes[#nodes + 1] = y end
  end
  local rules, out = {}, pick(nodes)
  for id = 1, tape:count() - 1 do
    if chance(0.4) then
      local known = core.op_info(tape:node(id).kind).rules
      rules[id] = chance(0.5) and rule() or chance(0.7) and pick(known) or value(1)
    end
  end
  if chance(0.1) then tape:forget(random(0, tape:count())) end
  call("backward", core.backward, out, chance(0.8) and out:detach() or value(0),
       chance(0.9) and { 0 } or value(0), rules)
  keep(tape)
  keep(out)
  if chance(0.5) then keep(tape:node(random(0, tape:count() - 1))) end
end


local function write()
  local entries = {}
  for i = 1, random(0, 4) do entries[i] = { pick(strings), value(1) } end
  call("write_weights", core.write_weights, "/dev/null", chance(0.7) and entries
       or value(0), "f32", chance(0.5) and { a = "b" } or value(1))
end


for i = 1, calls do
  local r = random(100)
  pcall(r <= 25 and exported or r <= 75 and method or r <= 95 and graph or write)
  if chance(0.02) then core.fail_at(random(60)) end
  if i % 50 == 0 then
    core.interrupt(false)
    core.fail_at(0)
    core.memory_limit(hostile and 1 or 1 << 28)
  end
  if i % 97 == 0 then collectgarbage() end
end
core.fail_at(0)
closing = true
print(calls .. " calls")
