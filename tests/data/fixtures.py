#!/usr/bin/python3
"""Writes tests/data/import: one small VGG11 in every layout that people have, and
damaged files that only h5py or torch can write. `make fixtures`; the results are kept,
so that tests need neither. Weights come from a formula (`value`), which
tests/lua/import_spec.lua knows too.
Made with Debian 12's python3-h5py 3.7.0 (libhdf5 1.10.8) and python3-torch 1.13.0.
Usage: tests/data/fixtures.py OUT"""
import collections
import json
import os
import struct
import sys
import zipfile

import h5py
import numpy as np
import torch
import torch.nn.functional as F

OUT = os.path.abspath(sys.argv[1])
BAD = OUT + "/bad/"
os.makedirs(BAD, exist_ok=True)
os.chdir(OUT)

WIDTH, FC, CLASSES, SIDE = (2, 3, 2, 4, 3), 5, 4, 2  # SIDE: of the last map


def value(name, n):
    """n numbers in -1 .. 1 by the name of a tensor: FNV-1a, then a mixing step each."""
    h = 2166136261
    for byte in name.encode():
        h = (h ^ byte) * 16777619 & 0xFFFFFFFF
    x = (h + np.arange(n, dtype=np.uint64) * 2654435761) & 0xFFFFFFFF
    x = (x ^ x >> 16) * 0x45D9F3B & 0xFFFFFFFF
    x = x ^ x >> 16
    return x.astype(np.float64) / 2.0 ** 31 - 1


def weight(name, *shape):
    scale = 0.25 if len(shape) == 1 else np.sqrt(6 / np.prod(shape[1:]))
    return (value(name, int(np.prod(shape))) * scale).astype(np.float32).reshape(shape)


CONVS = (("block1_conv1", 3, 2), ("block2_conv1", 2, 3), ("block3_conv1", 3, 2), ("block3_conv2", 2, 2),
         ("block4_conv1", 2, 4), ("block4_conv2", 4, 4), ("block5_conv1", 4, 3), ("block5_conv2", 3, 3))
PLACES = (0, 3, 6, 8, 11, 13, 16, 18)  # of the convolutions among torchvision's features
DENSE = (("fc1", 3 * SIDE * SIDE, FC), ("fc2", FC, FC), ("predictions", FC, CLASSES))
LAYERS = [c[0] for c in CONVS] + [d[0] for d in DENSE]

ours = collections.OrderedDict()
for name, i, o in CONVS:
    ours[name + ".weight"], ours[name + ".bias"] = weight(name + ".weight", o, i, 3, 3), weight(name + ".bias", o)
for name, i, o in DENSE:
    ours[name + ".weight"], ours[name + ".bias"] = weight(name + ".weight", o, i), weight(name + ".bias", o)


def renamed(dense):
    names = ["features.%d" % p for p in PLACES] + dense
    return collections.OrderedDict(
        (new + "." + key, ours[old + "." + key]) for old, new in zip(LAYERS, names) for key in ("weight", "bias"))


torchvision = renamed(["classifier.0", "classifier.3", "classifier.6"])
timm = renamed(["pre_logits.fc1", "pre_logits.fc2", "head.fc"])
timm["pre_logits.fc1.weight"] = timm["pre_logits.fc1.weight"].reshape(FC, 3, SIDE, SIDE)
timm["pre_logits.fc2.weight"] = timm["pre_logits.fc2.weight"].reshape(FC, FC, 1, 1)
state = collections.OrderedDict((k, torch.from_numpy(v)) for k, v in torchvision.items())


def safetensors(path, tensors):
    head, at = {}, 0
    for k, v in tensors.items():
        head[k] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [at, at + v.nbytes]}
        at += v.nbytes
    text = json.dumps(head).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in tensors.values()))


def logits():
    """In float64, from the picture `value("input")`."""
    x = torch.from_numpy(value("input", 3 * 64 * 64).reshape(1, 3, 64, 64))
    get = lambda n: torch.from_numpy(ours[n].astype(np.float64))
    for n in LAYERS[:8]:
        x = F.relu(F.conv2d(x, get(n + ".weight"), get(n + ".bias"), padding=1))
        if n not in ("block3_conv1", "block4_conv1", "block5_conv1"):
            x = F.max_pool2d(x, 2)
    x = x.reshape(1, -1)
    for n in LAYERS[8:]:
        x = F.linear(x, get(n + ".weight"), get(n + ".bias"))
        x = F.relu(x) if n != "predictions" else x
    return x.numpy().astype(np.float32)


def torch_files():
    old = {"_use_new_zipfile_serialization": False}
    torch.save(state, "zip.pth")
    torch.save(state, "legacy.pth", **old)
    chan = collections.OrderedDict(
        (k, v.to(memory_format=torch.channels_last) if v.ndim == 4 else v) for k, v in state.items())
    torch.save(chan, "channels_last.pth")
    torch.save({"epoch": 7, "best": 0.5, "arch": "vgg11",
                "state_dict": {"module." + k: v for k, v in state.items()},
                "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}, "checkpoint.pth")
    torch.save(collections.OrderedDict((k, torch.nn.Parameter(v)) for k, v in state.items()), "parameters.pth")
    torch.save(state, "protocol4.pth", pickle_protocol=4)
    torch.save({k: v.double() for k, v in state.items()}, "double.pth")
    torch.save({k: v.half() for k, v in state.items()}, "half.pth")
    torch.save({k: v.bfloat16() for k, v in state.items()}, "bfloat16.pth")
    big = torch.cat([v.reshape(-1) for v in state.values()])  # one storage, many views
    views, at = collections.OrderedDict(), 0
    for k, v in state.items():
        views[k] = big[at:at + v.numel()].view(v.shape)
        at += v.numel()
    torch.save(views, "views.pth")
    torch.save(views, "views_legacy.pth", **old)
    torch.save({k: v for k, v in state.items() if k.startswith("features")}, "features.pth")


def kernel(name):
    w = ours[name + ".weight"]
    if w.ndim == 4:
        w = w.transpose(2, 3, 1, 0)
    elif name == "fc1":
        w = w.reshape(-1, 3, SIDE, SIDE).transpose(2, 3, 1, 0).reshape(-1, FC)
    else:
        w = w.T
    return np.ascontiguousarray(w)


def new(name, **options):
    return h5py.File(name, "w", **options)


def keras2(f, layers, path, kernel_name, bias_name):
    for n in layers:
        f[path(n) + "/" + kernel_name(n)] = kernel(n)
        f[path(n) + "/" + bias_name(n)] = ours[n + ".bias"]


def keras3(f, spell, **options):
    for n in LAYERS:
        g = f.create_group("layers/%s/vars" % spell(n))
        g.create_dataset("0", data=kernel(n), **options)
        g.create_dataset("1", data=ours[n + ".bias"])


def auto_name(n):
    i = LAYERS.index(n)
    base, k = ("conv2d", i) if i < 8 else ("dense", i - 8)
    return base if k == 0 else "%s_%d" % (base, k)


def keras_files():
    old_w, old_b = (lambda n: n + "_W_1:0"), (lambda n: n + "_b_1:0")
    kernel_0, bias_0 = (lambda n: "kernel:0"), (lambda n: "bias:0")
    with new("keras.h5") as f:
        keras2(f, LAYERS, lambda n: n, old_w, old_b)
        f.attrs["layer_names"] = [n.encode() for n in LAYERS]
        f.attrs["backend"] = "tensorflow"
    with new("keras_model.h5") as f:
        keras2(f, LAYERS, lambda n: "model_weights/%s/%s" % (n, n), kernel_0, bias_0)
        f.attrs["model_config"] = '{"class_name": "Functional", "config": {"name": "vgg11"}}'
    with new("keras3.weights.h5") as f:
        keras3(f, lambda n: n)
    with new("auto_names.weights.h5") as f:
        keras3(f, auto_name)
        f.create_dataset("optimizer/vars/0", data=np.zeros(3, np.int64))
    with new("packed.weights.h5", libver="latest") as f:
        keras3(f, lambda n: n, chunks=True, compression="gzip", shuffle=True, fletcher32=True)
    with new("latest.weights.h5", libver="latest") as f:
        keras3(f, lambda n: n)
    with new("nested.h5") as f:  # a model within a model
        keras2(f, LAYERS, lambda n: "model_weights/%s/%s" % ("vgg11" if n[0] == "b" else n, n), kernel_0, bias_0)
    with new("notop.h5", libver="latest") as f:
        keras2(f, LAYERS[:8], lambda n: n, old_w, old_b)
    with zipfile.ZipFile("archive.keras", "w") as z:
        z.writestr(zipfile.ZipInfo("metadata.json"), b"{}")  # (ZipInfo: no time of writing)
        z.writestr(zipfile.ZipInfo("model.weights.h5"), open("latest.weights.h5", "rb").read())


def bad_torch():
    torch.save(torch.nn.Linear(2, 2), BAD + "whole_model.pth")
    torch.save([1, 2], BAD + "list.pth")
    torch.save(collections.OrderedDict((k, v[..., ::2]) if k.endswith("0.weight") else (k, v)
                                       for k, v in state.items()), BAD + "strided.pth")
    torch.save({"features.0.weight": torch.zeros(2, 3, 3, 3), "features.0.bias": torch.zeros(2),
                "features.1.running_mean": torch.zeros(2)}, BAD + "batch_norm.pth")


def bad_hdf5():
    with new(BAD + "external_link.h5") as f:
        f["block1_conv1"] = h5py.ExternalLink("keras.h5", "/block1_conv1")
    with new(BAD + "soft_link.h5") as f:
        f["block1_conv1"] = h5py.SoftLink("/elsewhere")
    with new(BAD + "soft_link_inside.h5") as f:  # to something that is there
        f["a/kernel:0"] = np.zeros((3, 3), np.float32)
        f["b"] = h5py.SoftLink("/a")
    with new(BAD + "external_data.h5") as f:
        f.create_dataset("block1_conv1/kernel:0", (3, 3, 3, 4), np.float32, external=[("/etc/passwd", 0, 432)])
    with new(BAD + "virtual.h5") as f:
        layout = h5py.VirtualLayout((4,), np.float32)
        layout[:] = h5py.VirtualSource("keras.h5", "block1_conv1/block1_conv1_b_1:0", (4,))
        f.create_virtual_dataset("block1_conv1/bias:0", layout)
    with new(BAD + "giant.h5") as f:
        f.create_dataset("fc1/kernel:0", (77777, 99999), np.float32, chunks=(64, 64))
    grown = open(BAD + "giant.h5", "rb").read()  # (libhdf5 itself would take minutes to make it)
    for n in 77777, 99999:
        grown = grown.replace(struct.pack("<Q", n), struct.pack("<Q", 1 << 30))
    open(BAD + "giant.h5", "wb").write(grown)
    with new(BAD + "bomb.h5") as f:  # 12 MB from 12 KB
        f.create_dataset("fc1/kernel:0", data=np.zeros((3072, 1024), np.float32), chunks=(3072, 1024),
                         compression="gzip", compression_opts=9)
    with new(BAD + "fill.h5") as f:
        f.create_dataset("fc1/kernel:0", (8192, 8192), np.float32, fillvalue=1)
    with new(BAD + "big_endian.h5") as f:
        f.create_dataset("block1_conv1/kernel:0", data=np.zeros((3, 3, 3, 4), ">f4"))
    with new(BAD + "ring.h5") as f:
        g = f.create_group("a")
        g["b"] = g
    with new(BAD + "lzf.h5") as f:
        f.create_dataset("fc1/kernel:0", data=np.zeros((64, 64), np.float32), compression="lzf")
    with new(BAD + "norm.h5") as f:
        for k in "gamma", "beta", "moving_mean", "moving_variance":
            f["bn/" + k] = np.zeros(4, np.float32)


safetensors("lunette.safetensors", ours)
safetensors("torchvision.safetensors", torchvision)
safetensors("timm.safetensors", timm)
safetensors("expected.safetensors", {"logits": logits()})
torch_files()
keras_files()
bad_torch()
bad_hdf5()
