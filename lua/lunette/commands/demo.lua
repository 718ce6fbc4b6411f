---`lunette demo`: the lab report's two canvases for four pictures, into out/.
local argparse = require "argparse"
local paths = require "lunette.base.paths"
local text = require "lunette.base.text"


---A model that is on this machine when VGG16 and the embedded network are not.
local function any_model()
  local load = require "lunette.weights.load"
  for _, name in ipairs { "vgg16", "glyphs", "squeezenet1_0", "tiny_vgg" } do
    if load.find(name) then return name end
  end
  return nil
end


local function run_script(name, args)
  local path = paths.scripts() .. "/" .. name
  arg = { [0] = path, table.unpack(args) } -- luacheck: globals arg
  assert(loadfile(path, "t"))(table.unpack(args))
end


---@param args string[]
---@return integer exit code
return function(args)
  local p = argparse("lunette demo", "Saliency and Grad-CAM of four pictures.")
  p:option("-m --model", "installed model or .safetensors file")
  p:option("-o --out", "folder"):default "out"
  local o = p:parse(args)
  if o.out == "" then
    text.complain "--out is empty: give a folder"
    return 64
  end
  local core = require "lunette.core"
  local start, model = core.clock(), o.model or any_model()
  if not model then
    text.complain "no model on this machine; see `lunette models`"
    return 66
  end
  for _, what in ipairs { "saliency", "gradcam" } do
    local list = { "--out", ("%s/%s.png"):format(o.out, what) }
    if o.model or model ~= "glyphs" then
      table.move({ "--model", model }, 1, 2, #list + 1, list)
    end
    if what == "gradcam" then list[#list + 1] = "--brief" end -- the same run
    run_script(what .. ".lua", list)
  end
  text.say(("demo: %s/saliency.png and %s/gradcam.png in %.1f s"):format(o.out, o.out,
        core.clock() - start))
  return 0
end
