---Pictures as sixels: six rows of pixels at a time, a line of characters a colour.

local bayer = { { 0, 8, 2, 10 }, { 12, 4, 14, 6 }, { 3, 11, 1, 9 }, { 15, 7, 13, 5 } }


---Colours as they are while there are at most 256; else a 6x7x6 cube, dithered.
local function palette_of(image, w, h)
  local seen, list, pixels = {}, {}, {}
  for y = 0, h - 1 do
    for x = 0, w - 1 do
      local r, g, b = image:get(x, y)
      local v = r << 16 | g << 8 | b
      if not seen[v] then
        list[#list + 1] = v
        seen[v] = #list - 1
        if #list > 256 then return nil end
      end
      pixels[y * w + x] = seen[v]
    end
  end
  return list, pixels
end


local function cube(image, w, h)
  local list, pixels = {}, {}
  for i = 0, 251 do
    local r, g, b = i // 42, i // 6 % 7, i % 6
    list[i + 1] = (r * 51) << 16 | (g * 255 // 6) << 8 | b * 51
  end
  for y = 0, h - 1 do
    for x = 0, w - 1 do
      local r, g, b = image:get(x, y)
      local noise = (bayer[y % 4 + 1][x % 4 + 1] + 0.5) / 16
      local i = math.min(5, math.floor(r / 51 + noise))
      local j = math.min(6, math.floor(g * 6 / 255 + noise))
      local k = math.min(5, math.floor(b / 51 + noise))
      pixels[y * w + x] = i * 42 + j * 6 + k
    end
  end
  return list, pixels
end


---Which of six rows have a colour, for each colour: mask by column.
local function masks_of(pixels, w, y, rows)
  local masks = {}
  for dy = 0, rows - 1 do
    local bit, from = 1 << dy, (y + dy) * w
    for x = 0, w - 1 do
      local c = pixels[from + x]
      local mask = masks[c]
      if not mask then
        mask = {}
        masks[c] = mask
      end
      mask[x] = (mask[x] or 0) | bit
    end
  end
  return masks
end


---Six rows: for each colour in them one line of characters, runs counted.
local function band(pixels, w, y, rows, out)
  for c, mask in pairs(masks_of(pixels, w, y, rows)) do
    out[#out + 1] = "#" .. c
    local x = 0
    while x < w do
      local v, from = mask[x] or 0, x
      repeat x = x + 1 until x >= w or (mask[x] or 0) ~= v
      local n, char = x - from, string.char(63 + v)
      out[#out + 1] = n > 3 and ("!%d%s"):format(n, char) or char:rep(n)
    end
    out[#out + 1] = "$"
  end
  out[#out + 1] = "-"
end


---Sixels have their colours in 0..100.
local function per_cent(byte) return (byte * 100 + 127) // 255 end


---@param image userdata
---@return string
return function(image)
  local w, h = image:size()
  local list, pixels = palette_of(image, w, h)
  if not list then list, pixels = cube(image, w, h) end
  local out = { ('\27Pq"1;1;%d;%d'):format(w, h) }
  for i, v in ipairs(list) do
    out[#out + 1] = ("#%d;2;%d;%d;%d"):format(i - 1, per_cent(v >> 16),
      per_cent(v >> 8 & 255), per_cent(v & 255))
  end
  for y = 0, h - 1, 6 do band(pixels, w, y, math.min(6, h - y), out) end
  return table.concat(out) .. "\27\\\n"
end
