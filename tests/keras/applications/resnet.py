# ResNet, of both versions of keras.applications.
import re

from graph import Graph


# Names as they were before 2019.
def before_2019(name):
    name = re.sub("conv([2-5])_block([0-9]+)_([0-3])_(conv|bn)", lambda m: "%s%s%c_branch%s" % (
        "res" if m[4] == "conv" else "bn", m[1], 96 + int(m[2]), ("1", "2a", "2b", "2c")[int(m[3])]), name)
    return {"conv1_conv": "conv1", "conv1_bn": "bn_conv1", "predictions": "fc1000"}.get(name, name)


def resnet(keras, v2, first=6, filters=(2, 3, 4, 5), units=(2, 2, 2, 2), old=False):
    g, eps = Graph(keras, [41, 35, 3]), 1e-3 if old else 1.001e-5
    g.pad([[3, 3], [3, 3]], name="conv1_pad")
    g.conv(first, 7, s=2, name="conv1_conv")
    if not v2:
        g.bn("conv1_bn", eps=eps)
        g.act("relu", "conv1_relu")
    g.pad([[1, 1], [1, 1]], name="pool1_pad")
    g.pool("Max", 3, s=2, name="pool1_pool")

    def block1(n, s, short, name):
        x, out = g.last, g.last
        if short: out = g.bn(name + "_0_bn", g.conv(4 * n, 1, s=s, name=name + "_0_conv"), eps=eps)
        g.conv(n, 1, x, s=s, name=name + "_1_conv")
        g.bn(name + "_1_bn", eps=eps)
        g.act("relu", name + "_1_relu")
        g.conv(n, 3, padding="same", name=name + "_2_conv")
        g.bn(name + "_2_bn", eps=eps)
        g.act("relu", name + "_2_relu")
        g.conv(4 * n, 1, name=name + "_3_conv")
        g.add("Add", out, g.bn(name + "_3_bn", eps=eps), name=name + "_add")
        g.act("relu", name + "_out")

    def block2(n, s, short, name):
        x = g.last
        g.bn(name + "_preact_bn", eps=eps)
        pre = g.act("relu", name + "_preact_relu")
        out = (g.conv(4 * n, 1, s=s, name=name + "_0_conv") if short
               else g.pool("Max", 1, x, s=s) if s > 1 else x)
        g.conv(n, 1, pre, use_bias=False, name=name + "_1_conv")
        g.bn(name + "_1_bn", eps=eps)
        g.act("relu", name + "_1_relu")
        g.pad([[1, 1], [1, 1]], name=name + "_2_pad")
        g.conv(n, 3, s=s, use_bias=False, name=name + "_2_conv")
        g.bn(name + "_2_bn", eps=eps)
        g.act("relu", name + "_2_relu")
        g.add("Add", out, g.conv(4 * n, 1, name=name + "_3_conv"), name=name + "_out")

    for stage, (n, count) in enumerate(zip(filters, units)):
        last = stage == 3
        for i in range(count):
            if v2: block2(n, 2 if i == count - 1 and not last else 1, i == 0, "conv%d_block%d" % (stage + 2, i + 1))
            else: block1(n, 2 if i == 0 and stage else 1, i == 0, "conv%d_block%d" % (stage + 2, i + 1))
    if v2:
        g.bn("post_bn", eps=eps)
        g.act("relu", "post_relu")
    g.top()
    if old: g.rename(before_2019)
    return g.net("resnet50v2" if v2 else "resnet50")
