-- What tensors can do beyond the operators, against numpy, finite differences, closed
-- forms and literals.
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"


---name -> a tensor that both sides know
local shared = {
  a = lu.normal({ 3, 4, 5 }, { seed = 1 }), b = lu.normal({ 3, 4, 5 }, { seed = 2 }),
  m = lu.normal({ 6, 4 }, { seed = 3 }), k = lu.normal({ 4, 7 }, { seed = 4 }),
  ties = lu.tensor { { 2, 1, 2, 0 }, { 0, 0, 0, 3 } },
  holes = lu.tensor { 1, 0 / 0, math.huge, -math.huge, -2 },
  grid = lu.range(1, 48):view(2, 4, 6),
}

-- What Lua says, what numpy says. Order is numpy's where it is said.
local pairs_of = {
  { "a:var()", "a.var()" }, { "a:var(2)", "a.var(1)" },
  { "a:var({1,3})", "a.var((0,2))" }, { "a:var'sample'", "a.var((1,2))" },
  { "a:std(3, { correction = 1 })", "a.std(2, ddof=1)" },
  { "a:std(-1, { keepdims = true })", "a.std(-1, keepdims=True)" },
  { "a:norm(2)", "numpy.sqrt((a**2).sum(1))" },
  { "a:norm(3, { p = 1 })", "abs(a).sum(2)" },
  { "a:norm(1, { p = math.huge })", "abs(a).max(0)" },
  { "a:norm(nil, { p = 3 })", "(abs(a)**3).sum()**(1/3)" },
  { "a:prod()", "a.prod()" }, { "a:prod(2)", "a.prod(1)" },
  { "a:prod({1,3}, { keepdims = true })", "a.prod((0,2), keepdims=True)" },
  { "a:cumsum()", "a.cumsum(0)" }, { "a:cumsum(3)", "a.cumsum(2)" },
  { "a:median()", "numpy.median(a)" }, { "a:median(2)", "numpy.median(a, 1)" },
  { "a:quantile(0.3, 3)", "numpy.quantile(a, 0.3, 2)" },
  { "a:quantile(1, 3)", "numpy.quantile(a, 1, 2)" },
  { "a:quantile(0, { 2, 3 }, { keepdims = true })",
    "numpy.quantile(a, 0, (1,2), keepdims=True)" },
  { "(a:histogram(7))", "numpy.histogram(a, 7)[0]" },
  { "select(2, a:histogram(7))", "numpy.histogram(a, 7)[1]" },
  { "(a:histogram(4, { range = { -1, 1 } }))",
    "numpy.histogram(a, 4, (-1, 1))[0]" },
  { "a:logsumexp(2)", "numpy.log(numpy.exp(a).sum(1))" },
  { "(a * 1000):logsumexp(2)", "(a * 1000).max(1)" },
  { "ties:any(2)", "ties.any(1)" }, { "ties:all(1)", "ties.all(0)" },
  { "(a:sort(2, { descending = false }))", "numpy.sort(a, 1)" },
  { "(a:sort())", "numpy.sort(a, 2)[:,:,::-1]" },
  { "(a:argsort(3, { descending = false }))", "numpy.argsort(a, 2) + 1" },
  { "(ties:argsort(2, { descending = false }))",
    "numpy.argsort(ties, 1, kind='stable') + 1" },
  { "(a:argsort(nil, { descending = false }))", "numpy.argsort(a, None) + 1" },
  { "(a:argmin(2))", "a.argmin(1) + 1" }, { "(ties:argmax(2))", "ties.argmax(1) + 1" },
  { "select(2, a:argmin(1))", "a.min(0)" },
  { "ties:nonzero()", "numpy.argwhere(ties) + 1" },
  { "a:masked_select(a:gt(0))", "a[a > 0]" },
  { "a:masked_fill(a:gt(0), 2)", "numpy.where(a > 0, 2, a)" },
  { "holes:isnan()", "numpy.isnan(holes)" },
  { "holes:isfinite()", "numpy.isfinite(holes)" },
  { "lu.concat({ a, b }, 2)", "numpy.concatenate([a, b], 1)" },
  { "lu.stack({ a, b }, 3)", "numpy.stack([a, b], 2)" },
  { "lu.stack({ a, b }, -1)", "numpy.stack([a, b], -1)" },
  { "a:split(3, 3)[2]", "a[:,:,3:]" }, { "a:split({ 1, 3 }, 2)[2]", "a[:,1:]" },
  { "a:chunk(2, 1)[1]", "a[:2]" }, { "a:select(2, 3)", "a[:,2]" },
  { "a:select(3, -1)", "a[:,:,-1]" }, { "m:tile(2, 3)", "numpy.tile(m, (2,3))" },
  { "m:tile(2, 1, 2)", "numpy.tile(m, (2,1,2))" },
  { "a:transpose()", "a.transpose(0,2,1)" },
  { "a:transpose(1, 3)", "a.transpose(2,1,0)" },
  { "a:unsqueeze(2)", "a[:,None]" }, { "a:unsqueeze(-1)", "a[...,None]" },
  { "a[{ {}, 2, { 2, 4 } }]", "a[:,1,1:4]" }, { "a[{ -1, { -2, -1 } }]", "a[-1,-2:]" },
  { "a[{ {}, { 3 } }]", "a[:,2:3]" }, { "a[{ 2 }]", "a[1]" },
  { "a:dot(b)", "(a*b).sum()" }, { "a:dot(b, 2)", "(a*b).sum(1)" },
  { "a:cosine(b, 3)", "(a*b).sum(2)/numpy.sqrt((a**2).sum(2)*(b**2).sum(2))" },
  { "a:pearson(b)", "numpy.corrcoef(a.ravel(), b.ravel())[0,1]" },
  { "lu.einsum('ij,jk->ik', m, k)", "m @ k" },
  { "lu.einsum('ij->ji', m)", "m.T" }, { "lu.einsum('ij->', m)", "m.sum()" },
  { "lu.einsum('ij->j', m)", "m.sum(0)" },
  { "lu.einsum('bij,bkj->bik', a, b)", "numpy.einsum('bij,bkj->bik', a, b)" },
  { "lu.einsum('bij,bij->b', a, b)", "numpy.einsum('bij,bij->b', a, b)" },
  { "lu.einsum('bij,kj,bil->blk', a, b[1], a)",
    "numpy.einsum('bij,kj,bil->blk', a, b[0], a)" },
  { "lu.einsum('i,j->ij', m[1], k[1])", "numpy.outer(m[0], k[0])" },
  { "lu.linspace(-1, 2, 7)", "numpy.linspace(-1, 2, 7)" },
  { "lu.arange(5)", "numpy.arange(5)" },
  { "lu.arange(1, 2, 0.3)", "numpy.arange(1, 2, 0.3)" },
  { "lu.eye(3, 4)", "numpy.eye(3, 4)" },
  { "lu.full_like(m, 3)", "numpy.full_like(m, 3)" },
  { "lu.zeros_like(a)", "numpy.zeros_like(a)" },
  { "lu.ones_like(a)", "numpy.ones_like(a)" },
  { "a:ceil()", "numpy.ceil(a)" }, { "a:abs():log1p()", "numpy.log1p(abs(a))" },
  { "a:expm1()", "numpy.expm1(a)" },
  { "select(2, m:svd())", "numpy.linalg.svd(m)[1]" },
  { "select(2, k:svd())", "numpy.linalg.svd(k)[1]" },
  { "(m:transpose():matmul(m):eigh())", "numpy.linalg.eigvalsh(m.T @ m)" },
  { "grid:rotate(90)[1][{ {}, { 2, 5 } }]", "numpy.rot90(grid[0][:,1:5])" },
}


---What numpy says of all, as tensors, and why not.
local function answers(folder)
  local python = "LD_PRELOAD= /usr/bin/python3"
  if os.execute(python .. " -c 'import numpy' 2>/dev/null") ~= true then return nil end
  local code = { "import numpy" }
  for name, x in pairs(shared) do
    assert(lu.npy.write(("%s/%s.npy"):format(folder, name), x))
    code[#code + 1] = ("%s = numpy.load('%s/%s.npy').astype('f8')"):format(name, folder,
      name)
  end
  for i, p in ipairs(pairs_of) do
    code[#code + 1] = ("numpy.save('%s/%d.npy', numpy.ascontiguousarray("
                       .. "numpy.atleast_1d(%s), 'f8'))"):format(folder, i, p[2])
  end
  t.spit(folder .. "/all.py", table.concat(code, "\n"))
  assert(os.execute(("%s '%s/all.py'"):format(python, folder)))
  local list = {}
  for i in ipairs(pairs_of) do
    list[i] = assert(lu.npy.read(("%s/%d.npy"):format(folder, i)))
  end
  return list
end


describe("tensors are as numpy's", function()
  local folder, done = t.folder()
  local said = answers(folder)
  done()

  for i, p in ipairs(pairs_of) do
    it(p[1], function()
      if not said then return pending "python3-numpy is not installed" end
      local names = setmetatable({ lu = lu, math = math, select = select },
                                 { __index = shared })
      local x = assert(load("return " .. p[1], p[1], "t", names))()
      assert.same(said[i]:shape(), x:shape())
      -- sums of some 60 values in float32
      assert.is_true((x - said[i]):abs():max():item() <= 2e-5
                     * math.max(1, said[i]:abs():max():item()))
    end)
  end
end)


describe("what has a gradient", function()
  ---The gradient of a sum with uneven weights, and differences of it in double steps.
  local function check(f, x)
    local y = f(x)
    local seed = lu.normal(y:shape(), { seed = 9 })
    local g = lu.gradient(f, x, seed)
    local h, flat = 1e-2, g:view(g:size())
    for i = 1, x:size() do
      local function at(step)
        local v = x:clone()
        local all = v:view(v:size())
        all[i] = all[i] + step
        return (f(v) * seed):sum():item()
      end
      local slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
      -- float32: a difference of values near 1 over a step of 1e-2
      assert.is_true(math.abs(slope - flat[i]) < 2e-3 * math.max(1, math.abs(slope)),
        ("%d: %g, differences %g"):format(i, flat[i], slope))
    end
  end

  local x = lu.normal({ 2, 3, 4 }, { seed = 5 })
  local w = lu.normal({ 4, 3 }, { seed = 6 })
  local picture = lu.normal({ 1, 1, 5, 4 }, { seed = 7 })
  local all = {
    var = function(v) return v:var(2) end, std = function(v) return v:std({ 1, 3 }) end,
    norm = function(v) return v:norm(3) end, prod = function(v) return v:prod(3) end,
    cumsum = function(v) return v:cumsum(3) end,
    logsumexp = function(v) return v:logsumexp(2) end,
    quantile = function(v) return v:quantile(0.4, 3) end,
    sort = function(v) return (v:sort(2)) end,
    stack = function(v) return lu.stack { v, v * v } end,
    region = function(v) return v[{ 2, {}, { 2, 3 } }] end,
    tile = function(v) return v:tile(1, 2, 1) end,
    transpose = function(v) return v:transpose(1, 3) end,
    einsum = function(v) return lu.einsum("bij,jk->bk", v, w) end,
    cosine = function(v) return v:cosine(x + 1, 3) end,
    pearson = function(v) return v:pearson(x * x, 3) end,
    masked_fill = function(v) return v:masked_fill(x:gt(0), 1) end,
    scatter_add = function(v)
      local index = lu.tensor { { { 1, 1, 4, 2 } } }:tile(2, 3, 1)
      return v:scatter_add(index, v * 2, { dim = 3 })
    end,
    expm1 = function(v) return v:expm1() end,
    log1p = function(v) return v:square():log1p() end,
  }
  for name, f in pairs(all) do
    it(name, function() check(f, x) end)
  end

  it("has one of 0 where a root is taken of 0", function()
    local zero, y = lu.zeros(2, 3), lu.ones(2, 3)
    zero[1][2] = 0.5 -- the second row alone is 0
    for name, f in pairs {
      norm = function(v) return v:norm(2) end,
      ["norm 3"] = function(v) return v:norm(2, { p = 3 }) end,
      ["norm 1/2"] = function(v) return v:norm(2, { p = 0.5 }) end,
      std = function(v) return v:std(2) end,
      cosine = function(v) return v:cosine(y, 2) end,
      ["cosine with it"] = function(v) return y:cosine(v, 2) end,
    } do
      local g, value = lu.gradient(f, zero)
      assert.same({ 0, 0, 0 }, g[2]:totable(), name)
      assert.equal(0, value[2], name)
      assert.is_true(g:stats().finite and value:stats().finite, name)
      assert.is_true(g[1]:abs():max():item() > 0, name)
    end
  end)

  it("of pictures: unfold, paste, blur, rotate", function()
    for _, f in ipairs {
      function(v) return v:unfold({ 2, 3 }, { stride = 2, padding = 1 }) end,
      function(v) return v:paste(v:narrow(3, 1, 2), 2, 1, { add = true }) end,
      function(v) return v:gaussian_blur(0.8) end,
      function(v) return v:rotate(20, { scale = 1.3 }) end,
    } do check(f, picture) end
  end)
end)


describe("decompositions", function()
  it("give the matrix back", function()
    for _, shape in ipairs { { 5, 3 }, { 3, 5 }, { 4, 4 }, { 1, 6 } } do
      local m = lu.normal(shape, { seed = 8 })
      local u, s, v = m:svd()
      local n = math.min(shape[1], shape[2])
      assert.same({ shape[1], n }, u:shape())
      assert.same({ shape[2], n }, v:shape())
      assert.is_true((u * s:view(1, n)):matmul(v:transpose()):distance(m) < 1e-6)
      assert.is_true(u:transpose():matmul(u):distance(lu.eye(n)) < 1e-6)
      assert.is_true(v:transpose():matmul(v):distance(lu.eye(n)) < 1e-6)
    end
  end)

  it("of a symmetric matrix are its eigenvectors", function()
    local m = lu.normal({ 6, 6 }, { seed = 9 })
    m = m + m:transpose()
    local values, q = m:eigh()
    assert.is_true(m:matmul(q):distance(q * values:view(1, 6)) < 1e-6)
    for i = 2, 6 do assert.is_true(values[i] >= values[i - 1]) end
  end)

  it("of a large one are found by iteration", function()
    -- 3 a a' + 2 b b' with a, b of length 1 and at right angles
    local n = 1300
    local a, b = lu.normal({ n, 1 }, { seed = 1 }), lu.normal({ n, 1 }, { seed = 2 })
    a = a / a:norm()
    b = b - a * (a * b):sum()
    b = b / b:norm()
    local m = a:matmul(a:transpose()) * 3 + b:matmul(b:transpose()) * 2
    local v, value = require("lunette.explain.principal").eigenvector(m)
    assert.near(3, value, 1e-4)
    assert.near(1, math.abs((v * a):sum():item()), 1e-5)
  end)

  it("refuse what they cannot take, by size", function()
    assert.matches("square matrix is needed, this is %(2,3%)",
      t.message(function() lu.zeros(2, 3):eigh() end))
    assert.matches("this has 3 dimensions",
      t.message(function() lu.zeros(2, 3, 1):svd() end))
    assert.matches("NaN", t.message(function() lu.full(0 / 0, 2, 2):svd() end))
    assert.matches("0 x 2", t.message(function() lu.zeros(0, 2):svd() end))
  end)
end)


describe("methods", function()
  ---What a file of tensors/ adds to the class.
  local function defined(file)
    local list = {}
    for line in io.lines(("lua/lunette/tensors/%s.lua"):format(file)) do
      list[#list + 1] = line:match "^function M%.([%w_]+)%("
    end
    table.sort(list)
    return list
  end

  it("are listed with the file that has them", function()
    local listed = require("lunette.tensors").methods
    local files = {}
    for file in require("lfs").dir "lua/lunette/tensors" do
      local name = file:match "^([%w_]+)%.lua$"
      local own = require("lunette.core").methods
      local source = name and t.read("lua/lunette/tensors/" .. file) or ""
      if source:find("local M = core.methods", 1, true) then
        files[name] = true
        assert.same(defined(name), listed[name], name)
        for _, method in ipairs(listed[name]) do
          assert.is_function(rawget(own, method) or own[method], method)
        end
      end
    end
    for name in pairs(listed) do assert.is_true(files[name], name) end
  end)

  it("are loaded when they are first used", function()
    local code, text = t.shell(([[lua5.4 -e '
      local lu = require "lunette"
      local function loaded() -- of tensors/
        local n = 0
        for name in pairs(package.loaded) do
          if name:find "^lunette%.tensors%." then n = n + 1 end
        end
        return n
      end
      io.write(loaded())
      local x = lu.zeros(2, 3)
      x.note = "mine"
      io.write(" ", x.note, " ", tostring(x.nothing), " ", loaded())
      io.write(" ", x:std():item(), " ", tostring(loaded() > 0))
      local all = 0
      for _ in pairs(lu.core.methods) do all = all + 1 end
      io.write(" ", tostring(all > 90 and rawget(lu.core.methods, "tile") ~= nil))
    ']]))
    assert.equal(0, code, text)
    assert.equal("0 mine nil 0 0 true true", text)
  end)
end)


describe("regions", function()
  it("are written with a number or a tensor, in place", function()
    local x = lu.zeros(2, 3, 4)
    x[{ {}, 2, { 2, 3 } }] = 5
    assert.equal(20, x:sum():item())
    assert.equal(5, x:get(2, 2, 3))
    x[{ 1 }] = lu.range(1, 12)
    assert.equal(12, x:get(1, 3, 4))
    x[{ {}, { 2, 3 }, -1 }] = lu.tensor { 7, 8, 9, 10 }
    assert.same({ 7, 8, 9, 10 }, { x:get(1, 2, 4), x:get(1, 3, 4), x:get(2, 2, 4),
      x:get(2, 3, 4) })
    local y = lu.range(1, 4)
    y[{ { 1, 3 } }] = y[{ { 2, 4 } }] -- what is read is what stood there
    assert.same({ 2, 3, 4, 4 }, y:totable())
  end)

  it("outside, or of another size, are refused with both numbers", function()
    local x = lu.zeros(2, 3)
    assert.matches("dimension 2: 2 to 4 is outside 1 .. 3",
      t.message(function() return x[{ {}, { 2, 4 } }] end))
    assert.matches("3 indices of a tensor %(2,3%)",
      t.message(function() return x[{ 1, 1, 1 }] end))
    assert.matches("a region of 2 values, got a tensor %(3%)",
      t.message(function() x[{ {}, 1 }] = lu.zeros(3) end))
    assert.matches("got 'a'", t.message(function() x[{ 1 }] = "a" end))
    assert.matches("not {1.5,1.5}", t.message(function() return x[{ { 1.5 } }] end))
  end)

  it("of a run are read only, as rows are", function()
    local net = t.net()
    local run = net:run(t.input(net, 1, 1))
    assert.matches("clone", t.message(function() run.conv1[{ 1, { 1 } }] = 0 end))
    assert.matches("clone", t.message(function() run.conv1[{ {}, {} }] = 0 end))
  end)
end)


describe("misuse", function()
  local x = lu.zeros(2, 3)
  for want, f in pairs {
    ["dimension 3 of a tensor %(2,3%)"] = function() x:std(3) end,
    ["dimension 1 stands there twice"] = function() x:var { 1, -2 } end,
    ["2 values less a correction of 2"] = function() x:var(1, { correction = 2 }) end,
    ["unknown option 'ddof'"] = function() x:var(1, { ddof = 1 }) end,
    ["a share from 0 to 1, not 90"] = function() x:quantile(90) end,
    ["whole number from 1, not 0"] = function() x:histogram(0) end,
    ["{ 2, 1 }"] = function() x:histogram(3, { range = { 2, 1 } }) end,
    ["piece 2 of 3, where 2 of 3 are left"] = function() x:split({ 1, 3 }, 2) end,
    ["pieces of 2 in all, of 3"] = function() x:split({ 2 }, 2) end,
    ["index 4 of dimension 2, which has 3"] = function() x:select(2, 4) end,
    ["index 0 of dimension 2, which has 3"] = function() x:select(2, 0) end,
    ["index 1.5 of dimension 2, which has 3"] = function() x:select(2, 1.5) end,
    ["dimension 1 of %(2,3%) is not 1"] = function() x:squeeze(1) end,
    ["tensor 2 is %(3,2%), the first is %(2,3%)"] = function()
      lu.stack { x, lu.zeros(3, 2) }
    end,
    ["tensors of one size"] = function() x:dot(lu.zeros(5)) end,
    ["'j' is 2 in tensor 2 and 3 before it"] = function()
      lu.einsum("ij,jk->ik", x, x)
    end,
    ["'k' stands in the result only"] = function() lu.einsum("ij->k", x) end,
    ["'i' twice in 'ii'"] = function() lu.einsum("ii->i", lu.eye(3)) end,
    ["a mask %(3,2%) for a tensor %(2,3%)"] = function()
      x:masked_select(lu.zeros(3, 2))
    end,
    ["a part of 2 from 3 on, of 3"] = function() x:paste(lu.zeros(1, 2), 1, 3) end,
    ["index %(2, 1%) for values %(1, 2%)"] = function()
      x:scatter_add(lu.ones(2, 1), lu.ones(1, 2), { dim = 2 })
    end,
  } do
    it("says: " .. want, function()
      local message = t.message(f)
      assert.matches(want, message)
      assert.matches("tensors_spec.lua:%d+:", message)
    end)
  end
end)


describe("printed", function()
  it("as numpy prints them, what is no number in line with the others", function()
    local array = require("lunette.tensors.text").array
    assert.equal("[ 1.5    nan  -inf 10.25]",
                 array(lu.tensor { 1.5, 0 / 0, -1 / 0, 10.25 }))
    assert.equal("[ 1.e+10     nan -1.e-05]", array(lu.tensor { 1e10, 0 / 0, -1e-5 }))
  end)
end)


describe("pictures", function()
  it("are resized to the nearest pixel where that is asked for", function()
    local x = lu.tensor { { { 1, 2 }, { 3, 4 } } }
    assert.same({ { { 1, 1, 2, 2 }, { 1, 1, 2, 2 }, { 3, 3, 4, 4 }, { 3, 3, 4, 4 } } },
                x:resize(4, 4, { mode = "nearest" }):totable())
  end)

  it("are scaled by their range and eps", function()
    assert.same({ { 0, 0.5 }, { 0, 0.75 } },
                lu.tensor({ { 1, 3 }, { -1, 5 } }):normalize(2):totable())
    assert.same({ { 0, 0 } }, lu.tensor({ { 4, 4 } }):normalize():totable())
  end)

  it("are cut into windows, one beside the other by itself", function()
    local u = lu.range(1, 9):view(1, 1, 3, 3):unfold(2)
    assert.same({ { { 1, 2, 4, 5 }, { 2, 3, 5, 6 }, { 4, 5, 7, 8 }, { 5, 6, 8, 9 } } },
                u:totable())
  end)
end)


describe("sorting", function()
  it("keeps ties in order and puts NaN last, both ways", function()
    local v = lu.tensor { 2, 0 / 0, 1, 2 }
    assert.same({ 1, 4, 3, 2 }, (v:argsort()):totable())
    assert.same({ 3, 1, 4, 2 }, (v:argsort(1, { descending = false })):totable())
  end)

  it("of no values gives none", function()
    assert.equal(0, #lu.zeros(0):argsort())
    assert.same({ 0, 3 }, (lu.zeros(0, 3):sort(2)):shape())
    assert.same({ 0, 2 }, lu.zeros(3, 2):nonzero():shape())
  end)

  it("ranks ties by their mean for Spearman", function()
    -- scipy.stats.spearmanr([1,2,2,3],[1,3,2,4]) = 0.9486833
    local r = lu.tensor({ 1, 2, 2, 3 }):spearman(lu.tensor { 1, 3, 2, 4 }):item()
    assert.is_true(math.abs(r - 0.9486833) < 1e-6)
  end)
end)


describe("an operator's attribute", function()
  it("of several numbers is a number or a list of them, and nothing else", function()
    local x = lu.range(1, 16):view(1, 1, 4, 4)
    assert.same({ 1, 1, 2, 2 }, x:avg_pool2d({ kernel = 2, stride = 2 }):shape())
    assert.same({ 1, 1, 4, 2 }, x:avg_pool2d({ kernel = { 1, 2 },
                                               stride = { 1, 2 } }):shape())
    for _, wrong in ipairs { "two", { 2, 2, 2 }, print, x } do
      assert.matches("avg_pool2d: 'kernel' wants a number or a list of at most 2",
                     t.message(x.avg_pool2d, x, { kernel = wrong }))
    end
    assert.matches("avg_pool2d: 'kernel' is a list of numbers",
                   t.message(x.avg_pool2d, x, { kernel = { 2, "x" } }))
  end)
end)


describe("softmax", function()
  it("stays finite wherever the largest value stands", function()
    for n = 2, 9 do
      for at = 1, n do
        local x, want, logs = lu.zeros(1, n), lu.zeros(1, n), lu.full(-1000, 1, n)
        x:set(1, at, 1000)
        want:set(1, at, 1)
        logs:set(1, at, 0)
        for dim = 1, 2 do
          local shape = dim == 1 and { n, 1 } or { 1, n }
          assert.is_true(x:reshape(shape):softmax(dim):same(want:reshape(shape)))
          assert.is_true(x:reshape(shape):log_softmax(dim):same(logs:reshape(shape)))
        end
        local two = lu.zeros(n, 2) -- abreast: a line's values are not side by side
        two:set(at, 1, 1000)
        assert.equal(1, two:softmax(1):get(at, 1))
        assert.near(1 / n, two:softmax(1):get(at, 2), 1e-7)
      end
    end
  end)
end)


describe("normalisations", function()
  -- a variance of 1e-6: sqrt(1e-6 + 1e-5) tells the usual eps from its neighbours
  it("add 1e-5 to a variance where nothing else is said", function()
    local want, x = 1e-3 / (1e-6 + 1e-5) ^ 0.5, lu.tensor { { 0, 2e-3 } }
    assert.near(want, x:layer_norm():get(1, 2), 1e-5)
    local one = lu.ones(1)
    local y = lu.tensor({ 1e-3 }):view(1, 1, 1, 1)
      :batch_norm(one * 0, one * 1e-6, one, one * 0)
    assert.near(want, y:item(), 1e-5)
  end)
end)
