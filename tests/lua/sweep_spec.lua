-- lunette sweep and merge: shards, resuming, being killed and asked to stop, damage.
local core = require "lunette.core"
local json = require "lunette.base.json"
local lfs = require "lfs"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local folder, done
local PICTURES = 12
local sanitized = t.sanitized
local whole -- what merge says of `one`


teardown(function() done() end)


local function sweep(out, more, code)
  local got, text = t.program(("sweep --script jobs.lua --list list.txt --out %s %s")
    :format(out, more or ""), folder)
  assert(got == (code or 3), ("%s: exit code %s\n%s"):format(more, got, text))
  return text
end


local function merge(out, code)
  local got, text = t.program("merge " .. out, folder)
  assert(got == (code or 3), ("merge %s: exit code %s\n%s"):format(out, got, text))
  return text
end


---Sums of all files but the shards' manifests.
local function sums(out)
  return (select(2, t.shell(("cd '%s/%s' && find . -type f ! -path './manifest/*' "
    .. "| LC_ALL=C sort | xargs sha256sum"):format(folder, out))))
end


setup(function()
  folder, done = t.folder()
  local net = assert(lu.net(lu.models.tiny_vgg { side = 32 })):init(3)
  assert(lu.save(net, folder .. "/tiny.safetensors"))
  local good, list = {}, {}
  for i = 1, PICTURES do
    good[i] = t.picture(("%s/p%02d.png"):format(folder, i), 20 + i, 32, i)
  end
  for i, path in ipairs(good) do list[i] = path:match "[^/]*$" end
  t.spit(folder .. "/good.txt", table.concat(list, "\n") .. "\n")
  t.spit(folder .. "/text.png", "no picture\n")
  table.insert(list, 4, "text.png")
  table.insert(list, "none.png")
  t.spit(folder .. "/list.txt", table.concat(list, "\n") .. "\n")
  t.spit(folder .. "/jobs.lua", [[return {
    model = "tiny.safetensors",
    methods = { "gradcam", { "saliency", smooth_samples = 3, seed = 5 }, "eigencam" },
    layers = { "conv_1_2", "last" }, classes = { "predicted", "koala" },
  }]])
  sweep "one" -- an undisturbed process, which all others are compared with
  whole = merge "one"
end)


---The first result of a sweep: its path without a suffix.
local function first_result(out)
  local line = t.read(("%s/%s/results.jsonl"):format(folder, out)):match "[^\n]*"
  return ("%s/%s/%s"):format(folder, out, json.decode(line).name)
end


describe("a sweep", function()
  it("is the same whatever its shards, threads and order", function()
    assert.matches("14 pictures, 8 jobs: 96 results, 16 errors\ntree %x+\n$", whole)
    for i = 4, 0, -1 do
      local more = ("--shard %d/5 --threads %d"):format(i, 1 + i % 2)
      local bad = i == 3 -- the fourth picture and the fourteenth are none
      sweep("cut", more, bad and 3 or 0)
    end
    assert.equal(whole, merge "cut")
    assert.equal(sums "one", sums "cut")
  end)

  it("has the values that the library gives", function()
    local net = assert(lu.load(folder .. "/tiny.safetensors"))
    local images = assert(net:images { folder .. "/p01.png" })
    local want = lu.gradcam(net, images, { layer = "conv_1_2",
                                           modifiers = { "linear" } })
    local first = net:run(images):top(1)[1][1]
    assert.is_true(want:stats().max > 0.9)
    local found = 0
    for line in t.read(folder .. "/one/results.jsonl"):gmatch "[^\n]+" do
      local r = json.decode(line)
      local job = r.path == "p01.png" and r.method == "gradcam"
        and json.decode(t.read(("%s/one/%s.json"):format(folder, r.name))).job
      if job and job.class == "predicted" and job.layer == "conv_1_2" then
        found = found + 1
        local got = assert(lu.npy.read(("%s/one/%s.npy"):format(folder, r.name)))
        assert.is_true(t.same(got, want))
        assert.same({ first.class, first.name }, { r.explained.class,
                                                   r.explained.name })
      end
    end
    assert.equal(1, found)
  end)

  it("records what cannot be read, and goes on", function()
    local errors = {}
    for line in t.read(folder .. "/one/errors.jsonl"):gmatch "[^\n]+" do
      local e = json.decode(line)
      errors[e.path] = (errors[e.path] or 0) + 1
      assert.matches(e.path == "text.png" and "not a picture" or "No such file",
                     e.error)
    end
    assert.same({ ["text.png"] = 8, ["none.png"] = 8 }, errors)
  end)

  it("makes only what is not there or does not verify", function()
    sweep "again"
    assert.matches("0 made, 96 there", sweep "again")
    merge "again"
    local before, base = sums "again", first_result "again"
    local npy = t.read(base .. ".npy")
    t.spit(base .. ".npy", npy:sub(1, -2) .. string.char((npy:byte(-1) + 1) % 256))
    assert.matches("its SHA%-256 is not the one", merge("again", 65))
    assert.matches("1 made, 95 there", sweep "again")
    os.remove(base .. ".json")
    assert.matches("not there", merge("again", 65))
    t.spit(base .. ".npy", npy:sub(1, 50))
    assert.matches("1 made, 95 there", sweep "again")
    merge "again"
    assert.equal(before, sums "again")
  end)

  it("is no whole one while a shard lacks", function()
    sweep("part", "--shard 0/2", 0)
    local text = merge("part", 75)
    assert.matches("no result, and no error, of p02.png with job 1 %(gradcam%)", text)
    assert.matches("56 of 112 are missing, 0 damaged: run the shards again", text)
    assert.is_false(t.exists(folder .. "/part/summary.tsv"))
  end)

  it("is not mixed with another", function()
    local text = sweep("one", "--class 2", 64)
    assert.matches("one/sweep.json is of another sweep", text)
    t.spit(folder .. "/other.txt", "p01.png\n")
    assert.equal(64, (t.program("sweep --script jobs.lua --list other.txt --out one",
                                folder)))
  end)

  it("has a summary with a row for every job", function()
    local rows = {}
    for line in t.read(folder .. "/one/summary.tsv"):gmatch "[^\n]+" do
      rows[#rows + 1] = line
    end
    assert.equal(9, #rows)
    assert.matches("^1\tgradcam\tconv_1_2\tpredicted\t%-\t%-\t12\t2\t[%d.]+\t1\t",
                   rows[2])
    assert.matches('^5\tsaliency\t%-\tpredicted\t%-\t{"seed":5,"smooth_samples":3}',
                   rows[6])
    assert.matches("^8\teigencam\tlast\t%-\t%-\t%-\t12\t2\t%-\t%-\t[%d.]+$", rows[9])
  end)
end)


describe("the memory of a sweep", function()
  it("is that of one picture", function()
    local list = {}
    for i = 1, 12 do
      list[i] = ("same%02d.png"):format(i)
      t.picture(folder .. "/" .. list[i], 40, 32, i)
    end
    t.spit(folder .. "/same.txt", table.concat(list, "\n") .. "\n")
    t.spit(folder .. "/flat.lua", [[
      local core = require "lunette.core"
      local result = require "lunette.sweep.result"
      local write = result.write
      function result.write(...)
        print(core.memory().live)
        return write(...)
      end
      collectgarbage "stop"
      local code = require "lunette.commands.sweep" { "--method", "gradcam", "--model",
        "tiny.safetensors", "--list", "same.txt", "--out", "flat" }
      os.exit(code)
    ]])
    local code, text = t.program("flat.lua", folder)
    assert(code == 0, text)
    local made = {}
    for live in text:gmatch "(%d%d%d%d+)\n" do made[#made + 1] = live end
    assert.equal(12, #made)
    for i = 3, #made do assert.equal(made[2], made[i]) end
  end)

  it("while it is merged is that of its lines, not of its records", function()
    local m = assert(require("lunette.sweep.merge").check(folder .. "/one"))
    local lines = {}
    for i, result in ipairs(m.results) do lines[i] = json.encode(result) .. "\n" end
    assert.equal(96, #lines)
    assert.equal(t.read(folder .. "/one/results.jsonl"), table.concat(lines))
  end)
end)


describe("a sweep that is asked to stop", function()
  ---Starts a long sweep, lets `ask` have its process id, and waits for its end: the
  ---exit code, seconds from the asking on, what was said.
  local function stopped(out, more, ask)
    local script = [[cd '%s' || exit
      '%s/lunette' sweep -m tiny.safetensors --list good.txt \
      --script rise.lua --out %s %s >said 2>&1 & child=$!
      %s
      begun=$(date +%%s%%N); wait $child; code=$?
      echo "$code $(( ($(date +%%s%%N) - begun) / 1000000 ))"]]
    t.spit(folder .. "/rise.lua",
      "return { methods = { { 'rise', count = 1000000, class = 1 } } }")
    local _, text = t.shell(script:format(folder, t.root(), out, more, ask))
    local code, milliseconds = text:match "(%d+) (%d+)%s*$"
    return tonumber(code), tonumber(milliseconds) / 1000, t.read(folder .. "/said")
  end

  ---Waits until the shard has written its plan and is at work.
  local at_work = "for i in $(seq 400); do [ -e %s/list.txt ] && break; sleep 0.05; "
    .. "done; sleep 0.3; "

  it("by SIGTERM or SIGUSR1 drops its picture and says 75 within 5 s", function()
    for _, signal in ipairs { "TERM", "USR1" } do
      local out = "stop" .. signal
      local code, seconds, said = stopped(out, "", at_work:format(out) .. "kill -"
        .. signal .. " $child")
      assert.equal(75, code, said)
      assert.is_true(seconds < 5, seconds)
      assert.matches("stopped by SIG" .. signal .. "; run it again", said)
      assert.is_true(t.exists(folder .. "/" .. out .. "/manifest/shard-0-of-1.jsonl"))
      assert.equal("", (select(2, t.shell(("find '%s/%s' -name '*.npy' -o -name '.*'")
        :format(folder, out)))))
    end
  end)

  it("by its deadline does the same", function()
    local code, seconds, said = stopped("late", "--deadline 1s", "")
    assert.equal(75, code, said)
    assert.is_true(seconds >= 1 and seconds < 6, seconds)
    assert.matches("stopped by deadline", said)
  end)

  it("by Ctrl-C says 130", function()
    local code, _, said = stopped("ctrl", "", "trap '' INT; "
      .. at_work:format "ctrl" .. "kill -INT $child")
    -- a shell's background job ignores SIGINT, unless the program catches it
    assert.equal(130, code, said)
  end)
end)


describe("a sweep whose processes are killed", function()
  it("is what an undisturbed process makes, after 50 kills", function()
    assert(lfs.mkdir(folder .. "/killed"))
    local code, text = t.shell(("cd '%s' && bash '%s/tests/killed_sweep' '%s/lunette' "
      .. "'%s/killed' 50 %d --list good.txt -m tiny.safetensors --method gradcam "
      .. "--method saliency --threads 1"):format(folder, t.root(), t.root(), folder,
      os.getenv "TEST_SEED" or 1))
    assert.equal(0, code, text)
    assert.matches("^50 killed in %d+ sweeps\n$", text)
  end)

  it("runs under GNU parallel with four workers", function()
    if sanitized then return pending "jobs lose the sanitizer's library" end
    if not require("lunette.base.paths").program "parallel" then
      return pending "needs GNU parallel (Debian's parallel)"
    end
    local words = "sweep --script jobs.lua --list list.txt --out four --shard 0/6 "
      .. "--workers 4 --print-parallel"
    local code, script = t.program(words, folder)
    assert.equal(0, code, script)
    t.spit(folder .. "/four.sh", script)
    local text
    code, text = t.other(("cd '%s' && HOME='%s' bash four.sh 2>/dev/null"):format(
      folder, folder))
    assert.equal(3, code, text)
    local _, made = text:gsub("shard %d/6: ", "")
    assert.equal(6, made)
    assert.equal(whole, text:match "job\tmethod.*")
    assert.equal(whole, merge "four")
    t.shell(("rm -rf '%s/four/parallel.tsv' '%s/.parallel'"):format(folder, folder))
    assert.equal(sums "one", sums "four")
  end)

  it("is put back by its job file, also where it was not yet listening", function()
    local code, text = t.program("sweep --list good.txt --out o --shard 0/2 "
      .. "--print-slurm", folder)
    assert.equal(0, code, text)
    local deaf, count = text:gsub("[^\n]* %-%-shard [^\n]*&\n", "sleep 30 &\n")
    assert.equal(1, count)
    t.spit(folder .. "/deaf.sh", deaf)
    t.spit(folder .. "/scontrol", "#!/bin/sh\necho \"$@\"\n")
    code, text = t.shell(("cd '%s' && chmod +x scontrol && PATH=$PWD:$PATH "
      .. "SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=1 bash deaf.sh & job=$!; sleep 0.3; "
      .. "kill -TERM $job; wait $job"):format(folder))
    assert.equal(143, code, text)
    assert.matches("requeue 7_1\n", text, 1, true)
    os.remove(folder .. "/scontrol")
  end)

  it("runs as an array of Slurm, where it is put back into the queue", function()
    if not os.getenv "SLURM" then return pending "SLURM=1 runs it; it has deadlines" end
    if sanitized then return pending "jobs lose the sanitizer's library" end
    local program = require("lunette.base.paths").program
    local root = select(2, t.shell "id -u"):match "^0"
    if not (root and program "sbatch" and program "munged") then
      return pending "needs root, Slurm and munge (Debian's slurm-wlm, munge)"
    end
    t.spit(folder .. "/array.lua", "return { methods = { 'gradcam', "
      .. "{ 'rise', count = 1500, class = 1 } } }")
    local words = "sweep --script array.lua -m tiny.safetensors --list good.txt --out "
    t.program(words .. "alone", folder)
    t.spit(folder .. "/array.sh", ([[cd '%s'
      '%s/lunette' %s array --shard 0/2 --print-slurm >job.sh
      job=$(sbatch --parsable -o array-%%a.txt job.sh)
      for i in $(seq 400); do [ -e array/list.txt ] && break; sleep 0.05; done
      for i in 0 1; do scancel --batch --signal=TERM ${job}_$i; done
      for i in $(seq 1500); do
        [ -z "$(squeue -h)" ] && break
        # Slurm lets what was put back wait for two minutes
        for id in $(squeue -h -r -t PD -o %%i); do
          scontrol update JobId=$id StartTime=now
        done
        sleep 0.2
      done]]):format(folder, t.root(), words))
    local code, text = t.other(("'%s/tests/slurm' '%s' bash '%s/array.sh'"):format(
      t.root(), folder, folder))
    assert.equal(0, code, text)
    local said = t.read(folder .. "/array-0.txt") .. t.read(folder .. "/array-1.txt")
    assert.matches("stopped by SIGTERM; run it again to go on", said)
    assert.matches("[1-9]%d* made, %d+ there, 0 errors", said)
    assert.equal(merge("alone", 0), merge("array", 0))
    assert.equal(sums "alone", sums "array")
  end)

  it("loses nothing that was finished where a small disk is full", function()
    local disk = folder .. "/disk"
    assert(lfs.mkdir(disk))
    if t.other(("mount -t tmpfs -o size=256k tmpfs '%s'"):format(disk)) ~= 0 then
      pending "needs the right to mount"
      return
    end
    local ok, message = pcall(function()
      sweep("disk/full", "", 74)
      -- of every .json that is there the .npy is whole
      local finished = {}
      for path in (select(2, t.shell(("find '%s' -name '*.json' -path '*results*'")
        :format(disk)))):gmatch "[^\n]+" do
        local record = assert(json.decode(t.read(path)))
        assert.equal(record.npy_sha256, core.sha256(t.read(path:gsub("json$", "npy"))))
        finished[path] = lfs.attributes(path, "modification")
      end
      assert.is_not_nil(next(finished))
      merge("disk/full", 75)
      assert.equal(0, (t.other(("mount -o remount,size=8m '%s'"):format(disk))))
      sweep "disk/full"
      for path, at in pairs(finished) do -- none was made again
        assert.equal(at, lfs.attributes(path, "modification"))
      end
      assert.equal(whole, merge "disk/full")
    end)
    t.other(("umount '%s'"):format(disk))
    if not ok then error(message, 0) end
  end)


  it("leaves whole results where the disk is full", function()
    -- a file cannot be larger than this: what is written fails as on a full disk
    local code, text = t.shell(("cd '%s' && ulimit -f 3 && '%s/lunette' sweep --script "
      .. "jobs.lua --list list.txt --out full"):format(folder, t.root()))
    assert.is_true(code == 74 or code > 128, text)
    sweep "full"
    merge "full"
    assert.equal(sums "one", sums "full")
  end)
end)


describe("a sweep's arguments", function()
  local function refused(more, code, ...)
    local got, text = t.program("sweep --list good.txt --out no " .. more, folder)
    assert.equal(code, got, text)
    for _, pattern in ipairs { ... } do assert.matches(pattern, text) end
    assert.is_nil(text:find("%.lua:%d+"), text)
    assert.is_false(t.exists(folder .. "/no"))
  end

  it("are refused before any work, in one line", function()
    refused("-m tiny.safetensors --method gradcm", 64, "did you mean 'gradcam'")
    refused("-m tiny.safetensors -l conv_9", 64, "layer 'conv_9' not found")
    refused("-m tiny.safetensors -c koalla", 64, "did you mean 'koala'")
    refused("-m tiny.safetensors --shard 3/3", 64, "I from 0 to N %- 1")
    refused("-m tiny.safetensors --shard x", 64, "%-%-shard x")
    refused("-m tiny.safetensors --deadline soon", 64, "90s, 55m or 2h")
    refused("-m tiny.safetensors --mem much", 64, "800M or 2G")
    refused("-m none.safetensors", 66, "none.safetensors")
    refused("-m tiny.safetensors --script none.lua", 64, "none.lua")
    t.spit(folder .. "/bad.lua", "return { metods = {} }")
    refused("--script bad.lua", 64, "unknown key 'metods'; did you mean 'methods'")
    t.spit(folder .. "/bad.lua", "return { methods = { { 'rise', mask = 3 } } }")
    refused("-m tiny.safetensors --script bad.lua", 64, "rise: unknown option 'mask'")
    t.spit(folder .. "/bad.lua", "return { methods = { 'gradcam', 'gradcam' } }")
    refused("-m tiny.safetensors --script bad.lua", 64, "twice in the sweep")
    local code, text = t.program("merge tests", folder)
    assert.equal(66, code)
    assert.matches("tests is no sweep's folder", text)
  end)

  it("print a job file for Slurm that bash takes", function()
    local code, text = t.program("sweep --list 'my list.txt' --out o --mem 3G "
      .. "--shard 0/100 --threads 2 --print-slurm", folder)
    assert.equal(0, code)
    assert.matches("#SBATCH %-%-array=0%-99\n", text)
    assert.matches("#SBATCH %-%-mem=3G\n", text)
    assert.matches("#SBATCH %-%-cpus%-per%-task=2\n", text)
    assert.matches("%-%-list 'my list.txt'", text)
    assert.matches("%-%-shard \"$SLURM_ARRAY_TASK_ID/100\"", text)
    assert.equal(0, (t.shell("bash -n <<'EOF'\n" .. text .. "EOF")))
  end)
end)
