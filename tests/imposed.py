"""The gradient of VGG16's logit in float64, every relu and pooling decided as
in activations that are given:

imposed.py WEIGHTS.safetensors FOLDER CLASS RULE...

FOLDER holds, raw float32, what the engine computed: LAYER.f32, the activated
output of every layer before the last, and RULE.f32, its gradient of the input
under a backward rule (vanilla, guided, rectified). Prints `RULE distance`,
relative L2, a line each.
"""
import json
import os
import sys

import numpy as np

BLOCKS = ((2, 64, 224), (2, 128, 112), (3, 256, 56), (3, 512, 28), (3, 512, 14))


def tensors(path):
    """{name: float32 array} over the mapped file, turned matrices in order."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    at = 8 + int(data[:8].view(np.uint64)[0])
    header = json.loads(bytes(data[8:at]))
    turned = json.loads(header.pop("__metadata__", {}).get("lunette_turned", "[]"))
    found = {name: data[at + e["data_offsets"][0] : at + e["data_offsets"][1]]
             .view(np.float32).reshape(e["shape"]) for name, e in header.items()}
    return {name: v.T if name in turned else v for name, v in found.items()}


def gate(rule, y, d):
    """The rules of docs/modifiers.md at a relu of output y."""
    if rule != "vanilla":
        d = np.maximum(d, 0)
    return d if rule == "rectified" else d * (y > 0)


def dense(w, d):
    """d W, some columns at a time: W is large in float64."""
    columns = range(0, w.shape[1], 1024)
    return np.concatenate([d @ w[:, i : i + 1024].astype(np.float64) for i in columns])


def unpool(y, d):
    """2x2: to the first maximum of four."""
    c, h, w = y.shape
    four = y.reshape(c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4)
    winner = four.reshape(c, h // 2, w // 2, 4).argmax(-1)
    out = np.where(winner[..., None] == np.arange(4), d[..., None], 0.0)
    out = out.reshape(c, h // 2, w // 2, 2, 2).transpose(0, 1, 3, 2, 4)
    return out.reshape(c, h, w)


def convolve_back(w, d):
    """Gradient of the input of a 3x3 convolution, padding 1, tap by tap."""
    k, h, wide = d.shape
    taps = np.ascontiguousarray(w.transpose(2, 3, 1, 0), np.float64)
    padded = np.pad(d, ((0, 0), (1, 1), (1, 1)))
    total = np.zeros((w.shape[1], h * wide))
    for i in range(3):
        for j in range(3):
            part = padded[:, 2 - i : 2 - i + h, 2 - j : 2 - j + wide]
            total += taps[i, j] @ part.reshape(k, -1)
    return total.reshape(-1, h, wide)


def gradient(t, saved, label, rule):
    d = t["predictions.weight"][label].astype(np.float64)
    for name in ("fc2", "fc1"):
        d = dense(t[name + ".weight"], gate(rule, saved(name), d))
    d = d.reshape(512, 7, 7)
    for block in range(len(BLOCKS), 0, -1):
        count, channels, side = BLOCKS[block - 1]
        for i in range(count, 0, -1):
            name = f"block{block}_conv{i}"
            y = saved(name).reshape(channels, side, side)
            if i == count:
                d = unpool(y, d)
            d = convolve_back(t[name + ".weight"], gate(rule, y, d))
    return d.ravel()


def main(weights, folder, label, rules):
    def saved(name):
        return np.fromfile(os.path.join(folder, name + ".f32"), np.float32)

    t = tensors(weights)
    for rule in rules:
        want, got = gradient(t, saved, label, rule), saved(rule).astype(np.float64)
        print(rule, np.linalg.norm(got - want) / np.linalg.norm(want))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
