-- Reference values of metrics: maps and masks, perturbations and subsets are given.
local lu = require "lunette"

local metrics = lu.metrics


---The map that a key is about.
local function map(case, name) return case.stored("map/" .. name) end


local function one(value) return lu.tensor { value } end


---What `zero`, `blurred` and `colour` stand for.
local function baseline(case, word)
  if word == "blurred" then return case.given "blurred" end
  if word == "colour" then return case.given("baseline_colour"):view(3, 1, 1) end
  return word
end


---The class, for a run that asks for its logit or its probability.
local function asks(case, what, more)
  local o = { score = case.class }
  for key, value in pairs(more or {}) do o[key] = value end
  return what == "prob" and case.softmax or case.run, o
end


---The methods that keys name, as functions.
local function gradient(run, o)
  return run:gradient { score = o.score, modifiers = o.modifiers }
end

local methods = {
  gradient = gradient,
  saliency_abs = function(run, o) return gradient(run, o):abs() end,
  integrated_gradients_riemann_middle8_zero = function(run, o)
    return lu.integrated_gradients(run, { score = o.score, rule = "riemann_middle",
                                          steps = 8, modifiers = o.modifiers })
  end,
}


return function(test)
  -- orders and scales
  test("^map/gradient$", function(case) return gradient(case.run, { score = case.class }) end)
  test("^order@(.+)$", function(case, name)
    local m = map(case, name)
    return (m:view(m:size()):argsort()) - 1
  end, 0)
  test("^scaled@(.+)$", function(case, name)
    return require("lunette.explain.covered").scaled(map(case, name))
  end)

  -- curves
  for name, row in pairs { deletion = metrics.deletion, insertion = metrics.insertion } do
    local key = "^" .. name .. "_(%a+)_steps(%d+)_(%a+)"
    local function curve(case, base, steps, what, of)
      return row(map(case, of), asks(case, what, { steps = tonumber(steps),
        baseline = baseline(case, base) }))
    end
    test(key .. "@(.+)$", function(...)
      local _, _, curves = curve(...)
      return lu.tensor(curves[1])
    end)
    test(key .. "_auc@(.+)$", function(...) return one((curve(...))) end)
  end

  local function flipping(case, features, what, of)
    return metrics.pixel_flipping(map(case, of),
                                  asks(case, what, { features = tonumber(features) }))
  end
  test("^pixel_flipping_features(%d+)_zero_(%a+)@(.+)$", function(...)
    local _, _, curves = flipping(...)
    return lu.tensor(curves[1])
  end)
  test("^pixel_flipping_features(%d+)_zero_(%a+)_auc_dx1@(.+)$", function(...)
    local area, _, curves = flipping(...)
    return one(area * (#curves[1] - 1))
  end)

  local function monotonicity(case, features, what, of)
    return metrics.monotonicity(map(case, of),
                                asks(case, what, { features = tonumber(features) }))
  end
  local key = "^monotonicity_arya_features(%d+)_zero_(%a+)"
  test(key .. "@(.+)$", function(...)
    local _, _, whole = monotonicity(...)
    return one(whole[1] and 1 or 0)
  end)
  test(key .. "_share@(.+)$", function(...) return one((monotonicity(...))) end)
  test(key .. "_curve@(.+)$", function(...)
    local _, _, _, curves = monotonicity(...)
    return lu.tensor(curves[1])
  end)

  -- subsets and perturbations
  local function correlation(case, of)
    return metrics.faithfulness_correlation(map(case, of),
      asks(case, "logit", { subsets = case.given "subsets" }))
  end
  test("^faithfulness_correlation_runs%d+_subset%d+_zero@(.+)$", function(...)
    return one((correlation(...)))
  end)
  test("^faithfulness_correlation_deltas@(.+)$", function(...)
    local _, _, falls = correlation(...)
    return lu.tensor(falls[1])
  end)
  test("^infidelity_n%d+(.-)@(.+)$", function(case, how, of)
    return one((metrics.infidelity(map(case, of), asks(case, "logit", {
      draws = case.given "perturbations", normalize = how == "_normalized" }))))
  end)
  for name, row in pairs { sensitivity_max = metrics.sensitivity_max,
                           sensitivity_avg = metrics.sensitivity_avg,
                           local_lipschitz = metrics.local_lipschitz } do
    test("^" .. name .. "_n%d+(.-)_of_(.+)$", function(case, how, of)
      local m = methods[of](case.run, { score = case.class })
      return one((row(m, asks(case, "logit", { method = methods[of],
        draws = case.given "small_perturbations",
        normalize = how == "_normalised" }))))
    end)
  end
  test("^completeness_delta_zero@(.+)$", function(case, of)
    local _, _, delta = metrics.completeness(map(case, of),
                                             asks(case, "logit"))
    return one(delta[1])
  end, "delta")

  -- the picture under its map
  local function drop(case, what, of)
    return metrics.average_drop(map(case, of), asks(case, what))
  end
  test("^average_drop_percent_(%a+)@(.+)$", function(...) return one(100 * drop(...)) end)
  test("^drop_in_confidence_(%a+)@(.+)$", function(...)
    local _, _, drops = drop(...)
    return one(drops[1])
  end)
  test("^increase_in_confidence_(%a+)@(.+)$", function(case, what, of)
    return one((metrics.increase(map(case, of), asks(case, what))))
  end)

  -- ROAD
  local function road(case, of, percentiles)
    return metrics.road(map(case, of), asks(case, "logit", { noise = 0,
      percentiles = percentiles or { 20, 40, 60, 80 } }))
  end
  local function numbers(text)
    local list = {}
    for n in text:gmatch "%d+" do list[#list + 1] = tonumber(n) end
    return list
  end
  for at, order in pairs { [5] = "morf", [6] = "lerf" } do
    test("^road_" .. order .. "_percentiles([%d_]+)@(.+)$", function(case, list, of)
      local all = table.pack(road(case, of, numbers(list)))
      return lu.tensor(all[at][1])
    end)
    test("^road_" .. order .. "_average@(.+)$", function(case, of)
      return one((select(at - 2, road(case, of)))[1])
    end)
  end
  test("^road_combined@(.+)$", function(...) return one((road(...))) end)
  test("^road_imputed_morf(%d+)@(.+)$", function(case, p, of)
    local gone = require("lunette.explain.road").removed(map(case, of), { tonumber(p) })
    return require("lunette.explain.impute").linear(case.input, gone)
  end)

  -- complexity
  test("^sparseness_gini@(.+)$", function(case, of)
    return one((metrics.sparseness(map(case, of))))
  end)
  test("^complexity_entropy@(.+)$", function(case, of)
    return one((metrics.complexity(map(case, of))))
  end)
  test("^effective_complexity_eps(.+)@(.+)$", function(case, eps, of)
    return one((metrics.effective_complexity(map(case, of), { least = tonumber(eps) })))
  end)

  -- with a mask
  local function masked(pattern, row, opts)
    test("^" .. pattern .. "@(.+)$", function(case, of)
      return one((row(map(case, of), case.given "mask", opts)))
    end)
  end
  masked("pointing_game", metrics.pointing)
  masked("relevance_rank_accuracy", metrics.relevance_rank)
  masked("relevance_mass_accuracy", metrics.relevance_mass)
  masked("relevance_mass_accuracy_abs", metrics.relevance_mass, { abs = true })
  masked("attribution_localisation_positive", metrics.energy)
  masked("auc_roc", metrics.auc_roc)
  test("^top(%d+)_intersection@(.+)$", function(case, k, of)
    return one((metrics.top_k(map(case, of), case.given "mask", { k = tonumber(k) })))
  end)

  -- two maps
  local function both(pattern, row, opts)
    test("^" .. pattern .. "@([^+]+)%+(.+)$", function(case, a, b)
      return one((row(map(case, a), map(case, b), opts)))
    end)
  end
  both("spearman", metrics.spearman)
  both("pearson", metrics.pearson)
  both("kendall_tau_b", metrics.kendall)
  both("cosine", metrics.cosine)
  both("ssim_win7_range", metrics.ssim, { window = 7, kernel = "uniform" })
  both("ssim_gaussian_sigma1.5_range", metrics.ssim)
  test("^top(%d+)_overlap@([^+]+)%+(.+)$", function(case, k, a, b)
    return one((metrics.top_overlap(map(case, a), map(case, b), { k = tonumber(k) })))
  end)

  -- weights drawn anew
  local function randomized(case, of)
    local m = of(case.run, { score = case.class })
    return one((metrics.parameter_randomization(m, asks(case, "logit", {
      method = of, how = "given", likeness = "spearman", params = {
        ["output.weight"] = case.given "output.weight",
        ["output.bias"] = case.given "output.bias" } }))))
  end
  test("^mprt_spearman_output_of_abs_gradient$", function(case)
    return randomized(case, methods.saliency_abs)
  end)
  test("^mprt_spearman_output_of_saliency$", function(case)
    return randomized(case, function(run, o)
      return methods.saliency_abs(run, o):max { dims = { 2 } }
    end)
  end)
  test("^map/gradient_randomised_output$", function(case)
    local copies = require "lunette.explain.copies"
    local net = copies.copy(case.net)
    for _, name in ipairs { "output.weight", "output.bias" } do
      net.params[name] = case.given(name)
    end
    local run <close> = net:run(case.input, { modifiers = { "linear" } })
    return gradient(run, { score = case.class })
  end)
  test("^map/integrated_gradients_sum$", function(case)
    return map(case, "integrated"):sum { dims = { 2 } }[1]
  end)
  test("^map/integrated_gradients$", function(case)
    return lu.integrated_gradients(case.run, { score = case.class, steps = 16 })
  end)
  test("^map/gradcam$", function(case)
    return lu.gradcam(case.run, { score = case.class, layer = "relu_2_2",
                                  dialect = "pytorch-grad-cam" })[1]
  end)
  test("^map/saliency$", function(case)
    return gradient(case.run, { score = case.class }):abs():max { dims = { 2 } }[1]
  end)
end
