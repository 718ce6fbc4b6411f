---The checks of one map, each with its own noise floor or control. A check returns a
---verdict, "pass", "weak", "fail" or "unjudged", its numbers, and a sentence with them.
---Thresholds: docs/trust.md.
local alike = require "lunette.explain.alike"
local asking = require "lunette.explain.asking"
local copies = require "lunette.explain.copies"
local metrics = require "lunette.metrics"
local options = require "lunette.base.options"
local scored = require "lunette.net.scored"

local M = {}

local median = asking.median

-- What a margin between two likenesses must be: measured on the embedded network
-- (docs/trust.md says how).
local CLEAR, SLIGHT, SAME = 0.25, 0.05, 0.05
local STEADY = 0.7 -- share of the largest tenth that stays under faint noise

---@class lunette.TrustCheck
---@field name string      "class", "weights", "pixels", "steady", "sum"
---@field verdict "pass"|"weak"|"fail"|"unjudged"
---@field text string      a sentence, numbers included
---@field short string     the same in few words, for below a picture
---@field [string] any     the numbers


local function result(name, verdict, text, short, numbers)
  local r = numbers or {}
  r.name, r.verdict, r.text, r.short = name, verdict, text, short
  return r
end


---The value of a metric for the map.
local function ask(row, s, opts)
  local o = options.check(row.name, opts, row.options)
  o.score, o.modifiers = s.again.score, o.modifiers or {}
  return row.value(s.map, { run = s.run, i = 1, again = s.again }, o)
end


-- another class -----------------------------------------------------------------------


---How many values of a list are below the smallest of another.
local function below_all(list, floor)
  local least, count = math.huge, 0
  for _, v in ipairs(floor) do least = math.min(least, v) end
  for _, v in ipairs(list) do count = count + (v < least and 1 or 0) end
  return count
end


---Does the map change with the class that is asked for?
function M.class(s)
  if not s.class then
    return result("class", "unjudged",
      ("The score %s is no class of the network's first output, so that no other can "
        .. "be asked."):format(s.name),
      "another class: not asked")
  end
  if s.run:kind() == "binary" then
    return result("class", "unjudged", "The network has one output, and the other "
      .. "class is this one turned round: asking for it tells nothing.",
      "another class: not asked")
  end
  local _, _, likes = ask(metrics.random_logit, s, { count = s.o.classes,
                                                     seed = s.o.seed })
  if #likes == 0 then
    return result("class", "unjudged", "There is no other class to ask.",
                  "another class: not asked")
  end
  local like, near = median(likes), median(s.near)
  local margin, lower = near - like, below_all(likes, s.near)
  local numbers = { likeness = like, noise = near, likenesses = likes }
  local clear = lower >= math.ceil(8 / 9 * #likes - 1e-9)
  local told = ("(similarity %.2f; to itself under faint noise %.2f)"):format(like,
                                                                              near)
  local short = ("another class: similarity %.2f (noise %.2f)"):format(like, near)
  if margin >= CLEAR and clear then
    return result("class", "pass", "Asked for another class it gives another map "
                  .. told .. ".", short, numbers)
  end
  if margin >= SLIGHT then
    return result("class", "weak", "Asked for another class it changes little " .. told
                  .. ".", short, numbers)
  end
  return result("class", "fail", ("Asked for another class this map hardly changes %s: "
    .. "it shows what is in the picture, not why %s."):format(told, s.name), short,
    numbers)
end


-- other weights -----------------------------------------------------------------------


---Networks with random upper layers, made once for all pictures of a call.
local function random_networks(s)
  local shared = s.o.shared
  if not shared.networks then
    local below = scored.layer(s.run, s.again.score, s.again.modifiers)
    local names, list = copies.upper(s.run.net, below), {}
    for seed = 1, #names > 0 and 2 or 0 do
      list[seed] = copies.random_top(s.run.net, names, #names, s.o.seed + seed)
    end
    shared.networks, shared.upto = list, #names
  end
  return shared.networks
end


---Does the map depend on what the upper layers learned?
function M.weights(s)
  local likes = {}
  for k, net in ipairs(random_networks(s)) do
    local other = s.again:maps(s.x, 1, { net = net })[1]
    likes[k] = alike.of("ssim", s.own, alike.plane(other))
  end
  if #likes == 0 then
    return result("weights", "unjudged", "The network has no weights to draw anew.",
                  "other weights: not asked")
  end
  local like, near = median(likes), median(s.near)
  local numbers = { likeness = like, noise = near, layers = s.o.shared.upto }
  local told = ("on what the upper layers learned (similarity %.2f with their weights "
    .. "redrawn; under faint noise %.2f)."):format(like, near)
  local short = ("other weights: similarity %.2f (noise %.2f)"):format(like, near)
  if like >= near - SAME then
    return result("weights", "fail", "Does not depend " .. told, short, numbers)
  end
  return result("weights", "pass", "Depends " .. told, short, numbers)
end


-- noise -------------------------------------------------------------------------------


---Is the map stable under faint noise?
function M.steady(s)
  local near, stays = median(s.near), median(s.overlap)
  local numbers = { likeness = near, overlap = stays }
  local short = ("faint noise: similarity %.2f, top tenth %.2f"):format(near, stays)
  if stays < STEADY then
    local text = ("Shaky: under faint noise %.0f %% of its brightest tenth moves "
      .. "(similarity %.2f)."):format(100 * (1 - stays), near)
    return result("steady", "weak", text, short, numbers)
  end
  return result("steady", "pass", ("Steady under faint noise (%.2f)."):format(near),
                short, numbers)
end


-- sums --------------------------------------------------------------------------------


---Of a map that should, does it sum to the score? How much did relu remove?
function M.sum(s)
  local story = s.o.story or {}
  if type(story.delta) == "table" then
    local delta = story.delta[s.o.image] or story.delta[1]
    local total = s.map:sum():item() - delta
    local share = math.abs(delta) / math.max(math.abs(total), 1e-30)
    local bad = share > 0.05
    local text = (bad and "Does not add up to the score's difference from the "
      .. "baseline: %.1f %% off." or "Adds up to the score's difference from the "
      .. "baseline, but for %.1f %%."):format(100 * share)
    return result("sum", bad and "weak" or "pass", text,
                  ("sum: off by %.1f %%"):format(100 * share), { error = share })
  end
  if type(story.negative_share) == "number" and story.negative_share > 0.5 then
    local text = ("%.0f %% of the map spoke against the class and was cut off (raw = "
      .. "true shows it)."):format(100 * story.negative_share)
    return result("sum", "weak", text,
                  ("against the class: %.0f %%"):format(100 * story.negative_share),
                  { negative_share = story.negative_share })
  end
  return nil -- promises nothing
end


---All checks, in order.
M.list = { M.class, M.weights, require "lunette.trust.pixels", M.steady, M.sum }


-- the network itself ------------------------------------------------------------------


---A note for a map of a class that the network does not predict.
---@param s lunette.TrustSubject
---@return lunette.TrustCheck?
function M.prediction(s)
  local ok, top = pcall(s.run.top, s.run, 1)
  local first = ok and top[1][1]
  if not s.class or not first or first.class == s.class then return nil end
  local p = first.probability
  local sure = p and (" (%.0f %%)"):format(100 * p) or ""
  return result("prediction", "weak", ("The network says %s%s; this map explains %s."
    ):format(first.name, sure, s.name), "the network says " .. first.name,
    { predicted = first.class })
end


---The only result for a map that is the same everywhere.
---@param s lunette.TrustSubject
---@return lunette.TrustCheck
function M.nothing(s)
  return result("map", "unjudged", ("Nothing here speaks for %s: the map is the same "
    .. "everywhere."):format(s.name), "the map is the same everywhere")
end


return M
