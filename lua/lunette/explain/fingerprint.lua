---Numbers that tell networks and tensors from others: what checkpoints are known by.
local npy = require "lunette.picture.npy"

local M = {}


---A number that differs where a bit does (FNV, eight bytes at a time).
local function hash(bytes)
  bytes = bytes .. ("\0"):rep(-#bytes % 8)
  local h = 0xcbf29ce484222325
  for at = 1, #bytes, 8 do
    h = (h ~ string.unpack("<i8", bytes, at)) * 0x100000001b3
    h = h ~ (h >> 29)
  end
  return ("%016x"):format(h)
end


---Of a tensor's shape and values.
---@param tensor lunette.Tensor
---@return string
function M.digest(tensor) return hash(npy.encode(tensor)) end


---Of a network: length and ends of all parameters; other weights have others.
---@param net lunette.Net
---@return string
function M.of(net)
  local names, list = {}, {}
  for name in pairs(net.params) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local s = net.params[name]:stats()
    list[i] = ("%s %.9g %.9g %.9g"):format(name, s.l2, s.min, s.max)
  end
  return hash(table.concat(list, ";"))
end

return M
