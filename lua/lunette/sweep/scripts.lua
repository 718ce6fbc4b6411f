---Job files that run all shards of a sweep: for Slurm and for GNU parallel.
local quoted = require("lunette.base.text").quoted

local M = {}


---@param words string[]
---@return string
local function command(words)
  local list = {}
  for i, word in ipairs(words) do list[i] = quoted(word) end
  return table.concat(list, " ")
end


---@class lunette.SweepCommand
---@field program string     the program's path
---@field words string[]     "sweep" and its options; --shard and --threads left out
---@field out string
---@field shards integer
---@field threads integer
---@field mem string         "2G"
---@field workers integer


local slurm = [[
#!/bin/bash
#SBATCH --job-name=lunette
#SBATCH --array=0-%d
#SBATCH --cpus-per-task=%d
#SBATCH --mem=%s
#SBATCH --time=01:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
# Slurm's signal reaches this shell alone: it is handed on. A shard that was asked to
# stop says 75 (or 143: it was not yet listening), is put back into the queue, and goes
# on where it was.
asked= child=
trap 'asked=1; kill -TERM $child 2>/dev/null' TERM USR1
%s --shard "$SLURM_ARRAY_TASK_ID/%d" &
child=$!
[ -z "$asked" ] || kill -TERM "$child"
wait "$child"
code=$?
while kill -0 "$child" 2>/dev/null; do
  wait "$child"
  code=$?
done
if [ "$code" -eq 75 ] || [ "$code" -eq 143 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
# when all have ended: %s
]]

local parallel = [[
#!/bin/bash
# A shard that was killed, or asked to stop, is tried again and goes on where it was;
# 3 says that pictures could not be read, which is written down.
mkdir -p %s
seq 0 %d | parallel -j %d --retries 5 --joblog %s \
  '%s --shard {}/%d; code=$?; [ $code -eq 3 ] || exit $code'
%s
]]


---The file for sbatch.
---@param c lunette.SweepCommand
---@return string
function M.slurm(c)
  local merge = command { c.program, "merge", c.out }
  return slurm:format(c.shards - 1, c.threads, c.mem,
    command { c.program, table.unpack(c.words) }, c.shards, merge)
end


---A script that needs GNU parallel.
---@param c lunette.SweepCommand
---@return string
function M.parallel(c)
  local line = ("%s --threads %d"):format(command { c.program,
    table.unpack(c.words) }, c.threads)
  return parallel:format(quoted(c.out), c.shards - 1, c.workers,
    quoted(c.out .. "/parallel.tsv"), line:gsub("'", [['\'']]), c.shards,
    command { c.program, "merge", c.out })
end

return M
