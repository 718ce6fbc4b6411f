---`lunette explore PHOTO`: what a network does with one picture, layer by layer.
local cli = require "lunette.commands.cli"
local text = require "lunette.base.text"


local function parser()
  local p = cli.parser("lunette explore", "Makes one page for a browser of what a "
    .. "network does with a picture: every layer's most active channels, statistics "
    .. "and silent units, how the prediction forms, maps of the likeliest classes.")
  p:argument("image", "a picture; none: an example"):args "?"
  p:option("-m --model", "installed model, or a model file (default: vgg16)")
  p:option("-o --out", "the page"):default "out/explore.html"
  p:option("--channels", "the most active ones, shown of every layer"):default(8)
    :convert(tonumber)
  p:option("--classes", "the most probable ones, whose evidence and maps are shown")
    :default(5):convert(tonumber)
  p:option("--lang", "language of the page"):choices { "en", "ru" }:default "en"
  p:option("--fit", "stretch, crop or pad (default: as the weights were evaluated)")
    :choices { "stretch", "crop", "pad" }
  p:option("--threads", "threads"):convert(tonumber)
  return p
end


local fail = cli.failing "lunette explore"


---What is wrong with the numbers, as a message, or nil.
local function check(o)
  for _, key in ipairs { "channels", "classes" } do
    local n = math.tointeger(o[key] or 0.5)
    if not n or n < 1 or n > 64 then
      return ("--%s is a whole number from 1 to 64"):format(key)
    end
  end
  return o.out == "" and "--out is empty: give a file's name" or nil
end


---The network: the one that is named; the embedded one stands in where there is no
---picture either.
local function open(o)
  local defaults = require "lunette.commands.defaults"
  local name, note = o.model, nil
  if not name then name, note = defaults.model "vgg16" end
  if note and o.image then
    return nil, "no network named, and no weights of vgg16 on this machine: `lunette "
      .. "models get vgg16` fetches them, --model NAME or FILE is another network"
  end
  if note then text.complain(note) end
  return require("lunette.weights.load").load(name)
end


---@param args string[]
---@return integer code   0; 64 usage, 66 no such network or picture, 74 cannot write
return function(args)
  local o = parser():parse(args)
  local wrong = check(o)
  if wrong then return fail(64, wrong) end
  if o.threads then require("lunette.core").threads(o.threads) end
  local net, message = open(o)
  if not net then return fail(66, message) end
  local images
  images, message = net:images { image = { o.image }, fit = o.fit, fallback = function()
    local pictures, message_, names = require("lunette.commands.defaults").pictures(net)
    if not pictures then return nil, message_ end
    return { pictures[1] }, names and { names[1] }
  end }
  if not images then return fail(66, message) end
  local page = require("lunette.report.explore").page(net, images, o)
  local path, why = page:save(o.out)
  if not path then return fail(74, why) end
  text.say("wrote " .. path)
  return 0
end
