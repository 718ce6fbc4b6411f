---Pictures in and out: reading JPEG, PNG and BMP, resizing as Pillow does, turning
---them into a network's input; writing them, and moving ones as GIF. A picture is a
---tensor (3,H,W), red first, of whole numbers 0..255; a batch for a network is
---(N,3,H,W), preprocessed.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local files = require "lunette.base.files"
local fit = require "lunette.picture.fit"
local options = require "lunette.base.options"
local preprocessing = require "lunette.picture.preprocessing"
local shapes = require "lunette.base.shapes"
local types = require "lunette.base.types"
local warn = require "lunette.base.warn"

local M = {}


---Preprocessing as data: its names, and all its fields.
M.modes, M.spec = preprocessing.modes, preprocessing.spec


-- pictures and the engine's own images ------------------------------------------


---The 8-bit image of a picture: (3,H,W), or grey as (1,H,W) or (H,W). Values
---are rounded and cut to 0..255.
---@param picture lunette.Tensor
---@return userdata image
function M.to_image(picture)
  if types.is_image(picture) then return picture end
  local shape = picture:shape()
  local c = #shape == 3 and shape[1] or #shape == 2 and 1
  if c == 3 then return core.image.from_planes(picture) end
  if c ~= 1 then
    blame(("a picture is a tensor (3,H,W), this is %s"):format(shapes.text(shape)))
  end
  local h, w = shape[#shape - 1], shape[#shape]
  local rgb = core.zeros(3, h, w)
  for i = 1, 3 do rgb[i] = picture end
  return core.image.from_planes(rgb)
end


---The picture of an 8-bit image.
---@param image userdata
---@return lunette.Tensor picture   (3,H,W)
function M.from_image(image) return core.image.to_planes({ image })[1] end


-- reading ----------------------------------------------------------------------


local turned = {
  [2] = "mirrored", [3] = "upside down", [4] = "upside down and mirrored",
  [5] = "on its side and mirrored", [6] = "on its side",
  [7] = "on its side and mirrored", [8] = "on its side",
}


---Keras and PyTorch leave EXIF rotation alone, and so do their scores.
local function warn_if_turned(name, info)
  if turned[info.orientation] then
    warn(("picture '%s' is stored %s (EXIF orientation %d) and used as stored; orient "
          .. "turns it"):format(name, turned[info.orientation], info.orientation))
  end
end


local function read_image(path, orient)
  local image, info = core.image.load(path)
  if not image then return nil, info end
  if orient and turned[info.orientation] then
    return M.to_image(fit.oriented(M.from_image(image), info.orientation)), info
  end
  warn_if_turned(path, info)
  return image, info
end


---Reads a picture. The format is told by content, never by name. Grey becomes
---RGB, CMYK is converted, 16 bits keep the upper 8, transparency lies on white.
---Limits: 64 MB, 16384 pixels a side, 64 megapixels.
---@param path string
---@return lunette.Tensor? picture   (3,H,W), 0..255
---@return table|string info         {format, width, height, channels, depth,
---  orientation, alpha, cmyk}, or the message
function M.load(path)
  if type(path) ~= "string" then blame("image.load: a path expected") end
  local image, info = read_image(path)
  if not image then return nil, info end
  return M.from_image(image), info
end


---The same from bytes in memory.
---@param bytes string
---@param name? string   for messages
---@return lunette.Tensor? picture, table|string info
function M.decode(bytes, name)
  local image, info = core.image.decode(bytes, name)
  if not image then return nil, info end
  warn_if_turned(name or "picture in memory", info)
  return M.from_image(image), info
end


---What a picture file's name asks for; PNG where it has no suffix.
---@param path string
---@return string? format, string? message   "png", "jpg", "jpeg" or "bmp"
function M.format_of(path)
  local format = (path:match "[^/]%.(%w+)$" or "png"):lower()
  if format == "png" or format == "jpg" or format == "jpeg" or format == "bmp" then
    return format
  end
  return nil, ("'%s': pictures are written as .png, .jpg, .jpeg or .bmp"):format(path)
end


---Writes a picture as PNG, JPEG or BMP, as the path ends (PNG without a suffix).
---@param path string
---@param picture lunette.Tensor   (3,H,W) or grey (H,W), 0..255
---@param title? string
---@return string? path, string? message
function M.save(path, picture, title)
  local meta = { "Software", "Lunette" }
  if title then meta[3], meta[4] = "Title", title end
  local format, message = M.format_of(path)
  if not format then return nil, message end
  return files.write(path, M.to_image(picture):encode(format, meta))
end


---A picture as a network saw it, by what a map's story tells.
---@param path string
---@param told table   a story: fit, filter, side ...
---@return userdata? image   nil: it cannot be read, or the story tells too little
---@return string? message
function M.again(path, told)
  local image, info = core.image.load(path)
  if not image then return nil, info end
  if told.oriented and turned[info.orientation] then
    image = M.to_image(fit.oriented(M.from_image(image), info.orientation))
  end
  image = fit.again(image, told)
  return image, not image and "its story does not say how it was prepared" or nil
end


-- moving pictures --------------------------------------------------------------


---Writes pictures of one size as a GIF that shows them one after the other, for ever.
---Every frame has 256 colours of its own; one with no more keeps them exactly.
---Example:
---  local frames = {}
---  for i = 1, 4 do frames[i] = lu.full(60 * i, 3, 16, 16) end
---  assert(lu.image.animate("out/brighter.gif", frames, { seconds = 0.1 }))
---@param path string   .gif; a missing folder is made
---@param frames (lunette.Tensor|userdata)[]   (3,H,W) or grey (H,W) of 0..255, or what
---  `canvas:render` gives
---@param opts? { seconds?: number, last?: number }   how long a frame stands (0.2),
---  and the last one (1.5); 0.02 .. 600
---@return string? path, string? message
function M.animate(path, frames, opts)
  local o = options.check("animate", opts, {
    seconds = options.opt.number(0.2, "a frame", 0.02, 600),
    last = options.opt.number(1.5, "the last frame", 0.02, 600) })
  if type(path) ~= "string" or type(frames) ~= "table" or #frames == 0 then
    blame("animate: a path and a list of pictures expected")
  end
  if not path:lower():find "[^/]%.gif$" then
    return nil, ("'%s': moving pictures are written as .gif"):format(path)
  end
  local images, delays = {}, {}
  for i, frame in ipairs(frames) do
    images[i] = M.to_image(frame)
    delays[i] = math.floor((i == #frames and o.last or o.seconds) * 100 + 0.5)
  end
  return files.write(path, core.image.gif(images, delays))
end


-- changing size ----------------------------------------------------------------


---{height, width} of a size given as one number or two.
local function size_of(size, level)
  local h, w = size, size
  if type(size) == "table" then h, w = size[1], size[2] end
  h, w = math.tointeger(h), math.tointeger(w)
  if not h or not w or h < 1 or w < 1 then
    error("a size is a whole number of pixels, or {height, width}", level + 1)
  end
  return h, w
end


---Resizes as Pillow's Image.resize does, to the byte: filters widen when
---shrinking (antialiasing).
---@param picture lunette.Tensor        (3,H,W), 0..255
---@param size integer|integer[]        side, or {height, width}
---@param filter? string   "bilinear" (default), "nearest", "box", "bicubic",
---  "lanczos", "hamming"
---@return lunette.Tensor picture
function M.resize(picture, size, filter)
  local h, w = size_of(size, 2)
  return M.from_image(M.to_image(picture):resize(w, h, filter or "bilinear"))
end


---Cuts out a part.
---@param picture lunette.Tensor   (3,H,W)
---@param left integer             columns to skip
---@param top integer              rows to skip
---@param width integer
---@param height integer
---@return lunette.Tensor picture  (3,height,width)
function M.crop(picture, left, top, width, height)
  return M.from_image(M.to_image(picture):crop(left, top, width, height))
end


-- to and from networks ---------------------------------------------------------


local function planes(images, spec, channels)
  if #images == 0 then
    blame "images: the list is empty; what could not be loaded is nil in it"
  end
  if channels ~= 1 then return core.image.to_planes(images, spec) end
  local w, h = images[1]:size()
  local x = core.zeros(#images, 1, h, w)
  for i, image in ipairs(images) do
    x[i] = core.image.to_planes({ image }, spec)[1][1]
  end
  return x
end


local function list_of(what)
  if type(what) == "table" then return what end
  local list = {}
  if #what:shape() == 4 then
    for i = 1, #what do list[i] = what[i] end
  else
    list[1] = what
  end
  return list
end


---Pictures to a network's input: brought to its size, channels in its order,
---scaled and standardised: (byte * scale - mean) / std.
---@param what lunette.Tensor|lunette.Tensor[]  a picture, a batch, or a list
---@param spec string|lunette.Preprocessing
---@param size? integer|integer[]    overrides spec.size; neither: as they are
---@return lunette.Tensor x          (N,3,H,W), with x.pictures: what it shows,
---  (3,H,W) of 0..255 each
function M.preprocess(what, spec, size)
  spec = preprocessing.spec(spec)
  size = size or spec.size
  local images, pictures = {}, {}
  for i, picture in ipairs(list_of(what)) do
    images[i] = M.to_image(picture)
    if size then
      local h, w = size_of(size, 2)
      images[i] = fit.apply(images[i], h, w, spec)
    end
    pictures[i] = M.from_image(images[i])
  end
  if #images == 0 then blame("preprocess: no pictures given") end
  local x = planes(images, spec)
  x.pictures = pictures
  return x
end


---The way back, for showing: a network's input to pictures.
---@param x lunette.Tensor       (N,3,H,W) or (3,H,W)
---@param spec string|lunette.Preprocessing
---@return lunette.Tensor[] pictures   (3,H,W), 0..255
function M.deprocess(x, spec)
  spec = preprocessing.spec(spec)
  local pictures = {}
  for i, one in ipairs(list_of(x)) do
    pictures[i] = M.from_image(core.image.from_planes(one, spec))
  end
  return pictures
end


local function paths_of(what)
  if type(what) == "string" then return { what } end
  if type(what) == "table" and (what.image or what.images) then
    return paths_of(what.image or what.images)
  end
  if type(what) ~= "table" and type(what) ~= "userdata" then
    blame("images: paths or pictures expected")
  end
  return list_of(what)
end


---An option that was given: lu.cli has "" for those that were not.
local function given(word) return word ~= "" and word or nil end


---A network's preprocessing, with the options' `fit` and `filter` over it.
local function spec_for(net, what)
  local spec = M.spec(net.preprocessing)
  local way, filter = nil, nil
  if type(what) == "table" then way, filter = given(what.fit), given(what.filter) end
  if not way and not filter then return spec end
  local own = { fit = way or spec.fit, filter = filter }
  for _, key in ipairs { "order", "scale", "mean", "std", "crop_pct", "size" } do
    own[key] = spec[key]
  end
  return M.spec(own)
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


---A picture of 0..1 would be seen as black.
local function warn_of_dark(name, item)
  if types.is_image(item) then return end
  local s = item:stats()
  if s.max > 0 and s.max <= 1 and s.min ~= s.max then
    warn(("%s has values of %.3g .. %.3g, and pictures have 0 .. 255: multiply it by "
          .. "255"):format(name, s.min, s.max))
  end
end


---The images of what is named or given, and their names; nil, message.
local function images_of(list, orient)
  local images, names = {}, {}
  for i, item in ipairs(list) do
    local image, message = item, nil
    names[i] = type(item) == "string" and item or "picture " .. i
    if type(item) == "string" then
      image, message = read_image(item, orient)
    elseif not types.is_image(item) and not options.is_tensor(item) then
      blame(("images: %s of the list is a %s; a path or a picture (3,H,W) of 0..255 is "
             .. "expected"):format(names[i], type(item)))
    else
      warn_of_dark(names[i], item)
    end
    if not image then return nil, message end
    images[i] = M.to_image(image)
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
function M.batch(net, what)
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
    pictures[i] = M.from_image(images[i])
  end
  warn_of_files(net, list)
  local x = planes(images, spec, channels)
  x.pictures, x.names = pictures, names
  x.prepared = fit.told(spec, h, w)
  x.prepared.oriented = orient or nil
  return x
end

return M
