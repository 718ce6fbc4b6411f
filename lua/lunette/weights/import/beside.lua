---The metadata of a file that an import writes: graph, preprocessing, names of classes,
---where the weights come from, and what was assumed.
local graphs = require "lunette.net.graph"
local json = require "lunette.base.json"

local M = {}


---Of Keras' networks the tables themselves say what theirs want.
local origin_preprocessing = { torch = "torch", onnx = "torch" }


---torchvision's networks whose pretrained weights turn pictures into -1..1 themselves.
local transforms_input = { googlenet = true, inception_v3 = true }


local function text_of(value)
  return type(value) == "table" and json.encode(value) or value
end


---What grey pictures go through: the means of colours are not theirs.
local over_255 = { order = "rgb", mean = { 0, 0, 0 }, std = { 1, 1, 1 },
                   scale = 1 / 255 }


---What pictures of three channels go through, and how that is called.
local function of_colours(found)
  local own = found.arch.preprocessing
  local is_own = transforms_input[found.model] or found.model:find "_cifar"
  local usual = found.family == "torch" and is_own and own
    or origin_preprocessing[found.family] or own
  local title = type(usual) == "table" and (usual.mode or "its own") or usual
  return usual, ("%s, the habit of such files"):format(title)
end


---What pictures go through by the habit of those who use such names, which is said; nil
---of networks that read no pictures.
function M.habit(found)
  local input = found.arch.input
  if #input ~= 3 or input[1] ~= 1 and input[1] ~= 3 then return nil end
  local usual, why = over_255, "values / 255, as its pictures have 1 channel"
  if input[1] == 3 then usual, why = of_colours(found) end
  table.insert(found.assumed, ("preprocessing: %s (--preprocessing)"):format(why))
  return usual
end


---What pictures go through. What the user says comes first, then what the file itself,
---its description or its checksum tells.
local function preprocessing(found, job, own)
  local said = job.opts.preprocessing or own.preprocessing
    or job.known and job.known.preprocessing or found.preprocessing
  if not said and found.family == "ours" then said = found.arch.preprocessing end
  return text_of(said or M.habit(found))
end


---Names of the classes: the user's, the file's own, those of the architecture.
local function labels(found, job, own)
  local ours = found.options.top ~= false and found.arch.labels or nil
  return text_of(job.opts.labels) or own.labels or text_of(ours)
end


---What is written beside the tensors: strings only, as the format wants.
---@param found table   what was identified
---@param job { file: string, opts: table, sums: table, known?: table }
---@return table<string, string>
function M.of(found, job)
  local says = found.family == "ours" or found.family == "onnx"
  local own = says and found.meta or {}
  local known = job.known or {}
  local meta = {
    lunette_model = found.model,
    preprocessing = preprocessing(found, job, own),
    labels = labels(found, job, own),
    label_ids = text_of(job.opts.label_ids),
    weights_name = job.opts.name or known.name,
    licence = known.licence,
    source = job.file:match "([^/]+)$",
    source_sha256 = job.sums.sha256,
    source_md5 = job.sums.md5,
  }
  if job.known then found.assumed = {} end
  meta.assumed = #found.assumed > 0 and table.concat(found.assumed, "; ") or nil
  if job.opts.labels then own.label_ids = nil end -- of other names
  for key, value in pairs(own) do meta[key] = meta[key] or value end
  meta.lunette_graph = graphs.encode(found.arch)
  meta.lunette_turned = nil -- the graph says that
  return meta
end

return M
