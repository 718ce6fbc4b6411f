"""Writes model files for tests/lua/import_spec.lua.

    python3 model_files.py SHARED OUT

Every good file holds the network of SHARED/models/formats/vgg16_torchvision.safetensors,
saved the way that some people do; every file under OUT/bad is damaged or hostile.
OUT/expected.safetensors is expected.npz in a format that Lua reads.
Debian's python3-numpy, python3-h5py 3.7, python3-torch 1.13, python3-torchvision 0.14.
"""
import collections
import json
import os
import pickle
import struct
import sys
import zipfile

import h5py
import numpy as np
import torch

SHARED, OUT = sys.argv[1], sys.argv[2]
FORMATS = SHARED + "/models/formats/"
BAD = OUT + "/bad/"
os.makedirs(BAD, exist_ok=True)


def load(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        head, data = json.loads(f.read(n)), f.read()
    head.pop("__metadata__", None)
    cut = lambda v: np.frombuffer(data[v["data_offsets"][0]:v["data_offsets"][1]], np.float32)
    return {k: cut(v).reshape(v["shape"]).copy() for k, v in head.items()}


def safetensors(path, tensors, meta=None):
    head, at = {}, 0
    if meta:
        head["__metadata__"] = meta
    for k, v in tensors.items():
        kind = {"float32": "F32", "float16": "F16", "int64": "I64"}[str(v.dtype)]
        head[k] = {"dtype": kind, "shape": list(v.shape), "data_offsets": [at, at + v.nbytes]}
        at += v.nbytes
    raw(path, json.dumps(head), b"".join(np.ascontiguousarray(v).tobytes() for v in tensors.values()))


def raw(path, header, data, length=None):
    header = header if isinstance(header, bytes) else header.encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(header) if length is None else length) + header + data)


torchvision = load(FORMATS + "vgg16_torchvision.safetensors")
ours = load(FORMATS + "vgg16_lunette.safetensors")
state = collections.OrderedDict((k, torch.from_numpy(v)) for k, v in torchvision.items())


# ---- good: torch ------------------------------------------------------------

def torch_files():
    chan = collections.OrderedDict(
        (k, v.to(memory_format=torch.channels_last) if v.ndim == 4 else v) for k, v in state.items())
    torch.save(chan, OUT + "/channels_last.pth")
    torch.save({"epoch": 7, "best": 0.5, "arch": "vgg16",
                "state_dict": {"module." + k: v for k, v in state.items()},
                "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}, OUT + "/checkpoint.pth")
    params = collections.OrderedDict((k, torch.nn.Parameter(v)) for k, v in state.items())
    torch.save(params, OUT + "/parameters.pth")
    torch.save(state, OUT + "/protocol4.pth", pickle_protocol=4)
    torch.save({k: v.double() for k, v in state.items()}, OUT + "/double.pth")
    torch.save({k: v.half() for k, v in state.items()}, OUT + "/half.pth")
    torch.save({k: v.bfloat16() for k, v in state.items()}, OUT + "/bfloat16.pth")
    big = torch.cat([v.reshape(-1) for v in state.values()])  # one storage, many views
    views, at = collections.OrderedDict(), 0
    for k, v in state.items():
        views[k] = big[at:at + v.numel()].view(v.shape)
        at += v.numel()
    torch.save(views, OUT + "/views.pth")
    torch.save(views, OUT + "/views_legacy.pth", _use_new_zipfile_serialization=False)


def torchvision_files():
    from torchvision import models
    torch.manual_seed(1)
    for name in "alexnet", "squeezenet1_0", "squeezenet1_1", "vgg11", "vgg16_bn", "resnet18":
        net = getattr(models, name)(num_classes=7).eval() if name != "vgg11" else None
        if name == "vgg11":  # small, without its dense layers
            net = models.vgg11(num_classes=7).features
            torch.save({"features." + k: v for k, v in net.state_dict().items()}, OUT + "/vgg11_features.pth")
        elif name == "vgg16_bn":
            torch.save({k: v for k, v in net.state_dict().items() if k.startswith("features")},
                       BAD + "vgg16_bn.pth")
        else:
            if name == "alexnet":  # large: half precision will do
                net = net.half().float()
            sd = {k: v.half() if name == "alexnet" else v for k, v in net.state_dict().items()}
            torch.save(sd, OUT + "/" + name + ".pth")
            x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
            with torch.no_grad():
                y = net(x)
            safetensors(OUT + "/" + name + "_expected.safetensors", {"input": x.numpy(), "logits": y.numpy()})


# ---- good: Keras ------------------------------------------------------------

def kernel(name, w):
    if w.ndim == 4:
        return w.transpose(2, 3, 1, 0)
    if name == "fc1":
        return w.reshape(-1, 32, 2, 2).transpose(2, 3, 1, 0).reshape(-1, w.shape[0])
    return w.T


LAYERS = [k[:-7] for k in ours if k.endswith(".weight")]


def keras3(f, spell, **options):
    for n in LAYERS:
        g = f.create_group("layers/%s/vars" % spell(n))
        g.create_dataset("0", data=np.ascontiguousarray(kernel(n, ours[n + ".weight"])), **options)
        g.create_dataset("1", data=ours[n + ".bias"])


def auto_name(n):
    i = LAYERS.index(n)
    base, k = ("conv2d", i) if i < 13 else ("dense", i - 13)
    return base if k == 0 else "%s_%d" % (base, k)


def keras_files():
    with h5py.File(OUT + "/auto_names.weights.h5", "w") as f:
        keras3(f, auto_name)
        f.create_dataset("optimizer/vars/0", data=np.zeros(3, np.int64))
    with h5py.File(OUT + "/packed.weights.h5", "w") as f:
        keras3(f, lambda n: n, chunks=True, compression="gzip", shuffle=True, fletcher32=True)
    with h5py.File(OUT + "/latest.weights.h5", "w", libver="latest") as f:
        keras3(f, lambda n: n)
    with h5py.File(OUT + "/nested.h5", "w") as f:  # a model within a model
        for n in LAYERS:
            g = f.create_group("model_weights/%s/%s" % ("vgg16" if n[0] == "b" else n, n))
            g["kernel:0"] = np.ascontiguousarray(kernel(n, ours[n + ".weight"]))
            g["bias:0"] = ours[n + ".bias"]
    with h5py.File(OUT + "/notop.h5", "w") as f:
        for n in LAYERS[:13]:
            f["%s/%s_W_1:0" % (n, n)] = np.ascontiguousarray(kernel(n, ours[n + ".weight"]))
            f["%s/%s_b_1:0" % (n, n)] = ours[n + ".bias"]
    with zipfile.ZipFile(OUT + "/archive.keras", "w") as z:
        z.writestr("metadata.json", "{}")
        z.write(FORMATS + "vgg16_keras3.weights.h5", "model.weights.h5")


# ---- bad --------------------------------------------------------------------

class Call:
    def __init__(self, f, *args):
        self.f, self.args = f, args

    def __reduce__(self):
        return self.f, self.args


def zip_of(path, members, pack=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", pack) as z:
        for name, data in members:
            z.writestr(name, data)


def bad_torch():
    for name, f in ("system", os.system), ("eval", eval), ("exec", exec), ("open", open):
        zip_of(BAD + name + ".pth", [("a/data.pkl", pickle.dumps(Call(f, "touch " + OUT + "/owned"), 2)),
                                     ("a/version", b"3\n")])
    torch.save(torch.nn.Linear(2, 2), BAD + "whole_model.pth")
    torch.save([1, 2], BAD + "list.pth")
    torch.save(collections.OrderedDict((k, v[..., ::2]) if k.endswith("0.weight") else (k, v)
                                       for k, v in state.items()), BAD + "strided.pth")
    good = open(FORMATS + "vgg16_zip.pth", "rb").read()
    with zipfile.ZipFile(FORMATS + "vgg16_zip.pth") as z:
        members = [(i.filename, z.read(i)) for i in z.infolist()]
    zip_of(BAD + "packed.pth", members, zipfile.ZIP_DEFLATED)
    zip_of(BAD + "bomb.pth", [("a/data.pkl", b"\0" * (1 << 28))], zipfile.ZIP_DEFLATED)
    zip_of(BAD + "short_storage.pth", [(n, d[:-4] if n.endswith("data/0") else d) for n, d in members])
    # one local header for two members of the table
    at = good.rfind(b"PK\1\2")
    first = good.find(b"PK\1\2")
    open(BAD + "overlap.pth", "wb").write(good[:at + 42] + good[first + 42:first + 46] + good[at + 46:])
    # a weight changed after the checksum was taken
    spot = good.find(members[1][1])
    open(BAD + "flipped.pth", "wb").write(good[:spot + 5] + bytes([good[spot + 5] ^ 1]) + good[spot + 6:])
    magic = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e") + b"\x80\x02M\xe9\x03.\x80\x02}."
    open(BAD + "memo.pth", "wb").write(magic + b"\x80\x02" + b"]r\xff\xff\xff\xff." + b"].")
    open(BAD + "lists.pth", "wb").write(magic + b"\x80\x02" + b"]" * 3000000 + b".")
    # dicts that hold each other twice: 2^60 paths through sixty of them
    laughs = b"\x80\x02}q\x00" + b"".join(
        b"}q" + bytes([i]) + b"(X\x01\0\0\0ah" + bytes([i - 1]) + b"X\x01\0\0\0bh" + bytes([i - 1]) + b"u"
        for i in range(1, 60)) + b"."
    open(BAD + "laughs.pth", "wb").write(magic + laughs + b"\x80\x02].")
    ring = b"\x80\x02}q\x00X\x01\0\0\0ah\x00s."
    open(BAD + "ring.pth", "wb").write(magic + ring + b"\x80\x02].")


def entry(shape, begin, end, kind="F32"):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def bad_safetensors():
    raw(BAD + "huge_header.safetensors", b"{", b"", length=1 << 62)
    raw(BAD + "long_header.safetensors", b"{", b" " * 100, length=90 << 20)
    raw(BAD + "deep.safetensors", b'{"a":' * 200000, b"")
    raw(BAD + "lists.safetensors", b'{"a":' + b"[" * 4000000, b"")
    raw(BAD + "overlap.safetensors", json.dumps({"a": entry([4], 0, 16), "b": entry([4], 8, 24)}), bytes(24))
    raw(BAD + "hole.safetensors", json.dumps({"a": entry([4], 0, 16), "b": entry([2], 20, 28)}), bytes(28))
    raw(BAD + "outside.safetensors", json.dumps({"a": entry([4], 0, 16)}), bytes(8))
    raw(BAD + "giant.safetensors", json.dumps({"a": entry([1 << 40, 1 << 40], 0, 16)}), bytes(16))
    raw(BAD + "negative.safetensors", json.dumps({"a": entry([-4, -1], 0, 16)}), bytes(16))
    raw(BAD + "twice.safetensors", '{"a":%s,"a":%s}' % ((json.dumps(entry([4], 0, 16)),) * 2), bytes(16))
    raw(BAD + "keys.safetensors", json.dumps({"%06d" % i: 0 for i in range(500000)}), b"")
    safetensors(BAD + "other_net.safetensors", {"embed.weight": np.zeros((4, 4), np.float32)})
    wrong = dict(torchvision)
    wrong["features.5.weight"] = np.zeros((8, 5, 3, 3), np.float32)
    safetensors(BAD + "wrong_shape.safetensors", wrong)
    missing = {k: v for k, v in torchvision.items() if k != "features.7.bias"}
    safetensors(BAD + "missing.safetensors", missing)
    safetensors(BAD + "extra.safetensors", dict(torchvision, **{"aux.weight": np.zeros(3, np.float32)}))
    nan = dict(torchvision)
    nan["features.5.bias"] = np.full_like(nan["features.5.bias"], np.nan)
    safetensors(BAD + "nan.safetensors", nan)
    large = dict(torchvision)
    large["features.5.bias"] = np.full_like(large["features.5.bias"], 1e6)
    safetensors(OUT + "/large.safetensors", large)
    safetensors(BAD + "integers.safetensors", {"features.0.weight": np.zeros((4, 3, 3, 3), np.int64)})


def bad_hdf5():
    def new(name, **options):
        return h5py.File(BAD + name, "w", **options)
    with new("external_link.h5") as f:
        f["block1_conv1"] = h5py.ExternalLink(FORMATS + "vgg16_keras.h5", "/block1_conv1")
    with new("soft_link.h5") as f:
        f["block1_conv1"] = h5py.SoftLink("/elsewhere")
    with new("external_data.h5") as f:
        f.create_dataset("block1_conv1/kernel:0", (3, 3, 3, 4), np.float32,
                         external=[("/etc/passwd", 0, 432)])
    with new("virtual.h5") as f:
        layout = h5py.VirtualLayout((4,), np.float32)
        layout[:] = h5py.VirtualSource(FORMATS + "vgg16_keras.h5", "block1_conv1/block1_conv1_b_1:0", (4,))
        f.create_virtual_dataset("block1_conv1/bias:0", layout)
    with new("giant.h5") as f:
        f.create_dataset("fc1/kernel:0", (77777, 99999), np.float32, chunks=(64, 64))
    grown = open(BAD + "giant.h5", "rb").read()  # (libhdf5 itself would take minutes to make it)
    for n in 77777, 99999:
        grown = grown.replace(struct.pack("<Q", n), struct.pack("<Q", 1 << 30))
    open(BAD + "giant.h5", "wb").write(grown)
    with new("bomb.h5") as f:
        f.create_dataset("fc1/kernel:0", data=np.zeros((4096, 4096), np.float32), chunks=(1024, 1024),
                         compression="gzip")
    with new("fill.h5") as f:
        f.create_dataset("fc1/kernel:0", (8192, 8192), np.float32, fillvalue=1)
    with new("big_endian.h5") as f:
        f.create_dataset("block1_conv1/kernel:0", data=np.zeros((3, 3, 3, 4), ">f4"))
    with new("ring.h5") as f:
        g = f.create_group("a")
        g["b"] = g
    with new("lzf.h5") as f:
        f.create_dataset("fc1/kernel:0", data=np.zeros((64, 64), np.float32), compression="lzf")
    with new("norm.h5") as f:
        for k in "gamma", "beta", "moving_mean", "moving_variance":
            f["bn/" + k] = np.zeros(4, np.float32)


def bad_others():
    for name, data in (("empty", b""), ("text", b"hello\n"), ("short", b"\x89HDF\r\n\x1a\n"), ("zip", b"PK\3\4"),
                       ("jpeg", b"\xff\xd8\xff\xe0" + bytes(100)), ("gzip", b"\x1f\x8b" + bytes(100)),
                       ("html", b"<!DOCTYPE html><html>404</html>"),
                       ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")):
        open(BAD + name + ".bin", "wb").write(data)


expected = np.load(FORMATS + "expected.npz")
safetensors(OUT + "/expected.safetensors", {k: expected[k] for k in expected})
torch_files()
torchvision_files()
keras_files()
bad_torch()
bad_safetensors()
bad_hdf5()
bad_others()
