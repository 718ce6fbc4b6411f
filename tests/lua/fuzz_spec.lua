-- What surrounds the fuzz targets: whose fault a target died of.
local t = dofile "tests/lua/support.lua"

local file, done


-- A sanitizer's report: each stack as names, innermost first.
local function report(what, ...)
  local lines = { "#12\tREDUCE cov: 255 ft: 613 corp: 61/120Kb",
                  "==31==ERROR: " .. what }
  for _, stack in ipairs { ... } do
    lines[#lines + 1] = ""
    local i = 0
    for name in stack:gmatch "%S+" do
      lines[#lines + 1] = ("    #%d 0x55d0c3a%05x in %s (build/fuzz/x+0x1)"):format(
        i, i, name)
      i = i + 1
    end
  end
  return table.concat(lines, "\n") .. "\nSUMMARY: AddressSanitizer\n"
end


local function theirs(text)
  local code, said = t.other(("tests/fuzz/theirs '%s'"):format(t.spit(file, text)))
  return code == 0 and said:match "^[^\n]*"
end


describe("what a target died of", function()
  setup(function()
    local folder
    folder, done = t.folder()
    file = folder .. "/log"
  end)
  teardown(function() done() end)

  local double = "AddressSanitizer: attempting double-free on 0x6020 in thread T0:"
  local after = "AddressSanitizer: heap-use-after-free on address 0x60b0 at pc 0x55"
  local leak = "LeakSanitizer: detected memory leaks"

  it("is libhdf5's where every stack is", function()
    assert.equal("double-free in H5MM_xfree", theirs(report(double,
      "__interceptor_free H5MM_xfree H5O__free imp_read_hdf5 main",
      "free H5MM_xfree H5O__free imp_read_hdf5", "malloc H5MM_malloc H5O__decode")))
    assert.equal("heap-use-after-free in H5HF_close", theirs(report(after,
      "__asan_memcpy memcpy H5HF_close imp_read_hdf5")))
    assert.equal("leak in H5FL_malloc", theirs(report(leak,
      "malloc H5FL_malloc H5G_open imp_read_hdf5", "realloc H5MM_realloc H5O_load",
      "__interceptor_calloc drv_open H5FD_open")))
  end)

  it("is ours where one is not", function()
    assert.is_false(theirs(report(double, "__interceptor_free imp_close main",
      "free H5MM_xfree H5O__free imp_read_hdf5")))
    assert.is_false(theirs(report(after, "memcpy H5D_read imp_hdf5_values",
      "free H5MM_xfree", "malloc imp_alloc imp_copy"))) -- a block of ours, run over
    assert.is_false(theirs(report(leak, "malloc H5FL_malloc H5G_open",
      "malloc imp_alloc link_seen H5G_iterate")))
    assert.is_false(theirs(report(leak, "malloc imp_H5_like main")))
  end)

  it("is ours where no sanitizer says so", function()
    assert.is_false(theirs "==31== ERROR: libFuzzer: out-of-memory (used: 2049Mb)\n")
    assert.is_false(theirs(report("libFuzzer: deadly signal",
      "__sanitizer_print_stack_trace H5O__decode imp_read_hdf5")))
    assert.is_false(theirs "engine/import/hdf5.c:12:3: runtime error: signed integer\n")
    assert.is_false(theirs "")
  end)
end)
