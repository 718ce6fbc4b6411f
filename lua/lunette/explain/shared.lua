---Options that many methods have. A method's row names those that it takes; a score
---brings those of several maps, and work that is long (it has `progress`) those of
---memory and checkpoints.
local opt = require("lunette.base.options").opt

local M = {}


---By name, as rows ask for them.
M.named = {
  score = opt.score("predicted", "class id or name, predicted, or a score"),
  modifiers = opt.any({}, "backward rules and linear: names or modifiers", function(v)
    return v == false and "a list of names or modifiers" or nil
  end),
  normalize = opt.flag(true, "min-max per image"),
  progress = opt.quiet(opt.any(true, "false: no bar; or a function(done, total)")),
  batch = opt.quiet(opt.count(6, "copies at a time")),
  seed = opt.count(0, "of the random numbers", math.mininteger),
}


---Of every method with a score: several maps of one run (see several.lua).
M.several = {
  classes = opt.any(false, "several classes, names or scores, a map each: one forward"),
  top = opt.count(0, "a map for each of the so many most probable classes", 0),
}


---Of methods whose work is long (see work.lua).
M.work = {
  memory = opt.quiet(opt.any(false, '"1G", "300M" or bytes: tensors at a '
    .. "time, however many copies; the mapped file of weights comes on top", function(v)
    local bytes = require("lunette.explain.ceiling").bytes
    return v and not bytes(v) and 'a size such as "1G" or "300M"' or nil
  end)),
  checkpoint = opt.quiet(opt.any("", "a file from which an interrupted call goes on",
    function(v) return type(v) ~= "string" and "a file's name" or nil end)),
}

return M
