# NASNet of keras.applications.
from graph import Graph


# `n` normal cells a stage, in as many stages as Keras has where it is given.
def nasnet(keras, n=None, skips=False):
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
    if n is None:
        x, p = normal(x, p, 4, "0")
        x, p = reduction(x, p, 6, "reduce_1")
        x, p = normal(x, p, 6, "2")
    else:
        for i in range(n): x, p = normal(x, p, 2, "%d" % i)
        for stage in 1, 2:
            x, before = reduction(x, p, 2 + 2 * stage, "reduce_%d" % (stage * n))
            p = p if skips else before
            for i in range(n): x, p = normal(x, p, 2 + 2 * stage, "%d" % (stage * n + i + 1))
    g.act()
    g.top(pool=None)
    return g.net("NASNet")
