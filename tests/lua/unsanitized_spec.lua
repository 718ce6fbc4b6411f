-- tests/unsanitized.txt: every line is of a spec that is there, has a reason, and the
-- reason holds as far as the text of the spec tells: what it asks of the core by name
-- is asked under the sanitizers, too, and no test is of hostile or damaged input.
local t = dofile "tests/lua/support.lua"


---The lines of the list as { spec =, reason = }.
local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    if line:sub(1, 1) ~= "#" then
      local spec, reason = line:match "^(%S+)%s*(.*)$"
      list[#list + 1] = { spec = spec, reason = reason }
    end
  end
  return list
end


---Functions of the core that a text calls by their own name.
local function calls(text)
  local found = {}
  for name in text:gmatch "%f[%w_./'\"]core%.([%l][%l%d_.]*)[%s(]" do
    found[name] = true
  end
  return found
end


---What is wrong with a line, or nil. `read` gives the text of a spec or nil, `asked`
---what the specs say that run under the sanitizers.
local function wrong_with(line, read, asked)
  local text = read(line.spec)
  if not text then return line.spec .. " is not there" end
  if not line.reason:find "%a" then return line.spec .. " has no reason" end
  for name in pairs(calls(text)) do
    if not asked[name] then
      return ("%s alone calls core.%s: no sanitizer sees it"):format(line.spec, name)
    end
  end
  for title in text:gmatch "\n%s*describe%(?%s*\"([^\"]*)" do
    if title:find "hostile" or title:find "damaged" then
      return ("%s has '%s', which belongs under the sanitizers"):format(line.spec,
                                                                      title)
    end
  end
  return nil
end


describe("tests/unsanitized.txt", function()
  local list, seen, asked = lines_of(t.read "tests/unsanitized.txt"), {}, {}
  for _, line in ipairs(list) do seen[line.spec] = true end
  for name in require("lfs").dir "tests/lua" do
    local path = "tests/lua/" .. name
    if name:find "_spec%.lua$" and not seen[path] then
      for call in pairs(calls(t.read(path))) do asked[call] = true end
    end
  end

  it("has specs that are there, once, for reasons that hold", function()
    assert(#list > 0 and next(asked))
    local before = ""
    for _, line in ipairs(list) do
      assert.is_nil(wrong_with(line, function(path)
        return t.exists(path) and t.read(path)
      end, asked))
      assert(before < line.spec, line.spec .. " is twice there, or out of order")
      before = line.spec
    end
  end)

  it("is told where a line no longer holds", function()
    local texts = {
      gone = false, plain = 'local y = core.zeros(2)\n', own = "core.sha999(x)\n",
      evil = '\ndescribe("hostile names", function()', path = '"lunette/core.lua"\n',
    }
    local function told(spec, reason)
      return wrong_with({ spec = spec, reason = reason or "pages" },
                        function(name) return texts[name] end, { zeros = true })
    end
    assert.equal("gone is not there", told "gone")
    assert.equal("plain has no reason", told("plain", ""))
    assert.is_nil(told "plain")
    assert.is_nil(told "path")
    assert.equal("own alone calls core.sha999: no sanitizer sees it", told "own")
    assert.matches("'hostile names', which belongs", told "evil")
  end)
end)
