-- Compares Lunette with reference attributions, key by key.
--   ./lunette tests/golden.lua FILE.safetensors... [--model PATH] [--only PATTERN]
-- Keys: IMAGE/input, IMAGE/logits, IMAGE/activation@LAYER,
-- IMAGE/CLASS/METHOD[@LAYER]. Prints `key relative-error limit verdict` a line and
-- ends with `N passed, N failed, N skipped`.
local lu = require "lunette"
local root = arg[0]:match "^(.*)/tests/[^/]*$" or "."
local support = dofile(root .. "/tests/lua/support.lua")

-- Relative L2 limits. One relu or pooling that rounds the other way costs about 1e-3
-- in any float32 engine. SqueezeNet has two million of them (1.6e-3 was seen with
-- AVX2), a full-size VGG16 13.5 million; so these have limits of their own.
local LIMIT, EXACT, LARGE, DEEP = 1e-3, 1e-5, 5e-3, 1e-2

local tests = {} -- { pattern, function(case, captures...) -> tensor, limit }
local function test(pattern, fn, limit) tests[#tests + 1] = { pattern, fn, limit } end


-- methods ----------------------------------------------------------------------


local function gradient(case, ...)
  return case.run:gradient { score = case.class, modifiers = { "linear", ... } }
end


test("^logits$", function(case) return case.run.output:detach() end, EXACT)
test("^activation@(.+)$", function(case, layer)
  return assert(case.run:activation(layer))
end, EXACT)
test("^gradient$", function(case) return gradient(case) end)
test("^guided$", function(case) return gradient(case, "guided") end)
test("^rectified$", function(case) return gradient(case, "rectified") end)
test("^rectified_leak([%d.eE+-]+)$", function(case, leak)
  return gradient(case, lu.modifiers.rectified { leak = tonumber(leak) })
end)
test("^linear$", function(case)
  return gradient(case, lu.modifier { name = "open", on = "relu",
                                      backward = function(_, dy) return dy end })
end)
test("^gradient_of_probability$", function(case)
  return case.softmax:gradient { score = case.class }
end)
test("^tkv_saliency$", function(case)
  return lu.saliency(case.run, { score = case.class, modifiers = { "linear" } })
end)
test("^tkv_gradcam@(.+)$", function(case, layer)
  return lu.gradcam(case.run, { score = case.class, layer = layer })
end)
test("^input_x_gradient$", function(case) return gradient(case) * case.input end)
test("^captum_guided_backprop$", function(case) return gradient(case, "guided") end)
test("^captum_deconvolution$", function(case) return gradient(case, "deconvnet") end)
test("^captum_layer_gradcam@(.+)$", function(case, layer)
  return lu.gradcam(case.run, { score = case.class, layer = layer, dialect = "captum" })
end)
test("^gradcam@(.+)$", function(case, layer)
  return lu.gradcam(case.run, { score = case.class, layer = layer,
                                dialect = "pytorch-grad-cam" })
end)
test("^gradcam_raw@(.+)$", function(case, layer)
  return lu.gradcam(case.run, { score = case.class, layer = layer, raw = true })
end)
test("^beta_smooth([%d.]+)$", function(case, beta)
  return gradient(case, lu.modifiers.beta_smooth(tonumber(beta)))
end)


-- files ------------------------------------------------------------------------


local function open(path)
  local w = assert(lu.core.weights(path))
  local file = { keys = {}, tensor = {}, meta = w:meta() }
  for i, e in ipairs(w:list()) do
    file.keys[i] = e.name
    file.tensor[e.name] = function() return assert(w:tensor(i)) end
  end
  table.sort(file.keys)
  return file
end


local function load_model(file, path)
  local name = path or file.meta.model
  local seed = not path and name and name:match "^vgg16_hash(%d+)$"
  if seed then return lu.load(support.formula_weights(seed)) end
  if not name then return nil, "the file names no model; use --model PATH" end
  return lu.load(name)
end


-- walking ----------------------------------------------------------------------


local function limit_of(net)
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


-- One forward for all keys of an image; the softmax one only when asked for.
local function new_case(net, file, image)
  local input = file.tensor[image .. "/input"]
  if not input then return nil end
  local x = input()
  local case = { input = x, run = net:run(x, { modifiers = { "linear" } }) }
  return setmetatable(case, { __index = function(t, key)
    if key ~= "softmax" then return nil end
    rawset(t, key, net:run(x))
    return rawget(t, key)
  end })
end


local count = { passed = 0, failed = 0, skipped = 0 }

local function report(key, err, limit, verdict)
  count[verdict] = count[verdict] + 1
  local number = type(err) == "number" and ("%.2e"):format(err) or tostring(err)
  local bound = limit and ("%.0e"):format(limit) or "-"
  print(("%-64s %10s %8s %s"):format(key, number, bound, verdict))
end


local function check(net, case, file, key, class, method)
  local t, captures = find_test(method)
  if not t or not case then return report(key, "-", nil, "skipped") end
  case.class = math.tointeger(tonumber(class)) or 0
  local ok, got = pcall(t[2], case, table.unpack(captures, 1, captures.n))
  local limit = t[3] or limit_of(net)
  if not ok then return report(key, got, limit, "failed") end
  local err, message = flat_error(got, file.tensor[key]())
  report(key, err or message, limit, err and err <= limit and "passed" or "failed")
end


local function walk(path, model, only)
  local file = open(path)
  local net = assert(load_model(file, model))
  local image, case
  for _, key in ipairs(file.keys) do
    local name, rest = key:match "^([^/]+)/(.+)$"
    if name and rest ~= "input" and (not only or key:find(only)) then
      if name ~= image then
        image, case = name, new_case(net, file, name)
        collectgarbage()
      end
      local class, method = rest:match "^(%d+)/(.+)$"
      check(net, case, file, key, class, method or rest)
    end
  end
end


local args = lu.cli { "golden.lua [file ...]", model = "", only = "" }
local function given(text) return text ~= "" and text or nil end
for _, path in ipairs(args.file) do walk(path, given(args.model), given(args.only)) end
print(("%d passed, %d failed, %d skipped"):format(count.passed, count.failed,
                                                  count.skipped))
os.exit(count.failed == 0)
