-- Reference values of relevance: composites of zennit, captum, iNNvestigate, TorchRay.
-- What goes between weighted layers is the composites' own business.
local lu = require "lunette"

local M = {}

-- a rule as the keys write it: "gamma0.5", "alpha1.5_beta0.5", "zplus" ...
local rules = {
  { "^epsilon([%d.eE+-]*)$", function(e) return { "epsilon", epsilon = tonumber(e) } end },
  { "^gamma([%d.]+)$", function(g) return { "gamma", gamma = tonumber(g) } end },
  { "^alpha([%d.]+)_beta([%d.]+)$", function(a, b)
    return { "alpha_beta", alpha = tonumber(a), beta = tonumber(b) }
  end },
  { "^zplus$", function() return { "z_plus" } end },
  { "^wsquare$", function() return { "w_square" } end },
  { "^flat$", function() return { "flat" } end },
  { "^zbox([%d.-]+)_([%d.-]+)$", function(low, high)
    return { "z_box", low = tonumber(low), high = tonumber(high) }
  end },
}


---@param text string     "gamma0.5"
---@param nobias? boolean
function M.rule(text, nobias)
  for _, r in ipairs(rules) do
    local found = table.pack(text:match(r[1]))
    if found[1] then
      local rule = r[2](table.unpack(found))
      if nobias and rule[1] ~= "z_box" then rule.bias = 0 end
      return rule
    end
  end
  error("no rule " .. text)
end


local between = {
  { on = "activation", rule = "identity" }, { on = "batch_norm", rule = "identity" },
  { on = { "avg_pool2d", "global_avg_pool", "add" }, rule = "norm" },
}


local function composite(entries)
  entries.name = "golden"
  for _, e in ipairs(between) do entries[#entries + 1] = e end
  return lu.modifier(entries)
end


local function relevance(case, m, wrt)
  return case.run:gradient { score = case.class, wrt = wrt,
                             modifiers = { "linear", m, case.canonise } }
end


local function logit(case) return case.run.output[1][case.class + 1] end


---The z-box rule of this file.
local function box(case)
  local bounds = case.stored "zbox_low_high"
  return { "z_box", low = bounds[1], high = bounds[2] }
end


local first = lu.modifiers.first


---"first_R_conv_R_dense_R_nobias"
function M.zennit(case, text)
  local body, nobias = text:gsub("_nobias$", "")
  nobias = nobias == 1
  local head, conv, dense = body:match "^first_(.-)_conv_(.+)_dense_(.+)$"
  if not head then conv, dense = body:match "^conv_(.+)_dense_(.+)$" end
  local entries = {}
  if head then
    entries[1] = { on = first "conv2d",
                   rule = head == "zbox" and box(case) or M.rule(head, nobias) }
  end
  entries[#entries + 1] = { on = "conv2d", rule = M.rule(conv, nobias) }
  entries[#entries + 1] = { on = "linear", rule = M.rule(dense, nobias) }
  return relevance(case, composite(entries))
end


function M.deep_taylor(case, variant)
  local z_plus, square = { "z_plus", bias = 0 }, { "w_square", bias = 0 }
  local entries = { { on = "weighted", rule = z_plus } }
  local function add(on, rule) table.insert(entries, 1, { on = on, rule = rule }) end
  if variant == "_first_wsquare" then add(first "weighted", square) end
  if variant:find "innvestigate" then add(lu.modifiers.last "weighted", square) end
  if variant:find "zbox$" or variant:find "bounded$" then
    add(first "weighted", box(case))
  end
  return relevance(case, composite(entries))
end


local tiny = 1e-9
local pools = { on = "pooling", rule = { "norm", epsilon = tiny } }


function M.captum(case, conv, dense, wrt)
  return relevance(case, composite { { on = "conv2d", rule = conv },
                                     { on = "linear", rule = dense }, pools }, wrt)
    * logit(case)
end


local function epsilon(e) return { "epsilon", epsilon = tonumber(e) or tiny } end


local function captum_rows(test)
  test("^lrp_captum_epsilon([%d.]*)$", function(case, e)
    return M.captum(case, epsilon(e), epsilon(e))
  end, function(net)
    -- In the hen's pool4, channel 68, window (12,11), two values of 570.6 lie 2.2e-5
    -- apart, a third of what float32 can tell there. With the other one as maximum the
    -- map is 3.0725e-2 away, in torch's float64 as here (a picture 1e-7 away is enough),
    -- and it is input times gradient to 2e-7 on either side. So the golden runner looks
    -- for a picture on the reference's side; a relu of conv1 as near 0 costs 1.4e-3
    -- more, hence SqueezeNet's limit of the first set.
    return net.name:find "squeezenet" and 5e-3 or nil
  end)
  test("^layer_lrp_captum_epsilon@(.+)$", function(case, layer)
    return M.captum(case, epsilon(), epsilon(), layer)
  end)
  test("^lrp_captum_conv_gamma([%d.]+)_dense_epsilon$", function(case, gamma)
    return M.captum(case, { "gamma_captum", gamma = tonumber(gamma), epsilon = tiny },
                    epsilon())
  end)
  test("^lrp_captum_conv_alpha1_beta0(.-)_dense_epsilon$", function(case, nobias)
    return M.captum(case, { "w_plus", epsilon = tiny, bias = nobias == "" and 1 or 0 },
                    epsilon())
  end)
end


function M.rows(test)
  for _, name in ipairs { "epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1",
                          "epsilon_alpha2_beta1_flat" } do
    test("^lrp_" .. name .. "$", function(case) return relevance(case, name) end)
  end
  test("^lrp_epsilon_gamma_box$", function(case)
    local b = box(case)
    return relevance(case, lu.modifiers.epsilon_gamma_box { low = b.low, high = b.high })
  end)
  test("^excitation_backprop$", function(case)
    return relevance(case, "excitation_backprop")
  end)
  test("^zbox_low_high$", function(case) return case.stored "zbox_low_high" end)
  test("^deep_taylor(.*)$", M.deep_taylor)
  test("^lrp_([fc][^a].*_dense_.*)$", M.zennit)
  test("^torchray_excitation_backprop@(.+)$", function(case, layer)
    local m = lu.modifier { name = "mwp", { on = "weighted",
      rule = { "w_plus", epsilon = 1e-20, bias = 0 } } }
    return relevance(case, m, layer):sum { dims = { 2 }, keepdims = true }
  end)
  test("^torchray_contrastive_excitation_backprop_contrast_.+@(.+)$",
       function(case, layer)
    local map = lu.excitation_backprop(case.run, { score = case.class, layer = layer,
                                                   contrast = true })
    return map:reshape { 1, 1, map:dim(2), map:dim(3) }
  end)
  captum_rows(test)
end

return setmetatable(M, { __call = function(_, test) M.rows(test) end })
