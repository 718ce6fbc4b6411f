-- What is exported, what the stub and the doc comments say, and what the reference
-- lists are the same, in both directions.
local core = require "lunette.core"
local docs = require "lunette.repl.docs"
local exports = require "lunette.repl.exports"
local help = require "lunette.repl.help"
require "lunette.repl.session" -- whose commands are exports too
local terminal = require "tests.lua.terminal"


local function stub_entries()
  local found = {}
  for _, e in ipairs(docs.all().list) do
    if e.module == "lunette.core" and e.kind == "function" then found[e.name] = e end
  end
  return found
end


---Methods of a C class, by their public metatable.
local function methods_of(object)
  local meta = debug.getmetatable(object)
  return type(meta.__index) == "table" and meta.__index or {}
end


---Everything that the C part exports, as the stub names it.
local function c_names()
  local names = {}
  local function add(prefix, t)
    for key, v in pairs(t) do
      local public = type(v) == "function" and not key:find "^__"
      if public then names[prefix .. key] = true end
    end
  end
  add("core.", core)
  add("core.image.", core.image)
  add("core.json.", core.json)
  add("Tensor:", core.methods)
  add("Tape:", methods_of(core.tape()))
  add("Image:", methods_of(core.image.new(1, 1)))
  local path = os.tmpname()
  assert(core.write_weights(path, { { "a", core.zeros(1) } }, "f32"))
  add("Weights:", methods_of(assert(core.weights(path))))
  os.remove(path)
  add("Process:", methods_of(assert(core.spawn("/bin/true", {}))))
  names["Node:forward"] = true -- its __index is a function, by key
  names["Node:backward"] = true
  return names
end


---Methods of tensors that are Lua, with doc comments of their own.
local function is_lua(name)
  local f = core.methods[name:match "^Tensor:(.*)$" or ""]
  return f and debug.getinfo(f, "S").what ~= "C"
end


describe("the stub of the C part", function()
  it("has every function that is exported", function()
    local stub = stub_entries()
    for name in pairs(c_names()) do
      assert.truthy(is_lua(name) or stub[name], name .. " is not in the stub")
    end
  end)

  it("has nothing else", function()
    local real = c_names()
    for name in pairs(stub_entries()) do
      assert.truthy(real[name], name .. " is in the stub only")
    end
  end)

  it("says of operators what the engine says", function()
    local stub = stub_entries()
    for name in pairs(core.ops) do
      local e = stub["Tensor:" .. name]
      assert.truthy(e, name .. " is not in the stub")
      local text = e.text:gsub("%s+", " ")
      assert.equal((core.op_info(name).doc:gsub("%s+", " ")), text)
    end
  end)

  it("has operators and methods of tensors alike", function()
    for name, f in pairs(core.ops) do assert.equal(f, core.methods[name]) end
  end)
end)


---Arguments of a definition, without the object that a method is called on.
local function arguments(x, e)
  local list = {}
  for name in (e.args or ""):gmatch "[%w_%.]+" do list[#list + 1] = name end
  local is_method = x.name:find ":" and not e.name:find ":"
  if is_method and list[1] ~= (e.params[1] or {}).name then table.remove(list, 1) end
  return list
end


---Does a function of a Lua file end with a result?
local function gives(f)
  local info, at = debug.getinfo(f, "S"), 0
  if not info.source:find "^@" then return false end
  for line in io.lines(info.source:sub(2)) do
    at = at + 1
    if at > info.linedefined and at < info.lastlinedefined
       and line:find "^  return [^%s]" and not line:find "^  return nil$" then
      return true
    end
  end
  return false
end


describe("doc comments", function()
  it("describe every exported function", function()
    for _, x in ipairs(exports.list()) do
      if type(x.value) == "function" and not x.name:find "^core%.ops" then
        local e = help.entry_of(x)
        assert.truthy(e, x.name .. " has no doc comment")
        assert.truthy(e.text:find "%S", x.name .. " has no description")
      end
    end
  end)

  it("say what every row of the library is, and what functions return", function()
    local behind = require("lunette.base.strict").behind
    for _, x in ipairs(exports.list()) do
      local e = not x.name:find "^core" and help.entry_of(x)
      if e and docs.is_row(x.value) then
        assert.truthy(e.text:find "%S", x.name .. " has no description")
      elseif e and type(x.value) == "function"
             and gives(behind(docs.real(x.value))) then
        assert.truthy(#e.returns > 0, x.name .. " has no ---@return")
      end
    end
  end)

  it("name the parameters that there are", function()
    for _, x in ipairs(exports.list()) do
      local e = type(x.value) == "function" and help.entry_of(x)
      for i, name in ipairs(e and arguments(x, e) or {}) do
        assert.equal(name, (e.params[i] or {}).name, x.name)
      end
    end
  end)

  it("give every method a caveat and an example", function()
    local lu = require "lunette"
    for name, row in pairs(lu.methods) do
      local e = docs.of_row(row)
      assert.equal(name, row.name)
      assert.equal(row, lu[name])
      assert.truthy(e.text:find "%S", name .. " has no description")
      assert.truthy(e.caveat, name .. " has no caveat")
      assert.truthy(e.example, name .. " has no example")
    end
  end)

  it("say what every option of a row means", function()
    local lu = require "lunette"
    for _, rows in ipairs { lu.methods, lu.metrics } do
      for name, row in pairs(rows) do
        for key, option in pairs(row.options) do
          assert.truthy(option.text:find "%S", ("%s: %s is not explained"):format(name,
                                                                                 key))
        end
      end
    end
  end)
end)


describe("the reference", function()
  if terminal.shell "command -v ldoc >/dev/null" ~= 0 then
    pending "needs ldoc"
    return
  end

  local dir, done = terminal.folder()
  teardown(done)

  setup(function()
    local code, text = terminal.shell((
      "%s docs/reference.lua %s/in && env -u LUA_PATH_5_4 ldoc -q -c config.ld "
      .. "-d %s/out %s/in 2>&1"):format(terminal.program, dir, dir, dir))
    assert.equal(0, code, text)
  end)

  ---The functions that the page of LDoc lists.
  local function listed(page)
    local f = io.open(("%s/out/modules/%s.html"):format(dir, page))
    local text = f and f:read "a" or ""
    if f then f:close() end
    local names = {}
    for name in text:gmatch '<dt>%s*<a name = "([^"]+)"></a>' do names[name] = true end
    return names
  end

  local function check(page, pattern, methods)
    local names, count = listed(page), 0
    for _, x in ipairs(exports.list()) do
      local here = x.name:find(pattern) or methods and x.name:find(methods)
      if here and help.entry_of(x) then
        assert.truthy(names[x.short], ("%s is not on page %s"):format(x.name, page))
        names[x.short] = nil
        count = count + 1
      end
    end
    assert.is_nil(next(names), page .. " lists what is not exported: "
                  .. tostring(next(names)))
    assert.is_true(count > 0)
  end

  it("lists what is exported, and nothing else", function()
    check("lunette", "^lu%.[%w_]+$")
    check("net", "^net:")
    check("run", "^run:")
    check("tensor", "^tensor:")
    check("canvas", "^canvas:")
    check("core", "^core%.[%w_]+$")
    check("score", "^lu%.score%.", "^score:")
    check("modifiers", "^lu%.modifiers%.")
  end)
end)

describe("help", function()
  it("has a page for every name that it may suggest", function()
    for _, x in ipairs(exports.list()) do
      assert.truthy(help.text(x.short), x.name .. " has no page as '" .. x.short .. "'")
    end
  end)
end)
