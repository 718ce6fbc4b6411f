# MobileNet V1, V2 and V3 of keras.applications.
import re

from graph import Graph


def mobilenet(keras):
    g = Graph(keras, [36, 33, 3])

    def conv(n, k, name, s=1):
        g.conv(n, k, s=s, padding="same", use_bias=False, name=name)
        g.bn(name + "_bn")
        g.relu6(name + "_relu")

    conv(4, 3, "conv1", 2)
    for i, (n, s) in enumerate([(6, 1), (8, 2), (8, 1), (10, 2), (10, 1), (12, 2), (12, 1), (14, 2), (14, 1)]):
        i += 1
        if s == 2: g.pad([[0, 1], [0, 1]], name="conv_pad_%d" % i)
        g.depthwise(3, s=s, padding="same" if s == 1 else "valid", depth_multiplier=1, name="conv_dw_%d" % i)
        g.bn("conv_dw_%d_bn" % i)
        g.relu6("conv_dw_%d_relu" % i)
        conv(n, 1, "conv_pw_%d" % i)
    if keras == 2:
        g.add("GlobalAveragePooling2D")
        g.add("Reshape", name="reshape_1", target_shape=[1, 1, 14])
    else:
        g.add("GlobalAveragePooling2D", keepdims=True)
    g.add("Dropout", name="dropout", rate=0.001)
    g.conv(5, 1, padding="same", name="conv_preds")
    g.add("Reshape", name="reshape_2", target_shape=[5])
    g.act("softmax", "predictions")
    return g.net("mobilenet_1.00_224")


# Channels, stride and expansion of every block: some, and all.
SOME = [(3, 1, 1), (4, 2, 6), (4, 1, 6), (5, 2, 6), (5, 1, 6), (6, 2, 6), (6, 1, 6), (7, 1, 6), (7, 1, 6), (8, 2, 6),
        (8, 1, 6), (9, 1, 6)]
ALL = [(3, 1, 1), (4, 2, 6), (4, 1, 6), (5, 2, 6), (5, 1, 6), (5, 1, 6), (6, 2, 6), (6, 1, 6), (6, 1, 6), (6, 1, 6),
       (7, 1, 6), (7, 1, 6), (7, 1, 6), (8, 2, 6), (8, 1, 6), (8, 1, 6), (9, 1, 6)]


def mobilenet_v2(keras, blocks=SOME):
    g = Graph(keras, [34, 45, 3])

    def block(i, n, s, t):
        x, c, p = g.last, g.channels(), "block_%d_" % i if i else "expanded_conv_"
        if i:
            g.conv(t * c, 1, padding="same", use_bias=False, name=p + "expand")
            g.bn(p + "expand_BN")
            g.relu6(p + "expand_relu")
        if s == 2: g.correct_pad(3, name=p + "pad")
        g.depthwise(3, s=s, padding="same" if s == 1 else "valid", name=p + "depthwise")
        g.bn(p + "depthwise_BN")
        g.relu6(p + "depthwise_relu")
        g.conv(n, 1, padding="same", use_bias=False, name=p + "project")
        g.bn(p + "project_BN")
        if c == n and s == 1: g.add("Add", x, g.last, name=p + "add")

    g.conv(6, 3, s=2, padding="same", use_bias=False, name="Conv1")
    g.bn("bn_Conv1")
    g.relu6("Conv1_relu")
    for i, (n, s, t) in enumerate(blocks):
        block(i, n, s, t)
    g.conv(20, 1, use_bias=False, name="Conv_1")
    g.bn("Conv_1_bn")
    g.relu6("out_relu")
    g.top(pool=None)
    return g.net("mobilenetv2_1.00_224")


# `whole`: all blocks, `old`: named as before 2022.
def mobilenet_v3(keras, large, minimal=False, whole=False, old=False):
    g = Graph(keras, [40, 37, 3])

    def relu(): return g.add("ReLU")

    def hard_sigmoid():
        g.plus(g.last, 3.0)
        return g.times(g.relu6("re_lu_%d_" % len(g.layers)), 1 / 6)

    def hard_swish():
        if keras == 3: return g.act("hard_silu")
        x = g.last
        return g.add("Multiply", x, hard_sigmoid())

    act = relu if minimal else hard_swish

    def block(i, t, n, k, s, se, act):
        x, c, p = g.last, g.channels(), "expanded_conv_%d_" % i if i else "expanded_conv_"
        if i:
            g.conv(t * c, 1, padding="same", use_bias=False, name=p + "expand")
            g.bn(p + "expand_bn")
            act()
        if s == 2: g.correct_pad(k, name=p + "depthwise_pad")
        g.depthwise(k, s=s, padding="same" if s == 1 else "valid", name=p + "depthwise")
        g.bn(p + "depthwise_bn")
        wide = act()
        if se and not minimal:
            q = p + "squeeze_excite_"
            g.add("GlobalAveragePooling2D", keepdims=True, name=q + "avg_pool")
            g.conv(2, 1, padding="same", name=q + "conv")
            g.add("ReLU", name=q + "relu")
            g.conv(g.channels(wide), 1, padding="same", name=q + "conv_1")
            g.add("Multiply", wide, hard_sigmoid(), name=q + "mul")
        g.conv(n, 1, padding="same", use_bias=False, name=p + "project")
        g.bn(p + "project_bn")
        if s == 1 and c == n: g.add("Add", x, g.last, name=p + "add")

    g.add("Rescaling", scale=1 / 127.5, offset=-1.0)
    g.conv(4, 3, s=2, padding="same", use_bias=False, name="conv")
    g.bn("conv_bn")
    act()
    k = 3 if minimal else 5
    if large:
        rows = [(1, 4, 3, 1, 0, relu), (4, 5, 3, 2, 0, relu), (3, 5, 3, 1, 0, relu), (3, 6, k, 2, 1, relu),
                (3, 6, k, 1, 1, relu), (6, 7, 3, 2, 0, act), (2, 7, 3, 1, 0, act), (6, 8, 3, 1, 1, act), (6, 9, k, 2, 1, act)]
    else:
        rows = [(1, 4, 3, 2, 1, relu), (4, 5, 3, 2, 0, relu), (3, 5, 3, 1, 0, relu), (4, 6, k, 2, 1, act),
                (6, 6, k, 1, 1, act), (3, 7, k, 1, 1, act)]
    if whole and large:
        rows = [(1, 4, 3, 1, 0, relu), (4, 5, 3, 2, 0, relu), (3, 5, 3, 1, 0, relu), (3, 6, k, 2, 1, relu), (3, 6, k, 1, 1, relu),
                (3, 6, k, 1, 1, relu), (6, 7, 3, 2, 0, act), (2, 7, 3, 1, 0, act), (2, 7, 3, 1, 0, act), (2, 7, 3, 1, 0, act),
                (6, 8, 3, 1, 1, act), (6, 8, 3, 1, 1, act), (6, 9, k, 2, 1, act), (6, 9, k, 1, 1, act), (6, 9, k, 1, 1, act)]
    elif whole:
        rows = [(1, 4, 3, 2, 1, relu), (4, 5, 3, 2, 0, relu), (3, 5, 3, 1, 0, relu), (4, 6, k, 2, 1, act), (6, 6, k, 1, 1, act),
                (6, 6, k, 1, 1, act), (3, 7, k, 1, 1, act), (3, 7, k, 1, 1, act), (6, 8, k, 2, 1, act), (6, 8, k, 1, 1, act),
                (6, 8, k, 1, 1, act)]
    for i, row in enumerate(rows): block(i, *row)
    g.conv(6 * g.channels(), 1, padding="same", use_bias=False, name="conv_1")
    g.bn("conv_1_bn")
    act()
    g.add("GlobalAveragePooling2D", keepdims=True)
    g.conv(12, 1, padding="same", name="conv_2")
    act()
    g.add("Dropout", rate=0.2)
    g.conv(5, 1, padding="same", name="logits")
    g.add("Flatten")
    g.act("softmax", "predictions")
    if old: g.rename(lambda n: re.sub("^(expanded_conv(_[0-9]+)?)_", r"\1/", re.sub("^conv", "Conv", n)).replace(
        "logits", "Logits").replace("_bn", "/BatchNorm").replace("squeeze_excite_conv", "squeeze_excite/Conv"))
    return g.net("MobileNetV3" + ("Large" if large else "Small"))
