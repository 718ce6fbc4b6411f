---Composites of relevance rules, by the names that zennit, iNNvestigate and captum give
---them: which rule every kind of layer has, first match wins. The rules themselves are
---the engine's (engine/ops/relevance.c has their formulas): "epsilon", "z_plus",
---"alpha_beta", "gamma", "z_box", "w_square", "flat", "norm".
local between = require "lunette.modifiers.between"
local row = require("lunette.modifiers.modifier").row
local first = require("lunette.modifiers.on").first

local M = {}

---A composite of these entries, followed by those of between.lua for all other layers.
local function composite(fields, entries)
  for _, e in ipairs(between.entries) do entries[#entries + 1] = e end
  fields.entries, fields.relevance = entries, true
  return row(fields)
end


local conv = { "conv2d", "conv_transpose2d" }
local dense = { on = between.is_dense, rule = "epsilon" }
local alpha2_beta1 = { "alpha_beta", alpha = 2, beta = 1 }


---LRP of dense layers by epsilon, of convolutions by z+ (zennit's EpsilonPlus).
---Caveat: what z+ hands on is never negative, so that evidence against the class is
---  lost in the convolutions.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local r = run:gradient { score = 3, modifiers = { "linear", "epsilon_plus" } }
---  show(r:sum { dims = { 2 } })
M.epsilon_plus = composite({ name = "epsilon_plus",
  doc = "LRP: epsilon on dense layers, z+ on convolutions" },
  { { on = conv, rule = "z_plus" }, dense })


---EpsilonPlus with the flat rule at the first weighted layer.
M.epsilon_plus_flat = composite({ name = "epsilon_plus_flat",
  doc = "the same, the first layer flat" },
  { { on = first "weighted", rule = "flat" }, { on = conv, rule = "z_plus" },
    dense })


---LRP of dense layers by epsilon, of convolutions by alpha 2, beta 1.
M.epsilon_alpha2_beta1 = composite({ name = "epsilon_alpha2_beta1",
  doc = "LRP: epsilon on dense layers, alpha 2 beta 1 on convolutions" },
  { { on = conv, rule = alpha2_beta1 }, dense })


---EpsilonAlpha2Beta1 with the flat rule at the first weighted layer.
M.epsilon_alpha2_beta1_flat = composite({ name = "epsilon_alpha2_beta1_flat",
  doc = "the same, the first layer flat" },
  { { on = first "weighted", rule = "flat" },
    { on = conv, rule = alpha2_beta1 }, dense })


---Marginal winning probability of Zhang et al. 2016 as zennit has it: z+ everywhere,
---activations by their gradient.
M.excitation_backprop = row {
  name = "excitation_backprop", doc = "z+ on every weighted layer",
  relevance = true,
  entries = { { on = "weighted", rule = "z_plus" }, between.sums,
              { on = "batch_norm", rule = "plain" } },
}


local function gamma_box(p)
  return composite({ name = "epsilon_gamma_box" }, {
    { on = first "conv2d", rule = { "z_box", low = p.low, high = p.high } },
    { on = conv, rule = "gamma" }, dense })
end


---Rules with the bounds of the picture: LRP by gamma on convolutions, z-box on the
---first (zennit's EpsilonGammaBox). The bounds are black and white as the network's
---preprocessing has them, a number each channel, or { low =, high = } in units of the
---network's input.
M.epsilon_gamma_box = row {
  name = "epsilon_gamma_box", takes = { { "low" }, { "high" } }, relevance = true,
  doc = "LRP: z-box, gamma 0.25 on convolutions, epsilon on dense layers",
  make = gamma_box, entries = gamma_box({}).entries,
}


---Deep Taylor decomposition (Montavon et al. 2017): z+ without bias on every weighted
---layer.
M.deep_taylor = composite({ name = "deep_taylor", doc = "z+ without bias" },
  { { on = "weighted", rule = { "z_plus", bias = 0 } } })


---captum's LRP: epsilon 1e-9 on weighted layers and poolings.
M.lrp_captum = composite({ name = "lrp_captum",
  doc = "epsilon 1e-9 on weighted layers and poolings" },
  { { on = "weighted", rule = { "epsilon", epsilon = 1e-9 } },
    { on = "batch_norm", rule = { "epsilon", epsilon = 1e-9 } },
    { on = "max_pool2d", rule = { "norm", epsilon = 1e-9 } },
    { on = { "avg_pool2d", "global_avg_pool" }, rule = { "norm", epsilon = 1e-9 } } })


---A dense layer or convolution by epsilon, or by gamma where that is not 0.
local function linear_rule(gamma)
  return gamma ~= 0 and { "gamma", gamma = gamma } or "epsilon"
end


local function is_linear(layer)
  return require("lunette.layers").is(layer, "weighted") or between.is_dense(layer)
end


---A composite whose weighted layers go by epsilon, or by gamma; `more` are further
---entries.
local function of_transformers(name, doc, more)
  local function make(p)
    local entries = { { on = is_linear, rule = linear_rule(p.gamma) },
                      { on = "batch_norm", rule = "epsilon" } }
    for _, e in ipairs(more) do entries[#entries + 1] = e end
    return composite({ name = name }, entries)
  end
  return row { name = name, doc = doc, takes = { { "gamma", 0 } }, make = make,
               relevance = true, entries = make({ gamma = 0 }).entries }
end


---Relevance of transformers (Achtibat et al. 2024): softmax by Taylor's first terms,
---products of computed matrices half each, layer norm with its deviation held fixed,
---gelu handing on; weighted layers by epsilon, or by `gamma`, which the paper takes
---for vision transformers.
---Caveat: what biases and position embeddings take is lost, and a vision transformer
---  has many: look at lu.relevance.flow.
M.attn_lrp = of_transformers("attn_lrp",
  "LRP of transformers (AttnLRP); gamma = 0 is epsilon", {})


---The same with attention weights held fixed: all relevance goes to the values (Ali et
---al. 2022, CP-LRP).
M.cp_lrp = of_transformers("cp_lrp",
  "LRP of transformers, attention weights held fixed (CP-LRP)",
  { { on = between.attention(1), rule = { "uniform", first = 0 } },
    { on = between.attention(2), rule = { "uniform", first = 1 } } })


---Batch norms become part of the layers before them, for the rules of modifiers before
---this one; `lu.lrp` has it as its option `canonise`.
M.canonise = row {
  name = "canonise", doc = "LRP: batch norms folded into the layers before them",
  rewrite = function(...)
    return require("lunette.modifiers.canonise").apply(...)
  end,
}


local rows = {}
for _, name in ipairs { "epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1",
                        "epsilon_alpha2_beta1_flat", "epsilon_gamma_box",
                        "excitation_backprop", "deep_taylor", "lrp_captum",
                        "attn_lrp", "cp_lrp", "canonise" } do
  rows[#rows + 1] = M[name]
end

return { fields = M, rows = rows }
