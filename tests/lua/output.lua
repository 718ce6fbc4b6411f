-- A busted output handler: failures and skips by name, then one line with counts.
return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base" ()
  local seconds = os.clock()

  handler.suiteEnd = function()
    for _, list in ipairs { handler.failures, handler.errors } do
      for _, f in ipairs(list) do
        print(("FAILED %s\n  %s"):format(f.name or "?", tostring(f.message)))
        if type(f.trace) == "table" and f.trace.traceback then
          print((f.trace.traceback:gsub("\n", "\n  "):sub(1, 1200)))
        end
      end
    end
    for _, p in ipairs(handler.pendings) do
      print(("skipped: %s %s"):format(p.name or "?", tostring(p.message or "")))
    end
    local file = arg and arg[#arg] or ""
    print(("%-40s %d passed, %d failed, %d skipped  (%.1f s)"):format(file,
      handler.successesCount, handler.failuresCount + handler.errorsCount,
      handler.pendingsCount, os.clock() - seconds))
    return nil, true
  end

  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
