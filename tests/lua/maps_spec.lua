-- What maps are and say: several from one run, what relu threw away, why one is 0,
-- which rules counted.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local logit = { modifiers = { "linear" } }


describe("several maps", function()
  local net, x = t.net(), core.normal(3, 0, 2, 3, 12, 12)
  local run = net:run(x)

  it("take one backward pass, and the run is as it was", function()
    local class, calls = getmetatable(run), 0
    local gradient = class.gradient
    class.gradient = function(...)
      calls = calls + 1
      return gradient(...)
    end
    local ok, map = pcall(lu.gradcam, run, { top = 5, modifiers = { "linear" } })
    class.gradient = gradient
    assert.is_true(ok)
    assert.equal(1, calls)
    assert.same({ 10, 12, 12 }, map:shape())
    assert.is_nil(rawget(run, "gradient"))
    local top = run:top(5)
    for k = 1, 5 do
      assert.equal(top[1][k].class, map.story.classes[2 * k - 1])
      assert.equal(top[2][k].class, map.story.classes[2 * k])
    end
  end)

  it("are of any score", function()
    local function square(p) return p:square():sum { dims = { 2 } } end
    local map = lu.saliency(run, { classes = { lu.score.contrast(1, 2),
      lu.score.unit("relu2", 3), square } })
    assert.same({ 6, 12, 12 }, map:shape())
    local want = lu.saliency(run, { score = lu.score.unit("relu2", 3) })
    assert.is_true(t.same(want:detach(), map:rows(3, 4):detach()))
    assert.equal(false, map.story.classes[1])
  end)

  it("are asked for in one way at a time", function()
    assert.matches("give one of score, classes and top", t.message(lu.gradcam, run,
      { score = 1, top = 2 }))
    assert.matches("give one of score, classes and top", t.message(lu.gradcam, run,
      { classes = { 1 }, top = 2 }))
    assert.matches("classes is a list", t.message(lu.gradcam, run, { classes = {} }))
    assert.matches("unknown option 'top'", t.message(lu.eigencam, run, { top = 2 }))
  end)
end)


describe("rules", function()
  it("compare with each picture's own mean", function()
    local v = core.tensor { { 1, 2, 6 }, { -1, 0, 4 } }
    assert.same({ { 3 }, { 1 } }, lu.modifiers.each(v, "mean"):totable())
    assert.same({ { 6 }, { 4 } }, lu.modifiers.each(v, "max"):totable())
    assert.same({ 2, 1, 1, 1 }, lu.modifiers.each(core.ones(2, 3, 4, 5), "sum"):shape())
    assert.matches("expected \"mean\"", t.message(lu.modifiers.each, v, "median"))
    local net, x = t.net(), core.normal(3, 0, 3, 3, 12, 12)
    local squash = lu.modifier { name = "squash", on = "relu",
      backward = function(node, dy)
        local positive = dy:relu()
        return positive:minimum(lu.modifiers.each(positive, "mean"))
          * node.output:gt(0)
      end }
    local opts = { score = 1, modifiers = { "linear", squash }, raw = true }
    local all = lu.saliency(net, x, opts)
    assert.is_true(t.same(all:rows(2):detach(),
                          lu.saliency(net, x:rows(2), opts):detach()))
  end)
end)


describe("a map", function()
  local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)

  it("says how much of it relu threw away", function()
    local run = net:run(x, logit)
    local raw = lu.gradcam(run, { score = 1, raw = true })
    local want = (-raw):relu():sum():item() / raw:abs():sum():item()
    local _, map = t.warnings(lu.gradcam, run, { score = 1 })
    assert.is_true(math.abs(map.story.negative_share - want) < 1e-6)
    assert.is_nil(raw.story.negative_share)
    assert.is_nil(lu.gradcam(run, { score = 1, relu = false }).story.negative_share)
  end)

  it("of zeros names the layer where the gradient died, and the remedy", function()
    local dead = t.net()
    dead.params["fc.bias"]:fill_(-1e4)
    local list = t.warnings(lu.input_x_gradient, dead:run(x, logit), { score = 1 })
    assert.matches("the gradient dies at 'fc_relu' %(relu%): none of its units",
                   list[1])
    assert.matches("rectified:leak=0.1", list[1])
  end)

  it("of zeros says so where the rule dropped what came back", function()
    local turned = assert(lu.net { input = { 1, 2, 2 }, layers = { { "f", "flatten" },
      { "r", "relu" }, { "out", "linear", units = 1 } } }):init(1)
    turned.params["out.weight"]:fill_(-1)
    local run = turned:run(core.full(1, 1, 1, 2, 2))
    local list = t.warnings(lu.saliency, run, { score = 0, modifiers = { "guided" } })
    assert.matches("dies at 'r' %(relu%): its rule drops all that comes back", list[1])
  end)

  it("of zeros is traced back from the layer that is scored", function()
    local dead = t.net()
    dead.params["conv1.bias"]:fill_(-1e4)
    dead.params["conv2.bias"]:fill_(1)
    local list = t.warnings(lu.saliency, dead:run(x), { modifiers = { "guided" },
                            score = lu.score.unit("conv2", 1) })
    assert.matches("dies at 'relu1' %(relu%): none of its units", list[1])
  end)

  it("of one value says that all places weigh alike", function()
    local mean = assert(lu.net { input = { 1, 3, 3 }, layers = {
      { "gap", "global_avg_pool" }, { "f", "flatten" },
      { "out", "linear", units = 2 } } }):init(1)
    local list = t.warnings(lu.saliency, mean:run(t.input(mean, 1)), { score = 1 })
    assert.matches("what follows the picture weighs every place alike", list[1])
  end)

  it("of a saturated softmax names linear", function()
    local sure = t.net()
    sure.params["out.bias"]:set(2, 1e4)
    local list = t.warnings(lu.input_x_gradient, sure:run(x), { score = 1 })
    assert.matches("the softmax is saturated .* give the modifier \"linear\"", list[1])
    -- a class that is out of the question, though none is certain
    local out = t.net()
    out.params["out.weight"]:fill_(0)
    out.params["out.bias"]:set(2, -200)
    list = t.warnings(lu.input_x_gradient, out:run(x), { score = 1 })
    assert.matches("below 1e%-6 of the logit's", list[1])
  end)

  it("is not made by a rule that cannot matter, and counts the nodes on its way",
     function()
    local run = net:run(x, logit)
    assert.matches("modifier 'guided' changed no node", t.message(run.gradient, run,
      { score = 1, wrt = "fc", modifiers = { "guided" } }))
    local _, map = t.warnings(lu.gradcam, run, { score = 1, layer = "relu2",
                                                 modifiers = { "guided" } })
    assert.equal(1, map.story.changed_nodes.guided)
    _, map = t.warnings(lu.saliency, run, { score = 1, modifiers = { "guided" } })
    assert.equal(3, map.story.changed_nodes.guided)
  end)
end)
