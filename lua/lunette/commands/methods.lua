---`lunette methods`: every method with its paper, its dialects, and what it costs with
---this network on this machine.
local cli = require "lunette.commands.cli"
local families = require("lunette.explain.method").families
local json = require "lunette.base.json"
local listing = require "lunette.commands.listing"
local methods = require "lunette.methods"
local text = require "lunette.base.text"

local LINE = "%-27s %9s %8s %9s %9s"


local function parser()
  local p = cli.parser("lunette methods", "Lists the methods: paper, cost, dialects.")
  p:argument("name", "these alone (default: all)"):args "*"
  p:option("-m --model", "network that the costs are of (default: vgg16, or the "
           .. "embedded one)")
  p:option("--budget", "seconds a method; longer work is reckoned from its beginning")
    :default(0.5):convert(tonumber)
  p:flag("--whole", "make every call to its end: nothing is reckoned")
  p:flag("--brief", "no costs: no network is run")
  p:flag("--json", "for programs: an array of objects, options included")
  p:option("--threads", "threads"):convert(tonumber)
  return p
end


---The network and a picture that costs are measured with; nil where none is wanted.
---@return { net: lunette.Net, x: lunette.Tensor }? subject, string? message
local function subject_of(o)
  if o.brief then return nil end
  local defaults, name = require "lunette.commands.defaults", o.model
  if not name then name = defaults.model "vgg16" end
  local net, message = require("lunette.weights.load").load(name)
  if not net then return nil, message end
  local pictures = defaults.pictures(net)
  local x
  if pictures then
    x, message = net:images { pictures[1] }
    if not x then return nil, message end
  else
    x = require("lunette.core").normal(1, 1, { 1, table.unpack(net.input) })
  end
  net:run(x):gradient() -- the first pass of all waits for memory
  return { net = net, x = x }
end


---A softmax is left out, as `lunette explain` does.
local function options_of(row, net)
  local layers = net:layers()
  local kind = layers[#layers].kind
  local soft = kind == "softmax" or kind == "log_softmax"
  return { modifiers = row.options.modifiers and soft and { "linear" } or nil }
end


---What a method costs, or why it cannot be called with this network.
local function cost_of(row, subject, o)
  if not subject then return nil end
  local during = require("lunette.base.warn").during -- what a map says is not asked for
  local ok, cost = pcall(during, false, require("lunette.explain.cost").of, row,
    subject.net, subject.x, options_of(row, subject.net),
    o.whole and math.huge or o.budget)
  if not ok and tostring(cost):find "interrupted" then error(cost, 0) end
  return ok and cost or nil, not ok and tostring(cost) or nil
end


-- as text ------------------------------------------------------------------------


local function size_text(n)
  if n >= 1e9 then return ("%.1f GB"):format(n / 1e9) end
  return ("%.1f MB"):format(n / 1e6)
end


---Passes, with what follows a layer apart: "1+512p".
local function passes_text(cost)
  local whole = ("%.0f"):format(cost.forwards)
  if cost.partial == 0 then return whole end
  return ("%s+%.0fp"):format(whole, cost.partial)
end


local function seconds_text(cost)
  local form = cost.seconds < 100 and "%s%.2g" or "%s%.0f"
  return form:format(cost.share < 1 and "~" or "", cost.seconds)
end


local function line_of(row, cost)
  if not cost then return row.name end
  return LINE:format(row.name, passes_text(cost), ("%.0f"):format(cost.backwards),
                     size_text(cost.memory), seconds_text(cost))
end


local function print_row(row, cost, message)
  text.say(line_of(row, cost))
  listing.say_wrapped(row.paper or "")
  if #row.dialects > 0 then
    listing.say_wrapped("dialects: " .. table.concat(row.dialects, ", "))
  end
  if message then listing.say_wrapped("no cost: " .. message) end
end


local function print_head(subject, o)
  if not subject then return end
  local threads = text.count(require("lunette.core").threads(), "thread")
  text.say(("One picture of %s, %s, default options%s.\n"):format(
    subject.net.name, threads, o.whole and "" or
    "; ~: reckoned from the beginning"))
  text.say(LINE:format("METHOD", "FORWARD", "BACK", "MEMORY", "SECONDS"))
end


local function print_foot(subject)
  if subject then
    text.say "\np: of what follows the layer alone. Memory: tensors beyond the weights."
  end
  text.say "\n`lunette explain --method NAME --help` has a method's options."
end


-- as JSON ------------------------------------------------------------------------


local function record(row, cost, message)
  return { name = row.name, family = row.family, draws = row.draws, paper = row.paper,
           dialects = json.array { table.unpack(row.dialects) },
           options = listing.option_records(row),
           cost = cost, error = message }
end


local function print_json(names, subject, o)
  local list = json.array {}
  for i, name in ipairs(names) do
    list[i] = record(methods[name], cost_of(methods[name], subject, o))
  end
  text.say(json.encode(list, { indent = 2 }))
end


local function print_text(names, subject, o)
  local family
  print_head(subject, o)
  for _, name in ipairs(names) do
    local row = methods[name]
    if row.family ~= family and #o.name == 0 then
      family = row.family
      text.say("\n" .. (family or "others"):upper())
    end
    print_row(row, cost_of(row, subject, o))
  end
  print_foot(subject)
end


---@param args string[]
---@return integer code   0, 64 usage, 66 no such network
return function(args)
  local o = parser():parse(args)
  if o.threads then require("lunette.core").threads(o.threads) end
  local names, message = listing.names(methods, "method", families, o.name)
  if not names then
    text.complain(message, "lunette methods")
    return 64
  end
  local subject
  subject, message = subject_of(o)
  if message then
    text.complain(message, "lunette methods")
    return 66
  end
  local list = o.json and print_json or print_text
  list(names, subject, o)
  return 0
end
