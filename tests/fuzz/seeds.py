#!/usr/bin/env python3
"""Writes first inputs for every target: seeds.py FOLDER. What a library that is
not installed would have made is left out (h5py, torch)."""
import collections
import io
import json
import os
import random
import struct
import sys
import zipfile

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

# a pickle by hand: {"a": tensor (3,4) over storage 0}
put("import_pickle", "none", b"\x80\x02}q\x00.")
put("import_zip", "none", b"\x80\x02}q\x00.")
put("import_legacy", "none", b"\x80\x02}q\x00.\x80\x02]q\x00.")

try:
    import torch
    state = collections.OrderedDict(a=torch.arange(12.).view(3, 4), b=torch.arange(4.))
    for protocol in (2, 4):
        b = io.BytesIO()
        torch.save(state, b, pickle_protocol=protocol)
        put("import_any", f"zip{protocol}", b.getvalue())
        z = zipfile.ZipFile(io.BytesIO(b.getvalue()))
        name = [n for n in z.namelist() if n.endswith("data.pkl")][0]
        put("import_pickle", f"p{protocol}", z.read(name))
        put("import_zip", f"p{protocol}", z.read(name))
        b = io.BytesIO()
        torch.save(state, b, pickle_protocol=protocol,
                   _use_new_zipfile_serialization=False)
        put("import_any", f"legacy{protocol}", b.getvalue())
        put("import_legacy", f"l{protocol}", b.getvalue()[15:])
except ImportError:
    print("seeds: no torch here")

try:
    import h5py
    for i, options in enumerate([{}, {"chunks": (2, 2), "compression": "gzip"}]):
        b = io.BytesIO()
        with h5py.File(b, "w") as f:
            f.create_dataset("layer/vars/0", data=np.arange(12, dtype="f4").reshape(3, 4),
                             **options)
            f.create_dataset("s", data=np.float32(3))
        put("import_hdf5", f"h{i}", b.getvalue())
        put("import_any", f"h{i}", b.getvalue())
except ImportError:
    print("seeds: no h5py here")
