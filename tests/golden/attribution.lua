-- Reference values of attributions: gradients, paths, class activation maps,
-- perturbations. A row is a pattern of keys and what computes them.
local lu = require "lunette"


local function gradient(case, ...)
  return case.run:gradient { score = case.class, modifiers = { "linear", ... } }
end


local BASE = "([%a%d.-]+)" -- a baseline's word

---A baseline by its word in a key: zero, blurred, mean, const0.5, or a number.
local function baseline(case, word)
  if type(word) == "number" then return word end
  if word == "blurred" then return case.given "blurred" end
  if word == "mean" then return case.given("mean_colour"):view(3, 1, 1) end
  return tonumber(word:match "^const(.+)$") or word
end


---What a picture's keys share: what `make` gives is computed once for it and its class.
local function once(case, key, make)
  case.shared = rawget(case, "shared") or {}
  key = case.class .. " " .. key
  case.shared[key] = case.shared[key] or make()
  return case.shared[key]
end


---Where a map costs a forward pass a channel, and a pass of a network counts.
local function is_dear(case, method)
  return (method == "scorecam" or method == "ablationcam")
    and case.net:count_params() > 1e5
end


---A class activation map with pytorch-grad-cam's finish, or raw. A dear one is computed
---once, raw, and finished here; that a call finishes it itself is what the keys of the
---small networks show.
local function cam(test, key, method)
  local scored = lu.methods[method].options.score
  local function map(case, layer, raw)
    return lu[method](case.run, { score = scored and case.class, layer = layer,
                                  raw = raw, dialect = "pytorch-grad-cam" })
  end
  local function raw_map(case, layer)
    return once(case, key .. "@" .. layer, function() return map(case, layer, true) end)
  end
  test("^" .. key .. "@([^+]+)$", function(case, layer)
    if not is_dear(case, method) then return map(case, layer) end
    return lu.methods[method].finish["pytorch-grad-cam"](raw_map(case, layer),
      { relu = true, normalize = true, expand = true }, case.run)
  end)
  test("^" .. key .. "_raw@([^+]+)$", raw_map)
end


---Maps of a principal component, whose sign is arbitrary: that of the stored map.
local function cam_of_either_sign(test, key, method, more)
  local function of(case, layer, raw)
    local best, least
    for _, sign in ipairs { 1, -1 } do
      local opts = { score = case.class, layer = layer, raw = true, relu = true,
                     dialect = "pytorch-grad-cam" }
      if method:find "^eigen" then opts.score = nil end
      if method == "eigengradcam" then opts.score = case.class end
      for k, v in pairs(more or {}) do opts[k] = v end
      local map = lu[method](case.run, opts) * sign
      if not raw then
        local row = lu.methods[method]
        local o = { relu = true, normalize = true, expand = true }
        map = row.finish["pytorch-grad-cam"](map, o, case.run)
      end
      local d = map:distance(case.want)
      if not least or d < least then best, least = map, d end
    end
    return best
  end
  test("^" .. key .. "@([^+]+)$", function(case, layer) return of(case, layer) end)
  test("^" .. key .. "_raw@([^+]+)$", function(case, layer)
    return of(case, layer, true)
  end)
end


---One unit at one place of a layer; indices from 0.
local function neuron(layer, k, y, x)
  k, y, x = math.tointeger(k), math.tointeger(y), math.tointeger(x)
  return lu.score.new("neuron", function(value)
    return value:narrow { dim = 2, start = k + 1, length = 1 }
      :narrow { dim = 3, start = y + 1, length = 1 }
      :narrow { dim = 4, start = x + 1, length = 1 }:sum { dims = { 2, 3, 4 } }
  end, layer)
end


---Softmax probability of a class, as a score of logits.
local function softmax_of(class)
  return lu.score.new("softmax", function(z)
    return z:softmax(2):narrow { dim = 2, start = class + 1, length = 1 }
  end)
end


---ReST (pytorch-grad-cam): the logit less the cross entropy.
local function rest_of(class)
  return lu.score.new("rest", function(z)
    local both = z + z:log_softmax(2)
    return both:narrow { dim = 2, start = class + 1, length = 1 }
  end)
end


---The same as tf-keras-vis finishes it.
local function tkv_cam(test, key, method)
  test("^tkv_" .. key .. "@(.+)$", function(case, layer)
    return lu[method](case.run, { score = case.class, layer = layer })
  end)
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
    return lu.gradcam(case.run, { score = case.class, layer = layer,
                                  dialect = "captum" })
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
  local function ig(case, rule, n, base, more)
    local opts = { score = case.class, rule = rule, steps = tonumber(n),
                   baseline = baseline(case, base) }
    local function map() return lu.integrated_gradients(case.run, opts) end
    if not more then return once(case, ("ig %s %s %s"):format(rule, n, base), map) end
    for key, value in pairs(more) do opts[key] = value end
    return map()
  end
  test("^integrated_gradients_([%a_]+)(%d+)_" .. BASE .. "$", ig)
  test("^integrated_gradients_([%a_]+)(%d+)_" .. BASE .. "_nomul$",
       function(case, r, n, b)
    return ig(case, r, n, b, { multiply = false })
  end)
  test("^integrated_gradients_([%a_]+)(%d+)_" .. BASE .. "_delta$", function(case, ...)
    return lu.tensor { ig(case, ...).story.delta[1] }
  end, "delta")
  test("^pair_integrated_gradients_(%d+)_" .. BASE .. "$", function(case, n, base)
    return ig(case, "linspace", n, base)
  end)
  test("^xrai_base_riemann_middle(%d+)_min_max$", function(case, n)
    local s = case.input:stats()
    return (ig(case, "riemann_middle", n, s.min) + ig(case, "riemann_middle", n, s.max))
      / 2
  end)
  test("^xrai_(%a+)_mindiff(%d+)_dilate(%d+)(.*)$",
       function(case, mode, least, by, rank)
    local base = case.stored "xrai_base"
    return lu.xrai(case.run, { score = case.class, mode = mode, base = base,
      min_diff = tonumber(least), dilate = tonumber(by), rank = rank == "_rank",
      labels = case.given "xrai_labels" })
  end)
  test("^expected_gradients_s(%d+)$", function(case, samples)
    return lu.expected_gradients(case.run, { score = case.class,
      samples = tonumber(samples), baselines = case.given "eg_baselines",
      alphas = case.given "eg_alphas", index = case.given "eg_index" })
  end)
  test("^gradient_shap_s(%d+)_sigma([%d.]+)$", function(case, samples, sigma)
    return lu.gradient_shap(case.run, { score = case.class, sigma = tonumber(sigma),
      samples = tonumber(samples), baselines = case.given "eg_baselines",
      alphas = case.given "eg_alphas", index = case.given "eg_index",
      draws = case.given "noise" })
  end)
  local hows = { smoothgrad = "mean", smoothgrad_sq = "mean_square",
                 vargrad = "variance" }
  for key, how in pairs(hows) do
    test("^" .. key .. "_n(%d+)_sigma([%d.]+)$", function(case, n, sigma)
      return lu.smoothgrad(case.run, { score = case.class, how = how,
        samples = tonumber(n), sigma = tonumber(sigma), draws = case.given "noise" })
    end)
  end
  test("^smoothgrad_n(%d+)_sigma([%d.]+)_of_integrated_gradients_([%a_]+)(%d+)_"
       .. BASE .. "$",
       function(case, n, sigma, rule, steps, base)
    return lu.smoothgrad(case.run, { score = case.class, samples = tonumber(n),
      sigma = tonumber(sigma), draws = case.given "noise", of = "integrated_gradients",
      with = { rule = rule, steps = tonumber(steps),
               baseline = baseline(case, base) } })
  end)
  test("^tkv_smoothgrad_n(%d+)_level([%d.]+)$", function(case, n, level)
    return lu.smoothgrad(case.run, { score = case.class, samples = tonumber(n),
      noise = tonumber(level), draws = case.given "noise",
      with = { keepdims = true, normalize = false } }):max { dims = { 2 } }:normalize()
  end)
  test("^zennit_smoothgrad_n(%d+)_level([%d.]+)$", function(case, n, level)
    return lu.smoothgrad(case.run, { score = case.class, samples = tonumber(n),
      noise = tonumber(level), draws = case.given "noise", last_clean = true })
  end)
  test("^blur_ig_(%d+)_maxsigma([%d.]+)(.*)$", function(case, n, sigma, root)
    return lu.blur_ig(case.run, { score = case.class, steps = tonumber(n),
      max_sigma = tonumber(sigma), sqrt = root == "_sqrt" })
  end)
  test("^guided_ig_(%d+)_fraction([%d.]+)_maxdist([%d.]+)_" .. BASE .. "$",
       function(case, n, fraction, far, base)
    return lu.guided_ig(case.run, { score = case.class, steps = tonumber(n),
      fraction = tonumber(fraction), max_dist = tonumber(far),
      baseline = baseline(case, base) })
  end)

  test("^deeplift_rescale_" .. BASE .. "$", function(case, base)
    return lu.deeplift(case.run, { score = case.class, baseline = baseline(case, base) })
  end)
  test("^layer_deeplift_rescale_" .. BASE .. "@(.+)$", function(case, base, layer)
    return lu.layer_deeplift(case.run, { score = case.class, layer = layer,
                                         baseline = baseline(case, base) })
  end)

  -- class activation maps
  for key, method in pairs { gradcam = "gradcam", layercam = "layercam",
      hirescam = "hirescam", xgradcam = "xgradcam", gradcam_plus_plus = "gradcam_pp",
      elementwise_gradcam = "elementwise_gradcam", scorecam = "scorecam",
      ablationcam = "ablationcam", fem = "fem", kpca_cam = "kpca_cam",
      seg_eigen_cam = "seg_eigen_cam", finer_cam = "finer_cam",
      shapley_cam = "shapley_cam" } do
    cam(test, key, method)
  end
  for key, method in pairs { eigencam = "eigencam", eigengradcam = "eigengradcam" } do
    cam_of_either_sign(test, key, method)
  end
  for _, method in ipairs { "gradcam", "layercam" } do
    cam_of_either_sign(test, method .. "_eigen_smooth", method, { eigen_smooth = true })
  end
  -- alpha has a pole at g sum A = -2 (6e-4 away from a place of tiny_vgg's relu_1_2).
  -- Gradients of VGG16 are within 5e-6 of their size of float64's.
  test("^tkv_gradcam_plus_plus@(.+)$", function(case, layer)
    local row, o = lu.methods.gradcam_pp, { score = case.class, layer = layer,
      dialect = "tf-keras-vis" }
    if not case.try then return row(case.run, o) end
    local A = case.run:activation(layer):detach()
    local g = case.run:gradient { score = case.class, wrt = layer }
    local noise = lu.core.normal(case.try, 0, g:shape()) * g:ne(0)
    g = g + noise * (5e-6 * g:stats().l2 / g:size() ^ 0.5)
    o.relu, o.expand, o.normalize = true, true, true
    local cam = (A * row.weights(A, g, case.run, o)):sum { dims = { 2 } }
    return row.finish["tf-keras-vis"](cam, o, case.run)
  end, nil, true)
  tkv_cam(test, "layercam", "layercam")
  tkv_cam(test, "scorecam", "scorecam")
  test("^tkv_faster_scorecam_max(%d+)@(.+)$", function(case, most, layer)
    return lu.scorecam(case.run, { score = case.class, layer = layer,
                                   most = tonumber(most) })
  end)
  test("^tkv_faster_scorecam_max(%d+)_channels@(.+)$", function(case, most, layer)
    local story = lu.scorecam(case.run, { score = case.class, layer = layer,
                                          most = tonumber(most) }).story
    return lu.tensor(story.channels[1]) - 1
  end, 0)
  test("^tkv_faster_scorecam_max(%d+)_weights@(.+)$", function(case, most, layer)
    return lu.tensor(lu.scorecam(case.run, { score = case.class, layer = layer,
      most = tonumber(most) }).story.weights[1])
  end)
  test("^random_cam@(.+)$", function(case, layer)
    return lu.random_cam(case.run, { layer = layer, dialect = "pytorch-grad-cam",
                                     weights = case.given("random_weights@" .. layer) })
  end)
  test("^random_cam_raw@(.+)$", function(case, layer)
    return lu.random_cam(case.run, { layer = layer, raw = true,
                                     weights = case.given("random_weights@" .. layer) })
  end)
  test("^finer_cam_alpha([%d.]+)_ranks(.+)@(.+)$", function(case, alpha, list, layer)
    local ranks = {}
    for rank in list:gmatch "%d+" do ranks[#ranks + 1] = tonumber(rank) end
    return lu.finer_cam(case.run, { score = case.class, layer = layer,
      alpha = tonumber(alpha), ranks = ranks, raw = list:find "_raw$" ~= nil,
      dialect = "pytorch-grad-cam" })
  end)
  test("^finer_classes$", function(case)
    local z = case.run.output:detach()[1]
    local order = (-(z - z[case.class + 1]):abs()):argsort()
    return order:rows(1, 4) - 1
  end, 0)
  for key, score in pairs { softmax = softmax_of, rest = rest_of } do
    for _, method in ipairs { "gradcam", "shapley_cam" } do
      test("^" .. method .. "_" .. key .. "(.-)@([^+]+)$", function(case, raw, layer)
        return lu[method](case.run, { score = score(case.class), layer = layer,
          raw = raw == "_raw", dialect = "pytorch-grad-cam" })
      end)
    end
  end
  test("^gradcam_aug_smooth@(.+)$", function(case, layer)
    return lu.gradcam(case.run, { score = case.class, layer = layer, aug_smooth = true,
                                  dialect = "pytorch-grad-cam" })
  end)
  test("^gradcam_aug_smooth_raw@(.+)$", function(case, layer)
    local x = (case.input * 1.1):flip { dims = { 4 } }
    return lu.gradcam(case.net:run(x, { modifiers = { "linear" } }),
                      { score = case.class, layer = layer, raw = true })
  end)
  for _, method in ipairs { "gradcam", "layercam", "refine_cam" } do
    test("^" .. method .. "@(.+%+.+)$", function(case, names)
      local list = {}
      for name in names:gmatch "[^+]+" do list[#list + 1] = name end
      return lu[method](case.run, { score = case.class, layer = list,
                                    dialect = "pytorch-grad-cam" })
    end)
  end
  test("^captum_layer_gradcam_relu@(.+)$", function(case, layer)
    return lu.gradcam(case.run, { score = case.class, layer = layer, relu = true,
                                  dialect = "captum" })
  end)
  for _, mode in ipairs { "nearest", "bilinear", "bicubic" } do
    test("^captum_layer_gradcam_" .. mode .. "@(.+)$", function(case, layer)
      local map = lu.gradcam(case.run, { score = case.class, layer = layer,
                                         dialect = "captum" })
      return map:resize(case.net.input[2], case.net.input[3], { mode = mode })
    end)
  end
  test("^captum_guided_gradcam(.-)@(.+)$", function(case, mode, layer)
    return lu.guided_gradcam(case.run, { score = case.class, layer = layer,
                                         mode = mode == "" and "nearest" or mode:sub(2) })
  end)

  -- perturbations
  local function occlusion(case, window, stride, base, more)
    local opts = { score = case.class, window = window, stride = stride,
                   baseline = baseline(case, base) }
    for key, value in pairs(more or {}) do opts[key] = value end
    return lu.occlusion(case.run, opts)
  end
  test("^occlusion_window(%d+)_stride(%d+)_(.+)$", function(case, w, s, base)
    return occlusion(case, tonumber(w), tonumber(s), base)
  end)
  test("^occlusion_window(%d+)x(%d+)_stride(%d+)x(%d+)_(.+)$",
       function(case, h, w, sh, sw, base)
    return occlusion(case, { tonumber(h), tonumber(w) }, { tonumber(sh), tonumber(sw) },
                     base)
  end)
  test("^occlusion_perchannel_window(%d+)_stride(%d+)_(.+)$",
       function(case, w, s, base)
    return occlusion(case, tonumber(w), tonumber(s), base, { channelwise = true })
  end)
  test("^zennit_occlusion_keep_window(%d+)_stride(%d+)$", function(case, w, s)
    return occlusion(case, tonumber(w), tonumber(s), "zero", { keep = true })
  end)
  test("^pair_occlusion_size(%d+)_zero$", function(case, w)
    return occlusion(case, tonumber(w), 1, "zero", { sum = true })
  end)
  local function ablation(case, base)
    return lu.feature_ablation(case.run, { score = case.class,
      segments = case.given "segments", baseline = baseline(case, base) })
  end
  test("^feature_ablation_segments%d+_" .. BASE .. "$", ablation)
  test("^feature_ablation_segments%d+_" .. BASE .. "_values$", function(case, base)
    return lu.tensor(ablation(case, base).story.values[1])
  end)
  local function shapley(case, count, base, more)
    local opts = { score = case.class, segments = case.given("segments" .. count),
                   baseline = baseline(case, base) }
    for key, value in pairs(more or {}) do opts[key] = value end
    return lu.tensor(lu.shapley(case.run, opts).story.values[1])
  end
  test("^shapley_exact_segments(%d+)_" .. BASE .. "$", shapley)
  test("^shapley_sampling_p%d+_segments(%d+)_" .. BASE .. "$",
       function(case, count, base)
    return shapley(case, count, base,
                   { permutations = case.given("permutations" .. count) })
  end)
  test("^shapley_coalitions_segments(%d+)_" .. BASE .. "$",
       function(case, count, base)
    local coalitions = require "lunette.explain.coalitions"
    local n = math.tointeger(tonumber(count))
    local rows = lu.zeros(1 << n, n)
    for c = 0, (1 << n) - 1 do
      for k = 0, n - 1 do rows:set(c + 1, k + 1, c >> k & 1) end
    end
    local o = { score = case.class, batch = 16, baseline = baseline(case, base) }
    return coalitions.values(case.run, o, case.given("segments" .. count), rows,
                             "coalitions")
  end)
  local function kernel_shap(case)
    return lu.kernel_shap(case.run, { score = case.class,
      segments = case.given "segments", coalitions = case.given "kernel_shap_samples" })
      .story
  end
  test("^kernel_shap_s%d+_segments%d+$", function(case)
    return lu.tensor(kernel_shap(case).values[1])
  end)
  test("^kernel_shap_s%d+_segments%d+_intercept$", function(case)
    return lu.tensor { kernel_shap(case).intercept[1] }
  end)
  test("^kernel_shap_scores$", function(case)
    return lu.tensor(kernel_shap(case).scores[1])
  end)
  local function lime(case, fit, alpha, kernel, width)
    return lu.lime(case.run, { score = case.class, segments = case.given "segments",
      coalitions = case.given "lime_samples", fit = fit, alpha = tonumber(alpha) or 1,
      kernel = kernel, width = tonumber(width) }).story
  end
  local key = "^lime_(%a+)([%d.]*)_(%a+)([%d.]+)_s%d+_segments%d+"
  test(key .. "$", function(case, ...) return lu.tensor(lime(case, ...).values[1]) end)
  test(key .. "_intercept$", function(case, ...)
    return lu.tensor { lime(case, ...).intercept[1] }
  end)
  test("^lime_scores$", function(case)
    return lu.tensor(lime(case, "linear", 1, "cosine", 1).scores[1])
  end)
  test("^lime_weights_(%a+)([%d.]+)$", function(case, kernel, width)
    return lu.tensor(lime(case, "linear", 1, kernel, width).weights[1])
  end)
  local function rise(case, what, over, keep)
    local class, score = case.class, case.class
    if what == "prob" then score = softmax_of(class) end
    if what == "sigmoid" then
      score = lu.score.new("sigmoid", function(z)
        return z:sigmoid():narrow { dim = 2, start = class + 1, length = 1 }
      end)
    end
    return lu.rise(case.run, { score = score, over = over, keep = tonumber(keep),
                               masks = case.given "rise_masks" })
  end
  test("^rise_(%a+)_over_n$", function(case, what) return rise(case, what, "count") end)
  test("^rise_(%a+)_over_np$", function(case, what) return rise(case, what, "mean") end)
  test("^rise_(%a+)_over_np([%d.]+)$", function(case, what, keep)
    return rise(case, what, "keep", keep)
  end)
  test("^rise_(%a+)_over_masksum$", function(case, what)
    return rise(case, what, "masks")
  end)
  test("^rise_scores_(%a+)$", function(case, what)
    return lu.tensor(rise(case, what, "count").story.scores[1])
  end)

  -- layers and neurons
  test("^fullgrad$", function(case)
    return lu.fullgrad(case.run, { score = case.class })
  end)
  test("^layer_activation@(.+)$", function(case, layer)
    return lu.activation(case.run, { layer = layer })
  end)
  test("^layer_gradient_x_activation@(.+)$", function(case, layer)
    return lu.gradient_x_activation(case.run, { score = case.class, layer = layer })
  end)
  test("^layer_integrated_gradients_([%a_]+)(%d+)_" .. BASE .. "@(.+)$",
       function(case, rule, n, base, layer)
    local map = lu.layer_integrated_gradients(case.run, { score = case.class,
      layer = layer, rule = rule, steps = tonumber(n), baseline = baseline(case, base) })
    -- flat areas of a photograph, and what a zero baseline makes of them, tie in a
    -- 2x2 pool's window all along the path; which of the equal places gets the
    -- gradient is then all that differs: the sums over the windows are compared
    if map:distance(case.want) < 1e-4 then return map end
    local function windows(t) return t:avg_pool2d { kernel = 2, stride = 2 } end
    case.want = windows(case.want)
    return windows(map)
  end)
  for key, method in pairs { layer_conductance = "conductance",
                             internal_influence = "internal_influence" } do
    test("^" .. key .. "_([%a_]+)(%d+)_" .. BASE .. "@(.+)$",
         function(case, rule, n, base, layer)
      return lu[method](case.run, { score = case.class, layer = layer, rule = rule,
        steps = tonumber(n), baseline = baseline(case, base) })
    end)
  end
  test("^neuron_conductance_([%a_]+)(%d+)_" .. BASE .. "@(.+)%[(%d+),(%d+),(%d+)%]$",
       function(case, rule, n, base, layer, k, y, x)
    return lu.neuron_conductance(case.run, { score = case.class, layer = layer,
      unit = { k + 1, y + 1, x + 1 }, rule = rule, steps = tonumber(n),
      baseline = baseline(case, base) })
  end)
  test("^layer_feature_ablation_channels_zero@(.+)$", function(case, layer)
    return lu.layer_ablation(case.run, { score = case.class, layer = layer })
  end)
  local place = "@(.+)%[(%d+),(%d+),(%d+)%]$"
  test("^neuron_gradient" .. place, function(case, ...)
    return case.run:gradient { score = neuron(...) }
  end)
  for key, rule in pairs { guided_backprop = "guided", deconvolution = "deconvnet" } do
    test("^neuron_" .. key .. place, function(case, ...)
      return case.run:gradient { score = neuron(...), modifiers = { rule } }
    end)
  end
  test("^neuron_integrated_gradients_([%a_]+)(%d+)_" .. BASE .. place,
       function(case, rule, n, base, ...)
    return lu.integrated_gradients(case.run, { score = neuron(...), rule = rule,
      steps = tonumber(n), baseline = baseline(case, base) })
  end)
end
