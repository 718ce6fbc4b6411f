---What the long loops of one call share: the scores that are asked for together, which
---one forward serves; what is known already, from a checkpoint; the ceiling of memory.
---A loop asks for its part by `work.loop`, fills it image by image, and says `tick`
---after every batch. A second score of the same call finds the loop's numbers there.
local blame = require "lunette.base.blame"
local brief = require("lunette.base.text").brief
local ceilings = require "lunette.explain.ceiling"
local checkpoint = require "lunette.base.checkpoint"
local core = require "lunette.core"
local fingerprint = require "lunette.explain.fingerprint"
local options = require "lunette.base.options"
local progress = require "lunette.base.progress"
local scores = require "lunette.score"
local warn = require "lunette.base.warn"

local M = {}

local EVERY = 5 -- seconds from one checkpoint to the next

local calls = setmetatable({}, { __mode = "k" }) -- run -> the call at work on it


-- what decides the numbers ----------------------------------------------------------


---A value of an option, as far as it can be told from others.
local function told(value)
  if options.is_tensor(value) then return fingerprint.digest(value) end
  if type(value) == "function" then return "function" end
  if type(value) ~= "table" then return brief(value) end
  if value.name then return tostring(value.name) end
  local keys, list = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do
    list[i] = ("%s=%s"):format(tostring(key), told(value[key]))
  end
  return "{" .. table.concat(list, " ") .. "}"
end


---Everything that decides a call's numbers, in words.
local function identity_of(run, row, o, list)
  local names, words = {}, { row.name }
  for key, option in pairs(row.options) do
    local apart = option.effect == false or option.type == "score" or key == "classes"
      or key == "top"
    if not apart and o[key] ~= nil then names[#names + 1] = key end
  end
  table.sort(names)
  for _, key in ipairs(names) do words[#words + 1] = key .. " " .. told(o[key]) end
  for _, score in ipairs(list) do
    words[#words + 1] = score.name .. " " .. told(score.classes)
  end
  words[#words + 1] = ("of %s %s, pictures %s"):format(run.net.name,
    fingerprint.of(run.net), fingerprint.digest(run.images))
  return table.concat(words, ", ")
end


-- tables of tensors and numbers as flat ones, and back -------------------------------


local function flatten(value, name, tensors, numbers)
  if options.is_tensor(value) then
    tensors[name] = value
  elseif type(value) == "table" then
    for key, v in pairs(value) do flatten(v, name .. "/" .. key, tensors, numbers) end
  else
    numbers[name] = value
  end
end


---Puts a value into tables within `root`; false where its name leads through a value.
local function put(root, name, value)
  local at, last = root, nil
  for key in name:gmatch "[^/]+" do
    key = key:find "^%d+$" and math.tointeger(tonumber(key)) or key
    if last then
      at[last] = at[last] or {}
      at = at[last]
      if type(at) ~= "table" then return false end
    end
    last = key
  end
  if last == nil or type(at[last]) == "table" then return false end
  at[last] = value
  return true
end


-- calls ------------------------------------------------------------------------------


---@class lunette.Work
---@field scores lunette.Score[]   one a map
---@field k integer                which of them is explained now
---@field begun integer            loops that were begun for it
---@field loops table<integer|string, lunette.Loop>   by number; those of one score
---  alone by score and number
---@field found table              states of a checkpoint, by loop
---@field made any[]               runs and tensors that all scores share
---@field asked integer            how many of them this score has asked for
---@field path string              of the checkpoint; "": none
---@field ceiling? integer         bytes
local Work = {}
Work.__index = Work


---Writes the checkpoint. Not while a batch is half added: the earlier checkpoint is
---valid then, the present state is not.
local function save(work)
  local all, tensors, numbers = {}, {}, {}
  for n, loop in pairs(work.loops) do
    if loop.adding then return true end
    if loop.writes then loop.writes() end
    all[n] = loop.state
  end
  flatten(all, "", tensors, numbers)
  work.saved = core.clock()
  return checkpoint.save(work.path, work.identity, tensors, { numbers = numbers })
end


---Takes up what a checkpoint holds.
local function take_up(work)
  local tensors, about = checkpoint.load(work.path, work.identity)
  if not tensors then blame(about) end
  local root, whole = {}, type(about.numbers) == "table"
  for _, values in ipairs(whole and { about.numbers, tensors } or {}) do
    for name, value in pairs(values) do whole = whole and put(root, name, value) end
  end
  if not whole then
    blame(work.path .. " is no whole checkpoint: remove the file to begin anew")
  end
  work.found = root
end


---Ends the call, whether it succeeded or failed: writes what was computed to its
---checkpoint, if it has one.
function Work:__close(failed)
  calls[self.run] = nil
  core.memory_ceiling(self.ceiling_before)
  for _, made in ipairs(self.made) do made:release() end
  if self.path == "" or not next(self.loops) then return end
  local ok, message = save(self)
  if not ok and failed then warn(message) end
  if not ok and not failed then blame(message) end
end


local inner = setmetatable({}, { __close = function() end })

---Begins a call. A method that calls another one on the same run shares its own.
---@param run lunette.Run
---@param row lunette.Method
---@param o table   its options; `scores` where several maps are wanted
---@return table     close it
function M.open(run, row, o)
  if calls[run] then return inner end
  local work = setmetatable({ run = run, scores = o.scores or { o.score }, k = 1,
    begun = 0, loops = {}, found = {}, made = {}, asked = 0, path = o.checkpoint or "",
    ceiling = o.memory and ceilings.bytes(o.memory) or nil,
    saved = core.clock() }, Work)
  if work.path ~= "" then
    local list = {}
    for i, score in ipairs(work.scores) do list[i] = scores.resolve(score, run) end
    work.identity = identity_of(run, row, o, list)
    if checkpoint.exists(work.path) then take_up(work) end
  end
  work.ceiling_before = core.memory_ceiling(work.ceiling)
  calls[run] = work
  return work
end


---From now on the k-th of the call's scores is explained.
---@param run lunette.Run
---@param k integer
function M.turn(run, k)
  local work = calls[run]
  work.k, work.begun, work.asked = k, 0, 0
end


---Which of the call's scores is explained now.
---@param run lunette.Run
---@return integer
function M.current(run) return calls[run] and calls[run].k or 1 end


---A run or tensor that is the same whatever the score: made for the call's first score,
---found by the others, released with the call.
---@generic T
---@param run lunette.Run
---@param make fun(): T
---@return T
---@return T? ours   to be closed by the caller: there is no call
function M.once(run, make)
  local work = calls[run]
  if not work then
    local made = make()
    return made, made
  end
  work.asked = work.asked + 1
  work.made[work.asked] = work.made[work.asked] or make()
  return work.made[work.asked]
end


-- loops ------------------------------------------------------------------------------


---@class lunette.Loop
---@field scores (lunette.Score|false)[]   resolved: all that the loop is about
---@field k integer       which of them is asked for now
---@field state table     image -> what is known of it, tensors and numbers in tables
---@field writes? fun()    brings `state` up to date before it is saved
---@field work? lunette.Work
local Loop = {}
Loop.__index = Loop


local function new_loop(run, spec, list, work, n)
  local loop = setmetatable({ name = spec.name, work = work, k = 1, scores = {},
                              state = work and work.found[n] or {} }, Loop)
  for i, score in ipairs(list) do
    score = score and scores.resolve(score, run)
    loop.scores[i] = score and spec.wrap and spec.wrap(score) or score
  end
  return loop
end


---The loop for a score: one that serves all scores of the call where it is one of them,
---else one for that score alone.
---@param run lunette.Run
---@param spec { name?: string, score?: lunette.Score, wrap?: function,
---  alone?: boolean }   wrap: makes of a score the one that is asked; alone: which
---  copies are made depends on the score, so that others cannot share them
---@return lunette.Loop
function M.loop(run, spec)
  local work = calls[run]
  local score = spec.score and scores.of(spec.score) or false
  if not work or score ~= work.scores[work.k] then
    return new_loop(run, spec, { score })
  end
  work.begun = work.begun + 1
  local n, list = work.begun, work.scores
  if spec.alone then n, list = ("%d.%d"):format(work.k, n), { score } end
  work.loops[n] = work.loops[n] or new_loop(run, spec, list, work, n)
  if work.loops[n].name ~= spec.name then return new_loop(run, spec, { score }) end
  work.loops[n].k = spec.alone and 1 or work.k
  return work.loops[n]
end


---What is known of image i, begun by `make` where nothing is.
---@param i integer
---@param make fun(): table
---@return table
function Loop:of(i, make)
  self.state[i] = self.state[i] or make()
  return self.state[i]
end


---The scores of image i alone.
---@param i integer
---@return (lunette.Score|false)[]
function Loop:take(i)
  local list = {}
  for k, score in ipairs(self.scores) do list[k] = score and score:take(i) end
  return list
end


---Copies at a time, below the call's ceiling.
---@param most integer
---@return lunette.Ceiling
function Loop:batches(most)
  return ceilings.new(self.work and self.work.ceiling, most, self.name or "copies")
end


---A function of one copy at a time, such as a climb's gradient, that keeps the ceiling.
---@generic F: function
---@param f F
---@return F
function Loop:measured(f)
  local batches = self:batches(1)
  return function(...)
    batches:size(1)
    local a, b = f(...)
    batches:done(1)
    return a, b
  end
end


---A progress bar for the copies of images first .. last that are not computed yet.
---@param spec { name?: string, progress?: any }
---@param first integer
---@param last integer
---@param count fun(i: integer): integer   copies of image i
---@return lunette.Progress
function Loop:progress(spec, first, last, count)
  local left = 0
  for i = first, last do
    local known = self.state[i]
    left = left + count(i) - (known and known.done or 0)
  end
  return progress.start(spec.name or self.name or "copies", left, spec.progress)
end


---A batch's values are being added to what is known: until it is done, the state is
---that of no number of copies, and is not written down.
function Loop:begin() self.adding = true end


---Computes copies of an image in batches below the ceiling, until `upto` of them are
---done.
---@param known { done: integer }   of Loop:of
---@param upto integer
---@param count integer             copies that there are
---@param o { ceiling: lunette.Ceiling, bar: lunette.Progress }
---@param compute fun(first: integer, k: integer)   copies first .. first + k - 1
function Loop:fill(known, upto, count, o, compute)
  while known.done < upto do
    local first, k = known.done + 1, o.ceiling:size(count - known.done)
    compute(first, k)
    known.done = known.done + k
    self.adding = nil
    o.ceiling:done(k)
    self:tick()
    o.bar:add(k)
  end
end


---A batch is done: now and then that is written down.
function Loop:tick()
  local work = self.work
  if not work or work.path == "" or core.clock() - work.saved < EVERY then return end
  assert(save(work))
end

return M
