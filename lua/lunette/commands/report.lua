---`lunette report DIR...`: a page of the maps that `explain` or `sweep` left there.
local cli = require "lunette.commands.cli"
local lfs = require "lfs"
local text = require "lunette.base.text"


local function parser()
  local p = cli.parser("lunette report", "Makes one page for a browser of all maps in "
    .. "folders of `lunette explain --save npy,json` or of `lunette sweep`.")
  p:argument("folder", "folders"):args "+"
  p:option("-o --out", "the page (default: report.html in the first folder)")
  p:option("--title", "above the page (default: the folders' names)")
  p:option("--lang", "language of the page"):choices { "en", "ru" }:default "en"
  p:flag("--linked", "pictures and values in files beside the page: for thousands")
  p:option("--layers", "pictures of each network whose layers are measured; 0: none")
    :default(4):convert(tonumber)
  return p
end


local fail = cli.failing "lunette report"


---A page's size where people see it: "1.2 MB".
local function size_text(path)
  local bytes = lfs.attributes(path, "size") or 0
  return bytes >= 1e6 and ("%.1f MB"):format(bytes / 1e6)
    or ("%d kB"):format(math.ceil(bytes / 1e3))
end


---What was not typed; a message where what was will not do.
local function complete(o)
  local names = {}
  for i, folder in ipairs(o.folder) do
    names[i] = folder:gsub("(.)/+$", "%1"):match "([^/]*)$"
  end
  o.out = o.out or o.folder[1]:gsub("(.)/+$", "%1") .. "/report.html"
  o.title = o.title or table.concat(names, ", ")
  if o.out == "" then return "--out is empty: give a file's name" end
  if not o.layers or math.tointeger(o.layers) == nil or o.layers < 0 then
    return "--layers is a whole number from 0 on"
  end
  return nil
end


---@param args string[]
---@return integer code   0; 3 some maps could not be shown; 64 usage, 66 no maps there,
---  74 cannot write
return function(args)
  local o = parser():parse(args)
  local wrong = complete(o)
  if wrong then return fail(64, wrong) end
  local source, message = require("lunette.report.folder").read(o.folder)
  if not source then return fail(66, message) end
  local path, why, maps, errors = require("lunette.report").write(source, {
    out = o.out, title = o.title, lang = o.lang, linked = o.linked or false,
    layers = o.layers })
  if not path then return fail(74, why) end
  text.say(("wrote %s: %s, %s, %s%s"):format(path, text.count(maps, "map"),
    text.count(errors, "error"), size_text(path),
    o.linked and ", and the files beside it" or ""))
  return errors > 0 and 3 or 0
end
