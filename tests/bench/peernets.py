"""The networks of the comparison as PyTorch has them, with the same weights."""
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

import weights


class Rule(torch.autograd.Function):
    """relu whose backward is guided or rectified."""

    @staticmethod
    def forward(ctx, x, guided):
        y = x.clamp(min=0)
        ctx.guided = guided
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        dy = dy.clamp(min=0)
        return (dy * (y > 0) if ctx.guided else dy), None


class Ruled(nn.Module):
    """A relu module that is plain in place, or one of the rules above."""

    rule = None

    def forward(self, x):
        if self.rule is None:
            return F.relu(x, inplace=True)
        return Rule.apply(x, self.rule == "guided")


def frozen(net):
    for p in net.parameters():
        p.requires_grad_(False)
    return net.eval()


def take(layer, tensors, name):
    """Gives `layer` the tensors of that name, where they lie."""
    layer.weight = nn.Parameter(tensors[name + ".weight"], requires_grad=False)
    if name + ".bias" in tensors:
        layer.bias = nn.Parameter(tensors[name + ".bias"], requires_grad=False)


class Vgg16(nn.Module):
    """torchvision's vgg16 without its dropout, which does nothing here."""

    BLOCKS = (2, 2, 3, 3, 3)

    def __init__(self, path):
        super().__init__()
        tensors = weights.load(path)
        features = []
        for block, count in enumerate(self.BLOCKS, 1):
            for i in range(1, count + 1):
                name = f"block{block}_conv{i}"
                k, c = tensors[name + ".weight"].shape[:2]
                conv = nn.utils.skip_init(nn.Conv2d, c, k, 3, padding=1)
                take(conv, tensors, name)
                features += [conv, Ruled()]
            features.append(nn.MaxPool2d(2))
        dense = []
        for name in ("fc1", "fc2", "predictions"):
            k, c = tensors[name + ".weight"].shape
            layer = nn.utils.skip_init(nn.Linear, c, k)
            take(layer, tensors, name)
            dense += [layer, Ruled()]
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(*dense[:-1])
        frozen(self)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))

    def until_last_conv(self, x):
        return self.features[:-1](x)

    def after_last_conv(self, a):
        return self.classifier(self.features[-1](a).flatten(1))

    def use(self, rule):
        for m in self.modules():
            if isinstance(m, Ruled):
                m.rule = rule


class Fire(nn.Module):
    def __init__(self, c, squeeze, expand):
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(c, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        s = F.relu(self.squeeze1x1(x), inplace=True)
        one = F.relu(self.expand1x1(s), inplace=True)
        three = F.relu(self.expand3x3(s), inplace=True)
        return torch.cat([one, three], 1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0 as its authors released it: conv10 is padded."""

    FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192),
             (64, 256), (64, 256))

    def __init__(self, path):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, stride=2)
        c = 96
        for i, (squeeze, expand) in enumerate(self.FIRES, 2):
            setattr(self, f"fire{i}", Fire(c, squeeze, expand))
            c = 2 * expand
        self.conv10 = nn.Conv2d(c, 1000, 1, padding=1)
        self.load_state_dict(weights.load(path))
        frozen(self)

    def forward(self, x):
        x = F.relu(self.conv1(x), inplace=True)
        for i in range(2, 10):
            if i in (2, 5, 9):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            x = getattr(self, f"fire{i}")(x)
        return F.relu(self.conv10(x), inplace=True).mean((2, 3))


    def until_fire8(self, x):
        x = F.relu(self.conv1(x), inplace=True)
        for i in range(2, 9):
            if i in (2, 5):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            x = getattr(self, f"fire{i}")(x)
        return x


def glyphs():
    """The embedded network's layers up to block4_conv3, of any weights: only its time
    is compared."""
    layers, c = [], 3
    for block, (k, count) in enumerate(((8, 2), (16, 2), (32, 3), (64, 3))):
        if block:
            layers.append(nn.MaxPool2d(2))
        for _ in range(count):
            layers += [nn.Conv2d(c, k, 3, padding=1), nn.ReLU(inplace=True)]
            c = k
    return frozen(nn.Sequential(*layers))


def resnet18(path):
    net = torchvision.models.resnet18()
    # batch counters are no part of our files
    missing, extra = net.load_state_dict(weights.load(path), strict=False)
    assert not extra and all(n.endswith("num_batches_tracked") for n in missing)
    return frozen(net)
