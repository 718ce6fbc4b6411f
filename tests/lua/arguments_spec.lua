-- Every public function that is given more, or other, arguments than it takes says so:
-- the functions are those of help's list and of the stub, what they take is what their
-- doc comments say.
local core = require "lunette.core"
local docs = require "lunette.repl.docs"
local exports = require "lunette.repl.exports"
local help = require "lunette.repl.help"
local lu = require "lunette"
local strict = require "lunette.base.strict"
require "lunette.repl.session"
local t = dofile "tests/lua/support.lua"

local folder, done = t.folder()
teardown(done)

---A value that no function takes.
local nothing = coroutine.create(print)

---What prints, or acts on whatever it is given.
local acts = { ["core.interrupt"] = true, ["core.catch_signals"] = true,
               ["core.catch_stop"] = true, help = true, apropos = true,
               traceback = true }

local net = t.net()
local x = t.input(net, 2)
local run = net:run(x)
local map = lu.saliency(run)


---Calls f with n times `value` behind the object; the message, or nil.
local function message_of(f, object, n, value)
  local list = { object }
  for i = #list + 1, #list + n do list[i] = value end
  return t.message(f, table.unpack(list))
end


---The functions of the C part: { entry, function, object }.
local function c_functions()
  local path = folder .. "/one.safetensors"
  assert(core.write_weights(path, { { "a", core.zeros(1) } }, "f32"))
  local tape = core.tape()
  local y = core.ops.relu(tape:watch(core.ones(2)))
  local objects = { Tape = tape, Image = core.image.new(1, 1), Tensor = core.ones(2),
                    Weights = assert(core.weights(path)), Node = tape:node(y:node()),
                    Process = assert(core.spawn("/bin/true", {})) }
  local list = {}
  for _, e in ipairs(docs.all().list) do
    if e.module == "lunette.core" and e.kind == "function" then
      local class, key = e.name:match "^(%u%w*):([%w_]+)$"
      local f = core
      for part in e.name:gmatch "%.([%w_]+)" do f = f[part] end
      if class then f = objects[class][key] end
      local op = class == "Tensor" and core.ops[key]
      if not op then list[#list + 1] = { e, f, objects[class] } end
    end
  end
  return list
end


---Does its comment name every parameter, and how many are there, without the object?
local function parameters(e)
  for _, p in ipairs(e.params) do
    if p.name == "..." then return nil end
  end
  return #e.params
end


describe("one argument too many", function()
  it("is an error of every function in Lua", function()
    local seen = 0
    for _, y in ipairs(exports.list()) do
      local f = y.value
      local own = type(f) == "function" and strict.behind(f)
      local info = own and debug.getinfo(own, "Su")
      if info and info.what ~= "C" and not info.isvararg then
        assert.is_true(own ~= f, y.name .. " does not count its arguments")
        local said = message_of(f, nil, info.nparams + 1, nothing)
        local counted = info.nparams - (y.name:find ":" and 1 or 0)
        assert.matches(("takes .*%d argument.*, got %d"):format(counted, counted + 1),
                       said, y.name)
        assert.matches("^tests/lua/%w+_?%w*.lua:", said, y.name)
        seen = seen + 1
      end
    end
    assert.is_true(seen > 250, tostring(seen))
  end)

  it("is an error of every function in C, and none before that", function()
    local seen = 0
    for _, row in ipairs(c_functions()) do
      local e, f, object = row[1], row[2], row[3]
      local n = parameters(e)
      if n then
        local said = message_of(f, object, n + 1, nothing)
        assert.matches("takes .*argument", said, e.name)
        if not acts[e.name] and not (n == 0 and e.name:find "release") then
          local _, less = pcall(message_of, f, object, n, nothing)
          assert.is_nil(tostring(less):match "takes .*argument", e.name)
        end
        seen = seen + 1
      end
    end
    assert.is_true(seen > 90, tostring(seen))
  end)

  it("is an error of every operator", function()
    for name, f in pairs(core.ops) do
      local most = core.op_info(name).inputs[2]
      local list = {}
      for i = 1, most + 1 do list[i] = core.ones(2, 2) end
      local said = t.message(f, table.unpack(list))
      assert.matches("nothing else$", said:gsub("^.*table of attributes.*$",
                                                "nothing else"), name)
      assert.matches(("argument %d"):format(most + 1), said, name)
      list[#list + 1] = core.ones(1)
      assert.matches(("argument %d"):format(most + 1),
                     t.message(f, table.unpack(list)), name)
    end
  end)

  it("is an error of every method and metric", function()
    for name, row in pairs(lu.methods) do
      assert.matches("one argument more", t.message(row, net, x, {}, 3), name)
      assert.matches("one argument more", t.message(row, run, {}, 3), name)
    end
    for name, row in pairs(lu.metrics) do
      assert.matches("metric takes at most 3 arguments %(map, other, opts%), got 4",
                     t.message(row, map, map, {}, 3), name)
      if not row.needs then
        assert.matches("one argument more", t.message(row, map, {}, {}), name)
      end
    end
    assert.matches("takes at most 1 argument",
                   t.message(lu.modifiers.gamma, { gamma = 1 }, 3))
  end)

  it("is an error where any number is taken but not so many", function()
    local a = lu.ones(2, 3)
    for _, f in ipairs { function() return a:get(1, 2, 3) end,
                         function() return a:set(1, 2, 5, 6) end,
                         function() return a:view({ 3, 2 }, 1) end,
                         function() return lu.zeros({ 2, 3 }, 4) end,
                         function() return lu.full(1, { 2, 3 }, 4) end,
                         function() return a:tile({ 1, 2 }, 3) end,
                         function() return lu.einsum("ij->ji", a, a) end,
                         function() return lu.normal({ 2 }, {}, 3) end,
                         function() return lu.uniform({ 2 }, {}, 3) end } do
      assert.matches("^tests/lua/%w+_?%w*.lua:", t.message(f))
    end
  end)

  it("may be nil", function()
    assert.equal(2, #lu.zeros(2, 3):shape(nil))
    assert.truthy(net:run(x, nil, nil))
  end)
end)


describe("an argument of another type", function()
  it("is told at the user's line, with the name of the parameter", function()
    local seen = 0
    for _, y in ipairs(exports.list()) do
      local f = y.value
      local own = type(f) == "function" and strict.behind(f)
      local info = own and debug.getinfo(own, "Su")
      if info and info.what ~= "C" and own ~= f and not acts[y.name] then
        local ok, said = pcall(f, table.unpack({ nothing, nothing, nothing, nothing },
                                               1, info.nparams))
        if not ok then
          seen = seen + 1
          assert.matches("^tests/lua/%w+_?%w*.lua:", said, y.name)
          assert.is_nil(said:match "attempt to", y.name)
        end
      end
    end
    assert.is_true(seen > 240, tostring(seen))
  end)

  it("is any that the comment does not name", function()
    local cases = {
      { "colormap.get: name should be string", lu.colormap.get, 3 },
      { "lu.save: net should be", lu.save, "x.safetensors", 3 },
      { "net:run: call it with a colon", net.run, x },
      { "net:layer: name should be", net.layer, net, {} },
      { "lu.arange: from should be", lu.arange, "a" },
      { "lu.npy.read: path should be string, got nil", lu.npy.read },
    }
    for _, c in ipairs(cases) do
      assert.matches(c[1], t.message(table.unpack(c, 2)), c[1])
    end
    assert.matches("unknown option 'al'; did you mean 'all'",
                   t.message(net.summary, net, { al = true }))
    assert.matches("option 'all' should be boolean, got 3",
                   t.message(net.summary, net, { all = 3 }))
  end)
end)


-- Functions whose other arguments have to be right before they look at their options.
local pictures = { lu.uniform(3, 12, 12), lu.uniform(3, 12, 12) }
local examples = {
  ["canvas:row"] = { lu.canvas {}, "maps", map },
  ["lu.attack.curve"] = { net, x, { 1 } }, ["lu.cost"] = { "saliency", net, x },
  ["lu.attack.explanation"] = { net, x, lu.saliency },
  ["lu.bake"] = { net, folder .. "/b.onnx", "gradcam" },
  ["lu.channels.pixels"] = { run, "conv2", needs = { channel = 1 } },
  ["lu.features.invert"] = { net, x, "conv2" },
  ["lu.image.animate"] = { folder .. "/x.gif", pictures },
  ["lu.tcav"] = { net, { concept = x, random = x, pictures = x } },
  ["lu.train.adam"] = { net.params }, ["lu.train.sgd"] = { net.params },
  ["net:run_from"] = { net, "conv1", run:activation "conv1" },
  ["lu.train.step"] = { net, lu.train.sgd(net.params, {}), x, { 0, 1 } },
}
local values = { ["lunette.Net"] = net, ["lunette.Run"] = run, ["lunette.Tensor"] = map,
                 ["lunette.Images"] = x, ["lunette.Canvas"] = lu.canvas {},
                 ["lunette.Optimiser"] = lu.train.sgd(net.params, {}),
                 string = "conv1", integer = 1, number = 0.5, ["function"] = print }
local objects = { net = net, run = run, tensor = map, canvas = lu.canvas {},
                  score = lu.score.of(3) }


---A value of the first type of `kind` that there is one of.
local function value_of(p)
  if p.name == "x" then return x end
  if p.name == "layer" then return "conv2" end
  for kind in p.type:gmatch "[^|?]+" do
    if values[kind] then return values[kind] end
  end
  return {}
end


---Where the options stand among the parameters, or nil.
local function options_at(e)
  for i = #e.params, 1, -1 do
    local p = e.params[i]
    if p.name == "opts" or #docs.options_of(p.type) > 0 then return i end
  end
  return nil
end


---Arguments of a call that is right but for its options.
local function arguments(y, e, at, given)
  local list = examples[y.name] and { table.unpack(examples[y.name]) }
  if not list then
    list = { y.name:find ":" and objects[y.name:match "^%w+"] or nil }
    local info = debug.getlocal(strict.behind(y.value), 1)
    if #list > 0 and info == e.params[1].name then list = {} end
    for i = 1, at - 1 do list[#list + 1] = value_of(e.params[i]) end
  end
  local opts = given or { surely_unknown = 1 }
  for key, v in pairs((examples[y.name] or {}).needs or {}) do opts[key] = v end
  list[#list + 1] = opts
  return list
end


---Options that their messages call otherwise.
local told_as = { composite = "modifier", overlay = "pictures" }


describe("an option", function()
  it("that is unknown is an error of every function that takes options", function()
    local seen = 0
    for _, y in ipairs(exports.list()) do
      local e = type(y.value) == "function" and not y.name:find "^core%."
        and help.entry_of(y)
      local at = e and e.kind == "function" and options_at(e)
      if at then
        local ok, said
        t.warnings(function()
          local f, list = y.value, arguments(y, e, at)
          ok, said = pcall(function() f(table.unpack(list)) end)
        end)
        assert.is_false(ok, y.name .. " took it")
        assert.matches("surely_unknown", said, y.name)
        assert.matches("^tests/lua/%w+_?%w*.lua:", said, y.name)
        seen = seen + 1
      end
    end
    assert.is_true(seen > 120, tostring(seen))
  end)

  it("that is unknown is an error of every method and metric", function()
    for name, row in pairs(lu.methods) do
      local said = t.message(row, run, { surely_unknown = 1 })
      assert.matches("surely_unknown", said, name)
    end
    for name, row in pairs(lu.metrics) do
      local others = { mask = map, map = map, run = run, method = lu.saliency }
      local list = { map, others[row.needs or ""] }
      list[#list + 1] = { surely_unknown = 1 }
      assert.matches("surely_unknown", t.message(row, table.unpack(list)), name)
    end
  end)

  it("of a type that no function takes is an error at the user's line", function()
    local seen = 0
    for _, y in ipairs(exports.list()) do
      local e = type(y.value) == "function" and not y.name:find "^core%."
        and help.entry_of(y)
      local at = e and e.kind == "function" and options_at(e)
      for _, o in ipairs(at and docs.options_of(e.params[at].type) or {}) do
        local ok, said
        t.warnings(function()
          local opts = { layer = y.name:find "concepts" and "conv2" or nil }
          opts[o.name] = nothing
          local f, list = y.value, arguments(y, e, at, opts)
          ok, said = pcall(function() f(table.unpack(list)) end)
        end)
        local what = ("%s { %s = }"):format(y.name, o.name)
        assert.is_false(ok, what .. " took it")
        assert.matches("^tests/lua/%w+_?%w*.lua:", said, what)
        assert.is_nil(said:match "fault inside", what)
        assert.matches(told_as[o.name] or o.name, said, what)
        seen = seen + 1
      end
    end
    assert.is_true(seen > 500, tostring(seen))
  end)

  it("that is unknown is an error of the functions in C", function()
    local p = core.ones(2)
    local node = t.nodes(run)[2]
    node = require("lunette.net.forward").state_of(run).tape:node(node.id)
    for _, f in ipairs { function() p:adam_(p, p, p, { rat = 1 }) end,
                         function() p:sgd_(p, p, { rat = 1 }) end,
                         function() p:relu { rat = 1 } end,
                         function() node:forward { rat = 1 } end,
                         function() node:backward(p, { rat = 1 }) end } do
      assert.matches("'rat'", t.message(f))
    end
  end)
end)
