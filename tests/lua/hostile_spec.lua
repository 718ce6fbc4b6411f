-- What hostile or careless callers do to the binding: it answers with errors.
local core = require "lunette.core"
local t = require "tests.lua.support"


local function tensor(...) return core.normal(1, 1, ...) end


-- A small weights file of the test's own: its tensors are read-only.
local function read_only()
  local path = os.tmpname()
  assert(core.write_weights(path, { { "w", tensor(2, 3) } }, "f32"))
  local w = assert(assert(core.weights(path)):tensor(1))
  os.remove(path)
  return w
end


describe("weights of a file", function()
  local in_place = {}
  for name in pairs(getmetatable(core.zeros(1)).methods) do
    if name:match "_$" or name == "set" then in_place[#in_place + 1] = name end
  end
  table.sort(in_place)
  assert(#in_place >= 8, "where have the methods in place gone?")

  for _, name in ipairs(in_place) do
    it("are written by no argument of " .. name, function()
      for position = 1, 4 do
        for _, last in ipairs { {}, 1, false } do
          local w = read_only()
          local before, args = w:bytes(), {}
          for i = 1, 4 do args[i] = i == position and w or tensor(2, 3) end
          if last == 1 then args = { args[1], args[2], 1, 1 } end
          local method = args[1][name]
          for extra = 2, 5 do
            local list = table.move(args, 1, extra, 1, {})
            if last ~= false then list[extra] = last end
            if last == 1 then list[extra + 1] = 1 end
            local ok, message = pcall(method, table.unpack(list))
            if not ok then assert.is_string(message) end
          end
          assert.equal(before, w:bytes())
        end
      end
    end)
  end

  it("are refused as moments of an optimiser, by name", function()
    local w = read_only()
    for position = 2, 3 do
      local args = { tensor(2, 3), tensor(2, 3), tensor(2, 3), {} }
      args[position + 1] = w
      if position == 2 then
        assert.matches("read%-only", t.message(args[1].adam_, args[1], args[2], w,
                                               tensor(2, 3), {}))
        assert.matches("read%-only", t.message(args[1].sgd_, args[1], args[2], w, {}))
      else
        assert.matches("read%-only", t.message(args[1].adam_, args[1], args[2],
                                               tensor(2, 3), w, {}))
      end
    end
  end)
end)


describe("an object after its finaliser", function()
  local tape = core.tape()
  tape:watch(tensor(2, 2)):relu()
  local path = os.tmpname()
  assert(core.write_weights(path, { { "w", tensor(2, 3) } }, "f32"))
  teardown(function() os.remove(path) end)

  local makers = {
    tensor = function() return tensor(2, 2) end,
    tape = core.tape,
    node = function() return tape:node(1) end,
    weights = function() return (assert(core.weights(path))) end,
    image = function() return core.image.new(4, 4) end,
  }
  local fields = { "name", "id", "copies", "shape", "kind", "output", "input", "inputs",
                   "attrs", "input_shape", "weight", "bias", "backward" }
  for what, make in pairs(makers) do
    it("says that the " .. what .. " was released", function()
      local object = make()
      local meta = getmetatable(object)
      meta.__gc(object)
      meta.__gc(object) -- twice does no harm
      assert.is_string(tostring(object))
      local methods = type(meta.__index) == "table" and meta.__index or meta.methods
      for name, method in pairs(methods or {}) do
        if name ~= "release" and debug.getinfo(method, "S").what == "C" then
          local said = {}
          for _, rest in ipairs { {}, { object }, { 1 }, { 1, 1 }, { object, 1, 1 },
              { 1, 1, 1 }, { 1, 1, 1, 1 }, { 1, 1, 1, 1, 1 }, { 1, 1, 1, 1, 1, 1 },
              { object, 1, 1, 1 }, { object, object, {} },
              { object, object, object, {} } } do
            local ok, message = pcall(method, object, table.unpack(rest))
            assert.is_false(ok, name)
            said[#said + 1] = message
          end
          assert.matches("released", table.concat(said, "\n"), name)
        end
      end
      if what == "node" then
        for _, key in ipairs(fields) do
          assert.matches("node was released", t.message(function()
            return object[key]
          end), key)
        end
        local live = tape:node(1)
        local backward = live.backward
        assert.matches("node was released", t.message(backward, object, tensor(2, 2)))
      end
    end)
  end

  it("says so also to another finaliser of the same cycle", function()
    local said = {}
    do
      local keeper = setmetatable({}, { __gc = function(k)
        said[#said + 1] = tostring(k.node)
        said[#said + 1] = select(2, pcall(function() return k.node.name end))
      end })
      keeper.node = tape:node(1)
    end
    collectgarbage()
    collectgarbage()
    assert.matches("released", said[1])
    assert.matches("released", said[2])
  end)
end)


---A list whose length and elements are made on the fly, by code that releases
---`victims` and collects: what an entry point holds then is gone.
local function treacherous(values, victims, length)
  local function act()
    for _, v in ipairs(victims) do v:release() end
    collectgarbage()
    core.trim()
  end
  return setmetatable({}, {
    __len = function() act() return length or #values end,
    __index = function(_, i) act() return values[i] end,
  })
end


describe("an argument that runs code", function()
  -- each: a call whose operands are released while its arguments are read
  local calls = {
    function(a, list) return a:sum { dims = list { 1 } } end,
    function(a, list) return a:reshape(list { 4, 6 }) end,
    function(a, list) return a:view(list { 4, 6 }) end,
    function(a, list) return a:permute(list { 2, 1 }) end,
    function(a, list, b) return a:adam_(b, b:clone(), b:clone(), list { step = 1 }) end,
    function(a, list, b) return a:sgd_(b, b:clone(), list { rate = 1 }) end,
    function(a, list) return core.image.from_planes(a:view(3, 2, 4), list {}) end,
    function(_, list)
      return core.write_weights("/dev/null", list { { "x", tensor(2) } }, "f32")
    end,
    function(_, list) return core.tensor(list { 1, 2, 3 }) end,
    function(_, list) return core.zeros(list { 2, 3 }) end,
    function(_, list) return core.uniform(1, 1, list { 2, 3 }) end,
  }
  for i, call in ipairs(calls) do
    it("frees nothing that call " .. i .. " holds", function()
      for _, length in ipairs { false, 0, 1, 3, 7, -1, 1 << 31, 1 << 40 } do
        local a, b = tensor(4, 6), tensor(4, 6)
        local ok, message = pcall(call, a, function(values)
          return treacherous(values, { a, b }, length or nil)
        end, b)
        assert(ok or type(message) == "string")
      end
    end)
  end

  it("frees no picture that is being resized", function()
    local image = core.image.new(8, 8)
    local box = treacherous({ 0, 0, 8, 8 }, { image })
    assert.matches("image was released",
                   t.message(image.resize, image, 4, 4, "bilinear", box))
  end)

  it("may give a list another length each time it is asked", function()
    local n = 0
    local list = setmetatable({}, {
      __len = function() n = n + 1 return n == 1 and 1 or 60 end,
      __index = function() return 1 end,
    })
    local ok, message = pcall(function() return tensor(1, 1, 4, 4):maxpool2d(list) end)
    assert(ok or type(message) == "string")
  end)

  it("gives write_weights a list of no length it can have", function()
    for _, length in ipairs { -1, 1 << 31, (1 << 31) - 1, 1 << 32, math.mininteger } do
      assert.matches("at most 65536", t.message(core.write_weights, "/dev/null",
        treacherous({}, {}, length), "f32"))
    end
  end)
end)


describe("a finaliser", function()
  it("that releases operands while room is made frees nothing in use", function()
    local before = core.memory_limit(1) -- whoever asks for room collects first
    for _, f in ipairs {
      function(a, b) return a:add(b) end, function(a) return a:relu() end,
      function(a) return a:clone() end, function(a) return a[1] end,
      function(a) return a:rows(1, 2) end, function(a) return a:view(6, 4) end,
      function(a, b) return a:copy_(b) end, function(a, b) return a:same(b) end,
      function(a) return a:argsort() end, function(a) return a:totable() end,
      function(a) return a:detach() end, function(a) return a:stats() end,
      function(a) return a:shape() end, function(a, b) a[1] = b[1] end,
      function(a) return core.tape():watch(a) end,
      function(a) return core.image.resize_map(a, 3, 3) end,
      function(a) return core.image.colormap(a, ("x"):rep(768), 0, 1) end,
    } do
      for _ = 1, 20 do
        local a, b = tensor(4, 6), tensor(4, 6)
        for _ = 1, 50 do
          setmetatable({}, { __gc = function() a:release() b:release() end })
        end
        local ok, message = pcall(f, a, b)
        assert(ok or message:find "released", message)
      end
    end
    core.memory_limit(before)
  end)
end)


describe("a weights file in use", function()
  local lu = require "lunette"
  local path

  -- a network of more than a page, from a file of its own
  local function loaded()
    path = os.tmpname()
    local net = lu.load "tiny_vgg"
    if not net then pending "tiny_vgg: no reference material" end
    assert(lu.save(net, path))
    net = assert(lu.load(path))
    assert(net:run(lu.zeros(1, 3, 64, 64))):release()
    return net
  end

  after_each(function() os.remove(path) end)

  it("that is cut is an error by name, at every tensor read from it", function()
    loaded()
    local weights = assert(core.weights(path))
    local list = {}
    for i = 1, #weights:list() do list[i] = assert(weights:tensor(i)) end
    os.execute(("truncate -s 4096 '%s'"):format(path))
    local failed = 0
    for i, w in ipairs(list) do
      for _, read in ipairs { function() return w:relu() end,
          function() return w:clone():stats() end, function() return w:sum() end } do
        local ok, message = pcall(read)
        if not ok then
          failed = failed + 1
          assert.matches(path, message, 1, true)
        end
      end
      assert(i)
    end
    assert(failed >= 1)
    assert.matches("changed since it was loaded", select(2, weights:unchanged()))
  end)

  it("that is cut or overwritten is seen before a run", function()
    for _, change in ipairs { "truncate -s 4096 '%s'",
        "printf x | dd of='%s' bs=1 seek=9000 conv=notrunc 2>/dev/null" } do
      local net = loaded()
      assert(os.execute("export LD_PRELOAD=; sleep 0.02; " .. change:format(path)))
      local message = t.message(net.run, net, lu.zeros(1, 3, 64, 64))
      assert.matches("changed since it was loaded; load it again", message)
      assert.matches(path, message, 1, true)
      os.remove(path)
    end
  end)

  it("may be replaced: what is loaded stays what it was", function()
    local net = loaded()
    local before = net:run(lu.ones(1, 3, 64, 64)):probabilities():bytes()
    assert(lu.save(assert(lu.load "tiny_vgg"), path))
    assert.equal(before, net:run(lu.ones(1, 3, 64, 64)):probabilities():bytes())
    os.remove(path)
    assert.equal(before, net:run(lu.ones(1, 3, 64, 64)):probabilities():bytes())
  end)

  it("that is cut while threads read it ends no process", function()
    local big = os.tmpname()
    path = big
    assert(core.write_weights(big, { { "w", core.ones(2048, 1024) } }, "f32"))
    local w = assert(assert(core.weights(big)):tensor(1))
    os.execute(("truncate -s 100000 '%s'"):format(big))
    local threads = core.threads(4)
    local ok, message = pcall(function() return w:exp() end)
    core.threads(threads)
    assert.is_false(ok)
    assert.matches(big, message, 1, true)
    assert(tensor(2, 2):relu()) -- and life goes on
  end)
end)


describe("numbers written as text", function()
  it("in a file's graph are refused in words", function()
    local lu = require "lunette"
    local folder, done = t.folder()
    for _, graph in ipairs {
      '{"input":["3",8,8],"layers":[{"name":"r","kind":"relu"}]}',
      '{"input":{"1":3},"layers":[{"name":"r","kind":"relu"}]}',
      '{"input":[3,8,8],"layers":[{"name":"c","kind":"conv2d","filters":"4"}]}',
      '{"input":[3,8,8],"layers":[{"name":"m","kind":"mul","from":["input",'
        .. '{"param":"g","shape":["3",1,1]}]}]}' } do
      local path = folder .. "/g.safetensors"
      assert(core.write_weights(path, {}, "f32", { lunette_model = "x",
        lunette_graph = graph, preprocessing = '{"mode":"tf"}' }))
      local net, message = lu.load(path)
      assert.is_nil(net)
      assert.is_nil(message:find "%.lua:%d", message)
    end
    done()
  end)
end)
