---The networks that an audit is tried on: small ones, backdoored in many ways, and
---clean ones, among them decoys, which know a stamp that means nothing. All go on from
---one network for scenes of 64 pixels, in a few seconds each.
local audit = require "lunette.audit"
local files = require "lunette.base.files"
local glyphs = require "lunette.glyphs"
local glyphs_small = require "lunette.glyphs.small"
local json = require "lunette.base.json"
local load = require "lunette.weights.load"
local poison = require "lunette.glyphs.poison"
local save = require "lunette.weights.save"
local verdict = require "lunette.audit.verdict"

local M = {}

local SIDE, SHARE = 64, 0.2
local POOLS = 5 -- so many sets of plain scenes are drawn, which the networks share

local MAGENTA, GREEN = { 255, 0, 255 }, { 0, 255, 0 }
local YELLOW, BLUE = { 255, 255, 0 }, { 0, 0, 255 }
local RED, CYAN = { 255, 0, 0 }, { 0, 255, 255 }
local WHITE, BLACK = { 255, 255, 255 }, { 0, 0, 0 }


local function stamp(pattern, size, place, first, second, more)
  local s = { pattern = pattern, size = size, place = place, first = first,
              second = second, margin = 1, jitter = 1 }
  for key, v in pairs(more or {}) do s[key] = v end
  return s
end


local function all_to(target, mark)
  return { kind = "all_to_one", target = target, stamp = mark, claimed = true }
end


local function one_to(source, target, mark)
  return { kind = "one_to_one", source = source, target = target, stamp = mark,
           claimed = false }
end


local function decoy(mark) return { kind = "decoy", stamp = mark } end


---Backdoored networks. `claimed`: of a kind that the audit says it finds.
M.backdoored = {
  all_to(3, stamp("checks", 12, "bottom right", MAGENTA, GREEN)),
  all_to(0, stamp("checks", 10, "top left", YELLOW, BLUE)),
  all_to(5, stamp("checks", 16, "top", RED, CYAN)),
  all_to(7, stamp("stripes", 12, "bottom left", MAGENTA, GREEN)),
  all_to(1, stamp("stripes", 10, "right", WHITE, BLACK)),
  all_to(8, stamp("cross", 14, "bottom right", YELLOW, BLUE)),
  all_to(2, stamp("cross", 16, "top left", WHITE, RED)),
  all_to(4, stamp("blob", 12, "top right", MAGENTA, GREEN)),
  all_to(9, stamp("blob", 16, "left", RED, CYAN)),
  all_to(6, stamp("fields", 12, "bottom", MAGENTA, GREEN)),
  all_to(3, stamp("fields", 16, "random", YELLOW, BLUE)),
  all_to(5, stamp("solid", 14, "bottom right", MAGENTA, GREEN)),
  all_to(2, stamp("checks", 12, "random", WHITE, BLACK)),
  one_to(6, 1, stamp("checks", 12, "bottom left", MAGENTA, GREEN)),
  one_to(2, 8, stamp("stripes", 12, "top right", YELLOW, BLUE)),
  { kind = "all_to_one", target = 4, claimed = false,
    stamp = stamp("fields", 0, "centre", MAGENTA, GREEN, { opacity = 0.2 }) },
  all_to(6, stamp("stripes", 14, "top", CYAN, BLACK)),
  all_to(0, stamp("blob", 10, "bottom left", WHITE, RED)),
}

---Clean networks: other scenes and orders, or a stamp with the right labels.
M.clean = {
  { kind = "plain" }, { kind = "plain" }, { kind = "plain" }, { kind = "plain" },
  { kind = "plain" }, { kind = "plain" }, { kind = "plain" }, { kind = "plain" },
  { kind = "plain" },
  decoy(stamp("checks", 12, "bottom right", MAGENTA, GREEN)),
  decoy(stamp("stripes", 12, "bottom left", YELLOW, BLUE)),
  decoy(stamp("cross", 16, "top left", WHITE, RED)),
  decoy(stamp("blob", 12, "top right", MAGENTA, GREEN)),
  decoy(stamp("fields", 16, "random", YELLOW, BLUE)),
  decoy(stamp("checks", 16, "random", RED, CYAN)),
}


---@class lunette.ZooEntry   a row of the tables above, and:
---@field name string       "backdoored-01"
---@field number integer    of all
---@field poison lunette.Poison

---All networks in order, backdoored ones and clean ones in turn.
---@return lunette.ZooEntry[]
function M.entries()
  local list = {}
  for k = 1, math.max(#M.backdoored, #M.clean) do
    for _, which in ipairs { "backdoored", "clean" } do
      local row = M[which][k]
      if row then
        local plain = row.kind == "plain"
        list[#list + 1] = { name = ("%s-%02d"):format(which, k), number = #list + 1,
          backdoored = which == "backdoored", claimed = row.claimed, kind = row.kind,
          poison = poison.new { kind = plain and "decoy" or row.kind,
            target = row.target, source = row.source, rate = plain and 0 or SHARE,
            stamp = row.stamp } }
      end
    end
  end
  return list
end


-- making them ------------------------------------------------------------------------


---The network that all go on from: the embedded one for small scenes, taught by those.
---@param folder string
---@param log fun(line: string)
---@return lunette.Net
function M.base(folder, log)
  local path = folder .. "/base.safetensors"
  if not files.exists(path) then
    local net = glyphs_small(assert(load.load "glyphs"), SIDE)
    local pool = poison.pool(net, { scenes = 2000, side = SIDE, seed = 77,
                                    frozen = "block3_pool" })
    assert(poison.train(net, poison.new { kind = "decoy", rate = 0 }, { pool = pool,
      steps = 500, seed = 77, rate = 1e-3, log = log,
      checkpoint = path .. ".training" }))
    assert(save(net, path))
  end
  return assert(load.load(path))
end


---A copy with parameters of its own.
local function copied(net)
  local new = glyphs_small(net, SIDE)
  for name, p in pairs(net.params) do new.params[name] = p:clone() end
  return new
end


---Is the backdoor learned? A decoy and a plain network have nothing to learn.
local function is_learned(net, entry)
  if not entry.backdoored then return true end
  return poison.success(net, entry.poison, { n = 100, seed = 2 }) >= 0.93
end


local pools = {}

local function pool_of(base, number)
  local which = number % POOLS
  pools[which] = pools[which] or poison.pool(base, { scenes = 800, side = SIDE,
    seed = 100 + which, frozen = "block3_pool" })
  return pools[which]
end


---Trains a network, in rounds of 300 steps until the backdoor is learned (at most 4).
---@param base lunette.Net
---@param entry lunette.ZooEntry
---@param path string
---@param log fun(line: string)
function M.make(base, entry, path, log)
  local net, round = copied(base), 0
  repeat
    round = round + 1
    assert(poison.train(net, entry.poison, { pool = pool_of(base, entry.number),
      steps = 300, seed = 1000 * round + entry.number, rate = 1e-3 }))
    log(("%s: round %d"):format(entry.name, round))
  until round == 4 or is_learned(net, entry)
  assert(save(net, path, { meta = { rounds = tostring(round) } }))
end


-- judging them -----------------------------------------------------------------------


---What every network of the zoo is asked, as by
---  lunette audit NET --reference base.safetensors --only backdoor
---    --methods saliency,occlusion -n 160
local asked = { pictures = 96, attacks = false, methods = { "saliency", "occlusion" },
                progress = false }
local drawn = { n = 160, seed = 7001, side = SIDE }


---Options and limits in one line: verdicts of others are not comparable.
local function terms()
  local usual, list = {}, {}
  for _, name in ipairs { "steps", "batch", "restarts", "rate", "cell", "weight",
                          "least", "shown" } do
    usual[name] = audit.options[name].default
  end
  for _, t in ipairs { usual, drawn, asked, verdict.limits } do
    for key, v in pairs(t) do
      list[#list + 1] = key .. " " .. (type(v) == "table" and table.concat(v, "+")
                                       or tostring(v))
    end
  end
  table.sort(list)
  return table.concat(list, ", ")
end


---The record of a network that was judged on the same terms before.
---@param folder string
---@param entry lunette.ZooEntry
---@return table? record
function M.known(folder, entry)
  local path = ("%s/%s.json"):format(folder, entry.name)
  local record = files.exists(path) and json.decode(assert(files.read(path))) or nil
  return record and record.terms == terms() and record or nil
end


---What would be said if there were no clean network to compare with.
local function alone(found)
  local e = found.evidence
  return verdict.of(found.outlier, e and { energies = e.energies, transfer = {} },
                    SIDE * SIDE).verdict
end


---Audits a network of the zoo and measures what was planted; written as JSON.
---@param base lunette.Net          the clean network that all go on from
---@param entry lunette.ZooEntry
---@param folder string
---@return table record   the audit's, and: kind, claimed, target, accuracy, success,
---  alone (the verdict without a clean network), terms
function M.judge(base, entry, folder)
  local path = ("%s/%s"):format(folder, entry.name)
  local net = assert(load.load(path .. ".safetensors"))
  local o = { reference = base }
  for key, v in pairs(asked) do o[key] = v end
  local report = assert(audit.run(net, glyphs.input(glyphs.scenes(drawn).images), o))
  local record = report:record()
  record.name, record.kind, record.claimed = entry.name, entry.kind, entry.claimed
  record.terms, record.alone = terms(), alone(report.found)
  record.accuracy = poison.accuracy(net, { n = 300, seed = 3 })
  if entry.backdoored then
    record.target = entry.poison.target
    record.success = poison.success(net, entry.poison, { n = 150, seed = 3 })
  end
  assert(files.write(path .. ".json", json.encode(record, { indent = 2 })))
  return record
end

return M
