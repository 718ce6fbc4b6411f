#!/usr/bin/python3
# Writes small networks as Keras 2 (.h5) and Keras 3 (.keras) do, with random weights, and what TensorFlow
# would answer, computed by torch in Keras' order of axes: input, output, gradient (.npy). Argument: a folder.
import functools, json, os, sys, zipfile
import h5py
import numpy as np
import torch
import torch.nn.functional as F

sys.dont_write_bytecode = True
from applications import networks, unsaid
from graph import in_order, snake

out = sys.argv[1]
rng = np.random.default_rng(7)
torch.set_default_dtype(torch.float64)


# What every class does, on (N,H,W,C); weights are what the layer keeps, in Keras' order.
def nchw(x): return x.permute(0, 3, 1, 2)
def nhwc(x): return x.permute(0, 2, 3, 1)
def pair(v): return tuple(v) if isinstance(v, (list, tuple)) else (v, v)


def same(x, k, s, d, value=0.0):
    pads = []
    for n, kk, ss, dd in zip(x.shape[2:], k, s, d):
        total = max((-(-n // ss) - 1) * ss + (kk - 1) * dd + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return F.pad(x, (pads[1][0], pads[1][1], pads[0][0], pads[0][1]), value=value)


def conv(x, w, b, c, groups=1):
    s, d = pair(c.get("strides", 1)), pair(c.get("dilation_rate", 1))
    x = nchw(x)
    if c.get("padding") == "same":
        x = same(x, w.shape[2:], s, d)
    return nhwc(F.conv2d(x, w, b, s, 0, d, groups))


def relu(x, c):
    t, most = c.get("threshold") or 0.0, c.get("max_value")
    return torch.where(x >= t, x if most is None else x.clamp(max=most), (c.get("negative_slope") or 0.0) * (x - t))


def sparsemax(x):  # by sorting, as its authors do
    z, k = torch.sort(x, -1, descending=True)[0], torch.arange(1, x.shape[-1] + 1)
    sums = z.cumsum(-1)
    n = (1 + k * z > sums).sum(-1, keepdim=True)
    return F.relu(x - (sums.gather(-1, n - 1) - 1) / n)


def act(x, name):
    if name == GELU_TANH: return F.gelu(x, approximate="tanh")
    if isinstance(name, dict): return run(name["class_name"], name["config"], [], [x])
    return {None: lambda v: v, "linear": lambda v: v, "relu": F.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
            "softmax": lambda v: F.softmax(v, -1), "elu": F.elu, "selu": F.selu, "softplus": F.softplus,
            "softsign": F.softsign, "swish": F.silu, "silu": F.silu, "gelu": F.gelu, "exponential": torch.exp,
            "mish": F.mish, "relu6": F.relu6, "celu": F.celu, "glu": F.glu, "sparsemax": sparsemax, "hard_tanh": F.hardtanh, "soft_shrink": F.softshrink,
            "hard_shrink": F.hardshrink, "tanh_shrink": F.tanhshrink, "log_sigmoid": F.logsigmoid,
            "squareplus": lambda v: (v + torch.sqrt(v * v + 4)) / 2, "sparse_sigmoid": lambda v: ((v + 1) / 2).clamp(0, 1),
            "sparse_plus": lambda v: torch.where(v <= -1, 0 * v, torch.where(v < 1, (v + 1) ** 2 / 4, v)), "leaky_relu": lambda v: F.leaky_relu(v, 0.2),
            "hard_silu": F.hardswish, "log_softmax": lambda v: F.log_softmax(v, -1),
            "hard_sigmoid": (lambda v: torch.clamp(0.2 * v + 0.5, 0, 1)) if keras == 2 else F.hardsigmoid}[name](x)


def pool(x, c, largest):
    k = pair(c.get("pool_size", 2))
    s = pair(c.get("strides") or k)
    x = nchw(x)
    if c.get("padding") == "same":
        if largest:
            x = same(x, k, s, (1, 1), -3e38)
        else:
            ones = same(torch.ones_like(x), k, s, (1, 1))
            return nhwc(F.avg_pool2d(same(x, k, s, (1, 1)), k, s) / F.avg_pool2d(ones, k, s))
    return nhwc(F.max_pool2d(x, k, s) if largest else F.avg_pool2d(x, k, s))


def run(cls, c, w, xs):
    if cls in ("Multiply", "Add", "Average"):  # what joins gives values of fewer axes ones in front
        xs = [torch.as_tensor(v) for v in xs]
        n = max(v.dim() for v in xs)
        xs = [v.reshape(v.shape[0], *[1] * (n - v.dim()), *v.shape[1:]) if v.dim() else v for v in xs]
    x = xs[0]
    t = [torch.tensor(v).double() for v in w]
    if cls == "Conv2D":
        y = conv(x, t[0].permute(3, 2, 0, 1), t[1] if len(t) > 1 else None, c, x.shape[-1] // t[0].shape[2])
        return act(y, c.get("activation"))
    if cls == "DepthwiseConv2D":
        h, v, ch, m = t[0].shape
        y = conv(x, t[0].permute(2, 3, 0, 1).reshape(ch * m, 1, h, v), t[1] if len(t) > 1 else None, c, ch)
        return act(y, c.get("activation"))
    if cls == "SeparableConv2D":
        h, v, ch, m = t[0].shape
        y = conv(x, t[0].permute(2, 3, 0, 1).reshape(ch * m, 1, h, v), None, c, ch)
        return act(conv(y, t[1].permute(3, 2, 0, 1), t[2] if len(t) > 2 else None, {}), c.get("activation"))
    if cls == "Dense":
        y = x @ t[0]
        return act(y + t[1] if len(t) > 1 else y, c.get("activation"))
    if cls == "BatchNormalization":
        t = list(t)
        gamma = t.pop(0) if c.get("scale", True) else 1.0
        beta = t.pop(0) if c.get("center", True) else 0.0
        return (x - t[0]) / torch.sqrt(t[1] + c.get("epsilon", 1e-3)) * gamma + beta
    if cls == "LayerNormalization":
        axis = c.get("axis", -1)
        axis = tuple(axis) if isinstance(axis, list) else axis
        m, v = x.mean(axis, keepdim=True), x.var(axis, unbiased=False, keepdim=True)
        return (x - m) / torch.sqrt(v + c.get("epsilon", 1e-3)) * t[0] + t[1]
    if cls == "Normalization":
        if "mean" in c and c["mean"] is not None:
            return (x - torch.tensor(c["mean"])) / torch.sqrt(torch.tensor(c["variance"]))
        return (x - t[0]) / torch.sqrt(t[1])
    if cls == "Rescaling":
        return x * torch.tensor(c["scale"]) + torch.tensor(c.get("offset", 0.0))
    if cls == "LayerScale":
        return x * t[0]
    if cls == "PReLU":
        return F.relu(x) + t[0] * torch.clamp(x, max=0)
    return {
        "Activation": lambda: act(x, c["activation"]),
        "ReLU": lambda: relu(x, c),
        "Threshold": lambda: torch.where(x > c["threshold"], x, torch.tensor(c["default_value"])),
        "GlobalMaxPooling1D": lambda: x.amax(1), "GlobalAveragePooling1D": lambda: x.mean(1),
        "LeakyReLU": lambda: F.leaky_relu(x, c.get("alpha", c.get("negative_slope", 0.3))),
        "ELU": lambda: F.elu(x, c.get("alpha", 1.0)), "Softmax": lambda: F.softmax(x, -1),
        "MaxPooling2D": lambda: pool(x, c, True), "AveragePooling2D": lambda: pool(x, c, False),
        "GlobalAveragePooling2D": lambda: x.mean((1, 2), keepdim=c.get("keepdims", False)),
        "GlobalMaxPooling2D": lambda: x.amax((1, 2), keepdim=c.get("keepdims", False)),
        "Flatten": lambda: (nchw(x) if c.get("_planes") else nhwc(x) if c.get("data_format") == "channels_first" else x).reshape(x.shape[0], -1),
        "ZeroPadding2D": lambda: F.pad(x, (0, 0, c["padding"][1][0], c["padding"][1][1],
                                           c["padding"][0][0], c["padding"][0][1])),
        "Cropping2D": lambda: x[:, c["cropping"][0][0]:x.shape[1] - c["cropping"][0][1],
                                c["cropping"][1][0]:x.shape[2] - c["cropping"][1][1]],
        "UpSampling2D": lambda: nhwc(F.interpolate(nchw(x), scale_factor=tuple(map(float, c["size"])),
                                                   mode=c.get("interpolation", "nearest"),
                                                   **({"align_corners": False} if c.get("interpolation") == "bilinear"
                                                      else {}))),
        "Reshape": lambda: x.reshape(x.shape[0], *(c["target_shape"] if "target_shape" in c else c["newshape"][1:])),
        "Permute": lambda: x.permute(0, *c["dims"]),
        "Dropout": lambda: x, "SpatialDropout2D": lambda: x, "GaussianNoise": lambda: x, "RandomFlip": lambda: x,
        "StochasticDepth": lambda: x,
        "Add": lambda: sum(xs[1:], x), "Subtract": lambda: xs[0] - xs[1],
        "Multiply": lambda: functools.reduce(lambda a, b: a * b, xs),
        "Average": lambda: sum(xs[1:], x) / len(xs), "Maximum": lambda: torch.maximum(xs[0], torch.as_tensor(xs[1])),
        "Minimum": lambda: torch.minimum(xs[0], xs[1]), "Concatenate": lambda: torch.cat(xs, -1),
        "TFOpLambda": lambda: x + ([*xs[1:], c.get("_y")][0]) if "add" in c["function"] else x * c["_y"],
        "Relu": lambda: F.relu(x), "Sigmoid": lambda: torch.sigmoid(x), "Silu": lambda: F.silu(x), "Gelu": lambda: F.gelu(x, approximate="tanh"),
        "LeakyRelu": lambda: F.leaky_relu(x, c["negative_slope"]), "Clip": lambda: x.clamp(c["x_min"], c["x_max"]),
        "TrueDivide": lambda: xs[0] / xs[1], "Negative": lambda: -x, "Absolute": lambda: abs(x), "Power": lambda: xs[0] ** xs[1],
        "Sqrt": lambda: torch.sqrt(x), "Transpose": lambda: x.permute(*c["axes"]),
        "Mean": lambda: x.mean(c["axis"], keepdim=c["keepdims"]), "Max": lambda: x.amax(c["axis"], keepdim=c["keepdims"]),
        "Sum": lambda: x.sum(c["axis"], keepdim=c["keepdims"]), "CustomScaleLayer": lambda: x + xs[1] * c["scale"],
        "Lambda": lambda: x + xs[1] * c["arguments"]["scale"],
    }[cls]()


# A layer: (name, class, config, inputs). Weights are made from what it reads.
def make_weights(cls, c, xs):
    def r(*s): return (rng.normal(0, 1, s) / max(1, np.prod(s[:-1])) ** 0.5).astype("f4")
    def plane(c, ch, m): return 1.5 * ch ** 0.5 * r(*pair(c["kernel_size"]), ch, m)  # each channel sums its own places
    x = xs[0]
    if not torch.is_tensor(x): return []
    ch = x.shape[-1]
    bias = c.get("use_bias", True)
    if cls == "Conv2D":
        k = pair(c["kernel_size"])
        return [1.5 * r(*k, ch // c.get("groups", 1), c["filters"])] + ([r(c["filters"])] if bias else [])
    if cls == "DepthwiseConv2D":
        m = c.get("depth_multiplier", 1)
        return [plane(c, ch, m)] + ([r(ch * m)] if bias else [])
    if cls == "SeparableConv2D":
        m = c.get("depth_multiplier", 1)
        return [plane(c, ch, m), 1.5 * r(1, 1, ch * m, c["filters"])] + ([r(c["filters"])] if bias else [])
    if cls == "Dense":
        return [r(ch, c["units"])] + ([r(c["units"])] if bias else [])
    if cls == "BatchNormalization":
        over = tuple(range(x.dim() - 1))  # near what training sees, so that values neither vanish nor grow with depth
        m, v = x.detach().mean(over).numpy(), x.detach().var(over, unbiased=False).numpy()
        w = [0.3 * r(ch) + 1] if c.get("scale", True) else []
        w += [0.3 * r(ch)] if c.get("center", True) else []
        return w + [(m + 0.2 * r(ch)).astype("f4"), (rng.uniform(0.7, 1.5, ch) * (v + m * m + 0.1)).astype("f4")]
    if cls == "LayerScale":
        return [r(ch) + 1]
    if cls == "LayerNormalization":
        size = x.shape[1:] if c.get("axis") == [1, 2, 3] else [ch]
        return [r(*size) + 1, r(*size)]
    if cls == "Normalization" and c.get("mean") is None:
        return [r(ch), rng.uniform(0.5, 2, ch).astype("f4")]
    if cls == "PReLU":
        shape = [1 if i + 1 in c.get("shared_axes", []) else d for i, d in enumerate(x.shape[1:])]
        return [r(*shape) * 0.5]
    return []


SLOTS = {"Conv2D": ["kernel", "bias"], "Dense": ["kernel", "bias"], "DepthwiseConv2D": ["depthwise_kernel", "bias"],
         "SeparableConv2D": ["depthwise_kernel", "pointwise_kernel", "bias"], "LayerNormalization": ["gamma", "beta"],
         "Normalization": ["mean", "variance"], "PReLU": ["alpha"], "LayerScale": ["Variable"]}


def slots(cls, c):
    if cls == "BatchNormalization":
        return (["gamma"] if c.get("scale", True) else []) + (["beta"] if c.get("center", True) else []) + \
            ["moving_mean", "moving_variance"]
    return SLOTS.get(cls, [])


# A network is { shape, layers }: layers read the one before unless they say so; "name:1" is the second output of a
# network among them; a layer that stands there again is called again, and "name#1" is what that puts out. `outputs` names several, `first` counts channels first throughout; a layer that says so itself
# (`data_format`, or `axis` 1) does among others. `planes`: the picture is (C,H,W).
def evaluate(net, x):
    values, last, kept, calls = {"input": x}, x, [], {}
    for name, cls, c, *reads in net["layers"]:
        calls[name] = calls.get(name, -1) + 1
        value = name + "#%d" % calls[name] if calls[name] else name
        xs = [values[n] if isinstance(n, str) else n for n in reads[0]] if reads else [last]
        if cls == "Model":
            outs, inner = evaluate(c, xs[0])
            last = outs[0]
            for i, v in enumerate(outs): values["%s:%d" % (name, i)] = v
            kept.append((name, inner))
        else:
            key = (id(net["layers"]), name)
            first = c.get("data_format") == "channels_first" and cls != "Flatten" or c.get("axis") == 1 and xs[0].dim() == 4
            if first: xs = [nhwc(v) for v in xs]
            if key not in weights:
                weights[key] = make_weights(cls, c, xs)
            last = run(cls, c, weights[key], xs)
            if first and last.dim() == 4: last = nchw(last)
            kept.append((name, weights[key]))
        values[value] = last
    return [values[n] for n in net.get("outputs", [net["layers"][-1][0]])], kept


def place(read):
    name, _, k = read.partition(":")
    name, _, node = name.partition("#")
    return [name, int(node or 0), int(k or 0)]


# Layers and their weights, those that are called again once.
def once(net, kept):
    seen = set()
    return [(l, k) for l, k in zip(net["layers"], kept) if not (l[0] in seen or seen.add(l[0]))]


def tensor3(read):
    if not isinstance(read, str): return read
    return {"class_name": "__keras_tensor__", "config": {"shape": [], "dtype": "float32", "keras_history": place(read)}}


# What Keras 3 says of a layer beside what is its own.
def extras3(cls, c):
    if keras == 2: return {}, {}
    dtype = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
    own = {"trainable": True, "dtype": dtype}
    if cls in ("Conv2D", "Dense"):
        own["kernel_initializer"] = {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": None},
                                     "registered_name": None}
    module = c.get("_module", "keras.layers")
    return {"module": module, "registered_name": cls if "_module" in c else None, "build_config": {"input_shape": [None]}}, own


counting = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D",
            "GlobalMaxPooling2D", "ZeroPadding2D", "Cropping2D", "UpSampling2D", "Flatten"}


# The config of a layer that counts channels first.
def planes(cls, c):
    c = dict(c)
    if cls in counting: c["data_format"] = "channels_last" if c.get("_planes") else "channels_first"
    if cls in ("BatchNormalization", "Concatenate"): c["axis"] = 1
    if cls == "Reshape" and len(c["target_shape"]) == 3: c["target_shape"] = c["target_shape"][2:] + c["target_shape"][:2]
    return c


def config(net, name, kind="Functional"):
    layers, before = [], "input"
    shape, first = list(net["shape"]), net.get("first")
    shape = [None] + (shape[2:] + shape[:2] if first else shape)
    key = "batch_input_shape" if keras == 2 else "batch_shape"
    layers.append({"class_name": "InputLayer", "name": "input", "config": {"name": "input", key: shape},
                   "inbound_nodes": []})
    for n, cls, c, *reads in net["layers"]:
        ins = reads[0] if reads else [before]
        if cls == "Model":
            spec = config(c, n, c.get("kind", "Functional"))
            spec["name"] = n
        else:
            beside, own = extras3(cls, c)
            cc = {k: v for k, v in (planes(cls, c) if first else c).items() if k[0] != "_"}
            spec = {"class_name": cls, "name": n, "config": dict(own, **cc, name=n), **beside}
        if keras == 2 and cls == "TFOpLambda":
            y = place(ins[1]) if len(ins) > 1 else c["_y"]
            spec["inbound_nodes"] = [[place(ins[0]) + [{"y": y, "name": None}]]]
        elif keras == 2:
            spec["inbound_nodes"] = [[place(i) + [{}] for i in ins]]
        else:
            args = [tensor3(i) for i in ins]
            flat = len(args) == 1 or "ops" in c.get("_module", "")
            spec["inbound_nodes"] = [{"args": args if flat else [args], "kwargs": {}}]
        again = [l for l in layers if l["name"] == n]
        before = n + "#%d" % len(again[0]["inbound_nodes"]) if again else n
        if again: again[0]["inbound_nodes"] += spec["inbound_nodes"]
        else: layers.append(spec)
    if kind == "Sequential":
        for l in layers: l.pop("inbound_nodes")
        return {"class_name": "Sequential", "config": {"name": name, "layers": layers}}
    outs = [place(n) for n in net.get("outputs", [before])]
    if "keys" in net: outs = dict(zip(net["keys"], outs))
    return {"class_name": kind, "config": {"name": name, "layers": layers, "input_layers": [["input", 0, 0]],
            "output_layers": outs}}


def flat2(net, kept):
    for (name, cls, c, *_), (_, w) in once(net, kept):
        if cls == "Model":
            for _, inner, slot, v in flat2(c, w): yield name, inner, slot, v
        else:
            for slot, v in zip(slots(cls, c), w): yield (name, name, slot, v)


def write2(path, net, kept):
    f = h5py.File(path, "w")
    f.attrs["keras_version"] = net.get("written", "2.12.0").encode()
    if net.get("unsaid"):  # save_weights
        g = f
    else:
        f.attrs["model_config"] = json.dumps(config(net, net.get("name", "net"), net.get("kind", "Functional")))
        g = f.create_group("model_weights")
    g.attrs["layer_names"] = [n.encode() for n, *_ in net["layers"]]
    for outer, inner, slot, v in flat2(net, kept):
        g.require_group(outer)[inner + "/" + slot + ":0"] = v
        if slot == "variance": g[outer][inner + "/count:0"] = np.int64(9)
    if not net.get("unsaid"): f["optimizer_weights/Adam/iter:0"] = np.int64(3)
    f.close()


def tensors3(f, net, kept):

    def put(net, kept, prefix):
        used = {"input_layer": 0}
        for (name, cls, c, *_), (_, w) in once(net, kept):
            cls_name = snake(c.get("kind", "Functional") if cls == "Model" else cls)
            n = used.get(cls_name)
            used[cls_name] = 0 if n is None else n + 1
            place = prefix + "layers/" + cls_name + ("" if n is None else "_%d" % (n + 1))
            if cls == "Model":
                put(c, w, place + "/")
            else:
                f.create_group(place + "/vars")
                for i, v in enumerate(w): f["%s/vars/%d" % (place, i)] = v
                if cls == "Normalization" and w: f[place + "/vars/2"] = np.int64(9)
    put(net, kept, "")
    f["optimizer/vars/0"] = np.int64(5)


# save_weights("x.weights.h5"): by class and count alone, in Keras' own order.
def ordered(net, kept):
    kept, order, values = dict(kept), [], []
    layers = net["layers"]
    for name, cls, c, *reads in layers if net.get("kind") == "Sequential" else in_order(layers):
        w = kept[name]
        if cls == "Model": c, w = ordered(c, w)
        order.append((name, cls, c, *reads))
        values.append((name, w))
    return dict(net, layers=order), values


def write_nameless(path, net, kept):
    with h5py.File(path, "w") as f: tensors3(f, *ordered(net, kept))


def write3(path, net, kept):
    h5 = path + ".h5"
    with h5py.File(h5, "w") as f: tensors3(f, net, kept)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("metadata.json", json.dumps({"keras_version": net.get("written", "3.3.3")}))
        z.writestr("config.json", json.dumps(dict(config(net, net.get("name", "net"), net.get("kind", "Functional")), module="keras")))
        z.write(h5, "model.weights.h5")
    os.remove(h5)


C, D, FIRST = "Conv2D", "Dense", "channels_first"
LEAKY = {"class_name": "LeakyReLU", "config": {"name": "leaky_re_lu", "alpha": 0.15, "trainable": True, "dtype": "float32"}}
def cv(name, filters, k=3, *reads, **c): return (name, C, dict(filters=filters, kernel_size=[k, k], **c), *reads)
def dn(name, units, *reads, **c): return (name, D, dict(units=units, **c), *reads)
def head(*extra): return [("flatten", "Flatten", {}), *extra, dn("answer", 4, activation="softmax")]


GELU_TANH = {"class_name": "gelu", "config": {"approximate": True}}


def activation(a): return {"shape": [6, 5, 3], "layers": [cv("conv", 4, activation=a), *head()]}


nets = {
    "plain": {"shape": [9, 7, 3], "kind": "Sequential", "layers": [cv("a", 4, activation="relu", padding="same"),
              ("p", "MaxPooling2D", {"pool_size": [2, 2]}), ("drop", "Dropout", {"rate": 0.5}), *head()]},
    "grey": {"shape": [10, 8, 1], "layers": [cv("a", 4, activation="relu"), *head(dn("hidden", 6, activation="tanh"))]},
    "one_sigmoid": {"shape": [6, 6, 3], "layers": [cv("a", 3), ("flat", "Flatten", {}), dn("p", 1, activation="sigmoid")]},
    "labels": {"shape": [6, 6, 3], "layers": [cv("a", 3), ("gap", "GlobalAveragePooling2D", {}), dn("p", 5, activation="sigmoid")]},
    "regression": {"shape": [6, 6, 3], "layers": [cv("a", 3), ("gmp", "GlobalMaxPooling2D", {}), dn("value", 1)]},
    "notop": {"shape": [12, 10, 3], "layers": [cv("a", 4, padding="same", strides=[2, 2], activation="relu"), cv("b", 5)]},
    "strides": {"shape": [11, 8, 3], "layers": [cv("a", 4, 3, padding="same", strides=[2, 2]), cv("b", 4, 5, padding="same",
                strides=[2, 1], activation="relu"), cv("c", 3, 2, padding="same"), *head()]},
    "dilated": {"shape": [12, 12, 3], "layers": [cv("a", 4, 3, padding="same", dilation_rate=[2, 2], activation="relu"), *head()]},
    "groups": {"shape": [8, 8, 4], "layers": [cv("a", 6, 3, groups=2, use_bias=False), *head()]},
    "pools": {"shape": [11, 9, 3], "layers": [cv("a", 4, padding="same"), ("p1", "MaxPooling2D", {"pool_size": [3, 3], "strides": [2, 2],
              "padding": "same"}), ("p2", "AveragePooling2D", {"pool_size": [3, 3], "strides": [1, 1], "padding": "same"}),
              ("p3", "AveragePooling2D", {"pool_size": [2, 2], "strides": [2, 2], "padding": "same"}), *head()]},
    "even_pool": {"shape": [12, 12, 3], "layers": [cv("a", 4, padding="same"), ("p1", "MaxPooling2D", {"pool_size": [3, 3],
                  "strides": [2, 2], "padding": "same"}), ("p2", "MaxPooling2D", {"pool_size": [4, 4], "strides": [1, 1],
                  "padding": "same"}), *head()]},
    "batch_norm": {"shape": [8, 8, 3], "layers": [cv("a", 4, use_bias=False), ("bn", "BatchNormalization", {"axis": [3], "epsilon": 1e-3}),
                   ("r", "Activation", {"activation": "relu"}), cv("b", 4), ("bn2", "BatchNormalization", {"axis": -1, "scale": False,
                   "epsilon": 1.001e-5}), ("r2", "ReLU", {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}), *head(
                       ("bn3", "BatchNormalization", {"center": False}))]},
    "mobile": {"shape": [12, 12, 3], "layers": [("pad", "ZeroPadding2D", {"padding": [[0, 1], [0, 1]]}), cv("a", 4, strides=[2, 2], use_bias=False),
               ("bn", "BatchNormalization", {}), ("r", "ReLU", {"max_value": 6.0}), ("dw", "DepthwiseConv2D", {"kernel_size": [3, 3],
               "padding": "same", "use_bias": False, "depth_multiplier": 2}), cv("pw", 6, 1, activation="relu6"),
               ("gap", "GlobalAveragePooling2D", {"keepdims": True}), cv("preds", 4, 1), ("reshape", "Reshape", {"target_shape": [4]}),
               ("act", "Activation", {"activation": "softmax"})]},
    "xception": {"shape": [10, 10, 3], "layers": [("s1", "SeparableConv2D", {"filters": 5, "kernel_size": [3, 3], "padding": "same",
                 "use_bias": False}), ("bn", "BatchNormalization", {}), ("s2", "SeparableConv2D", {"filters": 4, "kernel_size": [3, 3],
                 "depth_multiplier": 2, "activation": "relu"}), *head()]},
    "resnet": {"shape": [8, 8, 3], "layers": [cv("conv1/conv", 4, padding="same"), ("conv1/relu", "Activation", {"activation": "relu"}),
               cv("a", 4, 3, padding="same"), ("bn", "BatchNormalization", {}), ("add", "Add", {}, ["bn", "conv1/relu"]),
               ("out", "Activation", {"activation": "relu"}), ("gap", "GlobalAveragePooling2D", {}), dn("answer", 4, activation="softmax")]},
    "dense": {"shape": [8, 8, 3], "layers": [cv("a", 3, padding="same"), cv("b", 2, padding="same"), ("cat", "Concatenate", {"axis": 3},
              ["a", "b"]), cv("c", 2), *head()]},
    "squeeze": {"shape": [8, 8, 3], "layers": [cv("a", 4), ("gap", "GlobalAveragePooling2D", {}), ("re", "Reshape", {"target_shape": [1, 1, 4]}),
                cv("r", 2, 1, activation="swish"), cv("e", 4, 1, activation="sigmoid"), ("mul", "Multiply", {}, ["a", "e"]), *head()]},
    "mobile_v3": {"shape": [8, 8, 3], "layers": [("rescale", "Rescaling", {"scale": 1 / 127.5, "offset": -1.0}), cv("a", 4),
                  ("tf.__operators__.add", "TFOpLambda", {"function": "__operators__.add", "_y": 3.0}), ("r6", "ReLU", {"max_value": 6.0}),
                  ("tf.math.multiply", "TFOpLambda", {"function": "math.multiply", "_y": 1 / 6}), ("mul", "Multiply", {}, ["a", "tf.math.multiply"]),
                  *head()], "only": 2},
    "joins": {"shape": [7, 7, 3], "layers": [cv("a", 3), cv("b", 3, 3, ["input"]), ("sub", "Subtract", {}, ["a", "b"]),
              ("avg", "Average", {}, ["a", "b"]), ("max", "Maximum", {}, ["sub", "avg"]), ("min", "Minimum", {}, ["a", "max"]), *head()]},
    "rescaled": {"shape": [8, 8, 3], "layers": [("rescale", "Rescaling", {"scale": [0.5, 2.0, 1.5], "offset": [0.1, 0.0, -0.2]}), cv("a", 4), *head()]},
    "normalized": {"shape": [8, 8, 3], "layers": [("norm", "Normalization", {"axis": -1}), cv("a", 4), *head()]},
    "given_norm": {"shape": [8, 8, 3], "layers": [("norm", "Normalization", {"axis": -1, "mean": [0.4, 0.5, 0.6], "variance": [0.2, 0.3, 0.4]}),
                   cv("a", 4), *head()]},
    "convnext": {"shape": [8, 8, 4], "layers": [("dw", "DepthwiseConv2D", {"kernel_size": [7, 7], "padding": "same"}), ("ln", "LayerNormalization",
                 {"epsilon": 1e-6}), dn("up", 8, activation="gelu"), dn("down", 4), ("add", "Add", {}, ["down", "input"]),
                 ("gap", "GlobalAveragePooling2D", {}), dn("answer", 4)]},
    "nested": {"shape": [8, 8, 3], "layers": [("flip", "RandomFlip", {}), ("base", "Model", {"shape": [8, 8, 3], "layers": [
               cv("conv", 4, activation="relu"), ("bn", "BatchNormalization", {})]}), cv("conv", 3), *head()]},
    "sequence_in": {"shape": [8, 8, 3], "layers": [("base", "Model", {"shape": [8, 8, 3], "kind": "Sequential", "layers": [cv("conv", 4),
                    ("p", "MaxPooling2D", {})]}), ("gap", "GlobalAveragePooling2D", {}), dn("answer", 4)]},
    "crop_up": {"shape": [9, 8, 3], "layers": [cv("a", 4, padding="same"), ("crop", "Cropping2D", {"cropping": [[1, 0], [2, 1]]}),
                ("up", "UpSampling2D", {"size": [2, 2]}), ("up2", "UpSampling2D", {"size": [2, 2], "interpolation": "bilinear"}), *head()]},
    "reshapes": {"shape": [4, 6, 3], "layers": [cv("a", 4, padding="same"), ("re", "Reshape", {"target_shape": [8, 3, 4]}),
                 ("perm", "Permute", {"dims": [2, 1, 3]}), cv("b", 3), *head()]},
    "leaky": {"shape": [6, 6, 3], "layers": [cv("a", 4), ("l", "LeakyReLU", {"alpha": 0.1}), cv("b", 4, padding="same"), ("e", "ELU", {"alpha": 0.7}),
              cv("c", 3), ("p", "PReLU", {}), ("q", "PReLU", {"shared_axes": [1, 2]}), ("s", "Softmax", {"axis": -1}), *head()]},
    "flat_order": {"shape": [5, 4, 3], "layers": [("flatten", "Flatten", {}), ("bn", "BatchNormalization", {}), ("d", "Dropout", {}),
                   dn("answer", 4)]},
    "deep_head": {"shape": [6, 7, 3], "layers": [cv("a", 4), ("flatten", "Flatten", {}), ("drop", "Dropout", {}), dn("h1", 8, activation="elu"),
                  dn("h2", 8, activation="relu"), dn("h3", 8, activation="selu"), dn("answer", 3, activation="log_softmax")]},
    "outputs": {"shape": [8, 7, 3], "outputs": ["labels", "shape", "maps"], "layers": [cv("maps", 4), ("gap", "GlobalAveragePooling2D", {}),
                dn("labels", 3, activation="softmax"), dn("shape", 2, ["gap"])]},
    "outputs_named": {"shape": [8, 7, 3], "outputs": ["labels", "aux"], "keys": ["a", "b"], "layers": [cv("c", 4),
                      ("gap", "GlobalAveragePooling2D", {}), dn("labels", 3), dn("aux", 2, ["gap"], activation="sigmoid")]},
    "outputs_within": {"shape": [8, 8, 3], "layers": [("base", "Model", {"shape": [8, 8, 3], "outputs": ["low", "high"], "layers": [
                       cv("low", 4, activation="relu"), cv("high", 5)]}), ("g1", "GlobalAveragePooling2D", {}, ["base:1"]),
                       ("g2", "GlobalMaxPooling2D", {}, ["base:0"]), ("d1", D, {"units": 3}, ["g1"]), ("d2", D, {"units": 3}, ["g2"]),
                       ("add", "Add", {}, ["d1", "d2"])]},
    "first": {"shape": [9, 7, 3], "first": True, "layers": [cv("a", 4, 3, padding="same", strides=[2, 2]), ("bn", "BatchNormalization", {}),
              cv("b", 5, activation="relu", padding="same"), ("cat", "Concatenate", {}, ["bn", "b"]), ("pool", "MaxPooling2D", {"pool_size": [3, 2],
              "strides": [2, 1], "padding": "same"}), ("sep", "SeparableConv2D", {"filters": 4, "kernel_size": [2, 2], "padding": "same"}),
              ("pad", "ZeroPadding2D", {"padding": [[1, 0], [2, 1]]}), ("dw", "DepthwiseConv2D", {"kernel_size": [2, 3]}),
              ("ap", "AveragePooling2D", {"pool_size": [2, 2], "strides": [1, 1], "padding": "same"}), *head()]},
    "first_flat": {"shape": [6, 5, 3], "first": True, "layers": [cv("a", 4, activation="tanh"), ("flatten", "Flatten", {"_planes": True}),
                   ("bn", "BatchNormalization", {}), dn("answer", 3)]},
    "first_head": {"shape": [6, 5, 3], "first": True, "layers": [cv("a", 4), ("flatten", "Flatten", {"_planes": True}), dn("answer", 3)]},
    "first_order": {"shape": [6, 5, 3], "first": True, "layers": [cv("a", 4), ("flatten", "Flatten", {}), ("bn", "BatchNormalization", {}),
                    dn("answer", 3)]},
    "first_squeeze": {"shape": [8, 8, 3], "first": True, "layers": [cv("a", 4), ("gap", "GlobalAveragePooling2D", {}),
                      ("re", "Reshape", {"target_shape": [1, 1, 4]}), cv("r", 2, 1, activation="swish"), cv("e", 4, 1, activation="sigmoid"),
                      ("mul", "Multiply", {}, ["a", "e"]), ("crop", "Cropping2D", {"cropping": [[1, 0], [0, 2]]}),
                      ("up", "UpSampling2D", {"size": [1, 2]}), ("gmp", "GlobalMaxPooling2D", {}), dn("answer", 3)]},
    "average_uneven": {"shape": [9, 8, 3], "layers": [cv("a", 4, padding="same"), ("p1", "AveragePooling2D", {"pool_size": [4, 3],
                       "strides": [2, 2], "padding": "same"}), ("p2", "AveragePooling2D", {"pool_size": [2, 2], "strides": [1, 1], "padding": "same"}),
                       *head()]},
    "to_first": {"shape": [7, 6, 3], "layers": [("to", "Permute", {"dims": [3, 1, 2]}), cv("a", 4, data_format=FIRST, padding="same"),
                 ("bn", "BatchNormalization", {"axis": 1}), ("relu", "ReLU", {}), ("pool", "MaxPooling2D", {"pool_size": [2, 2], "strides": [1, 2],
                 "data_format": FIRST}), ("back", "Permute", {"dims": [2, 3, 1]}), cv("b", 5, data_format="channels_last"), *head()]},
    "from_planes": {"shape": [3, 7, 6], "planes": True, "layers": [("to", "Permute", {"dims": [2, 3, 1]}), cv("a", 4, data_format="channels_last",
                    strides=[2, 1]), ("bn", "BatchNormalization", {"axis": -1}), ("drop", "Dropout", {}),
                    ("gap", "GlobalAveragePooling2D", {"data_format": "channels_last"}), dn("answer", 4)]},
    "planes_mixed": {"shape": [3, 7, 6], "planes": True, "layers": [cv("a", 4, data_format=FIRST), ("to", "Permute", {"dims": [2, 3, 1]}),
                     ("s", "SeparableConv2D", {"filters": 5, "kernel_size": [3, 3], "data_format": "channels_last", "padding": "same"}),
                     ("back", "Permute", {"dims": [3, 1, 2]}), ("add", "Concatenate", {"axis": 1}, ["a", "back"]), dn("over_width", 5),
                     ("soft", "Softmax", {"axis": 1}), ("flatten", "Flatten", {"data_format": FIRST}), dn("answer", 4)]},
    "unlike_orders": {"shape": [6, 6, 3], "layers": [cv("a", 6, data_format="channels_last", padding="same"), ("across", "Conv2D", {"filters": 4,
                      "kernel_size": [3, 3], "data_format": FIRST, "activation": "relu"}), ("swap", "Permute", {"dims": [2, 1, 3]}),
                      ("odd", "Permute", {"dims": [1, 3, 2]}), cv("b", 3, 2, data_format="channels_last"), ("flatten", "Flatten", {"data_format":
                      FIRST}), ("bn", "BatchNormalization", {}), dn("answer", 4)]},
    "along_height": {"shape": [6, 5, 3], "layers": [cv("a", 4), cv("b", 4), cv("c", 4, 3, ["a"]), ("tall", "Concatenate", {"axis": 1}, ["b", "c"]),
                     ("wide", "Concatenate", {"axis": -2}, ["tall", "tall"]), *head()]},
    "rescaled_planes": {"shape": [3, 6, 5], "planes": True, "layers": [("rescale", "Rescaling", {"scale": [[[0.5]], [[2.0]], [[1.5]]], "offset":
                        [0.1, 0.2, 0.3, 0.4, 0.5]}), cv("a", 4, data_format=FIRST), *head()]},
    "tokens": {"shape": [6, 6, 3], "layers": [cv("a", 8, 2, strides=[2, 2]), ("tokens", "Reshape", {"target_shape": [9, 8]}), dn("up", 12,
               activation="gelu"), dn("weights", 8, activation="softmax"), ("mix", "Multiply", {}, ["weights", "tokens"]), ("turn", "Permute",
               {"dims": [2, 1]}), dn("down", 4, activation="tanh"), ("flatten", "Flatten", {}), dn("answer", 4)]},
    "tokens_norm": {"shape": [6, 6, 3], "layers": [cv("a", 8, 2, strides=[2, 2]), ("tokens", "Reshape", {"target_shape": [-1, 8]}), ("ln",
                    "LayerNormalization", {"axis": [2]}), dn("up", 6, activation="relu"), ("gap", "GlobalAveragePooling1D", {}), ("max",
                    "GlobalMaxPooling1D", {}, ["up"]), ("both", "Concatenate", {}, ["gap", "max"]), dn("answer", 4)]},
    "ranks": {"shape": [9, 8, 3], "layers": [cv("a", 6, padding="same"), ("gap", "GlobalAveragePooling2D", {}), dn("s1", 3, activation="relu"),
              dn("s2", 6, activation="sigmoid"), ("mul", "Multiply", {}, ["a", "s2"]), *head()]},
    "relus": {"shape": [9, 8, 3], "layers": [cv("a", 6), ("r", "ReLU", {"max_value": 2.0, "negative_slope": 0.1, "threshold": 0.0}), cv("b", 5),
              ("r2", "ReLU", {"max_value": None, "negative_slope": 0.0, "threshold": 0.3}), cv("c", 5), ("r3", "ReLU", {"max_value": 1.5,
              "negative_slope": 0.2, "threshold": 0.25}), *head()]},
    "layers_as_activations": {"shape": [9, 8, 3], "layers": [cv("a", 6, activation=LEAKY), cv("b", 5, activation={"class_name": "ReLU",
                              "module": "keras.layers", "config": {"name": "re_lu", "max_value": 1.0, "negative_slope": 0.0, "threshold": 0.0},
                              "registered_name": None}), *head()]},
    "norm_all": {"shape": [6, 6, 3], "layers": [cv("a", 8, 2), ("ln", "LayerNormalization", {"axis": [1, 2, 3]}), *head()]},
    "sparse": {"shape": [6, 6, 3], "layers": [cv("a", 8, 2), ("f", "Flatten", {}), dn("x", 7, activation="sparsemax"), dn("y", 3)]},
    "seg": {"shape": [6, 6, 3], "layers": [cv("a", 4, padding="same", activation="relu"), cv("classes", 5, 1, activation="softmax")]},
}
for a in ["elu", "selu", "softplus", "softsign", "swish", "gelu", "exponential", "hard_sigmoid", "mish", "tanh", "celu",
          "hard_tanh", "soft_shrink", "hard_shrink", "tanh_shrink", "log_sigmoid", "squareplus", "sparse_sigmoid",
          "sparse_plus", "hard_silu", "leaky_relu", "glu"]:
    nets["act_" + a] = activation(a)
nets["act_gelu_tanh"] = activation(GELU_TANH)

IN_KERAS3 = {"plain", "one_sigmoid", "batch_norm", "mobile", "xception", "resnet", "dense", "normalized", "convnext",
             "nested", "sequence_in", "leaky", "act_hard_sigmoid", "outputs", "outputs_within", "first", "first_flat",
             "act_sparse_plus"}  # what differs there: names, places, slots


# Pixels for networks that rescale them, else values around 0.
def picture(net, whole, rng):
    size = [2] + net["shape"]
    pixels = whole and net["layers"][0][1] in ("Rescaling", "Normalization")
    return (rng.uniform(0, 255, size) if pixels else rng.normal(0, 1, size)).astype("f4")


# The answers to a picture, and its gradient (.grad).
def answers(net, x):
    x = torch.tensor(x.astype("f8"), requires_grad=True)
    ys, kept = evaluate(net, x)
    one = ys[0][..., 0]
    (one.mean((1, 2)) if one.dim() == 3 else one).sum().backward()
    return x, ys, kept


# Is no unit so near to 0 that roundings decide it? Then pictures that differ by 3e-6, which
# is what float32 makes of a hundred layers, have the same gradient, which is none of a softmax at its end. (Where none of the tried pictures is
# so, it is the first: keras_spec asks pictures that differ by roundings as well.)
def steady(net, x):
    if x.grad.norm() < 1e-6: return False
    for seed in range(3):
        near = x.detach().numpy() * (1 + 3e-6 * np.random.default_rng(seed).normal(size=x.shape))
        if (answers(net, near)[0].grad - x.grad).norm() > 1e-4 * x.grad.norm(): return False
    return True


# One network: what it answers to the first steady one of so many pictures, and its file, as its Keras writes it or by `writer`.
def write(name, net, keras, whole, tries, writer=None, end=None):
    x, ys, kept = first = answers(net, picture(net, whole, rng))
    others = np.random.default_rng(11)  # so that nothing else changes
    for _ in range(tries):
        if steady(net, x): break
        x, ys, kept = answers(net, picture(net, True, others))
    else: x, ys, kept = first
    p = os.path.join(out, "%s_%d" % (name, keras))
    for key, v in ("x", x), ("g", x.grad), *(("y%d" % (i + 1), y) for i, y in enumerate(ys)):
        v = nchw(v) if v.dim() == 4 and not (key in "xg" and net.get("planes")) else v
        np.save(p + "." + key + ".npy", np.ascontiguousarray(v.detach().numpy().astype("f4")))
    nameless = keras == 3 and net.get("unsaid")
    end = end or (".h5" if keras == 2 else ".weights.h5" if nameless else ".keras")
    (writer or (write2 if keras == 2 else write_nameless if nameless else write3))(p + end, net, kept)
    print("%s_%d%s" % (name, keras, end))


for keras in 2, 3:
    whole = networks(keras)
    for name, net in {**nets, **whole}.items():
        if net.get("only", keras) != keras: continue
        if keras == 3 and name not in IN_KERAS3 and name not in whole: continue
        weights = {}
        write(name, net, keras, name in whole, 20 if name in whole else 0)
# Values of four axes, and what is over the last axis of maps: each with numbers of its own.
more = {
    "four_axes": {"shape": [6, 5, 3], "layers": [cv("a", 6), ("split", "Reshape", {"target_shape": [4, 3, 2, 3]}), ("swap", "Permute",
                  {"dims": [1, 2, 4, 3]}), ("join", "Reshape", {"target_shape": [4, 3, 6]}), cv("b", 5, 2, activation="relu"), *head()]},
    "four_soft": {"shape": [6, 5, 3], "layers": [cv("a", 6), ("split", "Reshape", {"target_shape": [4, 3, 2, -1]}), ("soft", "Activation",
                  {"activation": "softmax"}), dn("d", 4, activation="tanh"), ("flat", "Reshape", {"target_shape": [96]}), dn("answer", 3)]},
    "sparse_maps": {"shape": [6, 5, 3], "layers": [cv("a", 7, activation="sparsemax"), cv("b", 5, 2), *head()]},
    "sparse_tokens": {"shape": [6, 6, 3], "layers": [cv("a", 8, 2, strides=[2, 2]), ("tokens", "Reshape", {"target_shape": [9, 8]}),
                      dn("up", 6, activation="sparsemax"), ("flatten", "Flatten", {}), dn("answer", 4)]},
}
for name, net in more.items():
    rng, weights = np.random.default_rng(12), {}
    write(name, net, 2, False, 0)
keras, rng, weights = 3, np.random.default_rng(14), {}
OPS = "keras.src.ops.nn"
def op(name, cls, *reads, **c): return (name, cls, dict(c, _module=OPS), *reads)
write("thresholds", {"shape": [6, 5, 3], "layers": [cv("a", 7), ("t", "Threshold", {"threshold": 0.2, "default_value": -0.3, "_module": OPS}),
      cv("b", 5, 2), ("u", "Threshold", {"threshold": -0.1, "default_value": 0.0, "_module": OPS}), *head()]}, 3, False, 0)
# Operators among the layers: numbers on either side, axes that count the batch.
calls = {
    "operators": {"shape": [8, 7, 3], "layers": [op("by", "TrueDivide", ["input", 2.5]), op("less", "Subtract", ["by", 0.1]), cv("a", 4),
                  op("r", "Relu"), op("b", "Gelu", ["a"]), op("two", "Add", ["r", "b"]), op("from", "Subtract", [1.5, "two"]), op("minus", "Negative"),
                  op("abs", "Absolute"), op("root", "Sqrt"), op("cube", "Power", ["root", 3]), op("both", "Concatenate", ["cube", "b"], axis=-1),
                  op("most", "Maximum", ["both", -0.2]), op("clip", "Clip", x_min=-0.1, x_max=2.0), op("leak", "LeakyRelu", negative_slope=0.3),
                  op("mean", "Mean", axis=[1, 2], keepdims=False), dn("answer", 4)]},
    "operators_axes": {"shape": [8, 7, 3], "layers": [cv("a", 4), op("wide", "Mean", axis=[1], keepdims=False), op("turn", "Transpose", axes=[0, 2, 1]),
                       op("flat", "Reshape", newshape=[-1, 20]), dn("d1", 3), op("tall", "Sum", ["a"], axis=-1, keepdims=False),
                       ("f", "Flatten", {}), dn("d2", 3), op("s", "Max", ["a"], axis=[1, 2], keepdims=True), op("g", "Sigmoid"),
                       op("m", "Multiply", ["a", "g"]), ("gap", "GlobalAveragePooling2D", {}), dn("d3", 3), op("t", "Add", ["d1", "d2"]),
                       op("u", "Add", ["t", "d3"]), op("z", "Silu")]},
    "again": {"shape": [8, 7, 3], "layers": [cv("twice", 3, padding="same", activation="relu"), ("twice", C, {}, ["twice"]), *head()]},
}
INNER = {"shape": [8, 7, 3], "layers": [cv("c", 3, padding="same", activation="tanh"), ("p", "PReLU", {})]}
calls["model_again"] = {"shape": [8, 7, 3], "layers": [("inner", "Model", INNER), ("inner", "Model", INNER, ["inner"]), *head()]}
calls["again"]["layers"][1] = calls["again"]["layers"][0] + (["twice"],)
for name, net in calls.items():
    rng, weights = np.random.default_rng(15), {}
    write(name, net, 3, False, 0)
# What an activation is depends on the Keras that wrote the file, not on the kind of file.
for keras, written, w, end in (2, "2.15.0", write3, ".keras"), (3, "3.5.0", write2, ".h5"):
    rng, weights = np.random.default_rng(16), {}
    write("by_keras_" + written[0], dict(activation("hard_sigmoid"), written=written), keras, False, 0, w, end)
for keras in 2, 3:
    for name, net in unsaid(keras).items():
        rng, weights = np.random.default_rng(13), {}
        write(name, net, keras, True, 5)
