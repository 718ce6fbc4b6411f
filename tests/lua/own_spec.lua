-- A user's network: batch norm, squeeze-and-excite, a channel shuffle, a learned scale
-- (support.lua: own), which no architecture of ours has. It is described by a table,
-- saved, loaded, and explained by every method that there is, with a rule of the
-- user's own.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local net = t.own()
local folder, done = t.folder()
teardown(done)
local path = folder .. "/own.safetensors"
assert(lu.save(net, path))
local again = assert(lu.load(path))
local x = t.input(net, 2)


---Few samples, for all methods.
local few = { samples = 3, count = 6, steps = 3, most = 2, segments = 2, max_sigma = 2,
              window = 3, stride = 3, designs = 4, cells = 2, min_diff = 2, dilate = 0,
              smooth_samples = 2, smooth_noise = 0.1, exact = 4 }


---The shape of a map of 2 pictures (3,6,6); of a layer (8,6,6), or a value for each of
---its channels; channels may be fewer, each a factor of all.
local shapes = { overlay = { "2,6,6" }, map = { "2,6,6", "2,3,6,6" },
                 channels = { "2,%d+,6,6" }, numbers = { "2,8" },
                 picture = { "2,3,6,6" } }


---Families whose methods go back through the network, all of them.
local goes_back = { gradient = true, path = true, relevance = true }


---The rule of the user's own, and how often it was asked.
local calls
local rule = lu.modifier { name = "own_rule", on = "linear",
  backward = function(node, dy)
    calls = calls + 1
    return node:backward(dy):clamp(-1, 1)
  end }


---A method's map; the modifiers by which it was made: all, or those that it takes.
local function explained(row, subject)
  local opts = {}
  for key, value in pairs(few) do
    if row.options[key] then opts[key] = value end
  end
  if not row.options.modifiers then return row(subject, x, opts) end
  local forward = row.name ~= "lrp" and { "linear" } or {} -- as lrp does itself
  opts.modifiers = { rule, table.unpack(forward) }
  local ok, map = pcall(row, subject, x, opts)
  if ok then return map, true end
  -- refused, by name, where nothing goes back or the method's rules are its own
  assert.matches("modifier 'own_rule' is .*; leave it out", map)
  assert.is_true(map:find "rules of its own" ~= nil or not goes_back[row.family], map)
  opts.modifiers = forward
  return row(subject, x, opts)
end


describe("a user's network", function()
  it("has the same values, to the bit, from its file", function()
    local a, b = net:run(x), again:run(x)
    for _, layer in ipairs(net:layers()) do
      assert.is_true(t.same(a:preactivation(layer.name), b:preactivation(layer.name)),
                     layer.name)
    end
    assert.same(net:names(), again:names())
    assert.same({ "ash", "birch", "cedar" }, again.labels)
    assert.equal("flipped", again:last_map().name)
  end)

  for name, row in pairs(lu.methods) do
    it("is explained by " .. name, function()
      if row.family == "attention" then -- it has none
        return assert.matches("no attention", select(2, pcall(row, again, x)))
      end
      calls = 0
      local map, went_back
      t.warnings(function() map, went_back = explained(row, again) end)
      local shape, known = table.concat(map:shape(), ","), false
      for _, one in ipairs(shapes[row.draws]) do
        known = known or shape:find("^" .. one .. "$") ~= nil
      end
      assert.is_true(known, shape)
      assert.is_true(map:stats().finite)
      assert.equal(name, map.story.method)
      assert.equal("own", map.story.model)
      if went_back then
        assert.is_true(calls > 0, "the rule was not asked")
        assert.is_true(map.story.changed_nodes.own_rule > 0)
      end
      local twin
      t.warnings(function() twin = explained(row, net) end)
      assert.is_true(t.same(map:detach(), twin:detach()),
                     "the loaded network is explained otherwise")
    end)
  end
end)
