---Several maps of one run: classes or scores of the caller's, or the most probable
---classes. One forward, also of every copy that is made of the pictures (see work.lua);
---and where the method asks the run itself for gradients, one batched backward pass.
local blame = require "lunette.base.blame"

local core = require "lunette.core"
local scored = require "lunette.net.scored"
local scores = require "lunette.score"
local work = require "lunette.explain.work"

local M = {}


-- which scores ----------------------------------------------------------------------

---The most probable classes: score k is of the k-th of every picture.
local function of_top(run, top)
  local list, ranks = {}, run:top(top)
  for k = 1, #ranks[1] do
    local ids = {}
    for i, rank in ipairs(ranks) do ids[i] = rank[k].class end
    list[k] = scores.resolve(ids, run)
  end
  return list
end


---"8, crane" as a list.
local function words_of(text)
  local list = {}
  for word in text:gmatch "[^,]+" do list[#list + 1] = word:match "^%s*(.-)%s*$" end
  return list
end


---The scores of a call that wants several maps; nil: one.
---@param row lunette.Method
---@param run lunette.Run
---@param o table
---@return lunette.Score[]?
function M.scores(row, run, o)
  if not row.options.score or not o.classes and o.top == 0 then return nil end
  if o.given.score ~= nil or o.classes and o.top > 0 then
    blame(row.name .. ": give one of score, classes and top")
  end
  if not o.classes then return of_top(run, o.top) end
  local what, list = o.classes, {}
  if type(what) == "string" then what = words_of(what) end
  if type(what) ~= "table" or #what == 0 then
    blame(row.name .. ": classes is a list of classes or scores: { 8, \"crane\" }")
  end
  for k, one in ipairs(what) do list[k] = scores.resolve(one, run) end
  return list
end


-- one backward pass -----------------------------------------------------------------

---Do all scores look at one layer? Only then one batched backward pass serves them.
local function of_one_layer(list)
  for _, score in ipairs(list) do
    if score.layer ~= list[1].layer or score.output ~= list[1].output then
      return false
    end
  end
  return true
end


local function same_list(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if #a ~= #b then return false end
  for i, v in ipairs(a) do
    if v ~= b[i] then return false end
  end
  return true
end


---Are two sets of options of run:gradient equal but for the score?
local function same_question(a, b)
  return same_list(a.wrt, b.wrt) and same_list(a.modifiers, b.modifiers)
    and a.exact == b.exact and a.reduce == b.reduce
end


---All scores' gradients for these options of run:gradient: remembered ones, or those of
---one batched pass.
local function answer(known, run, gradient, list, opts)
  for _, entry in ipairs(known) do
    if same_question(entry.opts, opts) then return entry.grads end
  end
  local all = { wrt = opts.wrt, modifiers = opts.modifiers, exact = opts.exact,
                reduce = opts.reduce, scores = list }
  local grads = { gradient(run, all) }
  known[#known + 1] = { opts = all, grads = grads } -- a copy: callers reuse theirs
  return grads
end


---One backward pass for all: while it is open, the first gradient that is asked of the
---run for one of the scores is computed for all of them at once, and the others are
---answered from it.
---@return table   close it: the run is as it was
local function together(run, list)
  local place, known, n = {}, {}, run:count()
  for k, score in ipairs(list) do place[score] = k end
  local gradient = run.gradient
  if #list > 1 and of_one_layer(list) then
    rawset(run, "gradient", function(self, opts)
      local k = type(opts) == "table" and not opts.scores and place[opts.score]
      if not k then return gradient(self, opts) end
      local mine = {}
      for i, g in ipairs(answer(known, self, gradient, list, opts)) do
        mine[i] = g:rows((k - 1) * n + 1, k * n):clone()
      end
      return table.unpack(mine)
    end)
  end
  return setmetatable({}, { __close = function() rawset(run, "gradient", nil) end })
end


-- maps ------------------------------------------------------------------------------

---A fact that is equal for all scores is told once, any other as a list, one a score.
local function merged(facts, count)
  for key, list in pairs(facts) do
    local same = type(list[1]) ~= "table"
    for k = 2, count do same = same and list[k] == list[1] end
    if same then facts[key] = list[1] end
  end
  return facts
end


---Values of all scores' maps, score after score: (K*N, ...).
---@param row lunette.Method
---@param run lunette.Run
---@param o table
---@return lunette.Tensor, table facts
function M.explain(row, run, o)
  local all, facts = {}, {}
  local _ <close> = together(run, o.scores)
  for k, score in ipairs(o.scores) do
    local own = setmetatable({ score = score }, { __index = o })
    local said
    work.turn(run, k)
    all[k], said = row.explain(run, own)
    o.raw, o.changed = own.raw, own.changed
    for key, value in pairs(said or {}) do
      facts[key] = facts[key] or {}
      facts[key][k] = value
    end
  end
  local shape = all[1]:shape()
  local n = shape[1]
  shape[1] = n * #all
  local stack = core.zeros(shape)
  for k, raw in ipairs(all) do stack:rows((k - 1) * n + 1, k * n):copy_(raw) end
  return stack, merged(facts, #all)
end


---Says whose maps they are: `score`, one a score; `output`, one a score where they look
---at several; `classes`, one a map, as far as scores are of classes; `maps`, how many a
---picture.
---@param run lunette.Run
---@param o table
---@param story table
function M.tell(run, o, story)
  story.score, story.classes, story.maps = {}, {}, #o.scores
  story.output = {}
  for k, score in ipairs(o.scores) do
    story.score[k], story.output[k] = score.name, scored.output(run, score).name
    local ids = scored.ids(run, score, o.modifiers or {}) or {}
    for i = 1, run:count() do
      story.classes[#story.classes + 1] = ids[i] or false
    end
  end
  story.output = merged({ output = story.output }, #o.scores).output
end

return M
