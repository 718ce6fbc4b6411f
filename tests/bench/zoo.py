"""Times networks of the zoo against ONNX Runtime (forward) and PyTorch (gradient).

    SIDE=224 GOLDEN=0 python3 tests/zoo/export.py FOLDER resnet18 vgg16 ...
    npm install --prefix NODE onnxruntime-node --ignore-scripts
    NODE_PATH=NODE/node_modules python3 tests/bench/zoo.py FOLDER resnet18 vgg16 ...

Every network is torchvision's, with formula weights, exported by torch; we and ONNX
Runtime read that file. The workers are processes that are asked in turn. Times are
processor milliseconds of one thread, so that what the machine does besides counts
little; `--clock` takes the clock and `--threads N` threads instead. Medians of
`--rounds`; a case's results are compared before it is timed.
"""
import argparse
import os
import statistics
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# Limits of the ratios: forward against ONNX Runtime, gradient against PyTorch.
LIMITS = {"vgg16": (0.45, 0.30), "resnet18": (0.95, 0.55), "resnet50": (0.95, 0.50),
          "squeezenet1_1": (1.2, 0.45), "densenet121": (1.0, 0.50),
          "mobilenet_v2": (1.3, 0.45), "efficientnet_b0": (1.3, 0.45),
          "vit_b_16": (1.2, 0.60), "convnext_tiny": (1.2, 0.60)}


class Worker:
    def __init__(self, command, args, **more):
        env = dict(os.environ, OMP_NUM_THREADS=str(args.threads),
                   LUNETTE_THREADS=str(args.threads), BENCH_CLOCK=str(int(args.clock)),
                   **more)
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("%s: no answer to %s" % (self.process.args[0], " ".join(words)))
        return answer.strip()


def off(a, b):
    a, b = (np.fromfile(p, dtype=np.float32) for p in (a, b))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def compare(what, ours, peer, limit, args, name):
    paths = [os.path.join(args.folder, "out.%d" % i) for i in (0, 1)]
    ours.ask("write", what, paths[0])
    peer.ask("write", what, paths[1])
    distance = off(*paths)
    times = []
    for _ in range(args.rounds):
        times.append((float(ours.ask("time", what)), float(peer.ask("time", what))))
    mine, other = (statistics.median(t[i] for t in times) for i in (0, 1))
    ratios = sorted(a / b for a, b in times)
    ratio = statistics.median(ratios)
    print("| %s | %s | %.1f | %.1f | %.2f (%.2f to %.2f) | %.2f | %s | %.0e |" % (
        name, what, mine, other, ratio, ratios[len(ratios) // 4],
        ratios[-1 - len(ratios) // 4], limit, "ok" if ratio <= limit else "above",
        distance), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", action="store_true")
    parser.add_argument("--only", choices=("forward", "gradient"))
    args = parser.parse_args()
    print("| network | case | ours ms | peer ms | ratio (quartiles) | limit | | off |\n"
          "|---|---|---|---|---|---|---|---|")
    for name in args.names:
        path = os.path.join(args.folder, name + ".onnx")
        ours = Worker(["lua5.4", os.path.join(HERE, "zoo.lua"), path], args,
                      LUA_PATH_5_4="lua/?.lua;lua/?/init.lua;;",
                      LUA_CPATH_5_4="build/release/?.so;;")
        if args.only != "gradient":
            ort = Worker(["node", os.path.join(HERE, "zoo.js"), path], args)
            compare("forward", ours, ort, LIMITS[name][0], args, name)
            ort.process.kill()
        if args.only != "forward":
            torch = Worker(["/usr/bin/python3", os.path.join(HERE, "zoo_peer.py"), name],
                           args)
            compare("gradient", ours, torch, LIMITS[name][1], args, name)
            torch.process.kill()
        ours.process.kill()


main()
