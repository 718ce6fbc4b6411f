---`lunette sweep`: many pictures with many methods, in shards that may run anywhere, in
---any order, be killed and go on.
local cli = require "lunette.commands.cli"
local core = require "lunette.core"
local files = require "lunette.base.files"
local limits = require "lunette.commands.limits"
local text = require "lunette.base.text"


local fail = cli.failing "lunette sweep"


local function parser()
  local p = cli.parser("lunette sweep", "Explains a list of pictures, or a shard of "
    .. "it. Results that are there and verify are not made again.")
  p:option("--list", "a file of paths, one a line; - is standard input"):count(1)
  p:option("-o --out", "folder, the same for all shards"):count(1)
  p:option("--script", "a Lua file that returns a table: methods, layers, classes ...")
  p:option("-m --model", "installed model, or a model file (default: vgg16)")
  p:option("--method", "a method (may be repeated; default gradcam)"):count "*"
  p:option("-l --layer", "a layer (may be repeated)"):count "*"
  p:option("-c --class", "a class id or name (may be repeated; default: the most "
           .. "probable)"):count "*"
  p:option("--modifier", "backward rule (may be repeated)"):count "*"
  p:option("--shard", "I/N: pictures I, I+N, I+2N ... of the list, I from 0")
    :default "0/1"
  p:option("--threads", "threads (default: SLURM_CPUS_PER_TASK, or the cores of this "
           .. "process)"):convert(tonumber)
  p:option("--mem", "memory that tensors should stay below: 800M, 2G")
  p:option("--deadline", "stop after 90s, 55m or 2h, with exit code 75")
  p:flag("--print-slurm", "print a job file for sbatch with N shards, and do nothing")
  p:flag("--print-parallel", "print a script for GNU parallel, and do nothing")
  p:option("--workers", "shards at a time (--print-parallel)"):default(4)
    :convert(tonumber)
  return p
end


---A number with a unit; nil where it is none.
local function measure(word, units)
  local n, unit = word:match "^([%d.]+)(%a?)$"
  n = tonumber(n)
  local times = units[unit or ""]
  return n and times and n > 0 and n * times or nil
end

local seconds = { [""] = 1, s = 1, m = 60, h = 3600 }


---Turns what was typed into numbers; a message where it is none.
local function read_numbers(o)
  local i, n = o.shard:match "^(%d+)/(%d+)$"
  o.i, o.n = math.tointeger(tonumber(i)), math.tointeger(tonumber(n))
  if not o.i or not o.n or o.i >= o.n then
    return ("--shard %s: I/N with I from 0 to N - 1"):format(o.shard)
  end
  o.seconds = o.deadline and measure(o.deadline, seconds)
  if o.deadline and not o.seconds then
    return ("--deadline %s: 90s, 55m or 2h"):format(o.deadline)
  end
  if o.out == "" then return "--out is empty: give a folder" end
  local message
  o.bytes, message = limits.bytes(o.mem)
  return message
end


---A list that may stand for nothing.
local function given(list) return #list > 0 and list or nil end


---The table that says what is computed: the script's, with what was typed over it.
local function spec_of(o)
  local spec, message = {}, nil
  if o.script then spec, message = require("lunette.sweep.plan").read(o.script) end
  if not spec then return nil, message end
  spec.model = o.model or spec.model
  spec.methods = given(o.method) or spec.methods
  spec.layers = given(o.layer) or spec.layers
  spec.classes = given(o.class) or spec.classes
  spec.modifiers = given(o.modifier) or spec.modifiers
  return spec
end


---The network and the checksum of its file.
---@return lunette.Net? net, string? message, string? sum
local function network(spec)
  local name = spec.model or "vgg16"
  local net, message = require("lunette.weights.load").load(name)
  if not net then return nil, message end
  local sums
  sums, message = require("lunette.weights.import.program").digests(net.path,
    { "sha256" })
  if not sums then return nil, message end
  return net, nil, sums.sha256
end


---Writes a file that every shard of the sweep writes alike; a message where another is
---there.
local function agree(path, whole)
  local there = files.read(path)
  if there == whole then return true end
  if there then
    return nil, path .. " is of another sweep: another list, model, method or version; "
      .. "give another --out"
  end
  return files.write(path, whole)
end


---The words of this call without those that a job file sets.
local function words_for_scripts(args)
  local words, skip = { "sweep" }, false
  local with_value = { ["--shard"] = true, ["--workers"] = true, ["--threads"] = true }
  for _, word in ipairs(args) do
    if skip then
      skip = false
    elseif with_value[word] then
      skip = true
    elseif not word:find "^%-%-print%-" and not word:find "^%-%-shard="
       and not word:find "^%-%-workers=" and not word:find "^%-%-threads=" then
      words[#words + 1] = word
    end
  end
  return words
end


---The program by its path: in a checkout beside lua/, or as the shell finds it.
local function program()
  local root = debug.getinfo(1, "S").source:match "^@(.*)/lua/lunette/commands/"
  local path = root and root .. "/lunette"
  if not path or not files.exists(path) then return "lunette" end
  return path:find "^/" and path or require("lfs").currentdir() .. "/" .. path
end


local function print_script(o, args)
  local scripts = require "lunette.sweep.scripts"
  local write = o.print_slurm and scripts.slurm or scripts.parallel
  io.stdout:write(write {
    program = program(), words = words_for_scripts(args), out = o.out, shards = o.n,
    threads = o.threads or 1, mem = o.mem or "2G", workers = o.workers or 4 })
  return 0
end


---What a shard's end means.
local function finish(o, counts, what, message)
  text.say(("shard %d/%d: %d made, %d there, %s"):format(o.i, o.n, counts.made,
    counts.there, text.count(counts.errors, "error")))
  if what == "stopped" and message == "interrupted" then return fail(130, message) end
  if what == "stopped" then
    return fail(75, ("stopped by %s; run it again to go on"):format(message))
  end
  if what then return fail(what == "write" and 74 or 75, message) end
  return counts.errors > 0 and 3 or 0
end


---The folder with the plan and the list in it.
local function prepare(o, plan)
  local ok, message = files.mkdir(o.out .. "/manifest")
  if ok then ok, message = agree(o.out .. "/sweep.json", plan.text) end
  if ok then
    ok, message = agree(o.out .. "/list.txt", table.concat(plan.paths, "\n") .. "\n")
  end
  return ok, message
end


---Pictures, network and plan; nil, message and exit code.
local function plan_of(o)
  local spec, message = spec_of(o)
  if not spec then return nil, message, 64 end
  local lines
  lines, message = require("lunette.commands.inputs").lines(o.list)
  if not lines then return nil, message, 66 end
  if #lines == 0 then return nil, ("list '%s' is empty"):format(o.list), 66 end
  local net, sum
  net, message, sum = network(spec)
  if not net then return nil, message, 66 end
  local plan
  plan, message = require("lunette.sweep.plan").make(spec, net, sum, lines)
  return plan, message, 64, net
end


---@param args string[]
---@return integer code   0; 3 pictures could not be read; 64 usage, 66 no such list or
---  network, 74 cannot write, 75 to be run again, 130 interrupted
return function(args)
  local o = parser():parse(args)
  local wrong = read_numbers(o)
  if wrong then return fail(64, wrong) end
  o.out = o.out:gsub("(.)/+$", "%1")
  if o.print_slurm or o.print_parallel then return print_script(o, args) end
  limits.set(o.threads or tonumber(os.getenv "SLURM_CPUS_PER_TASK" or ""), o.bytes)
  core.catch_stop(o.seconds)
  local plan, message, code, net = plan_of(o)
  if not plan then return fail(code, message) end
  local ok
  ok, message = prepare(o, plan)
  if not ok then return fail(message:find "another sweep" and 64 or 74, message) end
  return finish(o, require("lunette.sweep.shard").run(plan, net, o.out, o.i, o.n))
end
