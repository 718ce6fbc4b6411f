"""Times Lunette and PyTorch in turn and prints the table.

Both sides are processes that wait for a line, do one case once, and answer the
milliseconds; they are asked alternately, so that what the machine does besides
falls on both. A case's results are compared before it is timed.
"""
import argparse
import os
import platform
import re
import subprocess
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# torch returns every large tensor to the system and has the pages of the next
# one cleared; a harder peer is one whose malloc keeps them (glibc's settings).
KEEPING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
           "MALLOC_TOP_PAD_": str(1 << 29)}
# Seconds between turns. OpenBLAS, which torch calls for dense layers, leaves a
# thread spinning for 2^28 cycles, 0.13 s here, and that would be in our turn.
REST = 0.2
SAME = 1e-4  # relative L2 distance of the results
# One relu that rounds the other way moves a full-size gradient by about 1e-3,
# in any float32 engine: gradients get this limit.
FLIPS = 1e-2
FEWER = 3e-2  # ... and in a network of fewer units one of them counts for more

# case, what it is, limit of the ratio (None: for information), distance
CASES = (
    ("forward", "forward", 0.28, SAME),
    ("vanilla", "vanilla saliency", 0.34, FLIPS),
    ("rules", "vanilla + guided + rectified, one forward", 0.27, FLIPS),
    ("batch8", "gradient, batch 8", 0.28, FLIPS),
    ("smooth", "SmoothGrad, 16 samples", 0.28, FLIPS),
    ("gradcam", "Grad-CAM at block5_conv3", 0.30, SAME),
    ("gradcam_whole", "... by the whole gradient, as a first map", None, SAME),
    ("masked", "64 masked forwards", 0.28, SAME),
    ("top5", "gradients of 5 classes, one batched backward", 0.30, FLIPS),
    ("top5_retained", "... peer: one forward, 5 backwards", None, FLIPS),
    ("squeezenet", "SqueezeNet 1.0 forward + gradient", 0.80, FEWER),
    ("resnet18", "ResNet-18 forward + gradient", 0.80, FEWER),
    # random moves differ, and with them the pictures
    ("dream_vgg", "32 steps of activation maximisation, VGG16", 0.35, None),
    ("dream_squeezenet", "... SqueezeNet 1.0", 0.35, None),
    ("dream_glyphs", "... glyphs", 0.35, None),
)
# Of ours alone: case, its title, what it is divided by, limit.
OWN = (
    ("dream_vgg_2", "2 pictures of VGG16 in a batch / 2 calls", "dream_vgg_2_calls", 1),
    ("dream_squeezenet_4", "4 of SqueezeNet / 4 calls", "dream_squeezenet_4_calls", 1),
    ("dream_squeezenet_8", "8 of SqueezeNet / 8 calls", "dream_squeezenet_8_calls", 1),
    ("dream_glyphs_8", "8 of glyphs / 8 calls", "dream_glyphs_8_calls", 1),
    ("relevance_vgg", "LRP epsilon_plus of VGG16 / gradient", "backward_vgg", 4),
    ("relevance_resnet50", "... of ResNet-50", "backward_resnet50", 4),
)
# Methods of many passes (long.lua, peer_methods.py), against the peer's fastest batch;
# NAME_default is against the toolkits' own.
LONG = (
    ("smooth50", "SmoothGrad, 50 samples", 0.30, FLIPS),
    ("ig50", "integrated gradients, 50 steps", 0.30, FLIPS),
    ("gradcam_pp", "Grad-CAM++ at block5_conv3", 0.30, SAME),
    ("scorecam512", "Score-CAM, 512 channels", 0.30, SAME),
    ("ablation512", "AblationCAM, 512 channels, by suffix", 0.05, SAME),
    ("occlusion225", "occlusion, window 28, stride 14", 0.30, SAME),
    ("rise1000", "RISE, 1000 masks", 0.30, SAME),
    ("kernel_shap200", "KernelSHAP, 200 coalitions of 50 segments", 0.30, 1e-3),
    ("gradcam_top5", "Grad-CAM of 5 classes, one forward", 0.30, SAME),
    ("deletion50", "deletion, 50 steps", 0.30, SAME),
)
DEFAULTS = tuple((name + "_default", "... peer with its toolkit's batch", None, None)
                 for name, _, _, _ in LONG if name not in ("gradcam_pp",
                                                              "gradcam_top5"))
# Ours has no number of passes to be cut there; with --share the peer does its part of
# so many, and the rest is reckoned.
WHOLE = {"ablation512": 512, "occlusion225": 225}
PEAK = 1200  # resident MB of any of them
ROW = "{:<46} {:>9} {:>9} {:>6} {:>6}  {}"


class Worker:
    def __init__(self, command, threads, **more):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), **more)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=env,
                                        stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"bench: a worker ended at '{' '.join(words)}'")
        return answer.strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def distance(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))


class Table:
    def __init__(self, path, head):
        self.file = open(path, "w", encoding="utf-8")
        for line in head:
            print(line)
            self.file.write("# " + line + "\n")
        self.file.write("case\tours\tpeer\tratio\tlimit\tverdict\n")
        print(ROW.format("case", "ours ms", "peer ms", "ratio", "limit", ""))
        self.over = 0

    def row(self, name, title, ours, peer, limit, value=None, note=""):
        value = ours / peer if value is None else value
        verdict = "-" if limit is None else "ok" if value <= limit else "over"
        self.over += verdict == "over"
        number = "{:.1f}".format
        ratio = f"{value:.3f}" if peer is not None else "-"
        peer = number(peer) if peer is not None else "-"
        shown = "-" if limit is None else f"{limit:g}"
        print(ROW.format(title, number(ours), peer, ratio, shown, verdict + note),
              flush=True)
        self.file.write("\t".join((name, number(ours), peer, ratio, shown, verdict)))
        self.file.write("\n")
        self.file.flush()


def check(case, limit, ours, peer, folder):
    files = [os.path.join(folder, f"{case}.{side}.f32") for side in ("ours", "peer")]
    ours.ask("check", case, files[0])
    peer.ask("check", case, files[1])
    a, b = (np.fromfile(f, dtype=np.float32) for f in files)
    for f in files:
        os.unlink(f)
    if a.size != b.size or not np.isfinite(a).all():
        sys.exit(f"bench: {case}: {a.size} values, the peer has {b.size}")
    d = distance(a, b)
    if d > limit:
        sys.exit(f"bench: {case}: results differ by {d:.2e}, limit {limit:.0e}")
    return d


def alternate(cases, ours, peer, rounds):
    """Medians of both, after one round that does not count."""
    times = ([], [])
    for i in range(rounds + 1):
        for worker, case, list_ in zip((ours, peer), cases, times):
            ms = float(worker.ask("time", case))
            time.sleep(REST)
            if i:
                list_.append(ms)
    return [float(np.median(list_)) for list_ in times], times


def reckoned(case, share):
    """What the peer's time for a part of a case's passes is multiplied with."""
    n = WHOLE.get(case.replace("_default", ""))
    return n / max(1, n // share) if n else 1


def measured(command, env=None):
    """Milliseconds and peak resident MB of a process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=env,
                             stderr=subprocess.STDOUT)
    text = child.stdout.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"bench: {command[0]} failed:\n{text}")
    return 1e3 * (time.perf_counter() - start), usage.ru_maxrss / 1e3, text


def photo(path):
    """A picture with edges and textures, as a camera's JPEG."""
    from PIL import Image

    y, x = np.mgrid[0:600, 0:800].astype(np.float64)
    waves = [128 + 60 * np.sin(x / a + y / b) + 50 * (np.hypot(x - 400, y - 300) < r)
             for a, b, r in ((31, 57, 210), (73, 19, 150), (11, 43, 90))]
    noise = np.random.default_rng(1).normal(0, 8, (600, 800, 3))
    pixels = np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=90)


def processes(table, args, folder):
    weights = os.path.join(args.build, "vgg16_hash1.safetensors")
    picture = os.path.join(folder, "photo.jpg")
    photo(picture)
    env = dict(os.environ, OMP_NUM_THREADS=str(args.threads),
               LUNETTE_THREADS=str(args.threads))
    ours = ["./lunette", "explain", picture, "--method", "saliency", "--model", weights,
            "-o", os.path.join(folder, "ours.png")]
    plain = os.path.join(args.build, "vgg16_hash1_plain.safetensors")
    peer = ["/usr/bin/python3", os.path.join(HERE, "peer_explain.py"), plain, picture,
            os.path.join(folder, "peer.png")]
    both = ([], [])
    for i in range(max(3, args.rounds // 2) + 1):
        for command, list_ in zip((ours, peer), both):
            one = measured(command, env)[:2]
            if i:  # the first fills the page cache
                list_.append(one)
    (a, ma), (b, mb) = (np.median(list_, axis=0) for list_ in both)
    table.row("explain", "lunette explain, whole process", a, b, 0.15)
    table.row("explain_memory", "... its peak resident MB", ma, mb, 0.65)


def memory(table, args):
    for photos, limit in ((1, 950), (8, 1500)):
        text = measured(["./lunette", "tests/bench/bench.lua", args.build,
                         str(args.threads), "memory", str(photos)])[2]
        peak, mapped, anonymous, pool = map(float, text.split())
        note = f" ({mapped:.0f} weights and code mapped, {anonymous:.0f} own, of " \
               f"them {pool:.0f} tensors and scratch)"
        table.row(f"memory{photos}", f"peak resident MB, saliency, batch {photos}",
                  peak, None, limit, value=peak, note=note)


def long_memory(table, args, wanted):
    for name, title, _, _ in LONG:
        if wanted(name) or wanted("long_memory"):
            text = measured(["./lunette", "tests/bench/bench.lua", args.build,
                             str(args.threads), "memory", name])[2]
            peak = float(text.split()[-4])
            table.row("memory_" + name, f"peak resident MB, {title}", peak, None, PEAK,
                      value=peak)


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        found = re.search(r"model name\s*: (.*)", f.read())
    return found.group(1) if found else platform.machine()


def header(args):
    import importlib.metadata

    build = measured(["./lunette", "-e",
                      "local b = lu.core.build() return b.commit .. ' ' .. b.isa"])[2]
    commit, isa = build.split()[:2]
    dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=ROOT,
                           capture_output=True, text=True, check=False).stdout
    what = "processor time" if args.processor else "the clock's time"
    part = f"; long cases with 1/{args.share} of their passes" if args.share > 1 else ""
    return (f"machine: {processor()}, {os.cpu_count()} cores; kernels: {isa}",
            f"threads: {args.threads}; rounds: {args.rounds}, medians of {what}, interleaved; "
            f"load {os.getloadavg()[0]:.1f}",
            f"commit: {commit}{' with changes' if dirty.strip() else ''}; "
            f"peer{' keeping memory' if args.keeping else ''}: "
            f"torch {importlib.metadata.version('torch')}, "
            f"torchvision {importlib.metadata.version('torchvision')}",
            "VGG16 224x224 float32, weights from a formula, unless said otherwise" + part)


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--only", action="append", help="a case (may be repeated)")
    p.add_argument("--share", type=int, default=1, help="long cases with n // SHARE "
                   "passes, on both sides")
    p.add_argument("--long", action="store_true", help="the long cases alone")
    p.add_argument("--keeping", action="store_true",
                   help="a malloc under the peer that returns nothing to the system")
    p.add_argument("--processor", action="store_true", help="processor time of all "
                   "threads instead of the clock's, for a machine that others use, too")
    p.add_argument("--spread", action="store_true", help="quartiles on stderr")
    return p.parse_args()


def compare(table, args, folder, wanted):
    ours = Worker(["./lunette", "tests/bench/bench.lua", args.build, str(args.threads)],
                  args.threads)
    ours.ask("prepare")
    peer = Worker(["/usr/bin/python3", os.path.join(HERE, "peer.py"), args.build,
                   str(args.threads)], args.threads,
                  **(KEEPING if args.keeping else {}))
    for name, title, limit, same in CASES + LONG + DEFAULTS:
        if not wanted(name):
            continue
        is_long = (name, title, limit, same) not in CASES
        d = check(name, same, ours, peer, folder) if same else 0
        rounds = min(args.rounds, 3) if is_long else args.rounds
        (a, b), times = alternate((name, name), ours, peer, rounds)
        b *= reckoned(name, args.share)
        table.row(name, title, a, b, limit)
        if args.spread:
            quart = [np.percentile(list_, (0, 25, 75)).round(1) for list_ in times]
            print(f"  {name}: distance {d:.1e}; min, quartiles {quart}", file=sys.stderr)
    for name, title, other, limit in OWN:
        if wanted(name):
            (a, b), _ = alternate((name, other), ours, ours, args.rounds)
            table.row(name, title, a, b, limit)
    if wanted("again"):
        n = float(ours.ask("again", "vanilla"))
        table.row("again", "system allocations, second saliency", n, None, 0, value=n)
    ours.close()
    peer.close()


def main():
    args = arguments()
    folder = os.path.join(args.build, "bench")
    os.makedirs(folder, exist_ok=True)

    os.environ["LUNETTE_BENCH_SHARE"] = str(args.share)
    if args.processor:
        os.environ["LUNETTE_BENCH_PROCESSOR"] = "1"
    if args.long:
        args.only = (args.only or []) + [case[0] for case in LONG + DEFAULTS]

    def wanted(name):
        return not args.only or name in args.only

    table = Table(os.path.join(ROOT, "out", "bench.tsv"), header(args))
    names = [case[0] for case in CASES + LONG + DEFAULTS + OWN]
    if any(wanted(name) for name in names + ["again"]):
        compare(table, args, folder, wanted)
    if wanted("explain"):
        processes(table, args, folder)
    if wanted("memory"):
        memory(table, args)
    long_memory(table, args, wanted)
    print(f"{table.over} over the limit; out/bench.tsv")


main()
