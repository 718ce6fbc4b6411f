---The ten classes as signed distances: a function of coordinates (u, v), tensors
---in pixels from the shape's centre, gives the distance to the outline in pixels,
---negative inside. Exact near straight and round edges, a bound elsewhere, which
---is all that an antialiased edge needs. (The formulas are plane geometry; the
---folding of a star's and a spiral's angle is the only trick.)
local M = {}

---Class names in the order of their ids, which count from 0.
M.names = { "disc", "ring", "square", "triangle", "star", "cross", "crescent",
            "heart", "arrow", "spiral" }

local pi = math.pi


local function length(u, v) return (u:square() + v:square()):sqrt() end


---An axis-parallel box of half sides a, b around (x, y).
local function box(u, v, x, y, a, b)
  return ((u - x):abs() - a):maximum((v - y):abs() - b)
end


---Several half planes: the largest of (u,v).n - d.
local function planes(u, v, list)
  local d
  for _, p in ipairs(list) do
    local one = u * math.cos(p[1]) + v * math.sin(p[1]) - p[2]
    d = d and d:maximum(one) or one
  end
  return d
end


function M.disc(u, v, s) return length(u, v) - s end


---`k` in 0 .. 1 is how thick.
function M.ring(u, v, s, k)
  local half = s * (0.13 + 0.06 * k)
  return (length(u, v) - (s - half)):abs() - half
end


function M.square(u, v, s) return box(u, v, 0, 0, s * 0.71, s * 0.71) end


function M.triangle(u, v, s)
  return planes(u, v, { { pi / 2, s / 2 }, { pi / 2 + 2 * pi / 3, s / 2 },
                        { pi / 2 + 4 * pi / 3, s / 2 } })
end


---Five points; the angle is folded onto half a point, from its tip (phi = 0) to
---the notch (phi = pi/5), where one straight edge is left.
function M.star(u, v, s, k)
  local a = v:atan2(u) * (5 / (2 * pi))
  local phi = (a - a:round()):abs() * (2 * pi / 5)
  local r = length(u, v)
  local inner = s * (0.38 + 0.08 * k)
  local ex, ey = inner * math.cos(pi / 5) - s, inner * math.sin(pi / 5)
  local e = (ex * ex + ey * ey) ^ 0.5
  return (r * phi:cos() - s) * (ey / e) - r * phi:sin() * (ex / e)
end


function M.cross(u, v, s, k)
  local w = s * (0.22 + 0.08 * k)
  return box(u, v, 0, 0, s, w):minimum(box(u, v, 0, 0, w, s))
end


---A disc less a disc.
function M.crescent(u, v, s, k)
  local off, hole = s * (0.48 + 0.1 * k), s * 0.85
  return (length(u, v) - s):maximum(hole - length(u - off, v))
end


---A square and the two discs over its upper sides, in the square's own axes.
function M.heart(u, v, s)
  local h = s * 0.5
  local x, y = (u - v) * 0.5 ^ 0.5 + h * 0.35, (u + v) * 0.5 ^ 0.5 + h * 0.35
  local d = box(x, y, 0, 0, h, h):minimum(length(x - h, y) - h)
  return d:minimum(length(x, y - h) - h)
end


---A bar and a triangular head.
function M.arrow(u, v, s, k)
  local w = s * (0.14 + 0.06 * k)
  local bar = box(u, v, -0.4 * s, 0, 0.6 * s, w)
  local tip = math.atan(1.05) -- outward normals of the head's two long sides
  local d = s * math.cos(tip)
  return bar:minimum(planes(u, v, { { tip, d }, { -tip, d }, { pi, -0.1 * s } }))
end


---Archimedes' spiral of a little over two turns: of the arms at r = b (turns),
---the nearest, cut at both ends.
function M.spiral(u, v, s, k)
  local turns = 2.1 + 0.4 * k
  local b = s / (turns + 0.2)
  local r = length(u, v)
  local angle = v:atan2(u) * (1 / (2 * pi))
  local t = angle + (r * (1 / b) - angle):round()
  local arm = (r - t * b):abs() - b * 0.21
  local far = (t - turns):maximum(0.2 - t) * r * (2 * pi)
  return arm:maximum(far)
end


---Square root of the area of each class at s = 1, k = 1/2: scaling by it gives
---every class the same area (measured on a fine grid; a test repeats that).
---@type table<string, number>
M.side = {
  disc = 1.7725, ring = 1.2996, square = 1.4205, triangle = 1.1399, star = 1.1110,
  cross = 1.3456, crescent = 1.2016, heart = 1.3363, arrow = 1.0706, spiral = 1.0528,
}


-- fragments: none of them is a class ----------------------------------------------


M.fragments = {}

---Part of a ring: less than two thirds of the way around.
function M.fragments.arc(u, v, s, k)
  local a = 0.5 + 1.4 * k -- half opening, radians
  local half = s * 0.14
  local d = (length(u, v) - (s - half)):abs() - half
  return d:maximum((v:atan2(u):abs() - a) * (0.8 * s))
end


---Two bars that meet.
function M.fragments.corner(u, v, s, k)
  local w, l = s * 0.14, s * (0.4 + 0.15 * k)
  return box(u, v, l - w, 0, l, w):minimum(box(u, v, 0, l - w, w, l))
end


function M.fragments.bar(u, v, s, k)
  return box(u, v, 0, 0, s, s * (0.1 + 0.15 * k))
end


---An outline that waves: r = s (0.6 + 0.2 cos (2a + ..) + 0.13 cos (5a + ..)).
function M.fragments.blob(u, v, s, k)
  local a = v:atan2(u)
  local wave = (a * 2 + 6 * k):cos() * 0.2 + (a * 5 + 9 * k):cos() * 0.13
  return length(u, v) - (wave + 0.6) * s
end


---Three short parallel bars.
function M.fragments.comb(u, v, s, k)
  local w, h = s * 0.09, s * (0.45 + 0.3 * k)
  local x = (u:abs() - 0.3 * s):abs() - 0.3 * s -- at -0.6, 0 and 0.6
  return (x:abs() - w):maximum(v:abs() - h)
end


---A wide angle: two bars end to end at a slant.
function M.fragments.chevron(u, v, s, k)
  local y = v - u:abs() * (0.4 + 0.4 * k)
  return (y:abs() - s * 0.15):maximum(u:abs() - s * 0.8)
end

M.fragment_names = { "arc", "corner", "bar", "blob", "comb", "chevron" }

return M
