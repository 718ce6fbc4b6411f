---Threads and memory as the words of a command ask for them.
local ceiling = require "lunette.explain.ceiling"
local core = require "lunette.core"

local M = {}


---The bytes of `--mem`.
---@param word? string          "800M", "2G"
---@return integer? bytes       nil: not given, or no size
---@return string? message
function M.bytes(word)
  local bytes = word and ceiling.bytes(word)
  if word and not bytes then return nil, ("--mem %s: 800M or 2G"):format(word) end
  return bytes
end


---Sets what was given. Above half of the memory Lua's garbage is collected.
---@param threads? integer
---@param bytes? integer   that tensors should stay below
function M.set(threads, bytes)
  if threads then core.threads(threads) end
  if bytes then
    core.memory_limit(bytes // 2)
    core.memory_ceiling(bytes)
  end
end

return M
