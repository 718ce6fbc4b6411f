---State dicts inside a file: checkpoints hold them under keys, wrappers put words
---before every name, and training keeps copies. A prefix is found by what remains
---behind it: the name of a network's first weights.
local M = {}

local MOST = 16 -- prefixes that are tried

---Words that wrappers put between any two others.
local wrappers = { module = true, _orig_mod = true, _fsdp_wrapped_module = true,
                   _checkpoint_wrapped_module = true }

---Words of copies that training keeps beside the network.
local copies = { "ema", "avg", "average", "swa", "teacher", "momentum", "target",
                 "shadow" }

---Words of what is no network.
local beside = { "optim", "sched", "scaler", "loss", "criterion", "history", "rng",
                 "hyper", "metric", "lr_" }


---"features.module.0.weight" -> "features.0.weight".
local function unwrapped(name)
  local parts = {}
  for part in name:gmatch "[^.]+" do
    if not wrappers[part] then parts[#parts + 1] = part end
  end
  return table.concat(parts, ".")
end


---Tensors by their names without wrappers; as they are where two would be one.
local function unwrap(tensors)
  local list, seen = {}, {}
  for i, t in ipairs(tensors) do
    local name = unwrapped(t.name)
    if name == "" or seen[name] then
      for k, one in ipairs(tensors) do list[k] = { name = one.name, tensor = one } end
      return list
    end
    seen[name], list[i] = true, { name = name, tensor = t }
  end
  return list
end


local function is_any(name, words)
  name = name:lower()
  for _, word in ipairs(words) do
    if name:find(word, 1, true) then return true end
  end
  return false
end


---What stands behind a prefix, and what does not.
local function split(list, prefix)
  local inside, outside = {}, {}
  for _, t in ipairs(list) do
    if t.name:sub(1, #prefix) == prefix then
      inside[#inside + 1] = { name = t.name:sub(#prefix + 1), tensor = t.tensor }
    else
      outside[#outside + 1] = t
    end
  end
  return { prefix = prefix, inside = inside, outside = outside }
end


---Prefixes behind which one of the names stands, the likeliest first.
---@param tensors lunette.import.Tensor[]   floating-point ones
---@param anchors string[]                  "features.0.weight"
---@param translate? fun(list: table[]): lunette.import.Dialect?   see dialects.lua
---@return { prefix: string, inside: table[], outside: table[] }[]
---@return lunette.import.Dialect?   whose names they had, where those were translated
function M.find(tensors, anchors, translate)
  local list, seen, found = unwrap(tensors), {}, {}
  local dialect = translate and translate(list)
  for _, t in ipairs(list) do
    for _, anchor in ipairs(anchors) do
      local prefix = t.name:sub(1, -#anchor - 1)
      local ends = t.name:sub(-#anchor) == anchor
        and (prefix == "" or prefix:sub(-1) == ".")
      if ends and not seen[prefix] then
        seen[prefix], found[#found + 1] = #found, prefix
      end
    end
  end
  table.sort(found, function(a, b)
    local x, y = is_any(a, copies), is_any(b, copies)
    if x ~= y then return y end
    if #a ~= #b then return #a < #b end
    return seen[a] < seen[b]
  end)
  for i, prefix in ipairs(found) do
    found[i] = i <= MOST and split(list, prefix) or nil
  end
  return found, dialect
end


---The key below which a tensor lies, as it is named in a message.
local function group_of(name)
  return name:match "^([^.]+)%." or name
end


---Does a tensor beside the network belong to something known: training, a copy?
local function is_known(name, others)
  if is_any(name, beside) or is_any(group_of(name), copies) then return true end
  for prefix in pairs(others) do
    if name:sub(1, #prefix) == prefix then return true end
  end
  return false
end


---Groups of names, as "optimizer (12 tensors)".
local function listed(outside)
  local counts, order, notes = {}, {}, {}
  for _, t in ipairs(outside) do
    local group = group_of(t.name)
    if not counts[group] then order[#order + 1] = group end
    counts[group] = (counts[group] or 0) + 1
  end
  for i, group in ipairs(order) do
    if i > 8 then
      notes[i] = ("and %d more"):format(#order - 8)
      break
    end
    local n = counts[group]
    notes[i] = n == 1 and group or ("%s (%d tensors)"):format(group, n)
  end
  return notes
end


---What people call a head that they put beside a network: `self.backbone`, `self.head`.
local head_words = { head = true, heads = true, fc = true, classifier = true,
                     cls_head = true, class_head = true, classification_head = true,
                     last_linear = true, logits = true, output = true }


---What comes before the last part of a prefix: "model." of "model.backbone.".
local function holder_of(prefix) return prefix:match "^(.*%.)[^.]+%.$" or "" end


---A network with the head that lies beside it, "head.fc.weight" beside "backbone."; nil
---where there is none.
---@param candidate table
---@return table? candidate   with `head`, that key
function M.with_head(candidate)
  local holder, head = holder_of(candidate.prefix), nil
  local inside, outside = table.move(candidate.inside, 1, #candidate.inside, 1, {}), {}
  for _, t in ipairs(candidate.prefix ~= "" and candidate.outside or {}) do
    local name = t.name:sub(1, #holder) == holder and t.name:sub(#holder + 1) or ""
    local word = name:match "^([^.]+)%."
    if head_words[word] and (not head or word == head) then
      head, inside[#inside + 1] = word, { name = name, tensor = t.tensor }
    else
      outside[#outside + 1] = t
    end
  end
  return head and { prefix = candidate.prefix, inside = inside, outside = outside,
                    head = holder .. head }
end


---Tensors beside a network, by groups; nil and a message where one looks like a part
---of it: a matrix or a kernel under the same key that belongs to nothing known.
---@param candidate table
---@param others table<string, boolean>   prefixes of other copies of the network
---@return string[]? notes, string? message
function M.beside(candidate, others)
  local prefix = candidate.prefix
  local holder = holder_of(prefix)
  for _, t in ipairs(candidate.outside) do
    local near = t.name:sub(1, #holder) == holder and #t.tensor.shape >= 2
    if near and not is_known(t.name, others) then
      return nil, ("'%s' lies beside the network '%s': a part of it? Describe the "
        .. "whole with --arch net.lua"):format(t.tensor.name, prefix:sub(1, -2))
    end
  end
  return listed(candidate.outside)
end

return M
