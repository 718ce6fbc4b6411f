-- What people get wrong, by what they get wrong: names, types, forgotten arguments,
-- counting from 0 or 1, shapes, files, options, colons and dots, what became nil, rules
-- and methods of one's own. The message names the script's own line, whatever in the
-- library found the fault, and what to do.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done = t.folder()
teardown(done)


---A rule on relu, for a call of a method that uses it.
local function ruled(body)
  return ("lu.saliency(run, { modifiers = { lu.modifier { name = 'mine', on = 'relu', "
    .. "backward = function(node, dy) %s end } } })"):format(body)
end


---A method of one's own, called.
local function own(body)
  return ("lu.method { name = 'mine', draws = 'map', explain = function(run) %s end }"
    .. "(run)"):format(body)
end


---A metric of one's own, called.
local function measured(body)
  return ("lu.metric { name = 'mine', value = function(m) %s end }(map)"):format(body)
end


local kinds = {
  ["a type"] = {
    { "lu.load(5)", "what should be string: an installed model .* got 5" },
    { "lu.load(net)", "got a network" },
    { "lu.load('glyphs', 'x')", "opts should be a table of options.*got 'x'" },
    { "lu.load('glyphs', { side = 'big' })", "'side' should be integer|integer" },
    { "lu.save('x.safetensors', net)", "net should be Net, got 'x.safetensors'" },
    { "lu.save(run, 'x.safetensors')", "net should be Net, got a run" },
    { "lu.save(map, 'x.safetensors')", "got a tensor %(2,224,224%)" },
    { "lu.image.load { 'a.png' }", "path should be string, got a table" },
    { "lu.image.save(map, 'x.png')", "path should be string" },
    { "net:images(5)", "what should be string|table|Tensor: paths, pictures" },
    { "net:images(lu.glyphs.default_images(1))",
      "no option '%a+'; of a table that holds more, .*net:images%(t.images%)" },
    { "net:images { 5 }", "picture 1 of the list is a number; a path or a picture" },
    { "net:run(5)", "x should be .* as net:images makes one" },
    { "net:run { x }", "got a table; net:images makes one" },
    { "net:run(x, 5)", "opts should be a table of options" },
    { "net:run(x, { modifiers = { 5 } })",
      "expected a name or a modifier, got 5" },
    { "net:run(x, { modifiers = { lu.saliency } })", "got a method" },
    { "run:gradient 'disc'", "opts should be a table of options, got 'disc'" },
    { "run:top '5'", "k should be integer.* got '5'" },
    { "net:label 'disc'", "id should be integer" },
    { "lu.saliency(x)", "a network and its input, or a run, got a tensor" },
    { "lu.saliency(run, x)", "options are a table, got a tensor" },
    { "lu.gradcam(run, 'disc')",
      "options are a table, got 'disc'; write { name = value } %(options: .*layer" },
    { "lu.gradcam(run, 3)", "got 3; write { score = 3 } %(options: " },
    { "lu.occlusion(run, 'sum')", "got 'sum'; write { name = value }" },
    { "lu.rise(run, true)", "got true; write { name = value }" },
    { "lu.canvas():row('a', map, 'jet')",
      "write { name = value } %(options: .*colormap" },
    { "lu.gradcam(run, { layer = net:layer 'conv1' })", "a layer's name, got a layer" },
    { "lu.gradcam(run, { raw = 'true' })", "true or false, got 'true'" },
    { "lu.integrated_gradients(run, { steps = '50' })", "is a number, got '50'" },
    { "lu.integrated_gradients(run, { baseline = true })",
      "a name, a number, a tensor" },
    { "lu.metrics.deletion(run, map)",
      "map should be Tensor: .* got a run; .*the order is %(map, other, opts%)" },
    { "lu.metrics.deletion(map, net)", "a run of 2 images, got a network" },
    { "lu.metrics.deletion(map, run, 5)", "opts should be table" },
    { "lu.canvas(3)", "opts should be a table of options" },
    { "lu.canvas { columns = '3' }", "'columns' should be integer, got '3'" },
    { "lu.canvas { titles = 'a' }", "'titles' should be string" },
    { "lu.canvas():row('a', run)", "got a run; run.images are its pictures" },
    { "lu.canvas():row('a', net)", "pictures or maps expected, got a network" },
    { "lu.canvas():row('a', map, { overlay = 0.5 })", "pictures are tensors" },
    { "lu.report { maps = map, linked = 'yes' }", "'linked' should be boolean" },
    { "lu.report { maps = map, layers = true }", "'layers' should be integer" },
    { "lu.show(net)", "cannot draw a network; tensors, pictures, maps" },
    { "lu.show(map, 5)", "file should be string" },
    { "lu.npy.write('x.npy', 5)", "t should be Tensor, got 5" },
    { "lu.attack.fgsm(run)", "net should be Net, got a run" },
    { "lu.attack.fgsm(net, x, { eps = 'a' })", "'eps' is a number, got 'a'" },
    { "lu.attack.laid(net, x, 5)", "v should be Tensor, got 5" },
    { "lu.attack.explanation(net, x[{ { 1, 1 } }], 'gradcam')",
      "explain should be fun" },
    { "lu.stack { x, 5 }", "part 2 of the list is 5, a tensor is wanted" },
    { "lu.concat(x, x)", "list should be Tensor%[%], got a tensor" },
    { "lu.einsum(lu.ones(2), 'i')", 'written like "ij,jk' },
    { "x + 'a'", "x %+ y: y should be a tensor or a number, got 'a'" },
    { "x:mul 'a'", "mul: argument 1 should be a tensor or a number, got 'a'" },
    { "lu.tensor { 1 }.mul(x, 'a')", "mul: argument 2 should be a tensor or a number" },
    { "x:where(x, 'a')", "where: argument 2 should be a tensor or a number" },
    { "x:get(1, 'a', 1, 1)", "get: argument 2 should be a whole number" },
    { "x:mul_ 'a'", "argument 1 should be a number, got 'a'" },
    { "lu.tensor(5)",
      "argument 1 should be a list of numbers, lu.tensor { 1, 2, 3 }, got 5" },
    { "lu.tensor { 'a' }", "a tensor holds numbers, got string" },
    { "lu.cli { 5 }", "the first entry is the usage" },
    { "map:trust(net)", "run should be Run: .* got a network" },
    { "lu.train.sgd(net)", "params should be table<string, Tensor>, got a network" },
    { "lu.train.step(net, lu.train.sgd(net.params), x, { 99, 0 })", "outside 0 .. 9" },
    { "lu.colormap.apply(x)", "a map %(H,W%) expected" },
  },
  ["a forgotten argument"] = {
    { "lu.load()", "what should be string: an installed model" },
    { "lu.save(net)", "path should be string, got nil" },
    { "lu.image.save 'x.png'", "picture should be Tensor: %(3,H,W%) or grey" },
    { "lu.gradcam()", "a network and its input, or a run, got nil" },
    { "lu.gradcam(net)", "wants a tensor .* got nil; net:images makes one" },
    { "lu.canvas():row 'a'", "pictures or maps expected, got nil" },
    { "lu.canvas():save()", "path should be string: .png, .jpg" },
    { "lu.metrics.pearson(map)", "maps of the same shape expected" },
    { "lu.metrics.deletion(map)", "a run of 2 images, got nil" },
    { "lu.score.unit 'conv1'", "k should be integer, got nil" },
    { "lu.features.invert(net, x)", "layer should be string, got nil" },
    { "lu.bake(net, 'x.onnx')", "no method is named" },
    { "lu.lime(run, { segments = lu.ones(3) })", "" },
    { "x:permute(1, 2, 3)", "permute: 'dims' has 3 numbers for 4 dimensions" },
    { "x:permute()", "'dims' is missing: permute { dims = ... }" },
    { "x:clamp()", "'min' and 'max' are missing: clamp%(0, 1%), or one" },
    { "x:clamp {}", "'min' and 'max' are missing" },
    { "x:pow()", "pow: argument 1 should be a tensor or a number, got nil" },
    { "lu.normal()", "the shape comes first" },
    { "lu.range(5)", "range: argument 2 should be a number, got nil" },
    { "lu.metrics.energy(map)", "map is %(2,224,224%), mask is nil" },
  },
  ["a name"] = {
    { "net:run(x, { keep = 'blok1' })", "keep: layer 'blok1' not found" },
    { "net:run(x, { modifers = {} })", "did you mean 'modifiers'" },
    { "run:gradient { scor = 3 }", "did you mean 'score'" },
    { "run:gradient { score = 'dsic' }", "class 'dsic' not found.* 'disc'" },
    { "lu.gradcam(run, { class = 3 })", "did you mean 'classes'" },
    { "lu.gradcam(run, { layer = 'input' })", "layer 'input' not found in glyphs" },
    { "lu.gradcam(run, { score = lu.score.unit('conv99', 1) })", "'conv99' not found" },
    { "net:run(x, { modifiers = { lu.extract 'conv99' } })", "did you mean 'conv1'" },
    { "lu.integrated_gradients(run, { baseline = 'blak' })", "did you mean 'black'" },
    { "lu.lrp(run, { rule = 'epsilon' })", "did you mean 'composite'%? %(options:" },
    { "lu.smoothgrad(run, { n = 3 })", "unknown option 'n'; did you mean 'samples'" },
    { "lu.canvas():row('a', map, { colormap = 'jett' })", "did you mean 'jet'" },
    { "lu.cost('gradcamm', net, x)", "did you mean 'gradcam'" },
    { "lu.bake(net, 'x.onnx', 'gradcamm')", "did you mean 'gradcam'" },
    { "lu.train.adam(net.params, { lr = 1 })", "did you mean 'rate'" },
    { "lu.normal({ 2 }, { sed = 5 })", "did you mean 'seed'" },
    { "lu.saliency(run, { modifiers = { lu.modifiers.guidded } })",
      "lu.modifiers has no 'guidded'; did you mean 'guided'" },
    { "lu.modifiers.gamma { gama = 5 }", "it has no 'gama'" },
    { "lu.method { name = 'a', draws = 'map', options = { 'scoer' }, explain = print }",
      "no shared option 'scoer'" },
    { "lu.net { inputs = { 3, 8, 8 }, layers = { { 'a', 'relu' } } }",
      "no 'inputs'; did you mean 'input'" },
    { "lu.net { input = { 3, 8, 8 }, layers = { { 'c', 'conv2' } } }",
      "no kind 'conv2'; did you mean 'conv2d'", true },
    { "lu.net { input = { 3, 8, 8 }, layers = { { 'c', 'Dense' } } }",
      "no kind 'Dense'; here it is linear", true },
    { "lu.net { input = { 3, 8, 8 }, layers = { { 'c', 'maxpool' } } }",
      "here it is max_pool2d", true },
    { "lu.net { input = { 3, 8, 8 }, layers = { { 'c', 'conv2d', filtrs = 2 } } }",
      "conv2d .*filt", true },
    { "lu.load 'glyps'", "did you mean 'glyphs'", true },
    { "lu.colormap.get 'jeet'", "did you mean 'jet'", true },
    { "run:activation 'conv99'", "did you mean 'conv1'", true },
    { "map:trust(run, { clases = 2 })", "did you mean 'classes'" },
  },
  ["counting"] = {
    { "x[3]", "index 3 is outside 1 .. 2" },
    { "x[0] = 1", "index 0 is outside 1 .. 2.*; indices count from 1" },
    { "run:probabilities()[0]", "index 0 is outside 1 .. 2.*; indices count from 1" },
    { "x[3 / 2]", "index 1.5.* is no whole number; a // b" },
    { "x[{ { 0, 1 } }]", "0 to 1 is outside 1 .. 2" },
    { "x:narrow { dim = 1, start = 0, length = 1 }", "'start' is 0, must be 1 to" },
    { "x:sum { dims = { 0 } }", "dimensions count from 1" },
    { "x:argmax(0)", "dimensions count from 1" },
    { "x:rows(3)", "outside 1 .. 2" },
    { "x:get(0, 1, 1, 1)", "index 0 of dimension 1 is outside 1 .. 2" },
    { "run:top(0)", "from 1 on, got 0" },
    { "lu.gradcam(run, { score = 10 })", "class 10 is outside 0 .. 9" },
    { "lu.gradcam(run, { score = lu.score.unit('block5_conv3', 0) })",
      "has channels 1 .. 64, not 0" },
    { "lu.activation(run, { layer = 'block5_conv3', channel = 65 })",
      "1 .. 64, not 65" },
    { "lu.glyphs.default_images(0)", "count from 1" },
    { "lu.gradcam(run, { score = { 1, 2, 3 } })", "3 classes for 2 images; give one" },
    { "net:label(10)", "class 10 is outside 0 .. 9", true },
  },
  ["a shape"] = {
    { "net:run(lu.zeros(1, 3, 10, 10))",
      "wants a tensor %(N,3,224,224%), got %(1,3,10" },
    { "net:run(x:permute { dims = { 1, 3, 4, 2 } })",
      "got %(2,224,224,3%); channels come first: x:permute { dims = { 1, 4" },
    { "lu.image.save('x.png', lu.zeros(5, 5, 3))", "channels come first: x:permute" },
    { "lu.image.save('x.png', map)", "maps are drawn by lu.show" },
    { "lu.canvas { columns = 2, titles = { 'a' } }", "1 title for 2 columns; ''" },
    { "lu.canvas { columns = 1, titles = { 'a', 'b' } }", "2 titles for 1 column;" },
    { "lu.canvas({ titles = { 'a' } }):row('m', map):render()", "1 title for 2 col" },
    { "net:run(x.pictures[1])", "got %(3,224,224%); net:images makes one" },
    { "lu.ones(2, 3):matmul(lu.ones(2, 3))", "left matrix has 3 columns, right has 2" },
    { "lu.concat { x, map }", "they may differ in dimension 1 alone" },
    { "x:view(5, 5)", "301056 values do not fit" },
    { "x:reshape { 5, 5 }", "301056 elements, shape %(5, 5%) has 25" },
    { "x:add(lu.ones(5))", "do not broadcast: counted from the last, sizes must be e" },
    { "lu.saliency(net, x[1])", "got %(3,224,224%); .*x:rows%(i%) is one of a batch" },
    { "lu.concat(x, x, 1)", "got 3; several go into a list: lu.concat { ... }" },
    { "lu.stack(x, x, x)", "several go into a list: lu.stack { ... }" },
    { "lu.canvas():row('m', map, { overlay = x, alpha = 50 })", "from 0 to 1, got 50" },
    { "lu.canvas():row('m', map, { alpha = -1 })", "alpha is from 0 to 1, got %-1" },
    { "x:get(1, 1, 1)", "get takes 4 indices for a tensor %(2, 3, 224, 224%), got 3" },
    { "x:get(1, 1, 1, 1, 1)", "get takes 4 indices for a tensor .*, got 5 arguments" },
    { "lu.ones(2):get()", "get takes 1 index for a tensor %(2%), got 0 arguments" },
    { "lu.ones(2, 3):set(1, 1)", "set takes 2 indices and a value .*, got 2 argum" },
    { "lu.ones(2, 3):set(1, 1, nil)", "set: argument 3 should be a number, got nil" },
    { "x:item()", "a tensor of one element" },
    { "lu.zeros { 2, 'a' }",
      "zeros: a value of the list should be a whole number.*got 'a'" },
    { "lu.tensor({ { 1 }, 2 })", "a value of the list should be a table, got 2" },
    { "lu.full(3)", "full: argument 2: a shape has 1 to 6" },
    { "x:permute { dims = { 1, 2 } }", "permute: 'dims' has 2 numbers for 4 dimen" },
    { "lu.choose(net, x, {})", "should be .*got a tensor %(2,3," },
    { "lu.tensor { { 1, 2 }, { 3 } }", "ragged table" },
    { "lu.image.save('x.png', x)", "a picture is a tensor %(3,H,W%)" },
    { "net:images(map)", "a picture is a tensor %(3,H,W%)" },
    { "lu.metrics.energy(map, map[1])", "map is %(2,224,224%), mask is %(224,224%)" },
    { "lu.metrics.ssim(map, map[1])", "same shape expected" },
    { "lu.integrated_gradients(run, { baseline = lu.zeros(3) })", "does not fit" },
    { "lu.ones(1, 5, 5):trust(run)", "the run's 2 pictures are wanted, got" },
    { "lu.spray(map)", "at least four maps" },
    { "lu.canvas():row('a', { x })", "map 1 has shape" },
    { "lu.canvas():row('a', { 1, 2 })", "number 1 of the list is a picture or a map" },
    { "lu.canvas():row('a', { map[1], 'x' })", "number 2 of the list.* got 'x'" },
    { "lu.canvas():row('a', map, { overlay = { 1 } })", "number 1 of the list.*got 1" },
    { "lu.channels.draw(run, { 1 })", "found: should be" },
  },
  ["an order"] = {
    { "lu.train.step(net, x, { 1, 2 }, lu.train.sgd(net.params))",
      "the order is %(net, opt, x, target, how%)" },
    { "lu.image.save(x.pictures[1], 'x.png')", "the order is %(path, picture" },
    { "lu.save('x.safetensors', net)", "the order is %(net, path" },
    { "lu.npy.write(map, 'x.npy')", "the order is %(path, t" },
    { "lu.attack.laid(x, net)", "the order is %(net, x, v" },
    { "lu.show('x.png', map)", "the order is %(x, file" },
    { "lu.canvas():row(map, 'a')", "the title comes first: canvas:row%('a', what" },
  },
  ["a colon"] = {
    { "net.layer 'conv1'", "call it with a colon, net:layer" },
    { "run.gradient()", "call it with a colon, run:gradient" },
    { "lu.canvas().row('a', x)", "call it with a colon, canvas:row" },
    { "x.sum()", "a method is called with a colon" },
    { "x.mean { dims = { 1 } }", "a method is called with a colon" },
    { "x.resize(5, 5)", "call it with a colon" },
    { "lu:load 'glyphs'", "call it with a dot, lu.load" },
    { "lu:gradcam(run)", "the library itself: a dot, no colon" },
    { "lu.score:of(3)", "call it with a dot, lu.score.of" },
    { "lu.image:load 'a.png'", "call it with a dot, lu.image.load" },
  },
  ["a file"] = {
    { "lu.load 'photo.jpg'", "photo.jpg: No such file", true },
    { "lu.load 'README.md'", "no model file", true },
    { "lu.image.load 'README.md'", "not a picture: JPEG, PNG or BMP expected", true },
    { "net:images 'nosuch.png'", "cannot open picture 'nosuch.png'", true },
    { "lu.image.save('x.tiff', x.pictures[1])", "written as .png, .jpg", true },
    { "lu.npy.read 'README.md'", "not a .npy file", true },
    { "lu.show(map, 'x.gif')", "written as .png, .jpg" },
    { "net:images { nil, 'a.png' }",
      "list is empty; what could not be loaded is nil in it" },
    { "lu.report { from = 'nosuch', out = out }", "nosuch", true },
  },
  ["a word of another library"] = {
    { "lu.gradcam(run, { target = 3 })", "option 'target'; did you mean 'score'" },
    { "lu.gradcam(run, { class_idx = 1 })", "did you mean 'score'" },
    { "lu.gradcam(run, { target_layer = 'conv1' })", "did you mean 'layer'" },
    { "lu.integrated_gradients(run, { n_steps = 5 })", "did you mean 'steps'" },
    { "lu.integrated_gradients(run, { baselines = 0 })", "did you mean 'baseline'" },
    { "lu.attack.pgd(net, x, { epsilon = 8 })", "did you mean 'eps'" },
    { "lu.train.adam(net.params, { learning_rate = 1 })", "did you mean 'rate'" },
    { "x > 0.5", "tensors are compared by x:gt%(y%)" },
    { "x <= x", "tensors are compared by x:gt%(y%)" },
    { "x:size(1)", "takes no argument; dim%(i%) is the size of dimension i" },
    { "x:sum(1):item()", "one element, this one is %(3, 224, 224%)" },
    { "run:gradient { 'conv1' }", "options have names, { name = value }; number 1" },
  },
  ["what became nil"] = {
    { "lu.gradcam(lu.load 'nosuch', x)", "assert%(lu.load" },
    { "lu.show(lu.image.load 'no.png')", "cannot draw nil" },
    { "lu.canvas():row('a', net:images 'no.png')", "no.png" },
    { "net:run(net:images 'no.png')", "no.png" },
    { "lu.saliency(net, net:images 'no.png')", "no.png" },
    { "(function() local r = net:run(x) r:release() return r:top(5) end)()",
      "released" },
    { "(function() local r = net:run(x, { keep = false }) return lu.saliency(r) end)()",
      "the input was dropped; run with keep = true" },
  },
  ["a score"] = {
    { "lu.gradcam(run, { score = function() end })",
      "returned nil, expected a tensor" },
    { "lu.gradcam(run, { score = function(y) return y:item() end })", "one element" },
    { "lu.gradcam(run, { score = lu.saliency })",
      "a score or a function, got a method" },
    { "lu.gradcam(run, { score = run })", "a class, a score or a function, got a run" },
    { "lu.gradcam(run, { score = map })", "got a tensor; give ids as a list" },
    { "lu.gradcam(run, { score = 1.5 })", "a class id or name, got 1.5" },
    { "lu.gradcam(run, { classes = 3 })", "classes is a list" },
    { "lu.gradcam(run, { top = 2, classes = { 1 } })",
      "one of score, classes and top" },
    { "run:values 'xx'", "class 'xx' not found" },
    { "lu.gradient(function() return 5 end, x)", "expected a tensor computed from" },
  },
  ["a rule, a method, a metric of one's own"] = {
    { ruled "", "modifier 'mine' at layer 'fc2_relu' %(relu%): returned nil" },
    { ruled "return 5", "modifier 'mine' at layer .*number" },
    { ruled "return dy:sum()", "returned a gradient of shape %(1%), the input is" },
    { ruled "return dy * lu.ones(5)", "do not broadcast" },
    { ruled "return dy * node.outptu",
      "x %* y: y should be a tensor or a number, got nil" },
    { ruled "return dy:foo()", "method 'foo'[^;]*$" },
    { "lu.saliency(run, { modifiers = { lu.modifier { name = 'm', on = 'relu', "
      .. "backward = function(dy) return dy:relu() end } } })",
      "method 'relu'%); a rule is given two values: function%(node, dy%)" },
    { "lu.saliency(run, { modifiers = { lu.modifier { name = 'm', on = 'silu', "
      .. "backward = function(_, dy) return dy end } } })", "silu" },
    { "lu.saliency(run, { modifiers = { lu.modifier { name = 'm', on = 'relu', "
      .. "rule = 'gided' } } })", "saliency: modifier 'm' at .*did you mean 'guided'" },
    { "lu.modifier { name = 'mine' }", "on = kind or layer, backward = function" },
    { own "", "its function `explain` gave nil; a tensor" },
    { own "return 5", "gave 5; a tensor" },
    { own "return lu.ones(7)", "gave a tensor %(7%); %(N,H,W%) is wanted" },
    { own "return run:gradient { layr = 1 }", "unknown option 'layr'" },
    { own "return run:foo()", "method 'foo'" },
    { measured "", "its function `value` gave nil, a number is wanted" },
    { measured "return 'x'", "gave 'x', a number is wanted" },
    { measured "return m:sum()", "gave a tensor %(1%), a number is wanted; :item" },
    { measured "return m:sum(9):item()", "sum" },
  },
}


local net = assert(lu.load "glyphs")
local x = assert(net:images(lu.glyphs.default_images(2).images))
local run = net:run(x)
local names = setmetatable({ net = net, x = x, run = run, map = lu.gradcam(run),
                             lu = lu, out = folder .. "/page.html" },
                           { __index = _G })


---Runs a line of a script; true and what it gives, or false and the message.
local function try(code)
  local f = load(("\n\nlocal a, b = %s\nreturn a, b"):format(code), "@mine.lua", "t",
                 names) or assert(load("\n\n" .. code, "@mine.lua", "t", names))
  local result
  t.warnings(function() result = table.pack(pcall(f)) end)
  return table.unpack(result, 1, result.n)
end


for kind, list in pairs(kinds) do
  describe("a mistake about " .. kind .. ":", function()
    for _, m in ipairs(list) do
      it(m[1], function()
        local ok, value, message = try(m[1])
        if m[3] then -- what may happen to anybody: nil, message
          assert.is_true(ok, value)
          assert.is_nil(value)
          return assert.matches(m[2], message)
        end
        assert.is_false(ok, "no error")
        assert.matches("^mine.lua:3: ", value)
        assert.is_nil(value:match "lua/lunette/", value)
        assert.matches(m[2], value)
      end)
    end
  end)
end


describe("where the library stands does not matter:", function()
  it("a path so long that messages cut it", function()
    local deep = ("%s/%s"):format(folder, ("a_long_name_"):rep(8))
    assert(os.execute(("mkdir -p '%s' && cp -r lua/lunette '%s'"):format(deep, deep)))
    t.spit(folder .. "/mine.lua", [[
      local lu = require "lunette"
      print(pcall(function()
        lu.ones(2):tile({ 0 })
      end))
      print(pcall(function() lu.concat({ lu.ones(2), lu.ones(2, 2) }, 1) end))]])
    local code, said = t.shell(("LUA_PATH_5_4='%s/?.lua;%s/?/init.lua;;' "
      .. "lua5.4 '%s/mine.lua'"):format(deep, deep, folder))
    assert.equal(0, code, said)
    for line in said:gmatch "[^\n]+" do
      assert.matches("^false\t%.*[^:]*mine.lua:%d: ", line)
      assert.is_nil(line:match "lunette/tensors", line)
    end
  end)

  it("a fault of its own keeps its place, behind the caller's", function()
    local strict = require "lunette.base.strict"
    local blame = require "lunette.base.blame"
    local here = debug.getinfo(1, "S").short_src
    local inner = load("return function() local a; return a.b end",
                       debug.getinfo(blame.passed, "S").source)()
    local said = t.message(function() strict.of("lu.thing", inner)() end)
    assert.matches("^" .. here:gsub("%p", "%%%0") .. ":%d+: thing: a fault inside the "
                   .. "library, .*blame.lua:1: attempt to index a nil value", said)
  end)

  it("what a function of the caller's raised stays as it is", function()
    local mine = { "an object" }
    local ok, e = pcall(lu.gradient, function() error(mine) end, lu.ones(2))
    assert.is_false(ok)
    assert.is_true(rawequal(mine, e))
    e = t.message(lu.gradient, function() error("mine", 0) end, lu.ones(2))
    assert.equal("mine", e)
    local line = debug.getinfo(1, "l").currentline + 1
    e = t.message(lu.gradient, function() error "mine" end, lu.ones(2))
    assert.equal(("tests/lua/mistakes_spec.lua:%d: mine"):format(line), e)
  end)
end)
