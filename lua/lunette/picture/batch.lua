---Pictures by path or as tensors, prepared as a network wants them.
local blame = require "lunette.base.blame"
local convert = require "lunette.picture.convert"
local file = require "lunette.picture.file"
local fit = require "lunette.picture.fit"
local options = require "lunette.base.options"
local preprocessing = require "lunette.picture.preprocessing"
local types = require "lunette.base.types"
local warn = require "lunette.base.warn"


local known = { image = true, images = true, fit = true, filter = true, orient = true,
                fallback = true }


---Options that are written by hand: one that means nothing is an error. (Those of
---lu.cli, which have `given`, are a script's, for other things as well.)
local function check_options(what)
  local named = type(what) == "table" and (what.image or what.images)
  if not named or what.given then return end
  for key in pairs(what) do
    if not known[key] then
      local hint = require("lunette.base.suggest").after(tostring(key),
        { "image", "fit", "filter", "orient", "fallback" })
      if hint == "" and what.images then -- painted scenes, with their labels
        hint = "; of a table that holds more, give its images: net:images(t.images)"
      end
      blame(("images: no option '%s'%s"):format(tostring(key), hint))
    end
  end
end


local function paths_of(what)
  if type(what) == "string" then return { what } end
  if type(what) == "table" and (what.image or what.images) then
    return paths_of(what.image or what.images)
  end
  if type(what) ~= "table" and type(what) ~= "userdata" then
    blame("images: paths or pictures expected")
  end
  return convert.list_of(what)
end


---An option that was given: lu.cli has "" for those that were not.
local function given(word) return word ~= "" and word or nil end


---The filter that goes with another `fit` than the network's: still its own, but for
---Keras' nearest pixel, which is the habit of stretching.
local function own_filter(net, spec)
  local said = type(net.preprocessing) == "table" and net.preprocessing.filter
  return said or spec.filter ~= "nearest" and spec.filter or nil
end


---A network's preprocessing, with the options' `fit` and `filter` over it.
local function spec_for(net, what)
  local spec = preprocessing.spec(net.preprocessing)
  local way, filter = nil, nil
  if type(what) == "table" then way, filter = given(what.fit), given(what.filter) end
  if not way and not filter then return spec end
  local own = { fit = way or spec.fit, filter = filter or own_filter(net, spec) }
  for _, key in ipairs { "order", "scale", "mean", "std", "crop_pct", "size" } do
    own[key] = spec[key]
  end
  return preprocessing.spec(own)
end


---A network of drawn pictures answers a photograph like any network, but has never
---seen one.
local function warn_of_files(net, list)
  local shows = (net.meta or {}).shows
  if not shows then return end
  for _, item in ipairs(list) do
    if type(item) == "string" then
      warn(("%s: this network knows %s only, what it says of a photograph means "
        .. "nothing; `lunette models` lists networks that know more"):format(item,
        shows))
      return
    end
  end
end


---The images of what is named or given, and their names; nil, message.
local function images_of(list, orient)
  local images, names = {}, {}
  for i, item in ipairs(list) do
    local image, message = item, nil
    names[i] = type(item) == "string" and item or "picture " .. i
    if type(item) == "string" then
      image, message = file.read(item, orient)
    elseif not types.is_image(item) and not options.is_tensor(item) then
      blame(("images: %s of the list is a %s; a path or a picture (3,H,W) of 0..255 is "
             .. "expected"):format(names[i], type(item)))
    else
      file.warn_if_dark(names[i], item)
    end
    if not image then return nil, message end
    images[i] = convert.to_image(image)
  end
  return images, names
end


---Why a network reads no pictures; nil where it does.
local function blind(net)
  local input, channels = net.input, net.input[1]
  if #input == 3 and (channels == 1 or channels == 3) then return nil end
  local what = #input == 1 and ("vectors of %d values"):format(channels)
    or #input == 3 and ("maps of %d channels"):format(channels)
    or ("tensors (%s)"):format(table.concat(input, ", "))
  return ("%s reads %s, no pictures: give net:run a tensor (N, %s)"):format(net.name,
    what, table.concat(input, ", "))
end


---Reads pictures and preprocesses them as a network wants.
---@param net lunette.Net
---@param what string|(string|lunette.Tensor)[]|table   paths or pictures, or parsed
---  options with `image` in them, and maybe `fit`, `filter`, and `orient`: true turns
---  photographs as EXIF says
---@return lunette.Tensor? x   (N,C,H,W) with x.pictures ((3,H,W) of 0..255 as the
---  network sees them), x.names (the paths) and x.prepared ({ fit, filter, side ... })
---@return string? message
return function(net, what)
  check_options(what)
  local list, spec = paths_of(what), spec_for(net, what)
  if #list == 0 then return nil, "no pictures given" end
  local message = blind(net)
  if message then return nil, message end
  local channels, h, w = table.unpack(net.input)
  local orient = type(what) == "table" and what.orient == true
  local images, names = images_of(list, orient)
  if not images then return nil, names end
  local pictures = {}
  for i, image in ipairs(images) do
    images[i] = fit.apply(image, h, w, spec)
    if channels == 1 then images[i]:grey() end -- as the network sees it
    pictures[i] = convert.from_image(images[i])
  end
  warn_of_files(net, list)
  local x = convert.planes(images, spec, channels)
  x.pictures, x.names = pictures, names
  x.prepared = fit.told(spec, h, w)
  x.prepared.oriented = orient or nil
  return x
end
