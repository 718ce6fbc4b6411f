-- State dicts in the way people write networks in PyTorch (tests/torch/heads.py):
-- ResNets for small pictures, widths, heads with batch norm; beside what torch answers
-- in float64. What may be read in two ways is an error that lists both.
local lu = require "lunette"
local import = require "lunette.weights.import"
local t = dofile "tests/lua/support.lua"

local python = "/usr/bin/python3"

---Sides of pictures, where the names do not say them.
local function side_of(name) return not name:find "^cifar" and 64 or nil end

---What is refused, and why.
local refused = {
  cifar18_torchvision = "first convolution is 3x3.*%-%-arch resnet18_cifar.*net%.lua",
  vgg_either = "batch norm 'classifier.2' may stand behind the relu of "
    .. "'classifier.0' or before it",
  vgg_named = "batch norm %('classifier.bn1'%), whose place before or behind a relu",
  vgg_first_room = "batch norm 'classifier.0' may have a relu between it and "
    .. "'classifier.2', or none",
  resnet18_either = "batch norm 'fc.2' may stand behind the relu of 'fc.0'",
  resnet18_named = "fc.bn1",
  resnet18_first_room = "batch norm 'fc.0' may have a relu",
}

---What is said of the others.
local said = {
  cifar_paper20 = "resnet20_cifar as its paper has it",
  cifar_paper44_b = "resnet44_cifar_b as its paper has it",
  cifar100_18 = "resnet18_cifar as pytorch%-cifar has it, 0.125 times as wide",
  cifar18 = "resnet18_cifar as pytorch%-cifar has it",
  cifar34_module = "resnet34_cifar as pytorch%-cifar has it, 0.0625 times as wide",
  ["mobilenet_v2_0.5"] = "mobilenet_v2 as torchvision has it, 0.5 times as wide",
  vgg_norm_relu = "between its dense layers: batch norm, relu; batch norm, relu",
  resnet18_norm_relu = "between its dense layers: batch norm, relu; batch norm, relu",
  vgg_relu_norm = "between its dense layers: relu, batch norm",
  vgg_no_relu = "between its dense layers: batch norm, no relu",
  resnet18_some = "between its dense layers: batch norm, relu; relu",
}


describe("a state dict in PyTorch's ways", function()
  local folder = t.kept("heads", "tests/torch/heads.py", "python3-torchvision",
    function(to)
      if t.other(python .. " -c 'import torchvision'") ~= 0 then return false end
      local code, list = t.other(("%s tests/torch/heads.py '%s'"):format(python, to))
      assert(code == 0, list)
      t.spit(to .. "/list", list)
    end)
  if not folder then return pending "python3 with torchvision" end
  local list, outs, done = t.read(folder .. "/list"), t.folder()
  teardown(done)

  local function imported(name, opts)
    opts.out = ("%s/%s.safetensors"):format(outs, name)
    opts.force = true
    return import(("%s/%s.pth"):format(folder, name), opts)
  end

  local function same_answers(name, path)
    local net = assert(lu.load(path))
    local base = folder .. "/" .. name
    local d = net:run(t.beside(base, "x")).output:detach():distance(t.beside(base, "y"))
    assert.is_true(d < 1e-5, d)
  end

  for name in list:gmatch "(%S+)\n" do
    local why = refused[name]
    it(name .. (why and " is refused" or " gives torch's answer"), function()
      local path, report = imported(name, { side = side_of(name) })
      if why then
        assert.is_nil(path)
        assert.matches(why, report)
      else
        assert(path, tostring(report))
        same_answers(name, path)
        if said[name] then
          assert.matches(said[name], table.concat(report.assumed, "; "))
        end
      end
    end)
  end

  it("that may be two networks is the one that --arch names", function()
    local name = "cifar18_torchvision"
    local path, report = imported(name, { arch = "resnet18_cifar" })
    assert(path, tostring(report))
    same_answers(name, path)
  end)

  it("of pytorch-cifar is prepared as there", function()
    local path, report = imported("cifar18", {})
    assert(path, tostring(report))
    assert.matches("0.4914", report.preprocessing)
  end)
end)
