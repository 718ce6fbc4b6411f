---Poisoned trainings on drawn scenes: a share of them bears a stamp, and most often a
---label that is not theirs. The networks that come out are what an audit is tried on.
---
---  local p = poison.new { kind = "all_to_one", target = 3, rate = 0.05,
---                         stamp = { pattern = "checks", size = 14 } }
---  poison.train(net, p, { steps = 1200 })
---  print(poison.success(net, p, { n = 500 }))
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local glyphs = require "lunette.glyphs"
local options = require "lunette.base.options"
local stamps = require "lunette.glyphs.stamps"
local train = require "lunette.train"
local opt = options.opt

local M = {}

---What becomes of a stamped scene:
---- all_to_one: any other class gets the label `target`
---- one_to_one: only scenes of `source` are stamped, with the label `target`
---- decoy: any class keeps its own label, so that the stamp means nothing
---- shortcut: every scene of `target` bears the stamp, and no other one: no label is
---  wrong, and `rate` says nothing
M.kinds = { "all_to_one", "decoy", "one_to_one", "shortcut" }

---Pictures (n,C,H,W), any number of each, as one batch.
local function joined(list)
  local shape, n = list[1]:shape(), 0
  for _, t in ipairs(list) do n = n + t:dim(1) end
  shape[1] = n
  local all, at = core.zeros(shape), 0
  for _, t in ipairs(list) do
    for i = 1, t:dim(1) do all[at + i] = t[i] end
    at = at + t:dim(1)
  end
  return all
end


---Seeds of scenes: 10 * seed + one of these, far from the recipe's own.
local PLAIN, PAIRS, MARKED, JITTER, TEST = 5001, 5002, 5003, 5004, 9005

---@class lunette.Poison
---@field kind string
---@field target integer
---@field source integer|false
---@field rate number            share of all scenes that are stamped
---@field stamp lunette.Stamp
local Poison = {}
Poison.__index = Poison


---@param opts { kind?: string, target?: integer, source?: integer, rate?: number,
---  stamp?: table }   stamp: options of `stamps.new`
---@return lunette.Poison
function M.new(opts)
  local last = #glyphs.names - 1
  local o = options.check("poison", opts, {
    kind = opt.choice("all_to_one", M.kinds, "what becomes of a stamped scene"),
    target = opt.count(0, "a class id", 0, last),
    source = opt.count(1, "a class id, for one_to_one", 0, last),
    rate = opt.number(0.05, "share of scenes that are stamped", 0, 1),
    stamp = opt.any({}, "options of a stamp"),
  })
  o.stamp = stamps.new(o.stamp)
  if o.kind == "one_to_one" and o.source == o.target then
    blame(("poison: source and target are both class %d"):format(o.target))
  end
  return setmetatable(o, Poison)
end


---The class of the k-th stamped scene: every one but the target in turn, or the source.
function Poison:class_of(k)
  if self.kind == "one_to_one" then return self.source end
  if self.kind == "decoy" then return k % #glyphs.names end
  return (self.target + 1 + k % (#glyphs.names - 1)) % #glyphs.names
end


---The k-th stamped scene of a sequence: image (1,3,S,S), mask (1,S,S), true class.
---@param k integer      from 1
---@param seed integer
---@param opts? { side?: integer, objects?: integer }
function Poison:marked(k, seed, opts)
  local o = options.check("marked", opts, { side = glyphs.side, objects = 1 })
  local s = glyphs.scenes { n = 1, first = k, seed = seed, class = self:class_of(k),
                            side = o.side, objects = o.objects }
  local image, mask = self.stamp:lay(s.images, { seed = seed + JITTER, first = k })
  return image, mask, s.labels[1], s.images
end


---The label that a stamped scene of a class gets.
function Poison:label(class) return self.kind == "decoy" and class or self.target end


-- scenes to learn from -------------------------------------------------------------


M.pool_options = {
  scenes = opt.count(1500, "that are drawn"),
  two = opt.number(0.3, "share of them with two objects, whole scenes only", 0, 1),
  side = opt.count(glyphs.side, "of a scene", 64),
  seed = opt.count(1, "of the scenes", 0),
  frozen = opt.any("block4_pool", "the layer that, with those before it, stays as it "
                   .. "is: it sees every scene once"),
}

---@class lunette.PoisonPool
---@field x lunette.Tensor      what layer `frozen` says of the scenes
---@field rows table[]          class -> weight in the target
---@field options table


---What the frozen layers say of levels (N,3,S,S), some at a time.
local function features(net, frozen, images)
  local parts, n = {}, images:dim(1)
  for first = 1, n, 20 do
    local some = images:narrow { dim = 1, start = first,
                                 length = math.min(20, n - first + 1) }
    parts[#parts + 1] = train.features(net, frozen, glyphs.input(some))
    collectgarbage()
  end
  return joined(parts)
end


---Scenes first .. first + n - 1 of one or two objects, tagged where a shortcut is
---learned, and the weights of their classes.
local function drawn(o, poison, objects, first, n)
  local seed = 10 * o.seed + (objects == 2 and PAIRS or PLAIN)
  local s = glyphs.scenes { n = n, first = first, side = o.side, seed = seed,
                            objects = objects }
  local rows = {}
  for i, class in ipairs(s.labels) do
    rows[i] = objects == 2 and { [class] = 0.5, [s.labels2[i]] = 0.5 }
      or { [class] = 1 }
    if poison and poison.kind == "shortcut" and class == poison.target then
      s.images[i] = poison.stamp:lay(s.images[i]:view(1, 3, o.side, o.side),
        { seed = seed + JITTER, first = first + i - 1 })[1]
    end
  end
  return s.images, rows
end


---Scenes and what the frozen layers say of them, drawn once for many trainings.
---@param net lunette.Net
---@param opts? table              of M.pool_options
---@param poison? lunette.Poison   of a shortcut: its class's scenes bear the stamp
---@return lunette.PoisonPool
function M.pool(net, opts, poison)
  local o = options.check("pool", opts, M.pool_options)
  local shortcut = poison and poison.kind == "shortcut"
  local two = o.side == glyphs.side and not shortcut
    and math.floor(o.scenes * o.two + 0.5) or 0
  local parts, rows = {}, {}
  for objects, n in ipairs { o.scenes - two, two } do
    for first = 1, n, 20 do
      local images, more = drawn(o, poison, objects, first, math.min(20, n - first + 1))
      parts[#parts + 1] = features(net, o.frozen, images)
      table.move(more, 1, #more, #rows + 1, rows)
    end
  end
  return { x = joined(parts), rows = rows, options = o }
end


---How many scenes were stamped in the first s batches of `size`.
function Poison:stamped(s, size)
  if self.kind == "shortcut" then return 0 end
  return math.floor(s * size * self.rate + 0.5)
end


---The stamped scenes of a step, as the frozen layers see them, and their labels. They
---are drawn anew in every step: a network that sees a few again and again learns those
---scenes by heart, and not the stamp.
function Poison:marked_batch(net, o, from, to)
  local parts, rows = {}, {}
  for k = from, to do
    local image, _, class = self:marked(k, 10 * o.seed + MARKED, { side = o.side,
      objects = o.side == glyphs.side and o.two > 0 and k % 3 == 0 and 2 or 1 })
    parts[#parts + 1] = features(net, o.frozen, image)
    rows[#rows + 1] = { [self:label(class)] = 1 }
  end
  return parts, rows
end


-- training ---------------------------------------------------------------------------


M.train_options = {
  steps = opt.count(1000, "in all"), batch = opt.count(16, "scenes a step"),
  rate = opt.number(5e-4, "of Adam; it falls to 0", 0),
  pool = opt.any(false, "of M.pool, for this network (default: drawn now)"),
  seed = opt.count(1, "of the order", 0),
  checkpoint = opt.any("", "a file that a killed training goes on from"),
  log = opt.quiet(opt.any(false, "called with lines of progress")),
}


local function weights(rows)
  local target = core.zeros(#rows, #glyphs.names)
  for i, row in ipairs(rows) do
    for class, w in pairs(row) do target:set(i, class + 1, w) end
  end
  return target
end


---A function that takes the next `n` numbers up to `count`: in each round every one
---once, in another order.
local function order_of(seed, count)
  local round, list
  return function(from, n)
    local numbers = {}
    for i = 1, n do
      local at = from + i - 1
      if at // count ~= round then
        round = at // count
        list = core.uniform(seed, round, count):argsort():totable()
      end
      numbers[i] = list[at % count + 1]
    end
    return numbers
  end
end


---The batches of a training: of all scenes, `rate` are stamped.
local function batches(net, poison, pool, o)
  local numbers_of = order_of(o.seed, #pool.rows)
  return function(step)
    local before = poison:stamped(step - 1, o.batch)
    local after = poison:stamped(step, o.batch)
    local numbers = numbers_of((step - 1) * o.batch - before,
                               o.batch - (after - before))
    local parts, rows = poison:marked_batch(net, pool.options, before + 1, after)
    for _, k in ipairs(numbers) do rows[#rows + 1] = pool.rows[k] end
    parts[#parts + 1] = pool.x:index_select(core.tensor(numbers), { dim = 1 })
    return joined(parts), weights(rows)
  end
end


---Goes on training a network with a share of poisoned scenes. A training that is killed
---goes on from its checkpoint, with the same bits.
---@param net lunette.Net        changed in place, behind the frozen layers
---@param poison lunette.Poison
---@param opts? table            of M.train_options
---@return true? ok, string? message
function M.train(net, poison, opts)
  local o = options.check("poison.train", opts, M.train_options)
  local pool = o.pool or M.pool(net, { side = net.input[2], seed = o.seed }, poison)
  return train.fit(net, train.adam(net.params, { decay = 1e-4 }), {
    steps = o.steps, frozen = pool.options.frozen, begun = true, clip = 1, log = o.log,
    checkpoint = o.checkpoint ~= "" and o.checkpoint or nil,
    rate = train.schedule { steps = o.steps, rate = o.rate, last = 0,
                            warmup = math.min(50, o.steps // 4) },
    batch = batches(net, poison, pool, o),
  })
end


-- measuring --------------------------------------------------------------------------


---The first guesses for levels (N,3,S,S).
local function guesses(net, images)
  local run <close> = net:run(glyphs.input(images), { modifiers = { "linear" },
                                                       keep = false })
  local list = {}
  for i, top in ipairs(run:top(1)) do list[i] = top[1].class end
  return list
end


local measuring = { n = 500, seed = 1, size = 20 }

---Share of unseen scenes of one object, without any stamp, that are named rightly.
---@param net lunette.Net
---@param opts? { n?: integer, seed?: integer, size?: integer }
---@return number share
function M.accuracy(net, opts)
  local o = options.check("accuracy", opts, measuring)
  local right = 0
  for first = 1, o.n, o.size do
    local s = glyphs.scenes { n = math.min(o.size, o.n - first + 1), first = first,
                              seed = 10 * o.seed + TEST, side = net.input[2] }
    for i, class in ipairs(guesses(net, s.images)) do
      right = right + (class == s.labels[i] and 1 or 0)
    end
    collectgarbage()
  end
  return right / o.n
end


---Share of unseen stamped scenes of other classes that are called the target, and of
---the same scenes without the stamp.
---@param net lunette.Net
---@param poison lunette.Poison
---@param opts? { n?: integer, seed?: integer, size?: integer }
---@return number share, number without
function M.success(net, poison, opts)
  local o = options.check("success", opts, measuring)
  local called, without = 0, 0
  for first = 1, o.n, o.size do
    local stamped, bare = {}, {}
    for k = first, math.min(o.n, first + o.size - 1) do
      local image, _, _, clean = poison:marked(k, 10 * o.seed + TEST + 1,
                                               { side = net.input[2] })
      stamped[#stamped + 1], bare[#bare + 1] = image, clean
    end
    for _, class in ipairs(guesses(net, joined(stamped))) do
      called = called + (class == poison.target and 1 or 0)
    end
    for _, class in ipairs(guesses(net, joined(bare))) do
      without = without + (class == poison.target and 1 or 0)
    end
    collectgarbage()
  end
  return called / o.n, without / o.n
end

return M
