-- Files in the shape of what people reported (../shared/cases): each gives the right
-- answer, or a message that says what it is. Made by the scripts there, with Debian's
-- python3-torch and python3-h5py.
local import = require "lunette.weights.import"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local cases = t.shared .. "/cases/files"
local python = "/usr/bin/python3"


---Whether python3 has that module.
local function has(module)
  return t.other(("%s -c 'import %s'"):format(python, module)) == 0
end


---All files, by the scripts; answers of torch as NAME.npy, of two pictures `x64`.
local function made(folder)
  local function make(script, arguments)
    local code, text = t.other(("%s '%s/%s.py' %s"):format(python, cases, script,
      arguments))
    assert(code == 0, text)
  end
  if not t.exists(cases .. "/make_models.py") or not has "torch, h5py" then
    return false
  end
  local place = ("'%s'"):format(folder)
  make("make_models", place)
  for _, script in ipairs { "make_cifar_cnn", "make_keras3" } do make(script, place) end
  for _, script in ipairs { "named_head", "odd_containers", "partial" } do
    make("make_" .. script, place .. " " .. place)
  end
  make("make_bn", place)
  if has "torchvision" then
    make("make_feat_module", ("%s %s '%s'"):format(place, place, t.shared))
    make("make_resnet", place)
  end
  t.other(("%s -c 'import numpy, sys; z = numpy.load(sys.argv[1] + \"/EXPECT.npz\"); "
    .. "[numpy.save(sys.argv[1] + \"/\" + k + \".npy\", z[k]) for k in z]' %s")
    :format(python, place))
end


local folder, out, done


local function want(name)
  return assert(lu.npy.read(("%s/%s.npy"):format(folder, name)))
end


---{ file, answer, "logits" or nothing, options }: what each file must say of x64.
local right = {
  ["plain.pth"] = "plain", ["dataparallel.pth"] = "plain", ["torch2.pth"] = "plain",
  ["pickled.safetensors"] = "plain", ["subclass.pth"] = "plain",
  ["parameters.pth"] = "plain", ["channels_last.pth"] = "plain", ["f64.pth"] = "plain",
  ["one_storage.pth"] = "plain", ["legacy.pth"] = "plain",
  ["rezipped_deflate.pth"] = "plain",
  ["imagenet_vgg16.pth.tar"] = "plain",
  ["imagenet_example.pth.tar"] = "trained", ["torchvision_reference.pth"] = "trained",
  ["numpy_scalar.pth"] = "trained", ["numpy_array.pth"] = "trained",
  ["posixpath.pth"] = "trained", ["defaultdict.pth"] = "trained",
  ["with_ema.pth"] = "trained", ["lightning.ckpt"] = "trained",
  ["backbone_prefix.pth"] = "trained", ["kuangliu_net.pth"] = "trained",
  ["weights_key.pth"] = "trained", ["tutorial_checkpoint.tar"] = "trained",
  ["tv_pt.safetensors"] = "trained", ["tv_extra.safetensors"] = "trained",
  ["one_output.pth"] = "one", ["k_regression.h5"] = "one",
  ["k_softmax.h5"] = "soft", ["k_nested.h5"] = "soft", ["gzip.h5"] = "soft",
  ["gzip_shuffle.h5"] = "soft", ["fletcher.h5"] = "soft", ["f64.h5"] = "soft",
  ["big_endian.h5"] = "soft", ["hidden_then_answer.h5"] = "soft",
  ["k_sigmoid_multilabel.h5"] = "sig4", ["k_sigmoid_one.h5"] = "sig1",
  ["k_gap.h5"] = "gap",
}


---What is read though torch's answer is not in the table: its input and last layer.
local read = {
  ["vgg_bn.pth"] = "softmax", ["head2.pth"] = "softmax",
  ["head_nested.pth"] = "softmax",
  ["k_head1.h5"] = "softmax", ["k_head2.h5"] = "softmax", ["k_notop.h5"] = "max_pool2d",
  ["k_nested_head2.h5"] = "softmax", ["all_square.h5"] = "softmax",
  ["same_width.h5"] = "softmax", ["plain.keras"] = "softmax",
  ["nested.keras"] = "softmax", ["sigmoid.keras"] = "sigmoid",
  ["head1.keras"] = "softmax", ["k3.weights.h5"] = "softmax",
}


local refused = {
  ["torchscript.pt"] = "TorchScript", ["pruned.pth"] = "is pruned",
  ["k_theano.h5"] = "Theano", ["normalization.keras"] = "Normalization",
  ["lfs_pointer.h5"] = "Git LFS", ["lfs_pointer.safetensors"] = "Git LFS",
  ["page.pth"] = "a web page", ["cut.h5"] = "truncated", ["cut.pth"] = "cut off",
  ["cut.safetensors"] = "truncated", ["empty.pth"] = "the file is empty",
  ["sparse.pth"] = "is sparse",
  ["nan.pth"] = "not finite", ["lzf.h5"] = "lzf",
  ["nonsquare.h5"] = "64x96, or 96x64", ["fc_model.h5"] = "no architecture known",
  ["first_blocks.h5"] = "no architecture known",
}


local function imported(name)
  return import(folder .. "/" .. name, { out = out .. "/" .. name .. ".out" })
end


local function distance(net, x, y)
  local run = net:run(x)
  local d = run.output:detach():distance(y)
  if d < 1e-5 or run.output_layer.kind ~= "softmax" then return d end
  return net:run(x, { modifiers = { "linear" } }).output:detach():distance(y)
end


describe("a case of the reports", function()
  folder = t.kept("cases", ("'%s'/*.py"):format(cases),
                  "python3-torch python3-torchvision python3-h5py", made)
  if not folder then return pending "no reference material, or no torch and h5py" end
  out, done = t.folder()
  teardown(done)

  for name, answer in pairs(right) do
    it("gives torch's answer: " .. name, function()
      if not t.exists(folder .. "/" .. name) then return pending "torchvision" end
      local path, report = imported(name)
      assert.is_truthy(path, tostring(report))
      assert.is_true(distance(assert(lu.load(path)), want "x64", want(answer)) < 1e-5)
    end)
  end

  for name, last in pairs(read) do
    it("is read: " .. name, function()
      local path, report = imported(name)
      assert.is_truthy(path, tostring(report))
      local list = assert(lu.load(path)):layers()
      assert.equal(last, list[#list].kind)
      assert.is_true(#report.assumed > 0)
    end)
  end

  for name, words in pairs(refused) do
    it("is refused by what it is: " .. name, function()
      local path, message = imported(name)
      assert.is_nil(path)
      assert.is_truthy(message:find(words, 1, true), message)
      assert.is_nil(message:find "%c")
    end)
  end

  it("follows its own config: cifar_cnn.h5", function()
    local net = assert(lu.load((assert(imported "cifar_cnn.h5"))))
    assert.is_true(distance(net, want "cifar_x", want "cifar_p") < 1e-5)
  end)

  it("is what --arch net.lua describes: bn.pth", function()
    local own = t.spit(out .. "/net.lua", [[
      local function block(i, filters)
        local f = "features."
        return { f .. i, "conv2d", filters = filters, kernel = 3, padding = 1 },
               { f .. i + 1, "batch_norm" }, { f .. i + 2, "relu" },
               { f .. i + 3, "max_pool2d", kernel = 2, stride = 2 }
      end
      local layers = { block(0, 4) }
      table.move({ block(4, 8) }, 1, 4, 5, layers)
      for _, layer in ipairs { { "gap", "global_avg_pool" }, { "flat", "flatten" },
        { "classifier.0", "linear", units = 6 }, { "classifier.1", "relu" },
        { "classifier.3", "linear", units = 2 }, { "last", "log_softmax" } } do
        layers[#layers + 1] = layer
      end
      return { name = "own", input = { 3, 20, 20 }, layers = layers }]])
    local net = assert(lu.load(assert(import(folder .. "/bn.pth",
      { arch = own, out = out .. "/bn.out" }))))
    local run = net:run(want "bn_x")
    assert.is_true(run.output:detach():distance(want "bn_y") < 1e-5)
    assert.is_true(run:gradient({ score = 1 }):distance(want "bn_grad") < 1e-4)
  end)

  it("is prepared as torchvision evaluates, and as Keras does", function()
    if not t.exists(folder .. "/r_logits.npy") then return pending "torchvision" end
    local net = assert(lu.load((assert(imported "resnet18_ft.pth"))))
    assert.is_true(distance(net, want "r_x", want "r_logits") < 1e-5)
    local hen = { t.shared .. "/images/n01514859_hen.JPEG" }
    local x, linear = assert(net:images(hen)), { modifiers = { "linear" } }
    assert.is_true(x:distance(want "hen_torchvision") < 1e-6)
    local y = net:run(want "hen_torchvision", linear).output:detach()
    assert.is_true(net:run(x, linear).output:detach():distance(y) < 1e-5)
    net.preprocessing = "caffe"
    assert.is_true(assert(net:images(hen)):same(want "hen_keras"))
  end)
end)
