-- Networks against every method of `lunette bake`, in ONNX Runtime:
--
--   LUNETTE_ORT=FOLDER/node_modules lua5.4 tests/zoo/baked.lua FILE.onnx...
--
-- A line for every map that is more than 1e-5 of its largest value away from ours, or
-- whose file changes an output: how far; how many of what is decided (masks, places of
-- largest values) is decided otherwise, and how far the maps are once those decisions are
-- imposed on ours; how far our map moves when the picture does by a rounding; how far
-- both are from float64. Then the worst of every method. Exits with 1 where an output
-- differs, or a difference is neither a decision's nor a rounding's.
local baked = require "tests.lua.baked"
local lu = require "lunette"
local ort = require "tests.lua.ort"

io.stdout:setvbuf "line"

local LIMIT = 1e-5

local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir " .. folder))
local double, failed = ort.has_double(), false
local worst = {}


---What differs between the outputs of a plain file and of one with maps.
local function changed(plain, got)
  for key, v in pairs(plain) do
    if key ~= "ms" and not (got[key] and got[key]:same(v)) then
      return ("%s %.1e away"):format(key, got[key] and got[key]:distance(v) or 1)
    end
  end
end


---Why a map is further away than the limit.
local function reasons(net, x, job, got)
  local shown, text = baked.shown(folder, net, x, job, LIMIT)
  failed = failed or not shown
  if double then
    text = text .. ("; from float64 %.1e, theirs %.1e"):format(baked.from_double(folder,
      job, got))
  end
  return shown and text or text .. "  NOT SHOWN"
end


local function check(name, net, x, job, plain, got)
  if got.error then
    failed = true
    return print(name, job.title, got.error)
  end
  local off, change = baked.off(baked.map_of(job, got), job.want), changed(plain, got)
  local w = worst[job.title] or { off = -1, over = 0, n = 0 }
  if off > w.off then w.off, w.name = off, name end
  w.n, w.over = w.n + 1, w.over + (off > LIMIT and 1 or 0)
  worst[job.title] = w
  failed = failed or change ~= nil
  if change or off > LIMIT then
    print(("%s\t%s\t%.1e\t%s%s"):format(name, job.title, off, change or "",
      off > LIMIT and reasons(net, x, job, got) or ""))
  end
end


for _, path in ipairs(arg) do
  local name, net = path:match "[^/]*$", assert(lu.load(path))
  local x, inputs, why = baked.fed(net)
  local jobs = baked.jobs(folder, net, x, inputs)
  local list = { { model = path, inputs = inputs } }
  for _, job in ipairs(jobs) do
    list[#list + 1] = job
    if job.report.anew and not why then
      print(name, job.title, "written anew: " .. job.report.anew)
    end
  end
  if why then print(name, "written anew: " .. why) end
  local found = ort.run(folder, list)
  for i, job in ipairs(jobs) do check(name, net, x, job, found[1], found[i + 1]) end
  print(("%s\t%d maps"):format(name, #jobs))
end
os.execute("rm -r " .. folder)

print "\n| method | networks | above 1e-5 | worst | of |\n|---|---|---|---|---|"
for _, case in ipairs(baked.cases) do
  local w = worst[case[1]]
  if w then
    print(("| %s | %d | %d | %.1e | %s |"):format(case[1], w.n, w.over, w.off, w.name))
  end
end
os.exit(not failed)
