-- Makes the small networks that the audit is tried on, backdoored and clean, audits
-- them all and prints the table of verdicts. Killed and started again, it goes on where
-- it was; several may work on one folder, each on every n-th network (--part 2/5).
-- --make: makes them only; --table: only prints what has been judged.
local lu = require "lunette"
local files = require "lunette.base.files"
local verdicts = require "lunette.audit.verdicts"
local zoo = require "lunette.audit.zoo"

local args = lu.cli {
  "audit_zoo.lua", out = "out/audit_zoo", part = { "1/1", "which of how many parts" },
  make = { false, "train the networks only" },
  table = { false, "print the table of what there is" },
}
local part, parts = args.part:match "^(%d+)/(%d+)$"
part, parts = assert(tonumber(part), "--part: which/how many"), tonumber(parts)

local function log(line)
  print(os.date "!%H:%M:%S", line)
  io.stdout:flush()
end

local base = not args.table and zoo.base(args.out, log)
local entries, records = zoo.entries(), {}
for _, entry in ipairs(entries) do
  local path = ("%s/%s.safetensors"):format(args.out, entry.name)
  local mine = entry.number % parts == part % parts and not args.table
  if mine and not files.exists(path) then zoo.make(base, entry, path, log) end
  local r = zoo.known(args.out, entry)
  if mine and not args.make and not r then
    r = zoo.judge(base, entry, args.out)
    log(("%s: %s, p %.2g, %.2f of the median"):format(entry.name, r.verdict, r.p or 1,
      r.ratio or 1))
  end
  records[entry.name] = r
  collectgarbage()
end
if not args.make then print(verdicts.markdown(entries, records)) end
