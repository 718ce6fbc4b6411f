-- Every block of code in README.md and docs/ runs, and so do the examples of the doc
-- comments; every method has a page that says of it what its row says.
--   ```lua          a script of its own
--   ```lua session  typed into one session per page, in order
--   ```sh           the shell, at the project's root
--   ```c            stands in the sources, word for word; ```lua source, too
local docs = require "lunette.repl.docs"
local exports = require "lunette.repl.exports"
local help = require "lunette.repl.help"
require "lunette.repl.session" -- whose commands are exports too
local terminal = require "tests.lua.terminal"

local function write(path, text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end


local special = { ["lua session"] = "session", ["lua source"] = "c" }


---Blocks of a page by what they are.
local function blocks(path)
  local found, kind, lines = { lua = {}, session = {}, sh = {}, c = {} }, nil, nil
  for line in io.lines(path) do
    local fence = line:match "^```%s*(.-)%s*$"
    if fence and not kind then
      kind, lines = special[fence] or fence, {}
    elseif fence then
      if found[kind] then table.insert(found[kind], table.concat(lines, "\n")) end
      kind = nil
    elseif kind then
      lines[#lines + 1] = line
    end
  end
  return found
end


local function pages()
  local list = { "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md" }
  for _, dir in ipairs { "docs", "docs/methods", "docs/ru" } do
    for name in require("lfs").dir(dir) do
      if name:find "%.md$" then list[#list + 1] = dir .. "/" .. name end
    end
  end
  table.sort(list)
  return list
end


local lu = require "lunette"
local network = lu.load "glyphs"
local scratch, done = terminal.folder()
teardown(done)


---Runs a command that must succeed; gives what it wrote.
local function run(command)
  local code, text = terminal.shell("env -u LUNETTE_GRAPHICS " .. command .. " 2>&1")
  assert.equal(0, code, text)
  return text
end


for _, page in ipairs(pages()) do
  describe(page, function()
    local found = blocks(page)
    if not network and #found.lua + #found.session > 0 then
      pending "needs the network 'glyphs'"
      return
    end

    for i, code in ipairs(found.lua) do
      it(("script %d runs"):format(i), function()
        write(scratch .. "/block.lua", code)
        run(("%s %s/block.lua"):format(terminal.program, scratch))
      end)
    end

    if #found.session > 0 and not page:find "^docs/ru/" then -- (see below)
      it(("session of %d blocks runs"):format(#found.session), function()
        write(scratch .. "/session", table.concat(found.session, "\n") .. "\n")
        run(("%s < %s/session"):format(terminal.program, scratch))
      end)
    end

    for i, code in ipairs(found.c) do
      it(("piece of the sources %d stands there"):format(i), function()
        local all = run("cat engine/*.[ch] engine/*/*.[ch] tests/c/*.[ch] "
                        .. "lua/lunette/core/*.meta.lua lua/lunette/trace/back/*.lua "
                        .. "lua/lunette/onnx/operators/*.lua")
        assert.truthy(all:find(code, 1, true), code)
      end)
    end

    for i, code in ipairs(found.sh) do
      it(("command %d runs"):format(i), function()
        write(scratch .. "/block.sh", (code:gsub("%./lunette", terminal.program)))
        run(("bash -e %s/block.sh"):format(scratch))
      end)
    end
  end)
end


---Code without what a translation changes: comments, and strings of which the
---translation has other letters than ASCII. With those it is the code that runs in the
---English guide's session.
local function bare(code, translated)
  code, translated = code:gsub("%-%-[^\n]*", ""), translated:gsub("%-%-[^\n]*", "")
  local others = translated:gmatch '"[^"\n]*"'
  code = code:gsub('"[^"\n]*"', function()
    local other = others()
    return other and other:find "[\x80-\xff]" and other or nil
  end)
  return (code:gsub("%s+", " ")), (translated:gsub("%s+", " "))
end


describe("a guide in another language", function()
  it("has the code of the English one, and its chapters", function()
    local function chapters(path)
      local n = 0
      for line in io.lines(path) do n = n + (line:find "^##+ " and 1 or 0) end
      return n
    end
    local english, russian = blocks "docs/guide.md", blocks "docs/ru/guide.md"
    assert.equal(#english.session, #russian.session)
    for i, code in ipairs(english.session) do
      assert.equal(bare(code, russian.session[i]))
    end
    assert.equal(chapters "docs/guide.md", chapters "docs/ru/guide.md")
  end)
end)


describe("pages of the methods", function()
  local page = dofile "docs/pages.lua"
  local index = page.read "docs/methods/index.md"

  for name, row in pairs(lu.methods) do
    it(name .. " has one", function()
      local path = page.path(name)
      local text = page.read(path)
      assert.is_truthy(text, ("method '%s' has no page: write %s"):format(name, path))
      local new = page.renewed(text, row)
      assert.is_truthy(new, path .. " lacks the marks that docs/pages.lua asks for")
      assert.equal(new, text, path .. " does not say what the row says: `make pages`")
      for _, part in ipairs { "Cost", "Satisfies", "Fails", "Caveat", "A picture" } do
        assert.is_truthy(text:find("**" .. part, 1, true), path .. " lacks: " .. part)
      end
      assert.is_truthy(index:find(("[%s](%s.md)"):format(name, name), 1, true),
        "docs/methods/index.md does not name " .. name)
      -- of one scene; a number a channel is no map, attention asks for other networks
      if row.draws ~= "numbers" and row.family ~= "attention" then
        local picture = ("](../images/methods/%s.jpg)"):format(name)
        assert.is_truthy(text:find(picture, 1, true), path .. " lacks " .. picture)
      end
    end)
  end

  it("and that of the metrics say what the rows say", function()
    local text = page.read(page.metrics_path)
    assert.equal(page.renewed(text), text, "docs/metrics.md is behind: `make pages`")
  end)

  it("lead to pages and files that are there", function()
    for _, from in ipairs(pages()) do
      local dir = from:match "^(.*)/" or "."
      for link in page.read(from):gmatch "%]%(([^)#%s]+)" do
        local made = link:find "^https?:" or link:find "^api/" -- `make docs` writes it
        assert.is_truthy(made or require("lfs").attributes(dir .. "/" .. link),
                         from .. ": no " .. link)
      end
    end
  end)

  it("tell a new method and a changed row", function()
    local row = lu.method { name = "no_such_page", draws = "map", paper = "none",
      family = "gradient", options = { size = lu.opt.count(3, "of it") },
      explain = function(r) return r.images end }
    assert.is_nil(page.read(page.path(row.name)))
    local text = page.renewed("# x\n" .. page.block(lu.methods.lrp) .. "end\n", row)
    assert.matches("`size` | 3 | of it %(count from 1%)", text)
    assert.matches("^# x\n.*\nend\n$", text)
    assert.is_nil(text:find("composite", 1, true))
    assert.is_nil(page.renewed("# no marks", row))
  end)
end)


describe("examples of the doc comments", function()
  if not network then
    pending "needs the network 'glyphs'"
    return
  end

  local folder, remove = terminal.folder()
  teardown(remove)
  local count, code, output = 0, nil, nil

  ---Runs all examples in one process, when the first is asked for.
  local function run_all()
    if code then return end
    code, output = terminal.shell(("env -u LUNETTE_GRAPHICS %s "
      .. "tests/lua/examples.lua %s %d 2>&1"):format(terminal.program, folder, count))
  end

  local function said(i)
    run_all()
    local f = io.open(("%s/%d.said"):format(folder, i), "r")
    if not f then return "the process ended before it: " .. output:sub(-2000) end
    local text = f:read "a"
    f:close()
    return text
  end

  for _, x in ipairs(exports.list()) do
    local e = help.entry_of(x)
    if e and e.example and not x.name:find "^core" then
      count = count + 1
      local i = count
      write(("%s/%d.lua"):format(folder, i), e.example .. "\n")
      it("run: " .. x.name, function() assert.equal("ok", said(i)) end)
    end
  end

  it("are there, and leave nothing behind", function()
    assert.is_true(count >= 5 and docs.all() ~= nil)
    run_all()
    assert.equal(0, code, output:sub(-2000)) -- under the sanitizer: no leak
  end)
end)
