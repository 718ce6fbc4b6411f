---Files of pictures: read as stored, as EXIF turns them, or again as a story tells.
local convert = require "lunette.picture.convert"
local core = require "lunette.core"
local files = require "lunette.base.files"
local fit = require "lunette.picture.fit"
local types = require "lunette.base.types"
local warn = require "lunette.base.warn"

local to_image, from_image = convert.to_image, convert.from_image

local M = {}


local turned = {
  [2] = "mirrored", [3] = "upside down", [4] = "upside down and mirrored",
  [5] = "on its side and mirrored", [6] = "on its side",
  [7] = "on its side and mirrored", [8] = "on its side",
}


---Warns of a picture that is stored otherwise than it is to be seen. Keras and PyTorch
---leave EXIF rotation alone, and so do their scores.
---@param name string
---@param info table   of core.image.load
function M.warn_if_turned(name, info)
  if turned[info.orientation] then
    warn(("picture '%s' is stored %s (EXIF orientation %d) and used as stored; orient "
          .. "turns it"):format(name, turned[info.orientation], info.orientation))
  end
end


---Warns of a picture of 0..1, which would be seen, or written, as black.
---@param name string
---@param picture any   an image of the engine's own is none
function M.warn_if_dark(name, picture)
  if not types.is_tensor(picture) then return end
  local s = picture:stats()
  if s.max > 0 and s.max <= 1 and s.min ~= s.max then
    warn(("%s has values of %.3g .. %.3g, and pictures have 0 .. 255: multiply it by "
          .. "255"):format(name, s.min, s.max))
  end
end


local function oriented(image, info)
  if not turned[info.orientation] then return image end
  return to_image(fit.oriented(from_image(image), info.orientation))
end


---The 8-bit image that a file holds.
---@param path string
---@param orient? boolean   turned as EXIF says
---@return userdata? image, table|string info   nil, message
function M.read(path, orient)
  local image, info = core.image.load(path)
  if not image then return nil, info .. files.hint(path) end
  if orient then return oriented(image, info), info end
  M.warn_if_turned(path, info)
  return image, info
end


---A picture as a network saw it, by what a map's story tells.
---@param path string
---@param told table   a story: fit, filter, side ...
---@return userdata? image   nil: it cannot be read, or the story tells too little
---@return string? message
function M.again(path, told)
  local image, info = core.image.load(path)
  if not image then return nil, info end
  if told.oriented then image = oriented(image, info) end
  image = fit.again(image, told)
  return image, not image and "its story does not say how it was prepared" or nil
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

return M
