"""What `lunette explain PHOTO --method saliency` does, as one writes it with
torchvision:  peer_explain.py WEIGHTS PHOTO OUT.png"""
import sys

import numpy as np
import torch
import torchvision
from PIL import Image

import weights

BLOCKS = (2, 2, 3, 3, 3)
MEAN = (103.939, 116.779, 123.68)


def renamed(tensors):
    """Our names to torchvision's: features.N.weight, classifier.N.weight."""
    found, at = {}, 0
    for block, count in enumerate(BLOCKS, 1):
        for i in range(1, count + 1):
            for key in ("weight", "bias"):
                name = f"block{block}_conv{i}.{key}"
                found[f"features.{at}.{key}"] = tensors[name]
            at += 2
        at += 1
    for at, name in ((0, "fc1"), (3, "fc2"), (6, "predictions")):
        for key in ("weight", "bias"):
            found[f"classifier.{at}.{key}"] = tensors[f"{name}.{key}"]
    return found


def main(path, photo, out):
    net = torchvision.models.vgg16()
    net.load_state_dict(renamed(weights.load(path)))
    net.eval().requires_grad_(False)
    picture = Image.open(photo).convert("RGB").resize((224, 224), Image.NEAREST)
    x = torch.from_numpy(np.asarray(picture, np.float32)[:, :, ::-1] - MEAN)
    x = x.float().permute(2, 0, 1)[None].contiguous().requires_grad_(True)
    y = net(x)
    for c in y[0].topk(5).indices.tolist():
        print(c, float(y.softmax(1)[0, c]))
    y[0].max().backward()
    m = x.grad.abs().amax(1)[0]
    m = (m - m.min()) / (m.max() - m.min() + 1e-7)
    grey = Image.fromarray((255 * m).byte().numpy())
    both = Image.new("RGB", (448, 224))
    both.paste(picture, (0, 0))
    both.paste(grey.convert("RGB"), (224, 0))
    both.save(out)


main(*sys.argv[1:])
