"""Runs an ONNX file in float64, by torch: what neither engine's roundings have touched.

double.py MODEL.onnx JOB.json: JOB has {inputs: {name: {dims, file, type}}, out}, as
tests/onnx/ort.js takes it; writes out.json and out.N.bin, float64.
"""
import json
import sys

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

OPS = {}


def op(*names):
    def keep(f):
        for name in names:
            OPS[name] = f
        return f
    return keep


def simple(name, f):
    OPS[name] = lambda a, *x: f(*x)


for name, f in {
        "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Neg": torch.neg,
        "Abs": torch.abs, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt,
        "Sin": torch.sin, "Cos": torch.cos, "Tanh": torch.tanh, "Erf": torch.erf,
        "Sigmoid": torch.sigmoid, "Relu": torch.relu, "Sign": torch.sign,
        "Floor": torch.floor, "Ceil": torch.ceil, "Reciprocal": torch.reciprocal,
        "Greater": torch.gt, "Less": torch.lt, "GreaterOrEqual": torch.ge,
        "LessOrEqual": torch.le, "Equal": torch.eq, "And": torch.logical_and,
        "Or": torch.logical_or, "Not": torch.logical_not, "MatMul": torch.matmul,
        "Pow": torch.pow, "Identity": lambda x: x, "Where": torch.where,
        "Softsign": F.softsign, "Atan": torch.atan, "HardSwish": F.hardswish,
        "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
        "GlobalMaxPool": lambda x: x.amax((2, 3), keepdim=True)}.items():
    simple(name, f)


@op("Div")
def div(a, x, y):
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


@op("Dropout")
def dropout(a, x, *_):
    return x


def fold(f):
    def run(a, *x):
        y = x[0]
        for v in x[1:]:
            y = f(y, v)
        return y
    return run


OPS["Max"], OPS["Min"] = fold(torch.maximum), fold(torch.minimum)
OPS["Sum"] = fold(torch.add)
OPS["Mean"] = lambda a, *x: fold(torch.add)(a, *x) / len(x)


def spatial(a, x, kernel):
    """Strides, pads before and after, dilations of two dimensions."""
    strides, dil = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    pads = a.get("pads", [0, 0, 0, 0])
    auto = a.get("auto_pad", "NOTSET")
    if auto.startswith("SAME"):
        pads = [0] * 4
        for i in range(2):
            size = x.shape[2 + i]
            reach = (kernel[i] - 1) * dil[i] + 1
            total = max((-(-size // strides[i]) - 1) * strides[i] + reach - size, 0)
            small, large = total // 2, total - total // 2
            pads[i] = small if auto == "SAME_UPPER" else large
            pads[i + 2] = total - pads[i]
    return strides, pads, dil


def padded(x, pads, value=0.0):
    return F.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=value)


@op("Conv")
def conv(a, x, w, b=None):
    strides, pads, dil = spatial(a, x, w.shape[2:])
    return F.conv2d(padded(x, pads), w, b, strides, 0, dil, a.get("group", 1))


@op("ConvTranspose")
def conv_transpose(a, x, w, b=None):
    strides, pads, dil = spatial(a, x, w.shape[2:])
    y = F.conv_transpose2d(x, w, b, strides, 0, 0, a.get("group", 1), dil)
    more = a.get("output_padding", [0, 0])
    y = F.pad(y, (0, more[1], 0, more[0]))
    if b is not None:
        y[..., y.shape[2] - more[0]:, :] = b.view(1, -1, 1, 1)
        y[..., y.shape[3] - more[1]:] = b.view(1, -1, 1, 1)
    return y[:, :, pads[0]:y.shape[2] - pads[2], pads[1]:y.shape[3] - pads[3]]


def ceiled(a, x, kernel, strides, pads, dil):
    """More padding behind where windows may reach over the border."""
    pads = list(pads)
    for i in range(2):
        size = x.shape[2 + i] + pads[i] + pads[i + 2] - (kernel[i] - 1) * dil[i] - 1
        if a.get("ceil_mode", 0):
            count = -(-size // strides[i])
            if count * strides[i] >= x.shape[2 + i] + pads[i]:
                count -= 1
            pads[i + 2] += max(count * strides[i] - size, 0)
    return pads


@op("MaxPool")
def max_pool(a, x):
    kernel = a["kernel_shape"]
    strides, pads, dil = spatial(a, x, kernel)
    pads = ceiled(a, x, kernel, strides, pads, dil)
    wide = padded(x, pads, float("-inf"))
    y, at = F.max_pool2d(wide, kernel, strides, 0, dil, return_indices=True)
    n, c, h, w = x.shape
    row, column = at // wide.shape[3] - pads[0], at % wide.shape[3] - pads[1]
    plane = torch.arange(n * c).view(n, c, 1, 1) * h * w
    return y, plane + row * w + column


@op("AveragePool")
def average_pool(a, x):
    kernel = a["kernel_shape"]
    strides, pads, dil = spatial(a, x, kernel)
    more = ceiled(a, x, kernel, strides, pads, dil)
    sums = F.avg_pool2d(padded(x, more), kernel, strides, 0, divisor_override=1)
    ones = torch.ones_like(x)
    if a.get("count_include_pad", 0):
        ones = padded(ones, pads, 1.0)
        more = [m - p for m, p in zip(more, pads)]
    return sums / F.avg_pool2d(padded(ones, more), kernel, strides, 0,
                               divisor_override=1)


@op("BatchNormalization")
def batch_norm(a, x, scale, shift, mean, var):
    return F.batch_norm(x, mean, var, scale, shift, eps=a.get("epsilon", 1e-5))


@op("LayerNormalization")
def layer_norm(a, x, scale, shift=None):
    axis = a.get("axis", -1) % x.dim()
    return F.layer_norm(x, x.shape[axis:], scale, shift, a.get("epsilon", 1e-5))


@op("LRN")
def lrn(a, x):
    size = a["size"]
    sq = F.pad(x * x, (0, 0, 0, 0, (size - 1) // 2, size // 2))
    total = sum(sq[:, i:i + x.shape[1]] for i in range(size))
    return x / (a.get("bias", 1.0) + a.get("alpha", 1e-4) / size * total) \
        ** a.get("beta", 0.75)


@op("Gemm")
def gemm(a, x, w, b=None):
    x = x.t() if a.get("transA", 0) else x
    w = w.t() if a.get("transB", 0) else w
    y = a.get("alpha", 1.0) * (x @ w)
    return y if b is None else y + a.get("beta", 1.0) * b


@op("Softmax")
def softmax(a, x, log=False):
    if VERSION < 13:
        axis = a.get("axis", 1) % x.dim()
        rows = x.reshape(int(np.prod(x.shape[:axis])), -1)
        y = F.log_softmax(rows, 1) if log else F.softmax(rows, 1)
        return y.reshape(x.shape)
    axis = a.get("axis", -1)
    return F.log_softmax(x, axis) if log else F.softmax(x, axis)


OPS["LogSoftmax"] = lambda a, x: softmax(a, x, True)
OPS["LeakyRelu"] = lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01))
OPS["Elu"] = lambda a, x: F.elu(x, a.get("alpha", 1.0))
OPS["Selu"] = lambda a, x: F.selu(x)
OPS["PRelu"] = lambda a, x, s: torch.where(x < 0, x * s, x)
OPS["Softplus"] = lambda a, x: F.softplus(x, threshold=1e9)
OPS["HardSigmoid"] = lambda a, x: torch.clamp(
    x * a.get("alpha", 0.2) + a.get("beta", 0.5), 0, 1)


@op("InstanceNormalization")
def instance_norm(a, x, scale, shift):
    return F.instance_norm(x, weight=scale, bias=shift, eps=a.get("epsilon", 1e-5))


@op("Clip")
def clip(a, x, low=None, high=None):
    low = a.get("min") if low is None else low.item()
    high = a.get("max") if high is None else high.item()
    return torch.clamp(x, low, high)


def reduction(f):
    def run(a, x, axes=None):
        axes = a.get("axes") if axes is None else axes.tolist()
        axes = list(range(x.dim())) if axes is None else axes
        return f(x, [d % x.dim() for d in axes], bool(a.get("keepdims", 1)))
    return run


OPS["ReduceSum"] = reduction(lambda x, d, k: x.sum(d, keepdim=k))
OPS["ReduceMean"] = reduction(lambda x, d, k: x.mean(d, keepdim=k))
OPS["ReduceMax"] = reduction(lambda x, d, k: x.amax(d, keepdim=k))
OPS["ReduceMin"] = reduction(lambda x, d, k: x.amin(d, keepdim=k))
OPS["ReduceProd"] = lambda a, x, *_: x.prod().reshape([1] * x.dim())


@op("ArgMax")
def arg_max(a, x):
    return x.argmax(a.get("axis", 0), keepdim=bool(a.get("keepdims", 1)))


@op("OneHot")
def one_hot(a, ids, depth, values):
    y = F.one_hot(ids.long(), int(depth)).to(values.dtype)
    return values[0] + y * (values[1] - values[0])


@op("Cast")
def cast(a, x):
    kinds = {1: torch.float64, 7: torch.int64, 9: torch.bool, 10: torch.float64,
             6: torch.int64, 11: torch.float64}
    return x.to(kinds[a["to"]])


@op("Reshape")
def reshape(a, x, shape):
    return x.reshape([x.shape[i] if d == 0 else d for i, d in enumerate(shape.tolist())])


@op("Flatten")
def flatten(a, x):
    axis = a.get("axis", 1)
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


@op("Transpose")
def transpose(a, x):
    return x.permute(a.get("perm", list(range(x.dim()))[::-1]))


@op("Expand")
def expand(a, x, shape):
    return x * torch.ones(tuple(shape.tolist()), dtype=x.dtype)


@op("Concat")
def concat(a, *x):
    return torch.cat(x, a["axis"])


@op("Split")
def split(a, x, sizes=None):
    axis = a.get("axis", 0)
    sizes = a.get("split") if sizes is None else sizes.tolist()
    return torch.split(x, sizes or x.shape[axis] // COUNT, axis)


@op("Shape")
def shape(a, x):
    return torch.tensor(x.shape[a.get("start", 0):a.get("end")])


@op("Gather")
def gather(a, x, at):
    axis = a.get("axis", 0) % x.dim()
    flat = torch.where(at < 0, at + x.shape[axis], at).reshape(-1)
    y = x.index_select(axis, flat)
    return y.reshape(x.shape[:axis] + at.shape + x.shape[axis + 1:])


@op("GatherElements")
def gather_elements(a, x, at):
    return x.gather(a.get("axis", 0), at)


@op("ScatterElements", "Scatter")
def scatter(a, x, at, y):
    if a.get("reduction", "none") == "add":
        return x.scatter_add(a.get("axis", 0), at, y)
    return x.scatter(a.get("axis", 0), at, y)


@op("Slice")
def slices(a, x, starts=None, ends=None, axes=None, steps=None):
    starts = a["starts"] if starts is None else starts.tolist()
    ends = a["ends"] if ends is None else ends.tolist()
    axes = a.get("axes") if axes is None else axes.tolist()
    steps = [1] * len(starts) if steps is None else steps.tolist()
    for s, e, d, t in zip(starts, ends, axes or range(len(starts)), steps):
        at = torch.tensor(range(x.shape[d])[s:(None if e < -x.shape[d] else e):t])
        x = x.index_select(d, at.long())
    return x


@op("Pad")
def pad(a, x, pads=None, value=None):
    pads = a["pads"] if pads is None else pads.tolist()
    value = a.get("value", 0.0) if value is None else value.item()
    n, flat = x.dim(), []
    for d in reversed(range(n)):
        flat += [pads[d], pads[d + n]]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[
        a.get("mode", "constant")]
    if mode == "constant":
        return F.pad(x, flat, value=value)
    return F.pad(x, flat[:4], mode=mode)


@op("Squeeze")
def squeeze(a, x, axes=None):
    axes = a.get("axes") if axes is None else axes.tolist()
    axes = [d for d in range(x.dim()) if x.shape[d] == 1] if axes is None else axes
    gone = [d % x.dim() for d in axes]
    return x.reshape([n for d, n in enumerate(x.shape) if d not in gone])


@op("Unsqueeze")
def unsqueeze(a, x, axes=None):
    axes = a.get("axes") if axes is None else axes.tolist()
    for d in sorted(d % (x.dim() + len(axes)) for d in axes):
        x = x.unsqueeze(d)
    return x


@op("ConstantOfShape")
def constant_of_shape(a, dims):
    value = tensor(a["value"]) if "value" in a else torch.zeros(1, dtype=torch.float64)
    return value.expand(tuple(dims.tolist())).clone()


@op("Resize", "Upsample")
def resize(a, x, *rest):
    sizes = rest[2].tolist() if len(rest) > 2 and rest[2] is not None else None
    if sizes is None:
        by = a["scales"] if "scales" in a else rest[-1].tolist()
        sizes = [int(n * s) for n, s in zip(x.shape, by)]
    mode = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}[
        a.get("mode", "nearest")]
    if mode == "nearest":
        return F.interpolate(x, size=sizes[2:], mode=mode)
    corners = a.get("coordinate_transformation_mode") == "align_corners"
    return F.interpolate(x, size=sizes[2:], mode=mode, align_corners=corners)


@op("DepthToSpace")
def depth_to_space(a, x):
    n, c, h, w = x.shape
    b = a["blocksize"]
    if a.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, b)
    y = x.reshape(n, b, b, c // b // b, h, w).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, c // b // b, h * b, w * b)


@op("SpaceToDepth")
def space_to_depth(a, x):
    n, c, h, w = x.shape
    b = a["blocksize"]
    y = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * b * b, h // b, w // b)


def tensor(t):
    value = torch.from_numpy(numpy_helper.to_array(t).copy())
    return value.double() if value.is_floating_point() else value


def attributes(node):
    found = {}
    for a in node.attribute:
        value = onnx.helper.get_attribute_value(a)
        found[a.name] = value.decode() if isinstance(value, bytes) else value
    return found


def constant(a):
    for key, value in a.items():
        if key == "value":
            return tensor(value)
        return torch.tensor(value, dtype=torch.float64 if "float" in key
                            else torch.int64)


def run(model, values):
    global COUNT
    graph = model.graph
    for t in graph.initializer:
        values[t.name] = tensor(t)
    for node in graph.node:
        a = attributes(node)
        if node.op_type == "Constant":
            values[node.output[0]] = constant(a)
            continue
        COUNT = len(node.output)
        x = [values[name] if name else None for name in node.input]
        y = OPS[node.op_type](a, *x)
        y = y if isinstance(y, tuple) else (y,)
        values.update(zip(node.output, y))
    return {o.name: values[o.name] for o in graph.output}


def main(path, job):
    global VERSION
    with open(job) as f:
        job = json.load(f)
    model = onnx.load(path)
    VERSION = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    given = {}
    for name, spec in job["inputs"].items():
        data = np.fromfile(spec["file"], spec["type"]).reshape(spec["dims"])
        given[name] = torch.from_numpy(data)
        if spec["type"] == "float32":
            given[name] = given[name].double()
    outputs = {}
    for i, (name, y) in enumerate(run(model, given).items()):
        file = f"{job['out']}.{i}.bin"
        y.double().contiguous().numpy().tofile(file)
        outputs[name] = {"dims": list(y.shape), "file": file}
    with open(job["out"] + ".json", "w") as f:
        json.dump({"outputs": outputs}, f)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], sys.argv[2])
