#!/usr/bin/python3
# Are the networks that write.py draws those of Keras' authors? Their own functions (the package keras_applications)
# are run with layers that only write down what is made; both are compared layer by layer: class, kernel, stride,
# padding, bias, epsilon, activation, what each reads, and the names of those that have weights. Prints a line a network.
import contextlib, importlib, re, sys, types

sys.dont_write_bytecode = True
from applications import unsaid
from graph import Graph

# Values that arguments have where nothing is said, in the order in which they are given.
POSITIONAL = {"Conv2D": ["filters", "kernel_size"], "SeparableConv2D": ["filters", "kernel_size"],
              "DepthwiseConv2D": ["kernel_size"], "Dense": ["units"], "Activation": ["activation"], "ReLU": ["max_value"],
              "MaxPooling2D": ["pool_size", "strides"], "AveragePooling2D": ["pool_size", "strides"], "Reshape": ["target_shape"],
              "ZeroPadding2D": ["padding"], "Cropping2D": ["cropping"], "Dropout": ["rate"], "Lambda": ["function"]}


def pair(v): return list(v) if isinstance(v, (list, tuple)) else [v, v]


# Ends of each axis: 3 is 3 everywhere, (1, 2) one of each axis both ways.
def ends(v): return [list(e) if isinstance(e, (list, tuple)) else [e, e] for e in pair(v)]


class Tensor:
    def __init__(self, g, name): self.g, self.name = g, name


# layers.Conv2D(...)(x): what the function says, written into a Graph.
class Layers:
    def __init__(self): self.g = None

    def Input(self, shape, **_):
        self.g = Graph(2, [n or 224 for n in shape])
        return Tensor(self.g, "input")

    def __getattr__(self, cls):
        def make(*args, name=None, **c):
            c.update(zip(POSITIONAL.get(cls, []), args))
            for key in "kernel_size", "strides", "pool_size":
                if key in c: c[key] = pair(c[key])
            for key in "padding", "cropping":
                if key in c: c[key] = c[key].lower() if isinstance(c[key], str) else ends(c[key])
            if "pool_size" in c: c.setdefault("strides", c["pool_size"])

            def call(x):
                xs = x if isinstance(x, list) else [x]
                return Tensor(self.g, self.g.add(cls, *[t.name for t in xs], name=name, **c))
            return call
        return make

    def add(self, xs, name=None): return self.Add(name=name)(xs)
    def concatenate(self, xs, name=None, axis=-1): return self.Concatenate(name=name, axis=axis)(xs)


# The layers of a network of theirs.
def written(function, shape):
    layers = Layers()
    backend = types.SimpleNamespace(
        image_data_format=lambda: "channels_last", backend=lambda: "tensorflow", is_keras_tensor=lambda x: True,
        int_shape=lambda x: (None, *x.g.shapes[x.name]), name_scope=lambda name: contextlib.nullcontext())
    models = types.SimpleNamespace(Model=lambda inputs, x, name=None: x)
    utils = types.SimpleNamespace(get_source_inputs=lambda x: x)
    function(weights=None, input_shape=tuple(shape), backend=backend, layers=layers, models=models, utils=utils)
    return layers.g.layers


WEIGHTED = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "BatchNormalization"}
DEFAULTS = {"Conv2D": {"strides": [1, 1], "padding": "valid", "use_bias": True, "activation": None},
            "BatchNormalization": {"epsilon": 1e-3, "scale": True, "center": True}, "Dense": {"activation": None, "use_bias": True},
            "MaxPooling2D": {"padding": "valid"}, "AveragePooling2D": {"padding": "valid"}}
DEFAULTS["DepthwiseConv2D"] = DEFAULTS["SeparableConv2D"] = DEFAULTS["Conv2D"]
# Widths, what only training asks, and what is the same in all of them.
LEFT_OUT = {"filters", "units", "axis", "momentum", "kernel_initializer", "kernel_regularizer", "depth_multiplier", "data_format", "function",
            "function_type", "module", "output_shape", "output_shape_type", "output_shape_module", "target_shape", "rate", "negative_slope",
            "threshold", "dilation_rate", "noise_shape"}
PASSED = {"Dropout", "Reshape", "Flatten"}  # shapes alone


# What Keras itself changed since: names, and a convolution that pads by "same" what was padded before it.
LATER = {"probs": "predictions", "Logits": "predictions"}


def modern(layers):
    reads_of = {name: reads for name, _, _, reads in layers}
    for name, cls, c, reads in layers:
        if name == "Conv1" and reads == ["Conv1_pad"]: c, reads = dict(c, padding="same"), reads_of["Conv1_pad"]
        yield name, cls, c, reads


# The layers that have weights, each with all between it and those that it reads. Names that Keras counts up begin at
# another number where another network was made before: here at 0.
def described(layers):
    told, out, counted = {"input": ("input",)}, [], {}
    for name, cls, c, reads in modern(layers):
        inputs = tuple(told[r] for r in reads)
        if cls in PASSED:
            told[name] = inputs[0]
            continue
        own = dict(DEFAULTS.get(cls, {}), **{k: v for k, v in c.items() if k not in LEFT_OUT})
        text = cls + " " + ", ".join("%s=%r" % (k, own[k]) for k in sorted(own))
        told[name] = (text, *inputs)
        if cls in WEIGHTED:
            base = re.fullmatch("(conv2d|batch_normalization)(_[0-9]+)?", name)
            if base: counted[base[1]] = counted.get(base[1], -1) + 1
            known = "%s %d" % (base[1], counted[base[1]]) if base else LATER.get(name, name)
            told[name] = (known,)
            out.append((known, text, inputs))
    return out, told[layers[-1][0]]


NETS = {"xception": "xception.Xception", "inception_v3": "inception_v3.InceptionV3", "mobilenet_v2": "mobilenet_v2.MobileNetV2",
        "inception_resnet_v2": "inception_resnet_v2.InceptionResNetV2", "resnet50": "resnet.ResNet50", "resnet50_v2": "resnet_v2.ResNet50V2",
        "densenet169": "densenet.DenseNet169", "nasnet_mobile": "nasnet.NASNetMobile", "nasnet_large": "nasnet.NASNetLarge"}


def first_difference(ours, theirs):
    a, b = described(ours), described(theirs)
    for x, y in zip(a[0], b[0]):
        if x != y: return "%r is %r there" % (x, y)
    if len(a[0]) != len(b[0]): return "%d layers with weights, %d there" % (len(a[0]), len(b[0]))
    return None if a[1] == b[1] else "it ends with %r, there with %r" % (a[1], b[1])


drawn = unsaid(2)
for name, place in NETS.items():
    net, (file, function) = drawn["unsaid_" + name], place.split(".")
    make = getattr(importlib.import_module("keras_applications." + file), function)
    wrong = first_difference(net["layers"], written(make, net["shape"]))
    print(name, wrong or "as its authors have it")
