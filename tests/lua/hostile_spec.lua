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
          for _, rest in ipairs { {}, { object }, { 1 }, { 1, 1, 1, 1, 1, 1 },
              { object, 1, 1, 1 }, { object, object, {} }, { object, object, object,
              {} } } do
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
