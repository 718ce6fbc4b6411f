-- Compares Lunette with reference attributions, key by key.
--   ./lunette tests/golden.lua FILE.safetensors... [--model PATH] [--only PATTERN]
-- Keys: IMAGE/input, IMAGE/logits, IMAGE/activation@LAYER,
-- IMAGE/CLASS/METHOD[@LAYER], IMAGE/METHOD@LAYER[k,y,x]. What is given stands under
-- given/ or IMAGE/given/, weights under weights/. What computes a key is a row of a
-- file in tests/golden. Prints `key relative-error limit verdict` a line and ends with
-- `N passed, N failed, N skipped`.
local lu = require "lunette"
local root = arg[0]:match "^(.*)/tests/[^/]*$" or "."
local support = dofile(root .. "/tests/lua/support.lua")
local single = dofile(root .. "/tests/golden/single.lua")

-- Relative L2 limits. One relu or pooling that rounds the other way costs about 1e-3
-- in any float32 engine. SqueezeNet has two million of them (1.6e-3 was seen with
-- AVX2), a full-size VGG16 13.5 million; so these have limits of their own.
local LIMIT, EXACT, LARGE, DEEP = 1e-3, 1e-5, 5e-3, 1e-2
local LAYERS = 1e-4 -- of one layer: sums of up to 36 products, divided by others

-- Where two values in a max-pool's window, or a relu's input and 0, lie closer than
-- float32 can tell, rounding decides who gets the gradient, and the result jumps. Such
-- a key passes when the reference is met, within its limit, for a picture that differs
-- from the given one by roundings (a deviation of 5e-7 of the picture's own): a wrong
-- formula is met by none. (METHODS2.md, Ties.) Where many lie so close, the answers
-- for such pictures differ among themselves: an error of at most twice that, and of at
-- most MOVED, passes as well. Where the formula itself has a pole (`pole`), any error
-- of at most twice that passes, and for such pictures (`case.try`) the row rounds what
-- it divides by, too.
local ROUNDING, TRIES, MOVED = 5e-7, 24, 1e-2

local tests = {} -- { pattern, function(case, captures...) -> tensor, limit, pole }

---A row: keys that match the pattern are what `fn` computes. Later rows win. `pole`:
---the formula divides by what may be near 0.
local function test(pattern, fn, limit, pole)
  table.insert(tests, 1, { pattern, fn, limit, pole = pole })
end

---The families of rows: a file each in tests/golden.
local function families()
  local names = {}
  for name in require("lfs").dir(root .. "/tests/golden") do
    if name:find "%.lua$" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

test("^logits$", function(case) return case.run.output:detach() end, EXACT)
test("^activation@(.+)$", function(case, layer)
  return assert(case.run:activation(layer))
end, EXACT)
for _, name in ipairs(families()) do dofile(root .. "/tests/golden/" .. name)(test) end


-- files ------------------------------------------------------------------------


---How far plain float32 is from each value of a file of the second set, by key; nil
---for the first set.
local function noise_of(path)
  local dir, name = path:match "^(.-)([^/]*)%.safetensors$"
  local f = io.open(dir .. "float32_noise.json")
  if not f then return nil end
  local all = require("lunette.base.json").decode(f:read "a")
  f:close()
  return all and all[name]
end


local function open(path)
  local w = assert(lu.core.weights(path))
  local file = { keys = {}, tensor = {}, meta = w:meta() }
  for i, e in ipairs(w:list()) do
    file.keys[i] = e.name
    file.tensor[e.name] = function() return assert(w:tensor(i)) end
  end
  table.sort(file.keys)
  file.noise = noise_of(path)
  return file
end


---A network whose weights stand in the file itself.
local function net_inside(file)
  local shape = {}
  for name, get in pairs(file.tensor) do
    local key = name:match "^weights/(.+)$"
    if key then shape[key] = get():shape() end
  end
  if not next(shape) then return nil end
  local list = {}
  for key, dims in pairs(shape) do list[#list + 1] = { name = key, shape = dims } end
  local import = require "lunette.weights.import"
  local net = assert(lu.net(assert(import.recognise(list, {})).arch))
  for key in pairs(shape) do net.params[key] = file.tensor["weights/" .. key]() end
  return net
end


local function load_model(file, path)
  local inside = net_inside(file)
  if inside then return inside end
  local name = path or file.meta.model
  local seed = not path and name and name:match "^vgg16_hash(%d+)$"
  if seed then return lu.load(support.formula_weights(seed)) end
  if not name then return nil, "the file names no model; use --model PATH" end
  return lu.load(name)
end


-- walking ----------------------------------------------------------------------


---Files of the second set: ten times what float32 costs, at least 1e-4.
local function limit_of(net, file, key)
  if file.noise then return math.max(1e-4, 10 * (file.noise[key] or 0)) end
  local params = net:count_params()
  return params > 1e8 and DEEP or params > 1e6 and LARGE or LIMIT
end


local function flat_error(got, want)
  if got:size() ~= want:size() then
    return nil, ("%d values, expected %d"):format(got:size(), want:size())
  end
  return got:distance(want)
end


local function find_test(method)
  for _, t in ipairs(tests) do
    local captures = table.pack(method:match(t[1]))
    if captures[1] then
      return t, t[1]:find "%(" and captures or { n = 0 }
    end
  end
  return nil
end


---The picture, or with `try` one that rounding cannot tell from it.
local function rounded(x, try)
  if not try then return x end
  local n, s = x:size(), x:stats()
  local noise = lu.core.normal(try, 0, x:shape())
  return x + noise * (ROUNDING * s.l2 / n ^ 0.5)
end


-- One forward for all keys of an image; the softmax one only when asked for.
local function new_case(net, file, image, try)
  local input = file.tensor[image .. "/input"] or file.tensor["given/seed"]
  if not input then return nil end
  local x = rounded(input(), try)
  local case = { net = net, input = x, image = image, try = try,
                 run = net:run(x, { modifiers = { "linear" } }) }
  ---What is given, for this picture or for all.
  function case.given(name)
    local own = file.tensor[("%s/given/%s"):format(image, name)]
    local get = own or file.tensor["given/" .. name]
    if not get then error("nothing is given as " .. name, 0) end
    return name == "blurred" and rounded(get(), try) or get()
  end
  return setmetatable(case, { __index = function(t, key)
    if key ~= "softmax" then return nil end
    rawset(t, key, net:run(x))
    return rawget(t, key)
  end })
end


local count = { passed = 0, failed = 0, skipped = 0 }

local function report(key, err, limit, verdict, note)
  verdict = verdict or "failed"
  count[verdict] = count[verdict] + 1
  local number = type(err) == "number" and ("%.2e"):format(err) or tostring(err)
  local bound = limit and ("%.0e"):format(limit) or "-"
  print(("%-64s %10s %8s %s%s"):format(key, number, bound, verdict, note or ""))
end


---Differences of near numbers: absolute, against the score.
local function delta_error(case, got)
  return math.abs(got[1] - case.want[1]),
         1e-4 * math.max(1, math.abs(case.run:values(case.class)[1]))
end


---A row's own limit: a number, "delta", or what its function says of the network.
local function row_limit(t, net)
  if type(t[3]) == "function" then return t[3](net) end
  return t[3]
end


---How far an answer moves to another, in the unit of errors: |other - got| / |want|.
local function moved_by(other, got, want)
  return (other - got):stats().l2 / want:stats().l2
end


---How far a row's answer is from what is wanted, and its limit; a message where there
---is none; the answer; and how far roundings move it, where the row says so.
local function measure(net, case, file, key, class, t, captures)
  case.class = math.tointeger(tonumber(class)) or 0
  ---What is stored under the key that begins so.
  function case.stored(name)
    local begin = ("%s/%s/%s"):format(case.image, class, name)
    for _, full in ipairs(file.keys) do
      if full:sub(1, #begin) == begin then return file.tensor[full]() end
    end
    error("nothing is stored as " .. name, 0)
  end
  case.want = file.tensor[key]()
  local limit = row_limit(t, net) or limit_of(net, file, key)
  local ok, got = pcall(t[2], case, table.unpack(captures, 1, captures.n))
  if not ok then return nil, limit, got end
  local err, message = flat_error(got, case.want)
  if limit == "delta" then err, limit = delta_error(case, got) end
  return err, limit, message, got
end


local MOVES = " (roundings move it by %.1e)"

---What pictures that differ by roundings say of a key: a note where one of them meets
---the reference, or where they move the answer by as much as it is off.
local function excuse(net, file, key, class, t, captures, image, err, got)
  local moved = 0
  for try = 1, TRIES do
    local case = new_case(net, file, image, try)
    local off, limit, _, other = measure(net, case, file, key, class, t, captures)
    collectgarbage()
    if off and off <= limit then return (" (a tie: picture %d)"):format(try) end
    moved = math.max(moved, off and moved_by(other, got, case.want) or 0)
    if (t.pole or err <= MOVED) and err <= 2 * moved then return MOVES:format(moved) end
  end
  return nil
end


local function check(net, case, file, key, class, method)
  local t, captures = find_test(method)
  if not t or not case then return report(key, "-", nil, "skipped") end
  local err, limit, message, got = measure(net, case, file, key, class, t, captures)
  if not err then return report(key, message, limit, "failed") end
  if err <= limit then return report(key, err, limit, "passed") end
  local why = excuse(net, file, key, class, t, captures, case.image, err, got)
  report(key, err, limit, why and "passed", why)
end


---A file of single layers. (The small networks that stand beside them are the tests' of
---relevance_spec, which describes them.)
local function walk_layers(list, only)
  for _, case in ipairs(list) do
    if not only or case.key:find(only) then
      local want = case.want()
      local err = case.got():view(want:shape()):distance(want)
      report(case.key, err, LAYERS, err <= LAYERS and "passed")
    end
  end
end


---A file of pictures and a network.
local function walk_images(file, net, only)
  local image, case
  for _, key in ipairs(file.keys) do
    local name, rest = key:match "^([^/]+)/(.+)$"
    local given = key:find "^given/" or key:find "^weights/" or key:find "^[^/]+/given/"
    if name and not given and rest ~= "input" and (not only or key:find(only)) then
      if name ~= image then
        image, case = name, new_case(net, file, name)
        collectgarbage()
      end
      local class, method = rest:match "^(%d+)/(.+)$"
      if name:find "^%d+$" then class, method = name, rest end
      check(net, case, file, key, class, method or rest)
    end
  end
end


local function walk(path, model, only)
  local file = open(path)
  local layers = single.each(file.tensor)
  if #layers > 0 then return walk_layers(layers, only) end
  return walk_images(file, assert(load_model(file, model)), only)
end


local args = lu.cli { "golden.lua [file ...]", model = "", only = "" }
local function given(text) return text ~= "" and text or nil end
for _, path in ipairs(args.file) do walk(path, given(args.model), given(args.only)) end
print(("%d passed, %d failed, %d skipped"):format(count.passed, count.failed,
                                                  count.skipped))
os.exit(count.failed == 0)
