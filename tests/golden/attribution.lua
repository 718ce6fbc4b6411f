-- Reference values of attributions: gradients, paths, class activation maps,
-- perturbations. A row is a pattern of keys and what computes them.
local lu = require "lunette"


local function gradient(case, ...)
  return case.run:gradient { score = case.class, modifiers = { "linear", ... } }
end


---A class activation map with pytorch-grad-cam's finish, or raw.
local function cam(test, key, method)
  test("^" .. key .. "@([^+]+)$", function(case, layer)
    return lu[method](case.run, { score = case.class, layer = layer,
                                  dialect = "pytorch-grad-cam" })
  end)
  test("^" .. key .. "_raw@([^+]+)$", function(case, layer)
    return lu[method](case.run, { score = case.class, layer = layer, raw = true,
                                  dialect = "pytorch-grad-cam" })
  end)
end


---The same as tf-keras-vis finishes it.
local function tkv_cam(test, key, method, limit)
  test("^tkv_" .. key .. "@(.+)$", function(case, layer)
    return lu[method](case.run, { score = case.class, layer = layer })
  end, limit)
end


return function(test)
  test("^gradient$", function(case) return gradient(case) end)
  test("^guided$", function(case) return gradient(case, "guided") end)
  test("^rectified$", function(case) return gradient(case, "rectified") end)
  test("^rectified_leak([%d.eE+-]+)$", function(case, leak)
    return gradient(case, lu.modifiers.rectified { leak = tonumber(leak) })
  end)
  test("^linear$", function(case)
    return gradient(case, lu.modifier { name = "open", on = "relu",
                                        backward = function(_, dy) return dy end })
  end)
  test("^gradient_of_probability$", function(case)
    return case.softmax:gradient { score = case.class }
  end)
  test("^tkv_saliency$", function(case)
    return lu.saliency(case.run, { score = case.class, modifiers = { "linear" } })
  end)
  test("^tkv_gradcam@(.+)$", function(case, layer)
    return lu.gradcam(case.run, { score = case.class, layer = layer })
  end)
  test("^input_x_gradient$", function(case) return gradient(case) * case.input end)
  test("^captum_guided_backprop$", function(case) return gradient(case, "guided") end)
  test("^captum_deconvolution$", function(case) return gradient(case, "deconvnet") end)
  test("^captum_layer_gradcam@(.+)$", function(case, layer)
    return lu.gradcam(case.run, { score = case.class, layer = layer, dialect = "captum" })
  end)
  test("^gradcam@(.+)$", function(case, layer)
    return lu.gradcam(case.run, { score = case.class, layer = layer,
                                  dialect = "pytorch-grad-cam" })
  end)
  test("^gradcam_raw@(.+)$", function(case, layer)
    return lu.gradcam(case.run, { score = case.class, layer = layer, raw = true })
  end)
  test("^beta_smooth([%d.]+)$", function(case, beta)
    return gradient(case, lu.modifiers.beta_smooth(tonumber(beta)))
  end)

  -- paths
  test("^integrated_gradients_([%a_]+)(%d+)_zero$", function(case, rule, n)
    return lu.integrated_gradients(case.run, { score = case.class, rule = rule,
                                               steps = tonumber(n) })
  end)

  -- class activation maps
  for key, method in pairs { gradcam = "gradcam", layercam = "layercam",
                             hirescam = "hirescam", xgradcam = "xgradcam",
                             gradcam_plus_plus = "gradcam_pp" } do
    cam(test, key, method)
  end
  -- alpha has a pole at g sum A = -2: where a place lies near, float32 costs 5e-3
  tkv_cam(test, "gradcam_plus_plus", "gradcam_pp", 1e-2)
  tkv_cam(test, "layercam", "layercam")

  -- perturbations
  test("^occlusion_window(%d+)_stride(%d+)_(%a+)$", function(case, window, stride, base)
    return lu.occlusion(case.run, { score = case.class, window = tonumber(window),
      stride = tonumber(stride), baseline = base })
  end)
end
