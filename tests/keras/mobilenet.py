#!/usr/bin/python3
# Writes the weights of a narrow MobileNet as Keras 2 saves them (mobilenet.h5: no config), a picture and the logits
# that TensorFlow would answer, computed by torch in float64 (x.npy, y.npy). Argument: a folder.
import sys

import h5py
import numpy as np
import torch
import torch.nn.functional as F

out, width = sys.argv[1], 0.25
rng = np.random.default_rng(5)
file = h5py.File(out + "/mobilenet.h5", "w")
names = []


def keep(layer, **values):
    names.append(layer)
    group = file.create_group(layer)
    for key, v in values.items():
        group.create_dataset(f"{layer}/{key}:0", data=v.astype(np.float32))
    group.attrs["weight_names"] = [f"{layer}/{key}:0".encode() for key in values]
    return [torch.tensor(v.astype(np.float32)).double() for v in values.values()]


def block(x, name, n, k, stride, depthwise=False):
    c = x.shape[1]
    shape = (k, k, c, 1) if depthwise else (k, k, c, n)
    w, = keep(name, **{"depthwise_kernel" if depthwise else "kernel":
                       rng.uniform(-1, 1, shape) * np.sqrt(6 / (k * k * (1 if depthwise else c)))})
    if stride == 2:
        x = F.pad(x, (0, 1, 0, 1))
    w = w.permute(2, 3, 0, 1) if depthwise else w.permute(3, 2, 0, 1)
    x = F.conv2d(x, w, None, stride, 1 if k == 3 and stride == 1 else 0, 1, c if depthwise else 1)
    g, b, m, v = keep(name + "_bn", gamma=rng.uniform(0.5, 1.5, n), beta=rng.uniform(-0.1, 0.1, n),
                      moving_mean=rng.uniform(-0.1, 0.1, n), moving_variance=rng.uniform(0.5, 1.5, n))
    return F.relu6(F.batch_norm(x, m, v, g, b, False, 0.0, 1e-3))


picture = rng.standard_normal((2, 3, 64, 64)).astype(np.float32)
x = block(torch.tensor(picture).double(), "conv1", int(32 * width), 3, 2)
for i, (n, s) in enumerate([(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5
                           + [(1024, 2), (1024, 1)]):
    x = block(x, f"conv_dw_{i + 1}", x.shape[1], 3, s, True)
    x = block(x, f"conv_pw_{i + 1}", int(n * width), 1, 1)
x = x.mean((2, 3), keepdim=True)
w, b = keep("conv_preds", kernel=rng.standard_normal((1, 1, x.shape[1], 7)), bias=rng.standard_normal(7))
y = F.conv2d(x, w.permute(3, 2, 0, 1), b).flatten(1)
file.attrs["layer_names"] = [n.encode() for n in names]
file.close()
np.save(out + "/x.npy", picture)
np.save(out + "/y.npy", y.numpy().astype(np.float32))
