-- Files that do not say what they are: VGGs with any head, behind any prefix, and the
-- errors where two readings fit. The files are written here, under torch's names, from
-- networks of ours, whose answers must come back to the bit.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done
setup(function()
  folder, done = t.folder()
  t.cache_in(folder)
end)
teardown(function() done() end)


---A small VGG11 with a head of dense layers of so many units.
local function vgg(units, opts)
  local arch = { width = { 2, 3, 4, 5, 6 }, side = 64, normed = opts and opts.normed,
                 top = #units > 0 }
  if #units > 0 then arch.dense = {} end
  for i, n in ipairs(units) do
    arch.dense[i] = { units = n, aliases = { "classifier." .. 3 * (i - 1) } }
  end
  local net = assert(lu.net(lu.models.vgg11(arch))):init(#units + 1)
  for name, p in pairs(net.params) do -- statistics that change something
    if name:find "running_var$" then net.params[name] = p * 0 + 0.7 end
    if name:find "running_mean$" then net.params[name] = p * 0 + 0.1 end
  end
  return net
end


---Its parameters under torchvision's names.
local function torch_names(net, rename)
  local list = {}
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local alias
      for _, name in ipairs(layer.aliases) do
        alias = name:find "^features" and name or name:find "^classifier" and name
          or alias
      end
      local name = (alias or layer.name) .. "." .. q.key
      list[#list + 1] = { rename and rename(name) or name, net.params[q.name] }
    end
  end
  return list
end


local function write(name, list, meta)
  local path = folder .. "/" .. name .. ".safetensors"
  assert(core.write_weights(path, list, "f32", meta or {}))
  return path
end


local out
before_each(function() out = folder .. "/out.st" end)


local function imported(path, opts)
  local o = { out = out, force = true }
  for key, value in pairs(opts or {}) do o[key] = value end
  local got, report = import(path, o)
  assert(got, tostring(report))
  return assert(lu.load(got)), report
end


local function refusal(path, opts)
  local o = { out = out, force = true }
  for key, value in pairs(opts or {}) do o[key] = value end
  local got, message = import(path, o)
  assert.is_nil(got)
  return message
end


local function same_answers(a, b)
  local x = core.normal(1, 0, 2, 3, 64, 64)
  local one, two = a:run(x).output:detach(), b:run(x).output:detach()
  assert.is_true(one:same(two))
end


describe("a VGG's head", function()
  local heads = { {}, { 5 }, { 7, 5 }, { 7, 7, 5 }, { 9, 8, 7, 5 }, { 9, 8, 7, 6, 5 } }
  for _, units in ipairs(heads) do
    for _, normed in ipairs { false, true } do
      local what = normed and ", normalised," or ""
      it(("of %d dense layers%s is read"):format(#units, what), function()
        local net = vgg(units, { normed = normed or nil })
        local path = write("head", torch_names(net))
        local got, report = imported(path, { side = 64 })
        assert.equal("vgg11", report.model)
        same_answers(net, got)
        if #units > 0 then same_answers(net, assert(lu.load(path))) end
      end)
    end
  end

  it("is no softmax over one unit", function()
    local path = write("one", torch_names(vgg { 4, 1 }))
    local net, report = imported(path)
    assert.equal("linear", net:layers()[#net:layers()].kind)
    assert.matches("its one output is a value", table.concat(report.assumed, "; "))
    assert.equal("sigmoid", (function()
      local list = imported(path, { last = "sigmoid" }):layers()
      return list[#list].kind
    end)())
    assert.matches("a softmax over one output", refusal(path, { last = "softmax" }))
    assert.matches("last is softmax, sigmoid or none",
                   refusal(path, { last = "sofmax" }))
  end)

  it("that reads one value a channel has two readings", function()
    local arch = { width = { 2, 3, 4, 5, 6 }, side = 32,
                   dense = { { units = 4, aliases = { "classifier.0" } } } }
    local net = lu.net(lu.models.vgg11(arch)):init(1)
    local path = write("gap", torch_names(net))
    assert.matches("32x32, or global average pooling.*%-%-side", refusal(path))
    assert.same({ 3, 32, 32 }, imported(path, { side = 32 }).input)
    local pooled, report = imported(path, { side = "224" })
    assert.equal("global_avg_pool", pooled.avgpool.kind)
    assert.matches("averaged to 1x1", table.concat(report.assumed, "; "))
  end)

  it("of a picture that is no square says which there may be", function()
    local arch = { width = { 2, 3, 4, 5, 6 }, side = { 64, 96 },
                   dense = { { units = 4, aliases = { "classifier.0" } } } }
    local net = lu.net(lu.models.vgg11(arch)):init(1)
    local path = write("oblong", torch_names(net))
    assert.matches("64x96, or 96x64; say which with %-%-side", refusal(path))
    assert.same({ 3, 64, 96 }, imported(path, { side = "64x96" }).input)
    assert.same({ 3, 96, 64 }, imported(path, { side = { 96, 64 } }).input)
    assert.matches("side is a number of pixels", refusal(path, { side = "big" }))
  end)

  it("of unnamed order is what fits, or an error that lists the orders", function()
    local net = vgg { 7, 6, 5 }
    local words = { ["classifier.0"] = "zeta", ["classifier.3"] = "beta",
                    ["classifier.6"] = "alpha" }
    local function rename(name)
      local base, key = name:match "^(.*)%.([^.]+)$"
      return (words[base] or base) .. "." .. key
    end
    same_answers(net, (imported(write("words", torch_names(net, rename)))))
    net = vgg { 6, 6, 6 } -- any order of the last two
    assert.matches("several orders %(zeta, beta, alpha; or zeta, alpha, beta%)",
                   refusal(write("square", torch_names(net, rename))))
  end)
end)


describe("a prefix", function()
  it("is found by what remains", function()
    local net = vgg { 7, 7, 5 }
    for _, prefix in ipairs { "module.", "backbone.", "state_dict.model.", "net.a.b.",
                              "_orig_mod.module." } do
      local path = write("prefix", torch_names(net, function(n) return prefix .. n end))
      same_answers(net, (imported(path)))
      same_answers(net, assert(lu.load(path)))
    end
    local inside = write("inside", torch_names(net, function(n)
      return (n:gsub("^features%.", "features.module."))
    end))
    same_answers(net, (imported(inside)))
  end)

  it("of a copy is named, and the other taken", function()
    local net, ema = vgg { 7, 7, 5 }, vgg { 7, 7, 5 }
    for name, p in pairs(ema.params) do ema.params[name] = p * 2 end
    local list = torch_names(ema, function(n) return "model_ema.module." .. n end)
    for _, e in ipairs(torch_names(net, function(n) return "model." .. n end)) do
      list[#list + 1] = e
    end
    list[#list + 1] = { "optimizer.exp_avg", core.zeros(3, 3) }
    local path = write("ema", list)
    local got, report = imported(path)
    same_answers(net, got)
    assert.matches("'model' is taken, 'model_ema' left out", report.assumed[1])
    assert.matches("optimizer", table.concat(report.left, ", "))
    same_answers(ema, (imported(path, { prefix = "model_ema" })))
    assert.matches("no network stands behind 'mdel'",
                   refusal(path, { prefix = "mdel" }))
  end)

  it("with weights of another beside it is no whole network", function()
    local list = torch_names(vgg {}, function(n) return "backbone." .. n end)
    list[#list + 1] = { "head.weight", core.zeros(5, 24) }
    assert.matches("'head.weight' lies beside the network 'backbone'",
                   refusal(write("beside", list)))
  end)

  it("is not needed for what is left out by name", function()
    local list = torch_names(vgg { 7, 5 })
    list[#list + 1] = { "steps", core.zeros(0) }
    local _, report = imported(write("extra", list))
    assert.same({ "'steps'" }, report.left)
    list[#list + 1] = { "aux.weight", core.zeros(2, 2) }
    assert.is_string(refusal(write("extra2", list)))
    list = torch_names(vgg { 7, 5 })
    table.remove(list)
    list[#list + 1] = { "features.0.weight_orig", core.zeros(2, 3, 3, 3) }
    list[#list + 1] = { "features.0.weight_mask", core.zeros(2, 3, 3, 3) }
    assert.matches("pruned", refusal(write("pruned", list)))
  end)
end)


describe("a network of one's own", function()
  it("is what a Lua file returns, names matched both ways", function()
    local net = t.own()
    local list = {}
    for name, p in pairs(net.params) do list[#list + 1] = { "model." .. name, p } end
    local path, lua = write("own", list), folder .. "/own.lua"
    local text = require("lunette.net.graph").encode(net.graph)
    t.spit(lua, ("return require 'lunette.base.json'.decode [==[%s]==]"):format(text))
    local got, report = imported(path, { arch = lua })
    local x = t.input(net, 2)
    assert.is_true(net:run(x).output:detach():same(got:run(x).output:detach()))
    assert.equal("own", report.model)
    for _, e in ipairs(list) do
      if e[1] == "model.out.bias" then e[1] = "model.stray.bias" end
    end
    local message = refusal(write("own2", list), { arch = lua })
    assert.matches("has no 'out.bias'; has no place for 'model.stray.bias'", message)
    assert.matches("returns no table of layers",
                   refusal(path, { arch = t.spit(folder .. "/no.lua", "return 1") }))
    assert.matches("no architecture 'vg16'; did you mean 'vgg16'",
                   refusal(path, { arch = "vg16" }))
  end)

  it("that is another than --arch says is refused", function()
    local path = write("eleven", torch_names(vgg { 7, 7, 5 }))
    assert.matches("those of vgg11, not of vgg16", refusal(path, { arch = "vgg16" }))
    assert.equal("vgg11", (imported(path, { arch = "vgg11" })).name)
  end)
end)


describe("what the user says", function()
  local path
  before_each(function() path = write("said", torch_names(vgg { 7, 7, 3 })) end)

  it("names the classes", function()
    local names = t.spit(folder .. "/names.txt", "ash\r\nbirch\ncedar\n\n")
    assert.same({ "ash", "birch", "cedar" }, imported(path, { labels = names }).labels)
    names = t.spit(folder .. "/names.json", '["a","b","c"]')
    assert.same({ "a", "b", "c" }, imported(path, { labels = names }).labels)
    assert.matches("2 class names are given, the network has 3 outputs",
                   refusal(path, { labels = { "a", "b" } }))
    assert.matches("no file 'gone.txt'", refusal(path, { labels = "gone.txt" }))
  end)

  it("of preprocessing is judged by the loader, before anything is read", function()
    for text, word in pairs {
      ['{"std":[0,1,1]}'] = "std is 0", ['{"mean":[1,2]}'] = "one number or three",
      ['{"mean":["a",1,2]}'] = "no number", ['{"scale":0}'] = "scale",
      ['{"fit":"squeeze"}'] = "fit", ['{"filter":"sharp"}'] = "filter",
      ['{"crop_pct":7}'] = "crop_pct", ['{"men":[1]}'] = "men", ["{"] = "JSON",
      cafe = "did you mean 'caffe'",
    } do
      local message = refusal("/nowhere", { preprocessing = text })
      assert.matches(word, message)
    end
    local net = imported(path, { preprocessing = { mean = { 1, 2, 3 } } })
    assert.same({ 1, 2, 3 }, net.preprocessing.mean)
  end)

  it("is not needed twice: lu.load takes what import gives", function()
    local net = assert(lu.load(assert(import(path, { out = out, force = true }))))
    assert.equal("vgg11", net.name)
    assert.has_error(function() lu.load(out, {}) end)
  end)

  it("lets a default output go round what is there", function()
    local lfs, here = require "lfs", require("lfs").currentdir()
    local source = folder .. "/stem/said.pth"
    lfs.mkdir(folder .. "/stem")
    t.spit(source, t.read(path))
    t.spit(folder .. "/stem/said.safetensors", "mine")
    lfs.chdir(folder .. "/stem")
    local ok, one = pcall(import.default_out, source, nil, { sha256 = "ab" })
    lfs.chdir(here)
    assert.is_true(ok, one)
    assert.equal("said-pth.safetensors", one)
    assert.equal("mine", t.read(folder .. "/stem/said.safetensors"))
  end)
end)


describe("a foreign file", function()
  it("is imported into the cache once, and assumed facts are kept", function()
    local net = vgg { 7, 7, 5 }
    local path = write("once", torch_names(net, function(n) return "a.b." .. n end))
    local first = assert(lu.load(path))
    assert.equal(path, first.path)
    assert.matches("input 64x64", first.meta.assumed)
    local lfs, count = require "lfs", 0
    for name in lfs.dir(folder .. "/cache") do
      if name:find "^once%.safetensors%-" then count = count + 1 end
    end
    assert.equal(1, count)
    local import_again = import.import
    import.import = function() error "imported twice" end
    local ok, second = pcall(lu.load, path)
    import.import = import_again
    assert.is_true(ok, tostring(second))
    same_answers(first, second)
  end)

  it("that is none says the same everywhere", function()
    local pointer = t.spit(folder .. "/p.h5",
                           "version https://git-lfs.github.com/spec/v1\n")
    local page = t.spit(folder .. "/p.pth", "<!DOCTYPE html><html></html>")
    local nothing = t.spit(folder .. "/none.pth", "")
    for path, word in pairs { [pointer] = "Git LFS", [page] = "web page",
                              [nothing] = "the file is empty" } do
      local message = refusal(path)
      assert.matches(word, message)
      assert.equal(message, (select(2, lu.load(path))))
      for _, command in ipairs { "summary '%s'", "explain --model '%s'" } do
        local code, text = t.program(command:format(path), folder)
        assert.not_equal(0, code)
        assert.matches(word, text)
      end
    end
  end)
end)
