#!/usr/bin/env python3
"""Writes first inputs for every target: seeds.py FOLDER."""
import io
import json
import os
import random
import struct
import sys
import zipfile
import zlib

import numpy as np
from PIL import Image

root = sys.argv[1]


def put(target, name, data):
    os.makedirs(f"{root}/{target}", exist_ok=True)
    with open(f"{root}/{target}/{name}", "wb") as f:
        f.write(data)


def safetensors(header, data):
    h = json.dumps(header).encode()
    return struct.pack("<Q", len(h)) + h + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


headers = [
    ({"__metadata__": {"lunette_model": "tiny_vgg", "labels": '["a"]'},
      "a": entry("F32", [2, 3], 0, 24), "b": entry("F16", [4], 24, 32)}, 32),
    ({"x": entry("BF16", [1, 2, 2], 0, 8), "y": entry("F64", [], 8, 16),
      "z": entry("I64", [0], 16, 16)}, 16),
    ({"a": entry("F32", [1, 1, 1, 1, 1, 2], 0, 8)}, 8),
]
for i, (h, n) in enumerate(headers):
    data = bytes(range(n))
    put("safetensors", f"a{i}", safetensors(h, data))
    put("safetensors", f"b{i}", b"\x88" + json.dumps(h).encode() + b"\0" + data)
    put("import_any", f"st{i}", safetensors(h, data))
    put("import_safetensors", f"a{i}", json.dumps(h).encode() + b"\0" + data)

put("plan", "good", b"dtype F16\nheader 2\n{}\ntensor 0 4,6 1,0 a\n"
    b"tensor 1 2,3,2,2 3,2,0,1 b\ntensor 2 - - c\ntensor 3 0,5 0,1 d\nend\n")

random.seed(1)
np.random.seed(1)
pixels = (np.random.rand(9, 11, 4) * 255).astype("uint8")
rgb, rgba = Image.fromarray(pixels[:, :, :3].copy()), Image.fromarray(pixels)
for name, image, kind, options in [
        ("rgb.png", rgb, "PNG", {}), ("rgba.png", rgba, "PNG", {}),
        ("l.png", rgb.convert("L"), "PNG", {}), ("p.png", rgb.convert("P"), "PNG", {}),
        ("1.png", rgb.convert("1"), "PNG", {}), ("b.jpg", rgb, "JPEG", {}),
        ("p.jpg", rgb, "JPEG", {"progressive": True}),
        ("c.jpg", rgb.convert("CMYK"), "JPEG", {}),
        ("24.bmp", rgb, "BMP", {}), ("8.bmp", rgb.convert("P"), "BMP", {})]:
    b = io.BytesIO()
    image.save(b, kind, **options)
    put("image", name, b.getvalue() + bytes(random.randrange(256) for _ in range(4)))

# JPEGs of every way to sample.  The blocks of a picture of 32 x 32 pixels lie in the
# file as those of the other way with as many of them: 2 x 1 as 1 x 2, 2 x 2 as 4 x 1.
def jpeg(image, frame=b"", other=b"", **options):
    b = io.BytesIO()
    image.save(b, "JPEG", **options)
    data = b.getvalue()
    assert frame in data
    return data.replace(frame, other, 1)


smooth = Image.fromarray((np.indices((32, 32)).sum(0) * 4 % 256).astype("uint8"))
photo = Image.merge("RGB", [smooth, smooth.rotate(90), smooth.rotate(180)])
wide, tall, square, long = (b"\3\1" + x + b"\0\2\x11\1" for x in (b"\x21", b"\x12", b"\x22", b"\x41"))
for i, data in enumerate([
        jpeg(photo, subsampling=0), jpeg(photo, subsampling=1), jpeg(photo, subsampling=2),
        jpeg(photo, wide, tall, subsampling=1), jpeg(photo, square, long, subsampling=2),
        jpeg(photo, subsampling=2, progressive=True), jpeg(photo, subsampling=0, keep_rgb=True),
        jpeg(photo, subsampling=1, restart_marker_blocks=1), jpeg(smooth), jpeg(smooth, progressive=True),
        jpeg(photo.convert("CMYK")), jpeg(rgb, quality=1), jpeg(rgb, quality=100, optimize=True),
        jpeg(photo.resize((3, 2)), subsampling=2), jpeg(photo.resize((1, 17)), subsampling=1),
        jpeg(photo, subsampling=2, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")]):
    for ends in (b"\0\0\0\0", b"\5\x20\x20\x11"):
        put("jpeg", f"{i}.{ends[0]}", data + ends)


# Text readers: what is good, to be broken.
numpy_header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }"
for i, (shape, n) in enumerate([("2, 3", 6), ("", 1), ("4,", 4), ("0, 2", 0)]):
    h = (numpy_header % shape).encode() + b"\n"
    for version in (1, 2):
        put("lua_npy", f"{version}{i}", b"\x93NUMPY" + bytes([version, 0])
            + struct.pack("<H" if version == 1 else "<I", len(h)) + h + bytes(4 * n))
b = io.BytesIO()
np.save(b, np.arange(6.).reshape(3, 2))
put("lua_npy", "double", b.getvalue())

for i, text in enumerate(['{"a":[1,2.5,-0.0,1e300,null,true],"b":{}}', '"\\u00e9\\ud83d\\ude00"',
                          "[[[[]]]]", "-12345678901234567890"]):
    put("lua_json", str(i), text.encode())
for i, text in enumerate(["plain", "\x1b[31mred\x07", "\u202eabc\u2066", "\x9b1m"]):
    put("lua_escape", str(i), text.encode())
put("lua_escape", "bytes", bytes(range(256)))

chain = {"name": "net", "input": [3, 8, 8], "layers": [
    {"name": "c1", "kind": "conv2d", "filters": 4, "kernel": 3, "padding": 1},
    {"name": "bn", "kind": "batch_norm"}, {"name": "r", "kind": "relu"},
    {"name": "p", "kind": "max_pool2d", "kernel": 2, "stride": 2},
    {"name": "f", "kind": "flatten"}, {"name": "d", "kind": "linear", "units": 5},
    {"name": "s", "kind": "softmax"}]}
graph = {"input": [3, 6, 6], "outputs": ["out"], "layers": [
    {"name": "a", "kind": "conv2d", "filters": 4, "kernel": 1, "aliases": ["x.0"]},
    {"name": "b", "kind": "sigmoid"}, {"name": "j", "kind": "mul", "from": ["a", "b"]},
    {"name": "k", "kind": "concat", "from": ["j", "a"]},
    {"name": "rs", "kind": "reshape", "shape": [2, 4, 6, 6]},
    {"name": "pm", "kind": "permute", "dims": [1, 3, 2, 4, 5]},
    {"name": "rt", "kind": "reshape", "shape": [8, 6, 6]},
    {"name": "g", "kind": "mul", "from": ["rt", {"param": "gamma", "shape": [8, 1, 1]}]},
    {"name": "m", "kind": "mean", "dims": [3, 4]},
    {"name": "out", "kind": "linear", "units": 2}, {"name": "end", "kind": "softmax"}]}
shared = {"input": [2, 5, 5], "layers": [
    {"name": "a", "kind": "conv2d", "filters": 2, "kernel": 3, "padding": 1, "groups": 2},
    {"name": "b", "kind": "conv2d", "filters": 2, "kernel": 3, "padding": 1, "groups": 2,
     "shares": "a"},
    {"name": "i", "kind": "interpolate", "size": [7, 3]},
    {"name": "pad", "kind": "pad", "before": [0, 0, 1, 1]},
    {"name": "v", "kind": "global_avg_pool"}]}
for i, g in enumerate([chain, graph, shared]):
    put("lua_network", str(i), json.dumps(g).encode())
    put("lua_metadata", f"g{i}", b"torch\0[\"a\",\"b\"]\0" + json.dumps(g).encode())
for i, spec in enumerate([{"mean": [1, 2, 3], "std": [4, 5, 6], "order": "bgr", "scale": .5},
                          {"fit": "crop", "crop_pct": .9, "filter": "lanczos", "size": 5},
                          {"mode": "caffe", "size": [4, 6]}]):
    put("lua_metadata", f"p{i}", json.dumps(spec).encode() + b"\0imagenet\0")
put("lua_layout", "a", "Title\0column\0row title\0caption\nof two lines".encode())
put("lua_layout", "b", ("long words " * 40 + "\0" + "x" * 300 + "\0\u00e9\u0301\0").encode())
put("text", "a", struct.pack("<d", 13) + b"\1\x80" + "Grad-CAM \u00fcber AVAV".encode())
put("text", "b", struct.pack("<d", 50.5) + b"\0\x80" + "\u05d0\u0416\u4e2d".encode())

v2 = {"class_name": "Sequential", "config": {"name": "s", "layers": [
    {"class_name": "Conv2D", "config": {
        "name": "conv2d", "batch_input_shape": [None, 8, 8, 3], "filters": 4,
        "kernel_size": [3, 3], "strides": [1, 1], "padding": "same",
        "activation": "relu", "use_bias": True}},
    {"class_name": "GlobalAveragePooling2D", "config": {"name": "gap"}},
    {"class_name": "Dense", "config": {"name": "dense", "units": 5,
                                       "activation": "softmax"}}]}}
v3 = {"class_name": "Functional", "config": {"name": "f", "layers": [
    {"class_name": "InputLayer", "name": "in", "config": {
        "name": "in", "batch_shape": [None, 8, 8, 3]}, "inbound_nodes": []},
    {"class_name": "Conv2D", "name": "conv2d", "config": {
        "name": "conv2d", "filters": 4, "kernel_size": [3, 3]},
     "inbound_nodes": [[["in", 0, 0, {}]]]},
    {"class_name": "Flatten", "name": "flat", "config": {"name": "flat"},
     "inbound_nodes": [[["conv2d", 0, 0, {}]]]},
    {"class_name": "Dense", "name": "dense", "config": {"name": "dense", "units": 5},
     "inbound_nodes": [[["flat", 0, 0, {}]]]}],
    "input_layers": [["in", 0, 0]], "output_layers": [["dense", 0, 0]]}}
for i, config in enumerate([v2, v3]):
    put("lua_keras", str(i), json.dumps(config).encode())


# ONNX by hand: protobuf fields.
def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx_tensor(name, dims, values):
    return (b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name)
            + field(9, struct.pack(f"<{len(values)}f", *values)))


def onnx_node(op, inputs, outputs, **ints):
    return (b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs)
            + field(3, outputs[0]) + field(4, op)
            + b"".join(field(5, field(1, k) + b"".join(field(8, x) for x in v) + field(20, 7))
                       for k, v in ints.items()))


def value_info(name, dims):
    shape = b"".join(field(1, field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


net = (field(1, onnx_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1] * 4))
       + field(1, onnx_node("Relu", ["c"], ["r"]))
       + field(1, onnx_node("GlobalAveragePool", ["r"], ["g"]))
       + field(1, onnx_node("Flatten", ["g"], ["f"]))
       + field(1, onnx_node("Gemm", ["f", "v"], ["y"])) + field(2, "net")
       + field(5, onnx_tensor("w", [2, 1, 3, 3], [.5] * 18))
       + field(5, onnx_tensor("b", [2], [1, 2])) + field(5, onnx_tensor("v", [2, 3], [1] * 6))
       + field(11, value_info("x", [1, 1, 4, 4])) + field(12, value_info("y", [1, 3])))
model = field(1, 8) + field(2, "seeds") + field(7, net) + field(8, field(1, "") + field(2, 17))
put("import_onnx", "net", model)
put("import_any", "onnx", model)
put("lua_listing", "onnx", b"format\tONNX\nonnx\t8\nopset\t\t17\n"
    b"tensor\tF32\t2,1,3,3\tw\ntensor\tF32\t2\tb\ntensor\tF32\t2,3\tv\n"
    b"node\tConv\t\tc\t3\tx\tw\tb\tc\nattr\tkernel_shape\tints\t3\t3\n"
    b"attr\tpads\tints\t1\t1\t1\t1\nnode\tRelu\t\tr\t1\tc\tr\n"
    b"node\tGlobalAveragePool\t\tg\t1\tr\tg\nnode\tFlatten\t\tf\t1\tg\tf\n"
    b"node\tGemm\t\ty\t2\tf\tv\ty\ninput\tx\t1\t1,1,4,4\noutput\ty\n")
put("lua_listing", "torch", b"format\tPyTorch zip\n" + b"".join(
    b"tensor\tF32\t%s\tfeatures.%d.%s\n" % (s, i, k)
    for i, a, c in [(0, 3, 8), (2, 8, 8), (5, 8, 16)]
    for s, k in [(b"%d,%d,3,3" % (c, a), b"weight"), (b"%d" % c, b"bias")]))
put("lua_listing", "keras", b"format\tHDF5\nmeta\tmodel_config\t"
    + json.dumps(v2).encode() + b"\ntensor\tF32\t3,3,3,4\tconv2d/conv2d/kernel:0\n"
    b"tensor\tF32\t4\tconv2d/conv2d/bias:0\ntensor\tF32\t4,5\tdense/dense/kernel:0\n"
    b"tensor\tF32\t5\tdense/dense/bias:0\n")



# What fuzz_import takes for a packed member: method, size, checksum, what deflate gives.
def as_packed(data):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"\x89" + struct.pack("<I", len(data))[:3] + struct.pack("<I", zlib.crc32(data)) + z.compress(data) + z.flush()


# The files of the tests, whole and by their parts.
for folder, _, names in sorted(os.walk("tests/data/import")):
    for name in sorted(names):
        with open(os.path.join(folder, name), "rb") as f:
            data = f.read()
        put("import_any", name, data)
        if data.startswith(b"\x89HDF"):
            put("import_hdf5", name, data)
        elif data.startswith(b"PK") and name.endswith(".pth"):
            with zipfile.ZipFile(io.BytesIO(data)) as z:
                for member in z.namelist():
                    if member.endswith("data.pkl"):
                        put("import_pickle", name, z.read(member))
                        put("import_zip", name, z.read(member))
                        put("import_packed", name, b"\0" + z.read(member))
                        put("import_packed", name + ".raw", as_packed(z.read(member)))
        elif data.startswith(b"\x80\x02\x8a\x0al\xfc"):
            put("import_legacy", name, data[data.index(b".\x80\x02", 21) + 1:])
        elif name.endswith(".safetensors") and data[8:9] == b"{":
            n = struct.unpack("<Q", data[:8])[0]
            put("import_safetensors", name, data[8:8 + n] + b"\0" + data[8 + n:])
put("import_pickle", "none", b"\x80\x02}q\x00.")
put("import_zip", "none", b"\x80\x02}q\x00.")
put("import_packed", "none", b"\0\x80\x02}q\x00.")
put("import_packed", "bomb", as_packed(bytes(1 << 20)))
put("import_legacy", "none", b"\x80\x02}q\x00.\x80\x02]q\x00.")
