---Pages of help about what is no function: kinds of layers with their fields, and the
---node that a backward rule is given.
local core = require "lunette.core"
local docs = require "lunette.repl.docs"

local M = {}


---How to begin.
M.overview = [[
Lunette explains what a convolutional network looked at.

  net = lu.load "glyphs"             a network (comes with Lunette); or a file
  net                                its layers
  net.block2_conv1                   one layer; TAB completes names
  x = net:images { "picture.png" }   pictures, as the network wants them
  run = net:run(x)                   one forward pass: prints the top classes
  run.block2_conv1                   what a layer put out
  show(run.block2_conv1)             drawn, a tile a channel
  map = lu.gradcam(run)              an explanation; show(map), show(map, "map.png")
  run:stats()  run:compare(other)    layer by layer

  help(x)  help "gradcam"  ?gradcam  about a function, a layer, a topic
  apropos "cam"                      names and texts with that word
  help "kinds"  help "node"          layers' fields; what a backward rule is given
  net.block1_conv1.weight            a parameter; show(net.block1_conv1): the kernels
  save "exp.lua"                     this session as a script; traceback()
  $ ls                               a command of the shell
  _  _1 .. _9                        the last results; `;` at the end: silent
Ctrl-C stops a computation, Ctrl-D leaves.]]


local function kinds() return require("lunette.layers.kinds").kinds end


---The fields that a layer of a kind has: those it needs, then those with a default.
---@param name string
---@return string[] needed, string[] others
local function fields_of(name)
  local kind, seen, others = kinds()[name], {}, {}
  for _, key in ipairs(kind.needs) do seen[key] = true end
  for _, list in ipairs { kind.own, kind.attrs } do
    for _, key in ipairs(list) do
      if not seen[key] then others[#others + 1] = key end
      seen[key] = true
    end
  end
  return kind.needs, others
end


---How a layer of that kind is written in a network's table.
---@param name string   "conv2d"
---@return string?
function M.as_layer(name)
  if not core.ops[name] then return nil end
  local needed, others = fields_of(name)
  local words = { '"NAME"', ('"%s"'):format(name) }
  for _, key in ipairs(needed) do words[#words + 1] = key .. " =" end
  local text = "as a layer: { " .. table.concat(words, ", ") .. " }"
  if #others > 0 then text = text .. "; may have " .. table.concat(others, ", ") end
  local params = kinds()[name].order
  if params then text = text .. "; parameters: " .. table.concat(params, ", ") end
  return text
end


---Every kind of layer with its fields, in families.
local function kinds_page()
  local families, list = {}, {}
  for name in pairs(core.ops) do
    local is = core.op_info(name).is:match "%S+" or "other"
    if not families[is] then
      families[is] = {}
      list[#list + 1] = is
    end
    table.insert(families[is], name)
  end
  table.sort(list)
  local out = { [[
Kinds of layers for lu.net: { "name", "kind", field = ... }. A layer reads the one
before it, or `from = "name"`, or a list of them. Fields that it must have stand
first, those in brackets have defaults; help "KIND" says more.]] }
  for _, is in ipairs(list) do
    table.sort(families[is])
    out[#out + 1] = ("\n%s"):format(is)
    for _, name in ipairs(families[is]) do
      local needed, others = fields_of(name)
      local text, more = table.concat(needed, ", "), table.concat(others, ", ")
      if more ~= "" then text = ("%s (%s)"):format(text, more) end
      out[#out + 1] = (("  %-18s %s"):format(name, text):gsub("%s+$", ""))
    end
  end
  return table.concat(out, "\n")
end


---What a rule is given: fields and functions of a node.
local function node_page(page)
  local out = { page(docs.all().classes["lunette.Node"],
                     "node   (what a backward rule is given)") }
  for _, e in ipairs(docs.all().list) do
    if e.name == "Node:forward" or e.name == "Node:backward" then
      out[#out + 1] = page(e, (e.name:gsub("^Node", "node")))
    end
  end
  return table.concat(out, "\n\n")
end


local recipes = [[
What a layer's units do, as functions (help on each says more):

  lu.channels.top(run, "conv3")            units that answer most to each picture
  lu.channels.pixels(run, "conv3", { channel = 5 })   which pixels one answers to
  lu.features.dead(net, "conv3", pictures) units that answer to none of the pictures
  lu.features.patches(net, "conv3", pictures, { units = { 5 } })
                                           the parts of pictures that excite a unit most
  lu.features.receptive_field(net, "conv3").box(y, x)   what one value can see
  lu.activation_maximization(net, { score = lu.score.unit("conv3", 5), show = 16 })
                                           what a unit wants to see
  lu.features.gallery(net, "conv3", { pictures = pictures })   all of it on a canvas
  run:stats()                              range and share of zeros, layer by layer]]


local pages = { kinds = kinds_page, node = node_page,
                recipes = function() return recipes end }


---The page about a topic, or nil.
---@param name string
---@param page fun(e: lunette.DocEntry, name: string): string   how an entry is laid out
---@return string?
function M.page(name, page) return pages[name] and pages[name](page) end

return M
