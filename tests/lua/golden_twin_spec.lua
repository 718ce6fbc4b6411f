-- Golden files that nobody has seen: classes, layers, counts, windows and baselines are
-- drawn by a seed, computed by torch in float64 (tests/torch/golden.py) and compared by
-- tests/golden.lua, which has to know and pass every key.
local t = dofile "tests/lua/support.lua"

local model = (os.getenv "LUNETTE_SHARED" or "../shared")
  .. "/models/tiny_vgg.safetensors"
local python = "/usr/bin/python3"


describe("attributions of other classes, layers, counts and windows:", function()
  if not t.exists(model) then return pending "needs the reference material" end
  local folder = t.kept("golden", "tests/torch/golden.py", "python3-torch",
    function(to)
      if t.other(python .. " -c 'import torch'") ~= 0 then return false end
      for seed = 1, 3 do
        local command = ("%s tests/torch/golden.py '%s' '%s/%d.safetensors' %d"):format(
          python, model, to, seed, seed)
        local code, said = t.other(command)
        assert(code == 0, said)
      end
    end)
  if not folder then return pending "python3 with torch" end

  for seed = 1, 3 do
    it(("draw %d"):format(seed), function()
      local _, said = t.program(("tests/golden.lua '%s/%d.safetensors' --model '%s'")
        :format(folder, seed, model))
      local passed, failed, skipped = said:match "(%d+) passed, (%d+) failed, (%d+) sk"
      assert.is_truthy(passed, said)
      local bad = said:gsub("[^\n]* passed[^\n]*\n", "")
      assert.equal("0 0", failed .. " " .. skipped, bad)
      assert.is_true(tonumber(passed) > 100, said)
    end)
  end
end)
