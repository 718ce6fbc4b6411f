-- The cache of imported files is kept within a limit: what was used longest ago goes.
local cache = require "lunette.weights.cache"
local lfs = require "lfs"
local t = dofile "tests/lua/support.lua"

describe("the cache of imported files", function()
  local folder, done
  before_each(function() folder, done = t.folder() end)
  after_each(function() done() end)

  ---Copies of so many bytes, the first used longest ago.
  local function fill(sizes)
    local paths = {}
    for i, n in ipairs(sizes) do
      paths[i] = t.spit(("%s/%d.safetensors"):format(folder, i), ("x"):rep(n))
      lfs.touch(paths[i], 1e9 + i)
    end
    return paths
  end

  local function limited(bytes, keep)
    local limit, text = cache.limit, require "lunette.base.text"
    local complain, said = text.complain, {}
    cache.limit = function() return bytes end
    text.complain = function(what) said[#said + 1] = what end
    local ok, n = pcall(cache.trim, keep)
    cache.limit, text.complain = limit, complain
    assert(ok, n)
    return n, said[1]
  end

  it("loses what was used longest ago, and says so", function()
    local p = fill { 100, 100, 100, 100 }
    local n, said = limited(250, p[4])
    assert.equal(2, n)
    assert.matches("removed 2 copies .* used longest ago .*LUNETTE_CACHE_MB", said)
    assert.same({ false, false, true, true }, { t.exists(p[1]), t.exists(p[2]),
                t.exists(p[3]), t.exists(p[4]) })
  end)

  it("keeps what was used last, whatever it is called, and the new one", function()
    local p = fill { 100, 100, 100, 100 }
    lfs.touch(p[1], 2e9, 1e9) -- read later, as the system notes
    limited(200, p[2])
    assert.same({ true, true, false, false }, { t.exists(p[1]), t.exists(p[2]),
                t.exists(p[3]), t.exists(p[4]) })
    limited(0, p[2])
    assert.same({ false, true }, { t.exists(p[1]), t.exists(p[2]) })
  end)

  it("touches nothing else, and nothing within the limit", function()
    local p = fill { 100, 100 }
    local other = t.spit(folder .. "/notes.txt", ("x"):rep(1000))
    local n, said = limited(1000, p[2])
    assert.equal(0, n)
    assert.is_nil(said)
    limited(0, p[2])
    assert.is_true(t.exists(other))
  end)
end)
