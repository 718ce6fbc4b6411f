"""The peer's worker: one line in, one line out (see drive.py).

check CASE FILE   does the case once and writes its result, raw float32
time CASE         does it once and answers the milliseconds
"""
import os
import sys
import time

import numpy as np
import torch

import peer_methods
import peerdream
import peernets

BUILD, THREADS = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(THREADS)
kept = {}


def once(name, make):
    if name not in kept:
        kept[name] = make()
    return kept[name]


def file(name, *shape):
    """Inputs that the other worker wrote."""
    values = np.fromfile(os.path.join(BUILD, "bench", name), dtype=np.float32)
    return torch.from_numpy(values.reshape(shape))


def vgg():
    path = os.path.join(BUILD, "vgg16_hash1_plain.safetensors")
    return once("vgg", lambda: peernets.Vgg16(path))


def photo():
    return once("photo", lambda: file("photo.f32", 8, 3, 224, 224))


def gradient(net, x, classes):
    x = x.detach().requires_grad_(True)
    y = net(x)
    y[torch.arange(len(x)), classes].sum().backward()
    return x.grad


def saliency(g):
    m = g.abs().amax(1)
    lo, hi = m.amin((1, 2), True), m.amax((1, 2), True)
    return (m - lo) / (hi - lo + 1e-7)


def forward():
    with torch.no_grad():
        return vgg()(photo()[:1])


def vanilla():
    return saliency(gradient(vgg(), photo()[:1], [8]))


def rules():
    maps = []
    for rule in (None, "guided", "rectified"):
        vgg().use(rule)
        maps.append(saliency(gradient(vgg(), photo()[:1], [8])))
    vgg().use(None)
    return torch.cat(maps)


def batch8():
    return gradient(vgg(), photo(), [8] * 8)


def smooth(check=False):
    x = photo()[:1]
    sigma = 0.2 * (x.max() - x.min())
    total = torch.zeros_like(x)
    given = once("noise", lambda: file("noise.f32", 50, 3, 224, 224))
    for first in range(0, 16, 4):
        noise = given[first : first + 4] if check else torch.randn(4, 3, 224, 224)
        g = gradient(vgg(), x + sigma * noise, [8] * 4)
        total += g.abs().sum(0, keepdim=True)
    return saliency(total / 16)


def gradcam():
    net = vgg()
    with torch.no_grad():
        a = net.until_last_conv(photo()[:1])
    # the pool is no in-place step: a keeps its values
    a.requires_grad_(True)
    net.after_last_conv(a)[0, 8].backward()
    with torch.no_grad():
        cam = (a * a.grad.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu()
        cam = torch.nn.functional.interpolate(cam, size=(224, 224), mode="bilinear",
                                              align_corners=True)
        lo, hi = cam.min(), cam.max()
        return (cam - lo) / (hi - lo + 1e-7)


def gradcam_whole():
    return gradcam()


def masked():
    masks = once("masks", lambda: file("masks.f32", 64, 1, 224, 224))
    with torch.no_grad():
        return torch.cat([vgg()(photo()[:1] * masks[i : i + 16])
                          for i in range(0, 64, 16)])


TOP = (8, 21, 33, 0, 999)


def top5():
    return torch.cat([gradient(vgg(), photo()[:1], [c]) for c in TOP])


def top5_retained():
    x = photo()[:1].detach().requires_grad_(True)
    y = vgg()(x)
    return torch.cat([torch.autograd.grad(y[0, c], x, retain_graph=True)[0]
                      for c in TOP])


def squeezenet():
    net = small_squeezenet()
    x = once("x227", lambda: file("x227.f32", 1, 3, 227, 227))
    return gradient(net, x, [8])


def resnet18():
    path = os.path.join(BUILD, "bench", "resnet18.safetensors")
    net = once("resnet18", lambda: peernets.resnet18(path))
    return gradient(net, photo()[:1], [8])


STEPS, CAFFE = 32, (123.68, 116.779, 103.939)


def dream_vgg():
    """To block4_conv2, activated."""
    return peerdream.climb(vgg().features[:21], CAFFE, (1.0,) * 3, 224, 5, STEPS)


def small_squeezenet():
    path = os.path.join(BUILD, "bench", "squeezenet1_0.safetensors")
    return once("squeezenet", lambda: peernets.SqueezeNet(path))


def dream_squeezenet(count=1):
    return peerdream.climb(small_squeezenet().until_fire8, CAFFE, (1.0,) * 3, 224, 20,
                           STEPS, count)


def dream_glyphs():
    net = once("glyphs", peernets.glyphs)
    return peerdream.climb(net, (0.0,) * 3, (255.0,) * 3, 224, 5, STEPS)


CASES = {f.__name__: f for f in (
    forward, vanilla, rules, batch8, smooth, gradcam, gradcam_whole, masked, top5,
    top5_retained, squeezenet, resnet18, dream_vgg, dream_squeezenet, dream_glyphs)}


peer_methods.file = file
SHARE = int(os.environ.get("LUNETTE_BENCH_SHARE", 1))


def fastest(method, name):
    """The batch that takes least time a copy."""
    def time_of(batch):
        start = time.perf_counter()
        method(vgg(), photo()[:1], batch, batch, None)
        return (time.perf_counter() - start) / batch
    if peer_methods.COUNTS[name][0] < 16:
        return 1
    time_of(1)  # the first pass of all pays for memory
    return min(peer_methods.BATCHES, key=time_of)


def long_case(case, checked=False):
    """A case of peer_methods; "_default" is with the toolkit's own batch."""
    name = case.replace("_default", "")
    method = peer_methods.CASES[name]
    whole, few = peer_methods.COUNTS[name]
    if checked:
        return method(vgg(), photo()[:1], few, 16, file)
    batch = peer_methods.DEFAULT[name] if case != name \
        else once("batch " + name, lambda: fastest(method, name))
    n = max(1, whole // SHARE)
    return method(vgg(), photo()[:1], n, min(batch, n), None)


def run(case, checked=False):
    if case.replace("_default", "") in peer_methods.CASES:
        return long_case(case, checked)
    return smooth(True) if checked and case == "smooth" else CASES[case]()


def check(case, path):
    result = run(case, True)
    result.detach().numpy().tofile(path)
    return "ok"


CLOCK = (time.process_time if os.environ.get("LUNETTE_BENCH_PROCESSOR") else
         time.perf_counter)


def timed(case):
    start = CLOCK()
    run(case)
    return f"{1e3 * (CLOCK() - start):.4f}"


for line in sys.stdin:
    words = line.split()
    print(check(*words[1:]) if words[0] == "check" else timed(words[1]), flush=True)
