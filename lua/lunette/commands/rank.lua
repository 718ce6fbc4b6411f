---`lunette rank`: which method is the best? Methods and controls by many measures, over
---scenes whose objects are known or a folder of pictures.
local cli = require "lunette.commands.cli"
local files = require "lunette.base.files"
local pictures = require "lunette.commands.pictures"
local rank = require "lunette.rank"
local text = require "lunette.base.text"


local function parser()
  local p = cli.parser("lunette rank", "Ranks methods by measures over many pictures; "
    .. "what is interrupted goes on where it was.")
  pictures.arguments(p)
  p:option("--methods", "names with commas; a backward rule after a colon: "
           .. "gradcam:guided (default: all, and controls)")
  p:option("--measures", "names with commas: "
           .. table.concat(require("lunette.rank.measures").names(), ","))
  p:option("--budget", "processor seconds a map: methods that take longer are left out")
    :default(2):convert(tonumber)
  p:option("--seconds", "stop after so many; the next call goes on"):default(0)
    :convert(tonumber)
  p:flag("--brief", "prints a shorter table: ± half the width of the intervals")
  p:option("--maps", "folder for the maps themselves (.npy)"):default ""
  p:option("-o --out", "folder: values.csv, summary.csv, rank.md, rank.png")
    :default "out/rank"
  p:option("--threads", "threads"):convert(tonumber)
  return p
end


---The page: tables and what was left out.
local function page_of(net, source, report, work)
  local out = { ("# Methods ranked on %s\n"):format(net.name),
    ("%s (%s); %d left out, of which the network names nothing.\n"):format(
      text.count(report.pictures, "picture"), source.name, work.wrong),
    report:markdown(), report:caveat() and "\n" .. report:caveat() or "",
    "\n## First in each measure\n", report:leaders(),
    "\n## Do the measures agree? (Kendall's tau-b over the methods)\n",
    report:agreement() }
  local names = {}
  for name in pairs(work.left_out) do names[#names + 1] = name end
  table.sort(names)
  if #names > 0 then out[#out + 1] = "\n## Left out\n" end
  for _, name in ipairs(names) do
    out[#out + 1] = ("- %s: %s"):format(name, work.left_out[name])
  end
  return table.concat(out, "\n") .. "\n"
end


local function write_all(o, net, source, report, work)
  local image = report:chart(net.name .. ": "
    .. text.count(report.pictures, "picture"))
  local png = image:encode "png"
  image:release()
  return files.write_set {
    { o.out .. "/summary.csv", report:csv() }, { o.out .. "/rank.png", png },
    { o.out .. "/rank.md", page_of(net, source, report, work) },
  }
end


local fail = cli.failing "lunette rank"


---@param args string[]
---@return integer code   0, 64 usage, 66 no such network or picture, 74 cannot write
return function(args)
  local o = parser():parse(args)
  local net, source = pictures.open(o)
  if not net then return fail(66, source) end
  local report, work = rank.run(net, source, { methods = pictures.words(o.methods),
    measures = pictures.words(o.measures), budget = o.budget, seconds = o.seconds,
    maps = o.maps,
    values = o.out .. "/values.csv" })
  if report.pictures == 0 then
    return fail(66, "no picture was measured: the network names none of their objects")
  end
  text.say(o.brief and report:brief() or report:markdown())
  if report:caveat() then text.say(report:caveat()) end
  local ok, message = write_all(o, net, source, report, work)
  if not ok then return fail(74, message) end
  text.say(("wrote %s/rank.md, rank.png, summary.csv, values.csv%s"):format(o.out,
    work.stopped and "; there is more to do: call it again" or ""))
  return 0
end
