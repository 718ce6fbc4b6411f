-- The same bits for any number of threads, and for a batch of N against N batches of
-- one: random networks always, the reference networks where they are.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local sanitized = t.sanitized


---Everything that an explanation computes, as one table of byte strings.
local function everything(net, x)
  local run <close> = net:run(x, { modifiers = { "linear" } })
  local found = { logits = run.output:bytes() }
  for _, mods in ipairs { "vanilla", "guided", "rectified", "rectified:leak=0.1" } do
    found[mods] = run:gradient({ score = 1, modifiers = { mods } }):bytes()
  end
  found.many = run:gradient({ scores = { 0, 1, 2 }, modifiers = { "guided" } }):bytes()
  found.cam = lu.gradcam(run, { score = 1 }):bytes()
  found.smooth = lu.saliency(run, { score = 1, smooth_samples = 3, batch = 2 }):bytes()
  return found
end


local function check_threads(net, x)
  local before = core.threads()
  finally(function() core.threads(before) end)
  core.threads(1)
  local one = everything(net, x)
  for n = 2, 3 do
    core.threads(n)
    assert.equal(n, core.threads())
    for key, bytes in pairs(everything(net, x)) do
      assert.is_true(bytes == one[key], ("%s with %d threads"):format(key, n))
    end
  end
end


local function check_batches(net, x)
  local all = net:run(x, { modifiers = { "linear" } })
  local g = all:gradient { score = 1, modifiers = { "guided" } }
  local saliency = lu.saliency(all, { score = 1 })
  local cam = lu.gradcam(all, { score = 1 })
  for i = 1, #x do
    local one = net:run(x:rows(i), { modifiers = { "linear" } })
    assert.is_true(t.same(one.output:detach(), all.output:detach():rows(i)))
    assert.is_true(t.same(g:rows(i), (one:gradient { score = 1,
                                                     modifiers = { "guided" } })))
    assert.is_true(t.same(saliency:rows(i), lu.saliency(one, { score = 1 })))
    assert.is_true(t.same(cam:rows(i), lu.gradcam(one, { score = 1 })))
  end
end


local function reference(name, pictures)
  local path = t.shared .. "/models/" .. name .. ".safetensors"
  if not t.exists(path) then
    pending("models/" .. name .. ": no reference material")
    return nil
  end
  local net = assert(lu.load(path))
  for i, picture in ipairs(pictures) do
    pictures[i] = t.shared .. "/images/" .. picture
  end
  return net, assert(net:images(pictures))
end


---Larger than a tile of every kernel, with a last tile that is not full.
local function wide()
  local net = assert(lu.net { input = { 3, 45, 47 }, layers = {
    { "c1", "conv2d", filters = 24, kernel = 7, stride = 2 }, { "r1", "relu" },
    { "c2", "conv2d", filters = 40, kernel = 3, padding = 1 }, { "r2", "relu" },
    { "c3", "conv2d", filters = 33, kernel = 1 }, { "r3", "relu" },
    { "p", "max_pool2d", kernel = 2, stride = 2 },
    { "f", "flatten" }, { "d1", "linear", units = 150 }, { "r4", "relu" },
    { "d2", "linear", units = 10 }, { "s", "softmax" } } })
  return net:init(5)
end


describe("threads", function()
  for name, make in pairs { chain = t.net, graph = t.graph, wide = wide } do
    it("do not change a bit: " .. name, function()
      local net = make()
      check_threads(net, t.input(net, 3))
    end)

    it("nor does the batch: " .. name, function()
      local net = make()
      check_batches(net, t.input(net, 4))
    end)
  end

  it("do not change a bit: Tiny VGG", function()
    local net, x = reference("tiny_vgg", { "panda_1.jpeg", "car_1.jpeg" })
    if not net then return end
    check_threads(net, x)
    check_batches(net, x)
  end)

  it("do not change a bit: SqueezeNet", function()
    if sanitized then return pending "SqueezeNet: too slow under the sanitizer" end
    local net, x = reference("squeezenet1_0",
                             { "n01514859_hen.JPEG", "n01440764_tench.JPEG" })
    if not net then return end
    check_threads(net, x)
    check_batches(net, x)
  end)

  it("are counted from 1 to 64", function()
    assert.matches("1 to 64", t.message(core.threads, 65))
    assert.matches("1 to 64", t.message(core.threads, -1))
    assert.is_true(core.threads() >= 1)
  end)
end)
