---TAB: what may come next. Nothing of the user's is called: variables are read
---with rawget, and only classes of this library answer for their instances.
local known = require "lunette.repl.known"

local M = {}

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil
  not or repeat return then true until while]]):gmatch "%a+" do keywords[word] = true end


-- reading what was typed -------------------------------------------------------


---@class lunette.TypedState
---@field text? string     inside a string: what was typed of it
---@field quote? string
---@field chain string     the expression that ends at the cursor: "net.block5_"
---@field stack table[]    open brackets: {open =, chain =, key =, arg =}
---@field chain_before string   the expression before the string or bracket


---Skips a string, or a comment, that starts at i: the place after it, or nil when
---it does not end, with where its text begins.
local function skip_string(s, i)
  local long = s:match("^%[(=*)%[", i)
  if long then
    local _, stop = s:find("]" .. long .. "]", i, true)
    return stop and stop + 1, i + #long + 2, "["
  end
  local quote, at = s:sub(i, i), i + 1
  while at <= #s do
    local c = s:sub(at, at)
    if c == quote then return at + 1, i + 1, quote end
    if c == "\n" then return at, i + 1, quote end
    at = at + (c == "\\" and 2 or 1)
  end
  return nil, i + 1, quote
end


local function skip_comment(s, i)
  local long = s:match("^%-%-%[(=*)%[", i)
  if long then
    local _, stop = s:find("]" .. long .. "]", i, true)
    return stop and stop + 1 or #s + 1
  end
  return s:find("\n", i, true) or #s + 1
end


local closing = { [")"] = true, ["]"] = true, ["}"] = true }


---Reads the code up to the cursor, keeping which brackets are open, what was
---called, and the dotted name that is being written.
---@param s string
---@return lunette.TypedState
function M.parse(s)
  local stack, chain, i = {}, "", 1
  while i <= #s do
    local c = s:sub(i, i)
    local top = stack[#stack]
    if c:find "%s" then
      if i == #s then chain = "" end -- a new word begins
      i = i + 1
    elseif s:find("^%-%-", i) then
      i = skip_comment(s, i)
      if i > #s then return { stack = stack, chain = "", comment = true } end
    elseif c == '"' or c == "'" or s:find("^%[=*%[", i) then
      local stop, first, quote = skip_string(s, i)
      if not stop then
        return { stack = stack, chain = "", text = s:sub(first), quote = quote,
                 chain_before = chain }
      end
      local in_index = top and top.open == "["
      chain = in_index and s:sub(i, stop - 1) or chain ~= "" and chain .. "()" or "\"\""
      i = stop
    elseif s:find("^[%a_]", i) then
      local word = s:match("^[%w_]+", i)
      if keywords[word] or not chain:find "[.:]$" then chain = "" end
      chain = keywords[word] and i + #word <= #s and "" or chain .. word
      i = i + #word
    elseif s:find("^%d", i) then
      local word = s:match("^[%w.]+", i)
      chain, i = word, i + #word
    elseif c == "(" or c == "{" or c == "[" then
      stack[#stack + 1] = { open = c, chain = chain, arg = 1, at = i + 1, args = {} }
      chain, i = "", i + 1
    elseif closing[c] then
      local open = table.remove(stack)
      if open and open.open == "[" then
        chain = open.chain .. "[" .. chain .. "]"
      elseif open then
        chain = open.chain .. "()"
      end
      i = i + 1
    elseif c == "." or c == ":" then
      if s:find("^%.%.", i) or s:find("^::", i) then
        chain, i = "", i + 2
      else
        chain, i = chain .. c, i + 1
      end
    else
      if c == "," and top then
        top.args[top.arg] = s:sub(top.at, i - 1)
        top.arg, top.key, top.at = top.arg + 1, nil, i + 1
      elseif c == "=" and top and top.open == "{" and s:sub(i + 1, i + 1) ~= "=" then
        top.key = chain
      end
      chain, i = "", i + 1
    end
  end
  return { stack = stack, chain = chain }
end


-- values and what is in them ---------------------------------------------------


---A stand-in for a value that would have to be computed: only its class is known.
local function some(class) return setmetatable({}, { some = class }) end

local function class_of(v)
  local meta = type(v) == "table" and getmetatable(v)
  if type(meta) == "table" and rawget(meta, "some") then return rawget(meta, "some") end
  if known.is_net(v) then return "net" end
  if known.is_run(v) then return "run" end
  if known.is_tensor(v) then return "tensor" end
  if known.is_layer(v) then return "layer" end
  if rawequal(v, package.loaded["lunette"]) then return "lunette" end
  return nil
end


local function core() return require "lunette.core" end

local methods = {
  net = function() return require("lunette.net").Net end,
  run = function() return require("lunette.run").Run end,
  tensor = function() return core().methods end,
  layer = function() return {} end,
  canvas = function() return getmetatable(require "lunette.canvas" {}).__index end,
}


---The table that a metatable's __index names, however deep; never a function.
local function parents(v)
  local list = {}
  local meta = debug.getmetatable(v)
  while type(meta) == "table" and #list < 8 do
    local index = rawget(meta, "__index")
    if type(index) ~= "table" then break end
    list[#list + 1] = index
    meta = getmetatable(index)
  end
  return list
end


local function raw_field(v, key)
  if type(v) == "table" then
    local x = rawget(v, key)
    if x ~= nil then return x end
  end
  for _, t in ipairs(parents(v)) do
    local x = rawget(t, key)
    if x ~= nil then return x end
  end
  return nil
end


---The field of a value, without running anybody's code.
local function field(v, key)
  local class = class_of(v)
  if class == "lunette" then
    local ok, x = pcall(function() return v[key] end)
    return ok and x or nil
  end
  if methods[class] and methods[class]()[key] ~= nil then return methods[class]()[key] end
  if class == "net" and getmetatable(v).some == nil then
    return rawget(v, key) or v:layer(key) or nil
  end
  if class == "run" then
    local own = type(v) == "table" and rawget(v, key)
    return own ~= nil and own or some "tensor"
  end
  if class == "tensor" then return math.type(key) == "integer" and some "tensor" or nil end
  if v == nil then return nil end
  return raw_field(v, key)
end


---The class that a function's documentation says it returns.
local function result_of(f)
  if type(f) ~= "function" then return nil end
  local e = require("lunette.repl.docs").of_function(f)
  local kind = e and e.returns[1] and e.returns[1].type:lower() or ""
  if core().methods then
    for _, op in next, core().ops do
      if op == f then return some "tensor" end
    end
  end
  local class = kind:match "^lunette%.(%w+)"
  return (methods[class] or class == "tensor") and some(class) or nil
end


---The value of a chain such as `run.block1_conv1[3]`, or nil.
local function evaluate(chain)
  local first, rest = chain:match "^([%a_][%w_]*)(.*)$"
  if not first then return nil end
  local v = rawget(_G, first)
  while rest ~= "" and v ~= nil do
    local key, more = rest:match "^[.:]([%a_][%w_]*)(.*)$"
    if not key then
      key, more = rest:match "^%[[\"']([^\"']*)[\"']%](.*)$"
    end
    if key then
      v = field(v, key)
    elseif rest:find "^%[" then
      more = rest:match "^%b[](.*)$"
      v = class_of(v) == "tensor" and some "tensor"
        or field(v, math.tointeger(tonumber(rest:match "^%[(%d+)%]") or 0) or 0)
    elseif rest:find "^%(%)" then
      -- assert(lu.load "x") was reduced to assert(): nothing is known of it
      v, more = result_of(v), rest:sub(3)
    else
      return nil
    end
    rest = more or ""
  end
  return v
end
M.evaluate = evaluate


local function add_keys(t, into)
  for key, value in next, t do
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then
      into[key] = into[key] or type(value)
    end
  end
end


---Names after `v.` (or `v:`): name -> type.
local function names_in(v)
  local found, class = {}, class_of(v)
  if class == "lunette" then
    for _, name in ipairs(v.names()) do found[name] = "value" end
  end
  if methods[class] then add_keys(methods[class](), found) end
  if (class == "net" or class == "run") and not getmetatable(v).some then
    local net = class == "net" and v or rawget(v, "net")
    for _, name in ipairs(net:names()) do found[name] = "layer" end
  end
  if type(v) == "table" then add_keys(v, found) end
  if class == "tensor" and type(v) == "userdata" then
    local own = debug.getuservalue(v, 1)
    if type(own) == "table" then add_keys(own, found) end
  elseif class == nil then
    for _, t in ipairs(parents(v)) do add_keys(t, found) end
  end
  return found
end


-- candidates -------------------------------------------------------------------


local function starts(name, prefix)
  return name:sub(1, #prefix) == prefix
end


local function pick(names, prefix, only)
  local list = {}
  for name, kind in next, names do
    local private = name:find "^_" and not prefix:find "^_"
    if starts(name, prefix) and not private and (not only or kind == only) then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end


---Names after a dot or colon.
local function members(chain)
  local owner, mark, prefix = chain:match "^(.*)([.:])([%w_]*)$"
  local v = evaluate(owner)
  if v == nil then return {}, prefix end
  return pick(names_in(v), prefix, mark == ":" and "function" or nil), prefix
end


local function globals(prefix)
  local found = {}
  add_keys(_G, found)
  for word in pairs(keywords) do found[word] = "keyword" end
  return pick(found, prefix)
end


---The option names of the call whose table is open, or nil.
local function option_keys(stack, prefix)
  local top = stack[#stack]
  if not top or top.open ~= "{" or top.key then return nil end
  local call = top.chain ~= "" and top or stack[#stack - 1]
  if not call or call.chain == "" or call ~= top and call.open ~= "(" then return nil end
  local options = M.options(evaluate(call.chain))
  local list = {}
  for _, f in ipairs(options) do
    if starts(f.name, prefix) then list[#list + 1] = f.name end
  end
  table.sort(list)
  return #options > 0 and list or nil
end


---The option table of a function, from its documentation.
---@param f any
---@return table[] fields
function M.options(f)
  if type(f) ~= "function" then return {} end
  local docs = require "lunette.repl.docs"
  local e = docs.of_function(f)
  for i = e and #e.params or 0, 1, -1 do
    local found = docs.options_of(e.params[i].type)
    if #found > 0 then return found end
  end
  for name, op in next, core().ops do
    if op == f then
      local list = {}
      for i, attr in ipairs(core().op_info(name).attrs) do list[i] = { name = attr } end
      return list
    end
  end
  return {}
end


-- strings ----------------------------------------------------------------------


---The network that a call is about: its object, its first argument, or any.
local function nets_for(chain, stack)
  local tries = { chain:match "^(.*)[.:][%w_]+$" or "", chain }
  for i = #stack, 1, -1 do
    local s = stack[i]
    tries[#tries + 1] = s.chain:match "^(.*)[.:][%w_]+$" or s.chain
    for _, a in ipairs(s.args) do tries[#tries + 1] = a:match "^%s*([%w_.]+)%s*$" or "" end
  end
  for _, text in ipairs(tries) do
    local v = text ~= "" and evaluate(text)
    if known.is_net(v) then return { v } end
    if known.is_run(v) then return { rawget(v, "net") } end
  end
  return known.nets()
end


local function layer_names(nets)
  local list, seen = {}, {}
  for _, net in ipairs(nets) do
    for _, layer in ipairs(net:layers()) do
      for _, name in ipairs { layer.name, table.unpack(layer.aliases) } do
        if not seen[name] then
          seen[name] = true
          list[#list + 1] = name
        end
      end
    end
  end
  return list
end


local function class_names(nets)
  local labels = require "lunette.labels"
  local list = {}
  for _, net in ipairs(nets) do
    for _, name in ipairs(labels.of(net) or {}) do list[#list + 1] = name end
  end
  if #list == 0 then list = labels.of() or {} end
  return list
end


local function modifier_names()
  local list = {}
  for name, v in next, require "lunette.modifier" do
    local kind = getmetatable(v)
    if kind and rawget(kind, "__name") == "lunette.Modifier" then list[#list + 1] = name end
  end
  return list
end


---Files that begin with what was typed; folders end in "/".
local function file_names(prefix)
  local lfs = require "lfs"
  local dir, base = prefix:match "^(.*/)([^/]*)$"
  if not dir then dir, base = "", prefix end
  local where = dir == "" and "." or dir:gsub("^~/", (os.getenv "HOME" or "~") .. "/")
  local list = {}
  if lfs.attributes(where, "mode") ~= "directory" then return list end
  for name in lfs.dir(where) do
    if starts(name, base) and (not name:find "^%." or base:find "^%.") then
      local folder = lfs.attributes(where .. "/" .. name, "mode") == "directory"
      if name ~= "." and name ~= ".." then
        list[#list + 1] = dir .. name .. (folder and "/" or "")
      end
    end
  end
  table.sort(list)
  return list
end


local function model_names(prefix)
  local lfs, seen, list = require "lfs", {}, {}
  for _, dir in ipairs(require("lunette.load").folders()) do
    if lfs.attributes(dir, "mode") == "directory" then
      for name in lfs.dir(dir) do
        local base = name:match "^(.*)%.safetensors$"
        if base and not seen[base] and starts(base, prefix) then
          seen[base] = true
          list[#list + 1] = base
        end
      end
    end
  end
  table.sort(list)
  return list
end


local function prefixed(list, prefix)
  local found = {}
  for _, name in ipairs(list) do
    if starts(name:lower(), prefix:lower()) then found[#found + 1] = name end
  end
  return found
end


local function choices(text)
  return function() return text end
end


---What a string is about, by the option's name or the function's.
local about = {
  score = "class", class = "class", classes = "class", categorical = "class",
  contrast = "class", find = "class", scores = "class",
  layer = "layer", wrt = "layer", extract = "layer", activation = "layer",
  preactivation = "layer", node = "layer", activated = "layer", run_from = "layer",
  unit = "layer", layers = "layer", on = "layer", on_layer = "layer",
  modifiers = "modifier", modifier = "modifier",
  load = "model", image = "file", images = "file", save = "file", out = "file",
  dofile = "file", loadfile = "file", show = "file", open = "file", read = "file",
  write = "file", require = "module", help = "help", apropos = "help",
  dialect = "dialect", colormap = "colormap",
}

local listers = {
  layer = function(nets) return layer_names(nets) end,
  class = function(nets) return class_names(nets) end,
  modifier = function() return modifier_names() end,
  dialect = function() return require("lunette.methods.common").dialects end,
  colormap = function() return require("lunette.colormap").names end,
  module = choices { "lunette" },
  help = function()
    local list, seen = {}, {}
    for _, x in ipairs(require("lunette.repl.exports").list()) do
      if not seen[x.short] and not x.name:find "^core" then
        seen[x.short] = true
        list[#list + 1] = x.short
      end
    end
    table.sort(list)
    return list
  end,
}


---What the string at the cursor is about: "layer", "class" ... or nil.
local function subject(state)
  local stack, before = state.stack, state.chain_before
  local top = stack[#stack]
  if before and before ~= "" then return about[before:match "[%w_]+$" or ""] end
  for i = #stack, 1, -1 do
    local s = stack[i]
    if s.key and about[s.key] then return about[s.key] end
    if s.open == "[" and i == #stack then
      local v = evaluate(s.chain)
      return (known.is_net(v) or known.is_run(v)) and "layer" or "field"
    end
    local called = about[s.chain:match "[%w_]+$" or ""]
    if called and (i == #stack or s.open == "(") then return called end
  end
  return top and top.open == "[" and "field" or nil
end


local function in_string(state)
  local prefix, what = state.text, subject(state)
  local top = state.stack[#state.stack]
  if what == "field" then
    return pick(names_in(evaluate(top.chain)), prefix)
  end
  local is_path = prefix:find "^[~.]?%.?/" or prefix:find "/"
  if is_path or what == "file" then return file_names(prefix) end
  if what == "model" then
    local list = model_names(prefix)
    for _, name in ipairs(file_names(prefix)) do list[#list + 1] = name end
    return list
  end
  local nets = nets_for(state.chain_before or "", state.stack)
  if listers[what] then
    local list = prefixed(listers[what](nets), prefix)
    if what == "class" and starts("predicted", prefix) then list[#list + 1] = "predicted" end
    return list
  end
  local list = prefixed(layer_names(nets), prefix)
  if #list == 0 then list = file_names(prefix) end
  return list
end


-- the answer -------------------------------------------------------------------


---The longest beginning that all names share, case included.
local function common(list)
  local first = list[1]
  local n = #first
  for i = 2, #list do
    while first:sub(1, n) ~= list[i]:sub(1, n) do n = n - 1 end
  end
  return first:sub(1, n)
end


---Everything that could stand where the cursor is.
---@param before string   the code up to the cursor, earlier lines of it included
---@return string[] names   whole words that replace the last #typed bytes
---@return string typed     what is there of them already
---@return string suffix    what follows a name that is the only one
function M.candidates(before)
  local state = M.parse(before)
  if state.comment then return {}, "", "" end
  if state.text then
    local quote = state.quote == "[" and "" or state.quote
    return in_string(state), state.text, quote
  end
  local chain = state.chain
  if chain:find "[.:][%w_]*$" then
    local list, prefix = members(chain)
    return list, prefix, ""
  end
  local prefix = chain:match "[%w_]*$"
  if chain ~= prefix then return {}, prefix, "" end
  local keys = option_keys(state.stack, prefix)
  if keys and #keys > 0 then return keys, prefix, " = " end
  return globals(prefix), prefix, ""
end


---Names side by side as `ls` does, at most half a screen.
---@param list string[]
---@param columns integer
---@param rows integer
---@return string
function M.listing(list, columns, rows)
  local print_ = require "lunette.repl.print"
  local width, shown = 0, {}
  for i, name in ipairs(list) do
    shown[i] = print_.escape(name:match "([^/]+/?)$" or name)
    width = math.max(width, (utf8.len(shown[i]) or #shown[i]) + 2)
  end
  local across = math.max(1, columns // width)
  local down = math.min(-(-#shown // across), math.max(4, rows // 2))
  local fits = math.min(#shown, across * down)
  down = -(-fits // across)
  local out = {}
  for r = 1, down do
    local line = {}
    for c = 0, across - 1 do
      local name = c * down + r <= fits and shown[c * down + r]
      if name then
        local pad = width - (utf8.len(name) or #name)
        line[#line + 1] = name .. (" "):rep(pad)
      end
    end
    out[r] = table.concat(line):gsub("%s+$", "")
  end
  if fits < #shown then out[#out + 1] = ("... and %d more"):format(#shown - fits) end
  return table.concat(out, "\n") .. "\n"
end


---What TAB does: bytes to delete before the cursor, what to put there, and what to
---list below the line.
---@param before string
---@param columns? integer
---@param rows? integer
---@return integer? delete, string? insert, string? listing
function M.tab(before, columns, rows)
  local line = before:match "[^\n]*$"
  if not line:find "%S" then return 0, "  ", nil end
  local list, typed, suffix = M.candidates(before)
  if #list == 0 then return nil end
  local shared = common(list)
  if #list == 1 then
    local whole = list[1]
    if whole:find "/$" then suffix = "" end
    return #typed, whole .. suffix, nil
  end
  if #shared > #typed then return #typed, shared, nil end
  return nil, nil, M.listing(list, columns or 80, rows or 24)
end

return M
