# Xception of keras.applications.
from graph import Graph


def xception(keras, middle=(5, 6)):
    g = Graph(keras, [71, 75, 3])
    for i, (n, s) in enumerate([(4, 2), (6, 1)]):
        g.conv(n, 3, s=s, use_bias=False, name="block1_conv%d" % (i + 1))
        g.bn("block1_conv%d_bn" % (i + 1))
        g.act("relu", "block1_conv%d_act" % (i + 1))

    def sep(n, name, *reads):
        g.separable(n, 3, *reads, padding="same", name=name)
        return g.bn(name + "_bn")

    def down(block, a, b):
        x = g.last
        residual = g.bn(None, g.conv(b, 1, s=2, padding="same", use_bias=False))
        if block > 2: x = g.act("relu", "block%d_sepconv1_act" % block, x)
        sep(a, "block%d_sepconv1" % block, x)
        g.act("relu", "block%d_sepconv2_act" % block)
        sep(b, "block%d_sepconv2" % block)
        g.add("Add", g.pool("Max", 3, s=2, padding="same", name="block%d_pool" % block), residual)

    for block, n in (2, 8), (3, 10), (4, 12): down(block, n, n)
    for block in middle:
        x = g.last
        for i in 1, 2, 3:
            g.act("relu", "block%d_sepconv%d_act" % (block, i))
            sep(12, "block%d_sepconv%d" % (block, i))
        g.add("Add", g.last, x)
    down(13, 12, 14)
    for i, n in (1, 16), (2, 18):
        sep(n, "block14_sepconv%d" % i)
        g.act("relu", "block14_sepconv%d_act" % i)
    g.top()
    return g.net("xception")
