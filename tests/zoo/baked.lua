-- Networks against every method of `lunette bake`, in ONNX Runtime and in our own engine:
--
--   LUNETTE_ORT=FOLDER/node_modules lua5.4 tests/zoo/baked.lua FILE.onnx|NAME...
--
-- NAME is an architecture of lu.models, full size, with weights from a formula.
--
-- A line for every map that is more than 1e-5 of its largest value away from ours, or
-- whose file changes an output: how far; how many of what is decided (masks, places of
-- largest values) is decided otherwise, and how far the maps are once those decisions are
-- imposed on ours; how far our map moves when the picture does by a rounding; how far
-- both are from float64. A line for every file that our own engine reads otherwise, and
-- for what ONNX's checker finds. A network's last line says how much its file grew at
-- most. Then the worst of every method. Exits with 1 where an output differs, the checker
-- refuses a file, or a difference is neither a decision's nor a rounding's.
local baked = require "tests.lua.baked"
local lu = require "lunette"
local ort = require "tests.lua.ort"

io.stdout:setvbuf "line"
lu.warn = function() end

local LIMIT = 1e-5

local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir " .. folder))
require "lunette.weights.cache".folder = function() return folder .. "/cache" end
local double, failed = ort.has_double(), false
local checker = os.execute "/usr/bin/python3 -c 'import onnx' 2> /dev/null"
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
  local off = baked.off(baked.map_of(job, got), job.want)
  local change = not job.report.anew and changed(plain, got) or nil
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


---The file as our own engine reads it: the network's output, and how far the map is.
local function check_own(name, net, x, job)
  local again, message = lu.load(job.model)
  if not again then
    failed = true
    return print(name, job.title, "our engine: " .. message)
  end
  local run = again:run(x)
  local map = run[job.report.maps[1]]:reshape { shape = job.want:shape() }
  local off, same = baked.off(map, job.want), run.output:same(net:run(x).output)
  if off <= LIMIT and same then return end
  local moves = baked.moves(net, x, job)
  failed = failed or not same or off > 4 * moves
  print(("%s\t%s\tour engine: map %.1e, output %s; a rounding of the picture moves %.1e")
    :format(name, job.title, off, same and "same" or "CHANGED", moves))
end


---One that is written anew is no longer its plain file with more in it.
local function check_files(name, plain, jobs)
  local list = {}
  if jobs[1].report.anew then plain = jobs[1].model end
  for i, job in ipairs(jobs) do list[i] = "'" .. job.model .. "'" end
  local said = io.popen(("/usr/bin/python3 tests/onnx/check.py '%s' %s"):format(plain,
    table.concat(list, " ")))
  for line in said:lines() do
    if not line:find "^checker" or line:find "newer" then print(name, line) end
  end
  failed = not said:close() or failed
end


---The largest growth, in percent, and of which method.
local function growth(jobs)
  local most, title = 0, nil
  for _, job in ipairs(jobs) do
    local r = job.report
    local grew = 100 * (r.bytes - r.plain_bytes) / r.plain_bytes
    if grew > most then most, title = grew, job.title end
  end
  return ("%.2g %% (%s) of %.1f MB"):format(most, title, jobs[1].report.plain_bytes / 1e6)
end


---The file of an architecture.
local function written(name)
  local path = ("%s/%s.onnx"):format(folder, name)
  assert(lu.export(assert(lu.net(lu.models[name]())):init(1), path))
  return path
end


for _, what in ipairs(arg) do
  local path = what:find "%.onnx$" and what or written(what)
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
  for i, job in ipairs(jobs) do
    check(name, net, x, job, found[1], found[i + 1])
    check_own(name, net, x, job)
  end
  if checker then check_files(name, path, jobs) end
  print(("%s\t%d maps; grew by at most %s"):format(name, #jobs, growth(jobs)))
  os.execute(("rm -r '%s'/*"):format(folder))
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
