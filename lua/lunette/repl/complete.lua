---TAB: what may come next. Nothing of the user's is called.
local core = require "lunette.core"
local scan = require "lunette.repl.scan"
local known = require "lunette.repl.known"
local values = require "lunette.repl.values"

local M = {}

local evaluate, names_in = values.evaluate, values.names_in


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
  local list = pick(names_in(v), prefix, mark == ":" and "function" or nil)
  local words = {}
  for _, name in ipairs(list) do
    if name:find "^[%a_][%w_]*$" then words[#words + 1] = name end
  end
  if #words > 0 or mark == ":" then return words, prefix end
  -- `fire9.concat` is a layer, but no word: net["fire9.concat"]
  for i, name in ipairs(list) do list[i] = ('["%s"]'):format(name) end
  return list, "." .. prefix
end


local function globals(prefix)
  local found = {}
  values.add_keys(_G, found)
  for word in pairs(scan.keywords) do found[word] = "keyword" end
  return pick(found, prefix)
end


---The call whose option table is open: `f {` or `f(x, {`.
local function call_of(stack)
  local top, below = stack[#stack], stack[#stack - 1]
  if not top or top.open ~= "{" or top.key then return nil end
  if top.chain ~= "" then return top.chain end
  return below and below.open == "(" and below.chain ~= "" and below.chain or nil
end


---The option names of the call whose table is open, or nil.
local function option_keys(stack, prefix)
  local call = call_of(stack)
  local list = {}
  for _, f in ipairs(call and M.options(evaluate(call)) or {}) do
    if starts(f.name, prefix) then list[#list + 1] = f.name end
  end
  table.sort(list)
  return list
end


---The option table of a function, from its documentation.
---@param f any
---@return table[] fields
function M.options(f)
  local docs = require "lunette.repl.docs"
  if type(f) ~= "function" and not docs.is_row(f) then return {} end
  local e = docs.of_function(f)
  local found = e and docs.options_for(e) or {}
  if #found > 0 then return found end
  for name, op in next, core.ops do
    if op == f then
      local list = {}
      for i, attr in ipairs(core.op_info(name).attrs) do list[i] = { name = attr } end
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
    for _, a in ipairs(s.args) do
      tries[#tries + 1] = a:match "^%s*([%w_.]+)%s*$" or ""
    end
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
    for _, name in ipairs(require("lunette.net.build").known(net)) do
      if not seen[name] then seen[name], list[#list + 1] = true, name end
    end
  end
  return list
end


local function class_names(nets)
  local labels = require "lunette.score.labels"
  local list = {}
  for _, net in ipairs(nets) do
    for _, name in ipairs(labels.of(net) or {}) do list[#list + 1] = name end
  end
  if #list == 0 then list = labels.of() or {} end
  return list
end


local function is_folder(path)
  return require "lfs".attributes(path, "mode") == "directory"
end


---Hidden files only for those who typed the dot; "." and ".." never.
local function is_wanted(name, base)
  if not starts(name, base) or name == "." or name == ".." then return false end
  return not name:find "^%." or base:find "^%." ~= nil
end


---Files that begin with what was typed; folders end in "/".
local function file_names(prefix)
  local dir, base = prefix:match "^(.*/)([^/]*)$"
  if not dir then dir, base = "", prefix end
  local where = dir == "" and "." or dir:gsub("^~/", (os.getenv "HOME" or "~") .. "/")
  local list = {}
  if not is_folder(where) then return list end
  for name in require "lfs".dir(where) do
    if is_wanted(name, base) then
      list[#list + 1] = dir .. name .. (is_folder(where .. "/" .. name) and "/" or "")
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
  modifier = function() return require("lunette.modifiers").names() end,
  dialect = function() return require("lunette.commands.method_flags").dialects() end,
  colormap = function() return require("lunette.picture.colormap").names end,
  module = function() return { "lunette" } end,
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


local function last_word(chain) return chain:match "[%w_]+$" or "" end


---What an open bracket says about a string in it.
local function says(bracket, innermost)
  if bracket.key and about[bracket.key] then return about[bracket.key] end
  if bracket.open == "[" and innermost then
    local v = evaluate(bracket.chain)
    return (known.is_net(v) or known.is_run(v)) and "layer" or "field"
  end
  local called = about[last_word(bracket.chain)]
  return (innermost or bracket.open == "(") and called or nil
end


---What the string at the cursor is about: "layer", "class" ... or nil.
local function subject(state)
  if state.before ~= "" then return about[last_word(state.before)] end
  for i = #state.stack, 1, -1 do
    local what = says(state.stack[i], i == #state.stack)
    if what then return what end
  end
  return nil
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
    local list = prefixed(require("lunette.weights.load").installed(), prefix)
    for _, name in ipairs(file_names(prefix)) do list[#list + 1] = name end
    return list
  end
  local nets = nets_for(state.before, state.stack)
  if listers[what] then
    local list = prefixed(listers[what](nets), prefix)
    if what == "class" and starts("predicted", prefix) then
      list[#list + 1] = "predicted"
    end
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
  local state = scan.scan(before)
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
  if #keys > 0 then return keys, prefix, " = " end
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
