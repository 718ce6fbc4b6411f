-- Every option of every method with values that nobody means: an answer, or an error in
-- words that name the option or what it is about; never one of the library's own lines.
local core = require "lunette.core"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local nan, huge = 0 / 0, math.huge

---Values by what they are; of large counts so many copies may be asked for.
local values = {
  numbers = { 0, -1, 0.5, 2 ^ 31, math.maxinteger, math.mininteger, huge, nan, 1e300,
              1e-300 },
  others = { "", "0", "9999999999T", "\27[31mred", true, false, function() end, {},
             { {} }, { nan }, { -1, 3 }, { a = 1 }, core.uniform(1, 0, 2, 2),
             core.uniform(1, 0, 1, 3, 12, 12) },
}

---Few samples, for all methods.
local few = { samples = 2, count = 4, steps = 2, segments = 2, max_sigma = 2,
              window = 6, stride = 6, designs = 2, cells = 2, min_diff = 2, dilate = 0,
              exact = 4,
              evals = 8, cell = 4, levels = 2, concepts = 2, batch = 2 }

---Words by which a message says what it is about, where that is not the option's name.
local about = { score = { "class", "score" }, classes = { "class", "score" },
                baselines = { "baseline" }, index = { "baseline" },
                modifiers = { "modifier" } }


---How many methods have an option of that name.
local having = {}
for _, row in pairs(lu.methods) do
  for key in pairs(row.options) do having[key] = (having[key] or 0) + 1 end
end


---Ends a call that takes long: what was asked for is really being done. The clock may
---also run out once the call has ended, before the hook is taken away: the outer pcall.
local function limited(f, ...)
  local start = os.clock()
  debug.sethook(function()
    if os.clock() - start > 0.03 then error("long", 0) end
  end, "", 5000)
  local ended, ok, message = pcall(function(...)
    local ok, message = pcall(f, ...)
    debug.sethook()
    return ok, message
  end, ...)
  if ended then return ok, message end
  debug.sethook()
  return false, ok
end


---What is wrong with a message; nil: nothing.
local function fault(name, key, message)
  for _, words in ipairs { "attempt to", "bad argument", "lunette/[%w_/]+%.lua:%d",
                           "integer representation", "stack overflow" } do
    if message:find(words) then return message end
  end
  if #message > 5000 then return "a message of " .. #message end
  for _, word in ipairs { key, name, table.unpack(about[key] or {}) } do
    if message:find(word, 1, true) then return nil end
  end
  return message
end


describe("hostile values of an option", function()
  local net, x = t.net(), core.normal(3, 0, 1, 3, 12, 12)
  local vit = assert(lu.net(lu.models.vit_b_32 { side = 64, depth = 1, width = 8,
    inner = 8, heads = 2, classes = 3 })):init(1)
  local patches = core.normal(3, 0, 1, 3, 64, 64)
  local names = {}
  for name in pairs(lu.methods) do names[#names + 1] = name end
  table.sort(names)

  ---Options with which a method is quick, and the one that is tried.
  local function options_of(row, key, value)
    local opts = {}
    for k, v in pairs(few) do
      if row.options[k] then opts[k] = v end
    end
    if row.options.progress then opts.progress = false end
    if row.options.score and key ~= "classes" and key ~= "top" then opts.score = 1 end
    opts[key] = value
    return opts
  end

  local function try(name, row, key, value)
    local opts, attends = options_of(row, key, value), row.family == "attention"
    local ok, message = limited(row, attends and vit or net, attends and patches or x,
                                opts)
    message = tostring(message)
    local wrong = not ok and message ~= "long" and fault(name, key, message)
    if wrong then -- (the text of a tensor is long work)
      error(("%s %s = %s: %s"):format(name, key,
        tostring(value):gsub("%c", "?"):sub(1, 40), wrong))
    end
  end

  ---Values for an option of the n-th method: all, or of an option that ten methods or
  ---more have a quarter, another one for each of four methods.
  local function values_for(key, option, n)
    local step, list = having[key] < 10 and 1 or t.sanitized and 8 or 4, {}
    local function add(part)
      for i, value in ipairs(part) do
        local writes = key == "checkpoint" and type(value) == "string"
        if not writes and (n + i) % step == 0 then list[#list + 1] = value end
      end
    end
    if option.type ~= "flag" then add(values.numbers) end
    add(values.others)
    return list
  end

  for n, name in ipairs(names) do
    it("of " .. name .. " are refused in words, or do", function()
      local row = lu.methods[name]
      t.warnings(function()
        for key, option in pairs(row.options) do
          for _, value in ipairs(values_for(key, option, n)) do
            try(name, row, key, value)
          end
        end
      end)
    end)
  end
end)
