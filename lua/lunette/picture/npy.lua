---NumPy's .npy files: float32 arrays, little-endian, C order (format version 1).
---NumPy's reader takes what this writes, and back.
local core = require "lunette.core"
local files = require "lunette.base.files"

local M = {}

local magic = "\x93NUMPY"

-- Bounds of what is read: bytes of the header, dimensions, numbers in the array.
local MOST_HEADER, MOST_DIMS, MOST_NUMBERS = 4096, 6, 2 ^ 31


---The bytes of a .npy file.
---@param t lunette.Tensor  any shape
---@return string bytes
function M.encode(t)
  local dims = {}
  for i, d in ipairs(t:shape()) do dims[i] = ("%d"):format(d) end
  local shape = table.concat(dims, ", ") .. (#dims == 1 and "," or "")
  local header = "{'descr': '<f4', 'fortran_order': False, 'shape': ("
    .. shape .. "), }"
  -- magic, version and length take 10 bytes; data begin at a multiple of 64
  header = header .. (" "):rep(-(10 + #header + 1) % 64) .. "\n"
  return magic .. "\1\0" .. ("<s2"):pack(header) .. t:bytes()
end


---Writes a tensor to a .npy file.
---@param path string
---@param t lunette.Tensor
---@return string? path, string? message
function M.write(path, t) return files.write(path, M.encode(t)) end


local function header_of(bytes)
  if bytes:sub(1, 6) ~= magic then return nil, "not a .npy file" end
  local format = bytes:byte(7) == 1 and "<s2" or "<s4"
  local ok, header, at = pcall(string.unpack, format, bytes, 9)
  if not ok then return nil, "truncated in its header" end
  if #header > MOST_HEADER then
    return nil, ("its header has %d bytes, at most %d"):format(#header, MOST_HEADER)
  end
  return header, at
end


---The shape and how many numbers it has; nil and what is wrong with it.
local function dims_of(header)
  local inside = header:match "'shape':%s*%(([%d,%s]*)%)"
  if not inside then return nil, "no shape of 1 to 6 dimensions" end
  local dims, size = {}, 1
  for d in inside:gmatch "%d+" do
    dims[#dims + 1] = math.tointeger(tonumber(d))
    size = size * tonumber(d) -- a float where it does not fit
    if #dims > MOST_DIMS then return nil, "no shape of 1 to 6 dimensions" end
    if size > MOST_NUMBERS then
      return nil, ("shape (%s) has more than %d numbers"):format(inside:sub(1, 80),
                                                                 MOST_NUMBERS // 1)
    end
  end
  if #dims == 0 then dims[1] = 1 end -- a single number
  return dims, size
end


---The tensor in the bytes of a .npy file: float32 or float64, C order.
---@param bytes string
---@return lunette.Tensor? t, string? message
function M.decode(bytes)
  local header, at = header_of(bytes)
  if not header then return nil, at --[[@as string]] end
  local kind = header:match "'descr':%s*'([^']*)'"
  local dims, size = dims_of(header)
  if not dims then return nil, size end
  if header:find "'fortran_order':%s*True" then
    return nil, "Fortran order is not read; save numpy.ascontiguousarray(a)"
  end
  local width = ({ ["<f4"] = 4, ["<f8"] = 8 })[kind]
  if not width then
    return nil, ("holds %s, float32 expected; save a.astype('<f4')"):format(
      tostring(kind))
  end
  if #bytes - at + 1 ~= size * width then
    return nil, ("has %d bytes of data, its shape wants %d"):format(#bytes - at + 1,
                                                                    size * width)
  end
  local data = bytes:sub(at)
  if width == 8 then
    data = data:gsub(("."):rep(8), function(v)
      return ("<f"):pack((("<d"):unpack(v)))
    end)
  end
  return core.from_bytes(data, "f32", dims)
end


---Reads a .npy file of float32 or float64.
---@param path string
---@return lunette.Tensor? t, string? message
function M.read(path)
  local bytes, message = files.read(path)
  if not bytes then return nil, message end
  local t
  t, message = M.decode(bytes)
  if not t then return nil, ("'%s': %s"):format(path, message) end
  return t
end

return M
