---`lunette rank`: which method is the best? Methods and controls by many measures, over
---scenes whose objects are known or a folder of pictures.
local cli = require "lunette.commands.cli"
local files = require "lunette.base.files"
local rank = require "lunette.rank"
local text = require "lunette.base.text"


local function parser()
  local p = cli.parser("lunette rank", "Ranks methods by measures over many pictures; "
    .. "what is interrupted goes on where it was.")
  p:argument("picture", "pictures or folders (default: scenes that the embedded "
             .. "network knows, with masks)"):args "*"
  p:option("-m --model", "network"):default "glyphs"
  p:option("--methods", "names with commas; a backward rule after a colon: "
           .. "gradcam:guided (default: all, and controls)")
  p:option("--measures", "names with commas: "
           .. table.concat(require("lunette.rank.measures").names(), ","))
  p:option("--masks", "folder of masks, named as the pictures, white on the object")
  p:option("-n --count", "scenes, or at most so many pictures"):convert(tonumber)
  p:option("--seed", "of the scenes"):default(2000):convert(tonumber)
  p:option("--budget", "processor seconds a map: methods that take longer are left out")
    :default(2):convert(tonumber)
  p:option("--seconds", "stop after so many; the next call goes on"):default(0)
    :convert(tonumber)
  p:option("--maps", "folder for the maps themselves (.npy)"):default ""
  p:option("-o --out", "folder: values.csv, summary.csv, rank.md, rank.png")
    :default "out/rank"
  p:option("--threads", "threads"):convert(tonumber)
  return p
end


local function words(list)
  if not list then return nil end
  local found = {}
  for word in list:gmatch "[^,%s]+" do found[#found + 1] = word end
  return found
end


---All pictures that were named, folders opened.
local function paths_of(o)
  local all = {}
  for _, path in ipairs(o.picture) do
    local list, message = require("lunette.rank.pictures").list(path)
    if not list then return nil, message end
    table.move(list, 1, #list, #all + 1, all)
  end
  if o.count then all = table.move(all, 1, math.min(#all, o.count), 1, {}) end
  return all
end


---The pictures of the ranking; nil and what is wrong.
local function source_of(net, o)
  if #o.picture > 0 then
    local paths, message = paths_of(o)
    if not paths then return nil, message end
    return require("lunette.rank.pictures").source(net, paths, o.masks)
  end
  local glyphs, labels = require "lunette.glyphs", require "lunette.score.labels"
  local side = ("3,%d,%d"):format(glyphs.side, glyphs.side)
  local names = table.concat(labels.of(net) or {}, ",")
  local known = names == table.concat(glyphs.names, ",")
  if table.concat(net.input, ",") ~= side or not known then
    return nil, ("%s does not know the scenes that are drawn here; name pictures or a "
                 .. "folder"):format(net.name)
  end
  return require("lunette.glyphs.cases").source { count = o.count or 20, seed = o.seed }
end


---The page: tables and what was left out.
local function page_of(net, source, report, work)
  local out = { ("# Methods ranked on %s\n"):format(net.name),
    ("%d pictures (%s); %d left out, of which the network names nothing.\n"):format(
      report.pictures, source.name, work.wrong),
    report:markdown(), "\n## First in each measure\n", report:leaders(),
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
  local image = report:chart(("%s: %d pictures"):format(net.name, report.pictures))
  local png = image:encode "png"
  image:release()
  return files.write_set {
    { o.out .. "/summary.csv", report:csv() }, { o.out .. "/rank.png", png },
    { o.out .. "/rank.md", page_of(net, source, report, work) },
  }
end


local function fail(code, message)
  text.complain(message, "lunette rank")
  return code
end


---@param args string[]
---@return integer code   0, 64 usage, 66 no such network or picture, 74 cannot write
return function(args)
  local o = parser():parse(args)
  if o.threads then require("lunette.core").threads(o.threads) end
  local net, message = require("lunette.weights.load").load(o.model)
  if not net then return fail(66, message) end
  local source
  source, message = source_of(net, o)
  if not source then return fail(66, message) end
  local report, work = rank.run(net, source, { methods = words(o.methods),
    measures = words(o.measures), budget = o.budget, seconds = o.seconds,
    maps = o.maps,
    values = o.out .. "/values.csv" })
  if report.pictures == 0 then
    return fail(66, "no picture was measured: the network names none of their objects")
  end
  text.say(report:markdown())
  local ok
  ok, message = write_all(o, net, source, report, work)
  if not ok then return fail(74, message) end
  text.say(("wrote %s/rank.md, rank.png, summary.csv, values.csv%s"):format(o.out,
    work.stopped and "; there is more to do: call it again" or ""))
  return 0
end
