# EfficientNet and EfficientNet V2 of keras.applications.
from graph import Graph


def efficientnet(keras, repeats=(1, 2, 2, 2, 2, 1, 1)):
    g = Graph(keras, [35, 40, 3])

    def block(name, n, k, s, t, drop):
        x, c = g.last, g.channels()
        if t > 1:
            g.conv(t * c, 1, padding="same", use_bias=False, name=name + "expand_conv")
            g.bn(name + "expand_bn")
            g.act("swish" if keras == 2 else "silu", name + "expand_activation")
        if s == 2: g.correct_pad(k, name=name + "dwconv_pad")
        g.depthwise(k, s=s, padding="valid" if s == 2 else "same", name=name + "dwconv")
        g.bn(name + "bn")
        wide = g.act("swish" if keras == 2 else "silu", name + "activation")
        excite(g, wide, max(1, c // 4), name)
        g.conv(n, 1, padding="same", use_bias=False, name=name + "project_conv")
        g.bn(name + "project_bn")
        if s == 1 and c == n:
            if drop: g.add("Dropout", rate=0.1, noise_shape=[None, 1, 1, 1], name=name + "drop")
            g.add("Add", g.last, x, name=name + "add")

    g.add("Rescaling", scale=1 / 255.0, offset=0.0)
    g.add("Normalization", axis=[3] if keras == 2 else 3, invert=False, mean=None, variance=None)
    g.add("Rescaling", scale=[0.229 ** -0.5, 0.224 ** -0.5, 0.225 ** -0.5], offset=0.0)
    g.correct_pad(3, name="stem_conv_pad")
    g.conv(4, 3, s=2, use_bias=False, name="stem_conv")
    g.bn("stem_bn")
    g.act("swish" if keras == 2 else "silu", "stem_activation")
    for i, (n, k, s, t) in enumerate([(3, 3, 1, 1), (4, 3, 2, 6), (5, 5, 2, 6), (6, 3, 2, 6), (7, 5, 1, 6), (8, 5, 2, 6),
                                      (9, 3, 1, 6)]):
        for j in range(repeats[i]): block("block%d%s_" % (i + 1, chr(97 + j)), n, k, s if j == 0 else 1, t, i + j > 0)
    g.conv(16, 1, padding="same", use_bias=False, name="top_conv")
    g.bn("top_bn")
    g.act("swish" if keras == 2 else "silu", "top_activation")
    g.add("GlobalAveragePooling2D", name="avg_pool")
    g.add("Dropout", rate=0.2, name="top_dropout")
    g.add("Dense", name="predictions", units=5, activation="softmax")
    return g.net("efficientnetb0")


# Squeeze and excite as the two EfficientNets have it.
def excite(g, wide, n, name):
    a = "swish" if g.keras == 2 else "silu"
    g.add("GlobalAveragePooling2D", wide, name=name + "se_squeeze")
    g.add("Reshape", target_shape=[1, 1, g.channels(wide)], name=name + "se_reshape")
    g.conv(n, 1, padding="same", activation=a, name=name + "se_reduce")
    g.conv(g.channels(wide), 1, padding="same", activation="sigmoid", name=name + "se_expand")
    g.add("Multiply", wide, g.last, name=name + "se_excite")


def efficientnet_v2(keras, b, all=None):
    g, a = Graph(keras, [36, 33, 3]), "swish" if keras == 2 else "silu"

    def block(fused, name, n, k, s, t, se):
        x, c = g.last, g.channels()
        if t > 1:
            g.conv(t * c, k if fused else 1, s=s if fused else 1, padding="same", use_bias=False, name=name + "expand_conv")
            g.bn(name + "expand_bn", momentum=0.9)
            g.act(a, name + "expand_activation")
        if not fused:
            g.depthwise(k, s=s, padding="same", name=name + "dwconv2")
            g.bn(name + "bn", momentum=0.9)
            g.act(a, name + "activation")
        if se: excite(g, g.last, max(1, c // 4), name)
        if fused and t == 1:
            g.conv(n, k, s=s, padding="same", use_bias=False, name=name + "project_conv")
        else:
            g.conv(n, 1, padding="same", use_bias=False, name=name + "project_conv")
        g.bn(name + "project_bn", momentum=0.9)
        if fused and t == 1: g.act(a, name + "project_activation")
        if s == 1 and c == n:
            g.add("Dropout", rate=0.1, noise_shape=[None, 1, 1, 1], name=name + "drop")
            g.add("Add", g.last, x, name=name + "add")

    if b:
        g.add("Rescaling", scale=1 / 255.0, offset=0.0)
        g.add("Normalization", axis=[3] if keras == 2 else 3, invert=False, mean=[0.485, 0.456, 0.406],
              variance=[0.229 ** 2, 0.224 ** 2, 0.225 ** 2])
    else:
        g.add("Rescaling", scale=1 / 128.0, offset=-1)
    g.conv(4, 3, s=2, padding="same", use_bias=False, name="stem_conv")
    g.bn("stem_bn", momentum=0.9)
    g.act(a, "stem_activation")
    for i, (fused, n, s, t, se, repeats) in enumerate([(1, 3 if b else 4, 1, 1, 0, 2), (1, 5, 2, 4, 0, 2), (1, 6, 2, 4, 0, 1),
                                                       (0, 7, 2, 4, 1, 2), (0, 8, 1, 6, 1, 1), (0, 9, 2, 6, 1, 2)]):
        for j in range(all[i] if all else repeats):
            block(fused, "block%d%s_" % (i + 1, chr(97 + j)), n, 3, s if j == 0 else 1, t, se)
    g.conv(16, 1, padding="same", use_bias=False, name="top_conv")
    g.bn("top_bn", momentum=0.9)
    g.act(a, "top_activation")
    g.add("GlobalAveragePooling2D", name="avg_pool")
    g.add("Dropout", rate=0.2, name="top_dropout")
    g.add("Dense", name="predictions", units=5, activation="softmax")
    return g.net("efficientnetv2-" + ("b0" if b else "s"))
