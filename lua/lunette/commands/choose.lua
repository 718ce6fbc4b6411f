---`lunette choose`: which method, with which options, is the best by one measure.
local blame = require "lunette.base.blame"
local choose = require "lunette.rank.choose"
local cli = require "lunette.commands.cli"
local pictures = require "lunette.commands.pictures"
local text = require "lunette.base.text"


local function parser()
  local p = cli.parser("lunette choose", "Searches method and options by one measure, "
    .. "within a time.")
  pictures.arguments(p)
  p:option("--measure", "by which: "
           .. table.concat(require("lunette.rank.measures").names(), ","))
    :default "deletion"
  p:option("--methods", "names with commas (default: all)")
  p:option("--seconds", "for the search"):default(60):convert(tonumber)
  p:option("--budget", "processor seconds a map, at most"):default(2):convert(tonumber)
  p:option("--threads", "threads"):convert(tonumber)
  return p
end


---The finalists, and how sure it is.
local function say(net, choice)
  local m = choice.measure
  text.say(("%s on %s: %d candidates measured by %s (%s is better), %d not"):format(
    "choice", net.name, choice.tried, m.title, m.better, choice.left))
  for _, f in ipairs(choice.finalists) do
    text.say(("  %-44s %.3g [%.3g, %.3g] over %d pictures, first in %.0f %%"):format(
      f.name, f.mean, f.low, f.high, f.n, 100 * f.first))
  end
  text.say(choose.call(choice.best))
  if #choice.near > 0 then
    text.say(("not surely: %s may be as good; more pictures or seconds would tell"
      ):format(table.concat(choice.near, ", ")))
  else
    text.say "surely better than the other finalists, for pictures like these"
  end
end


local fail = cli.failing "lunette choose"


---@param args string[]
---@return integer code   0, 64 usage, 66 no such network or picture
return function(args)
  local o = parser():parse(args)
  local net, source = pictures.open(o)
  if not net then return fail(66, source) end
  local ok, choice = pcall(choose.choose, net, source, { measure = o.measure,
    methods = pictures.words(o.methods), seconds = o.seconds, budget = o.budget })
  if not ok then
    return fail(64, (blame.bare(choice):gsub("^choose: ", "")))
  end
  say(net, choice)
  return 0
end
