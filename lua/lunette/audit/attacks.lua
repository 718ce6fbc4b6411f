---How easily labels and maps are moved: the attacks of `lu.attack`, each beside its
---control, on the pictures of an audit.
local alike = require "lunette.explain.alike"
local attack = require "lunette.attack"
local evidence = require "lunette.audit.evidence"

local M = {}

---@class lunette.AuditAttack
---@field name string
---@field title string
---@field run fun(net: lunette.Net, x: lunette.Tensor, o: table): lunette.Attacked

---The attacks in the order of the table. eps in levels; the L2 length grows with the
---picture's side, so that the mean change of a value stays the same.
---@type lunette.AuditAttack[]
M.rows = {
  { name = "noise", title = "random signs, 4 levels (control)",
    run = function(net, x, o)
    return attack.noise(net, x, { eps = 4, seed = o.seed })
  end },
  { name = "fgsm", title = "FGSM, 4 levels", run = function(net, x)
    return attack.fgsm(net, x, { eps = 4 })
  end },
  { name = "pgd", title = "PGD, L-infinity, 4 levels", run = function(net, x, o)
    return attack.pgd(net, x, { eps = 4, steps = 10, seed = o.seed })
  end },
  { name = "pgd_l2", title = "PGD, L2, 1 level a value", run = function(net, x, o)
    local eps = math.sqrt(x:dim(2) * x:dim(3) * x:dim(4))
    return attack.pgd(net, x, { norm = "l2", eps = eps, steps = 10, seed = o.seed })
  end },
  { name = "pixels", title = "one pixel of any colour", run = function(net, x, o)
    return attack.pixels(net, x, { population = 20, generations = 8, seed = o.seed })
  end },
  { name = "patch", title = "a patch of a tenth of the side, anywhere",
    run = function(net, x, o)
      return attack.patch(net, x, { side = math.max(4, x:dim(3) // 10), steps = 40,
        batch = 8, seed = o.seed })
    end },
}


---One perturbation for all, found on the first half and tried on the second.
local function universal(net, x, o)
  local n = x:dim(1)
  local half = n // 2
  local a = x:narrow { dim = 1, start = 1, length = half }
  local b = x:narrow { dim = 1, start = half + 1, length = n - half }
  local how = { eps = 8, steps = 30, batch = 8, seed = o.seed }
  local v = attack.universal(net, a, how).v
  return attack.laid(net, b, v)
end


---The label is kept: how far does the map move? Means over pictures.
local function kept_label(net, x, explain, o)
  local moved, noise, n = 0, 0, math.min(o.maps, x:dim(1))
  for i = 1, n do
    local a = attack.explanation(net, x:rows(i), explain, { eps = 4, steps = o.tries,
                                                            seed = o.seed + i })
    moved, noise = moved + a.likeness / n, noise + a.noise / n
  end
  return moved, noise
end


---The label falls: how far does the map of the old class move with it? Means over those
---pictures that fell, and how many did.
local function lost_label(net, x, fallen, explain, o)
  local sum, n = 0, 0
  for i = 1, x:dim(1) do
    if fallen.success[i] and n < o.maps then
      local before <close> = net:run(x:rows(i))
      local after <close> = net:run(fallen.input:rows(i))
      local class = before:top(1)[1][1].class
      sum = sum + alike.of("ssim", alike.plane(explain(before, { score = class })[1]
        :detach()), alike.plane(explain(after, { score = class })[1]:detach()))
      n = n + 1
    end
  end
  return n > 0 and sum / n or nil, n
end


---@param s lunette.AuditSubject
---@param o table     of the audit: seed, methods, attacked, maps, tries
---@param bar lunette.Progress
---@return table      rows { name, title, fell, linf, l2 }, curve, maps
function M.all(s, o, bar)
  local x = s.space:input(s.levels:narrow { dim = 1, start = 1,
    length = math.min(o.attacked, s.levels:dim(1)) })
  local out, fallen = { rows = {}, maps = {}, pictures = x:dim(1) }, nil
  local function add(name, title, a)
    local far = { 0, 0 }
    for i = 1, #a.linf do
      far[1], far[2] = math.max(far[1], a.linf[i]), math.max(far[2], a.l2[i])
    end
    out.rows[#out.rows + 1] = { name = name, title = title, fell = a.share,
                                rounded = a.rounded, linf = far[1], l2 = far[2] }
    bar:add(1)
    collectgarbage()
  end
  for _, row in ipairs(M.rows) do
    local a = row.run(s.net, x, o)
    if row.name == "pgd" then fallen = a end
    add(row.name, row.title, a)
  end
  add("universal", "one perturbation for all, 8 levels, on unseen pictures",
      universal(s.net, x, o))
  out.curve = attack.curve(s.net, x, { 0, 0.5, 1, 2, 4, 8 },
                           { steps = 5, seed = o.seed })
  bar:add(1)
  for _, name in ipairs(o.methods) do
    local explain = evidence.explainer(name, s.net)
    local kept, noise = kept_label(s.net, x, explain, o)
    local lost, n = lost_label(s.net, x, fallen, explain, o)
    out.maps[#out.maps + 1] = { method = name, label_kept = kept, noise = noise,
                                label_lost = lost, fallen = n }
    bar:add(1)
  end
  return out
end

return M
