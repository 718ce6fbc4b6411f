-- Class names: ids from 0, as ImageNet counts.
local labels = require "lunette.score.labels"
local suggest = require "lunette.base.suggest"


describe("labels", function()
  it("are found by their WordNet ids", function()
    assert.equal(8, labels.find "n01514859")
    assert.equal(8, labels.find("n01514859", "imagenet"))
    assert.is_nil((labels.find "n99999999"))
  end)

  it("are the 1000 names of ImageNet by id", function()
    local names = labels.of()
    assert.are.equal(1000, #names)
    for id, name in pairs { [0] = "tench", [8] = "hen", [21] = "kite",
                            [33] = "loggerhead", [999] = "toilet tissue" } do
      assert.are.equal(name, names[id + 1])
      assert.are.equal(name, labels.name(id))
      assert.are.equal(id, labels.find(name))
    end
  end)

  it("find a class whatever its case, hyphens and underscores", function()
    assert.are.equal(8, labels.find("Hen"))
    assert.are.equal(2, labels.find("great_white-SHARK"))
    assert.are.equal(33, labels.find(" loggerhead "))
  end)

  it("find a class by a word that no other has, and by its number", function()
    assert.are.equal(207, labels.find("golden retriever"))
    assert.are.equal(388, labels.find("giant panda"))
    assert.are.equal(33, labels.find("33"))
    assert.are.equal(33, labels.find(33))
  end)

  it("find every name of the list again", function()
    for i, name in ipairs(labels.of()) do assert.are.equal(i - 1, labels.find(name)) end
  end)

  it("answer nil and the nearest names for one that is unknown", function()
    local id, message = labels.find("logerhead")
    assert.is_nil(id)
    assert.is_truthy(message:find("did you mean 'loggerhead' (33)", 1, true), message)
    id, message = labels.find("qqqqqqqqqq")
    assert.is_nil(id)
    assert.are.equal("class 'qqqqqqqqqq' not found; there are 1000, ids 0 to 999",
                     message)
  end)

  it("answer nil and all that fit for one that is ambiguous", function()
    local id, message = labels.find("turtle")
    assert.is_nil(id)
    assert.is_truthy(message:find("ambiguous", 1, true))
    assert.is_truthy(message:find("'mud turtle' (35)", 1, true), message)
  end)

  it("answer nil for a number outside, and raise on misuse", function()
    local id, message = labels.find(1000)
    assert.is_nil(id)
    assert.are.equal("class 1000 is outside 0 .. 999", message)
    assert.is_nil((labels.name(-1)))
    assert.has_error(function() labels.find(nil) end)
    assert.has_error(function() labels.find(1.5) end)
  end)

  it("are a network's own where it has some", function()
    local net = { name = "toy", labels = { "cat", "dog" } }
    assert.are.equal(1, labels.find("dog", net))
    assert.are.equal("cat", labels.name(0, net))
    local id, message = labels.find("dog", { name = "bare" })
    assert.is_nil(id)
    assert.is_truthy(message:find("'bare' has no class names", 1, true), message)
  end)
end)


describe("suggest", function()
  it("names what is near by edits, swaps and beginnings", function()
    local layers = { "block5_conv3", "block5_conv2", "fc1", "predictions" }
    assert.are.equal("did you mean 'block5_conv3'?", suggest("block5_conv4", layers))
    assert.are.equal("did you mean 'predictions'?", suggest("perdictions", layers))
    assert.are.equal("did you mean 'predictions'?", suggest("PRED", layers))
    assert.are.equal("; did you mean 'fc1'?", suggest.after("fc", layers))
  end)

  it("says nothing when nothing is near", function()
    assert.are.equal("", suggest("saliency", { "fc1", "pool" }))
    assert.are.equal("", suggest("x", {}))
    assert.are.equal("", suggest.after("x", {}))
  end)

  it("counts two letters that changed places once, a part of a name once", function()
    assert.are.equal("did you mean 'abcd'?", suggest("abdc", { "abxy", "abcd" }))
    assert.are.equal("did you mean 'gradcam'?", suggest("cam", { "gradcam" }))
    assert.are.equal("did you mean 'guided'?", suggest("guided_backprop", { "guided" }))
    -- the nearest, of equals the first
    assert.are.equal("did you mean 'layer12'?", suggest("layer123", { "layerx2",
                                                                      "layer12" }))
    assert.are.equal("did you mean 'ab2'?", suggest("ab1", { "ab2", "ab3" }))
  end)

  it("gives the nearest first, at most as many as asked", function()
    assert.are.same({ "hen", "hens" },
                    suggest.nearest("hen", { "hens", "when", "hen" }, 2))
  end)
end)
