-- What the trust line says of methods whose faults are known: scenes with one object
-- and with two, and how many maps pass each check, are in doubt, or fail.
local lu = require "lunette"

local args = lu.cli { "trust.lua", model = "glyphs", count = 12, seed = 3000 }
local net = assert(lu.load(args.model))
local checks = { "class", "weights", "pixels", "steady" }
local places = { pass = 1, weak = 2, fail = 3 }


---A method under a backward rule.
local function ruled(method, rule)
  return { name = method .. " " .. rule, trust = function(run, labels)
    local map = lu[method](run, { modifiers = { "linear", rule }, score = labels })
    return map:trust()
  end }
end


---A map that knows nothing of the network.
local function control(name)
  local function make(run) return lu.control(name, run) end
  return { name = "control " .. name, trust = function(run, labels)
    return make(run):trust(run, { method = make, score = labels })
  end }
end


---How many maps get which verdict: "passed/doubtful/failed" a check.
local function counted(report)
  local cells = {}
  for k, check in ipairs(checks) do
    local count = { 0, 0, 0 }
    for _, list in ipairs(report.images) do
      for _, c in ipairs(list) do
        local at = c.name == check and places[c.verdict]
        if at then count[at] = count[at] + 1 end
      end
    end
    cells[k] = table.concat(count, "/")
  end
  return table.concat(cells, " | ")
end


print("| map | objects | " .. table.concat(checks, " | ") .. " |")
print "|---|---:|---|---|---|---|"
for objects = 1, 2 do
  local scenes = lu.glyphs.scenes { n = args.count, seed = args.seed,
                                    objects = objects }
  local run = net:run(lu.glyphs.input(scenes.images))
  for _, row in ipairs { ruled("saliency", "vanilla"), ruled("saliency", "guided"),
      ruled("saliency", "rectified"), ruled("gradcam", "vanilla"),
      ruled("gradcam", "guided"), ruled("gradcam", "rectified"), control "edges",
      control "random" } do
    print(("| %s | %d | %s |"):format(row.name, objects,
      counted(row.trust(run, scenes.labels))))
  end
end
