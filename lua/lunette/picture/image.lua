---Pictures in and out: reading JPEG, PNG and BMP, resizing as Pillow does, turning
---them into a network's input; writing them, and moving ones as GIF. A picture is a
---tensor (3,H,W), red first, of whole numbers 0..255; a batch for a network is
---(N,3,H,W), preprocessed.
local blame = require "lunette.base.blame"
local convert = require "lunette.picture.convert"
local core = require "lunette.core"
local file = require "lunette.picture.file"
local files = require "lunette.base.files"
local fit = require "lunette.picture.fit"
local options = require "lunette.base.options"
local preprocessing = require "lunette.picture.preprocessing"

local M = { modes = preprocessing.modes,
            to_image = convert.to_image, from_image = convert.from_image }


-- reading ----------------------------------------------------------------------


---Reads a picture. The format is told by content, never by name. Grey becomes
---RGB, CMYK is converted, 16 bits keep the upper 8, transparency lies on white.
---Limits: 64 MB, 16384 pixels a side, 64 megapixels.
---@param path string
---@return lunette.Tensor? picture   (3,H,W), 0..255
---@return table|string info         {format, width, height, channels, depth,
---  orientation, alpha, cmyk}, or the message
function M.load(path)
  if type(path) ~= "string" then blame("image.load: a path expected") end
  local image, info = file.read(path)
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
  file.warn_if_turned(name or "picture in memory", info)
  return M.from_image(image), info
end


---Writes a picture as PNG, JPEG or BMP, as the path ends (PNG without a suffix).
---@param path string
---@param picture lunette.Tensor   (3,H,W) or grey (H,W), 0..255
---@param title? string
---@return string? path, string? message
function M.save(path, picture, title)
  local meta = { "Software", "Lunette" }
  if title then meta[3], meta[4] = "Title", title end
  local format, message = file.format_of(path)
  if not format then return nil, message end
  local image = M.to_image(picture)
  file.warn_if_dark(("'%s'"):format(path), picture)
  return files.write(path, image:encode(format, meta))
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
  for i, picture in ipairs(convert.list_of(what)) do
    images[i] = M.to_image(picture)
    if size then
      local h, w = size_of(size, 2)
      images[i] = fit.apply(images[i], h, w, spec)
    end
    pictures[i] = M.from_image(images[i])
  end
  if #images == 0 then blame("preprocess: no pictures given") end
  local x = convert.planes(images, spec)
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
  for i, one in ipairs(convert.list_of(x)) do
    pictures[i] = M.from_image(core.image.from_planes(one, spec))
  end
  return pictures
end

return M
