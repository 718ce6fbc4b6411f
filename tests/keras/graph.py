# A network of Keras as its functions make it: layers one by one, with the names and shapes that Keras gives them.
import re


def snake(name):
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


# Keras' own order of the layers of a functional model (Functional.layers): by their depth from the output, of one depth
# as they are met from there on the way back. `layers` are (name, class, config, reads).
def in_order(layers):
    by, met, done, depth = {l[0]: l for l in layers}, {}, [], {}

    def visit(name):
        if name not in by or name in met: return
        met[name] = len(met)
        for r in by[name][3]: visit(r)
        done.append(name)
    visit(layers[-1][0])
    for name in reversed(done):
        depth.setdefault(name, 0)
        for r in by[name][3]:
            if r in by: depth[r] = max(depth.get(r, 0), depth[name] + 1)
    return [by[n] for n in sorted(done, key=lambda n: (-depth[n], met[n]))]


# Layers in the order in which they are made, with the names and the shapes (H,W,C) that Keras gives them.
class Graph:
    def __init__(self, keras, shape):
        self.keras, self.shape, self.layers, self.used = keras, shape, [], {}
        self.shapes, self.last = {"input": tuple(shape)}, "input"

    def add(self, cls, *reads, name=None, **c):
        if name is None:
            base = snake(cls)
            n = self.used[base] = self.used.get(base, -1) + 1
            name = base + ("_%d" % n if n else "")
        reads = list(reads) or [self.last]
        self.layers.append((name, cls, c, reads))
        self.shapes[name] = self.shape_of(cls, c, [self.shapes[r] for r in reads if isinstance(r, str)])
        self.last = name
        return name

    def shape_of(self, cls, c, shapes):
        s = shapes[0]
        k = c.get("kernel_size") or c.get("pool_size")
        if k:
            out = [-(-n // d) if c.get("padding") == "same" else (n - w) // d + 1
                   for n, w, d in zip(s, k, c.get("strides") or [1, 1])]
            return (*out, c.get("filters", s[2]))
        if cls == "ZeroPadding2D": return tuple(n + sum(p) for n, p in zip(s, c["padding"])) + s[2:]
        if cls == "Cropping2D": return tuple(n - sum(p) for n, p in zip(s, c["cropping"])) + s[2:]
        if cls == "GlobalAveragePooling2D": return (1, 1, s[2]) if c.get("keepdims") else (s[2],)
        if cls == "Reshape": return tuple(c["target_shape"])
        if cls == "Flatten": return (s[0] * s[1] * s[2],)
        if cls == "Dense": return s[:-1] + (c["units"],)
        if cls == "Concatenate": return s[:2] + (sum(x[2] for x in shapes),)
        if cls == "Model": return c["out"]
        return s

    def channels(self, name=None): return self.shapes[name or self.last][-1]

    def conv(self, n, k, *reads, s=1, name=None, **c):
        k = k if isinstance(k, list) else [k, k]
        return self.add("Conv2D", *reads, name=name, filters=n, kernel_size=k, strides=[s, s], **c)

    def depthwise(self, k, *reads, s=1, name=None, **c):
        return self.add("DepthwiseConv2D", *reads, name=name, kernel_size=[k, k], strides=[s, s], use_bias=False, **c)

    def separable(self, n, k, *reads, s=1, name=None, **c):
        return self.add("SeparableConv2D", *reads, name=name, filters=n, kernel_size=[k, k], strides=[s, s],
                        use_bias=False, **c)

    def bn(self, name=None, *reads, eps=1e-3, **c):
        return self.add("BatchNormalization", *reads, name=name, epsilon=eps, axis=3 if self.keras == 3 else [3], **c)

    def act(self, a="relu", name=None, *reads): return self.add("Activation", *reads, name=name, activation=a)
    def relu6(self, name=None): return self.add("ReLU", name=name, max_value=6.0, negative_slope=0.0, threshold=0.0)
    def pad(self, p, *reads, name=None): return self.add("ZeroPadding2D", *reads, name=name, padding=p)

    def pool(self, kind, k, *reads, s=None, name=None, **c):
        return self.add(kind + "Pooling2D", *reads, name=name, pool_size=[k, k], strides=[s or k, s or k], **c)

    def correct_pad(self, k, *reads, name=None):
        h, w, _ = self.shapes[reads[0] if reads else self.last]
        return self.pad([[k // 2 - (1 - n % 2), k // 2] for n in (h, w)], *reads, name=name)

    # What `a + b` and `x * 2.0` between layers become.
    def plus(self, a, b):
        if self.keras == 3: return self.add("Add", a, b, _module="keras.src.ops.numpy")
        c = {"function": "__operators__.add"}
        return self.add("TFOpLambda", a, *([] if isinstance(b, float) else [b]), name=self.operator("__operators__.add"),
                        **c, **({"_y": b} if isinstance(b, float) else {}))

    def times(self, a, b):
        if self.keras == 3: return self.add("Multiply", a, b, _module="keras.src.ops.numpy")
        return self.add("TFOpLambda", a, name=self.operator("math.multiply"), function="math.multiply", _y=b)

    def operator(self, base):
        n = self.used[base] = self.used.get(base, -1) + 1
        return "tf.%s%s" % (base, "_%d" % n if n else "")

    def top(self, name="predictions", pool="avg_pool", **c):
        self.add("GlobalAveragePooling2D", name=pool)
        return self.add("Dense", name=name, units=5, activation="softmax", **c)

    # Other names for all layers, once they are made.
    def rename(self, f):
        self.layers = [(f(n), cls, c, [f(r) if isinstance(r, str) else r for r in reads])
                       for n, cls, c, reads in self.layers]
        return self

    def net(self, name): return {"shape": list(self.shape), "layers": self.layers, "name": name}
