-- What maps warn of: where the signal died, what is silent, a saturated end.
local lu = require "lunette"
local core = lu.core
local t = dofile "tests/lua/support.lua"

local x = core.normal(3, 0, 1, 3, 12, 12)
local logit = { modifiers = { "linear" } }

---Few copies, steps and masks.
local few = { samples = 3, steps = 3, max_sigma = 3, count = 4, dilate = 1,
              min_diff = 2 }


---A method's options, as short as it can be; `more` where it has them.
local function short(row, more)
  local opts = {}
  for key, value in pairs(few) do opts[key] = row.options[key] and value end
  for key, value in pairs(more) do opts[key] = row.options[key] and value end
  return opts
end


---What a method warns of, as one text.
local function warned(row, ...)
  return table.concat((t.warnings(row, ...)), "\n")
end


---Methods whose maps are made of gradients of the score.
local function with_gradients()
  local list = {}
  for _, row in pairs(lu.methods) do
    local o = row.options
    local gradient = row.family == "gradient" or row.family == "path" or row.needs
      and row.needs ~= "score" or row.family == "layer" and o.modifiers
      and row.draws ~= "numbers"
    if gradient and o.score and o.modifiers then list[#list + 1] = row end
  end
  return list
end


describe("a map of zeros", function()
  it("names the layer where the signal died, whatever the method", function()
    local net = t.net()
    net.params["fc.bias"]:fill_(-1e4)
    local count = 0
    for _, row in ipairs(with_gradients()) do
      local opts = short(row, { score = 1, modifiers = { "linear" } })
      local text = warned(row, net, x, opts)
      assert.matches(row.name .. ": the map of image 1 is 0 everywhere; the gradient "
                     .. "dies at 'fc_relu' %(relu%).*rectified:leak=0.1", text)
      assert.equal(1, select(2, text:gsub("is 0 everywhere", "")), row.name)
      count = count + 1
    end
    assert.is_true(count > 25)
  end)

  it("of a method around another one is told once, of the picture", function()
    local net, both = t.net(), core.normal(3, 0, 2, 3, 12, 12)
    net.params["fc.bias"]:fill_(-1e4)
    local text = warned(lu.smoothgrad, net, both, {
      of = "gradcam", samples = 5, score = 1, modifiers = { "linear" } })
    assert.equal(2, select(2, text:gsub("smoothgrad: the map of image %d is 0", "")))
    assert.equal(2, select(2, text:gsub("dies at 'fc_relu'", "")))
    assert.is_nil(text:find("gradcam: ", 1, true))
  end)

  it("says that the layer is silent, where the gradient reaches it", function()
    local net = assert(lu.net { input = { 1, 4, 4 }, layers = {
      { "a", "conv2d", filters = 2, kernel = 1 }, { "ra", "relu" },
      { "b", "conv2d", filters = 2, kernel = 1, from = "input" }, { "rb", "relu" },
      { "sum", "add", from = { "ra", "rb" } },
      { "mean", "global_avg_pool" }, { "f", "flatten" },
      { "out", "linear", units = 2 } } }):init(1)
    net.params["a.bias"]:fill_(-1e4)
    net.params["b.bias"]:fill_(1e2)
    local run = net:run(core.normal(1, 0, 1, 1, 4, 4))
    for _, name in ipairs { "gradcam", "hirescam", "layercam", "eigencam",
                            "gradient_x_activation" } do
      local row = lu.methods[name]
      local text = warned(row, run, short(row, { score = 1, layer = "a" }))
      assert.matches(name .. ": .*'ra' %(relu%) is silent: all its values are 0", text)
    end
    -- of the picture nothing has died: the other branch hands it on
    assert.is_nil(warned(lu.saliency, run, { score = 1 }):find "dies")
  end)

  it("names a layer of the branch that leads on, not one beside it", function()
    local net = assert(lu.net { input = { 1, 4, 4 }, layers = {
      { "a", "conv2d", filters = 2, kernel = 1 }, { "ra", "relu" },
      { "b", "conv2d", filters = 2, kernel = 1, from = "ra" }, { "rb", "relu" },
      { "c", "conv2d", filters = 2, kernel = 1, from = "ra" },
      { "join", "concat", from = { "rb", "c" } },
      { "mean", "global_avg_pool" }, { "f", "flatten" },
      { "out", "linear", units = 2 } } }):init(1)
    net.params["a.bias"]:fill_(-1e4) -- here it dies, after both branches
    net.params["b.bias"]:fill_(-1e4) -- dead too, but c is not
    local text = warned(lu.saliency, net:run(core.normal(1, 0, 1, 1, 4, 4)),
                        { score = 1 })
    assert.matches("dies at 'ra' %(relu%)", text)
  end)

  it("of several classes is traced for each", function()
    local net = t.net()
    net.params["out.weight"]:rows(2):fill_(0)
    local list = t.warnings(lu.saliency, net:run(x, logit), { classes = { 0, 1 } })
    assert.equal(1, #list)
    assert.matches("image 1 %(categorical%(1%)%) is 0 everywhere; the gradient dies at "
      .. "'out' %(linear%): the weights that the gradient meets are 0", list[1])
  end)

  it("says that a score changes with nothing", function()
    local text = warned(lu.saliency, t.net():run(x),
                        { score = lu.score.contrast(1, 1) })
    assert.matches("no gradient reaches the picture: .* the values of 'softmax'", text)
  end)
end)


describe("a saturated softmax", function()
  ---A network that is sure of class 1, with 1 - p about exp(-bias).
  local function sure(bias)
    local net = t.net()
    net.params["out.bias"]:set(2, bias)
    return net
  end

  it("is named by every gradient method, p = 1 to float32 or a little less", function()
    for _, bias in ipairs { 1e4, 30, 14 } do
      local net = sure(bias)
      for _, row in ipairs(with_gradients()) do
        local text = warned(row, net, x, short(row, { score = 1, noise = 0.01 }))
        local exempt = row.slopeless and bias < 1e4 or row.name == "xrai" and bias < 30
        if not exempt then
          assert.matches("the softmax is saturated %(p > 0.9999%), and hardly .* give "
                         .. "the modifier \"linear\"", text)
          assert.matches("^" .. row.name, text)
        end
      end
    end
  end)

  it("is said in one line for all pictures of a call", function()
    local many = core.normal(3, 0, 3, 3, 12, 12)
    local list = t.warnings(lu.saliency, sure(20), many, { classes = { 1, 2 } })
    assert.equal(1, #list)
    assert.matches("the values of images 1, 2 and 3 show next to nothing", list[1])
  end)

  it("is no fault of scores that do not look at it", function()
    local run = sure(30):run(x)
    for _, opts in ipairs { { modifiers = { "linear" } },
                            { score = lu.score.unit("conv2", 1) } } do
      assert.equal("", warned(lu.saliency, run, opts))
    end
    assert.equal("", warned(lu.gradcam, sure(30):run(x, logit), { relu = false }))
    assert.equal("", warned(lu.saliency, sure(2):run(x), {}))
    local function log_of_another(p)
      return (p + 1e-30):log():narrow { dim = 2, start = 1, length = 1 }
    end
    assert.equal("", warned(lu.saliency, sure(14):run(x), { score = log_of_another }))
  end)

  it("is no fault of a path that begins where it is not", function()
    local net = sure(0)
    net.params["out.weight"]:mul_(40)
    local run = net:run(x * 3)
    assert.is_true(run:top(1)[1][1].probability > 0.9999)
    assert.matches("saturated", warned(lu.saliency, run, {}))
    local list = t.warnings(lu.integrated_gradients, net, x * 3,
                            { score = run:top(1)[1][1].class, steps = 20 })
    assert.same({}, list)
  end)

  it("of sigmoids is asked of the explained class alone", function()
    local net = assert(lu.net { input = { 1, 2, 2 }, layers = { { "f", "flatten" },
      { "out", "linear", units = 2 }, { "p", "sigmoid" } } }):init(1)
    net.params["out.bias"]:set(2, 30)
    local run = net:run(core.ones(1, 1, 2, 2))
    assert.equal("", warned(lu.saliency, run, { score = 0 }))
    assert.matches("the sigmoid is saturated", warned(lu.saliency, run, { score = 1 }))
    local opts = { score = 1, modifiers = { "linear" } }
    assert.equal("", warned(lu.saliency, run, opts))
  end)
end)
