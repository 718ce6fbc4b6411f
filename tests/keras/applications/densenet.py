# DenseNet of keras.applications.
from graph import Graph


def densenet(keras, first=6, growth=(12, 3), units=(2, 3, 2, 2), stroke="_", answer="predictions"):
    g, eps = Graph(keras, [38, 41, 3]), 1.001e-5
    g.pad([[3, 3], [3, 3]])
    g.conv(first, 7, s=2, use_bias=False, name="conv1%sconv" % stroke)
    g.bn("conv1%sbn" % stroke, eps=eps)
    g.act("relu", "conv1%srelu" % stroke)
    g.pad([[1, 1], [1, 1]])
    g.pool("Max", 3, s=2, name="pool1")
    for stage, count in enumerate(units, 2):
        for i in range(count):
            x, name = g.last, "conv%d_block%d" % (stage, i + 1)
            for j, (n, k) in enumerate([(growth[0], 1), (growth[1], 3)]):
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
    g.top(name=answer)
    return g.net("densenet121")
