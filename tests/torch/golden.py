#!/usr/bin/python3
# Reference values that no golden file has: of other classes, layers, counts, windows and baselines, which are drawn. Written
# again in float64 from the formulas, in the golden files' grammar (keys: tests/golden). Arguments: the weights of Tiny VGG
# (safetensors), the file to write, a seed.
import json
import struct
import sys
from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F

weights, target, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
torch.manual_seed(seed)
rng = np.random.default_rng(seed)
TYPES = {"F32": np.float32, "F16": np.float16}


def read(path):
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        body = f.read()
    return {k: torch.from_numpy(np.frombuffer(body[slice(*e["data_offsets"])], TYPES[e["dtype"]]).reshape(e["shape"])
                                .astype(np.float64)) for k, e in head.items() if k != "__metadata__"}


P = read(weights)
LAYERS = ("conv_1_1", "relu_1_1", "conv_1_2", "relu_1_2", "max_pool_1", "conv_2_1", "relu_2_1", "conv_2_2", "relu_2_2",
          "max_pool_2")
found = {}


def put(key, value):
    found[key] = torch.as_tensor(value).detach().numpy().astype(np.float32)


def given(key, value):
    """What is given is used as it is stored: float32."""
    put(key, value)
    return torch.from_numpy(found[key].astype(np.float64))


def step(name, v):
    if name.startswith("conv"):
        return F.conv2d(v, P[name + ".weight"], P[name + ".bias"])
    return v.relu() if name.startswith("relu") else F.max_pool2d(v, 2)


def until(layer, v):
    for name in LAYERS[:LAYERS.index(layer) + 1]:
        v = step(name, v)
    return v


def after(layer, v):
    for name in LAYERS[LAYERS.index(layer) + 1:] if layer else LAYERS:
        v = step(name, v)
    return v.flatten(1) @ P["output.weight"].T + P["output.bias"]


def logits(v):
    return after(None, v)


def gradient(f, v):
    v = v.detach().requires_grad_(True)
    return torch.autograd.grad(f(v).sum(), v)[0]


def quadrature(rule, n):
    if rule == "gausslegendre":
        t, w = np.polynomial.legendre.leggauss(n)
        return list(zip((1 + t) / 2, w / 2))
    at = {"riemann_left": 0, "riemann_right": 1, "riemann_middle": 0.5}[rule]
    return [((i + at) / n, 1 / n) for i in range(n)]


def count(low, high):
    return int(rng.integers(low, high + 1))


def pick(*words):
    return words[count(0, len(words) - 1)]


def scaled(a, eps=1e-7):
    return (a - a.min()) / (a.max() - a.min() + eps)


# Smooth, with noise: no flat areas, so no ties.
x = given("scene/input", F.interpolate(torch.randn(1, 3, 9, 9), size=(64, 64), mode="bicubic") * 0.3 + 0.5
          + torch.randn(1, 3, 64, 64) * 0.05)
blurred = given("scene/given/blurred", F.avg_pool2d(F.pad(x, (4,) * 4, mode="replicate"), 9, 1))
put("scene/logits", logits(x))


def base(word):
    return blurred if word == "blurred" else torch.full_like(x, 0.0 if word == "zero" else float(word[5:]))


def paths(key, s):
    for rule in ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle"):
        n = count(3, 19)
        # a constant picture, where riemann_left begins, is all ties
        word = "blurred" if rule == "riemann_left" else pick("blurred", "const0.35", "const-0.2")
        b = base(word)
        g = sum(w * gradient(s, b + a * (x - b)) for a, w in quadrature(rule, n))
        name = f"{key}/integrated_gradients_{rule}{n}_{word}"
        put(name, g * (x - b))
        put(name + "_delta", [(g * (x - b)).sum() - (s(x) - s(b)).sum()])
    n = count(5, 15)
    put(f"{key}/pair_integrated_gradients_{n}_blurred",
        (x - blurred) * sum(gradient(s, blurred + a * (x - blurred)) for a in np.linspace(0, 1, n)) / n)
    n, sigma = count(2, 7), pick(0.05, 0.3)
    noise = given("given/noise", torch.randn(n, 3, 64, 64))
    each = torch.stack([gradient(s, x + sigma * e) for e in noise])
    put(f"{key}/smoothgrad_n{n}_sigma{sigma}", each.mean(0))
    put(f"{key}/smoothgrad_sq_n{n}_sigma{sigma}", (each ** 2).mean(0))
    put(f"{key}/vargrad_n{n}_sigma{sigma}", (each ** 2).mean(0) - each.mean(0) ** 2)
    level = pick(0.1, 0.35)
    each = [gradient(s, x + level * (x.max() - x.min()) * e).abs() for e in noise]
    put(f"{key}/tkv_smoothgrad_n{n}_level{level}", scaled((sum(each) / n).amax(1)))
    bases = given("given/eg_baselines", torch.rand(4, 3, 1, 1))
    alphas, index = given("given/eg_alphas", torch.rand(n)), given("given/eg_index", torch.randint(0, 4, (n,)))
    triples = [(a, bases[int(i)][None].expand_as(x), e) for a, i, e in zip(alphas, index, noise)]
    put(f"{key}/expected_gradients_s{n}", sum((x - b) * gradient(s, b + a * (x - b)) for a, b, _ in triples) / n)
    put(f"{key}/gradient_shap_s{n}_sigma{sigma}", sum(
        (x + sigma * e - b) * gradient(s, a * (x + sigma * e) + (1 - a) * b) for a, b, e in triples) / n)


def cams(key, cls):
    for layer in ("relu_1_1", "max_pool_1", "relu_2_1", "max_pool_2"):
        a = until(layer, x)
        g = gradient(lambda v: after(layer, v)[:, cls], a)
        clean, n = after(layer, a)[0, cls], a.shape[1]
        mean, g2 = g.mean((2, 3), keepdim=True), g ** 2
        total = a.sum((2, 3), keepdim=True)
        w = torch.where(g != 0, g2 / (2 * g2 + total * g ** 3 + 1e-6), torch.zeros(()))
        without = a.repeat(n, 1, 1, 1)
        without[range(n), range(n)] = 0 if float(a.min()) == 0 else float(a.min()) - 1e7
        fall = (clean - after(layer, without)[:, cls]) / clean
        large = F.interpolate(a, size=(64, 64), mode="bilinear", align_corners=True)[0]
        lo, hi = large.amin((1, 2), True), large.amax((1, 2), True)
        scores = logits(x * ((large - lo) / (hi - lo + 1e-8))[:, None])[:, cls].softmax(0)
        sd = a.std((2, 3), unbiased=False, keepdim=True)
        fem = (a > a.mean((2, 3), keepdim=True) + 2 * sd).double().mean((2, 3), keepdim=True)
        maps = {"gradcam": mean * a, "hirescam": g * a, "layercam": g.relu() * a, "elementwise_gradcam": (g * a).relu(),
                "xgradcam": a * (g * a).sum((2, 3), keepdim=True) / (total + 1e-7),
                "gradcam_plus_plus": a * (g.relu() * w).sum((2, 3), keepdim=True), "fem": fem * a,
                "ablationcam": a * fall.view(1, -1, 1, 1), "scorecam": a * scores.view(1, -1, 1, 1)}
        for name, m in maps.items():
            cam = m.sum(1)
            put(f"{key}/{name}_raw@{layer}", cam)
            small = F.interpolate(scaled(cam.relu())[:, None], size=(64, 64), mode="bilinear", align_corners=False)[:, 0]
            put(f"{key}/{name}@{layer}", scaled(small.relu()))
        put(f"{key}/layer_gradient_x_activation@{layer}", g * a)
        put(f"{key}/layer_feature_ablation_channels_zero@{layer}",
            [clean - after(layer, torch.cat([a[:, :k], 0 * a[:, :1], a[:, k + 1:]], 1))[0, cls] for k in range(n)])


def layers(key, cls, s):
    n, layer = count(4, 11), pick("relu_1_1", "max_pool_1", "max_pool_2")
    points = quadrature("gausslegendre", n)
    b = until(layer, base("const0.35"))
    a = until(layer, x)
    put(f"{key}/layer_integrated_gradients_gausslegendre{n}_const0.35@{layer}", (a - b) * sum(
        w * gradient(lambda v: after(layer, v)[:, cls], b + t * (a - b)) for t, w in points))
    b = base("const0.35")
    put(f"{key}/internal_influence_gausslegendre{n}_const0.35@{layer}", sum(
        w * gradient(lambda v: after(layer, v)[:, cls], until(layer, b + t * (x - b))) for t, w in points))
    at = [until(layer, b + t * (x - b)) for t, _ in quadrature("gausslegendre", n + 1)]
    put(f"{key}/layer_conductance_gausslegendre{n}_const0.35@{layer}", sum(
        gradient(lambda v: after(layer, v)[:, cls], at[i]) * (at[i + 1] - at[i]) for i in range(n)))
    k, y, c = count(0, 9), count(0, a.shape[2] - 1), count(0, a.shape[3] - 1)
    place = f"{layer}[{k},{y},{c}]"
    put(f"scene/neuron_gradient@{place}", gradient(lambda v: until(layer, v)[:, k, y, c], x))
    influence = sum(w * gradient(lambda v: after(layer, v)[:, cls], until(layer, t * x))[0, k, y, c]
                    * gradient(lambda v: until(layer, v)[:, k, y, c], t * x) for t, w in points)
    put(f"{key}/neuron_conductance_gausslegendre{n}_zero@{place}", x * influence)


def windows(size, window, stride):
    return [min(i * stride, size) for i in range(-(-max(size - window, 0) // stride) + 1)]


def perturbations(key, s):
    clean = s(x)[0]
    for _ in range(2):
        h, w, sh, sw = count(5, 20), count(5, 20), count(3, 5), count(3, 5)
        word = pick("const-0.3", "const0.75", "zero", "blurred")
        fall, times = torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
        for top in windows(64, h, sh):
            for left in windows(64, w, sw):
                hidden = x.clone()
                hidden[..., top:top + h, left:left + w] = base(word)[..., top:top + h, left:left + w]
                fall[..., top:top + h, left:left + w] += clean - s(hidden)[0]
                times[..., top:top + h, left:left + w] += 1
        put(f"{key}/occlusion_window{h}x{w}_stride{sh}x{sw}_{word}", (fall / times)[:, 0])
    m = count(5, 7)
    labels = given("given/segments" + str(m), torch.from_numpy(rng.integers(0, m, (8, 8)).repeat(8, 0).repeat(8, 1)))
    word = pick("zero", "blurred", "const0.4")
    b = base(word)
    values = torch.stack([s(torch.where(sum((labels == k) * (c >> k & 1) for k in range(m)) > 0, x, b))[0]
                          for c in range(2 ** m)])
    put(f"{key}/shapley_coalitions_segments{m}_{word}", values)
    orders = np.stack([rng.permutation(m) for _ in range(count(2, 6))])
    given(f"given/permutations{m}", orders)

    def shares(of):
        total = torch.zeros(m)
        for order in of:
            c = 0
            for k in order:
                total[k] += values[c | 1 << int(k)] - values[c]
                c |= 1 << int(k)
        return total / len(of)

    put(f"{key}/shapley_exact_segments{m}_{word}", shares(list(permutations(range(m)))))
    put(f"{key}/shapley_sampling_p{len(orders)}_segments{m}_{word}", shares(orders))
    g = pick(3, 6)
    cells = given("given/segments", torch.arange(64).mul(g).div(64, rounding_mode="floor").view(-1, 1) * g
                  + torch.arange(64).mul(g).div(64, rounding_mode="floor"))
    word = pick("zero", "blurred", "const0.4")
    falls = torch.stack([clean - s(torch.where(cells == k, base(word), x))[0] for k in range(g * g)])
    put(f"{key}/feature_ablation_segments{g * g}_{word}_values", falls)
    put(f"{key}/feature_ablation_segments{g * g}_{word}", falls[cells.long()][None])
    n = 2 * g * g + count(3, 20)
    rows = torch.from_numpy(rng.integers(0, 2, (n, g * g))).double()
    rows[0], rows[1] = 1, 0
    rows = given("given/kernel_shap_samples", rows)
    scores = torch.cat([s(x * r[cells.long()]) for r in rows])
    put(f"{key}/kernel_shap_scores", scores)
    weight = torch.where((rows.sum(1) == 0) | (rows.sum(1) == g * g), 1e3, 1.0).view(-1, 1)
    fit = torch.linalg.lstsq(torch.cat([torch.ones(n, 1), rows], 1) * weight, scores.view(-1, 1) * weight).solution[:, 0]
    put(f"{key}/kernel_shap_s{n}_segments{g * g}", fit[1:])
    put(f"{key}/kernel_shap_s{n}_segments{g * g}_intercept", fit[:1])


def write(path):
    head, body = {"__metadata__": {"model": "tiny_vgg"}}, b""
    for key in sorted(found):
        data = np.ascontiguousarray(found[key]).tobytes()
        head[key] = {"dtype": "F32", "shape": list(found[key].shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


chosen = count(0, 9)
prefix, score = f"scene/{chosen}", lambda v: logits(v)[:, chosen]
paths(prefix, score)
cams(prefix, chosen)
layers(prefix, chosen, score)
perturbations(prefix, score)
write(target)
