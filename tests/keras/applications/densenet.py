# DenseNet of keras.applications.
from graph import Graph


def densenet(keras):
    g, eps = Graph(keras, [38, 41, 3]), 1.001e-5
    g.pad([[3, 3], [3, 3]])
    g.conv(6, 7, s=2, use_bias=False, name="conv1_conv")
    g.bn("conv1_bn", eps=eps)
    g.act("relu", "conv1_relu")
    g.pad([[1, 1], [1, 1]])
    g.pool("Max", 3, s=2, name="pool1")
    for stage, count in (2, 2), (3, 3), (4, 2), (5, 2):
        for i in range(count):
            x, name = g.last, "conv%d_block%d" % (stage, i + 1)
            for j, (n, k) in enumerate([(12, 1), (3, 3)]):
                g.bn("%s_%d_bn" % (name, j), eps=eps)
                g.act("relu", "%s_%d_relu" % (name, j))
                g.conv(n, k, use_bias=False, name="%s_%d_conv" % (name, j + 1), padding="same" if k > 1 else "valid")
            g.add("Concatenate", x, g.last, axis=3, name=name + "_concat")
        if stage < 5:
            name = "pool%d" % stage
            g.bn(name + "_bn", eps=eps)
            g.act("relu", name + "_relu")
            g.conv(g.channels() // 2, 1, use_bias=False, name=name + "_conv")
            if min(g.shapes[g.last][:2]) > 1: g.pool("Average", 2, s=2, name=name + "_pool")
    g.bn("bn", eps=eps)
    g.act("relu", "relu")
    g.top()
    return g.net("densenet121")
