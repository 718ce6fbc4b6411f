---Methods for pictures and maps (N,C,H,W): scaling of values, resizing, blur, rotation,
---windows, pasting. All have gradients.
local blame = require "lunette.base.blame"
local blur = require "lunette.tensors.blur"
local brief = require("lunette.base.text").brief
local core = require "lunette.core"
local options = require "lunette.base.options"
local types = require "lunette.base.types"

local M = core.methods


---Per sample (a - min) / (max - min + eps) over all but the first dimension.
---@param eps? number  1e-7 (Keras' epsilon, as tf-keras-vis)
---@return lunette.Tensor
function M.normalize(t, eps)
  if eps ~= nil and type(eps) ~= "number" then
    blame("normalize: eps is a number, got " .. type(eps))
  end
  if t:size() == 0 then return t:clone() end
  local n, shape = t:dim(1), t:shape()
  local flat = t:reshape { shape = { n, t:size() // n } }
  local lo = flat:min { dims = { 2 }, keepdims = true }
  local hi = flat:max { dims = { 2 }, keepdims = true }
  local scaled = (flat - lo) / (hi - lo + (eps or 1e-7))
  return scaled:reshape { shape = shape }
end


---Bilinear (default), nearest or bicubic resize of (N,C,H,W) or (N,H,W).
---@param h integer
---@param w integer
---@param opts? { mode?: string, align_corners?: boolean }
---@return lunette.Tensor
function M.resize(t, h, w, opts)
  opts = opts or {}
  if type(opts) ~= "table" then
    blame("resize: the options are a table, got " .. type(opts))
  end
  local modes = { nearest = 0, bilinear = 1, bicubic = 2 }
  local mode = modes[opts.mode or "bilinear"]
  if not mode then blame("resize: no mode '" .. tostring(opts.mode) .. "'") end
  local x, flat = t, t:dim() == 3
  if flat then x = t:reshape { shape = { t:dim(1), 1, t:dim(2), t:dim(3) } } end
  local y = x:interpolate { size = { h, w }, mode = mode,
                            align_corners = opts.align_corners and 1 or 0 }
  return flat and y:reshape { shape = { t:dim(1), h, w } } or y
end



---A tensor (N,C,H,W) of one that may be (H,W) or (C,H,W), and what takes that back.
local function as_pictures(what, t)
  local nd, shape = t:dim(), t:shape()
  if nd < 2 or nd > 4 then
    blame(what .. ": (N,C,H,W), (C,H,W) or (H,W), not "
          .. require("lunette.base.shapes").text(t))
  end
  for _ = nd, 3 do table.insert(shape, 1, 1) end
  local x = t:reshape { shape = shape }
  return x, function(y)
    local back = y:shape()
    for _ = nd, 3 do table.remove(back, 1) end
    return y:reshape { shape = back }
  end
end


---A Gaussian blur, one channel at a time; the window ends at 4 sigma, as scipy's.
---Example:
---  local lu = require "lunette"
---  print(lu.normal(1, 3, 16, 16):gaussian_blur(2):std())
---@param sigma number   pixels
---@param o? { edge?: "nearest"|"zero"|"reflect" }   what lies outside: "nearest"
---@return lunette.Tensor
function M.gaussian_blur(t, sigma, o)
  o = options.check("gaussian_blur", o, { edge = "nearest" })
  if type(sigma) ~= "number" or not (sigma >= 0 and sigma < 1e4) then
    blame("gaussian_blur: sigma is a number of pixels from 0, not " .. brief(sigma))
  end
  local x, back = as_pictures("gaussian_blur", t)
  return back(blur(x, sigma, o.edge))
end


---Rotation and enlargement about the centre, bilinear. (`affine` takes any matrix.)
---Example:
---  local lu = require "lunette"
---  print(lu.tensor { { 0, 1 }, { 0, 0 } }:rotate(90))
---@param degrees number   against the clock
---@param o? { scale?: number, outside?: number }   scale 2: twice as large; outside:
---  the value beyond the border (mirrored)
---@return lunette.Tensor
function M.rotate(t, degrees, o)
  o = options.check("rotate", o, { scale = 1, outside = false })
  if type(degrees) ~= "number" then
    blame("rotate: an angle in degrees, not " .. brief(degrees))
  end
  if type(o.scale) ~= "number" or o.scale <= 0 or o.scale ~= o.scale then
    blame("rotate: scale is a number above 0, not " .. brief(o.scale))
  end
  local x, back = as_pictures("rotate", t)
  local c = math.cos(math.rad(degrees)) / o.scale
  local d = math.sin(math.rad(degrees)) / o.scale
  return back(x:affine { matrix = { c, d, -d, c }, value = o.outside or 0,
                         mirror = o.outside and 0 or 1 })
end


---All windows of pictures as columns, as torch.nn.Unfold: (N,C,H,W) to
---(N,C*k*k,places).
---@param kernel integer|integer[]   {height, width} or both
---@param o? { stride?: integer, padding?: integer }   1, 0
---@return lunette.Tensor
function M.unfold(t, kernel, o)
  o = options.check("unfold", o, { stride = 1, padding = 0 })
  local kh, kw = kernel, kernel
  if type(kernel) == "table" then kh, kw = kernel[1], kernel[2] end
  if math.type(kh) ~= "integer" or math.type(kw) ~= "integer" or kh < 1 or kw < 1 then
    blame "unfold: a kernel of whole numbers from 1"
  end
  if t:dim() ~= 4 then
    blame(("unfold: pictures (N,C,H,W) are wanted, got (%s)"):format(
          table.concat(t:shape(), ",")))
  end
  local n, c = t:dim(1), t:dim(2)
  local one = core.zeros(c * kh * kw, 1, kh, kw) -- each filter picks one place
  for i = 0, c * kh * kw - 1 do
    one:set(i + 1, 1, i % (kh * kw) // kw + 1, i % kw + 1, 1)
  end
  local y = core.ops.conv2d(t, one, { stride = o.stride, padding = o.padding,
                                      groups = c })
  return y:reshape { shape = { n, c * kh * kw, y:dim(3) * y:dim(4) } }
end


---A new tensor with `part` over the last two dimensions from there on, or added to what
---is there. (`paste_` writes in place and has no gradient.)
---@param part lunette.Tensor   as many dimensions as t; the others of one size
---@param row integer           from 1
---@param column integer        from 1
---@param o? { add?: boolean }
---@return lunette.Tensor
function M.paste(t, part, row, column, o)
  o = options.check("paste", o, { add = false })
  local nd, before, after = t:dim(), {}, {}
  if not types.is_tensor(part) or part:dim() ~= nd then
    blame "paste: a part of as many dimensions"
  end
  if not (types.is_count(row) and types.is_count(column)) then
    blame(("paste: row and column are whole numbers from 1 on, got %s and %s"):format(
          brief(row), brief(column)))
  end
  for d = 1, nd do before[d], after[d] = 0, 0 end
  before[nd - 1], before[nd] = row - 1, column - 1
  for d = nd - 1, nd do
    after[d] = t:dim(d) - part:dim(d) - before[d]
    if before[d] < 0 or after[d] < 0 then
      blame(("paste: a part of %d from %d on, of %d"):format(part:dim(d),
            before[d] + 1, t:dim(d)))
    end
  end
  local placed = part:pad { before = before, after = after }
  if o.add then return t + placed end
  local there = core.ones(part:shape()):pad { before = before, after = after }
  return core.ops.where(there, placed, t)
end
