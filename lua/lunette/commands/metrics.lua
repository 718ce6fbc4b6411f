---`lunette metrics`: every metric with its paper, what it needs and its options.
local cli = require "lunette.commands.cli"
local families = require("lunette.explain.metric").families
local json = require "lunette.base.json"
local listing = require "lunette.commands.listing"
local metrics = require "lunette.metrics"
local text = require "lunette.base.text"

local needs = { mask = "a mask", map = "another map", run = "the run",
                method = "the run and the method" }


local function parser()
  local p = cli.parser("lunette metrics", "Lists the metrics: paper, what they need, "
                       .. "options.")
  p:argument("name", "these alone, with their options (default: all)"):args "*"
  p:flag("--json", "for programs: an array of objects, options included")
  return p
end


local function print_options(row)
  local keys = {}
  for key in pairs(row.options) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local option = row.options[key]
    local default = option:default_text()
    listing.say_wrapped(("%s: %s (%s%s)"):format(key, option.text, option:kind(),
                        default and "; " .. default or ""))
  end
end


local function print_row(row, whole)
  local good = row.better and row.better .. " is better" or ""
  local wants = row.needs and needs[row.needs] or "the map"
  text.say((("%-26s %-24s %s"):format(row.name, wants, good):gsub("%s+$", "")))
  listing.say_wrapped(row.paper or "")
  if whole then print_options(row) end
end


local function print_text(names, whole)
  local family
  for _, name in ipairs(names) do
    local row = metrics[name]
    if row.family ~= family and not whole then
      family = row.family
      text.say("\n" .. (family or "others"):upper())
    end
    print_row(row, whole)
  end
end


local function print_json(names)
  local list = json.array {}
  for i, name in ipairs(names) do
    local row = metrics[name]
    list[i] = { name = row.name, family = row.family, needs = row.needs,
                better = row.better, paper = row.paper, title = row.title,
                options = listing.option_records(row) }
  end
  text.say(json.encode(list, { indent = 2 }))
end


---@param args string[]
---@return integer code   0, 64 usage
return function(args)
  local o = parser():parse(args)
  local names, message = listing.names(metrics, "metric", families, o.name)
  if not names then
    text.complain(message, "lunette metrics")
    return 64
  end
  if o.json then print_json(names) else print_text(names, #o.name > 0) end
  return 0
end
