---A traced value as a formula: infix signs where there are any, else function calls;
---[a > b] is 1 where that holds and 0 elsewhere.
local is_tensor = require("lunette.base.types").is_tensor

---Operators that have a sign, and how tightly each binds.
local signs = { add = { "+", 1 }, sub = { "-", 1 }, mul = { "*", 2 }, div = { "/", 2 },
                pow = { "^", 4 }, gt = { ">", 0 }, lt = { "<", 0 }, ge = { ">=", 0 },
                le = { "<=", 0 }, eq = { "=", 0 }, ne = { "~=", 0 } }

---Attributes that a formula shows; shapes and strides are left out.
local said = { dims = true, dim = true, min = true, max = true }

---Attributes that are shown where they have these values: transposed matrices.
local transposed = { weight_layout = "in_out", transpose_a = 1, transpose_b = 1 }


local function number(x)
  if x == math.floor(x) and math.abs(x) < 1e15 then return ("%d"):format(x) end
  return ("%.6g"):format(x)
end


local function constant(t)
  if type(t.value) == "number" then return number(t.value) end
  if t.name then return t.name end
  return is_tensor(t.value) and t.value:size() == 1 and number(t.value:item())
    or "constant"
end


local function attributes(t)
  local list = {}
  for key, v in pairs(t.attrs) do
    if said[key] or transposed[key] == v then list[#list + 1] = key end
  end
  table.sort(list)
  for i, key in ipairs(list) do
    local v = t.attrs[key]
    if type(v) == "table" then
      local parts = {}
      for k, d in ipairs(v) do parts[k] = number(d) end
      v = "{" .. table.concat(parts, ",") .. "}"
    elseif type(v) == "number" then
      v = number(v)
    end
    list[i] = key .. " = " .. v
  end
  return list
end


local write


local function call(t, names)
  local list = {}
  for _, x in ipairs(t.inputs) do
    if x then list[#list + 1] = write(x, names, 0) end
  end
  for _, text in ipairs(attributes(t)) do list[#list + 1] = text end
  local name = t.op == "backward" and "back of " .. t.attrs.op or t.op
  return ("%s(%s)"):format(name, table.concat(list, ", "))
end


---The value as text, in brackets where its own sign binds less than `around`.
write = function(t, names, around)
  if names[t] then return names[t] end
  if t.op == "constant" then return constant(t) end
  if t.op == "leaf" then return t.name end
  local sign = signs[t.op]
  if t.op == "neg" then return "-" .. write(t.inputs[1], names, 3) end
  if not sign then return call(t, names) end
  local level = sign[2]
  local text = ("%s %s %s"):format(write(t.inputs[1], names, level), sign[1],
    write(t.inputs[2], names, level + 1))
  if level == 0 then return "[" .. text .. "]" end
  return level < around and "(" .. text .. ")" or text
end


---How often each value below t is read, and all of them in the order of computation.
local function readers(t, names)
  local count, order = {}, {}
  local function visit(x)
    count[x] = (count[x] or 0) + 1
    if count[x] > 1 or names[x] then return end
    for _, y in ipairs(x.inputs) do if y then visit(y) end end
    order[#order + 1] = x
  end
  visit(t)
  return count, order
end


---@param t lunette.Traced
---@param names? table<lunette.Traced, string>   what some values are called
---@param title? string   what the value is: "dx"
---@return string   a value that is used more than once has a line of its own: s1 = ...
return function(t, names, title)
  names = names and setmetatable({}, { __index = names }) or {}
  local count, order = readers(t, names)
  local lines, n = {}, 0
  for _, x in ipairs(order) do
    if count[x] > 1 and x ~= t and #x.inputs > 0 and not names[x] then
      n = n + 1
      local text = write(x, names, 0)
      names[x] = "s" .. n
      lines[#lines + 1] = names[x] .. " = " .. text
    end
  end
  lines[#lines + 1] = (title and title .. " = " or "") .. write(t, names, 0)
  return table.concat(lines, "\n")
end
