"""Writes hostile and damaged model files for tests/lua/import_spec.lua, and networks of
torchvision where that is installed.

    python3 model_files.py FIXTURES OUT [networks]

FIXTURES is tests/data/import (see fixtures.py). OUT/bad gets the bad files, made with
Python alone; with `networks` OUT gets those of torchvision, half precision, with their
logits.
Debian's python3-torch 1.13, python3-torchvision 0.14.
"""
import array
import json
import os
import pickle
import shutil
import struct
import sys
import zipfile

FIXTURES, OUT = sys.argv[1] + "/", sys.argv[2]
BAD = OUT + "/bad/"
shutil.copytree(FIXTURES + "bad", BAD)


def load(path):
    """name -> (shape, bytes)"""
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        head, data = json.loads(f.read(n)), f.read()
    return {k: (v["shape"], data[slice(*v["data_offsets"])]) for k, v in head.items()}


def floats(*values):
    return array.array("f", values).tobytes()


def safetensors(path, tensors, kind="F32"):
    head, at = {}, 0
    for k, (shape, data) in tensors.items():
        head[k] = entry(shape, at, at + len(data), kind)
        at += len(data)
    raw(path, json.dumps(head), b"".join(data for _, data in tensors.values()))


def raw(path, header, data, length=None):
    header = header if isinstance(header, bytes) else header.encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(header) if length is None else length) + header + data)


def entry(shape, begin, end, kind="F32"):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


torchvision = load(FIXTURES + "torchvision.safetensors")


# ---- good -------------------------------------------------------------------

def torchvision_files():
    import torch
    from torchvision import models

    def array_of(t):
        return list(t.shape), t.contiguous().numpy().tobytes()

    torch.manual_seed(1)
    for name in "alexnet", "squeezenet1_0", "squeezenet1_1", "resnet18":
        net = getattr(models, name)(num_classes=7).eval()
        if name == "alexnet":  # large: half precision will do
            net = net.half().float()
        sd = {k: v.half() if name == "alexnet" else v for k, v in net.state_dict().items()}
        torch.save(sd, OUT + "/" + name + ".pth")
        x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            y = net(x)
        safetensors(OUT + "/" + name + "_expected.safetensors", {"input": array_of(x), "logits": array_of(y)})


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


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s


def small(*numbers):
    return b"(" + b"".join(b"K" + bytes([n]) for n in numbers) + b"t"


def tensor_of(shape, strides):
    """{"w": a float tensor of 6 numbers} as torch.save pickles it."""
    storage = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"K\x06tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    return (b"\x80\x02}" + text(b"w") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0"
            + small(*shape) + small(*strides) + b"\x89" + hooks + b"tRs.")


def torch_views():
    """Axes of one have any stride; others must leave no holes."""
    for name, shape, strides in (("unit_axes", (2, 1, 3, 1), (3, 9, 1, 7)), ("all_units", (1, 1), (5, 6)),
                                 ("turned", (3, 1, 2), (1, 1, 3)), ("bad/holes", (2, 1, 2), (3, 9, 1))):
        zip_of(OUT + "/" + name + ".pth", [("a/data.pkl", tensor_of(shape, strides)),
                                           ("a/data/0", floats(1, 2, 3, 4, 5, 6)), ("a/version", b"3\n")])


def torch_module():
    """A pickled module: what state_dict() leaves out is in a set, and so no weight."""
    def one(name):
        storage = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"K\x06tQ"
        return (text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0" + small(6) + small(1)
                + b"\x89ccollections\nOrderedDict\n)RtR")
    inner = (b"capp\nInner\n)\x81}(" + text(b"_parameters") + b"}" + one(b"scale") + b"s"
             + text(b"_modules") + b"}ub")
    whole = (b"\x80\x02capp\nNet\n)\x81}(" + text(b"_parameters") + b"}" + one(b"weight") + b"s"
             + text(b"_buffers") + b"}(" + one(b"mean") + one(b"mask") + b"u"
             + text(b"_non_persistent_buffers_set") + b"c__builtin__\nset\n](" + text(b"mask") + b"e\x85R"
             + text(b"_modules") + b"}" + text(b"inner") + inner + b"sub.")
    zip_of(OUT + "/module.pth", [("a/data.pkl", whole), ("a/data/0", floats(1, 2, 3, 4, 5, 6)), ("a/version", b"3\n")])


def torch_bytes():
    """Bytes beside a tensor, short and long; filled, built and called as no bytes are."""
    head, tensor = tensor_of((2, 3), (3, 1))[:3], tensor_of((2, 3), (3, 1))[3:-2]
    more = b"".join(text(name) + value for name, value in (
        (b"two", b"C\x02ab"), (b"long", b"B\x2c\x01\0\0" + b"x" * 300), (b"none", b"C\0"),
        (b"built", b"C\x04abcd}" + text(b"k") + b"K\1sb"), (b"filled", b"C\x04abcd" + text(b"k") + b"K\1s"),
        (b"called", b"C\x04abcd)R")))
    zip_of(OUT + "/bytes.pth", [("a/data.pkl", head + b"(" + tensor + more + b"u."),
                                ("a/data/0", floats(1, 2, 3, 4, 5, 6)), ("a/version", b"3\n")])
    zip_of(BAD + "only_bytes.pth", [("a/data.pkl", b"\x80\3C\x03abc."), ("a/version", b"3\n")])


def bad_torch():
    for name, f in ("system", os.system), ("eval", eval), ("exec", exec), ("open", open):
        zip_of(BAD + name + ".pth", [("a/data.pkl", pickle.dumps(Call(f, "touch " + OUT + "/owned"), 2)),
                                     ("a/version", b"3\n")])
    good = open(FIXTURES + "zip.pth", "rb").read()
    with zipfile.ZipFile(FIXTURES + "zip.pth") as z:
        members = [(i.filename, z.read(i)) for i in z.infolist()]
    zip_of(OUT + "/packed.pth", members, zipfile.ZIP_DEFLATED)
    zip_of(BAD + "lzma.pth", members, zipfile.ZIP_LZMA)
    packed = open(OUT + "/packed.pth", "rb").read()
    crc = packed.find(b"PK\1\2") + 16  # of the first member, in the table
    open(BAD + "packed_flipped.pth", "wb").write(packed[:crc] + bytes([packed[crc] ^ 1]) + packed[crc + 1:])
    for kind, change in ("cut", 1), ("long", -1):
        size = struct.unpack("<I", packed[crc + 8:crc + 12])[0] + change
        open(BAD + "packed_%s.pth" % kind, "wb").write(packed[:crc + 8] + struct.pack("<I", size) + packed[crc + 12:])
    zip_of(BAD + "bomb.pth", [("a/data.pkl", b"\0" * (1 << 28))], zipfile.ZIP_DEFLATED)
    zip_of(BAD + "short_storage.pth", [(n, d[:-4] if n.endswith("data/0") else d) for n, d in members])
    zip_of(BAD + "big_endian.pth", [m for m in members if not m[0].endswith("byteorder")] + [("zip/byteorder", b"big")])
    legacy = open(FIXTURES + "legacy.pth", "rb").read()
    open(BAD + "big_endian_legacy.pth", "wb").write(legacy.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"))
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
    safetensors(BAD + "other_net.safetensors", {"embed.weight": ([4, 4], bytes(64))})
    safetensors(BAD + "integers.safetensors", {"features.0.weight": ([4, 3, 3, 3], bytes(864))}, "I64")

    def changed(name, **tensors):
        safetensors(name, {**torchvision, **{k.replace("_", "."): v for k, v in tensors.items()}})
    changed(BAD + "wrong_shape.safetensors", features_3_weight=([3, 5, 3, 3], bytes(540)))
    changed(BAD + "extra.safetensors", aux_weight=([3], bytes(12)))
    changed(BAD + "nan.safetensors", features_3_bias=([3], floats(0, float("nan"), 0)))
    changed(BAD + "infinity.safetensors", features_3_bias=([3], floats(0, 0, -float("inf"))))
    changed(OUT + "/large.safetensors", features_3_bias=([3], floats(1e6, 1e6, 1e6)))
    safetensors(BAD + "missing.safetensors", {k: v for k, v in torchvision.items() if k != "features.6.bias"})


def bad_others():
    for name, data in (("empty", b""), ("text", b"hello\n"), ("short", b"\x89HDF\r\n\x1a\n"), ("zip", b"PK\3\4"),
                       ("jpeg", b"\xff\xd8\xff\xe0" + bytes(100)), ("gzip", b"\x1f\x8b" + bytes(100)),
                       ("html", b"<!DOCTYPE html><html>404</html>"),
                       ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")):
        open(BAD + name + ".bin", "wb").write(data)


if "networks" in sys.argv[3:]:
    torchvision_files()
else:
    torch_views()
    torch_module()
    torch_bytes()
    bad_torch()
    bad_safetensors()
    bad_others()
