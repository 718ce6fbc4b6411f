-- lunette explain, as people call it: good, odd and hopeless arguments.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done


setup(function()
  folder, done = t.folder()
  local net = assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(3)
  assert(lu.save(net, folder .. "/tiny.safetensors"))
  t.picture(folder .. "/one.png", 40, 30, 1)
  t.picture(folder .. "/two.png", 32, 32, 2)
  t.picture(folder .. "/dot.png", 1, 1, 3)
end)

teardown(function() done() end)


local function explain(arguments, code, ...)
  local got, text = t.program("explain --model tiny.safetensors " .. arguments, folder)
  assert(got == code, ("%s: exit code %s, not %d:\n%s"):format(arguments, tostring(got),
         code, text))
  assert.is_nil(text:find("stack traceback", 1, true), text)
  assert.is_nil(text:find("%.lua:%d+"), text)
  for _, pattern in ipairs { ... } do assert.matches(pattern, text) end
  return text
end


---The story beside a picture.
local function story(name)
  return (require("lunette.base.json").decode(t.read(folder .. "/" .. name)))
end


describe("lunette explain", function()
  it("prints the top five, layer and score, and writes the picture", function()
    local text = explain("one.png", 0, "^one.png\n", "%d+%.%d %%%s+%d  %l",
      "gradcam of tiny_vgg, layer relu_2_2, score categorical%(predicted%)",
      "wrote out/one_gradcam.png")
    local _, lines = text:gsub(" %% ", "")
    assert.equal(5, lines)
    assert.equal("\137PNG", t.read(folder .. "/out/one_gradcam.png"):sub(1, 4))
    assert.equal("table", type(story "out/one_gradcam.json"))
  end)

  it("takes every method, class, layer and modifier", function()
    explain("one.png --method saliency --modifier guided -o s.png", 0,
            "guided %(4 nodes%)", "wrote s.png")
    explain("one.png --method saliency --samples 2 -o n.png", 0)
    explain("one.png --method activation -l conv_1_1 -o a.png", 0,
            "activation of tiny_vgg, layer relu_1_1\n")
    explain("one.png -c pizza -l conv_1_2 -o c.png", 0, "categorical%(pizza%)",
            "relu_1_2")
    explain("one.png --method saliency --modifier rectified:leak=0.1 --modifier guided "
            .. "-o m.png", 0)
    explain("one.png --modifier guided -o m.png", 64, "changed no node")
    explain("one.png --method rise --count 5 -o r.png", 64,
            "rise's option 'count' is %-%-masks%-count here")
    explain("one.png --dialect captum -o d.png", 0)
    explain("one.png --method integrated_gradients --steps 3 --baseline zero,blur "
            .. "-o i.png", 0,
            "completeness: [%d.e-]+ is the most that a map's sum is off")
    explain("one.png --dialect pytorch-grad-cam -o p.png", 0)
    explain("one.png --raw -o r.png", 0)
    explain("one.png --raw --method saliency -o rs.png", 0)
    explain("one.png two.png -c 1,koala -o two.png.png --scale 2", 0)
    explain("one.png two.png", 0, "wrote out/one%+1_gradcam.png")
    explain("one.png --threads 1 --colormap viridis -o v.png", 0)
    explain("dot.png -o dot_out.png", 0)
  end)

  it("draws numbers a channel as cells, and says which count most", function()
    explain("one.png two.png --method layer_ablation --top 2 -o l.png", 0,
            "wrote l.png")
    local record = story "l.json"
    local net = lu.load(folder .. "/tiny.safetensors")
    local images = net:images { folder .. "/one.png", folder .. "/two.png" }
    local falls = lu.layer_ablation(net, images, { top = 2, modifiers = { "linear" } })
    for k = 1, 2 do -- ten channels: three rows of four, the last two cells empty
      local row = record.rows[k + 1]
      local cells = assert(lu.npy.read(folder .. "/" .. row.npy[1]))
      assert.same({ 2, 3, 4 }, cells:shape())
      for i = 1, 2 do
        local want = falls[2 * (k - 1) + i]
        local got = cells[i]:view(12)
        assert.is_true(got:rows(1, 10):distance(want) < 1e-6)
        assert.same({ 0, 0 }, got:rows(11, 12):totable())
        assert.matches("\nchannels " .. math.floor(want:argmax()) .. " %(",
                       row.captions[i])
      end
    end
  end)

  it("checks no numbers a channel: they are no map of the picture", function()
    explain("one.png --method layer_ablation --trust -o nt.png", 64,
            "layer_ablation gives a number for each channel of a layer")
    assert.is_false(t.exists(folder .. "/nt.png"))
  end)

  it("has the options of the method that is asked about", function()
    local text = explain("--help", 0, "Options of gradcam:", "%-l <layer>, ",
                         "%-%-no%-relu", "%-%-method NAME %-%-help")
    assert.is_nil(text:find("--samples", 1, true))
    for line in text:gmatch "[^\n]+" do assert.is_true(#line <= 88, line) end
    for name in pairs(require "lunette.methods") do
      assert.is_truthy(text:find(name, 1, true), name)
    end
    text = explain("--method=rise --help", 0, "Options of rise:", "%-%-cells <cells>",
                   "rise has one only")
    assert.is_nil(text:find("--no-relu", 1, true))
    explain("--method saliency --help", 0, "tf%-keras%-vis and captum")
    explain("one.png --method gradcm", 64, "'gradcm' not found; did you mean 'gradcam'")
    explain("one.png --method", 64, "'%-%-method' requires an argument")
    explain("one.png --sampels 3", 64, "unknown option '%-%-sampels'")
    explain("one.png --method rise -l conv_1_1", 64, "%-%-layer is for .*gradcam")
  end)

  it("refuses what it cannot do, in one line", function()
    explain("none.png", 66, "cannot open picture 'none.png': No such file")
    explain("tiny.safetensors", 66, "tiny.safetensors")
    assert(require("lfs").mkdir(folder .. "/empty"))
    explain("empty", 66, "there are no pictures: empty")
    explain("one.png -c pizzza", 64, "class 'pizzza' not found; did you mean 'pizza'")
    explain("one.png -c 10", 64, "class 10 is outside 0 .. 9 of tiny_vgg")
    explain("one.png -c 1,2,3", 64, "3 classes for 1 images")
    explain("one.png -l conv_3_1", 64, "layer 'conv_3_1' not found in tiny_vgg; did")
    explain("one.png -l output", 64, "no height and width; choose a convolution")
    explain("one.png -l flatten", 64, "no height and width")
    explain("one.png --modifier guide", 64, "'guide' not found; did you mean 'guided'")
    explain("one.png --modifier rectified:leak=x", 64,
            "'rectified' is written rectified%[:leak=NUMBER%]")
    explain("one.png --dialect captn", 64, "did you mean 'captum'")
    explain("one.png --dialect pytorch-grad-cam --method saliency", 64,
            "'pytorch%-grad%-cam' is none of tf%-keras%-vis, captum")
    explain("one.png --dialect captum --method activation", 64, "%-%-dialect is for")
    explain("one.png --raw --method activation", 64, "%-%-raw is for")
    explain("one.png --method saliency -l conv_1_1", 64, "%-%-layer is for")
    explain("one.png --samples 3", 64, "%-%-samples is for .*saliency")
    explain("one.png --method activation -c 1", 64, "activation has no score")
    explain("one.png --method saliency --samples=-3", 64, "whole number from 0")
    explain("one.png --threads 99", 64, "1 to 64")
    explain("one.png --colormap jett", 64, "jett")
    explain("one.png -o x.gif", 64, "written as .png, .jpg, .jpeg or .bmp")
    explain("one.png -o one.png/", 74, "cannot make folder 'one.png'")
    explain("one.png -o tiny.safetensors", 64,
            "tiny.safetensors': pictures are written as")
    explain("one.png -o /proc/none/x.png", 74, "/proc/none")
  end)

  it("writes one picture for each photograph, class and rule", function()
    t.picture(folder .. "/other.png", 24, 24, 5)
    require("lfs").mkdir(folder .. "/x")
    require("lfs").mkdir(folder .. "/y")
    t.spit(folder .. "/x/same.png", t.read(folder .. "/other.png"))
    t.spit(folder .. "/y/same.png", t.read(folder .. "/one.png"))
    local function wrote(arguments)
      local code, text = t.program("explain --model glyphs -o many/ " .. arguments,
                                   folder)
      assert.equal(0, code, text)
      return text:match "wrote (%S+)"
    end
    local seen, runs = {}, { "x/same.png", "y/same.png", "x/same.png --class 1",
      "x/same.png --class 2", "x/same.png --modifier guided",
      "x/same.png --layer block2_conv1" }
    for i, arguments in ipairs(runs) do
      local path = wrote(arguments)
      assert.is_nil(seen[path], path)
      seen[path], runs[i] = i, { arguments, path }
    end
    for _, run in ipairs { runs[1], runs[2], runs[6] } do
      assert.equal(run[2], wrote(run[1])) -- the same again replaces its own
    end
  end)

  it("never replaces the picture that it explains", function()
    local lfs = require "lfs"
    lfs.mkdir(folder .. "/own")
    local bytes = t.read(folder .. "/one.png")
    t.spit(folder .. "/own/a.png", bytes)
    assert(lfs.link("a.png", folder .. "/own/link.png", true))
    assert(lfs.link(folder .. "/own/a.png", folder .. "/own/hard.png"))
    for _, out in ipairs { "own/a.png", "./own/../own/a.png", "own/link.png",
                           "own/hard.png" } do
      local code, text = t.program("explain own/a.png --model tiny.safetensors -o "
        .. out, folder)
      assert.equal(64, code)
      assert.matches("would be replaced, and is to be explained", text)
      assert.equal(bytes, t.read(folder .. "/own/a.png"))
    end
  end)

  it("refuses models that are none", function()
    local function with(model, ...)
      local code, text = t.program(("explain one.png --model '%s'"):format(model),
                                   folder)
      assert.equal(66, code)
      for _, pattern in ipairs { ... } do assert.matches(pattern, text) end
    end
    with("none.safetensors", "none.safetensors: No such file")
    with("one.png", "no model file .*: it is a PNG picture")
    with("tiny_vg", "did you mean 'tiny_vgg'")
    with("alexnet", "no weights of alexnet on this machine")
  end)

  it("reads pictures of every kind, and refuses the rest", function()
    local pictures = folder .. "/bad"
    assert(require("lfs").mkdir(pictures))
    t.spit(pictures .. "/empty.png", "")
    t.spit(pictures .. "/text.png", "this is no picture\n")
    t.spit(pictures .. "/cut.png", t.read(folder .. "/one.png"):sub(1, 100))
    local png = t.read(folder .. "/one.png")
    t.spit(pictures .. "/huge.png", png:sub(1, 16) .. string.pack(">I4I4", 20000, 20000)
           .. png:sub(25))
    for _, name in ipairs { "empty", "text", "cut", "huge" } do
      explain(("bad/%s.png"):format(name), 66, "bad/" .. name .. ".png")
    end
  end)
end)
