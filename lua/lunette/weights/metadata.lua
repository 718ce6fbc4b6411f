---What a weights file says beside its tensors: the graph, what pictures go through,
---what the classes are called. All of it is text that anybody may have written.
local blame = require "lunette.base.blame"
local graphs = require "lunette.net.graph"
local json = require "lunette.base.json"
local preprocessing = require "lunette.picture.preprocessing"

local M = {}

---Bounds of a list of class names; ImageNet-21k has 21,843, the longest of 138 bytes.
local MOST_LABELS, MOST_LABEL = 65536, 512


---A mode's name, or JSON {mean, std, order, scale}.
local function read_preprocessing(text)
  local spec = text
  if text:find "^%s*{" then spec = json.decode(text) end
  if not spec then return nil, "preprocessing is no JSON" end
  local ok, message = pcall(preprocessing.spec, spec)
  if not ok then return nil, blame.bare(message) end
  return spec
end


---A set's name, or a JSON list.
local function read_labels(text)
  if text:find "^[%w_-]+$" then return text end
  local list = json.decode(text)
  if type(list) ~= "table" then return nil, "labels are a name or a JSON list" end
  if #list > MOST_LABELS then
    return nil, ("%d labels, at most %d"):format(#list, MOST_LABELS)
  end
  for i, name in ipairs(list) do
    if type(name) ~= "string" then return nil, "a label is no text" end
    if #name > MOST_LABEL then
      return nil, ("label %d has %d bytes, at most %d"):format(i, #name, MOST_LABEL)
    end
  end
  return list
end


---WordNet ids of the classes, a JSON list.
local function read_ids(text)
  local list = json.decode(text)
  if type(list) ~= "table" or #list > MOST_LABELS then
    return nil, "label_ids are no JSON list"
  end
  for _, id in ipairs(list) do
    if type(id) ~= "string" or #id > MOST_LABEL then
      return nil, "one of label_ids is no text"
    end
  end
  return list
end


local function read_graph(text)
  local graph, message = graphs.decode(text)
  return graph, message and "lunette_graph: " .. message
end


local readers = { preprocessing = read_preprocessing, labels = read_labels,
                  label_ids = read_ids, lunette_graph = read_graph }


---What metadata says, read and checked: `lunette_graph`, `preprocessing`, `labels`.
---@param meta table<string, string>
---@return table? found, string? message
function M.read(meta)
  local found = {}
  for key, read in pairs(readers) do
    local text = meta[key]
    if text and text ~= "" then
      local value, message = read(text)
      if message then return nil, "metadata: " .. message end
      found[key] = value
    end
  end
  return found
end


local function text_of(value)
  return type(value) == "table" and json.encode(value) or value
end


---Metadata of a network: what it came with, its graph, preprocessing and labels.
---@param net lunette.Net
---@return table<string, string>
function M.of(net)
  local meta = {}
  for key, value in pairs(net.meta) do
    if type(value) == "string" then meta[key] = value end
  end
  meta.lunette_model, meta.lunette_graph = net.name, graphs.encode(net.graph)
  meta.preprocessing, meta.labels = text_of(net.preprocessing), text_of(net.labels)
  return meta
end

return M
