"""What the Python example asks of onnxruntime, by ONNX Runtime for Node: for machines
that have that alone. NODE_PATH names the folder of onnxruntime-node.
"""
import json
import os
import subprocess
import tempfile
from types import SimpleNamespace

import numpy as np

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ASK = """
const ort = require('onnxruntime-node');
ort.InferenceSession.create(process.argv[1], { logSeverityLevel: 4 }).then((s) =>
  console.log(JSON.stringify({ inputs: s.inputMetadata, outputs: s.outputNames })));
"""


def varint(data, at):
    n = shift = 0
    while True:
        byte = data[at]
        n |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return n, at


def fields(data):
    """Number and content of the fields of a message, bytes alone."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 2:
            size, at = varint(data, at)
            yield key >> 3, data[at:at + size]
            at += size
        elif key & 7 == 0:
            at = varint(data, at)[1]
        else:
            at += 4 if key & 7 == 5 else 8


def node(*words):
    return subprocess.run(["node", *words], check=True, capture_output=True,
                          env=dict(os.environ, ORT_DISABLE_TELEMETRY="1")).stdout


class InferenceSession:
    def __init__(self, path, providers):
        assert providers == ["CPUExecutionProvider"]
        self.path, self.said = path, json.loads(node("-e", ASK, path))

    def get_modelmeta(self):
        with open(self.path, "rb") as f:
            entries = [dict(fields(e)) for n, e in fields(f.read()) if n == 14]
        return SimpleNamespace(custom_metadata_map={
            e[1].decode(): e[2].decode() for e in entries})

    def get_inputs(self):
        return [SimpleNamespace(**i) for i in self.said["inputs"]]

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in self.said["outputs"]]

    def run(self, names, feeds):
        with tempfile.TemporaryDirectory() as folder:
            inputs = {}
            for i, (name, x) in enumerate(feeds.items()):
                inputs[name] = {"type": "float32", "dims": x.shape,
                                "file": f"{folder}/{i}.bin"}
                x.tofile(inputs[name]["file"])
            with open(f"{folder}/jobs.json", "w") as f:
                json.dump([{"model": self.path, "inputs": inputs,
                            "out": f"{folder}/out"}], f)
            node(f"{HERE}/ort.js", f"{folder}/jobs.json")
            with open(f"{folder}/out.json") as f:
                found = json.load(f)["outputs"]
            return [np.fromfile(found[n]["file"], np.float32).reshape(found[n]["dims"])
                    for n in names or self.said["outputs"]]
