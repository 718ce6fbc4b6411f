"""Writes torchvision's own networks with formula weights, and what they answer.

    python3 tests/zoo/write.py FOLDER NAME...

FOLDER/NAME.safetensors holds the state_dict; FOLDER/NAME.golden.safetensors a picture
(1,3,96,96) and the logits that torchvision computes in float64. tests/zoo/compare.lua
loads the first by its names and compares.
"""
import json
import os
import struct
import sys

import numpy as np
import torch
import torchvision


def formula(index, shape):
    """Numbers between -1 and 1 that any language can make."""
    n = int(np.prod(shape)) if len(shape) else 1
    k = np.arange(n, dtype=np.float64) * 12.9898 + (index + 1) * 78.233
    v = np.sin(k) * 43758.5453
    return ((v - np.floor(v)) * 2 - 1).reshape(shape)


def fill(net):
    for index, (name, t) in enumerate(net.state_dict().items()):
        if "num_batches" in name:
            continue
        v = formula(index, tuple(t.shape))
        if name.endswith("running_var") or (t.dim() == 1 and name.endswith("weight")):
            v = 1 + v / 4
        elif t.dim() == 1:
            v = v / 10
        else:
            v = v * np.sqrt(3 / max(1, np.prod(t.shape[1:])))
        t.copy_(torch.from_numpy(v.astype(np.float32)))


def save(path, tensors):
    head, at, parts = {}, 0, []
    for name, a in tensors.items():
        a = np.ascontiguousarray(a, dtype=np.float32)
        head[name] = {"dtype": "F32", "shape": list(a.shape),
                      "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
        parts.append(a)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in parts:
            f.write(a.tobytes())


def main(folder, names):
    x = formula(1000, (1, 3, 96, 96)).astype(np.float32)
    for name in names:
        more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        if name.startswith("vit_"):
            more = {"image_size": x.shape[2]}
        net = getattr(torchvision.models, name)(weights=None, **more).eval()
        with torch.no_grad():
            fill(net)
            state = {k: v.numpy() for k, v in net.state_dict().items()
                     if "num_batches" not in k}
            y = net.double()(torch.from_numpy(x).double()).numpy()
        save(os.path.join(folder, name + ".safetensors"), state)
        save(os.path.join(folder, name + ".golden.safetensors"),
             {"input": x, "logits": y})
        count = sum(v.size for v in state.values())
        print(name, count, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
