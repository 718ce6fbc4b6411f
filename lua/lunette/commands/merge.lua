---`lunette merge DIR`: proves that a sweep is whole, and makes its tables.
local cli = require "lunette.commands.cli"
local text = require "lunette.base.text"

local MOST_TOLD = 5


local function complain(message) text.complain(message, "lunette merge") end


---Says what is missing and damaged; the exit code.
local function tell_incomplete(m, total)
  for i = 1, math.min(MOST_TOLD, #m.damaged) do complain(m.damaged[i]) end
  for i = 1, math.min(MOST_TOLD, #m.missing) do
    complain(("no result, and no error, of %s with job %d (%s)"):format(
      m.missing[i].path, m.missing[i].job, m.jobs[m.missing[i].job].method))
  end
  complain(("%d of %d are missing, %d damaged: run the shards again, they make what is "
    .. "not there"):format(#m.missing, total, #m.damaged))
  return #m.damaged > 0 and 65 or 75
end


---@param args string[]
---@return integer code   0; 3 with recorded errors; 64 usage, 65 damaged, 66 no sweep,
---  74 cannot write, 75 incomplete
return function(args)
  local p = cli.parser("lunette merge", "Proves that every picture of a sweep has one "
    .. "result or one recorded error, and writes results.jsonl, errors.jsonl and "
    .. "summary.tsv.")
  p:argument("folder", "the sweep's --out")
  local o = p:parse(args)
  local merge = require "lunette.sweep.merge"
  local folder = o.folder:gsub("(.)/+$", "%1")
  local m, message = merge.check(folder)
  if not m then
    complain(message)
    return 66
  end
  local total = #m.paths * #m.jobs
  if #m.missing + #m.damaged > 0 then return tell_incomplete(m, total) end
  local tree
  tree, message = merge.write(m)
  if not tree then
    complain(message)
    return 74
  end
  local strays = merge.tidy(m)
  if strays > 0 then
    complain(("in %s/results %s of no result of this list"):format(folder,
      strays == 1 and "is a file" or ("are %d files"):format(strays)))
  end
  io.stdout:write(merge.summary(m))
  local count = text.count
  text.say(("%s, %s: %s, %s"):format(count(#m.paths, "picture"), count(#m.jobs, "job"),
    count(#m.results, "result"), count(#m.errors, "error")))
  text.say("tree " .. tree)
  return #m.errors > 0 and 3 or 0
end
