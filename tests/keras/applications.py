# The networks of keras.applications in their own shape, narrow and with few repeats: classes, names, order, paddings
# and attributes are those that Keras' functions give. networks(keras) has them as Keras 2 or 3 would save them,
# in the form that write.py wants: { shape, layers, kind }.
from graph import Graph


def xception(keras):
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
    for block in 5, 6:
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


def resnet(keras, v2):
    g, eps = Graph(keras, [41, 35, 3]), 1.001e-5
    g.pad([[3, 3], [3, 3]], name="conv1_pad")
    g.conv(6, 7, s=2, name="conv1_conv")
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

    for stage, n in enumerate([2, 3, 4, 5]):
        last = stage == 3
        for i in range(2):
            if v2: block2(n, 2 if i == 1 and not last else 1, i == 0, "conv%d_block%d" % (stage + 2, i + 1))
            else: block1(n, 2 if i == 0 and stage else 1, i == 0, "conv%d_block%d" % (stage + 2, i + 1))
    if v2:
        g.bn("post_bn", eps=eps)
        g.act("relu", "post_relu")
    g.top()
    return g.net("resnet50v2" if v2 else "resnet50")


def inception_v3(keras):
    g = Graph(keras, [75, 79, 3])

    def cb(n, k, *reads, s=1, padding="same"):
        g.conv(max(3, n // 24), k, *reads, s=s, padding=padding, use_bias=False)
        g.bn(scale=False)
        return g.act()

    def chain(x, *steps):
        for n, k in steps: x = cb(n, k, x)
        return x

    def pooled(x, n): return cb(n, 1, g.pool("Average", 3, x, s=1, padding="same"))

    for n, k, s, p in (32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3, 1, "same"): cb(n, k, s=s, padding=p)
    g.pool("Max", 3, s=2)
    cb(80, 1, padding="valid"), cb(192, 3, padding="valid")
    x = g.pool("Max", 3, s=2)
    for i, n in enumerate([32, 64]):
        x = g.add("Concatenate", chain(x, (64, 1)), chain(x, (48, 1), (64, 5)), chain(x, (64, 1), (96, 3), (96, 3)),
                  pooled(x, n), axis=3, name="mixed%d" % i)
    a, b = cb(384, 3, x, s=2, padding="valid"), cb(96, 3, chain(x, (64, 1), (96, 3)), s=2, padding="valid")
    x = g.add("Concatenate", a, b, g.pool("Max", 3, x, s=2), axis=3, name="mixed3")
    for i, n in enumerate([128, 192]):
        x = g.add("Concatenate", chain(x, (192, 1)), chain(x, (n, 1), (n, [1, 7]), (192, [7, 1])),
                  chain(x, (n, 1), (n, [7, 1]), (n, [1, 7]), (n, [7, 1]), (192, [1, 7])), pooled(x, 192), axis=3,
                  name="mixed%d" % (i + 4))
    a = cb(320, 3, chain(x, (192, 1)), s=2, padding="valid")
    b = cb(192, 3, chain(x, (192, 1), (192, [1, 7]), (192, [7, 1])), s=2, padding="valid")
    x = g.add("Concatenate", a, b, g.pool("Max", 3, x, s=2), axis=3, name="mixed8")
    for i in range(1):
        a, b = chain(x, (320, 1)), chain(x, (384, 1))
        b = g.add("Concatenate", cb(384, [1, 3], b), cb(384, [3, 1], b), axis=3, name="mixed9_%d" % i)
        c = chain(x, (448, 1), (384, 3))
        c = g.add("Concatenate", cb(384, [1, 3], c), cb(384, [3, 1], c), axis=3)
        x = g.add("Concatenate", a, b, c, pooled(x, 192), axis=3, name="mixed%d" % (9 + i))
    g.top()
    return g.net("inception_v3")


def inception_resnet_v2(keras):
    g = Graph(keras, [75, 77, 3])

    def cb(n, k, *reads, s=1, padding="same", act=True, bias=False, name=None):
        g.conv(n, k, *reads, s=s, padding=padding, use_bias=bias, name=name)
        if not bias: g.bn(name and name + "_bn", scale=False)
        return g.act("relu", name and name + "_ac") if act else g.last

    def chain(x, *steps):
        for n, k in steps: x = cb(n, k, x)
        return x

    def block(x, scale, kind, i, *branches, act=True):
        name = "%s_%d" % (kind, i)
        mixed = g.add("Concatenate", *[chain(x, *b) for b in branches], axis=3, name=name + "_mixed")
        up = cb(g.channels(x), 1, mixed, act=False, bias=True, name=name + "_conv")
        if keras == 3: g.add("CustomScaleLayer", x, up, scale=scale, _module="keras.src.applications.inception_resnet_v2")
        else:
            g.add("Lambda", x, up, name=name, function=["4wIAAAAAAAAA", None, None], function_type="lambda",
                  module="keras.applications.inception_resnet_v2", output_shape=[None, *g.shapes[x]],
                  output_shape_type="raw", output_shape_module=None, arguments={"scale": scale})
        return g.act("relu", name + "_ac") if act else g.last

    cb(2, 3, s=2, padding="valid"), cb(2, 3, padding="valid"), cb(3, 3), g.pool("Max", 3, s=2)
    cb(3, 1, padding="valid"), cb(4, 3, padding="valid")
    x = g.pool("Max", 3, s=2)
    x = g.add("Concatenate", chain(x, (3, 1)), chain(x, (2, 1), (3, 5)), chain(x, (2, 1), (3, 3), (3, 3)),
              cb(2, 1, g.pool("Average", 3, x, s=1, padding="same")), axis=3, name="mixed_5b")
    for i in 1, 2: x = block(x, 0.17, "block35", i, [(2, 1)], [(2, 1), (2, 3)], [(2, 1), (3, 3), (4, 3)])
    a = cb(4, 3, x, s=2, padding="valid")
    b = cb(4, 3, chain(x, (3, 1), (3, 3)), s=2, padding="valid")
    x = g.add("Concatenate", a, b, g.pool("Max", 3, x, s=2), axis=3, name="mixed_6a")
    for i in 1, 2: x = block(x, 0.1, "block17", i, [(3, 1)], [(2, 1), (3, [1, 7]), (3, [7, 1])])
    a = cb(3, 3, chain(x, (2, 1)), s=2, padding="valid")
    b = cb(3, 3, chain(x, (2, 1)), s=2, padding="valid")
    c = cb(3, 3, chain(x, (2, 1), (3, 3)), s=2, padding="valid")
    x = g.add("Concatenate", a, b, c, g.pool("Max", 3, x, s=2), axis=3, name="mixed_7a")
    x = block(x, 0.2, "block8", 1, [(3, 1)], [(3, 1), (3, [1, 3]), (4, [3, 1])])
    block(x, 1.0, "block8", 10, [(3, 1)], [(3, 1), (3, [1, 3]), (4, [3, 1])], act=False)
    cb(12, 1, name="conv_7b")
    g.top()
    return g.net("inception_resnet_v2")


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


def mobilenet_v2(keras):
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
    for i, (n, s, t) in enumerate([(3, 1, 1), (4, 2, 6), (4, 1, 6), (5, 2, 6), (5, 1, 6), (6, 2, 6), (6, 1, 6),
                                   (7, 1, 6), (7, 1, 6), (8, 2, 6), (8, 1, 6), (9, 1, 6)]):
        block(i, n, s, t)
    g.conv(20, 1, use_bias=False, name="Conv_1")
    g.bn("Conv_1_bn")
    g.relu6("out_relu")
    g.top(pool=None)
    return g.net("mobilenetv2_1.00_224")


def mobilenet_v3(keras, large, minimal=False):
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
    return g.net("MobileNetV3" + ("Large" if large else "Small"))


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


def nasnet(keras):
    g = Graph(keras, [66, 61, 3])

    def bn(name): return g.bn(name, momentum=0.9997)

    def separable(ip, n, k, i, s=1):
        x = g.act("relu", None, ip)
        if s == 2: g.correct_pad(k, name="separable_conv_1_pad_" + i)
        g.separable(n, k, s=s, padding="valid" if s == 2 else "same", name="separable_conv_1_" + i)
        bn("separable_conv_1_bn_" + i)
        g.act()
        g.separable(n, k, padding="same", name="separable_conv_2_" + i)
        return bn("separable_conv_2_bn_" + i)

    def adjust(p, ip, n, i):
        if p is None: return ip
        if g.shapes[p][1] != g.shapes[ip][1]:
            p = g.act("relu", "adjust_relu_1_" + i, p)
            g.pool("Average", 1, s=2, name="adjust_avg_pool_1_" + i)
            p1 = g.conv(n // 2, 1, padding="same", use_bias=False, name="adjust_conv_1_" + i)
            g.pad([[0, 1], [0, 1]], p)
            g.add("Cropping2D", cropping=[[1, 0], [1, 0]])
            g.pool("Average", 1, s=2, name="adjust_avg_pool_2_" + i)
            p2 = g.conv(n // 2, 1, padding="same", use_bias=False, name="adjust_conv_2_" + i)
            g.add("Concatenate", p1, p2, axis=-1)
            return bn("adjust_bn_" + i)
        if g.channels(p) != n:
            g.act("relu", None, p)
            g.conv(n, 1, padding="same", use_bias=False, name="adjust_conv_projection_" + i)
            return bn("adjust_bn_" + i)
        return p

    def into(ip, n, kind, i):
        g.act("relu", None, ip)
        g.conv(n, 1, padding="same", use_bias=False, name="%s_conv_1_%s" % (kind, i))
        return bn("%s_bn_1_%s" % (kind, i))

    def normal(ip, p, n, i):
        p = adjust(p, ip, n, i)
        h = into(ip, n, "normal", i)
        x1 = g.add("Add", separable(h, n, 5, "normal_left1_" + i), separable(p, n, 3, "normal_right1_" + i),
                   name="normal_add_1_" + i)
        x2 = g.add("Add", separable(p, n, 5, "normal_left2_" + i), separable(p, n, 3, "normal_right2_" + i),
                   name="normal_add_2_" + i)

        def mean(x, side): return g.pool("Average", 3, x, s=1, padding="same", name="normal_%s_%s" % (side, i))
        x3 = g.add("Add", mean(h, "left3"), p, name="normal_add_3_" + i)
        x4 = g.add("Add", mean(p, "left4"), mean(p, "right4"), name="normal_add_4_" + i)
        x5 = g.add("Add", separable(h, n, 3, "normal_left5_" + i), h, name="normal_add_5_" + i)
        return g.add("Concatenate", p, x1, x2, x3, x4, x5, axis=-1, name="normal_concat_" + i), ip

    def reduction(ip, p, n, i):
        p = adjust(p, ip, n, i)
        h = into(ip, n, "reduction", i)
        h3 = g.correct_pad(3, h, name="reduction_pad_1_" + i)
        x1 = g.add("Add", separable(h, n, 5, "reduction_left1_" + i, 2), separable(p, n, 7, "reduction_right1_" + i, 2),
                   name="reduction_add_1_" + i)
        x2 = g.add("Add", g.pool("Max", 3, h3, s=2, name="reduction_left2_" + i),
                   separable(p, n, 7, "reduction_right2_" + i, 2), name="reduction_add_2_" + i)
        x3 = g.add("Add", g.pool("Average", 3, h3, s=2, name="reduction_left3_" + i),
                   separable(p, n, 5, "reduction_right3_" + i, 2), name="reduction_add3_" + i)
        x4 = g.add("Add", x2, g.pool("Average", 3, x1, s=1, padding="same", name="reduction_left4_" + i))
        x5 = g.add("Add", separable(x1, n, 3, "reduction_left4_" + i),
                   g.pool("Max", 3, h3, s=2, name="reduction_right5_" + i), name="reduction_add4_" + i)
        return g.add("Concatenate", x2, x3, x4, x5, axis=-1, name="reduction_concat_" + i), ip

    g.conv(4, 3, s=2, use_bias=False, name="stem_conv1")
    x, p = bn("stem_bn1"), None
    x, p = reduction(x, p, 2, "stem_1")
    x, p = reduction(x, p, 2, "stem_2")
    x, p = normal(x, p, 4, "0")
    x, p = reduction(x, p, 6, "reduce_1")
    x, p = normal(x, p, 6, "2")
    g.act()
    g.top(pool=None)
    return g.net("NASNet")


def efficientnet(keras):
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
    g.add("Rescaling", scale=[2.09, 2.11, 2.10], offset=0.0)
    g.correct_pad(3, name="stem_conv_pad")
    g.conv(4, 3, s=2, use_bias=False, name="stem_conv")
    g.bn("stem_bn")
    g.act("swish" if keras == 2 else "silu", "stem_activation")
    for i, (n, k, s, t, repeats) in enumerate([(3, 3, 1, 1, 1), (4, 3, 2, 6, 2), (5, 5, 2, 6, 2), (6, 3, 2, 6, 2),
                                               (7, 5, 1, 6, 2), (8, 5, 2, 6, 1), (9, 3, 1, 6, 1)]):
        for j in range(repeats): block("block%d%s_" % (i + 1, chr(97 + j)), n, k, s if j == 0 else 1, t, i + j > 0)
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


def efficientnet_v2(keras, b):
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
    for i, (fused, n, s, t, se, repeats) in enumerate([(1, 4, 1, 1, 0, 2), (1, 5, 2, 4, 0, 2), (1, 6, 2, 4, 0, 1),
                                                       (0, 7, 2, 4, 1, 2), (0, 8, 1, 6, 1, 1), (0, 9, 2, 6, 1, 2)]):
        for j in range(repeats):
            block(fused, "block%d%s_" % (i + 1, chr(97 + j)), n, 3, s if j == 0 else 1, t, se)
    g.conv(16, 1, padding="same", use_bias=False, name="top_conv")
    g.bn("top_bn", momentum=0.9)
    g.act(a, "top_activation")
    g.add("GlobalAveragePooling2D", name="avg_pool")
    g.add("Dropout", rate=0.2, name="top_dropout")
    g.add("Dense", name="predictions", units=5, activation="softmax")
    return g.net("efficientnetv2-" + ("b0" if b else "s"))


def convnext(keras):
    name, dims, depths = "convnext_tiny", [4, 6, 8, 10], [1, 2, 2, 1]
    g = Graph(keras, [64, 68, 3])

    def ln(name): return (name, "LayerNormalization", {"epsilon": 1e-6, "axis": [3] if keras == 2 else -1})

    def cv(n, k, name): return (name, "Conv2D", {"filters": n, "kernel_size": [k, k], "strides": [k, k]})

    def down(layers, label, k, n):
        h, w, c = g.shapes[g.last]
        g.add("Model", name=label, kind="Sequential", shape=[h, w, c], layers=layers, out=(h // k, w // k, n))

    g.add("Normalization", name=name + "_prestem_normalization", axis=[-1] if keras == 2 else -1, invert=False,
          mean=[0.485 * 255, 0.456 * 255, 0.406 * 255], variance=[(0.229 * 255) ** 2, (0.224 * 255) ** 2, (0.225 * 255) ** 2])
    for stage in range(4):
        if stage == 0:
            down([cv(dims[0], 4, name + "_stem_conv"), ln(name + "_stem_layernorm")], name + "_stem", 4, dims[0])
        else:
            label = "%s_downsampling_%%s_%d" % (name, stage - 1)
            down([ln(label % "layernorm"), cv(dims[stage], 2, label % "conv")], label % "block", 2, dims[stage])
        for j in range(depths[stage]):
            x, n, p = g.last, dims[stage], "%s_stage_%d_block_%d" % (name, stage, j)
            g.conv(n, 7, padding="same", groups=n, name=p + "_depthwise_conv")
            g.add(*ln(p)[1:2], name=p + "_layernorm", epsilon=1e-6, axis=[3] if keras == 2 else -1)
            g.add("Dense", name=p + "_pointwise_conv_1", units=4 * n)
            g.act("gelu", p + "_gelu")
            g.add("Dense", name=p + "_pointwise_conv_2", units=n)
            g.add("LayerScale", name=p + "_layer_scale", init_values=1e-6, projection_dim=n,
                  _module="keras.src.applications.convnext")
            if j % 2:
                g.add("StochasticDepth", name=p + "_stochastic_depth", drop_path_rate=0.1,
                      _module="keras.src.applications.convnext")
            else:
                g.act("linear", p + "_identity")
            g.plus(x, g.last)
    g.add("GlobalAveragePooling2D", name=name + "_head_gap")
    g.add("LayerNormalization", name=name + "_head_layernorm", epsilon=1e-6, axis=[1] if keras == 2 else -1)
    g.add("Dense", name=name + "_head_dense", units=5, activation="softmax")
    return g.net(name)


def networks(keras):
    return {
        "xception_whole": xception(keras), "resnet50": resnet(keras, False), "resnet50_v2": resnet(keras, True),
        "inception_v3": inception_v3(keras), "inception_resnet_v2": inception_resnet_v2(keras),
        "mobilenet_v1": mobilenet(keras), "mobilenet_v2": mobilenet_v2(keras),
        "mobilenet_v3_large": mobilenet_v3(keras, True), "mobilenet_v3_small": mobilenet_v3(keras, False),
        "mobilenet_v3_minimal": mobilenet_v3(keras, True, True), "densenet121": densenet(keras), "nasnet": nasnet(keras),
        "efficientnet_b0": efficientnet(keras), "efficientnet_v2_b0": efficientnet_v2(keras, True),
        "efficientnet_v2_s": efficientnet_v2(keras, False), "convnext_tiny": convnext(keras),
    }
