-- Tracing tensors: what is written down, computed again, is what the engine computes;
-- the ways back in operators are the engine's gradients; rules are the engine's rules.
local core = require "lunette.core"
local evaluate = require "lunette.trace.evaluate"
local gradient = require "lunette.trace.gradient"
local oprows = require "tests.lua.oprows"
local rules = require "lunette.trace.rules"
local trace = require "lunette.trace"

---Raises where a value is further from the other than that.
local function within(most, a, b)
  local off = a:distance(b)
  assert(off <= most, ("%.3g apart, at most %.3g"):format(off, most))
end


---A row as leaves, in a list as long as the operator has inputs.
local function leaves_of(row)
  local leaves, values, list = {}, {}, {}
  for i, x in ipairs(row.inputs) do
    if x and row.op == "index_select" and i == 2 then
      list[i] = x -- an index is known
    elseif x then
      local leaf = trace.leaf("x" .. i, x:shape())
      leaves[i], values["x" .. i], list[i] = leaf, x, leaf
    end
  end
  list[#row.inputs + 1] = row.attrs
  return leaves, values, list
end


---Gradients of all inputs by the engine, false where there is none.
local function engine_gradients(row, dy)
  local tape, list, nodes = core.tape(), {}, {}
  for i, x in ipairs(row.inputs) do
    if x then
      list[i] = tape:watch(x)
      nodes[#nodes + 1] = list[i]:node()
    end
  end
  list[#row.inputs + 1] = row.attrs
  local y = core.ops[row.op](table.unpack(list, 1, #row.inputs + 1))
  local found, at, result = core.backward(y, dy, nodes), 0, {}
  for i, x in ipairs(row.inputs) do
    if x then
      at = at + 1
      result[i] = found[at] or false
    end
  end
  return result
end


---Ways back to parameters are no business of explanations.
local parameters = { conv2d = true, conv_transpose2d = true, linear = true,
                     batch_norm = true, layer_norm = true }

describe("an operator that is traced", function()
  for k, spec_row in ipairs(oprows.read()) do
    it(("%s computes what the engine does, row %d"):format(spec_row.op, k), function()
      local row = oprows.fill(spec_row)
      local _, values, list = leaves_of(row)
      local y = core.ops[row.op](table.unpack(list, 1, #row.inputs + 1))
      local real = core.ops[row.op](oprows.arguments(row))
      assert.same(real:shape(), y:shape())
      assert.is_true(evaluate.run({ y }, values, 1)[1]:same(real))
    end)

    it(("%s goes back as the engine does, row %d"):format(spec_row.op, k), function()
      local row = oprows.fill(spec_row)
      local leaves, values, list = leaves_of(row)
      local y = core.ops[row.op](table.unpack(list, 1, #row.inputs + 1))
      local dy = core.normal(7, k, table.unpack(y:shape()))
      values.dy = dy
      local want = engine_gradients(row, dy)
      for i, x in pairs(leaves) do
        if i == 1 or not parameters[row.op] then
          local got = gradient.of(y, trace.leaf("dy", y:shape()), { x })[1]
          local dx = got and evaluate.run({ got }, values, 1)[1]
          local engine = want[i] or core.zeros(x:shape())
          dx = dx or core.zeros(x:shape())
          assert.same(x:shape(), dx:shape())
          within(2e-6, dx, engine) -- float32 sums in another order
        end
      end
    end)
  end
end)


describe("every operator", function()
  it("has a gradient, and columns in ONNX", function()
    local back = require "lunette.trace.back"
    local columns = require "lunette.onnx.operators"
    for op in pairs(core.ops) do
      assert.is_function(back[op], op .. " has no gradient in lunette/trace/back")
      assert.is_function(columns[op], op .. " has no column in lunette/onnx/operators")
    end
    for op in pairs(back) do
      assert.truthy(core.ops[op], "the gradient of " .. op .. ", which is no operator")
    end
  end)

  it("has its rules as formulas", function()
    for op in pairs(core.ops) do
      for _, name in ipairs(core.op_info(op).rules) do
        assert.is_function(rules[name], ("%s: rule %s is not in lunette/trace/rules")
          :format(op, name))
      end
    end
  end)
end)


describe("the engine's rules", function()
  ---What a rule asks for besides.
  local given = { z_box = { low = { -1.5, -1.2, -1.1 }, high = { 1.4, 1.3, 1.2 } } }
  for k, spec_row in ipairs(oprows.read()) do
    for _, name in ipairs(core.op_info(spec_row.op).rules) do
      it(("%s of %s are the formulas', row %d"):format(name, spec_row.op, k), function()
        local row = oprows.fill(spec_row)
        local tape, list = core.tape(), {}
        for i, x in ipairs(row.inputs) do list[i] = x or nil end
        list[1] = tape:watch(row.inputs[1])
        list[#row.inputs + 1] = row.attrs
        local real = core.ops[row.op](table.unpack(list, 1, #row.inputs + 1))
        local dy = core.normal(9, k, table.unpack(real:shape()))
        local spec = { name }
        for key, v in pairs(given[name] or {}) do spec[key] = v end
        local want = core.backward(real, dy, { list[1]:node() },
                                   { [real:node()] = spec })[1]
        local x = trace.leaf("x", row.inputs[1]:shape())
        list[1] = x
        local y = core.ops[row.op](table.unpack(list, 1, #row.inputs + 1))
        local got = gradient.of(y, trace.leaf("dy", y:shape()), { x },
                                { [y.id] = spec })[1]
        local dx = got and evaluate.run({ got }, { x = row.inputs[1], dy = dy }, 1)[1]
          or core.zeros(x:shape())
        want = want or core.zeros(x:shape())
        within(2e-5, dx, want) -- quotients by what is near 0 make roundings large
      end)
    end
  end
end)
