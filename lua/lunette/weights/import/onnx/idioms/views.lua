---Layers that only look at values in another way: two in a row are one, one that
---changes nothing is none, a shape of one dimension is a flattening; means of whole
---maps are global poolings.
local shapes = require "lunette.base.shapes"

local M = {}


---Does a layer change how many copies of a picture there are?
local function of_copies(g, spec)
  return g:copies(spec.name) ~= g:copies(spec.from[1])
end


local is_shape = { reshape = true, flatten = true }

---A shape of a shape.
local function reshaped(g, spec, before)
  if spec.kind == "flatten" and of_copies(g, before) then return nil end
  local attrs, copies = g:attrs(spec), g:copies(spec.name)
  attrs.copies = copies ~= g:copies(before.from[1]) and copies or nil
  return { kind = spec.kind, from = before.from, attrs = attrs, inner = { before } }
end


---A shape of a shape; an order of an order.
function M.pair(g, spec)
  local before = g:source(spec)
  if not before or not g:read_once(before) then return nil end
  if is_shape[before.kind] and is_shape[spec.kind] then
    return reshaped(g, spec, before)
  elseif before.kind == "permute" and spec.kind == "permute" then
    local dims = {}
    for i, d in ipairs(spec.dims) do dims[i] = before.dims[d] end
    return { kind = "permute", from = before.from, attrs = { dims = dims },
             inner = { before } }
  end
  return nil
end


---Does the layer put out what it reads?
function M.nothing(g, spec)
  if type(spec.from[1]) ~= "string" or g.is_output[spec.name]
     or spec.from[1] == "input" then
    return false
  end
  if spec.kind == "reshape" then
    return shapes.same(spec.shape, g:shape(spec.from[1])) and not of_copies(g, spec)
  elseif spec.kind == "permute" then
    for i, d in ipairs(spec.dims) do if i ~= d then return false end end
    return true
  end
  return spec.kind == "identity"
end


---An output that is another layer's value, under a name of its own.
function M.renamed(g, spec)
  local source = spec.kind == "identity" and g:source(spec)
  if not source or not g:read_once(source) or g:has_more(source) then return nil end
  return { kind = source.kind, from = source.from, attrs = g:attrs(source),
           params = g:params_of(source), inner = { source } }
end


---(C,H,W) seen as one dimension.
function M.flatten(g, spec)
  if spec.kind ~= "reshape" or #spec.shape ~= 1 or of_copies(g, spec) then
    return nil
  end
  local shape = g:shape(spec.from[1])
  if #shape < 2 then return nil end
  return { kind = "flatten", from = spec.from, inner = {} }
end


---The mean of every map.
function M.global_pool(g, spec)
  local dims = spec.dims
  if spec.kind ~= "mean" or not spec.keepdims or #g:shape(spec.from[1]) ~= 3
     or type(dims) ~= "table" or #dims ~= 2 then
    return nil
  end
  local rows = dims[1] == 3 and dims[2] == 4 or dims[1] == 4 and dims[2] == 3
  return rows and { kind = "global_avg_pool", from = spec.from, inner = {} } or nil
end

return M
