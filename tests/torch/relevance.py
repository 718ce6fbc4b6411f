#!/usr/bin/python3
# Relevance of graphs that no golden file has, by rules written here again in float64, the way zennit writes them: a rule is
# modified inputs and weights, what their outputs are divided by, and how the gradients are put together. Batch norms are
# merged into the convolutions before them. Argument: a folder; NAME.x.npy, NAME.PARAMETER.npy, NAME.COMPOSITE.npy.
import sys

import numpy as np
import torch
import torch.nn.functional as F

out = sys.argv[1]
torch.manual_seed(5)
EPSILON = 1e-6


def stable(z):
    return z + EPSILON * torch.where(z < 0, -1.0, 1.0).to(z)


def low(t): return t.clamp(max=0)
def high(t): return t.clamp(min=0)
def none(t): return torch.zeros_like(t)


# Rules of f(x, w, b): lists of (x, w, b), a function from outputs and R to what goes back, coefficients of x * gradient.
def epsilon(x, w, b):
    return [(x, w, b)], lambda z, r: [r / stable(z[0])], [1]


def z_plus(x, w, b):
    return [(high(x), high(w), high(b)), (low(x), low(w), none(b))], lambda z, r: [r / stable(z[0] + z[1])] * 2, [1, 1]


def alpha_beta(x, w, b):
    return ([(high(x), high(w), high(b)), (low(x), low(w), none(b)), (high(x), low(w), low(b)), (low(x), high(w), none(b))],
            lambda z, r: [r / stable(z[0] + z[1])] * 2 + [r / stable(z[2] + z[3])] * 2, [2, 2, -1, -1])


def gamma(x, w, b, g=0.25):
    up, down = lambda t: t + g * high(t), lambda t: t + g * low(t)
    return ([(high(x), up(w), up(b)), (low(x), down(w), none(b)), (high(x), down(w), down(b)), (low(x), up(w), none(b)), (x, w, b)],
            lambda z, r: [(z[4] > 0) * r / stable(z[0] + z[1])] * 2 + [(z[4] < 0) * r / stable(z[2] + z[3])] * 2 + [0 * r],
            [1, 1, 1, 1, 0])


def flat(x, w, b):
    return [(torch.ones_like(x), torch.ones_like(w), none(b))], lambda z, r: [r / stable(z[0])], [1]


def z_box(x, w, b):
    lo, hi = torch.full_like(x, -2.0), torch.full_like(x, 2.5)
    return [(x, w, b), (lo, high(w), high(b)), (hi, low(w), low(b))], lambda z, r: [r / stable(z[0] - z[1] - z[2])] * 3, [1, -1, -1]


class Apply(torch.autograd.Function):
    """f(x, w, b), whose gradient is the rule's relevance."""

    @staticmethod
    def forward(ctx, x, f, w, b, rule):
        ctx.save_for_backward(x)
        ctx.rest = f, w, b, rule
        return f(x, w, b)

    @staticmethod
    def backward(ctx, r):
        (x,), (f, w, b, rule) = ctx.saved_tensors, ctx.rest
        parts, back, factors = rule(x, w, b)
        with torch.enable_grad():
            xs = [p[0].detach().requires_grad_() for p in parts]
            z = [f(xi, p[1], p[2]) for xi, p in zip(xs, parts)]
            wanted = back([zi.detach() for zi in z], r)
        total = 0
        for xi, zi, g, c in zip(xs, z, wanted, factors):
            total = total + c * xi.detach() * torch.autograd.grad(zi, xi, g)[0]
        return total, None, None, None, None


class Hand(torch.autograd.Function):
    """y, of which x gets the relevance as it is."""

    @staticmethod
    def forward(ctx, x, y): return y.clone()
    @staticmethod
    def backward(ctx, r): return r, None


class Norm(torch.autograd.Function):
    """A linear f without weights of several inputs: R / f(x) times its terms."""

    @staticmethod
    def forward(ctx, f, *xs):
        ctx.f = f
        ctx.save_for_backward(*xs)
        return f(*xs)

    @staticmethod
    def backward(ctx, r):
        with torch.enable_grad():
            xs = [x.detach().requires_grad_() for x in ctx.saved_tensors]
            z = ctx.f(*xs)
            gs = torch.autograd.grad(z, xs, r / stable(z.detach()))
        return (None, *[x.detach() * g for x, g in zip(xs, gs)])


class Graph:
    """Layers by name, their weights made when they are first met; rules as the composite says."""

    def __init__(self, composite=None):
        self.params, self.composite, self.first = {}, composite, True

    def weights(self, name, **shapes):
        for key, shape in shapes.items():
            k = name + "." + key
            if k not in self.params:
                n = int(np.prod(shape[1:])) or 1
                v = torch.randn(shape) * (2 / n) ** 0.5 if key == "weight" and len(shape) > 1 else torch.randn(shape) * 0.3
                if key == "running_var" or key == "weight" and len(shape) == 1: v = v.abs() + 0.5
                self.params[k] = v.float().double()
        return [self.params[name + "." + key] for key in shapes]

    def rule(self, kind):
        first, self.first = self.first, False
        return (self.composite["first"] if first and "first" in self.composite else self.composite[kind])

    def weighted(self, kind, f, x, w, b):
        return Apply.apply(x, f, w, b, self.rule(kind)) if self.composite else f(x, w, b)

    def conv(self, name, x, k, size, norm=False, stride=1, groups=1):
        w, b = self.weights(name, weight=(k, x.shape[1] // groups, size, size), bias=(k,))
        if norm:
            g, t, m, v = self.weights(name + "_bn", weight=(k,), bias=(k,), running_mean=(k,), running_var=(k,))
            s = g / (v + 1e-5).sqrt()
            w, b = w * s[:, None, None, None], (b - m) * s + t
        return self.weighted("conv", lambda x, w, b: F.conv2d(x, w, b, stride, size // 2, 1, groups), x, w, b)

    def dense(self, name, x, k):
        w, b = self.weights(name, weight=(k, x.shape[1]), bias=(k,))
        return self.weighted("dense", F.linear, x, w, b)

    def act(self, x, f=F.relu):
        if self.composite and self.composite.get("gradients"): return f(x)
        return Hand.apply(x, f(x.detach()))

    def sum(self, f, *xs): return Norm.apply(f, *xs) if self.composite else f(*xs)


def residual(g, x):
    x = g.act(g.conv("a", x, 8, 3, True, 2))
    y = g.act(g.conv("b1", x, 8, 3, True))
    x = g.act(g.sum(torch.add, g.conv("b2", y, 8, 3, True), x))
    y = g.act(g.conv("c1", x, 12, 3, True, 2))
    x = g.act(g.sum(torch.add, g.conv("c2", y, 12, 3, True), g.conv("cs", x, 12, 1, True, 2)))
    return g.dense("o", g.sum(lambda t: t.mean((2, 3)), x), 5)


def mobile(g, x):
    """Depthwise, squeeze and excite, whose gate takes no relevance, relu6 and hard swish."""
    x = g.act(g.conv("a", x, 8, 3, True, 2), F.hardswish)
    x = g.act(g.conv("d", x, 8, 3, True, 1, 8), F.relu6)
    with torch.no_grad():
        y = F.relu(g.conv("s1", x.mean((2, 3), keepdim=True), 4, 1))
        gate = F.hardsigmoid(g.conv("s2", y, 8, 1))
    g.first = False
    x = Hand.apply(x, x.detach() * gate)
    x = g.conv("p", x, 12, 1, True)
    return g.dense("o", g.sum(lambda t: t.mean((2, 3)), x), 5)


def shuffled(g, x):
    """Grouped convolutions with a channel shuffle between, then three branches that are joined."""
    x = g.act(g.conv("a", x, 8, 3, True, 2))
    x = g.act(g.conv("g1", x, 8, 1, True, 1, 2))
    n, c, h, w = x.shape
    x = x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
    x = g.act(g.conv("g2", x, 8, 3, True, 1, 2))
    one = g.act(g.conv("j1", x, 4, 1))
    two = g.act(g.conv("j2", g.sum(lambda t: F.avg_pool2d(t, 3, 1, 1), x), 4, 3))
    x = torch.cat((one, two, F.max_pool2d(x, 3, 1, 1)), 1)
    x = g.act(g.conv("k", x, 10, 3, True, 2))
    return g.dense("o", g.sum(lambda t: t.mean((2, 3)), x), 5)


composites = {
    "epsilon_plus": {"conv": z_plus, "dense": epsilon},
    "epsilon_plus_flat": {"first": flat, "conv": z_plus, "dense": epsilon},
    "epsilon_alpha2_beta1": {"conv": alpha_beta, "dense": epsilon},
    "epsilon_alpha2_beta1_flat": {"first": flat, "conv": alpha_beta, "dense": epsilon},
    "epsilon_gamma_box": {"first": z_box, "conv": gamma, "dense": epsilon},
    "lrp_0": {"conv": epsilon, "dense": epsilon},
    "excitation_backprop": {"conv": z_plus, "dense": z_plus, "gradients": True},
}
for net in residual, mobile, shuffled:
    name, plain = net.__name__, Graph()
    x = torch.randn(2, 3, 16, 16).float().double()
    plain_y = net(plain, x)
    np.save("%s/%s.x.npy" % (out, name), x.float().numpy())
    np.save("%s/%s.y.npy" % (out, name), plain_y.float().numpy())
    for key, p in plain.params.items(): np.save("%s/%s.%s.npy" % (out, name, key), p.float().numpy())
    for composite, rules in composites.items():
        if net is mobile and composite == "excitation_backprop": continue  # a gate's gradient is no share of relevance
        g = Graph(rules)
        g.params = plain.params
        leaf = x.clone().requires_grad_()
        r = torch.autograd.grad(net(g, leaf)[:, 3].sum(), leaf)[0]
        np.save("%s/%s.%s.npy" % (out, name, composite), r.float().numpy())
        print(name, composite)
