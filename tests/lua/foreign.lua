-- Files written here under torch's names, and what they are imported as: for specs of
-- files that do not say what they are.
local core = require "lunette.core"
local import = require "lunette.weights.import"
local lu = require "lunette"
local M = {}


---A small VGG11 with a head of dense layers of so many units.
function M.vgg(units, opts)
  local arch = { width = { 2, 3, 4, 5, 6 }, side = 64, normed = opts and opts.normed,
                 top = #units > 0 }
  if #units > 0 then arch.dense = {} end
  for i, n in ipairs(units) do
    arch.dense[i] = { units = n, aliases = { "classifier." .. 3 * (i - 1) } }
  end
  local net = assert(lu.net(lu.models.vgg11(arch))):init(#units + 1)
  for name, p in pairs(net.params) do -- statistics that change something
    if name:find "running_var$" then net.params[name] = p * 0 + 0.7 end
    if name:find "running_mean$" then net.params[name] = p * 0 + 0.1 end
  end
  return net
end


---Its parameters under torchvision's names.
function M.torch_names(net, rename)
  local list = {}
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local alias
      for _, name in ipairs(layer.aliases) do
        alias = name:find "^features" and name or name:find "^classifier" and name
          or alias
      end
      local name = (alias or layer.name) .. "." .. q.key
      list[#list + 1] = { rename and rename(name) or name, net.params[q.name] }
    end
  end
  return list
end


---Ways to write, import and refuse files of a folder.
---@param folder string
---@return fun(name: string, list: table[], meta?: table): string write
---@return fun(path: string, opts?: table): lunette.Net, table imported   and the report
---@return fun(path: string, opts?: table): string refusal
function M.files(folder)
  local function import_with(path, opts)
    local o = { out = folder .. "/out.st", force = true }
    for key, value in pairs(opts or {}) do o[key] = value end
    return import(path, o)
  end

  return function(name, list, meta)
    local path = folder .. "/" .. name .. ".safetensors"
    assert(core.write_weights(path, list, "f32", meta or {}))
    return path
  end, function(path, opts)
    local got, report = import_with(path, opts)
    assert(got, tostring(report))
    return assert(lu.load(got)), report
  end, function(path, opts)
    local got, message = import_with(path, opts)
    assert(got == nil, "was imported")
    return message
  end
end


---Fails where two networks say other things of the same pictures, to the bit.
function M.same_answers(a, b)
  local x = core.normal(1, 0, 2, 3, 64, 64)
  local one, two = a:run(x).output:detach(), b:run(x).output:detach()
  if not one:same(two) then error("other answers", 2) end
end

return M
