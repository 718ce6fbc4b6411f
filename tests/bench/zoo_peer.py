"""PyTorch's worker of tests/bench/zoo.py: forward and gradient of a torchvision net."""
import os
import sys
import time

import numpy as np
import torch
import torchvision

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "zoo"))
from write import fill, formula

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
name = sys.argv[1]
more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
net = getattr(torchvision.models, name)(weights=None, **more).eval()
with torch.no_grad():
    fill(net)
for p in net.parameters():
    p.requires_grad_(False)
picture = torch.from_numpy(formula(1000, (1, 3, 224, 224)).astype(np.float32))
now = time.perf_counter if os.environ["BENCH_CLOCK"] == "1" else time.process_time


def forward():
    with torch.no_grad():
        return net(picture)


def gradient():
    x = picture.detach().requires_grad_(True)
    net(x).max().backward()
    return x.grad


for line in sys.stdin:
    command, case, *rest = line.split()
    run = {"forward": forward, "gradient": gradient}[case]
    if command == "write":
        run().numpy().tofile(rest[0])
        print("ok", flush=True)
    else:
        start = now()
        run()
        print("%.3f" % (1e3 * (now() - start)), flush=True)
