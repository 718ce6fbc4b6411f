-- Every public function, given what it does not take: values of every kind at its
-- places, names misspelt, a dot for a colon and the reverse, arguments too many, what
-- became nil. Each ends in a message that names the caller's line, has no word of the
-- inside, and
-- says what to do. What is asked comes from the library's own lists, so that a new
-- function is asked too.
local exports = require "lunette.repl.exports"
local guard = require "lunette.base.guard"
local lu = require "lunette"
local unknown = require "lunette.repl.unknown"
local t = dofile "tests/lua/support.lua"

local net = t.net()
local x = t.input(net, 2)
local run = net:run(x, { modifiers = { "linear" } })
local folder, done = t.folder()
teardown(done)

---What a script may have at hand.
local names = { lu = lu, net = net, x = x, run = run, map = lu.saliency(run),
                canvas = lu.canvas { columns = 2 }, score = lu.score.unit("conv1", 1),
                t = lu.tensor { { 1, 2, 3 }, { 4, 5, 6 } }, list = { 1, 2 },
                plain = { a = 1 }, count = 5 }

---What nothing of the library says to a person.
local inside = { "bad argument", "bad self", "upvalue", "field '%?'", "newindex",
                 "lua/lunette/", "%(temporary", "a fault inside", "light userdata",
                 "lunette%.%l[%w_]* expected", "got lunette%.", "stack overflow",
                 "no value%)", "index metamethod", "a Lua function" }

---What tells somebody what to do: a remedy after a semicolon, what is expected, which
---names there are, both sizes.
local remedies = {
  ";", "should be", "expected", "takes", "did you mean", "options:", "call it with",
  "wants?%f[%W]", "wanted", "needs?%f[%W]", "needed", "outside", "is missing",
  "are missing", "must be", "there is", "there are", "it has:", "options have names",
  "comes first", "is a ", "are a ", "is an ", "is one ", "is four numbers", "are {",
  "is {", "an index, {}", "from %d", "is empty", "an empty", "no rows", "no pictures",
  "not a %.npy file", "run with", "is none of", "at most", "at least", "more than",
  "a shape has", "give either", "is not 1", "differ", "fit", "does not expand",
  "of 1 to", "pieces of", "ragged", "%([%d, ]+%).*%([%d, ]+%)",
  "has %d+ columns.* has %d+ rows", "%d+ elements.* has %d+", "a dot, no colon",
  "No such file", "%(N,C,H,W%)", "%(N,H,W%)", "has shape .* %d+ ",
  "%d+ numbers? for %d+", "side of %d+ in", "written like", "holds numbers",
  "is not an image", "is not a score", "impossible tensor shape",
}

local telling = false -- no time is counted then

local function told(message)
  if type(message) ~= "string" then return message end
  telling = true
  message = unknown.told(message)
  telling = false
  return message
end

---As globals, where a script's are; those that were there come back.
local before = {}
setup(function()
  for name, value in pairs(names) do before[name], _G[name] = _G[name], value end
end)
teardown(function()
  for name in pairs(names) do _G[name] = before[name] end
end)


---Runs a line of a script; "raised" or "said" (nil, message) and the message; nil where
---it did something. What takes long is stopped: it is being done.
local function try(code)
  code = code:gsub("^return (.*)$", "local a, b = %1 return a, b") -- no tail call
  unknown.sources["@mine.lua"] = "\n" .. code
  local f = assert(load("\n" .. code, "@mine.lua", "t"))
  local start, at_error, running = os.clock(), guard.at_error, true
  local ok, first, second
  guard.at_error = told
  debug.sethook(function()
    if running and not telling and os.clock() - start > 0.02 then
      running = false -- it raises once, and nothing behind the call
      error("long", 0)
    end
  end, "", 1000)
  local ended = pcall(t.warnings, function()
    ok, first, second = xpcall(f, told)
    running = false
  end)
  running = false
  debug.sethook()
  guard.at_error, telling = at_error, false
  if not ended then return nil end
  if ok then
    local said = first == nil and type(second) == "string"
    return said and "said" or nil, said and second or nil
  end
  if tostring(first):find "long$" then return nil end
  return "raised", tostring(first)
end


---What is wrong with the message of a mistake, or nil.
local function fault(how, message)
  if how == "raised" and message:sub(1, 12) ~= "mine.lua:2: " then
    return "not the caller's line"
  end
  for _, words in ipairs(inside) do
    if message:find(words) then return "words of the inside" end
  end
  if message:find "attempt to" and not message:find ";" then
    return "Lua's own words"
  end
  for _, words in ipairs(remedies) do
    if message:find(words) then return nil end
  end
  return "no remedy"
end


local values = { "", "5", "'abc'", "{}", "true", "net", "x", "type", "nothing", "run",
                 "-1", "1.5", "{ 'abc' }", "{ bogus = 1 }", "map", "score" }
local pairs_of = { "net, 'abc'", "net, nothing, 3", "net, { bogus = 1 }", "run, 5",
                   "run, { bogus = 1 }", "run, 'abc'", "x, 'abc'", "x, net",
                   "x, { bogus = 1 }", "map, 5", "map, { 1 }", "map, run, 'abc'",
                   "'conv1', net", "'conv1', true", "2, 'abc'",
                   "x, 1, 2, 3, 4, 5, 6, 7, 8, 9" }
local owners = { net = "net", run = "run", score = "score", canvas = "canvas",
                 tensor = "t" }

---What writes, prints, ends or releases, and lists of architectures.
local function is_left_out(name)
  return name:find "^core" or name:find "^lu%.models%." or name:find ":release$"
    or name:find "save" or name:find "export" or name:find "write"
    or name:find "show" or name == "net:init"
    or ({ ["lu.warn"] = 1, ["lu.progress"] = 1, ["lu.cli"] = 1, ["lu.notebook"] = 1,
          ["lu.names"] = 1, ["lu.audit"] = 1, ["lu.threads"] = 1, ["lu.memory"] = 1,
          ["lu.memory_limit"] = 1, ["lu.report"] = 1, ["lu.bake"] = 1 })[name]
end


---{ "lu.score", ".", "unit" } for every function that people call, by its owner.
local function functions()
  local groups = {}
  for _, y in ipairs(exports.list()) do
    local is_called = type(y.value) == "function"
      or (debug.getmetatable(y.value) or {}).__call
    local class, method = y.name:match "^(%w+):(.*)$"
    local owner, short = y.name:match "^(.*)%.([%w_]+)$"
    local f = owners[class] and { owners[class], ":", method }
      or owner and { owner, ".", short }
    if f and is_called and not is_left_out(y.name) then
      groups[f[1]] = groups[f[1]] or {}
      table.insert(groups[f[1]], f)
    end
  end
  return groups
end


---Lines of script with a mistake, for a function.
local function mistakes(f)
  local list, whole = {}, table.concat(f)
  local other = f[2] == ":" and "." or ":"
  local function add(format, ...) list[#list + 1] = format:format(...) end
  for _, v in ipairs(values) do add("return %s(%s)", whole, v) end
  for _, v in ipairs(pairs_of) do add("return %s(%s)", whole, v) end
  -- what writes in place is not given the input of the run
  add("return %s%s%s(%s)", f[1], other, f[3], f[1] == "t" and "map" or "x")
  if #f[3] > 4 then
    add("return %s%s%s(x)", f[1], f[2], f[3]:sub(1, 2) .. f[3]:sub(4))
  end
  return list
end


describe("a mistake with", function()
  for owner, list in pairs(functions()) do
    it("the functions of " .. owner, function()
      local wrong, seen, raised = {}, {}, 0
      for _, f in ipairs(list) do
        for _, code in ipairs(mistakes(f)) do
          local how, message = try(code)
          raised = raised + (how and 1 or 0)
          local what = how and fault(how, message)
          local key = what and what .. message:gsub("%d", "")
          if what and not seen[key] then
            seen[key] = true
            wrong[#wrong + 1] = ("%s: %s\n    %s"):format(what, code, message)
          end
        end
      end
      assert.is_true(raised > #list * 5, "few mistakes are told: " .. raised)
      assert(#wrong == 0, table.concat(wrong, "\n"))
    end)
  end
end)


describe("a mistake that Lua finds", function()
  ---{ line of script, what the message says }
  local lines = {
    { "for row in t do print(row) end", "for i = 1, t:dim%(1%) do local row = t%[i%]" },
    { "for v in list do print(v) end", "for i, value in ipairs%(list%) do" },
    { "for name in plain do print(name) end", "for name, value in pairs%(plain%) do" },
    { "for layer in net do print(layer) end", "ipairs%(net:layers%(%)%)" },
    { "for i in count do print(i) end", "for i = 1, count do" },
    { "return lu.image 'hen.jpg'", "functions: lu.image.animate, .*lu.image.load" },
    { "return plain(1)", "it is a table: plain%[1%], plain.NAME" },
    { "return lu.tensor(1, 2, 3)", "takes 1 argument, got 3: one list" },
    { "t[1] = { 1, 2 }", "y should be a tensor or a number, got a table; lu.tensor%(" },
    { "return t + {}", "x %+ y: y should be a tensor or a number, got a table" },
    { "return 'a' * t", "mul of a text, 'a', and a tensor; tonumber" },
    { "return t.sum('a')", "a method is called with a colon: x:sum%(" },
    { "return run:top(1).name", "whose entries have it: %[1%]%[1%].name" },
    { "return lu.CategoricalScore(3)", "here it is score = 3" },
    { "return lu.gradcam_plus_plus(run)", "here it is lu.gradcam_pp" },
    { "return lu.load_images { 'a.jpg' }", "here it is net:images" },
    { "canvas:add_row('a', x)", "did you mean 'row'" },
    { "return lu.canvas { cols = 2 }", "did you mean 'columns'" },
    { "return lu.lrp(run, { rule = 'a' })", "did you mean 'composite'" },
    { "return lu.saliency(run, { smooth_noise = 20 })", "from 0 to 5, got 20" },
    { "return lu.method { name = 'm', explain = print }", "draws is missing" },
    { "return lu.modifier { name = 'm', on = 'relu', backwards = print }",
      "there is no 'backwards'; did you mean 'backward'" },
    { "return lu.modifier { name = 'm', on = 'relu', rule = type, takes = { by = 1 } }",
      'takes is a list of names with defaults, { { "by", 0.5 } }' },
    { "return model(x)", "net:run%(x%)" },
  }
  for _, line in ipairs(lines) do
    it(line[1], function()
      local how, message = try(line[1])
      assert.equal("raised", how)
      assert.is_nil(fault(how, message), message)
      assert.matches(line[2], message)
    end)
  end

  it("after lines that made it so: fewer values than names, no call", function()
    local function script(text)
      t.spit(folder .. "/mine.lua", 'local lu = require "lunette"\n'
             .. "local t = lu.ones(2, 3)\n" .. text)
      local _, said = t.program(folder .. "/mine.lua")
      return said
    end
    assert.matches("mine.lua:4: .*t:shape gives one list, so that 'w' is nil "
                   .. "%(line 3%); table.unpack",
                   script "local h, w = t:shape()\nprint(w * 2)")
    assert.matches("mine.lua:4: .*line 3: it is a method: t:shape%(%)",
                   script "local n, m = t.shape\nprint(n * 2)")
    assert.matches("mine.lua:3: .*'nothing' is nil here",
                   script "for _, v in ipairs(nothing) do print(v) end")
    assert.matches("mine.lua:3: .*a script begins with: local lu = require",
                   script "do local lu = nil print(lu.load) end")
  end)
end)
