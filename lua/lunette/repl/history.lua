---What was typed in earlier sessions: a file of the user's own, 5000 entries at most.
local files = require "lunette.base.files"
local paths = require "lunette.base.paths"


local function open_history(editor)
  local dir = paths.xdg("XDG_STATE_HOME", "/.local/state")
  dir = dir and dir .. "/lunette"
  if not dir or not files.mkdir(dir) then return nil end
  local path = dir .. "/history"
  if not editor.private_file(path) then return nil end
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  for i = math.max(1, #lines - 4999), #lines do
    editor.remember((lines[i]:gsub("\v", "\n")))
  end
  if #lines > 6000 then -- written anew now and then, so that it does not grow
    files.write(path,
      table.concat(lines, "\n", #lines - 4999) .. "\n")
  end
  return path
end


---Several lines are one entry: their breaks are written as vertical tabs.
---@param editor table   lunette.readline
---@return fun(code: string)   remembers what was typed
return function(editor)
  local path, last = open_history(editor), nil
  return function(code)
    if not code:find "%S" or code == last then return end
    last = code
    editor.remember(code)
    local f = path and io.open(path, "a")
    if f then
      f:write((code:gsub("\n", "\v")), "\n")
      f:close()
    end
  end
end
