---One result of a sweep: its name, a hash of all that determines it, and its two files,
---the map's values (.npy) and their description (.json). The .json is written last:
---where it exists and the checksums agree, the result is complete.
local core = require "lunette.core"
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local npy = require "lunette.picture.npy"
local file_word = require("lunette.base.text").file_word

local M = {}


---A part of a file's name.
local function word(s) return (file_word(s, 48):gsub("^%.", "_")) end


---The path of a result without its suffix, below the sweep's folder:
---results/3f/hen-3f0c....
---@param plan lunette.SweepPlan
---@param path string     of the picture
---@param sum string      its SHA-256
---@param job lunette.SweepJob
---@return string
function M.name(plan, path, sum, job)
  local build = core.build()
  local hash = core.sha256(json.encode {
    path = path, picture = sum, job = job, pictures = plan.pictures,
    weights = plan.weights, version = build.version, commit = build.commit,
  }):sub(1, 24)
  local stem = path:match "([^/]*)$":gsub("%.%w+$", "")
  return ("results/%s/%s-%s"):format(hash:sub(1, 2), word(stem), hash)
end


---@class lunette.SweepFiles
---@field json_sha256 string
---@field npy_sha256 string

---Verifies a result: both files exist, and the .json has the .npy's checksum.
---@param folder string   the sweep's
---@param name string
---@return lunette.SweepFiles? sums, string? message   nil: it has to be made (again)
---@return table? record
function M.verify(folder, name)
  local base = folder .. "/" .. name
  local text = files.read(base .. ".json")
  local record = text and json.decode(text)
  if type(record) ~= "table" then return nil, name .. ".json: not there, or no JSON" end
  local values = files.read(base .. ".npy")
  if not values then return nil, name .. ".npy: not there" end
  local sum = core.sha256(values)
  if record.npy_sha256 ~= sum then
    return nil, name .. ".npy: its SHA-256 is not the one that is written down"
  end
  return { json_sha256 = core.sha256(text), npy_sha256 = sum }, nil, record
end


---Writes a result: both files, or none.
---@param folder string
---@param name string
---@param map lunette.Tensor
---@param record table     its description; gets the checksum of the values
---@return lunette.SweepFiles? sums, string? message
function M.write(folder, name, map, record)
  local values = npy.encode(map)
  record.npy_sha256 = core.sha256(values)
  local text = json.encode(record, { indent = 1 }) .. "\n"
  local base = folder .. "/" .. name
  local ok, message = files.write_set { { base .. ".npy", values },
                                        { base .. ".json", text } }
  if not ok then return nil, message end
  return { json_sha256 = core.sha256(text), npy_sha256 = record.npy_sha256 }
end

return M
