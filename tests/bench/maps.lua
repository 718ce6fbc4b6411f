-- A folder of thousands of maps for `lunette report`: one explanation, linked again and
-- again under other names.
--   ./lunette tests/bench/maps.lua 50000 FOLDER
--   time ./lunette report FOLDER/maps --linked --layers 0
local lfs = require "lfs"
local lu = require "lunette"

local count, folder = tonumber(arg[1]), assert(arg[2], "maps.lua COUNT FOLDER")
local FIRST = "p000000"


local function bytes_of(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end


local function spit(path, bytes)
  local f <close> = assert(io.open(path, "wb"))
  assert(f:write(bytes))
end


local scene = lu.glyphs.default_images(1).images[1]
for _, sub in ipairs { "", "/pictures", "/maps" } do lfs.mkdir(folder .. sub) end
local picture = ("%s/pictures/%s.png"):format(folder, FIRST)
assert(lu.image.save(picture, scene))
assert(os.execute(("./lunette explain '%s' -m glyphs --save npy,json --quiet "
  .. "-o '%s/maps/%s.png'"):format(picture, folder, FIRST)))
local text, values = bytes_of(("%s/maps/%s.json"):format(folder, FIRST)), nil
for name in lfs.dir(folder .. "/maps") do
  if name:find "%.npy$" then values = name end
end
for i = 1, count - 1 do
  local function named(path) return (path:gsub(FIRST, ("p%06d"):format(i))) end
  assert(lfs.link(picture, named(picture)))
  assert(lfs.link(folder .. "/maps/" .. values, named(folder .. "/maps/" .. values)))
  spit(named(("%s/maps/%s.json"):format(folder, FIRST)), named(text))
end
