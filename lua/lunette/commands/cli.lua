---Command lines: `lu.cli` gives a script its options, its --help and a record of
---what was asked, which is saved beside the pictures.
local argparse = require "argparse"
local blame = require "lunette.base.blame"
local files = require "lunette.base.files"
local text = require "lunette.base.text"
local types = require "lunette.base.types"

local CANNOT_WRITE = 74 -- sysexits.h

local M = {}

---What the usual options mean, for --help.
local meaning = {
  model = "network: an installed model's name or a model file",
  fit = "stretch, crop or pad (default: as the weights were evaluated)",
  filter = "how photographs are resized: nearest, bilinear, bicubic ...",
  orient = "turn photographs as their EXIF orientation says",
  classes = "class ids or names, one for all pictures or one each; predicted for yours",
  class = "class id or name, or predicted",
  layer = "layer name or alias",
  samples = "noisy copies a picture (SmoothGrad)",
  noise = "noise as a share of the picture's range",
  seed = "seed of the random numbers",
  threads = "threads; 0: the cores of this process",
  lang = "language: en or ru",
  methods = "methods by name, METHOD:RULE for another backward rule: a,b,c",
  layers = "layers by name: a,b,c",
  baseline = "what stands for nothing there: zero, mean, blur, noise, black",
  scenes = "painted pictures to train on",
  test = "painted pictures to measure with",
  batch = "pictures at a time",
  rate = "of learning",
  side = "height and width of the pictures",
  count = "how many",
  scale = "1, or 2 for twice the pixels",
  brief = "say no classes",
  units = "channels of the layer, from 1: 1,5,20",
  steps = "how many steps",
  every = "steps between files while it runs; 0: none",
  starts = "pictures of each, from other beginnings",
  diversity = "how much those are pushed apart",
  checkpoint = "a file from which the same call goes on",
  gif = "a moving picture of how it came about",
  gallery = "how many units of the layer, each with patches of real pictures",
}


---Meanings that the methods' rows know.
local from_rows = {
  method = function()
    return "how: " .. table.concat(require("lunette.base.rows").names(
      require "lunette.methods"), ", ")
  end,
  dialect = function()
    return "whose numbers: " .. table.concat(require(
      "lunette.commands.method_flags").dialects(), ", ")
  end,
  modifier = function()
    return "backward rule: "
      .. table.concat(require("lunette.modifiers.named").usage(), ", ")
  end,
}


---What a script writes, by the suffix of its default.
local written = { png = "the picture goes", html = "the page goes",
                  safetensors = "the network goes" }

local function meaning_of(name, default)
  if name == "out" then
    return "where " .. (written[tostring(default):match "%.(%a+)$"] or "the files go")
  end
  return meaning[name] or from_rows[name] and from_rows[name]() or name
end


---What the last lu.cli parsed: {script =, options =}, for stories beside pictures.
---@type table?
M.record = nil


local function first_sentence(path)
  local f = path and io.open(path, "r")
  if not f then return nil end
  local found
  for line in f:lines() do
    found = line:match "^%-%-+%s*(.+)"
    if found or not line:find "^#!" then break end
  end
  f:close()
  return found
end


local function add_option(parser, name, default, means)
  local o
  means = means or meaning_of(name, default)
  if type(default) == "boolean" then
    o = parser:flag("--" .. name)
  else
    o = parser:option("--" .. name)
    if default ~= "" then
      o:description(means .. (" (default: %s)"):format(default))
    end
    if type(default) == "number" then o:convert(tonumber) end
  end
  if default == "" or type(default) == "boolean" then
    o:description(means)
  end
  return o
end


---A parser that leaves with 64 (EX_USAGE) where it is given what it does not know.
---@param name string
---@param description? string
---@param reword? fun(message: string): string   what is said instead
function M.parser(name, description, reword)
  local parser = argparse(name, description):help_max_width(88)
  parser.error = function(self, message)
    io.stderr:write(self:get_usage(), "\n\n")
    text.complain(reword and reword(message) or message, name)
    os.exit(64, true)
  end
  return parser
end


---What a command ends with where it fails: the message is said, the code returned, or
---74 where the message is that something could not be written.
---@param name string   "lunette rank"
---@return fun(code: integer, message: string): integer
function M.failing(name)
  return function(code, message)
    text.complain(message, name)
    return files.refused(message) and CANNOT_WRITE or code
  end
end


---A table of defaults, and one of what the script itself says of its options.
local function split(spec)
  local defaults, texts = {}, {}
  for key, value in pairs(spec) do
    if type(value) == "table" then value, texts[key] = value[1], value[2] end
    defaults[key] = value
  end
  return defaults, texts
end


local function build(spec, script, texts)
  local usage = spec[1] or script
  if type(usage) ~= "string" then
    blame("cli: the first entry is the usage, \"saliency [image ...]\", got "
          .. types.told(usage))
  end
  local parser = M.parser(usage:match "^%S+", first_sentence(script))
  local positional = usage:match "%[(%w+) %.%.%.%]"
  local one = usage:match "<(%w+)>"
  if positional then
    parser:argument(positional, "pictures (JPEG, PNG, BMP)"):args "*"
  elseif one then
    parser:argument(one)
  end
  local names = {}
  for key in pairs(spec) do
    if type(key) == "string" then names[#names + 1] = key end
  end
  table.sort(names)
  for _, name in ipairs(names) do add_option(parser, name, spec[name], texts[name]) end
  if spec.threads == nil then add_option(parser, "threads", 0) end
  return parser, names
end


local told = {} -- notes that this process has given: the demo runs two scripts


---For scripts that explain pictures: where neither model nor classes were given and
---the default model is not here, the embedded network and its own scenes take their
---place, with a note.
local function fall_back(args, spec)
  local explains = (spec[1] or ""):find "%[image"
  if (spec.model or "") == "" or args.given.model or not explains then return end
  local name, note = require("lunette.commands.defaults").model(spec.model)
  if note then
    args.model = name
    if spec.classes and not args.given.classes then args.classes = "default" end
    if spec.layer and not args.given.layer then args.layer = "" end
    if not told[note] then text.complain(note) end
    told[note] = true
  end
end


---Are there pictures of the user's own, and no word about their classes? The default
---classes are those of the default pictures.
local function has_own_pictures(args, spec)
  local own = type(args.image) == "table" and #args.image > 0
  return own and (spec.classes or "") ~= "" and not args.given.classes
end


---Pictures where none were named, for `net:images(args)`. They are ours, so are their
---classes, unless the user has said which.
local function add_fallback(args)
  args.fallback = function(net)
    local pictures, classes, names = require("lunette.commands.defaults").pictures(net)
    if not pictures then return nil, classes end
    if args.classes and not args.given.classes then args.classes = classes end
    return pictures, names
  end
end


---How photographs get the network's size: every script that takes pictures has these,
---for `net:images(args)`. Adds those that its table lacks; their names.
local function add_pictures(spec)
  local added = {}
  if not tostring(spec[1]):find "%[image" then return added end
  for key, default in pairs { fit = "", filter = "", orient = false } do
    if spec[key] == nil then spec[key], added[key] = default, true end
  end
  return added
end


---Writes down what is to stand beside pictures: every option of the script, and of
---those that were `added` what was given.
local function record(args, names, added)
  for _, name in ipairs(names) do
    if not added[name] or args.given[name] then M.record.options[name] = args[name] end
  end
end


---The command line that runs the script again.
local function command(script, words)
  local quoted = text.quoted
  local line = { "lunette", quoted((script:match("[^/]*$"):gsub("%.lua$", ""))) }
  for _, word in ipairs(words) do line[#line + 1] = quoted(word) end
  return table.concat(line, " ")
end


---Defines and parses a script's options.
---  lu.cli { "saliency.lua [image ...]", model = "vgg16", classes = "8,21,33,0" }
---The first entry is the usage line ("[name ...]" collects the rest, "<name>" is
---required); every other key is an option with its default: a string, a number, or
---a boolean for a flag; or { default, "its meaning" } where its name says too little.
---With "[image ...]" there are `fit`, `filter` and `orient`, too, for net:images(args).
---@param spec table
---@param argv? string[]   default: the script's own arguments
---@return table args      options by key; `given` says which came from outside,
---  `command` is the line that runs the script again
function M.options(spec, argv)
  local script = arg and arg[0] or "lunette"
  local texts
  spec, texts = split(spec)
  local added = add_pictures(spec)
  local parser, names = build(spec, script, texts)
  local parsed = parser:parse(argv or arg)
  if parsed.out == "" then parser:error "--out is empty: give a file's name" end
  local args = { given = {}, command = command(script, argv or arg) }
  for key, value in pairs(parsed) do args[key] = value end
  for _, name in ipairs(names) do
    args.given[name] = parsed[name] ~= nil
    if parsed[name] == nil then args[name] = spec[name] end
  end
  if args.threads and args.threads > 0 then
    require("lunette.core").threads(args.threads)
  end
  require("lunette.commands.typed").remember(parsed, names)
  M.record = { script = script:match "[^/]*$", options = {} }
  fall_back(args, spec)
  if has_own_pictures(args, spec) then args.classes = "predicted" end
  add_fallback(args)
  record(args, names, added)
  return args
end

return M
