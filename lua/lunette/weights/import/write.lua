---What is written: the tensors in the order of our files, and the plan by which
---lunette-import copies them (engine/import/plan.c).
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local program = require "lunette.weights.import.program"

local M = {}


local function count(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end


-- Largest power of two, up to 64, that divides a tensor's bytes.
local function alignment(p, width)
  local bytes, a = count(p.shape) * width, 64
  while bytes % a ~= 0 do a = a // 2 end
  return a
end


-- The format allows no holes, so tensors whose size is a multiple of 64 come first:
-- then they all begin at one. The rest follows, the most even first.
local function in_file_order(params, width)
  local order = {}
  for i, p in ipairs(params) do order[i] = { p, alignment(p, width), i } end
  table.sort(order, function(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    return a[3] < b[3]
  end)
  for i, o in ipairs(order) do order[i] = o[1] end
  return order
end


-- Dense weights of more numbers than this are written as (in,out): then inputs that
-- are 0 cost nothing forward. Networks are searched for NaN up to that size.
local LARGE = 2 ^ 21


-- Shape of each tensor in the file, and the order of the source's axes that gives it;
-- the graph's layers say which are (in,out).
---@param params lunette.import.Param[]
---@param graph table
function M.lay_out(params, graph)
  local in_out, dense = {}, {}
  for _, layer in ipairs(graph.layers) do
    if layer.kind == "linear" then
      dense[(layer.shares or layer.name) .. ".weight"] = true
    end
  end
  for _, p in ipairs(params) do
    p.written, p.order = p.shape, p.perm
    local large = #p.shape == 2 and count(p.shape) > LARGE
    if large and dense[p.name] and p.view
       and p.view[p.perm[1]] == p.shape[1] then
      p.written = { p.shape[2], p.shape[1] }
      p.order = { table.unpack(p.perm, 2) }
      p.order[#p.order + 1] = p.perm[1]
      in_out[p.name] = "in_out"
    end
  end
  for _, layer in ipairs(graph.layers) do
    layer.weight_layout = in_out[(layer.shares or layer.name) .. ".weight"]
  end
end


-- JSON with the keys in the file's order; spaces make the data begin at 64.
local function header(params, meta, dtype, width)
  local parts, at = { '"__metadata__":' .. json.encode(meta) }, 0
  for _, p in ipairs(params) do
    local bytes = count(p.shape) * width
    parts[#parts + 1] = ('%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}')
      :format(json.encode(p.name), dtype, table.concat(p.written, ","), at,
              at + bytes)
    at = at + bytes
  end
  local text = "{" .. table.concat(parts, ",") .. "}"
  return text .. (" "):rep(-(8 + #text) % 64), at
end


local function comma(list, less)
  if #list == 0 then return "-" end
  local out = {}
  for i, n in ipairs(list) do out[i] = n - less end
  return table.concat(out, ",")
end


-- How a line with slopes begins, and the numbers that follow it: a slope for each place
-- of an axis as it is written, or one for all.
local function slopes_of(p)
  local axis, run = p.slopes.axis, 1
  for k = #p.order, 1, -1 do
    if p.order[k] == axis then break end
    run = run * p.view[p.order[k]]
  end
  local bytes = {}
  for _, list in ipairs(p.slopes) do
    for _, v in ipairs(list) do bytes[#bytes + 1] = string.pack("<f", v) end
  end
  return ("sloped %d %d"):format(#p.slopes[1], run), table.concat(bytes)
end


-- The lines that engine/import/plan.c reads.
local function plan(params, head, dtype)
  local lines = { "dtype " .. dtype, "header " .. #head, head }
  for _, p in ipairs(params) do
    if p.same then
      lines[#lines + 1] = ("same %d"):format(count(p.shape))
      lines[#lines + 1] = string.pack("<f", p.same)
    elseif p.data then
      local bytes = {}
      for i, v in ipairs(p.data) do bytes[i] = string.pack("<f", v) end
      lines[#lines + 1] = ("literal %d"):format(#p.data)
      lines[#lines + 1] = table.concat(bytes)
    else
      local kind, numbers = "tensor", nil
      if p.slopes then kind, numbers = slopes_of(p) end
      lines[#lines + 1] = ("%s %d %s %s %s"):format(kind, p.source.index,
        comma(p.view, 0), comma(p.order, 1), p.source.full or p.source.name)
      lines[#lines + 1] = numbers
    end
  end
  lines[#lines + 1] = "end\n"
  return table.concat(lines, "\n")
end


---Calls write(path) with the path of the output, or, where that is a device or a pipe,
---of a file that is then passed on to it.
local function through(out, write)
  if not files.is_special(out) then return write(out) end
  local part = os.tmpname()
  local bytes, message = write(part)
  if bytes then
    local from <close> = assert(io.open(part, "rb"))
    local ok, why = files.write(out, { from })
    if not ok then bytes, message = nil, why end
  end
  os.remove(part)
  return bytes, message
end


---Writes the file that a job names.
---@param job { file: string, out: string, outside?: string, half?: boolean }
---@param params lunette.import.Param[]   laid out
---@param meta table<string, string>
---@return integer? bytes, string? message
function M.write(job, params, meta)
  local dtype, width = "F32", 4
  if job.half then dtype, width = "F16", 2 end
  local order = in_file_order(params, width)
  local head, bytes = header(order, meta, dtype, width)
  return through(job.out, function(out)
    local lines, problem = program.run({ "write", job.file, out, job.outside },
                                       plan(order, head, dtype))
    if not lines then
      return nil, (problem:gsub("^write: ", out:gsub("%%", "%%%%")
        .. " cannot be written: "))
    end
    return 8 + #head + bytes
  end)
end

return M
