---The layers of an imported graph as idioms look at them: which layer makes a value,
---who reads it, and how one layer comes to stand for several.
local model = require "lunette.weights.import.onnx.model"

local Graph = {}
Graph.__index = Graph


local function count_readers(g)
  for _, spec in ipairs(g.specs) do
    for _, from in ipairs(spec.from) do
      if type(from) == "string" then g:reads(spec, from) end
    end
  end
end


---@param b table          of onnx.build, all nodes read
---@param outputs string[] layers that are outputs: they stay
function Graph.new(b, outputs)
  local g = setmetatable({ b = b, specs = b.specs, by_name = {}, readers = {},
                           params = {}, is_output = {}, gone = {} }, Graph)
  for _, spec in ipairs(b.specs) do g.by_name[spec.name] = spec end
  for _, p in ipairs(b.params) do g.params[p.name] = p end
  for _, name in ipairs(outputs) do g.is_output[name] = true end
  count_readers(g)
  return g
end


---The layer that makes input `i` of a layer; nil: the picture, a number, a parameter.
function Graph:source(spec, i)
  local from = spec.from[i or 1]
  return type(from) == "string" and self.by_name[from] or nil
end


---Shape of a value, without the batch.
function Graph:shape(name) return self.b.shapes[name] end


---How many copies of each picture are in its batch.
function Graph:copies(name) return self.b.copies[name] end


---The constant of a layer's parameter.
function Graph:constant(spec, key) return self.params[spec.name .. "." .. key] end


local keys = { "weight", "bias", "running_mean", "running_var", "index" }


---The constants of a layer that its kind has, by key.
function Graph:params_of(spec)
  local found = {}
  for _, key in ipairs(keys) do found[key] = self:constant(spec, key) end
  return found
end


---The numbers of a constant as they lie in the file, where they are known.
function Graph:numbers(c)
  return c.data or c.source and model.values(self.b.model, c.source.index)
end


---Does a layer read parameters beside those?
function Graph.has_more(_, spec)
  for _, from in ipairs(spec.from) do if type(from) == "table" then return true end end
  return false
end


---The two inputs of a layer: the one that is a layer's value or the picture, and the
---other, a number or a parameter; nil: it is not so.
---@return string? value
---@return number|table? other
---@return boolean? swapped   the value is the second
function Graph.split(_, spec)
  local a, b = spec.from[1], spec.from[2]
  if #spec.from ~= 2 then return nil end
  if type(a) == "string" and type(b) ~= "string" then return a, b, false end
  if type(b) == "string" and type(a) ~= "string" then return b, a, true end
  return nil
end


---What a layer divides its first input by, and the layer in between: a / b, or a times
---the reciprocal of b. Nil: it does not divide.
---@return table? by
---@return table[]? between
function Graph:divisor(spec)
  local by = self:source(spec, 2)
  if spec.kind == "div" then return by, {} end
  if by and spec.kind == "mul" and by.kind == "reciprocal" then
    return self:source(by), { by }
  end
  return nil
end


---A layer's attributes, without those that are left out.
---@param without? table<string, boolean>
function Graph.attrs(_, spec, without)
  local attrs = {}
  for key, value in pairs(spec) do attrs[key] = value end
  for _, key in ipairs { "name", "kind", "from", "aliases" } do attrs[key] = nil end
  for key in pairs(without or {}) do attrs[key] = nil end
  return attrs
end


---A constant as another layer's, in this shape.
function Graph.moved(_, c, shape)
  return { shape = shape, source = c.source, view = c.view, perm = c.perm,
           data = c.data, same = c.same, slopes = c.slopes }
end


---May the layers `inner` be removed when `last` replaces them: does nothing else read
---them, and is none an output?
function Graph:alone(inner, last)
  local set = { [last] = true }
  for _, spec in ipairs(inner) do set[spec] = true end
  for _, spec in ipairs(inner) do
    if self.is_output[spec.name] then return false end
    for reader in pairs(self.readers[spec.name] or {}) do
      if not set[reader] then return false end
    end
  end
  return true
end


---Is the layer read by one other alone, and no output?
function Graph:read_once(spec)
  local readers, n = self.readers[spec.name] or {}, 0
  for _ in pairs(readers) do n = n + 1 end
  return n == 1 and not self.is_output[spec.name]
end


local function forget(g, spec)
  for _, from in ipairs(spec.from) do
    if type(from) == "string" and g.readers[from] then g.readers[from][spec] = nil end
  end
end


local function take_params(g, last, params)
  for key, c in pairs(params or {}) do
    local p = g:moved(c, c.shape)
    p.name = last.name .. "." .. key
    g.params[p.name] = p
  end
end


local function drop_params(g, spec)
  local head = spec.name .. "."
  for _, from in ipairs(spec.from) do
    if type(from) == "table" then g.params[head .. from.param] = nil end
  end
  for _, key in ipairs(keys) do g.params[head .. key] = nil end
end


---Nodes that a layer stands for.
local function nodes_of(g, inner, last)
  local list = {}
  local function add(spec)
    local o = g.b.origin[spec]
    for _, node in ipairs(o.nodes or { o.node }) do list[#list + 1] = node end
  end
  for _, spec in ipairs(inner) do add(spec) end
  add(last)
  return list
end


---Makes `last` stand for itself and `inner`.
---@param last table     the layer whose value they come to; it keeps its name
---@param made { kind: string, from: table, attrs?: table, params?: table,
---  inner: table[], named?: table }    params: constants by key, shapes with them;
---  named: the one of them whose name says what they are
function Graph:replace(last, made)
  forget(self, last)
  drop_params(self, last)
  for _, spec in ipairs(made.inner) do
    forget(self, spec)
    drop_params(self, spec)
    self.gone[spec], self.by_name[spec.name] = true, nil
  end
  local origin = self.b.origin
  local o = { node = origin[last].node, nodes = nodes_of(self, made.inner, last),
              word = "", also = origin[last].node.name }
  if made.named then o.node = origin[made.named].node end
  origin[last] = o
  for key in pairs(self:attrs(last)) do last[key] = nil end
  last.kind, last.from = made.kind, made.from
  for key, value in pairs(made.attrs or {}) do last[key] = value end
  take_params(self, last, made.params)
  for _, from in ipairs(last.from) do
    if type(from) == "string" then self:reads(last, from) end
  end
end


function Graph:reads(spec, from)
  self.readers[from] = self.readers[from] or {}
  self.readers[from][spec] = true
end


---Leaves a layer out: its readers read what it reads. Its names go to that layer.
function Graph:bypass(spec)
  local from = spec.from[1]
  for reader in pairs(self.readers[spec.name] or {}) do
    for i, name in ipairs(reader.from) do
      if name == spec.name then reader.from[i] = from end
    end
    self:reads(reader, from)
  end
  forget(self, spec)
  local source = self.by_name[from]
  for _, alias in ipairs(source and spec.aliases or {}) do
    source.aliases = source.aliases or {}
    if #source.aliases < 30 then table.insert(source.aliases, alias) end
  end
  self.gone[spec], self.by_name[spec.name] = true, nil
end


---Parameters by the layer that has them.
local function by_layer(params)
  local lists = {}
  for name, p in pairs(params) do
    local layer = name:match "^(.*)%.[^.]*$"
    lists[layer] = lists[layer] or {}
    table.insert(lists[layer], p)
  end
  return lists
end


---Writes what is left back, parameters in the order of the layers.
function Graph:finish()
  local specs, params, of = {}, {}, by_layer(self.params)
  for _, spec in ipairs(self.specs) do
    if not self.gone[spec] then
      specs[#specs + 1] = spec
      local own = of[spec.name] or {}
      table.sort(own, function(p, q) return p.name < q.name end)
      table.move(own, 1, #own, #params + 1, params)
    end
  end
  self.b.specs, self.b.params = specs, params
end

return Graph
