---A program in a terminal of its own (tmux on a private socket): what a person would
---type and see. For tests.
local lfs = require "lfs"

local M = {}

local Terminal = {}
Terminal.__index = Terminal

local count = 0


local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end
M.quote = quote


---Runs a command; only our own program runs under a sanitizer that is preloaded.
---@return integer code, string output
function M.shell(command)
  local p = io.popen("exec env -u LD_PRELOAD sh -c "
                     .. quote(command .. "\necho \"=$?\""), "r")
  local text = p:read "a"
  p:close()
  local code = text:match "=(%d+)\n$"
  return tonumber(code), (text:gsub("=%d+\n$", ""))
end


---@return boolean
function M.available() return M.shell "command -v tmux >/dev/null" == 0 end


---A folder of the test's own, and what removes it.
---@return string path, fun() done
function M.folder()
  local path = os.tmpname()
  os.remove(path)
  lfs.mkdir(path)
  return path, function() os.execute("rm -rf " .. quote(path)) end
end


---The interpreter running our program, under this build.
M.program = "lua5.4 lua/lunette/main.lua"
local preload = os.getenv "LD_PRELOAD"
if preload and preload ~= "" then
  M.program = ("env LD_PRELOAD=%s %s"):format(quote(preload), M.program)
end


---@param env table    variables of the program
---@param args? string
---@param width? integer
function M.open(env, args, width)
  count = count + 1
  local self = setmetatable({ socket = ("lunette-%s-%d"):format(
    tostring({}):match "0x(%x+)", count) }, Terminal)
  local list = { "env -u TMUX -u NO_COLOR -u LUNETTE_GRAPHICS -u COLORTERM" }
  for key, value in pairs(env) do list[#list + 1] = key .. "=" .. quote(value) end
  local command = table.concat(list, " ") .. " " .. M.program .. " " .. (args or "")
  self:tmux(("-f /dev/null new-session -d -x %d -y 40 %s"):format(width or 100,
            quote("trap : INT; " .. command -- Ctrl-C is the program's alone
                  .. "; echo LEFT $?; trap '' INT; sleep 60")))
  return self
end


function Terminal:tmux(command)
  return M.shell(("env -u TMUX tmux -L %s %s 2>&1"):format(self.socket,
                 command))
end


---What is on the screen; `how` "-e" with its colours. (Asked often, so that it starts
---no more programs than it must.)
---@param how? string
---@param after? number   seconds to wait first
function Terminal:screen(how, after)
  local p = io.popen(("unset LD_PRELOAD TMUX; %s exec tmux -L %s capture-pane -p -J %s "
    .. "2>&1"):format(after and "sleep " .. after .. ";" or "", self.socket, how or ""))
  local text = p:read "a"
  p:close()
  return (text:gsub("%s+$", ""))
end


---Types text, without Enter.
function Terminal:type(text) self:tmux("send-keys -l -- " .. quote(text)) end


---Types a line.
function Terminal:enter(text)
  if text ~= "" then self:type(text) end
  self:key "Enter"
end


function Terminal:key(name) self:tmux("send-keys " .. name) end


---Waits until the screen has `pattern`; fails with the screen.
---@return string screen, number seconds
function Terminal:wait(pattern, seconds)
  local clock = require("lunette.core").clock
  local begun, pause = clock(), nil
  while true do
    local screen = self:screen(nil, pause)
    pause = 0.04
    if screen:find(pattern) then return screen, clock() - begun end
    if clock() - begun > (seconds or 10) then
      error(("no '%s' on the screen:\n%s"):format(pattern, screen), 2)
    end
  end
end


---Runs a line and waits for what it prints: lines after the echo of the line itself.
function Terminal:run(line, pattern, seconds)
  self:tmux "send-keys C-l"
  self:enter(line)
  return self:wait(pattern, seconds)
end


function Terminal:resize(width, height)
  self:tmux(("resize-window -x %d -y %d"):format(width, height))
end


function Terminal:close() self:tmux "kill-server" end

return M
