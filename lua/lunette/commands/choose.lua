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
  for _, line in ipairs(choice:lines()) do text.say(line) end
  return 0
end
