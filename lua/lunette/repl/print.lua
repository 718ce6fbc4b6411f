---Values as the REPL prints them: bounded, safe against cycles, with control
---characters escaped, and never a whole tensor.
local foreign = require "lunette.base.text"
local known = require "lunette.repl.known"
local tensors = require "lunette.repl.tensors"

local M = {}

---How much is printed.
M.limits = { depth = 3, entries = 40, width = 88, text = 20000, lines = 100 }


-- text -------------------------------------------------------------------------


M.escape = foreign.escape


local function clip(s, most)
  if #s <= most then return s end
  local cut = utf8.offset(s, 0, most) or most -- not within a character
  return s:sub(1, cut - 1) .. ("... (%d bytes)"):format(#s)
end


---A string at the top: many lines as they are, one line quoted.
local function text(s)
  if not s:find "\n" then return '"' .. M.escape(clip(s, 2000)) .. '"' end
  return M.escape(clip(s, M.limits.text), "\n\t")
end


-- numbers ----------------------------------------------------------------------


---The fewest digits that mean a value of a tensor, which has 24 bits; nil for others.
local function single(v)
  local bits = v == v and math.abs(v) < 1e38 and ("f"):pack(v)
  if not bits or ("f"):unpack(bits) ~= v then return nil end
  for digits = 6, 8 do
    local s = ("%%.%dg"):format(digits):format(v)
    if ("f"):pack(tonumber(s)) == bits then return s end
  end
  return ("%.9g"):format(v)
end


---Few digits, but a whole number whole.
---@param v number
---@return string
function M.number(v)
  if math.type(v) == "integer" then return tostring(v) end
  if v == math.floor(v) and math.abs(v) < 1e15 then return ("%.1f"):format(v) end
  return single(v) or ("%.14g"):format(v)
end


-- tables -----------------------------------------------------------------------


local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil
  not or repeat return then true until while]]):gmatch "%a+" do
  keywords[word] = true
end


local function key_text(key)
  if type(key) == "string" then
    if key:find "^[%a_][%w_]*$" and not keywords[key] then return key end
    return '["' .. M.escape(clip(key, 60)) .. '"]'
  end
  if type(key) == "number" then return "[" .. M.number(key) .. "]" end
  return "[" .. M.escape(clip(tostring(key), 60)) .. "]"
end


local rank = { number = 1, string = 2, boolean = 3 }


local function before(a, b)
  local x, y = rank[type(a)] or 4, rank[type(b)] or 4
  if x ~= y then return x < y end
  if x <= 2 then return a < b end
  return tostring(a) < tostring(b)
end


---Keys without those of the list part, in order; at most what is printed.
local function keys_of(t, n)
  local keys, count = {}, 0
  for key in next, t do
    local listed = math.type(key) == "integer" and key >= 1 and key <= n
    if not listed then
      count = count + 1
      if count <= 5000 then keys[#keys + 1] = key end
    end
  end
  table.sort(keys, before)
  return keys, count
end


local inline


local function entries(t, depth, seen)
  local out, n = {}, rawlen(t)
  local limit = M.limits.entries
  for i = 1, math.min(n, limit) do out[i] = inline(rawget(t, i), depth + 1, seen) end
  local keys, count = keys_of(t, n)
  for _, key in ipairs(keys) do
    if #out >= limit then break end
    out[#out + 1] = key_text(key) .. " = " .. inline(rawget(t, key), depth + 1, seen)
  end
  if n + count > #out then out[#out + 1] = ("... %d more"):format(n + count - #out) end
  return out
end


local function fits(list, depth)
  local width = 2 * depth + 4
  for _, s in ipairs(list) do
    if s:find "\n" then return false end
    width = width + #s + 2
  end
  return width <= M.limits.width
end


---Whether everything in it is a number or a truth value.
local function plain_list(t)
  for i = 1, math.min(rawlen(t), M.limits.entries) do
    local kind = type(rawget(t, i))
    if kind ~= "number" and kind ~= "boolean" then return false end
  end
  return rawlen(t) > 0
end


---Entries side by side in lines of that width.
local function fill(list, width, pad)
  local lines, line = {}, ""
  for _, s in ipairs(list) do
    if #line + #s + 2 > width and line ~= "" then
      lines[#lines + 1], line = line, ""
    end
    line = line .. s .. ", "
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. pad)
end


local function table_text(t, depth, seen)
  if seen[t] then return "{ ... }  --[[ again ]]" end
  if depth > M.limits.depth then return next(t) == nil and "{}" or "{ ... }" end
  seen[t] = true
  local list = entries(t, depth, seen)
  seen[t] = nil
  if #list == 0 then return "{}" end
  if fits(list, depth) then return "{ " .. table.concat(list, ", ") .. " }" end
  local pad = ("  "):rep(depth + 1)
  if plain_list(t) then
    return "{\n" .. pad .. fill(list, M.limits.width - #pad, pad) .. "\n"
      .. ("  "):rep(depth) .. "}"
  end
  return "{\n" .. pad .. table.concat(list, ",\n" .. pad) .. ",\n"
    .. ("  "):rep(depth) .. "}"
end


-- functions and other things ---------------------------------------------------


local function function_text(f)
  f = require("lunette.repl.docs").real(f)
  local info = debug.getinfo(f, "S")
  local name = package.loaded["lunette.repl.exports"]
    and require("lunette.repl.exports").name_of(f)
  local file = info.short_src:gsub("^.*/(lunette/)", "%1")
  local where = info.what == "C" and "C" or ("%s:%d"):format(file, info.linedefined)
  return ("function%s (%s)"):format(name and " " .. name or "", M.escape(where))
end


---What an object says of itself: the first line when it stands inside a table.
local function object_text(v, whole)
  local ok, s = pcall(tostring, v)
  if not ok then
    local why = M.escape(clip(tostring(s), 200))
    return ("%s whose __tostring fails: %s"):format(type(v), why)
  end
  if not whole then s = clip(s:match "[^\n]*", 80) end
  return M.escape(clip(s, M.limits.text), "\n\t")
end


local function has_tostring(v)
  local meta = debug.getmetatable(v)
  return type(meta) == "table"
    and (rawget(meta, "__tostring") or rawget(meta, "__name"))
end


local function layer_inline(layer)
  return ("layer %s: %s"):format(layer.name, layer.kind)
end


function inline(v, depth, seen)
  local kind = type(v)
  if kind == "string" then return '"' .. M.escape(clip(v, 200)) .. '"' end
  if kind == "number" then return M.number(v) end
  if kind == "function" then return function_text(v) end
  if known.is_tensor(v) then
    local ok, shape = pcall(function() return v:shape() end)
    return ok and "Tensor (" .. table.concat(shape, ", ") .. ")" or "Tensor (released)"
  end
  if known.is_layer(v) then return layer_inline(v) end
  if has_tostring(v) then return object_text(v) end
  if kind == "table" then return table_text(v, depth, seen) end
  return M.escape(tostring(v))
end


local function count_text(n)
  local s = ("%d"):format(n)
  repeat
    local k
    s, k = s:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until k == 0
  return s
end


---A layer: kind, shapes, parameters, aliases.
local function layer(l)
  local out = { ("%s  %s -> (%s)"):format(l.name, l.kind, table.concat(l.shape, ", ")) }
  local settings = {}
  for _, key in ipairs { "filters", "units", "kernel", "stride", "padding", "dilation",
                         "groups" } do
    local v = rawget(l, key)
    if type(v) == "table" then v = table.concat(v, "x") end
    if v then settings[#settings + 1] = key .. " " .. tostring(v) end
  end
  if #settings > 0 then out[#out + 1] = "  " .. table.concat(settings, ", ") end
  out[#out + 1] = "  reads   " .. table.concat(l.from, ", ")
  for i, q in ipairs(l.params) do
    local n = 1
    for _, d in ipairs(q.shape) do n = n * d end
    local title = i == 1 and "params " or "       "
    out[#out + 1] = ("  %s %s (%s)  %s values"):format(title, q.key,
      table.concat(q.shape, ", "), count_text(n))
  end
  if #l.aliases > 0 then
    out[#out + 1] = "  also    " .. M.escape(table.concat(l.aliases, ", "))
  end
  return table.concat(out, "\n")
end


local function layer_list(list)
  local out, width = {}, 8
  for _, l in ipairs(list) do width = math.max(width, #l.name) end
  for i, l in ipairs(list) do
    if i > M.limits.lines then
      out[i] = ("... %d more"):format(#list - i + 1)
      break
    end
    out[i] = ("  %-" .. math.min(width, 40) .. "s  %-16s (%s)"):format(l.name, l.kind,
               table.concat(l.shape, ", "))
  end
  return table.concat(out, "\n")
end


local function is_layer_list(t)
  return type(t) == "table" and getmetatable(t) == nil and known.is_layer(rawget(t, 1))
    and known.is_layer(rawget(t, rawlen(t)))
end


local function is_canvas(v)
  local meta = type(v) == "table" and getmetatable(v)
  return type(meta) == "table" and rawget(meta, "__name") == "lunette.Canvas"
    and type(rawget(v, "rows")) == "table"
end


---A canvas: its rows, and what to do with it.
local function canvas(c)
  local titles = {}
  for i, row in ipairs(c.rows) do titles[i] = M.escape(clip(row.title, 40)) end
  return ("canvas of %d row%s%s%s; show(canvas), canvas:save \"out/name.png\""):format(
    #titles, #titles == 1 and "" or "s", #titles > 0 and ": " or "",
    table.concat(titles, ", "))
end


---At most so many lines of a text.
local function first_lines(s, most)
  local at, n = 0, 0
  repeat
    at = s:find("\n", at + 1, true)
    n = n + 1
  until not at or n == most
  if not at then return s end
  local _, more = s:sub(at + 1):gsub("\n", "")
  return s:sub(1, at) .. ("... %d more lines"):format(more + 1)
end


---A value as text, as the REPL prints it.
---@param v any
---@return string
function M.text(v)
  local kind = type(v)
  if kind == "string" then return text(v) end
  if v ~= nil and rawequal(v, package.loaded["lunette"]) then
    return require("lunette.repl.help").module_page("lu", v)
  end
  if known.is_tensor(v) then return tensors.text(v) end
  if known.is_layer(v) then return layer(v) end
  if is_layer_list(v) then return layer_list(v) end
  if is_canvas(v) then return canvas(v) end
  if kind == "userdata" or kind == "table" and has_tostring(v) then
    return object_text(v, true)
  end
  return first_lines(inline(v, 0, {}), M.limits.lines)
end


---Is a value one that Lua's own print tells nothing of, "table: 0x55e0..."?
---@param v any
---@return boolean
function M.is_plain_table(v) return type(v) == "table" and not has_tostring(v) end


local plain_print = print


---Lua's print, but that tables are told as the session tells them: saved sessions have
---it.
---@param ... any
function M.print(...)
  local list = table.pack(...)
  for i = 1, list.n do
    if M.is_plain_table(list[i]) then list[i] = M.text(list[i]) end
  end
  plain_print(table.unpack(list, 1, list.n))
end

return M
