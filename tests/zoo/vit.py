#!/usr/bin/python3
# A small Vision Transformer of torchvision with formula weights, and what rollout, gradient rollout, LeGrad and
# Grad-CAM at the last block's first norm come to in float64, written out here without a library for them.
# Argument: a folder; vit.safetensors (state dict), x.npy and one .npy a result are written there.
import json, struct, sys
import numpy as np
import torch
import torch.nn.functional as F
from torchvision.models.vision_transformer import VisionTransformer

out = sys.argv[1]
torch.manual_seed(3)
heads, width, depth, patch, side, classes, target = 2, 16, 3, 8, 40, 5, 3
net = VisionTransformer(side, patch, depth, heads, width, 24, num_classes=classes).double().eval()
with torch.no_grad():
    for p in net.parameters():
        p.copy_((torch.randn_like(p) * (0.4 if p.dim() > 1 else 0.1) + (1 if p.dim() == 1 else 0)).float().double())
state = net.state_dict()
x = torch.randn(2, 3, side, side).float().double()


def block(i, z):  # returns the block's output, its attention and its first norm
    b = net.encoder.layers[i]
    n = b.ln_1(z)
    q, k, v = F.linear(n, b.self_attention.in_proj_weight, b.self_attention.in_proj_bias).chunk(3, -1)
    split = lambda t: t.view(t.shape[0], -1, heads, width // heads).transpose(1, 2)
    q, k, v = split(q), split(k), split(v)
    a = (q @ k.transpose(-2, -1) / (width // heads) ** 0.5).softmax(-1)
    z = z + b.self_attention.out_proj((a @ v).transpose(1, 2).reshape(z.shape))
    return z + b.mlp(b.ln_2(z)), a, n


z = net._process_input(x)
z = torch.cat([net.class_token.expand(2, -1, -1), z], 1) + net.encoder.pos_embedding
attention, norms, blocks = [], [], []
for i in range(depth):
    z, a, n = block(i, z)
    attention.append(a), norms.append(n), blocks.append(z)
head = lambda t: net.heads(net.encoder.ln(t))
y = head(z[:, 0])
assert torch.allclose(y, net(x))
grid = side // patch
patches = lambda r: r[:, 1:].reshape(2, grid, grid)
grads = torch.autograd.grad(y[:, target].sum(), attention + norms[-1:], retain_graph=True)
results = {"logits": y}
eye = torch.eye(grid * grid + 1).double()
for name, fuse in (("mean", lambda a: a.mean(1)), ("max", lambda a: a.amax(1)), ("min", lambda a: a.amin(1))):
    r = eye
    for a in attention:
        a = (fuse(a) + eye) / 2
        r = (a / a.sum(-1, keepdim=True)) @ r
    results["rollout_" + name] = patches(r[:, 0])
r = eye.expand(2, -1, -1)
for a, g in zip(attention, grads):
    r = r + (a * g).clamp(min=0).mean(1) @ r
results["gradient_rollout"] = patches(r[:, 0])
for pool in ("class", "mean"):
    total = 0
    for a, t in zip(attention, blocks):
        s = head(t[:, 0] if pool == "class" else t.mean(1))[:, target].sum()
        total = total + torch.autograd.grad(s, a, retain_graph=True)[0].clamp(min=0).mean((1, 2))
    results["legrad_" + pool] = patches(total)
n, g = (t[:, 1:].transpose(1, 2).reshape(2, width, grid, grid) for t in (norms[-1], grads[-1]))
results["gradcam"] = (n * g.mean((2, 3), keepdim=True)).sum(1)
results["hirescam"] = (n * g).sum(1)
results["attention"] = attention[1][:, :, 0, 1:].reshape(2, heads, grid, grid)
results["attention_2_3"] = attention[-1][:, :, 1 + grid + 2, 1:].reshape(2, heads, grid, grid)
for name, t in results.items():
    np.save(f"{out}/{name}.npy", t.detach().numpy().astype(np.float32))
np.save(out + "/x.npy", x.numpy().astype(np.float32))
entries, data, at = {}, b"", 0
for name, t in state.items():
    raw = t.float().numpy().tobytes()
    entries[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
    at, data = at + len(raw), data + raw
text = json.dumps(entries).encode()
open(out + "/vit.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
