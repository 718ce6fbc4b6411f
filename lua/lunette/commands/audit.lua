---`lunette audit MODEL`: is there a backdoor, and how easily do labels and maps move?
local blame = require "lunette.base.blame"
local cli = require "lunette.commands.cli"
local files = require "lunette.base.files"
local json = require "lunette.base.json"
local limits = require "lunette.commands.limits"
local load = require "lunette.weights.load"
local pictures = require "lunette.commands.pictures"
local text = require "lunette.base.text"
local types = require "lunette.base.types"
local warn = require "lunette.base.warn"


---A whole number; nil of other words.
local function whole(word) return math.tointeger(tonumber(word)) end


---A whole number from 1; nil of other words.
local function count(word)
  local n = whole(word)
  return types.is_count(n) and n or nil
end


local function parser()
  local p = cli.parser("lunette audit", "Looks for a backdoor and attacks labels and "
    .. "maps; what is interrupted goes on where it was.")
  p:argument("model", "a network: name or file")
  p:argument("picture", "pictures or folders (default: scenes, for networks that know "
             .. "them); no labels are needed"):args "*"
  p:option("--reference", "a clean network of the same kind, for comparison")
  p:option("--only", "backdoor or attacks"):choices { "backdoor", "attacks" }
  p:option("--classes", "ids with commas (default: all; of more than 20 some)")
  p:option("--methods", "whose maps are asked, with commas"):default
    "gradcam,saliency,occlusion"
  p:option("-n --count", "pictures, of which six in ten find triggers and the others "
           .. "judge them"):default(120):convert(count)
  p:option("--steps", "of a descent"):default(100):convert(count)
  p:option("--restarts", "descents a class"):default(2):convert(count)
  p:option("--seed", "of the random numbers and scenes"):default(1):convert(whole)
  p:flag("--json", "the record for programs instead of the text")
  p:option("-o --out", "folder: audit.txt, audit.json, audit.png; until then a "
           .. "checkpoint")
    :default "out/audit"
  p:option("--mem", "memory that tensors should stay below: 800M, 2G")
  p:option("--threads", "threads"):convert(count)
  return p
end


local fail = cli.failing "lunette audit"


---Pictures as the network takes them: those that were named, or scenes of its size.
local function images_of(net, o)
  if #o.picture > 0 then
    local paths, all = pictures.paths(o)
    if not paths then return nil, all end
    if all > #paths then
      warn(("audit: %d of %d pictures are looked at; -n %d takes all"):format(#paths,
        all, all))
    end
    return net:images { image = paths }
  end
  local ok, message = pictures.knows_scenes(net)
  if not ok then return nil, message .. ", a hundred or more" end
  local glyphs = require "lunette.glyphs"
  return glyphs.input(glyphs.scenes { n = o.count, seed = 7000 + o.seed,
                                      side = net.input[2] }.images)
end


local function class_list(words)
  if not words then return nil end
  local list = {}
  for i, word in ipairs(pictures.words(words)) do
    list[i] = math.tointeger(tonumber(word))
    if not list[i] then error(("--classes: '%s' is no class id"):format(word), 0) end
  end
  return list
end


local function checkpoint_of(o) return o.out .. "/audit.checkpoint" end


---Text, record, and the picture where triggers were looked for.
local function write_all(o, report)
  local record = json.encode(report:record(), { indent = 2 }) .. "\n"
  local ok, message = files.write_set {
    { o.out .. "/audit.json", record },
    { o.out .. "/audit.txt", report:text() .. "\n" },
  }
  if ok and report.found then
    ok, message = report:draw():save(o.out .. "/audit.png")
    -- done: another network's audit may have the folder
    if ok then require("lunette.audit.triggers").forget(checkpoint_of(o)) end
  end
  if ok and o.json then text.say((record:gsub("\n$", ""))) end
  return ok, message
end


---Network, its clean twin (or nil), and pictures; nil and a message.
local function open(o)
  local net, message = load.load(o.model)
  if not net then return nil, message end
  local twin
  if o.reference then
    twin, message = load.load(o.reference)
    if not twin then return nil, message end
  end
  local x
  x, message = images_of(net, o)
  if not x then return nil, message end
  return { net = net, twin = twin, x = x }
end


---The audit, or a code and what is wrong.
local function audited(what, o)
  local ok, report, wrong = pcall(require("lunette.audit").run, what.net, what.x, {
    pictures = math.max(1, what.x:dim(1) * 6 // 10), steps = o.steps,
    restarts = o.restarts, classes = class_list(o.classes), reference = what.twin,
    methods = pictures.words(o.methods), seed = o.seed,
    backdoor = o.only ~= "attacks", attacks = o.only ~= "backdoor",
    checkpoint = checkpoint_of(o) })
  if not ok then
    if tostring(report):find "interrupted" then error(report, 0) end
    return nil, 64, blame.bare(report)
  end
  return report, 66, wrong
end


---@param args string[]
---@return integer code   0 nothing was found, 3 a verdict other than that, 64 usage, 66
---  no such network or picture, 74 cannot write
return function(args)
  local o = parser():parse(args)
  local bytes, message = limits.bytes(o.mem)
  if message then return fail(64, message) end
  limits.set(o.threads, bytes)
  local what
  what, message = open(o)
  if not what then return fail(66, message) end
  local report, code, wrong = audited(what, o)
  if not report then return fail(code, wrong) end
  if not o.json then text.say(report:text()) end
  local ok
  ok, message = write_all(o, report)
  if not ok then return fail(74, message) end
  if not o.json then text.say(("wrote %s/audit.txt, audit.json%s"):format(o.out,
    report.found and ", audit.png" or "")) end
  return report.found and report.verdict ~= "nothing" and 3 or 0
end
