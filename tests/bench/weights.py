"""Reads safetensors files without copying: tensors lie over the mapped file."""
import json

import numpy as np
import torch

KINDS = {"F32": np.float32, "F16": np.float16, "F64": np.float64}


def load(path):
    """{name: tensor} of the file at `path`, float32."""
    data = np.memmap(path, dtype=np.uint8, mode="c")
    size = int(data[:8].view(np.uint64)[0])
    header = json.loads(bytes(data[8 : 8 + size]))
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        a, z = (8 + size + at for at in entry["data_offsets"])
        values = data[a:z].view(KINDS[entry["dtype"]]).reshape(entry["shape"])
        found[name] = torch.from_numpy(np.asarray(values)).float()
    return found
