---How a photograph of any size becomes a picture of a network's size, as those who
---trained it did: stretched, cropped or padded; and turned as its camera was held.
local core = require "lunette.core"

local M = {}


---Python's round: halves go to the even number, as torchvision's crop does.
local function round_even(x)
  local low = math.floor(x)
  if x - low == 0.5 then return low + low % 2 end
  return math.floor(x + 0.5)
end


---torchvision's Resize and CenterCrop: the short side to side / crop_pct, then the
---middle.
local function crop(image, h, w, spec)
  local width, height = image:size()
  local short = math.floor(math.max(h, w) / spec.crop_pct)
  local rw, rh = short, short
  if width < height then
    rh = short * height // width
  else
    rw = short * width // height
  end
  local left, top = round_even((rw - w) / 2), round_even((rh - h) / 2)
  return image:resize(rw, rh, spec.filter):crop(left, top, w, h)
end


---The colour that preprocessing makes 0, as 0xRRGGBB.
local function mean_colour(spec)
  if spec.pad_colour then return spec.pad_colour end
  local order, colour = spec.bgr and { 3, 2, 1 } or { 1, 2, 3 }, 0
  for _, k in ipairs(order) do
    local byte = math.floor(spec.mean[k] / spec.scale + 0.5)
    colour = colour << 8 | math.max(0, math.min(255, byte))
  end
  return colour
end


---The whole picture, as large as fits, on the colour that becomes 0.
local function pad(image, h, w, spec)
  local width, height = image:size()
  local scale = math.min(w / width, h / height)
  local rw = math.max(1, math.min(w, math.floor(width * scale + 0.5)))
  local rh = math.max(1, math.min(h, math.floor(height * scale + 0.5)))
  local whole = core.image.new(w, h, mean_colour(spec))
  whole:paste(image:resize(rw, rh, spec.filter), (w - rw) // 2, (h - rh) // 2)
  return whole
end


local ways = {
  stretch = function(image, h, w, spec) return image:resize(w, h, spec.filter) end,
  crop = crop, pad = pad,
}

---An image of h x w pixels.
---@param image userdata
---@param h integer
---@param w integer
---@param spec table    a whole preprocessing
---@return userdata
function M.apply(image, h, w, spec) return ways[spec.fit](image, h, w, spec) end


---How pictures were brought to h x w, as plain values that stories tell.
---@param spec table    a whole preprocessing
---@param h integer
---@param w integer
---@return { fit: string, filter: string, side: string, crop_pct?: number,
---  pad_colour?: integer }
function M.told(spec, h, w)
  return { fit = spec.fit, filter = spec.filter, side = ("%dx%d"):format(h, w),
           crop_pct = spec.fit == "crop" and spec.crop_pct or nil,
           pad_colour = spec.fit == "pad" and mean_colour(spec) or nil }
end


---The same picture again, by what a story tells; nil where it tells too little.
---@param image userdata
---@param told table
---@return userdata? image
function M.again(image, told)
  local h, w = tostring(told.side):match "^(%d+)x(%d+)$"
  local way = ways[told.fit]
  if not h or not way or told.fit == "crop" and not told.crop_pct then return nil end
  return way(image, math.tointeger(h), math.tointeger(w), told)
end


---What EXIF's orientations ask for: axes swapped, then those reversed (2 rows,
---3 columns).
local turns = {
  [2] = { false, 3 }, [3] = { false, 2, 3 }, [4] = { false, 2 }, [5] = { true },
  [6] = { true, 3 }, [7] = { true, 2, 3 }, [8] = { true, 2 },
}


---A picture turned as EXIF says that it is to be seen.
---@param picture lunette.Tensor   (3,H,W)
---@param orientation? integer     1 .. 8
---@return lunette.Tensor
function M.oriented(picture, orientation)
  local turn = turns[orientation]
  if not turn then return picture end
  if turn[1] then picture = picture:permute { dims = { 1, 3, 2 } } end
  local dims = { table.unpack(turn, 2) }
  return #dims > 0 and picture:flip { dims = dims } or picture
end

return M
