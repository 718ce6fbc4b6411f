---`lunette explain IMAGE...`: which classes, and where the network looked.
local cli = require "lunette.commands.cli"
local flags = require "lunette.commands.method_flags"
local lfs = require "lfs"
local methods = require "lunette.methods"
local rows = require "lunette.base.rows"
local text = require "lunette.base.text"

local MOST_ON_CANVAS = 16 -- pictures


---The row of the method that the arguments name: its options are flags, so it is known
---before they are parsed.
---@return lunette.Method? row, string name
local function row_of(args)
  local name = "gradcam"
  for i, word in ipairs(args) do
    name = word == "--method" and args[i + 1] or word:match "^%-%-method=(.*)" or name
  end
  return methods[name], name
end


---What argparse says, but of an option's name in Lua: its flag; of a flag that other
---methods have: whose it is.
local function say_whose(message, row)
  local name = message:match "unknown option '%-%-([%w-]+)'"
    or message:find "unknown option '%-l'" and "layer"
  local flag = name and row.flags and row.flags[(name:gsub("%-", "_"))]
  if flag then return ("%s's option '%s' is --%s here"):format(row.name, name, flag) end
  local whose = name and flags.whose(name) or {}
  if #whose == 0 then return message end
  return ("--%s is for %s"):format(name, flags.enumerate(whose))
end


---What is explained, and where it goes.
local function add_files(p)
  p:argument("image", "pictures (JPEG, PNG, BMP), or folders of them; none: examples")
    :args "*"
  p:option("--list", "a file of paths, one a line; - is standard input")
  p:option("--match", "of folders the files of such names: '*_0[1-4].png' (default: "
           .. "those that end as pictures do)")
  p:option("-o --out", "picture (.png) or folder"):default "out/"
  p:flag("--each", ("a canvas for every picture, as for more than %d; else one for all"
                    ):format(MOST_ON_CANVAS))
  p:option("--save", "what is written beside a picture: npy, json (default: both; "
           .. "beside each of many nothing)")
  p:flag("--keep-going", "pictures that cannot be read are told, listed in "
         .. "OUT/errors.jsonl and left out; the exit code is then 3")
  p:flag("--json", "a line of JSON for every picture instead of text")
  p:flag("--quiet", "no text, no warnings; what fails is told, --json prints its lines")
end


---What of pictures reaches the network.
local function add_pictures(p)
  p:option("--side", "pictures of this size instead of the network's own: 448, or "
           .. "300x500")
  p:option("--fit", "how a photograph gets the network's size: stretch, crop, pad "
    .. "(default: as the weights were evaluated)"):choices { "stretch", "crop", "pad" }
  p:option("--filter", "how it is resized"):choices { "nearest", "box", "bilinear",
    "hamming", "bicubic", "lanczos" }
  p:flag("--orient", "turn photographs as their EXIF orientation says")
end


local function parser_for(row)
  local p = cli.parser("lunette explain",
    "Prints the five most probable classes and draws an explanation.",
    function(message) return say_whose(message, row) end)
  p:epilog("Every method has options of its own: lunette explain --method NAME --help")
  add_files(p)
  p:option("-m --model", "installed model, or a model file (default: vgg16)")
  p:option("--method", "how: " .. flags.enumerate(rows.names(methods)))
    :argname "<method>":default "gradcam"
  p:option("-c --class", "class id or name (default: the most probable)")
  p:option("--head", "of several outputs the one that is explained (default: the "
           .. "first)")
  p:option("--modifier", "backward rule (may be repeated): "
           .. flags.enumerate(require("lunette.modifiers.named").usage())):count "*"
  local dialects = #row.dialects > 0 and row.dialects or { row.name .. " has one only" }
  p:option("--dialect", "whose numbers: " .. flags.enumerate(dialects))
  add_pictures(p)
  p:option("--colormap", "jet, viridis, magma, ... (default jet for overlays)")
  p:option("--scale-by", "what the last colour stands for: minmax, symmetric, or "
           .. "percentile:99 (default where a map is not laid over its picture)")
  p:option("--scale", "1 or 2"):default(1):convert(tonumber)
  p:option("--threads", "threads"):convert(tonumber)
  p:flag("--raw", "signed values, not normalised")
  p:flag("--trust", "check the map: another class, other weights, its pixels, noise; "
         .. "what is found is said, and drawn under it")
  flags.add(p, { row })
  return p
end


local function options(args)
  local row, name = row_of(args)
  local parser = parser_for(row or methods.gradcam)
  if not row then
    local names = rows.names(methods)
    parser:error(("method '%s' not found%s (there are: %s)"):format(name,
      require("lunette.base.suggest").after(name, names), table.concat(names, ", ")))
  end
  return parser:parse(args)
end


local fail = cli.failing "lunette"


---The network where none was named. The embedded one stands in where no pictures were
---named either: of a photograph its opinion means nothing.
---@return string? model, string? message
local function default_model(named)
  local name, note = require("lunette.commands.defaults").model "vgg16"
  if not note then return name end
  if named then
    return nil, "no network named, and no weights of vgg16 on this machine: `lunette "
      .. "models get vgg16` fetches them, `lunette import FILE` takes a file you have, "
      .. "--model NAME or FILE is another network (`lunette models` lists what is here)"
  end
  text.complain(note)
  return name
end


---A folder that is there, or a name without a suffix for one that is not yet.
local function is_folder(out)
  local mode = lfs.attributes(out, "mode")
  return mode == "directory" or not mode and not out:find "[^/]%.%w+$"
end


---Why `out` is neither a picture's name nor a folder, or nil.
local function check_out(out)
  if out == "" then return "--out is empty: give a picture's name or a folder" end
  if is_folder(out) then return nil end
  local format, message = require("lunette.picture.file").format_of(out)
  return not format and "--out " .. message .. ", or give a folder" or nil
end


---Sets o.beside: which files beside a picture are wanted. A message where --save or
---`--scale-by` is none.
local function check_output(o)
  local draw = require "lunette.commands.explain.draw"
  if o.scale_by and not draw.scale_of(o.scale_by) then
    return ("--scale-by %s: minmax, symmetric or percentile:NUMBER (above 0, to 100)"
      ):format(o.scale_by)
  end
  local known = { png = true, npy = true, json = true }
  for word in (o.save or ""):gmatch "[^,]+" do
    if not known[word] then return ("--save %s: npy, json"):format(o.save) end
    o.beside = o.beside or {}
    o.beside[word] = true
  end
  return nil
end


---Whether every picture gets a canvas; nil and a message where that cannot go where it
---should.
local function wants_each(o, count)
  if count <= MOST_ON_CANVAS and not (o.each and count > 0) then return false end
  if is_folder(o.out) then return true end
  return nil, ("--out %s is one picture, for at most %d without --each, here %d: give "
    .. "a folder"):format(o.out, MOST_ON_CANVAS, count)
end


---Flags that the chosen method has no use for, as a message, or nil.
local function check_method(o)
  local row = methods[o.method]
  if not row.options.score and (#o.modifier > 0 or o.class or o.head) then
    return o.method .. " has no score: --class, --head and --modifier change nothing"
  end
  if o.trust and row.draws == "numbers" then
    return ("--trust is for maps of the picture: %s gives a number for each channel of "
      .. "a layer"):format(o.method)
  end
  for flag, key in pairs { dialect = "dialect", raw = "raw" } do
    if o[flag] and not row.options[key] then
      local those = flags.having(function(r) return r.options[key] end)
      return ("--%s is for %s"):format(flag, flags.enumerate(those))
    end
  end
  return nil
end


---The scores of --classes, or of --top, of one of several outputs.
local function scores_on(head, opts, run)
  local scores, list = require "lunette.score", {}
  for word in (opts.classes or ""):gmatch "[^,]+" do
    list[#list + 1] = scores.of(word:match "^%s*(.-)%s*$"):on(head)
  end
  local ranks = opts.top and run:top(opts.top, head) or {}
  for k = 1, #(ranks[1] or {}) do
    local ids = {}
    for i, rank in ipairs(ranks) do ids[i] = rank[k].class end
    list[k] = scores.of(ids):on(head)
  end
  return list
end


---What the method is called with.
local function method_options(o, run, class)
  local row, head = methods[o.method], o.head
  local opts = flags.read(o, row)
  opts.dialect, opts.raw = o.dialect, o.raw or nil
  if not row.options.score then return opts end
  local output = head and run.output_layers[head] or run.output_layer
  opts.modifiers = require "lunette.explain.unsoftened"(output, o.modifier)
  if opts.classes or opts.top then
    if head then opts.classes, opts.top = scores_on(head, opts, run), nil end
    return opts
  end
  opts.score = class or o.class or "predicted"
  if head then opts.score = require("lunette.score").of(opts.score):on(head) end
  return opts
end


---Pictures as the options want them.
local function load(net, o, list, fallback)
  return net:images { image = list, fit = o.fit, filter = o.filter, orient = o.orient,
                      fallback = fallback }
end


---The pictures that were named, or else examples; with --keep-going without those that
---cannot be read.
local function pictures_of(net, o, list, report)
  local good = {}
  for _, input in ipairs(list) do
    local ok, message = true, nil
    if o.keep_going then ok, message = load(net, o, { input.path }) end
    if ok then good[#good + 1] = input.path else report:failed(input.path, message) end
  end
  if #list > 0 and #good == 0 then return nil, "none of the pictures can be read" end
  return load(net, o, good, function()
    local pictures, classes, names = require("lunette.commands.defaults").pictures(net)
    return pictures, pictures and names or classes
  end)
end


---What --side asks of the network: "448" or "300x500".
local function size_of(o)
  if not o.side then return nil end
  local h, w = o.side:match "^(%d+)x?(%d*)$"
  h, w = tonumber(h), tonumber(w)
  if not h then return nil, ("--side %s: a number, or HEIGHTxWIDTH"):format(o.side) end
  return { side = { h, w or h } }
end


---All pictures on one canvas.
local function explain_together(net, o, list, report)
  local draw = require "lunette.commands.explain.draw"
  local images, message = pictures_of(net, o, list, report)
  if not images then return fail(66, message) end
  local run = net:run(images)
  report:top(run, o.head)
  local map = methods[o.method](run, method_options(o, run))
  report:headline(o, net, map.story)
  report:lost(map.story.negative_share)
  report:off(map.story.delta)
  local checks = report:check(o, run, map)
  local path, folder = o.out, nil
  if is_folder(path) then
    folder = path
    path = require("lunette.commands.output_name").choose(path, images.names, o,
      map.story)
  end
  local ok, written
  ok, message, written = draw.canvas(o, run, map, checks):save(path, o.beside)
  if not ok then return fail(74, message) end
  report:wrote(run, map, path, written)
  if o.keep_going and folder then ok, message = report:write_errors(folder) end
  if not ok then return fail(74, message) end
  return #report.bad > 0 and 3 or 0
end


---A canvas for every picture.
local function explain_each(net, o, list, report)
  o.beside = o.beside or {}
  return require("lunette.commands.explain.each").run({
    net = net, o = o, report = report, fail = fail, chosen = o.model,
    load = function(paths) return load(net, o, paths) end,
    explain = function(run, class)
      return methods[o.method](run, method_options(o, run, class))
    end,
  }, list)
end


---What is wrong with the options, as a message, or nil; and the size they ask for.
local function check(o)
  local size, bad_size = size_of(o)
  return check_out(o.out) or check_method(o) or check_output(o) or bad_size, size
end


---The pictures' paths, none where none were named.
---@return lunette.Input[]? list, string? message
local function find_inputs(o)
  local inputs = require "lunette.commands.inputs"
  local list, message = inputs.find(o.image, { list = o.list, match = o.match,
    out = is_folder(o.out) and o.out or nil })
  if list and #list == 0 and (#o.image > 0 or o.list) then
    return nil, "there are no pictures: " .. (o.list or table.concat(o.image, " "))
      .. (o.match and (" (--match '%s')"):format(o.match) or "")
  end
  return list, message
end


---Would the output replace one of the pictures? Then why not, as a message.
local function check_replaced(o, list)
  local files = require "lunette.base.files"
  for _, input in ipairs(list) do
    if files.same(input.path, o.out) then
      return ("'%s' would be replaced, and is to be explained: give another --out"
        ):format(o.out)
    end
  end
  return nil
end


---Is --head an output of the network? Else what is wrong.
local function check_head(o, net)
  if not o.head then return nil end
  for _, name in ipairs(net.outputs) do
    if name == o.head then return nil end
  end
  return ("--head %s: the outputs of %s are %s"):format(o.head, net.name,
    flags.enumerate(net.outputs))
end


---@return lunette.Net? net, string? message
local function find_net(o, count, size)
  local name, message = o.model, nil
  if not name then name, message = default_model(count > 0) end
  if not name then return nil, message end
  return require("lunette.weights.load").load(name, size)
end


---@param args string[]
---@return integer code   0; 3 pictures were left out; 64 usage, 66 no such network or
---  picture, 74 cannot write
return function(args)
  local o = options(args)
  if o.threads then require("lunette.core").threads(o.threads) end
  local wrong, size = check(o)
  if wrong then return fail(64, wrong) end
  local list, message = find_inputs(o)
  if not list then return fail(66, message) end
  wrong = check_replaced(o, list)
  if wrong then return fail(64, wrong) end
  local each
  each, message = wants_each(o, #list)
  if each == nil then return fail(64, message) end
  local net
  net, message = find_net(o, #list, size)
  if not net then return fail(66, message) end
  wrong = check_head(o, net)
  if wrong then return fail(64, wrong) end
  local report = require("lunette.commands.explain.report").new(o)
  if each then return explain_each(net, o, list, report) end
  return explain_together(net, o, list, report)
end
