#!/usr/bin/python3
"""Writes tests/c/pictures.h: small pictures made by Pillow and what Pillow
reads back from them, and checksums of its resized pictures.
Made with Pillow 9.4.0.  Usage: python3 tests/data/pictures.py > tests/c/pictures.h"""
import io
import zlib

import numpy as np
from PIL import Image


def pattern(w, h, c=3):
    """Byte i of a fixed sequence that C makes too (see test_resize.c)."""
    state, out = 12345, []
    for _ in range(w * h * c):
        state = (state * 1103515245 + 12345) & 0xFFFFFFFF
        out.append(state >> 24)
    a = np.array(out, np.uint8).reshape(h, w, c)
    return a[:, :, 0] if c == 1 else a


def smooth(w, h):
    y, x = np.mgrid[0:h, 0:w]
    return np.stack([x * 255 // (w - 1), y * 255 // (h - 1), 128 + 0 * x], 2).astype(np.uint8)


def bytes_of(im, kind, **options):
    out = io.BytesIO()
    im.save(out, kind, **options)
    return out.getvalue()


def array(name, data):
    print(f"static const uint8_t {name}[{len(data)}] = {{")
    for i in range(0, len(data), 16):
        print("    " + " ".join(f"{b}," for b in data[i:i + 16]))
    print("};")


def strip_adobe(data):
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2:at + 4], "big"):]


def picture(name, data):
    array(name, data)
    want = Image.open(io.BytesIO(data)).convert("RGB")
    array(name + "_rgb", want.tobytes())


print("/* Made by tests/data/pictures.py with Pillow 9.4.0; do not edit. */")
print("/* clang-format off */")
rgb = Image.fromarray(smooth(9, 7))
picture("jpeg", bytes_of(rgb, "JPEG", quality=90, optimize=True))
picture("jpeg_progressive", bytes_of(rgb, "JPEG", quality=90, progressive=True))
picture("jpeg_grey", bytes_of(rgb.convert("L"), "JPEG", quality=90, optimize=True))
cmyk = bytes_of(rgb.convert("CMYK"), "JPEG", quality=95, optimize=True)
picture("jpeg_cmyk", cmyk)
array("jpeg_cmyk_bare", strip_adobe(cmyk))
exif = Image.Exif()
exif[0x0112] = 6
array("jpeg_turned", bytes_of(rgb, "JPEG", quality=50, optimize=True, exif=exif))
picture("png", bytes_of(Image.fromarray(pattern(5, 4)), "PNG"))
picture("png_grey", bytes_of(Image.fromarray(pattern(5, 4, 1)), "PNG"))
picture("png_palette", bytes_of(rgb.quantize(8), "PNG"))
picture("bmp", bytes_of(Image.fromarray(pattern(5, 4)), "BMP"))
rgba = Image.fromarray(pattern(5, 4, 4), "RGBA")
data = bytes_of(rgba, "PNG")
array("png_alpha", data)
a = np.asarray(rgba).astype(int)
white = (a[:, :, :3] * a[:, :, 3:] + 255 * (255 - a[:, :, 3:]) + 127) // 255
array("png_alpha_rgb", white.astype(np.uint8).tobytes())
deep = pattern(4, 3, 2).astype(np.uint16)
deep = deep[:, :, 0] * 256 + deep[:, :, 1]
data = bytes_of(Image.fromarray(deep), "PNG")
array("png_deep", data)
array("png_deep_rgb", np.repeat((deep >> 8).astype(np.uint8), 3).tobytes())

names = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
print("static const struct golden {\n  const char *filter;\n  int w, h, to_w, to_h;")
print("  uint32_t crc; /* of the resized bytes */\n} golden[] = {")
for w, h in [(7, 5), (40, 31), (1, 1), (3, 100)]:
    im = Image.fromarray(pattern(w, h))
    for tw, th in [(3, 4), (11, 9), (7, 2), (1, 1), (16, 5), (64, 64)]:
        for name in names:
            out = im.resize((tw, th), getattr(Image.Resampling, name.upper()))
            print(f'    {{"{name}", {w}, {h}, {tw}, {th}, 0x{zlib.crc32(out.tobytes()):08x}}},')
print("};")
im = Image.fromarray(pattern(40, 31))
out = im.resize((13, 10), Image.Resampling.BICUBIC, box=(3.5, 2.25, 30.75, 29))
print(f"static const uint32_t boxed_crc = 0x{zlib.crc32(out.tobytes()):08x};")
f = Image.fromarray(pattern(7, 5)[:, :, 0].astype(np.float32))
out = np.asarray(f.resize((4, 9), Image.Resampling.BILINEAR))
print("static const float float_golden[36] = {")
for row in out:
    print("    " + " ".join(f"{v:.9g}{'' if '.' in f'{v:.9g}' else '.0'}f," for v in row))
print("};")
