-- What is imported takes the user's word for classes, pictures and preprocessing, and
-- says what it assumes; a file that is not ours is recognised once, and again when it
-- has changed.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"
local foreign = dofile "tests/lua/foreign.lua"

local folder, done = t.cache_folder()
teardown(done)

local write, imported, refusal = foreign.files(folder)
local vgg, torch_names, same_answers = foreign.vgg, foreign.torch_names,
  foreign.same_answers
local out = folder .. "/out.st"


describe("pictures of a file's network", function()
  local function dense(input, units)
    local name = ("in%d.lua"):format(#input)
    return t.spit(folder .. "/" .. name, ([[return { input = { %s }, layers = {
      { "f", "flatten" }, { "a", "linear", units = %d } } }]]):format(
      table.concat(input, ", "), units))
  end

  it("of one channel are over 255, not by the means of colours", function()
    local path = write("grey", { { "a.weight", core.ones(2, 16) },
                                 { "a.bias", core.ones(2) } })
    local net, report = imported(path, { arch = dense({ 1, 4, 4 }, 2) })
    assert.matches("values / 255, as its pictures have 1 channel", report.assumed[1])
    local picture = core.zeros(3, 4, 4)
    picture[1] = core.full(255, 4, 4) -- red
    local x = net:images { picture }
    assert.near(0.299, x:stats().max, 1 / 255) -- its luminance (ITU-R 601)
    local shown = x.pictures[1]
    for i = 1, 3 do assert.equal(76, shown[i]:stats().max) end
  end)

  it("are none where it reads vectors", function()
    local path = write("table", { { "a.weight", core.ones(2, 13) },
                                  { "a.bias", core.ones(2) } })
    local lua = t.spit(folder .. "/mlp.lua", [[return { input = { 13 }, layers = {
      { "a", "linear", units = 2 } } }]])
    local net, report = imported(path, { arch = lua })
    assert.is_nil(report.preprocessing)
    assert.equal(0, #report.assumed)
    local x, message = net:images { core.zeros(3, 4, 4) }
    assert.is_nil(x)
    assert.equal("network reads vectors of 13 values, no pictures: give net:run a "
      .. "tensor (N, 13)", message)
    assert.same({ 14, 14 }, net:run(core.ones(1, 13)).output:detach():view(2):totable())
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
    assert.matches("the output is empty", refusal(path, { out = "" }))
  end)

  it("names a class with commas whole, or by a word", function()
    local names = t.spit(folder .. "/commas.txt", "hen, biddy\nkite\nloggerhead\n")
    local net = imported(path, { labels = names })
    for _, typed in ipairs { "hen, biddy", "hen", "biddy", "Hen", "0" } do
      local score = lu.score.categorical(typed)
      local run = net:run(core.ones(1, 3, 64, 64))
      assert.same({ 0 }, require("lunette.score.classes").of(score, run), typed)
    end
    local two = net:run(core.ones(2, 3, 64, 64))
    assert.same({ 0, 1 }, require("lunette.score.classes").of(
      lu.score.categorical "hen,kite", two))
  end)

  it("names the classes in every form that people have", function()
    for file, text in pairs {
      ["index.json"] = '{"0":"ash","2":"cedar","1":"birch"}',
      ["keras.json"] = '{"0":["n1","ash"],"1":["n2","birch"],"2":["n3","cedar"]}',
      ["indices.json"] = '{"birch":1,"ash":0,"cedar":2}',
      ["config.json"] = '{"model_type":"resnet","id2label":{"0":"ash","1":"birch",'
        .. '"2":"cedar"},"label2id":{"ash":0}}',
      ["mark.json"] = '\xEF\xBB\xBF["ash","birch","cedar"]',
      ["mark.txt"] = "\xEF\xBB\xBFash\nbirch\ncedar\n",
      ["title.csv"] = 'id,name\n0,ash\n2,"cedar"\n1,birch\n',
      ["title.tsv"] = "class\tname\n1\tash\n2\tbirch\n3\tcedar\n",
      ["map.yaml"] = "names:\n  0: ash\n  1: 'birch'\n  2: cedar\n",
      ["list.yaml"] = "names:\n- ash\n- birch\n- cedar\n",
      ["bare.yaml"] = "- ash\n- birch\n- cedar\n",
      ["synsets.txt"] = "n00000001 ash\nn00000002 birch\nn00000003 cedar\n",
      ["names.py"] = "{0: 'ash',\n 1: 'birch',\n 2: 'cedar'}",
    } do
      local names = imported(path, { labels = t.spit(folder .. "/" .. file, text) })
        .labels
      assert.same({ "ash", "birch", "cedar" }, names, file)
    end
    -- what only looks like a number, a title or a list is a name
    for _, list in ipairs { { "10 cent", "50 cent", "2 euro" }, { "a, b", "1 x", "y" },
                            { "names:", "ash", "birch" }, { "-", "- x", "y" } } do
      local file = t.spit(folder .. "/odd.txt", table.concat(list, "\n"))
      assert.same(list, imported(path, { labels = file }).labels)
    end
    for text, word in pairs { ['{"a":1'] = "bad.json: JSON, line 1",
        ['{"0":"a","1":"b","3":"c"}'] = "bad.json: 3 classes, but none has the",
        ["[1,2,3]"] = "bad.json: class 0 has no name that is text",
        ["a\n\nb"] = "bad.json: line 2 is empty" } do
      assert.matches(word, refusal(path, { labels = t.spit(folder .. "/bad.json",
                                                           text) }))
    end
  end)

  it("of preprocessing is judged by the loader, before anything is read", function()
    for text, word in pairs {
      ['{"std":[0,1,1]}'] = "std is 0", ['{"mean":[1,2]}'] = "one number or three",
      ['{"mean":["a",1,2]}'] = "no number", ['{"scale":0}'] = "scale",
      ['{"fit":"squeeze"}'] = "fit", ['{"filter":"sharp"}'] = "filter",
      ['{"crop_pct":7}'] = "crop_pct", ['{"men":[1]}'] = "men", ["{"] = "JSON",
      cafe = "did you mean 'caffe'", [""] = "preprocessing is empty",
      ['{"mean":1e39}'] = "more than float32 holds",
      ['{"std":[1,1e-320,1]}'] = "more than float32", ['{"scale":1e37}'] = "float32",
      ['{"size":0}'] = "size is a side", ['{"size":[4,5,6]}'] = "size is a side",
      ['{"size":[]}'] = "size is a side", ['{"size":2.5}'] = "size is a side",
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

  it("is refused where a part of a tensor's name is empty", function()
    for _, names in ipairs { { "conv2d/conv2d/kernel:0", "conv2d/" }, { "/", "a/b" },
                             { "/kernel", "a/b" }, { "a//kernel", "a/b" } } do
      local path = write("empty_part", { { names[1], core.ones(3, 3, 3, 4) },
                                         { names[2], core.ones(4) } })
      assert.matches("has a name of which a part is empty", refusal(path))
    end
  end)

  it("is imported again where its copy in the cache is damaged", function()
    local lfs, net = require "lfs", vgg { 7, 5 }
    local function behind(n) return "a.b." .. n end
    local path = write("damaged", torch_names(net, behind))
    local function copy_of(source)
      assert(lu.load(source))
      local pattern = "^" .. source:match "([^/]*)%.safetensors$" .. "%.safetensors%-"
      for name in lfs.dir(folder .. "/cache") do
        if name:find(pattern) then return folder .. "/cache/" .. name end
      end
    end
    local copy = copy_of(path)
    local another = write("another", torch_names(vgg { 6, 5 }, behind))
    local anothers = t.read(copy_of(another))
    local whole = t.read(copy)
    local other = t.spit(folder .. "/other", "of somebody")
    local damages = {
      function() t.spit(copy, "") end,
      function() t.spit(copy, "garbage") end,
      function() t.spit(copy, whole:sub(1, #whole // 2)) end,
      function() t.spit(copy, t.read(t.root() .. "/weights/glyphs.safetensors")) end,
      function() t.spit(copy, anothers) end, -- whole, but of another file
      function() os.remove(copy) lfs.link(other, copy, true) end,
      function() os.remove(copy) lfs.link(copy, copy, true) end,
    }
    local text, said = require "lunette.base.text", ""
    local complain = text.complain
    text.complain = function(message) said = said .. message .. "\n" end
    local function load_again()
      said = ""
      local ok, got = pcall(lu.load, path)
      if not ok or not got then text.complain = complain end
      same_answers(net, assert(got, said))
    end
    for i, damage in ipairs(damages) do
      damage()
      load_again()
      assert.matches("copy in the cache is damaged, and is made anew", said, 1, true)
      assert.equal(whole, t.read(copy), i)
      assert.equal("file", lfs.symlinkattributes(copy, "mode"))
    end
    assert.equal("of somebody", t.read(other)) -- not written through the link
    os.remove(copy)
    lfs.mkdir(copy)
    lfs.mkdir(copy .. "/kept")
    load_again()
    text.complain = complain
    assert.matches("for this time only", said)
    assert.equal("directory", lfs.attributes(copy .. "/kept", "mode"))
    lfs.rmdir(copy .. "/kept")
    lfs.rmdir(copy)
  end)

  it("of another program, or packed, or cut off, is said to be that", function()
    local pth = t.read "tests/data/import/zip.pth"
    local h5 = t.read "tests/data/import/keras.h5"
    for text, word in pairs {
      ["\xFD7zXZ\0rest"] = "xz data: unpack", ["BZh91AY"] = "bzip2 data: unpack",
      ["\x28\xB5\x2F\xFDrest"] = "zstd data", ["7z\xBC\xAF\x27\x1C"] = "7z archive",
      ["Rar!\x1A\7\1\0"] = "RAR archive", ["%PDF-1.4\n"] = "PDF", ["\x7FELF\2"] =
      "a program", ["\x93NUMPY\1\0v\0"] = "NumPy array", ["\28\0\0\0TFL3"] =
      "TensorFlow Lite", ["model_checkpoint_path: \"m\"\n"] = "TensorFlow checkpoint",
      ["\xEF\xBB\xBF \n\t <html>"] = "web page", [" \r\n{\"e\":1}"] = "JSON text",
      ['{"metadata":{},"weight_map":{}}'] = "a model in several files",
      ['{"format":"layers-model","modelTopology":{}}'] = "TensorFlow.js",
      ["MATLAB 5.0 MAT-file"] = "MATLAB", ["<"] = "web page",
      [" "] = "no model file: neither",
      [pth:sub(1, #pth // 2)] = "cut off", [h5:sub(1, 20)] = "cut off",
      [("<s8"):pack("{" .. (" "):rep(900)):sub(1, 60)] = "cut off",
    } do
      assert.matches(word, refusal(t.spit(folder .. "/other.bin", text)), 1, true)
    end
  end)

  it("that is none says the same everywhere", function()
    local pointer = t.spit(folder .. "/p.h5",
                           "version https://git-lfs.github.com/spec/v1\n")
    local page = t.spit(folder .. "/p.pth", "<!DOCTYPE html><html></html>")
    local nothing = t.spit(folder .. "/none.pth", "")
    require("lfs").mkdir(folder .. "/saved")
    t.spit(folder .. "/saved/saved_model.pb", "")
    for path, word in pairs { [pointer] = "Git LFS", [page] = "web page",
                              [nothing] = "the file is empty",
                              [folder .. "/saved"] = "SavedModel of TensorFlow",
                              [folder] = "a folder: name the model's file" } do
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
