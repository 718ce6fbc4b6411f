#!/usr/bin/python3
# Writes small networks as Keras 2 (.h5) and Keras 3 (.keras) do, with random weights, and what TensorFlow
# would answer, computed by torch in Keras' order of axes: input, output, gradient (.npy). Argument: a folder.
import json, os, re, sys, zipfile
import h5py
import numpy as np
import torch
import torch.nn.functional as F

out = sys.argv[1]
rng = np.random.default_rng(7)


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


def act(x, name):
    return {None: lambda v: v, "linear": lambda v: v, "relu": F.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
            "softmax": lambda v: F.softmax(v, -1), "elu": F.elu, "selu": F.selu, "softplus": F.softplus,
            "softsign": F.softsign, "swish": F.silu, "silu": F.silu, "gelu": F.gelu, "exponential": torch.exp,
            "mish": F.mish, "relu6": F.relu6, "leaky_relu": lambda v: F.leaky_relu(v, 0.2),
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
    x = xs[0]
    t = [torch.tensor(v) for v in w]
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
        m, v = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
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
        "ReLU": lambda: F.leaky_relu(x, c.get("negative_slope") or 0.0) if not c.get("max_value")
        else torch.clamp(x, 0, c["max_value"]),
        "LeakyReLU": lambda: F.leaky_relu(x, c.get("alpha", c.get("negative_slope", 0.3))),
        "ELU": lambda: F.elu(x, c.get("alpha", 1.0)), "Softmax": lambda: F.softmax(x, -1),
        "MaxPooling2D": lambda: pool(x, c, True), "AveragePooling2D": lambda: pool(x, c, False),
        "GlobalAveragePooling2D": lambda: x.mean((1, 2), keepdim=c.get("keepdims", False)),
        "GlobalMaxPooling2D": lambda: x.amax((1, 2), keepdim=c.get("keepdims", False)),
        "Flatten": lambda: x.reshape(x.shape[0], -1),
        "ZeroPadding2D": lambda: F.pad(x, (0, 0, c["padding"][1][0], c["padding"][1][1],
                                           c["padding"][0][0], c["padding"][0][1])),
        "Cropping2D": lambda: x[:, c["cropping"][0][0]:x.shape[1] - c["cropping"][0][1],
                                c["cropping"][1][0]:x.shape[2] - c["cropping"][1][1]],
        "UpSampling2D": lambda: nhwc(F.interpolate(nchw(x), scale_factor=tuple(map(float, c["size"])),
                                                   mode=c.get("interpolation", "nearest"),
                                                   **({"align_corners": False} if c.get("interpolation") == "bilinear"
                                                      else {}))),
        "Reshape": lambda: x.reshape(x.shape[0], *c["target_shape"]),
        "Permute": lambda: x.permute(0, *c["dims"]),
        "Dropout": lambda: x, "SpatialDropout2D": lambda: x, "GaussianNoise": lambda: x, "RandomFlip": lambda: x,
        "StochasticDepth": lambda: x,
        "Add": lambda: sum(xs[1:], x), "Subtract": lambda: xs[0] - xs[1],
        "Multiply": lambda: np.prod(xs) if False else __import__("functools").reduce(lambda a, b: a * b, xs),
        "Average": lambda: sum(xs[1:], x) / len(xs), "Maximum": lambda: torch.maximum(xs[0], xs[1]),
        "Minimum": lambda: torch.minimum(xs[0], xs[1]), "Concatenate": lambda: torch.cat(xs, -1),
        "TFOpLambda": lambda: x + c["_y"] if "add" in c["function"] else x * c["_y"],
    }[cls]()


# A layer: (name, class, config, inputs). Weights are made from what it reads.
def make_weights(cls, c, xs):
    def r(*s): return (rng.normal(0, 1, s) / max(1, np.prod(s[:-1])) ** 0.5).astype("f4")
    x = xs[0]
    ch = x.shape[-1]
    bias = c.get("use_bias", True)
    if cls == "Conv2D":
        k = pair(c["kernel_size"])
        return [r(*k, ch // c.get("groups", 1), c["filters"])] + ([r(c["filters"])] if bias else [])
    if cls == "DepthwiseConv2D":
        m = c.get("depth_multiplier", 1)
        return [r(*pair(c["kernel_size"]), ch, m)] + ([r(ch * m)] if bias else [])
    if cls == "SeparableConv2D":
        m = c.get("depth_multiplier", 1)
        return [r(*pair(c["kernel_size"]), ch, m), r(1, 1, ch * m, c["filters"])] + ([r(c["filters"])] if bias else [])
    if cls == "Dense":
        return [r(ch, c["units"])] + ([r(c["units"])] if bias else [])
    if cls == "BatchNormalization":
        w = [r(ch) + 1] if c.get("scale", True) else []
        w += [r(ch)] if c.get("center", True) else []
        return w + [r(ch), rng.uniform(0.5, 2, ch).astype("f4")]
    if cls == "LayerScale":
        return [r(ch) + 1]
    if cls == "LayerNormalization":
        return [r(ch) + 1, r(ch)]
    if cls == "Normalization" and c.get("mean") is None:
        return [r(ch), rng.uniform(0.5, 2, ch).astype("f4")]
    if cls == "PReLU":
        shape = [1 if i + 1 in c.get("shared_axes", []) else d for i, d in enumerate(x.shape[1:])]
        return [r(*shape) * 0.5]
    return []


SLOTS = {"Conv2D": ["kernel", "bias"], "Dense": ["kernel", "bias"], "DepthwiseConv2D": ["depthwise_kernel", "bias"],
         "SeparableConv2D": ["depthwise_kernel", "pointwise_kernel", "bias"], "LayerNormalization": ["gamma", "beta"],
         "Normalization": ["mean", "variance"], "PReLU": ["alpha"], "LayerScale": ["gamma"]}


def slots(cls, c):
    if cls == "BatchNormalization":
        return (["gamma"] if c.get("scale", True) else []) + (["beta"] if c.get("center", True) else []) + \
            ["moving_mean", "moving_variance"]
    return SLOTS.get(cls, [])


def snake(name):
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


# A network is { shape, layers }: layers read the one before unless they say so. A layer may be a network.
def evaluate(net, x, prefix=""):
    values, last, kept = {"input": x}, x, []
    for name, cls, c, *reads in net["layers"]:
        xs = [values[n] for n in reads[0]] if reads else [last]
        if cls == "Model":
            last, inner = evaluate(c, xs[0])
            kept.append((name, inner))
        else:
            key = (id(net), name)
            if key not in weights:
                weights[key] = make_weights(cls, c, xs)
            last = run(cls, c, weights[key], xs)
            kept.append((name, weights[key]))
        values[name] = last
    return last, kept


def tensor3(name, shape): return {"class_name": "__keras_tensor__", "config": {"shape": shape, "dtype": "float32",
                                                                            "keras_history": [name, 0, 0]}}


def config(net, name, kind="Functional"):
    layers, before = [], "input"
    shape = [None] + list(net["shape"])
    key = "batch_input_shape" if keras == 2 else "batch_shape"
    layers.append({"class_name": "InputLayer", "name": "input", "config": {"name": "input", key: shape},
                   "inbound_nodes": []})
    for n, cls, c, *reads in net["layers"]:
        ins = reads[0] if reads else [before]
        if cls == "Model":
            spec = config(c, n, c.get("kind", "Functional"))
            spec["name"] = n
        else:
            cc = {k: v for k, v in c.items() if k[0] != "_"}
            spec = {"class_name": cls, "name": n, "config": dict(cc, name=n)}
        extra = {"y": c["_y"]} if "_y" in c else {}
        if keras == 2:
            spec["inbound_nodes"] = [[[i, 0, 0, extra] for i in ins]]
        else:
            args = [tensor3(i, []) for i in ins]
            spec["inbound_nodes"] = [{"args": [args] if len(args) > 1 else args, "kwargs": {}}]
        layers.append(spec)
        before = n
    if kind == "Sequential":
        for l in layers: l.pop("inbound_nodes")
        return {"class_name": "Sequential", "config": {"name": name, "layers": layers}}
    return {"class_name": kind, "config": {"name": name, "layers": layers, "input_layers": [["input", 0, 0]],
            "output_layers": [[before, 0, 0]]}}


def flat2(net, kept):
    for (name, cls, c, *_), (_, w) in zip(net["layers"], kept):
        if cls == "Model":
            for inner in flat2(c, w): yield (name,) + inner[1:] if False else (name, inner[1], inner[2], inner[3])
        else:
            for slot, v in zip(slots(cls, c), w): yield (name, name, slot, v)


def write2(path, net, kept):
    f = h5py.File(path, "w")
    f.attrs["model_config"] = json.dumps(config(net, "net", net.get("kind", "Functional")))
    f.attrs["keras_version"] = b"2.12.0"
    g = f.create_group("model_weights")
    g.attrs["layer_names"] = [n.encode() for n, *_ in net["layers"]]
    for outer, inner, slot, v in flat2(net, kept):
        g.require_group(outer)[inner + "/" + slot + ":0"] = v
    f["optimizer_weights/Adam/iter:0"] = np.int64(3)
    f.close()


def write3(path, net, kept):
    h5 = path + ".h5"
    f = h5py.File(h5, "w")

    def put(net, kept, prefix):
        used = {"input_layer": 0}
        for (name, cls, c, *_), (_, w) in zip(net["layers"], kept):
            cls_name = snake(c.get("kind", "Functional") if cls == "Model" else cls)
            n = used.get(cls_name)
            used[cls_name] = 0 if n is None else n + 1
            place = prefix + "layers/" + cls_name + ("" if n is None else "_%d" % (n + 1))
            if cls == "Model":
                put(c, w, place + "/")
            else:
                f.create_group(place + "/vars")
                for i, v in enumerate(w): f["%s/vars/%d" % (place, i)] = v
    put(net, kept, "")
    f["optimizer/vars/0"] = np.int64(5)
    f.close()
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("metadata.json", json.dumps({"keras_version": "3.3.3"}))
        z.writestr("config.json", json.dumps(dict(config(net, "net", net.get("kind", "Functional")), module="keras")))
        z.write(h5, "model.weights.h5")
    os.remove(h5)


C, D = "Conv2D", "Dense"
def cv(name, filters, k=3, *reads, **c): return (name, C, dict(filters=filters, kernel_size=[k, k], **c), *reads)
def dn(name, units, *reads, **c): return (name, D, dict(units=units, **c), *reads)
def head(*extra): return [("flatten", "Flatten", {}), *extra, dn("answer", 4, activation="softmax")]


def activation(a): return {"shape": [6, 5, 3], "layers": [cv("conv", 4, activation=a), *head()]}


def bn(name, *reads): return (name, "BatchNormalization", {"epsilon": 1.001e-5}, *reads)
def relu(name, *reads, a="relu"): return (name, "Activation", {"activation": a}, *reads)
def dw(name, k, *reads, **c): return (name, "DepthwiseConv2D", dict(kernel_size=[k, k], use_bias=False, **c), *reads)


def conv_bn(name, filters, k, *reads, padding="same", **c):
    return [cv(name, filters, k, *reads, padding=padding, use_bias=False, **c), bn(name + "_bn"), relu(name + "_ac")]


TOP = [("avg_pool", "GlobalAveragePooling2D", {}), dn("predictions", 4, activation="softmax")]
# The blocks of keras.applications, in the order and with the names that they have there.
apps = {
    "app_inception": {"shape": [12, 12, 3], "layers": [*conv_bn("stem", 4, 3, padding="valid", strides=[2, 2]),
        *conv_bn("b1", 3, 1), *conv_bn("b5_1", 2, 1, ["stem_ac"]), *conv_bn("b5_2", 3, 5),
        *conv_bn("b3_1", 2, 1, ["stem_ac"]), *conv_bn("b3_2", 3, 3), *conv_bn("b3_3", 3, 3),
        ("ap", "AveragePooling2D", {"pool_size": [3, 3], "strides": [1, 1], "padding": "same"}, ["stem_ac"]),
        *conv_bn("bp", 2, 1), ("mixed0", "Concatenate", {"axis": 3}, ["b1_ac", "b5_2_ac", "b3_3_ac", "bp_ac"]),
        cv("c17", 3, 3, padding="same"), (cv("c1x7", 3)[0], C, {"filters": 3, "kernel_size": [1, 7], "padding": "same"}),
        (cv("c7x1", 3)[0], C, {"filters": 3, "kernel_size": [7, 1], "padding": "same"}), *TOP]},
    "app_resnet50": {"shape": [14, 14, 3], "layers": [("conv1_pad", "ZeroPadding2D", {"padding": [[3, 3], [3, 3]]}),
        cv("conv1_conv", 4, 7, strides=[2, 2]), bn("conv1_bn"), relu("conv1_relu"),
        ("pool1_pad", "ZeroPadding2D", {"padding": [[1, 1], [1, 1]]}), ("pool1_pool", "MaxPooling2D", {"pool_size": [3, 3], "strides": [2, 2]}),
        cv("b1_0_conv", 8, 1), bn("b1_0_bn"), cv("b1_1_conv", 3, 1, ["pool1_pool"]), bn("b1_1_bn"), relu("b1_1_relu"),
        cv("b1_2_conv", 3, 3, padding="same"), bn("b1_2_bn"), relu("b1_2_relu"), cv("b1_3_conv", 8, 1), bn("b1_3_bn"),
        ("b1_add", "Add", {}, ["b1_0_bn", "b1_3_bn"]), relu("b1_out"), *TOP]},
    "app_resnet_v2": {"shape": [12, 12, 3], "layers": [("conv1_pad", "ZeroPadding2D", {"padding": [[3, 3], [3, 3]]}),
        cv("conv1_conv", 4, 7, strides=[2, 2]), bn("pre_bn"), relu("pre_relu"), cv("b1_1_conv", 3, 1, use_bias=False), bn("b1_1_bn"),
        relu("b1_1_relu"), ("b1_2_pad", "ZeroPadding2D", {"padding": [[1, 1], [1, 1]]}), cv("b1_2_conv", 3, 3, strides=[2, 2], use_bias=False),
        bn("b1_2_bn"), relu("b1_2_relu"), cv("b1_3_conv", 4, 1), ("short", "MaxPooling2D", {"pool_size": [1, 1], "strides": [2, 2]}, ["conv1_conv"]),
        ("b1_out", "Add", {}, ["short", "b1_3_conv"]), bn("post_bn"), relu("post_relu"), *TOP]},
    "app_mobilenet_v2": {"shape": [13, 13, 3], "layers": [cv("Conv1", 4, 3, padding="same", strides=[2, 2], use_bias=False), bn("bn_Conv1"),
        ("Conv1_relu", "ReLU", {"max_value": 6.0}), dw("expanded_dw", 3, padding="same"), bn("expanded_dw_BN"), ("expanded_relu", "ReLU", {"max_value": 6.0}),
        cv("expanded_project", 3, 1, use_bias=False), bn("expanded_project_BN"), cv("b1_expand", 9, 1, use_bias=False), bn("b1_expand_BN"),
        ("b1_expand_relu", "ReLU", {"max_value": 6.0}), dw("b1_dw", 3, padding="same"), bn("b1_dw_BN"), ("b1_dw_relu", "ReLU", {"max_value": 6.0}),
        cv("b1_project", 3, 1, use_bias=False), bn("b1_project_BN"), ("b1_add", "Add", {}, ["expanded_project_BN", "b1_project_BN"]), *TOP]},
    "app_densenet": {"shape": [12, 12, 3], "layers": [("zero_padding2d", "ZeroPadding2D", {"padding": [[3, 3], [3, 3]]}),
        cv("conv1/conv", 4, 7, strides=[2, 2], use_bias=False), bn("conv1/bn"), relu("conv1/relu"), bn("conv2_block1_0_bn"), relu("conv2_block1_0_relu"),
        cv("conv2_block1_1_conv", 4, 1, use_bias=False), bn("conv2_block1_1_bn"), relu("conv2_block1_1_relu"), cv("conv2_block1_2_conv", 2, 3, padding="same",
        use_bias=False), ("conv2_block1_concat", "Concatenate", {"axis": 3}, ["conv1/relu", "conv2_block1_2_conv"]), bn("pool2_bn"), relu("pool2_relu"),
        cv("pool2_conv", 3, 1, use_bias=False), ("pool2_pool", "AveragePooling2D", {"pool_size": [2, 2], "strides": [2, 2]}), *TOP]},
    "app_nasnet": {"shape": [13, 13, 3], "layers": [*conv_bn("stem", 4, 3, padding="valid", strides=[2, 2]),
        ("sep1", "SeparableConv2D", {"filters": 4, "kernel_size": [5, 5], "padding": "same", "use_bias": False}), bn("sep1_bn"), relu("sep1_r"),
        ("sep2", "SeparableConv2D", {"filters": 4, "kernel_size": [3, 3], "padding": "same", "use_bias": False}), bn("sep2_bn"),
        ("avg", "AveragePooling2D", {"pool_size": [3, 3], "strides": [1, 1], "padding": "same"}, ["stem_ac"]),
        ("max", "MaxPooling2D", {"pool_size": [3, 3], "strides": [1, 1], "padding": "same"}, ["stem_ac"]),
        ("add1", "Add", {}, ["sep2_bn", "avg"]), ("add2", "Add", {}, ["avg", "max"]), ("pad", "ZeroPadding2D", {"padding": [[0, 1], [0, 1]]}, ["stem_ac"]),
        ("crop", "Cropping2D", {"cropping": [[1, 0], [1, 0]]}), ("normal_concat", "Concatenate", {"axis": 3}, ["add1", "add2", "crop"]),
        relu("out"), *TOP]},
    "app_efficientnet": {"shape": [14, 14, 3], "layers": [("rescaling", "Rescaling", {"scale": 1 / 255.0}), ("normalization", "Normalization", {"axis": -1}),
        ("stem_conv_pad", "ZeroPadding2D", {"padding": [[0, 1], [0, 1]]}), cv("stem_conv", 4, 3, strides=[2, 2], use_bias=False), bn("stem_bn"),
        relu("stem_activation", a="swish"), dw("block1a_dwconv", 3, padding="same"), bn("block1a_bn"), relu("block1a_activation", a="swish"),
        ("block1a_se_squeeze", "GlobalAveragePooling2D", {}), ("block1a_se_reshape", "Reshape", {"target_shape": [1, 1, 4]}),
        cv("block1a_se_reduce", 2, 1, activation="swish", padding="same"), cv("block1a_se_expand", 4, 1, activation="sigmoid", padding="same"),
        ("block1a_se_excite", "Multiply", {}, ["block1a_activation", "block1a_se_expand"]), cv("block1a_project_conv", 4, 1, use_bias=False),
        bn("block1a_project_bn"), ("block1a_drop", "Dropout", {"rate": 0.2}), ("block1a_add", "Add", {}, ["block1a_drop", "stem_activation"]), *TOP]},
    "app_convnext": {"shape": [12, 12, 3], "layers": [cv("stem_conv", 4, 4, strides=[4, 4]), ("stem_layernorm", "LayerNormalization", {"epsilon": 1e-6}),
        ("b0_depthwise", C, {"filters": 4, "kernel_size": [7, 7], "padding": "same", "groups": 4}), ("b0_layernorm", "LayerNormalization", {"epsilon": 1e-6}),
        dn("b0_pointwise_1", 8), relu("b0_gelu", a="gelu"), dn("b0_pointwise_2", 4), ("b0_layer_scale", "LayerScale", {"projection_dim": 4}),
        ("b0_identity", "StochasticDepth", {}), ("b0_add", "Add", {}, ["stem_layernorm", "b0_identity"]), ("gap", "GlobalAveragePooling2D", {}),
        ("head_layernorm", "LayerNormalization", {"epsilon": 1e-6}), dn("head_dense", 4, activation="softmax")]},
}

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
    "seg": {"shape": [6, 6, 3], "layers": [cv("a", 4, padding="same", activation="relu"), cv("classes", 5, 1, activation="softmax")]},
}
for a in ["elu", "selu", "softplus", "softsign", "swish", "gelu", "exponential", "hard_sigmoid", "mish", "tanh"]:
    nets["act_" + a] = activation(a)

nets.update(apps)
IN_KERAS3 = {*apps,
             "plain", "one_sigmoid", "batch_norm", "mobile", "xception", "resnet", "dense", "normalized", "convnext",
             "nested", "sequence_in", "leaky", "act_hard_sigmoid"}  # what differs there: names, places, slots
for keras in 2, 3:
    for name, net in nets.items():
        if net.get("only", keras) != keras: continue
        if keras == 3 and name not in IN_KERAS3: continue
        weights = {}
        x = torch.tensor(rng.normal(0, 1, [2] + net["shape"]).astype("f4"), requires_grad=True)
        y, kept = evaluate(net, x)
        one = y[..., 0]
        (one.mean((1, 2)) if y.dim() == 4 else one).sum().backward()
        p = os.path.join(out, "%s_%d" % (name, keras))
        for key, v in ("x", nchw(x)), ("y", nchw(y) if y.dim() == 4 else y), ("g", nchw(x.grad)):
            np.save(p + "." + key + ".npy", np.ascontiguousarray(v.detach().numpy()))
        (write2 if keras == 2 else write3)(p + (".h5" if keras == 2 else ".keras"), net, kept)
        print("%s_%d%s" % (name, keras, ".h5" if keras == 2 else ".keras"))
