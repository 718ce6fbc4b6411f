-- ONNX files that are broken, hostile, or of networks that are not supported: each gets
-- what EXPECTED.txt of the reference material says.
local import = require "lunette.weights.import"
local lu = require "lunette"
local t = dofile "tests/lua/support.lua"

local zoo = t.shared .. "/models/onnx/"
local folder, done

setup(function() folder, done = t.folder() end)
teardown(function() done() end)


describe("hostile files", function()
  local list = {}
  if t.exists(zoo .. "bad/EXPECTED.txt") then
    for line in io.lines(zoo .. "bad/EXPECTED.txt") do
      local name, want = line:match "^([^#\t]+)\t(.*)"
      if name then list[#list + 1] = { name, want } end
    end
  else
    pending "models/onnx/bad: no reference material"
  end

  for _, case in ipairs(list) do
    it(case[1], function()
      local out = folder .. "/bad.safetensors"
      local path, message = import(zoo .. "bad/" .. case[1],
                                   { out = out, force = true })
      local may_load = case[2]:find "^OK" or case[2]:find "or read"
        or case[2]:find "ignored" or case[2]:find "sorted"
      if path then
        assert.truthy(may_load, "it was read: " .. case[2])
        local net = assert(lu.load(path))
        assert.truthy(net:run(t.input(net), { keep = false })) -- (gigabytes, kept)
        os.remove(out)
      else
        assert.truthy(not case[2]:find "^OK" or case[2]:find "error", message)
        assert.is_false(t.exists(out))
        assert.is_nil(message:find "signal")
        assert.is_nil(message:find "attempt to")
        assert.matches(case[1]:gsub("%p", "%%%0"), message)
      end
    end)
  end
end)
