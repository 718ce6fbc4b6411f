# The networks of keras.applications in their own shape, narrow and with few repeats: classes, names, order, paddings
# and attributes are those that Keras' functions give. networks(keras) has them as Keras 2 or 3 would save them,
# in the form that write.py wants: { shape, layers, kind }.
from .convnext import convnext
from .densenet import densenet
from .efficientnet import efficientnet, efficientnet_v2
from .inception import inception_v3, inception_resnet_v2
from .mobilenet import ALL, mobilenet, mobilenet_v2, mobilenet_v3
from .nasnet import nasnet
from .resnet import resnet
from .xception import xception


# Whole depth, a sixteenth as wide, in files of weights alone.
def unsaid(keras):
    narrow = {"first": 4, "filters": (4, 8, 16, 32)}
    nets = {
        "resnet50": resnet(keras, False, units=(3, 4, 6, 3), **narrow),
        "resnet50_v2": resnet(keras, True, units=(3, 4, 6, 3), **narrow),
        "densenet121": densenet(keras, 4, (8, 2), (6, 12, 24, 16)),
        "densenet169": densenet(keras, 4, (8, 2), (6, 12, 32, 32), "/", "fc1000"),
        "xception": xception(keras, range(5, 13)), "inception_v3": inception_v3(keras, True),
        "mobilenet_v2": mobilenet_v2(keras, ALL), "efficientnet_b0": efficientnet(keras, (1, 2, 2, 3, 3, 4, 1)),
        "mobilenet_v3_large": mobilenet_v3(keras, True, whole=True),
        "mobilenet_v3_small": mobilenet_v3(keras, False, whole=True, old=True),
        "nasnet_mobile": nasnet(keras, 4), "nasnet_large": nasnet(keras, 6, True),
        "inception_resnet_v2": inception_resnet_v2(keras, (10, 20, 9)),
        "mobilenet_v3_large_minimalistic": mobilenet_v3(keras, True, True, whole=True),
        "mobilenet_v3_small_minimalistic": mobilenet_v3(keras, False, True, whole=True),
        "efficientnet_b1": efficientnet(keras, (2, 3, 3, 4, 4, 5, 2)),
        "efficientnet_b4": efficientnet(keras, (2, 4, 4, 6, 6, 8, 2)),
        "efficientnet_v2_b0": efficientnet_v2(keras, True, (1, 2, 2, 3, 5, 8)),
        "efficientnet_v2_b3": efficientnet_v2(keras, True, (2, 3, 3, 5, 7, 12)),
        "efficientnet_v2_s": efficientnet_v2(keras, False, (2, 4, 4, 6, 9, 15)),
        "convnext_tiny": convnext(keras, "tiny", [3, 3, 9, 3]), "convnext_base": convnext(keras, "base", [3, 3, 27, 3]),
    }
    if keras == 2: nets["resnet50_old"] = resnet(keras, False, units=(3, 4, 6, 3), old=True, **narrow)
    body = without_head(mobilenet_v2(keras, ALL))
    nets["xception_notop"] = without_head(xception(keras, range(5, 13)))
    nets["mobilenet_v2_head"] = {"shape": body["shape"], "layers": [
        ("base", "Model", dict(body, out=(2, 2, 20)), ["input"]), ("gap", "GlobalAveragePooling2D", {}, ["base"]),
        ("dense_4", "Dense", {"units": 6, "activation": "relu"}, ["gap"]),
        ("dense_5", "Dense", {"units": 4, "activation": "softmax"}, ["dense_4"])]}
    return {"unsaid_" + name: dict(net, unsaid=True) for name, net in nets.items()}


# include_top=False
def without_head(net): return dict(net, layers=net["layers"][:-2])


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
