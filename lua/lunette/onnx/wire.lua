---Protobuf's wire format, for ONNX files. A message is a list of strings and tensors,
---so that weights are written to the file without a copy.
local M = {}

---@class lunette.Wire
---@field bytes integer   its length
---@field [integer] any   texts, tensors, { half = tensor }
local Wire = {}
Wire.__index = Wire

local VARINT, BYTES = 0, 2


---An empty message.
---@return lunette.Wire
function M.new() return setmetatable({ bytes = 0 }, Wire) end


---Is that a message?
---@param value any
---@return boolean
function M.is(value) return getmetatable(value) == Wire end


---A whole number; negative ones take ten bytes.
---@param n integer
---@return string
function M.varint(n)
  local list = {}
  repeat
    local low = n & 0x7f
    n = n >> 7
    list[#list + 1] = string.char(n ~= 0 and low | 0x80 or low)
  until n == 0
  return table.concat(list)
end


local function put(w, part, bytes)
  w[#w + 1], w.bytes = part, w.bytes + bytes
end


local function key(w, field, kind, rest)
  local text = M.varint(field << 3 | kind) .. (rest or "")
  put(w, text, #text)
end


---@param field integer
---@param n integer
---@return lunette.Wire self
function Wire:int(field, n)
  key(self, field, VARINT, M.varint(math.tointeger(n)))
  return self
end


---@param field integer
---@param x number   written as float32
---@return lunette.Wire self
function Wire:float(field, x)
  key(self, field, 5, string.pack("<f", x))
  return self
end


---@param field integer
---@param s string   text or bytes
---@return lunette.Wire self
function Wire:text(field, s)
  key(self, field, BYTES, M.varint(#s))
  put(self, s, #s)
  return self
end


---Appends a message; it must not be changed afterwards.
---@param field integer
---@param other lunette.Wire
---@return lunette.Wire self
function Wire:message(field, other)
  key(self, field, BYTES, M.varint(other.bytes))
  table.move(other, 1, #other, #self + 1, self)
  self.bytes = self.bytes + other.bytes
  return self
end


---Fields that are written already.
---@param bytes string
---@return lunette.Wire self
function Wire:raw(bytes)
  put(self, bytes, #bytes)
  return self
end


---The values of a tensor, little-endian, as float32 or float16.
---@param field integer
---@param t lunette.Tensor
---@param half? boolean
---@return lunette.Wire self
function Wire:values(field, t, half)
  local bytes = t:size() * (half and 2 or 4)
  key(self, field, BYTES, M.varint(bytes))
  put(self, half and { half = t } or t, bytes)
  return self
end


-- reading ----------------------------------------------------------------------------


local function varint_at(s, at)
  local n, shift = 0, 0
  repeat
    local byte = s:byte(at) or error("a message ends too early", 0)
    n, shift, at = n | (byte & 0x7f) << shift, shift + 7, at + 1
  until byte < 0x80 or shift > 63
  return n, at
end

---Where the content of a field ends, and the content.
local content = {
  [VARINT] = function(s, at) return varint_at(s, at) end,
  [1] = function(s, at) return s:sub(at, at + 7), at + 8 end,
  [BYTES] = function(s, at)
    local size
    size, at = varint_at(s, at)
    if size < 0 or size > #s - at + 1 then error("a message ends too early", 0) end
    return s:sub(at, at + size - 1), at + size
  end,
  [5] = function(s, at) return s:sub(at, at + 3), at + 4 end,
}


---The fields of a message, in order: number, content (a number or bytes), and where
---the field begins and ends.
---@param s string
---@return fun(): integer?, integer|string, integer, integer
function M.fields(s)
  local at = 1
  return function()
    if at > #s then return nil end
    local from = at
    local tag, behind = varint_at(s, at)
    local read = content[tag & 7] or error("a field of no kind", 0)
    local value
    value, at = read(s, behind)
    return tag >> 3, value, from, at - 1
  end
end

return M
