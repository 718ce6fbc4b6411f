-- The pictures of docs/methods (`make figures`): every method's maps of the two classes
-- in a drawn scene, an arrow above a star, as the embedded network sees it. For those of
-- a photograph of yours: scripts/gallery.lua with --each.
local lu = require "lunette"

local FOLDER = "docs/images/methods"
local scene = lu.glyphs.scenes { n = 1, first = 8, objects = 2, seed = 7 }
local one, two = scene.names[scene.labels[1] + 1], scene.names[scene.labels2[1] + 1]
local files = require "lunette.base.files"
assert(files.mkdir(FOLDER))
local path = "out/scene.png"
local image = lu.core.image.from_planes(scene.images[1],
  { order = "rgb", scale = 1, mean = { 0, 0, 0 }, std = { 1, 1, 1 } })
assert(files.write(FOLDER .. "/scene.jpg", image:encode "jpg"))
assert(files.mkdir "out")
assert(files.write(path, image:encode "png"))
_G.arg = { [0] = "scripts/gallery.lua", path, "--model", "glyphs", "--classes",
           one .. "," .. two, "--each", FOLDER, "--format", "jpg",
           "--out", "out/gallery.png" }
dofile "scripts/gallery.lua"
