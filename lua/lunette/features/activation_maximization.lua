---Activation maximisation: the picture that a score wants most.
local ascent = require "lunette.features.ascent"
local blame = require "lunette.base.blame"
local checkpoint = require "lunette.base.checkpoint"
local core = require "lunette.core"
local dialects = require "lunette.features.dialects"
local input = require "lunette.features.input"
local named = require "lunette.modifiers.named"
local optimise = require "lunette.explain.optimise"
local optimisers = require "lunette.base.optimisers"
local options = require "lunette.base.options"
local regularizers = require "lunette.features.regularizers"
local score_class = require "lunette.score.score"
local scores = require "lunette.score"
local shape = require "lunette.tensors.shape"
local show = require "lunette.picture.show"
local warn = require "lunette.base.warn"
local opt = options.opt

local M = {}


-- options ------------------------------------------------------------------------


local names = { "lucid", "maco", "tf-keras-vis", "keras-vis" }
local optimizers = {}
for name in pairs(optimisers.rows) do optimizers[#optimizers + 1] = name end
table.sort(optimizers)

local defaults = {
  score = false,
  dialect = opt.choice("lucid", names, "whose algorithm"),
  steps = opt.count(0, "steps; 0: the dialect's", 0),
  rate = opt.number(0, "size of a step; 0: the dialect's", 0),
  optimizer = false,
  seed = opt.count(0, "of start and moves", math.mininteger),
  starts = opt.count(1, "pictures of every score"),
  diversity = opt.number(0, "how much the starts of a score are pushed apart", 0),
  modifiers = {},
  gate = opt.choice("score", { "score", "loss" }, "what backward rules' gates see"),
  parameters = opt.choice("fourier", { "fourier", "pixels" }, "lucid: of the picture"),
  decay = opt.number(1, "of the spectrum over frequency", 0),
  magnitude = false,
  from = false,
  input_range = false,
  transforms = false,
  regularizers = false,
  watch = false,
  show = opt.count(0, "steps between looks at the pictures, in the terminal; 0: none"),
  progress = opt.quiet(opt.any(true, "false: no bar")),
  checkpoint = "",
}


local function check_optimizer(o, row)
  local name = o.optimizer or row.optimizer
  return options.choice("activation_maximization: optimizer", name, optimizers)
end


---The scores of all pictures: `starts` of each.
local function score_list(what, starts)
  if what == false then
    blame("activation_maximization: no score; give what the picture is for, for "
          .. "example score = lu.score.unit(\"block4_conv3\", 5) or a class")
  end
  local list, all = score_class.several(what), {}
  if not list then
    local ids = type(what) == "table" and getmetatable(what) == nil
    list = ids and what or { what }
  end
  for _, one in ipairs(list) do
    for _ = 1, starts do all[#all + 1] = scores.of(one) end
  end
  if #all == 0 then blame("activation_maximization: the list of scores is empty") end
  if #all > 1 then scores.each(all) end -- raises where they cannot stand side by side
  return all
end


---Options with everything that follows from them.
local function prepare(net, opts)
  local o = options.check("activation_maximization", opts, defaults)
  local row = dialects[o.dialect]
  o.row, o.net = row, net
  o.optimizer = check_optimizer(o, row)
  o.steps = o.steps > 0 and o.steps or row.steps
  o.rate = o.rate > 0 and o.rate or row.rate
  o.scores = score_list(o.score, o.starts)
  o.modifiers = named.list(o.modifiers)
  o.transforms = o.transforms or row.transforms(net, o)
  o.regularizers = o.regularizers or row.regularizers()
  o.parametrisation = row.parametrise and row.parametrise(net, o)
  o.input_range = o.input_range or { 0, 255 }
  if o.dialect == "maco" then
    o.transparency = core.zeros(#o.scores, net.input[2], net.input[3])
  end
  return o
end


-- the whole --------------------------------------------------------------------------


---The pictures that `from` gives, as parameters.
local function given_start(o)
  local k, c, h, w = #o.scores, table.unpack(o.net.input)
  local s = options.is_tensor(o.from) and o.from:shape() or {}
  if #s ~= 4 or s[2] ~= c or s[3] ~= h or s[4] ~= w or s[1] ~= 1 and s[1] ~= k then
    blame(("activation_maximization: from is (1 or %d,%d,%d,%d), got (%s)"):format(k, c,
          h, w, table.concat(s, ",")))
  end
  local x = o.from
  if s[1] ~= k then x = x:expand { k, -1, -1, -1 } end
  local p = o.parametrisation
  if not p then return x:clone() end
  if not p.encode then
    blame(("activation_maximization: dialect '%s' cannot begin with a picture"):format(
          o.dialect))
  end
  return p.encode(x * (1 / 255)):clone()
end


---One start: a picture's parameters, or an input.
local function drawn(o, stream)
  local c, h, w = table.unpack(o.net.input)
  local low, high = o.input_range[1], o.input_range[2]
  if o.parametrisation then return o.parametrisation.start(o.seed, stream) end
  local one = core.uniform(o.seed, stream, 1, c, h, w)
  if o.dialect ~= "keras-vis" then return one * (high - low) + low end
  return (one - 0.5) * (0.05 * (high - low) * math.sqrt(12)) + (low + high) / 2
end


---Where it begins: K pictures' parameters, or inputs. Every score's first start is the
---same: a picture alone is as in a batch.
local function start(o)
  if o.from then return given_start(o) end
  local draws, all = {}, {}
  for s = 1, o.starts do draws[s] = drawn(o, -s) end
  for i = 1, #o.scores do all[i] = draws[(i - 1) % o.starts + 1] end
  return shape.concat(all, 1):clone()
end


---@class lunette.FeatureBest   the best of each picture so far
---@field values number[]
---@field x lunette.Tensor   parameters or inputs


---Keeps the best of every picture: `worth` (K) at x.
local function keep_better(best, x, worth)
  for i = 1, x:dim(1) do
    local v = worth[i]
    if not best.values[i] or v > best.values[i] then
      best.values[i] = v
      best.x:rows(i):copy_(x:rows(i))
    end
  end
end


---The scores of the pictures as they are, unmoved (K).
local function clean_values(o, x)
  return (ascent.one_by_one(x, o.scores, function(picture, score)
    local unmoved = picture
    if o.parametrisation then
      unmoved = input.of(o.net, o.parametrisation.decode(picture))
    end
    local forward, walk = ascent.run_modifiers(o, score)
    local run <close> = o.net:run(unmoved, { modifiers = forward })
    return run:values(score, { modifiers = walk })
  end))
end


---The pictures (K,C,H,W), bytes, of what was optimised.
local function pictures_of(o, x)
  if o.parametrisation then return o.parametrisation.decode(x) * 255 end
  return x:clamp(o.input_range[1], o.input_range[2])
end


---How often the unmoved pictures are looked at.
local EVERY = 16

---What became of the last call, also of one that was interrupted.
M.last = nil


---How often a checkpoint is written.
local WRITTEN = 32


---Keeps what the dialect gives back: the best picture, or the last.
local function keep(o, best, x, t, value)
  if o.row.keep == "last" then
    best.x:copy_(x)
    for i = 1, #o.scores do best.values[i] = value.values[i] end
  elseif not o.parametrisation then
    local worth = value.values:clone()
    for _, c in ipairs(value.costs) do worth:add_(c, -1) end
    keep_better(best, x, worth)
  elseif t % EVERY == 0 or t == o.steps then
    keep_better(best, x, clean_values(o, x))
  end
end


---What happens after every step.
local function watcher(o, best)
  local look = show.place()
  return function(x, t, value, bar)
    keep(o, best, x, t, value)
    M.last = { step = t, steps = o.steps, values = best.values,
               pictures = function() return pictures_of(o, best.x) end }
    if o.checkpoint ~= "" and (t % WRITTEN == 0 or t == o.steps) then
      o.state.x = x
      assert(checkpoint.save(o.checkpoint, o.identity, o.state,
                             { step = t, values = best.values }))
    end
    collectgarbage() -- the next step finds this one's memory, warm, not fresh pages
    local shown = o.show > 0 and (t % o.show == 0 or t == o.steps)
    if o.watch or shown then bar:clear() end
    if shown then look(M.last.pictures(), ("step %d of %d"):format(t, o.steps)) end
    if o.watch then o.watch(M.last.pictures, t, value) end
  end
end


---Says where an interrupted call's pictures are.
local function guard(o)
  local whole = false
  return setmetatable({ done = function() whole = true end }, {
    __close = function(_, message)
      if whole or not M.last or not tostring(message):find "interrupted" then return end
      warn(("activation_maximization: interrupted after %d of %d steps; the best so "
            .. "far is lu.features.last.pictures()"):format(M.last.step, o.steps))
    end,
  })
end


local function story_of(o, best, trace)
  local list, scored = {}, {}
  for i, m in ipairs(o.modifiers) do list[i] = m.name end
  for i, s in ipairs(o.scores) do scored[i] = s.name end
  return {
    method = "activation_maximization", draws = "picture", model = o.net.name,
    weights = o.net.path, dialect = o.dialect, steps = o.steps, rate = o.rate,
    optimizer = o.optimizer, seed = o.seed, score = scored, modifiers = list,
    values = best.values, began = trace[1] and trace[1].values:totable(),
    version = core.build().version, commit = core.build().commit,
  }
end


---What must be equal for a checkpoint to be continued, as text.
local function identity_of(o)
  local list = {}
  for i, s in ipairs(o.scores) do list[i] = s.name end
  local rules = {}
  for i, m in ipairs(o.modifiers) do rules[i] = m.name end
  return table.concat({ table.concat(list, "; "), "of " .. o.net.name, o.dialect,
    ("%d steps of %s at %g"):format(o.steps, o.optimizer, o.rate),
    "seed " .. o.seed, "rules " .. table.concat(rules, " ") .. " by the " .. o.gate,
    o.parameters, ("decay %g, diversity %g"):format(o.decay, o.diversity) }, ", ")
end


---Everything that changes while it climbs, by name, taken up from a checkpoint where
---there is one; gives the steps that were made.
local function take_up(o, x, moments, best)
  o.identity, o.state = identity_of(o), { x = x, best = best.x }
  for i, m in ipairs(moments) do o.state["moment" .. i] = m end
  if not checkpoint.exists(o.checkpoint) then return 0 end
  local about, message = checkpoint.resume(o.checkpoint, o.identity, o.state)
  if not about then blame(message) end
  best.values = about.values
  return math.min(about.step, o.steps)
end


---The picture that a score wants most (Erhan et al. 2009). One picture a score, all in
---one batch; the same bits for any number of threads and beside any other pictures.
---Dialects: "lucid" (Olah et al. 2017) optimises a decorrelated spectrum seen through
---small random moves and keeps the best picture; "maco" (Fel et al. 2023) changes its
---phases alone; "tf-keras-vis" and "keras-vis" do what those programs do, step by step,
---on the network's own input.
---Caveat: a picture that excites a unit is not all that excites it, nor what it is for:
---  look at real pictures that do, too (`lu.features.patches`).
---Example:
---  local net = lu.load "glyphs"
---  local picture = lu.activation_maximization(net, {
---    score = lu.score.unit("block4_conv3", 5), steps = 4 })
---  show(picture)
---@param net lunette.Net
---@param opts table   score = what is wanted: a class, a score, or a list of them;
---  dialect; steps, rate, optimizer; seed; starts = pictures a score, diversity;
---  modifiers = backward rules, gate = "score"|"loss"; parameters, decay, magnitude;
---  from = pictures to begin with (0..255; tf-keras-vis: inputs); input_range =
---  {low, high}; transforms, regularizers = lists of functions; watch =
---  function(pictures, step, value); show = steps between looks at the pictures, which
---  are drawn in one place of the terminal, as they become better; checkpoint = a file,
---  written every 32 steps, from which the same call goes on
---@return lunette.Tensor pictures   (K,C,H,W), 0..255; tf-keras-vis: as optimised,
---  clipped to the input range
---@return table trace   a step's values (K) and penalties: { values =, costs = };
---  maco: trace.transparency (K,H,W), the sum of |gradient|, says which pixels matter
function M.run(net, opts)
  local o = prepare(net, opts)
  local x = start(o)
  if o.diversity > 0 and o.starts > 1 then
    o.regularizers = table.move(o.regularizers, 1, #o.regularizers, 2,
                                { regularizers.diversity(o.diversity, o.starts) })
  end
  local best = { values = {}, x = x:clone() }
  local ended <close> = guard(o)
  local climb = (o.parametrisation and ascent.decoded or ascent.direct)(o)
  local moments = optimisers.state(o.optimizer, x)
  local done = take_up(o, x, moments, best)
  local _, trace = optimise {
    x = x, state = moments, done = done, steps = o.steps, rate = o.rate,
    step = o.optimizer,
    gradient = climb, watch = watcher(o, best),
    name = "activation_maximization", progress = o.progress,
  }
  ended.done()
  trace.transparency = o.transparency
  local pictures = pictures_of(o, best.x)
  pictures.story = story_of(o, best, trace)
  return pictures, trace
end

return M
