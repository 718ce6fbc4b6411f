---@meta _
---Pictures of 8-bit RGB: files, drawing, resizing.

---@class lunette.core
local core = {}

---Pictures of 8-bit RGB; colours are 0xRRGGBB, coordinates count from 0.
core.image = {}

---A picture of 8-bit RGB.
---@class lunette.Image
local Image = {}

---Reads a JPEG, PNG or BMP file.
---@param path string
---@return lunette.Image? image, table|string info   or nil and a message
function core.image.load(path) end

---The same from bytes.
---@param bytes string
---@param name? string   for messages
---@return lunette.Image? image, table|string info
function core.image.decode(bytes, name) end

---An empty picture.
---@param width integer
---@param height integer
---@param colour? integer   0
---@return lunette.Image
function core.image.new(width, height, colour) end

---Pictures to a tensor, preprocessed.
---@param images lunette.Image[]
---@param prep? { mean?: number[], std?: number[], scale?: number, bgr?: boolean }
---@return lunette.Tensor   (N,3,H,W)
function core.image.to_planes(images, prep) end

---The way back.
---@param t lunette.Tensor   (3,H,W)
---@param prep? table
---@return lunette.Image
function core.image.from_planes(t, prep) end

---Least and greatest value, and how many are not finite.
---@param t lunette.Tensor
---@return number least, number greatest, integer bad
function core.image.range(t) end

---The p-th percentile of the absolute values.
---@param t lunette.Tensor
---@param p number   0 .. 100
---@return number
function core.image.percentile(t, p) end

---Resizes maps as Pillow would.
---@param t lunette.Tensor   (...,H,W)
---@param height integer
---@param width integer
---@param filter? string   "bilinear"
---@return lunette.Tensor
function core.image.resize_map(t, height, width, filter) end

---Colours a map.
---@param t lunette.Tensor   (H,W)
---@param colours string     256 RGB triples
---@param lo number
---@param hi number
---@return lunette.Image
function core.image.colormap(t, colours, lo, hi) end

---A map's values as a PNG file of 16-bit grey; they come back to within
---(hi - lo) / 131070.
---@param t lunette.Tensor   (H,W), finite
---@param lo number   the value of 0
---@param hi number   the value of 65535
---@return string bytes
function core.image.grey16(t, lo, hi) end

---A moving GIF of pictures of one size, which are shown again and again.
---@param frames lunette.Image[]
---@param delays integer[]   how long each stands, in hundredths of a second
---@return string bytes
function core.image.gif(frames, delays) end

---Width of a text in pixels.
---@param size number   height of the letters
---@param text string
---@return integer
function core.image.text_width(size, text) end

---Room a text needs above and below its base line.
---@param size number
---@return integer above, integer below
function core.image.text_height(size) end

---@return integer width, integer height
function Image:size() end

---@param x integer
---@param y integer
---@return integer colour
function Image:get(x, y) end

---A resized copy, as Pillow would make it.
---@param width integer
---@param height integer
---@param filter? string   "bilinear"
---@param box? number[]    left, top, right, bottom of the part that is resized (all)
---@return lunette.Image
function Image:resize(width, height, filter, box) end

---A part as a picture of its own.
---@param left integer
---@param top integer
---@param width integer
---@param height integer
---@return lunette.Image
function Image:crop(left, top, width, height) end

---Fills a rectangle.
---@param x integer
---@param y integer
---@param width integer
---@param height integer
---@param colour integer
---@return lunette.Image self
function Image:fill(x, y, width, height, colour) end

---Lays another picture over this one.
---@param other lunette.Image
---@param x integer
---@param y integer
---@return lunette.Image self
function Image:paste(other, x, y) end

---Mixes another picture in.
---@param other lunette.Image
---@param x integer
---@param y integer
---@param alpha number   0 .. 1
---@return lunette.Image self
function Image:blend(other, x, y, alpha) end

---Makes it grey.
---@return lunette.Image self
function Image:grey() end

---Writes a text whose base line starts at (x, y).
---@param x integer
---@param y integer
---@param size number
---@param colour integer
---@param text string
---@param turned? boolean   upwards
---@return lunette.Image self
function Image:text(x, y, size, colour, text, turned) end

---The bytes of a PNG file.
---@param texts? string[]   {key, value, ...}
---@return string
function Image:png(texts) end

---The bytes of a file: PNG with texts, JPEG (quality 95, colours at full size) or BMP.
---@param format "png"|"jpg"|"jpeg"|"bmp"
---@param texts? string[]   key, value, key, value ... (PNG alone has room for them)
---@return string
function Image:encode(format, texts) end

---Gives the memory back.
function Image:release() end
