#!/usr/bin/python3
# State dicts of networks in the way people write them in PyTorch, small, with what torch answers in float64:
# NAME.pth, NAME.x.npy, NAME.y.npy. Argument: a folder. Prints the names.
import sys
from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision.models as zoo

out = sys.argv[1]
torch.manual_seed(3)


def keep(name, net, side, prefix="", renamed=str):
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm1d)):
            for p, low, high in (m.running_mean, -0.2, 0.2), (m.running_var, 0.5, 1.5), (m.weight, 0.5, 1.5), (m.bias, -0.2, 0.2):
                nn.init.uniform_(p, low, high)
    net = net.double().eval()
    for p in net.state_dict().values(): p.copy_(p.float())  # what the file holds
    x = torch.randn(2, 3, side, side).float()
    with torch.no_grad(): y = net(x.double())
    state = OrderedDict((prefix + renamed(k), v.float() if v.is_floating_point() else v) for k, v in net.state_dict().items())
    torch.save(state, "%s/%s.pth" % (out, name))
    np.save("%s/%s.x.npy" % (out, name), x.numpy())
    np.save("%s/%s.y.npy" % (out, name), F.softmax(y, 1).float().numpy())
    print(name)


# A ResNet for pictures of 32x32, in the names of pytorch-cifar, or of torchvision.
class Unit(nn.Module):
    def __init__(self, c, n, stride, deep, short):
        super().__init__()
        out = 4 * n if deep else n
        plan = [(c, n, 1, 1), (n, n, 3, stride), (n, out, 1, 1)] if deep else [(c, n, 3, stride), (n, n, 3, 1)]
        self.count, self.short, self.out = len(plan), None, out
        for i, (a, b, k, s) in enumerate(plan):
            setattr(self, "conv%d" % (i + 1), nn.Conv2d(a, b, k, s, k // 2, bias=False))
            setattr(self, "bn%d" % (i + 1), nn.BatchNorm2d(b))
        if short and (stride != 1 or c != out):
            self.short = short
            setattr(self, short, nn.Sequential(nn.Conv2d(c, out, 1, stride, bias=False), nn.BatchNorm2d(out)))

    def forward(self, x):
        y = x
        for i in range(self.count):
            y = getattr(self, "bn%d" % (i + 1))(getattr(self, "conv%d" % (i + 1))(y))
            if i + 1 < self.count: y = F.relu(y)
        if not self.short and y.shape != x.shape:  # option A of the paper
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.out // 4, self.out // 4))
        return F.relu(y + (getattr(self, self.short)(x) if self.short else x))


class Small(nn.Module):
    def __init__(self, counts, deep, width, classes, short="shortcut", last="linear"):
        super().__init__()
        self.conv1, self.bn1, self.last = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), last
        c, self.stages = width, len(counts)
        for stage, count in enumerate(counts):
            units = []
            for i in range(count):
                n = width << stage
                units.append(Unit(c, n, 2 if stage and not i else 1, deep, short))
                c = 4 * n if deep else n
            setattr(self, "layer%d" % (stage + 1), nn.Sequential(*units))
        setattr(self, last, nn.Linear(c, classes))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(self.stages): x = getattr(self, "layer%d" % (stage + 1))(x)
        return getattr(self, self.last)(F.avg_pool2d(x, x.shape[2]).flatten(1))


keep("cifar18", Small([2, 2, 2, 2], False, 8, 10), 32)
keep("cifar34_module", Small([3, 4, 6, 3], False, 4, 7), 32, "module.")
keep("cifar50", Small([3, 4, 6, 3], True, 4, 10), 32)
keep("cifar_paper20", Small([3, 3, 3], False, 16, 10, None), 32)
keep("cifar_paper32", Small([5, 5, 5], False, 16, 10, None, "fc"), 32, "module.")
keep("cifar_paper44_b", Small([7, 7, 7], False, 16, 100), 32)
keep("cifar_paper20_b", Small([3, 3, 3], False, 16, 10, "downsample", "fc"), 32)


def renamed(key):  # as pytorch-cifar100 calls them
    parts = key.split(".")
    if parts[0] in ("conv1", "bn1"): return "conv1.%d.%s" % (parts[0] == "bn1", parts[1])
    if parts[0] == "linear": return "fc." + parts[1]
    parts[0] = "conv%d_x" % (int(parts[0][5:]) + 1)
    if parts[2][:-1] in ("conv", "bn"):
        at = 3 * (int(parts[2][-1]) - 1) + (parts[2][:-1] == "bn")
        parts[2:3] = ["residual_function", str(at)]
    return ".".join(parts)


keep("cifar100_18", Small([2, 2, 2, 2], False, 8, 10), 32, renamed=renamed)
keep("cifar100_50", Small([3, 4, 6, 3], True, 4, 10), 32, renamed=renamed)
keep("cifar18_torchvision", Small([2, 2, 2, 2], False, 8, 10, "downsample", "fc"), 32)

for width in 0.35, 0.5, 1.3: keep("mobilenet_v2_%g" % width, zoo.mobilenet_v2(width_mult=width, num_classes=6), 64)
keep("mobilenet_v3_small_0.5", zoo.mobilenet_v3_small(width_mult=0.5, num_classes=6), 64)
keep("mobilenet_v3_large_0.75", zoo.mobilenet_v3_large(width_mult=0.75, num_classes=6), 64)


class Vgg(nn.Module):  # VGG11's convolutions, narrow
    def __init__(self, head, normed=False):
        super().__init__()
        parts, c = [], 3
        for n in 4, "M", 5, "M", 6, 6, "M", 7, 7, "M", 8, 8, "M":
            if n == "M":
                parts.append(nn.MaxPool2d(2))
            else:
                parts += [nn.Conv2d(c, n, 3, padding=1)] + ([nn.BatchNorm2d(n)] if normed else []) + [nn.ReLU()]
                c = n
        self.features, self.classifier = nn.Sequential(*parts), head

    def forward(self, x): return self.classifier(self.features(x).flatten(1))


L, B, R, D = nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout
heads = {
    "norm_relu": lambda n: nn.Sequential(L(n, 9), B(9), R(), D(), L(9, 7), B(7), R(), L(7, 5)),
    "relu_norm": lambda n: nn.Sequential(L(n, 9), R(), B(9), L(9, 5)),
    "no_relu": lambda n: nn.Sequential(L(n, 9), B(9), L(9, 5)),
    "some": lambda n: nn.Sequential(D(), L(n, 9, bias=False), B(9), R(), L(9, 8), R(), D(), L(8, 5)),
    "either": lambda n: nn.Sequential(L(n, 9), R(), B(9), D(), L(9, 5)),
    "named": lambda n: nn.Sequential(OrderedDict(fc1=L(n, 9), bn1=B(9), act=R(), fc2=L(9, 5))),
    "first": lambda n: nn.Sequential(B(n), L(n, 9), R(), L(9, 5)),
    "only": lambda n: nn.Sequential(B(n), L(n, 5)),
    "last": lambda n: nn.Sequential(L(n, 9), R(), L(9, 5), B(5)),
    "first_room": lambda n: nn.Sequential(B(n), D(), L(n, 5)),
}
for name, head in heads.items():
    keep("vgg_" + name, Vgg(head(32), name == "some"), 64)
    net = Small([2, 2, 2, 2], False, 4, 5, "downsample", "fc")
    net.conv1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
    net.fc = head(32)
    forward = net.forward
    net.bn1 = nn.BatchNorm2d(4)
    net.forward = lambda x, net=net: net.fc(F.adaptive_avg_pool2d(net.layer4(net.layer3(net.layer2(net.layer1(
        F.max_pool2d(F.relu(net.bn1(net.conv1(x))), 3, 2, 1))))), 1).flatten(1))
    keep("resnet18_" + name, net, 64)
