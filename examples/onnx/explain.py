"""A file of `lunette bake` explains a picture in ONNX Runtime: no Lua, no gradient.

    pip install onnxruntime pillow
    python3 explain.py BAKED.onnx PICTURE MAP.png
"""
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def tensor(path, shape, how):
    """(1,C,H,W) as the network takes it, stretched to the nearest pixel."""
    _, channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    pixels = np.asarray(Image.open(path).convert(mode), np.float64)
    pixels = pixels.reshape(*pixels.shape[:2], channels)
    rows = np.arange(height) * pixels.shape[0] // height
    columns = np.arange(width) * pixels.shape[1] // width
    x = pixels[rows][:, columns]
    if how["order"] == "bgr":
        x = x[..., ::-1]
    x = (x * how["scale"] - how["mean"][:channels]) / how["std"][:channels]
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None], np.float32)


def main(file, picture, out):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta().custom_metadata_map
    first = session.get_inputs()[0]
    x = tensor(picture, first.shape, json.loads(meta["preprocessing_spec"]))
    names = [output.name for output in session.get_outputs()]
    result = dict(zip(names, session.run(None, {first.name: x})))
    if "class" in result:
        label = int(result["class"][0])
        known = json.loads(meta.get("class_names", "[]"))
        print("class", label, known[label] if label < len(known) else "")
    values = np.maximum(result["map"][0], 0)
    grey = Image.fromarray((255 * values / max(values.max(), 1e-30)).astype(np.uint8))
    grey.save(out)
    print(f"wrote {out} ({grey.width}x{grey.height})")


if __name__ == "__main__":
    main(*sys.argv[1:4])
