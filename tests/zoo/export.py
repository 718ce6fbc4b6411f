"""Writes torchvision's own networks, formula weights, as torch exports them to ONNX.

    python3 tests/zoo/export.py FOLDER NAME[:OPSET]...

FOLDER/NAME.onnx and FOLDER/NAME.golden.safetensors, a picture and the logits that
torchvision computes in float64. tests/zoo/onnx.lua imports the first and compares.
SIDE (96) is that of the picture; GOLDEN=0 writes the networks alone (tests/bench/zoo).
"""
import os
import sys

import numpy as np
import torch
import torchvision

from write import fill, formula, save

SIDE = int(os.environ.get("SIDE", "96"))


def attention(query, key, value, heads, in_weight, in_bias, out_weight, out_bias):
    """nn.MultiheadAttention as torch 2 exports it; 1.13 has an operator that its
    exporter does not know. The batch is one of the factors of a dimension."""
    n, batch, width = query.shape
    parts = torch.nn.functional.linear(query, in_weight, in_bias)
    parts = parts.view(n, batch, 3, width).unsqueeze(0) # torch 2 writes unflatten
    q, k, v = parts.transpose(0, -2).squeeze(-2).contiguous()
    q, k, v = (t.view(n, batch * heads, width // heads).transpose(0, 1)
               .view(batch, heads, n, width // heads) for t in (q, k, v))
    scale = (width // heads) ** -0.25
    a = torch.softmax((q * scale) @ (k.transpose(-2, -1) * scale), -1) @ v
    a = a.permute(2, 0, 1, 3).contiguous().view(batch * n, width)
    return torch.nn.functional.linear(a, out_weight, out_bias).view(n, batch, width)


class Attention(torch.nn.Module):
    def __init__(self, own):
        super().__init__()
        self.own = own

    def forward(self, query, key, value, **_):
        o = self.own
        x = query.transpose(0, 1)
        y = attention(x, x, x, o.num_heads, o.in_proj_weight, o.in_proj_bias,
                      o.out_proj.weight, o.out_proj.bias)
        return y.transpose(0, 1), None


def main(folder, names):
    x = formula(1000, (1, 3, SIDE, SIDE)).astype(np.float32)
    for name in names:
        name, _, opset = name.partition(":")
        more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        if name.startswith("vit_"):
            more = {"image_size": SIDE}
        net = getattr(torchvision.models, name)(weights=None, **more).eval()
        with torch.no_grad():
            fill(net)
        for block in getattr(getattr(net, "encoder", None), "layers", []):
            block.self_attention = Attention(block.self_attention)
        for p in net.parameters():
            p.requires_grad_(False)
        path = os.path.join(folder, name)
        torch.onnx.export(net, torch.from_numpy(x), path + ".onnx",
                          opset_version=int(opset or 13))
        if os.environ.get("GOLDEN") != "0":
            y = net.double()(torch.from_numpy(x).double()).numpy()
            save(path + ".golden.safetensors", {"input": x, "logits": y})
        print(name, flush=True)


main(sys.argv[1], sys.argv[2:])
