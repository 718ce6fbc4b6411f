-- Model files that people have, in every layout, good and hostile: a VGG11 of
-- formula weights in tests/data/import (see tests/data/fixtures.py), and a VGG16 in
-- the reference material where that is.
local import = require "lunette.weights.import"
local core = require "lunette.core"
local graphs = require "lunette.net.graph"
local load = require "lunette.weights.load"
local lu = require "lunette"
local support = dofile "tests/lua/support.lua"

local shared = os.getenv("LUNETTE_SHARED") or "../shared"
local formats = shared .. "/models/formats/"
local fixtures = "tests/data/import/"
local quote = require("lunette.base.text").quoted


local exists, read, spit = support.exists, support.read, support.spit


local function shell(command, keep)
  local code, text = (keep and support.shell or support.other)(command)
  return code == 0, text
end


local function tensors(path)
  local weights, by_name = assert(core.weights(path)), {}
  for i, e in ipairs(weights:list()) do by_name[e.name] = weights:tensor(i) end
  return by_name, weights:meta(), weights:list()
end


local function files(folder)
  local list = {}
  for name in require("lfs").dir(folder) do
    if name:match("%.%w+$") then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end


local tmp
setup(function()
  tmp = os.tmpname()
  os.remove(tmp)
  tmp = tmp .. ".d"
  assert(os.execute("mkdir -p " .. quote(tmp)))
  local ok, text = shell(("/usr/bin/python3 tests/data/model_files.py %s %s"):format(
    fixtures, quote(tmp)))
  assert(ok, text)
end)


teardown(function()
  os.execute("rm -rf " .. quote(tmp))
end)


local function need(path, what)
  if exists(path) then return true end
  pending("no " .. what)
  return false
end


local function need_shared()
  return need(formats .. "vgg16_keras.h5", "reference material (../shared)")
end


-- fixtures.py's formula: n numbers in -1 .. 1 by a tensor's name.
local function value(name, n)
  local h, list = 2166136261, {}
  for i = 1, #name do h = (h ~ name:byte(i)) * 16777619 & 0xFFFFFFFF end
  for i = 0, n - 1 do
    local x = (h + i * 2654435761) & 0xFFFFFFFF
    x = (x ~ x >> 16) * 0x45D9F3B & 0xFFFFFFFF
    list[i + 1] = (x ~ x >> 16) / 2.0 ^ 31 - 1
  end
  return list
end


-- Imports and holds every tensor against the same network in our own layout, bit for
-- bit: a permutation computes nothing.
local function same_bits(path, only)
  local ours = path:find(formats, 1, true) and formats .. "vgg16_lunette.safetensors"
    or fixtures .. "lunette.safetensors"
  local out = tmp .. "/out.safetensors"
  local written, report = import(path, { out = out, force = true })
  assert.are.equal(out, written, tostring(report))
  local got, want = tensors(out), tensors(ours)
  for name, t in pairs(want) do
    if not only or name:match(only) then
      assert.is_not_nil(got[name], path .. " lost " .. name)
      assert.are.same(t:shape(), got[name]:shape(), name)
      assert.is_true(t:bytes() == got[name]:bytes(), path .. " changed " .. name)
    end
  end
  os.remove(out)
  return report
end


-- Largest difference, as a share of the largest value.
local function distance(a, b)
  local x, y = a:view { a:size() }:totable(), b:view { b:size() }:totable()
  local most, scale = 0, 0
  for i = 1, #x do
    most = math.max(most, math.abs(x[i] - y[i]))
    scale = math.max(scale, math.abs(y[i]))
  end
  return most / scale
end


local function logits(path, input)
  local net = assert(load.file(path))
  return net:run(input, { modifiers = { "linear" } }).output, net
end


local layouts = {
  ["keras.h5"] = { "keras", "HDF5", "caffe" },
  ["keras_model.h5"] = { "keras", "HDF5", "caffe" },
  ["keras3.weights.h5"] = { "keras", "HDF5", "caffe" },
  ["zip.pth"] = { "torch", "PyTorch zip", "torch" },
  ["legacy.pth"] = { "torch", "PyTorch legacy", "torch" },
  ["torchvision.safetensors"] = { "torch", "safetensors", "torch" },
  ["timm.safetensors"] = { "torch", "safetensors", "torch" },
  ["lunette.safetensors"] = { "ours", "safetensors", "caffe" },
}


local function picture()
  return core.tensor(value("input", 3 * 64 * 64)):view(1, 3, 64, 64)
end


describe("the fixtures", function()
  it("hold what the formula gives", function()
    local found, n = tensors(fixtures .. "lunette.safetensors"), 0
    for name, t in pairs(found) do
      local shape, fan = t:shape(), 1
      for i = 2, #shape do fan = fan * shape[i] end
      local scale, list = #shape == 1 and 0.25 or (6 / fan) ^ 0.5, value(name, t:size())
      for i, v in ipairs(list) do list[i] = ("<f"):pack(v * scale) end
      assert.is_true(table.concat(list) == t:bytes(), name)
      n = n + 1
    end
    assert.equal(22, n)
  end)
end)


describe("import", function()
  local function check_layout(path, want, model, classes)
    local report = same_bits(path)
    assert.are.equal(model, report.model)
    assert.are.same(want, { report.family, report.format, report.preprocessing })
    assert.are.same({ 3, 64, 64 }, report.input)
    assert.are.equal(classes, report.options.classes)
  end


  for name, want in pairs(layouts) do
    it("reads " .. name .. " bit for bit", function()
      check_layout(fixtures .. name, want, "vgg11", 4)
      assert.is_true(exists(fixtures .. name))
    end)

    it("reads the reference's " .. name .. " bit for bit", function()
      if not need_shared() then return end
      check_layout(formats .. "vgg16_" .. name, want, "vgg16", 10)
    end)
  end

  it("gives torch's logits from every layout", function()
    local expected = tensors(fixtures .. "expected.safetensors").logits
    for name in pairs(layouts) do
      local out = assert(import(fixtures .. name, { out = tmp .. "/l.safetensors",
                                                   force = true }))
      -- float32 against float64: 1e-5 of the largest logit
      assert.is_true(distance(logits(out, picture()), expected) <= 1e-5, name)
    end
  end)

  it("tells formats apart by content, not by suffix", function()
    for name in pairs(layouts) do
      local other = tmp .. "/picture.jpg"
      spit(other, read(fixtures .. name))
      same_bits(other)
      os.remove(other)
    end
  end)

  it("reads what else torch and Keras save", function()
    for _, name in ipairs { "channels_last.pth", "checkpoint.pth", "parameters.pth",
                            "protocol4.pth", "double.pth", "views.pth",
                            "views_legacy.pth", "auto_names.weights.h5",
                            "packed.weights.h5", "latest.weights.h5", "nested.h5",
                            "archive.keras" } do
      same_bits(fixtures .. name)
    end
    same_bits(tmp .. "/packed.pth") -- zipped again, deflated
    local report = same_bits(fixtures .. "notop.h5", "^block")
    assert.is_false(report.options.top)
  end)

  it("widens half precision exactly", function()
    local half = assert(import(fixtures .. "lunette.safetensors",
                               { out = tmp .. "/h1.safetensors", half = true }))
    -- torch's own rounding to float16, widened by the importer
    local wide = assert(import(fixtures .. "half.pth",
                               { out = tmp .. "/h2.safetensors" }))
    local a, b = tensors(half), tensors(wide)
    for name, t in pairs(a) do
      assert.is_true(t:bytes() == b[name]:bytes(), name)
    end
    local brain = assert(import(fixtures .. "bfloat16.pth",
                                { out = tmp .. "/b.safetensors" }))
    local c, exact = tensors(brain), tensors(fixtures .. "lunette.safetensors")
    for name, t in pairs(c) do -- 8 bits of mantissa: half a step of 2^-8
      assert.is_true(distance(t, exact[name]) <= 2 ^ -8, name)
    end
  end)

  it("finds AlexNet, SqueezeNet and ResNet, with torch's logits", function()
    local folder = support.kept("networks", "tests/data/model_files.py",
      "python3-torch python3-torchvision", function(to)
        if not shell "/usr/bin/python3 -c 'import torchvision'" then return false end
        local ok, text = shell(("/usr/bin/python3 tests/data/model_files.py %s %s "
          .. "networks"):format(fixtures, quote(to)))
        assert(ok, text)
      end)
    if not folder then return pending "no python3-torchvision" end
    for _, name in ipairs { "alexnet", "squeezenet1_0", "squeezenet1_1", "resnet18" } do
      local out, report = import(("%s/%s.pth"):format(folder, name),
                                 { out = tmp .. "/n.safetensors", force = true })
      assert.is_truthy(out, report)
      assert.are.equal(name, report.model)
      local expected = tensors(("%s/%s_expected.safetensors"):format(folder, name))
      -- two float32 networks, sums in different orders
      local y = logits(out, expected.input)
      assert.is_true(distance(y, expected.logits) <= 1e-4, name)
    end
  end)

  it("finds a VGG without its dense layers", function()
    local out, report = import(fixtures .. "features.pth",
                               { out = tmp .. "/features.safetensors" })
    assert.is_truthy(out, report)
    assert.are.equal("vgg11", report.model)
    assert.is_false(report.options.top)
  end)

  it("writes large dense weights as (in,out), and says so", function()
    local net = lu.net(lu.models.vgg11 { width = 1 / 16, side = 64, fc = 1500 }):init(1)
    local plain, again = tmp .. "/plain.safetensors", tmp .. "/again.safetensors"
    assert(lu.save(net, plain))
    local one = assert(import(plain, { out = tmp .. "/turned.safetensors" }))
    assert(import(one, { out = again })) -- ours again
    local x = core.normal(1, 1, { 1, 3, 64, 64 })
    local want = net:run(x, { modifiers = { "linear" } }).output
    for _, path in ipairs { one, again } do
      local y, loaded = logits(path, x)
      assert.is_true(distance(y, want) < 1e-5)
      -- saved in its layout
      local saved = tmp .. "/saved.safetensors"
      assert(lu.save(loaded, saved))
      assert.equal("in_out", loaded:layer("fc2").weight_layout)
      for name, t in pairs(net.params) do
        if name == "fc2.weight" then t = t:permute { dims = { 2, 1 } } end
        assert.is_true(t:same(loaded.params[name]), name)
      end
      assert.is_true(logits(saved, x):same(y))
      -- a network of one's own has its own layout
      local own = lu.net(lu.models.vgg11 { width = 1 / 16, side = 64, fc = 1500 })
      assert(load.file(path, own))
      for name, t in pairs(net.params) do
        assert.is_true(t:same(own.params[name]), name)
      end
      assert.matches("read%-only", select(2, pcall(function()
        loaded.params["fc2.weight"]:fill_(0)
      end)))
    end
  end)

  it("reads what earlier versions wrote: a list of such weights", function()
    local net = lu.net(lu.models.tiny_vgg()):init(1)
    local function old(list, swapped)
      local path, entries = tmp .. "/old.safetensors", {}
      for name, w in pairs(net.params) do
        if name == swapped then w = w:permute { dims = { 2, 1 } } end
        entries[#entries + 1] = { name, w }
      end
      assert(core.write_weights(path, entries, "f32", { lunette_turned = list }))
      return path
    end
    local path = old('["output.weight"]', "output.weight")
    local out = assert(import(path, { out = tmp .. "/new.safetensors" }))
    local x = core.normal(1, 1, { 1, table.unpack(net.input) })
    local want = net:run(x).output
    local loaded = assert(load.file(path))
    assert.equal("in_out", loaded:layer("output").weight_layout)
    assert.is_nil(loaded.meta.lunette_turned)
    assert.is_true(loaded:run(x).output:distance(want) < 1e-6)
    assert.is_true(want:same(assert(load.file(out)):run(x).output)) -- (out,in) again
    -- one that says what is not so
    for _, list in ipairs { '["output.bias"]', '["gone"]', "5", "{}", "[[[[" } do
      path = old(list)
      local never, message = import(path, { out = tmp .. "/never.safetensors" })
      assert.is_nil(never)
      assert.matches("lunette_turned", message)
      assert.is_nil((load.file(path)))
    end
  end)

  it("stores half as many bytes with half, the same classes on top", function()
    local net = assert(lu.net(lu.models.vgg11 { width = 1 / 16, side = 32, fc = 40,
                                                classes = 10 })):init(1)
    local path = tmp .. "/0.safetensors"
    assert(lu.save(net, path))
    local full = assert(import(path, { out = tmp .. "/1.safetensors" }))
    local half = assert(import(path, { out = tmp .. "/2.safetensors", half = true }))
    assert.is_true(#read(half) < 0.52 * #read(full))
    local x = core.normal(1, 1, 1, 3, 32, 32)
    local a, b = logits(full, x), logits(half, x)
    assert.is_true(distance(a, b) <= 1e-2)
    assert.is_true(distance(a, b) > 0)
    local c, d = a[1]:argsort(), b[1]:argsort()
    for i = 1, 3 do assert.are.equal(c[i], d[i]) end
  end)

  it("writes what it knows into the metadata", function()
    local out = assert(import(fixtures .. "keras.h5",
                              { out = tmp .. "/m.safetensors", name = "mine" }))
    local _, meta = tensors(out)
    local ok, sums = shell("sha256sum " .. quote(fixtures .. "keras.h5"))
    assert.is_truthy(ok)
    assert.are.equal(sums:match("^%x+"), meta.source_sha256)
    ok, sums = shell("md5sum " .. quote(fixtures .. "keras.h5"))
    assert.is_truthy(ok)
    assert.are.equal(sums:match("^%x+"), meta.source_md5)
    assert.are.same({ "vgg11", "caffe", "keras.h5", "mine" },
      { meta.lunette_model, meta.preprocessing, meta.source, meta.weights_name })
    local graph = assert(graphs.decode(meta.lunette_graph))
    assert.are.same({ 3, 64, 64 }, graph.input)
    assert.are.equal("block1_conv1", graph.layers[1].name)
    -- our own file again keeps what it knew
    local again = assert(import(out, { out = tmp .. "/m2.safetensors", half = true }))
    _, meta = tensors(again)
    assert.are.equal("mine", meta.weights_name)
    assert.are.equal("caffe", meta.preprocessing)
    assert.are.same(graph, assert(graphs.decode(meta.lunette_graph)))
  end)

  it("takes the graph that a file of ours brings, whatever it is", function()
    local net = support.own()
    local path = tmp .. "/own.safetensors"
    assert(lu.save(net, path))
    local out = assert(import(path, { out = tmp .. "/own2.safetensors" }))
    local again = assert(lu.load(out))
    assert.are.same(net.graph.layers, again.graph.layers)
    local x = support.input(net, 1)
    assert.is_true(net:run(x).output:detach():same(again:run(x).output:detach()))
  end)

  it("begins its data, and every tensor it can, at 64 bytes", function()
    local out = assert(import(fixtures .. "zip.pth",
                              { out = tmp .. "/a.safetensors" }))
    local bytes = read(out)
    local n = ("<I8"):unpack(bytes)
    assert.are.equal(0, (8 + n) % 64)
    local head = require("lunette.base.json").decode(bytes:sub(9, 8 + n))
    for name, t in pairs(head) do
      local size = t.shape and t.data_offsets[2] - t.data_offsets[1]
      if size and size % 64 == 0 then
        assert.are.equal(0, t.data_offsets[1] % 64, name)
      end
    end
  end)

  it("says which weight set it is when the checksum is known", function()
    local ok, sums = shell("md5sum " .. quote(fixtures .. "keras.h5"))
    assert.is_truthy(ok)
    spit(tmp .. "/catalogue.json", ([=[[{"id":"toy","model":"vgg11","name":"A toy",
      "origin":"keras","file":"x.h5","url":"http://localhost/x.h5","md5":"%s",
      "preprocessing":"tf","licence":"none"}]]=]):format(sums:match("^%x+")))
    local code = ([[os.exit(require "lunette.commands.import" { "%s", "-o", "%s" })]])
      :format(fixtures .. "keras.h5", tmp .. "/k.safetensors")
    local _, text = shell(("LUNETTE_CATALOGUE=%s lua5.4 -e %s"):format(
      quote(tmp .. "/catalogue.json"), quote(code)), true)
    assert.is_truthy(text:find("weights        A toy", 1, true), text)
    assert.is_truthy(text:find("preprocessing  tf", 1, true), text)
  end)

  it("leaves nothing when it cannot write, and never replaces its input", function()
    local out, message = import(fixtures .. "zip.pth",
                                { out = tmp .. "/no/x.safetensors" })
    assert.is_nil(out)
    assert.is_truthy(message:find("No such file", 1, true), message)
    spit(tmp .. "/self.pth", read(fixtures .. "zip.pth"))
    out, message = import(tmp .. "/self.pth", { out = tmp .. "/./self.pth" })
    assert.is_nil(out)
    assert.is_truthy(message:find("replace the input", 1, true), message)
    -- under another name it is the same file, too
    shell(("ln %s/self.pth %s/hard.pth; ln -s self.pth %s/soft.pth"):format(
      quote(tmp), quote(tmp), quote(tmp)))
    for _, name in ipairs { "self.pth", "hard.pth", "soft.pth" } do
      for _, other in ipairs { "self.pth", "hard.pth", "soft.pth" } do
        out, message = import(tmp .. "/" .. name, { out = tmp .. "/" .. other })
        assert.is_nil(out, name .. " to " .. other)
        assert.is_truthy(message:find("replace the input", 1, true), message)
      end
    end
    assert.is_true(read(tmp .. "/self.pth") == read(fixtures .. "zip.pth"))
    -- what else is at the output is replaced by force alone, its own product always
    local old = tmp .. "/old.safetensors"
    spit(old, "old")
    out, message = import(tmp .. "/self.pth", { out = old })
    assert.is_nil(out)
    assert.matches("is there already, and was not made from.*%-%-force", message)
    assert.equal("old", read(old))
    assert(import(tmp .. "/self.pth", { out = old, force = true }))
    assert(import(tmp .. "/self.pth", { out = old, half = true }))
    assert.is_true(#read(old) > 1000)
    assert.is_nil((import(fixtures .. "keras.h5", { out = old })))
    for _, name in ipairs(files(tmp)) do assert.is_nil(name:match("%.part"), name) end
  end)

  it("raises on misuse and answers nil for a missing file", function()
    assert.has_error(function() import(7) end)
    assert.has_error(function() import("x", { hlaf = true }) end,
                     "import: no option 'hlaf'; did you mean 'half'?")
    local out, message = import(tmp .. "/nowhere.h5")
    assert.is_nil(out)
    assert.is_truthy(message:find("no such file", 1, true))
    out, message = import(tmp .. "/nowhere.h5", { preprocessing = "cafe" })
    assert.is_nil(out)
    assert.is_truthy(message:find("did you mean 'caffe'", 1, true), message)
  end)
end)


-- Words that the message about a bad file must hold.
local complaints = {
  ["system.pth"] = "posix.system", ["eval.pth"] = "eval", ["exec.pth"] = "exec",
  ["open.pth"] = "io.open", ["whole_model.pth"] = "a whole model (torch.nn",
  ["batch_norm.pth"] = "no architecture known here", ["flipped.pth"] = "CRC",
  ["bomb.pth"] = "more than 64 times", ["lzma.pth"] = "than deflate",
  ["packed_flipped.pth"] = "CRC-32", ["packed_cut.pth"] = "shorter than",
  ["packed_long.pth"] = "longer than", ["overlap.pth"] = "overlaps",
  ["big_endian.pth"] = "big-endian", ["big_endian_legacy.pth"] = "big-endian",
  ["holes.pth"] = "view with holes (stride 3 where 2 was expected)",
  ["strided.pth"] = "holes", ["bomb.h5"] = "would unpack 12582912 bytes",
  ["external_link.h5"] = "'block1_conv1' is a soft or external link",
  ["soft_link.h5"] = "'block1_conv1' is a soft or external link",
  ["soft_link_inside.h5"] = "'b' is a soft or external link",
  ["giant.h5"] = "axis 0 of 1073741824", ["fill.h5"] = "its data is missing",
  ["short_storage.pth"] = "bytes", ["infinity.safetensors"] = "not finite",
  ["external_data.h5"] = "another file",
  ["virtual.h5"] = "virtual", ["lzf.h5"] = "filter", ["ring.h5"] = "deeper",
  ["overlap.safetensors"] = "overlaps", ["hole.safetensors"] = "hole",
  ["twice.safetensors"] = "duplicate", ["nan.safetensors"] = "not finite",
  ["wrong_shape.safetensors"] = "shape (3,5,3,3), vgg11 wants (3,2,3,3)",
  ["missing.safetensors"] = "block3_conv1.bias",
  ["extra.safetensors"] = "aux.weight", ["lfs.bin"] = "Git LFS",
  ["html.bin"] = "web page", ["empty.bin"] = "empty",
}


it("a torch tensor's axes of one have any stride", function()
  local program = assert(import.program.path())
  local made = { unit_axes = "2,1,3,1", all_units = "1,1", turned = "3,1,2" }
  for name, shape in pairs(made) do
    local path = quote(("%s/%s.pth"):format(tmp, name))
    local _, text = shell(("%s list %s"):format(quote(program), path), true)
    assert.matches("\ntensor\tF32\t" .. shape .. "\tw\n", text)
  end
end)


it("of a pickled module the weights are listed, buffers that it does not keep are not",
  function()
    local program = assert(import.program.path())
    local _, text = shell(("%s list %s"):format(quote(program),
                          quote(tmp .. "/module.pth")), true)
    local names = {}
    for name in text:gmatch "\ntensor\tF32\t6\t([^\n]*)" do names[#names + 1] = name end
    assert.same({ "weight", "mean", "inner.scale" }, names)
    assert.is_nil(text:find("mask", 1, true))
  end)


it("bytes that lie beside torch's tensors are nothing", function()
  local _, text = shell(("%s list %s"):format(quote(assert(import.program.path())),
                                              quote(tmp .. "/bytes.pth")), true)
  assert.matches("\ntensor\tF32\t2,3\tw\n", text)
  assert.is_nil(text:find "abcd")
  local _, message = import(tmp .. "/bad/only_bytes.pth")
  assert.matches("it holds no dict of tensors$", message)
end)


describe("hostile and damaged files", function()
  local function refused(path)
    local out = tmp .. "/evil.safetensors"
    local ok, message = import(path, { out = out })
    assert.is_nil(ok, path)
    assert.are.equal("string", type(message))
    assert.is_false(exists(out), path .. " left an output")
    return message
  end


  it("end in a message that names the cause, and run nothing", function()
    for _, name in ipairs(files(tmp .. "/bad")) do
      local message = refused(tmp .. "/bad/" .. name)
      assert.is_truthy(message:find(complaints[name] or "", 1, true),
                       name .. ": " .. message)
      assert.is_nil(message:find("crashed", 1, true), name)
    end
    assert.is_false(exists(tmp .. "/owned"))
  end)

  -- of processor: a busy machine takes longer by the clock
  it("end within a second", function()
    local program = assert(import.program.path())
    for _, name in ipairs(files(tmp .. "/bad")) do
      local path = quote(tmp .. "/bad/" .. name)
      -- timeout answers 124, the shell 128 and more of a process that a signal ends
      -- (out of its seconds); the sanitizer is an order of magnitude slower
      local _, text = shell(("ulimit -t %d; timeout 60 %s list %s"):format(
        support.sanitized and 20 or 1, quote(program), path), true)
      assert.is_nil(text:find "code 1%d%d%s*$" or text:find("took too long", 1, true),
                    name .. ": " .. text)
    end
  end)

  -- libhdf5 walks over the objects of a heap by their sizes: one of 2^64 - 16 bytes is
  -- no step ahead, for ever (found by tests/fuzz)
  it("that have no end for libhdf5 are ended", function()
    local bytes = read("tests/data/import/keras.h5")
    local at = assert(bytes:find("GCOL", 1, true)) + 24
    spit(tmp .. "/heap.h5", bytes:sub(1, at - 1) .. "\xF0" .. ("\xFF"):rep(7)
                            .. bytes:sub(at + 8))
    local path, message = import(tmp .. "/heap.h5",
                                 { out = tmp .. "/heap.safetensors" })
    assert.is_nil(path)
    assert.matches("took too long and was ended", message)
    assert.is_false(exists(tmp .. "/heap.safetensors"))
  end)

  -- (tests/c/test_damage.c cuts and flips more)
  it("survive truncation at many places", function()
    local path = tmp .. "/cut.bin"
    for name in pairs(layouts) do
      local bytes = read(fixtures .. name)
      for _, at in ipairs { 0, 511, #bytes // 2, #bytes - 1 } do
        spit(path, bytes:sub(1, at))
        refused(path)
      end
    end
  end)

  it("say that a checksum is wrong: damage is no attack", function()
    local path = tmp .. "/flip.keras"
    local bytes = read(fixtures .. "archive.keras")
    spit(path, bytes:sub(1, 540) .. string.char(bytes:byte(541) ~ 16) .. bytes:sub(542))
    local message = refused(path)
    assert.matches("HDF5", message)
    assert.is_nil(message:find("system call", 1, true), message)
  end)

  it("survive flipped bits in their headers", function()
    local path = tmp .. "/flip.bin"
    for name in pairs(layouts) do
      local bytes = read(fixtures .. name)
      for _, at in ipairs { 40, 700 } do
        spit(path, bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 16)
             .. bytes:sub(at + 1))
        local out, message = import(path, { out = tmp .. "/f.safetensors" })
        -- a flip may hit padding or a weight: then the file is still a network
        assert.are.equal("string", type(out or message))
      end
    end
  end)
end)


describe("an import into what is no file", function()
  it("goes through a pipe and a device, which stay what they are", function()
    local lfs = require "lfs"
    local place, done = support.folder()
    local fifo, plain, got = place .. "/fifo", place .. "/plain.safetensors",
      place .. "/got.safetensors"
    assert.equal(0, (support.shell(("mkfifo '%s'"):format(fifo))))
    local function into(out)
      return ("'%s/lunette' import '%sauto_names.weights.h5' -o '%s'"):format(
        support.root(), fixtures, out)
    end
    assert.equal(0, (support.shell(into(plain))))
    local code, said = support.shell(
      ("timeout 60 cat '%s' >'%s' & timeout 60 %s; wait"):format(fifo, got, into(fifo)))
    assert.equal(0, code, said)
    assert.equal("named pipe", lfs.attributes(fifo, "mode"))
    assert.equal(read(plain), read(got))
    assert.equal(0, (support.shell(into "/dev/null")))
    assert.equal("char device", lfs.attributes("/dev/null", "mode"))
    code, said = support.shell(into "/dev/full")
    assert.equal(74, code, said)
    assert.matches("cannot write '/dev/full': No space left", said)
    done()
  end)
end)
