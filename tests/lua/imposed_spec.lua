-- How much of a full-size gradient's error is arithmetic: VGG16 in float64 with the
-- engine's relu and pooling decisions (tests/imposed.py) against the engine.
local lu = require "lunette"
local core = require "lunette.core"
local t = dofile "tests/lua/support.lua"

local build = os.getenv "LUNETTE_BUILD" or "build/release"
-- The engine's arithmetic alone measures 5e-6 (guided 5e-7). A decision that differs
-- from the reference's costs about 1e-3, a wrong term far more.
local LIMIT = 2e-5
local RULES = { "vanilla", "guided", "rectified" }


-- A smooth random picture, as bright as a preprocessed photograph.
local function scene()
  return core.normal(1, 1, { 1, 3, 14, 14 }):resize(224, 224) * 60
    + core.normal(1, 2, { 1, 3, 224, 224 }) * 10
end


local function save_run(run, folder)
  for _, layer in ipairs(run.net:layers "conv2d") do
    t.spit(folder .. "/" .. layer.name .. ".f32", run[layer.name]:bytes())
  end
  for _, name in ipairs { "fc1", "fc2" } do
    t.spit(folder .. "/" .. name .. ".f32", run[name]:bytes())
  end
  for _, rule in ipairs(RULES) do
    local g = run:gradient { score = 8, modifiers = { rule } }
    t.spit(folder .. "/" .. rule .. ".f32", g:bytes())
  end
end


describe("the gradient of full-size VGG16", function()
  it("differs from float64 by 2e-5 at most once decisions are equal", function()
    for _, slow in ipairs { "san", "debug", "coverage" } do
      if build:find(slow) then return pending "takes minutes in this build" end
    end
    local weights = t.formula_weights(1)
    local folder, done = t.folder()
    finally(done)
    local run <close> = assert(lu.load(weights)):run(scene(),
      { modifiers = { "linear" } })
    save_run(run, folder)
    local code, text = t.other(("/usr/bin/python3 tests/imposed.py '%s' '%s' 8 %s")
      :format(weights, folder, table.concat(RULES, " ")))
    assert.equal(0, code, text)
    for _, rule in ipairs(RULES) do
      local distance = tonumber(text:match(rule .. " (%S+)"))
      assert.is_true(distance > 0 and distance <= LIMIT, text)
    end
  end)
end)
