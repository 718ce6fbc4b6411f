"""What ONNX's own checker says of files, with full and strict shape inference:

    check.py PLAIN.onnx FILE.onnx...

FILEs are PLAIN with maps. Prints a line for every FILE that it refuses, that has values
without a shape though PLAIN has none, or whose nodes have no names of their own, or names
with what no viewer can show; then how many were checked. A file of a format newer than
the checker knows is said to be that.
"""
import collections
import os
import sys

import onnx


def shapes(model):
    """Names of the values that have no shape, after strict inference."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True,
                                              check_type=True,
                                              data_prop=True).graph
    known = {v.name: v.type.tensor_type for v in
             [*graph.value_info, *graph.input, *graph.output]}
    made = [name for node in graph.node for name in node.output if name]
    return [name for name in made
            if name not in known or not known[name].HasField("shape")]


def names(model):
    """What is wrong with the names of nodes, as viewers show them."""
    count = collections.Counter(node.name for node in model.graph.node)
    for name, n in count.items():
        if n > 1 and name:
            yield "%d nodes are named %s" % (n, name)
        if any(ord(c) < 32 or ord(c) == 127 for c in name):
            yield "a node's name has control characters: %r" % name


def problems(path):
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path, load_external_data=False)
    bare = shapes(model) if known else []
    if bare:
        yield "%d values have no shape: %s" % (len(bare), ", ".join(bare[:3]))
    yield from names(model)


try:
    known = not shapes(onnx.load(sys.argv[1], load_external_data=False))
except Exception:  # noqa: its own kinds differ between versions
    known = False
failed = newer = 0
for path in sys.argv[2:]:
    try:
        found = list(problems(path))
    except Exception as error:  # noqa: its own kinds differ between versions
        found = [str(error).strip().splitlines()[0]]
    if found and ("higher than" in found[0] or "No opset import" in found[0]):
        newer += 1
        continue
    for text in found:
        failed = 1
        print("%s: %s" % (os.path.basename(path), text))
checked = len(sys.argv) - 2 - newer
print("checker: %d files passed through%s" % (
    checked, ", %d of a newer format" % newer if newer else ""))
sys.exit(failed)
