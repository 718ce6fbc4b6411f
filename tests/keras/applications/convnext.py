# ConvNeXt of keras.applications.
from graph import Graph


def convnext(keras, size="tiny", depths=(1, 2, 2, 1)):
    name, dims = "convnext_" + size, [4, 6, 8, 10]
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
