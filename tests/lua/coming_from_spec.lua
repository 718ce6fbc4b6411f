-- docs/coming_from.md: every line of its tables is run, and gives the toolkit's value.
local lu = require "lunette"

local folder = os.getenv "LUNETTE_SHARED" or "../shared"
local files = { folder .. "/golden/tiny_vgg.safetensors",
                folder .. "/golden/tiny_vgg_2.safetensors" }
local PREFIX = "car_1/9/"


---The reference values by key, of both files.
local function reference()
  local found = {}
  for _, path in ipairs(files) do
    local weights = assert(lu.core.weights(path))
    for i, entry in ipairs(weights:list()) do
      found[entry.name] = function() return assert(weights:tensor(i)) end
    end
  end
  return found
end


---Lines of the page's tables with a call of ours and a key.
local function lines()
  local list = {}
  for line in io.lines "docs/coming_from.md" do
    local ours, key = line:match "| `(lu%.[^`]*)` | `([^`]*)` |$"
    if ours then list[#list + 1] = { ours = ours, key = key } end
  end
  return list
end


describe("coming from other toolkits", function()
  local net = require("lfs").attributes(files[1]) and lu.load "tiny_vgg"
  if not net then
    pending "needs the reference material"
    return
  end
  local given = reference()
  local run = net:run(given["car_1/input"](), { modifiers = { "linear" } })

  for _, line in ipairs(lines()) do
    it(line.key .. " is " .. line.ours, function()
      local call = assert(load("return " .. line.ours, "=page", "t",
                               { lu = lu, run = run }))
      local map, want = call(), given[PREFIX .. line.key]()
      assert.equal(want:size(), map:size(), table.concat(map:shape(), ","))
      -- 1e-3 is what the reference's own rounding of a relu's sign may cost
      local d = map:view(map:size()):distance(want:view(want:size()))
      assert.is_true(d < 1e-3, ("%s: relative distance %.1e"):format(line.key, d))
    end)
  end

  it("has lines for every toolkit", function() assert.is_true(#lines() >= 32) end)
end)
