"""The peer's side of the long cases, as captum and pytorch-grad-cam write them.

Each takes the network, the picture (1,3,224,224), how many passes, how many copies
go through the network at a time, and inputs that the other side wrote.
DEFAULT is the toolkits' own batch; drive.py's plain cases take the fastest of BATCHES.
"""
import numpy as np
import torch
from torch.nn import functional as F

CLASS = 8
TOP = (8, 21, 33, 0, 999)
BATCHES = (1, 4, 16)
# NoiseTunnel and IntegratedGradients run all copies at once; pytorch-grad-cam's
# ScoreCAM takes 16, its AblationCAM 32; captum's perturbations go one by one.
DEFAULT = {"smooth50": 50, "ig50": 50, "gradcam_pp": 1, "scorecam512": 16,
           "ablation512": 32, "occlusion225": 1, "rise1000": 32,
           "kernel_shap200": 1, "gradcam_top5": 1, "deletion50": 16}
COUNTS = {"smooth50": (50, 4), "ig50": (50, 4), "gradcam_pp": (1, 1),
          "scorecam512": (512, 8), "ablation512": (512, 512),
          "occlusion225": (225, 225), "rise1000": (1000, 16),
          "kernel_shap200": (200, 60), "gradcam_top5": (5, 5), "deletion50": (50, 8)}


def gradient(net, x):
    x = x.detach().requires_grad_(True)
    net(x)[:, CLASS].sum().backward()
    return x.grad


def stretches(n, batch):
    return [(i, min(i + batch, n)) for i in range(0, n, batch)]


def smooth50(net, x, n, batch, given):
    sigma, total = 0.2 * (x.max() - x.min()), torch.zeros_like(x)
    for i, j in stretches(n, batch):
        noise = given("noise.f32", -1, 3, 224, 224)[i:j] if given \
            else torch.randn(j - i, 3, 224, 224)
        total += gradient(net, x + sigma * noise).abs().sum(0, keepdim=True)
    m = (total / n).amax(1)
    return (m - m.min()) / (m.max() - m.min() + 1e-7)


def ig50(net, x, n, batch, given):
    points, weights = np.polynomial.legendre.leggauss(n)
    alphas, total = torch.tensor((1 + points) / 2).float(), torch.zeros_like(x)
    weights = torch.tensor(weights / 2).float()
    for i, j in stretches(n, batch):
        g = gradient(net, alphas[i:j].view(-1, 1, 1, 1) * x)
        total += (g * weights[i:j].view(-1, 1, 1, 1)).sum(0, keepdim=True)
    return x * total


def layer(net, x):
    with torch.no_grad():
        return net.until_last_conv(x)


def layer_gradient(net, a, cls=CLASS):
    a = a.detach().requires_grad_(True)
    net.after_last_conv(a)[0, cls].backward()
    return a.grad


def finished(cam):
    """pytorch-grad-cam: relu, scale, half-pixel bilinear, scale."""
    def scaled(c):
        c = c - c.min()
        return c / (1e-7 + c.max())
    cam = scaled(cam.relu())
    return scaled(F.interpolate(cam[None, None], size=(224, 224), mode="bilinear",
                                align_corners=False)[0, 0])


def gradcam_pp(net, x, n, batch, given):
    a = layer(net, x)
    g = layer_gradient(net, a)
    g2, g3 = g ** 2, g ** 3
    below = 2 * g2 + a.sum((2, 3), keepdim=True) * g3 + 1e-6
    weight = (g.relu() * torch.where(g != 0, g2 / below, torch.zeros(()))).sum(
        (2, 3), keepdim=True)
    return finished((weight * a).sum(1)[0])


def scorecam512(net, x, n, batch, given):
    with torch.no_grad():
        a = layer(net, x)
        which = a[0].flatten(1).var(1).argsort(descending=True)[:n]
        large = F.interpolate(a[:, which], size=(224, 224), mode="bilinear",
                              align_corners=True)[0]
        lo, hi = large.amin((1, 2), True), large.amax((1, 2), True)
        masks = (large - lo) / (hi - lo + 1e-8)
        scores = torch.cat([net(x * masks[i:j, None])[:, CLASS]
                            for i, j in stretches(len(which), batch)])
        weights = torch.zeros(a.shape[1])
        weights[which] = scores.softmax(0)
        return finished((weights.view(-1, 1, 1) * a[0]).sum(0))


def ablation512(net, x, n, batch, given):
    """A layer that takes channels out stands in the whole network, which is run."""
    with torch.no_grad():
        a = layer(net, x)
        clean, without = net(x)[0, CLASS], []
        for i, j in stretches(n, batch):
            # what is compared need not be slow: only what follows the layer
            values = a.repeat(j - i, 1, 1, 1) if given \
                else net.until_last_conv(x.repeat(j - i, 1, 1, 1))
            for k in range(j - i):
                values[k, i + k] = 0
            without.append(net.after_last_conv(values)[:, CLASS])
        weights = torch.zeros(a.shape[1])
        weights[:n] = (clean - torch.cat(without)) / clean
        return finished((weights.view(-1, 1, 1) * a[0]).sum(0))


def occlusion225(net, x, n, batch, given):
    places = [(y, c) for y in range(0, 197, 14) for c in range(0, 197, 14)][:n]
    fall, count = torch.zeros(224, 224), torch.zeros(224, 224)
    with torch.no_grad():
        clean = net(x)[0, CLASS]
        for i, j in stretches(len(places), batch):
            covered = x.repeat(j - i, 1, 1, 1)
            for k, (y, c) in enumerate(places[i:j]):
                covered[k, :, y:y + 28, c:c + 28] = 0
            for (y, c), s in zip(places[i:j], net(covered)[:, CLASS]):
                fall[y:y + 28, c:c + 28] += clean - s
                count[y:y + 28, c:c + 28] += 1
    return fall / count.clamp(min=1)


def rise_masks(n):
    """Grids of 7 x 7, enlarged and shifted, as TorchRay makes them."""
    grid = (torch.rand(n, 1, 7, 7) < 0.5).float()
    large = F.interpolate(grid, size=(256, 256), mode="bilinear", align_corners=False)
    at = torch.randint(0, 32, (n, 2))
    return torch.stack([m[:, y:y + 224, c:c + 224] for m, (y, c) in zip(large, at)])


def rise1000(net, x, n, batch, given):
    total = torch.zeros(224, 224)
    with torch.no_grad():
        for i, j in stretches(n, batch):
            m = given("rise.f32", -1, 1, 224, 224)[i:j] if given else rise_masks(j - i)
            s = net(x * m)[:, CLASS]
            total += (s.view(-1, 1, 1) * m[:, 0]).sum(0)
    return total / (n * 0.5)


def kernel_shap200(net, x, n, batch, given):
    rows = file("coalitions.f32", 200, 50)[:n]
    y, c = torch.arange(224), torch.arange(224)
    labels = (y // 45).clamp(max=4).view(-1, 1) * 10 + (c // 23).clamp(max=9)
    values = []
    with torch.no_grad():
        for i, j in stretches(n, batch):
            m = rows[i:j][:, labels].unsqueeze(1)
            values.append(net(x * m)[:, CLASS])
    values = torch.cat(values).double().numpy()
    z = rows.double().numpy()
    weight = np.where((z.sum(1) == 0) | (z.sum(1) == 50), 1e6, 1.0) ** 0.5
    z = np.hstack([np.ones((n, 1)), z]) * weight[:, None]
    found = np.linalg.lstsq(z, values * weight, rcond=None)[0][1:]
    return torch.from_numpy(found).float()[labels]


def gradcam_top5(net, x, n, batch, given):
    maps = []
    for cls in TOP:
        a = layer(net, x)
        g = layer_gradient(net, a, cls)
        maps.append((a * g.mean((2, 3), keepdim=True)).sum(1))
    return torch.cat(maps)


def deletion50(net, x, n, batch, given):
    """RISE's causal metric: the picture, then with more and more of the pixels at 0."""
    order = file("map.f32", 224 * 224).argsort(descending=True, stable=True)
    rank, part = torch.empty_like(order), -(-len(order) // n)
    rank[order] = torch.arange(len(order))
    curve = []
    with torch.no_grad():
        for i, j in stretches(n + 1, batch):
            gone = torch.arange(i, j).view(-1, 1) * part
            masks = (rank >= gone).float().view(-1, 1, 224, 224)
            curve.append(net(x * masks)[:, CLASS])
    return torch.cat(curve)


file = None  # reads inputs that the other side wrote; peer.py sets it
CASES = {f.__name__: f for f in (smooth50, ig50, gradcam_pp, scorecam512, ablation512,
                                 occlusion225, rise1000, kernel_shap200, gradcam_top5,
                                 deletion50)}
