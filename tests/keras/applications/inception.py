# Inception V3 and Inception ResNet V2 of keras.applications.
import re

from graph import Graph


# Keras' own names as they are when another network was made before.
def later(name):
    return re.sub("^(conv2d|batch_normalization)(_([0-9]+))?$", lambda m: "%s_%d" % (m[1], int(m[3] or 0) + 94), name)


def inception_v3(keras, whole=False):
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
    for i, n in enumerate([32, 64, 64] if whole else [32, 64]):
        x = g.add("Concatenate", chain(x, (64, 1)), chain(x, (48, 1), (64, 5)), chain(x, (64, 1), (96, 3), (96, 3)),
                  pooled(x, n), axis=3, name="mixed%d" % i)
    a, b = cb(384, 3, x, s=2, padding="valid"), cb(96, 3, chain(x, (64, 1), (96, 3)), s=2, padding="valid")
    x = g.add("Concatenate", a, b, g.pool("Max", 3, x, s=2), axis=3, name="mixed3")
    for i, n in enumerate([128, 160, 160, 192] if whole else [128, 192]):
        x = g.add("Concatenate", chain(x, (192, 1)), chain(x, (n, 1), (n, [1, 7]), (192, [7, 1])),
                  chain(x, (n, 1), (n, [7, 1]), (n, [1, 7]), (n, [7, 1]), (192, [1, 7])), pooled(x, 192), axis=3,
                  name="mixed%d" % (i + 4))
    a = cb(320, 3, chain(x, (192, 1)), s=2, padding="valid")
    b = cb(192, 3, chain(x, (192, 1), (192, [1, 7]), (192, [7, 1])), s=2, padding="valid")
    x = g.add("Concatenate", a, b, g.pool("Max", 3, x, s=2), axis=3, name="mixed8")
    for i in range(2 if whole else 1):
        a, b = chain(x, (320, 1)), chain(x, (384, 1))
        b = g.add("Concatenate", cb(384, [1, 3], b), cb(384, [3, 1], b), axis=3, name="mixed9_%d" % i)
        c = chain(x, (448, 1), (384, 3))
        c = g.add("Concatenate", cb(384, [1, 3], c), cb(384, [3, 1], c), axis=3)
        x = g.add("Concatenate", a, b, c, pooled(x, 192), axis=3, name="mixed%d" % (9 + i))
    g.top()
    if whole: g.rename(later)
    return g.net("inception_v3")


# Blocks of each kind: two, two and one, or all.
def inception_resnet_v2(keras, repeats=(2, 2, 1)):
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
    for i in range(1, repeats[0] + 1): x = block(x, 0.17, "block35", i, [(2, 1)], [(2, 1), (2, 3)], [(2, 1), (3, 3), (4, 3)])
    a = cb(4, 3, x, s=2, padding="valid")
    b = cb(4, 3, chain(x, (3, 1), (3, 3)), s=2, padding="valid")
    x = g.add("Concatenate", a, b, g.pool("Max", 3, x, s=2), axis=3, name="mixed_6a")
    for i in range(1, repeats[1] + 1): x = block(x, 0.1, "block17", i, [(3, 1)], [(2, 1), (3, [1, 7]), (3, [7, 1])])
    a = cb(3, 3, chain(x, (2, 1)), s=2, padding="valid")
    b = cb(3, 3, chain(x, (2, 1)), s=2, padding="valid")
    c = cb(3, 3, chain(x, (2, 1), (3, 3)), s=2, padding="valid")
    x = g.add("Concatenate", a, b, c, g.pool("Max", 3, x, s=2), axis=3, name="mixed_7a")
    for i in range(1, repeats[2] + 1): x = block(x, 0.2, "block8", i, [(3, 1)], [(3, 1), (3, [1, 3]), (4, [3, 1])])
    block(x, 1.0, "block8", 10, [(3, 1)], [(3, 1), (3, [1, 3]), (4, [3, 1])], act=False)
    cb(12, 1, name="conv_7b")
    g.top()
    return g.net("inception_resnet_v2")
