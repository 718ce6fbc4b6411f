"""Activation maximisation as one writes it with torch: the twin of dialect "lucid"."""
import math

import numpy as np
import torch
from torch.nn import functional as F

COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
COLOURS /= COLOURS.square().sum(0).sqrt().max()


def decoder(side):
    """(K,3,H,W//2+1,2) spectrum to pictures of 0..1."""
    down = torch.fft.fftfreq(side)[:, None]
    across = torch.fft.rfftfreq(side)[None]
    f = (down**2 + across**2).sqrt().clamp(min=1 / side)
    scale = (side / 4 / f)[None, None, :, :, None]

    def decode(p):
        x = torch.fft.irfft2(torch.view_as_complex(p * scale), s=(side, side))
        return torch.einsum("ij,kjhw->kihw", COLOURS, x).sigmoid()
    return decode, (side, side // 2 + 1)


def cropped(x, n):
    y, z = np.random.randint(0, n + 1, 2)
    return x[:, :, y : y + x.shape[2] - n, z : z + x.shape[3] - n]


def turned(x, degrees):
    a = math.radians(degrees)
    h, w = x.shape[2:]
    m = torch.tensor([[math.cos(a), math.sin(a) * h / w, 0],
                      [-math.sin(a) * w / h, math.cos(a), 0]])
    grid = F.affine_grid(m[None].expand(len(x), -1, -1), x.shape, align_corners=True)
    return F.grid_sample(x - 0.5, grid, align_corners=True) + 0.5


def centred(x, side):
    room = [max(0, side - n) for n in x.shape[2:]]
    x = F.pad(x, (room[1] // 2, room[1] - room[1] // 2,
                  room[0] // 2, room[0] - room[0] // 2), value=0.5)
    y, z = ((n - side) // 2 for n in x.shape[2:])
    return x[:, :, y : y + side, z : z + side]


def moved(x, side):
    """Lucid's moves: pad, jitter, scale, rotate, jitter."""
    n = max(1, side * 12 // 224)
    x = cropped(F.pad(x, (n, n, n, n), value=0.5), max(1, n * 2 // 3))
    x = F.interpolate(x, scale_factor=1 + np.random.randint(-5, 6) / 50,
                      mode="bilinear", align_corners=False)
    x = turned(x, np.random.choice(list(range(-10, 11)) + [0] * 5))
    return centred(cropped(x, max(1, n // 3)), side)


def climb(features, mean, std, side, channel, steps, count=1):
    """The picture that `channel` of features(x) wants, of `steps` steps of Adam."""
    decode, (h, w) = decoder(side)
    p = (0.01 * torch.randn(count, 3, h, w, 2)).requires_grad_(True)
    adam = torch.optim.Adam([p], lr=0.05)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (mean, std))
    for t in range(1, steps + 1):
        adam.zero_grad()
        x = (moved(decode(p), side) * 255 - mean) / std
        (-features(x)[:, channel].mean((1, 2)).sum()).backward()
        adam.step()
        if t % 16 == 0 or t == steps:
            with torch.no_grad():
                features((decode(p) * 255 - mean) / std)
    return decode(p).detach()
