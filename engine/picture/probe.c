/*
** probe.c - what the bytes of a picture say before anything is decoded: the
** format (by content: ImageNet has PNG and CMYK files named .JPEG), the size,
** whether the file is whole, and how the camera was held.
**
** The decoder fills what is missing from a truncated JPEG with grey and does
** not look at PNG checksums, so both are checked here.
*/
#include <string.h>
#include <zlib.h>

#include "picture.h"

typedef struct bytes {
  const uint8_t *p;
  size_t n;
  const char *name; /* for messages */
} bytes;

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return be16(p) << 16 | be16(p + 2); }
static uint32_t le16(const uint8_t *p) { return (uint32_t)p[1] << 8 | p[0]; }
static uint32_t le32(const uint8_t *p) { return le16(p + 2) << 16 | le16(p); }

static int bad(const bytes *b, lun_err *err, const char *why) {
  return lun_fail(err, LUN_EFORMAT, "picture '%.180s' %s", b->name, why);
}

static int truncated(const bytes *b, const lun_image_info *i, lun_err *err) {
  return lun_fail(err, LUN_EFORMAT,
                  "picture '%.180s' is truncated: a %s file that ends after "
                  "%zu bytes, before its last part",
                  b->name, i->format, b->n);
}

static int check_size(const bytes *b, const lun_image_info *i, lun_err *err) {
  if (i->width < 1 || i->height < 1)
    return bad(b, err, "has no pixels: its header says width or height 0");
  if (i->width > LUN_IMAGE_SIDE || i->height > LUN_IMAGE_SIDE)
    return lun_fail(err, LUN_EFORMAT,
                    "picture '%.180s' is %d x %d pixels; the limit is %d a "
                    "side",
                    b->name, i->width, i->height, LUN_IMAGE_SIDE);
  if ((int64_t)i->width * i->height > LUN_IMAGE_PIXELS)
    return lun_fail(err, LUN_EFORMAT,
                    "picture '%.180s' is %d x %d pixels; the limit is %d in "
                    "all",
                    b->name, i->width, i->height, LUN_IMAGE_PIXELS);
  return LUN_OK;
}

/* ---- EXIF --------------------------------------------------------------- */

/* Orientation (tag 0x0112, a short) in the first directory of a TIFF block;
** 1 when it is absent or the block makes no sense. */
static int tiff_orientation(const uint8_t *p, size_t n) {
  int big;
  uint32_t at, count;
  if (n < 8 || (memcmp(p, "MM\0*", 4) && memcmp(p, "II*\0", 4))) return 1;
  big = p[0] == 'M';
  at = big ? be32(p + 4) : le32(p + 4);
  if (at > n - 2) return 1;
  count = big ? be16(p + at) : le16(p + at);
  at += 2;
  for (uint32_t i = 0; i < count && n - at >= 12; i++, at += 12) {
    uint32_t tag = big ? be16(p + at) : le16(p + at);
    uint32_t value = big ? be16(p + at + 8) : le16(p + at + 8);
    if (tag == 0x0112) return value >= 1 && value <= 8 ? (int)value : 1;
  }
  return 1;
}

/* ---- JPEG --------------------------------------------------------------- */

enum { MAX_SCANS = 200 }; /* real files have about 10; more only cost time */

static int is_frame(int m) {
  return m >= 0xC0 && m <= 0xCF && m != 0xC4 && m != 0xC8 && m != 0xCC;
}

/* Huffman tables: the decoder believes their counts.  A table has room
** for 256 symbols. */
static int jpeg_huffman(const bytes *b, const uint8_t *p, size_t n,
                        lun_err *err) {
  while (n > 0) {
    size_t symbols = 0;
    if (n < 17) return bad(b, err, "is a damaged JPEG: Huffman table");
    for (int i = 1; i <= 16; i++) symbols += p[i];
    if (symbols > 256 || symbols + 17 > n)
      return bad(b, err, "is a damaged JPEG: Huffman table");
    p += 17 + symbols;
    n -= 17 + symbols;
  }
  return LUN_OK;
}

/* A start-of-frame segment: precision, height, width, components. */
static int jpeg_frame(const bytes *b, lun_image_info *i, int marker,
                      const uint8_t *p, size_t n, lun_err *err) {
  if (marker > 0xC2)
    return bad(b, err, "is a lossless or arithmetic JPEG, which is not read");
  if (n < 6) return bad(b, err, "has a damaged JPEG header");
  if (p[0] != 8)
    return bad(b, err, "is a JPEG of more than 8 bits, which is not read");
  i->depth = p[0];
  i->height = (int)be16(p + 1);
  i->width = (int)be16(p + 3);
  i->channels = p[5];
  i->cmyk = i->channels == 4;
  return check_size(b, i, err);
}

/* First byte behind the entropy-coded data that starts at `at`: the next
** marker that is neither stuffing nor a restart; n when there is none. */
static size_t jpeg_skip_scan(const bytes *b, size_t at) {
  for (;;) {
    const uint8_t *ff = at < b->n ? memchr(b->p + at, 0xFF, b->n - at) : NULL;
    int m;
    if (!ff || (at = (size_t)(ff - b->p) + 1) >= b->n) return b->n;
    m = b->p[at];
    if (m != 0 && m != 0xFF && (m < 0xD0 || m > 0xD7)) return at - 1;
  }
}

static void jpeg_app(lun_image_info *i, int marker, const uint8_t *p,
                     size_t n) {
  if (marker == 0xE1 && n > 6 && memcmp(p, "Exif\0", 6) == 0)
    i->orientation = tiff_orientation(p + 6, n - 6);
  if (marker == 0xEE && n >= 12 && memcmp(p, "Adobe", 5) == 0) i->adobe = 1;
}

/* Walks the segments up to the end-of-image marker. */
static int probe_jpeg(const bytes *b, lun_image_info *i, lun_err *err) {
  size_t at = 2;
  int scans = 0;
  i->format = "JPEG";
  while (at + 4 <= b->n) {
    const uint8_t *p = b->p + at;
    size_t length;
    if (p[0] != 0xFF)
      return bad(b, err,
                 "is a damaged JPEG: no marker where "
                 "one is due");
    if (p[1] == 0xFF) { /* filling */
      at++;
      continue;
    }
    if (p[1] == 0xD9) break;
    if (p[1] == 0x01 || (p[1] >= 0xD0 && p[1] <= 0xD7)) {
      at += 2; /* markers without a segment */
      continue;
    }
    length = be16(p + 2);
    if (length < 2)
      return bad(b, err,
                 "is a damaged JPEG: a segment of "
                 "length 0");
    if (length + 2 > b->n - at) return truncated(b, i, err);
    if (is_frame(p[1])) LUN_TRY(jpeg_frame(b, i, p[1], p + 4, length - 2, err));
    if (p[1] == 0xC4) LUN_TRY(jpeg_huffman(b, p + 4, length - 2, err));
    jpeg_app(i, p[1], p + 4, length - 2);
    at += length + 2;
    if (p[1] == 0xDA) {
      if (++scans > MAX_SCANS)
        return bad(b, err, "is a JPEG of too many scans");
      at = jpeg_skip_scan(b, at);
    }
  }
  if (at + 2 > b->n || b->p[at] != 0xFF || b->p[at + 1] != 0xD9)
    return truncated(b, i, err);
  if (!i->width || !scans) return bad(b, err, "is a JPEG without a picture");
  return LUN_OK;
}

/* ---- PNG ---------------------------------------------------------------- */

static int png_header(const bytes *b, lun_image_info *i, const uint8_t *p,
                      lun_err *err) {
  static const int channels[7] = {1, 0, 3, 3, 2, 0, 4}; /* by colour type */
  uint32_t width = be32(p), height = be32(p + 4);
  i->width = width > INT32_MAX ? INT32_MAX : (int)width;
  i->height = height > INT32_MAX ? INT32_MAX : (int)height;
  i->depth = p[8];
  if (p[9] > 6 || !channels[p[9]])
    return bad(b, err, "is a PNG of an unknown colour type");
  i->channels = channels[p[9]];
  i->alpha = p[9] == 4 || p[9] == 6;
  return check_size(b, i, err);
}

/* One chunk: `p` is its data.  Critical chunks must match their checksum. */
static int png_chunk(const bytes *b, lun_image_info *i, const uint8_t *p,
                     size_t length, lun_err *err) {
  const uint8_t *type = p - 4;
  if (memcmp(type, "tRNS", 4) == 0) i->alpha = 1;
  if (memcmp(type, "eXIf", 4) == 0)
    i->orientation = tiff_orientation(p, length);
  if ((type[0] & 32) == 0 &&
      crc32(0, type, (uInt)length + 4) != be32(p + length))
    return lun_fail(err, LUN_EFORMAT,
                    "picture '%.180s' is a damaged PNG: the checksum of chunk "
                    "'%c%c%c%c' does not match",
                    b->name, type[0] & 127, type[1] & 127, type[2] & 127,
                    type[3] & 127);
  return LUN_OK;
}

static int probe_png(const bytes *b, lun_image_info *i, lun_err *err) {
  size_t at = 8;
  int pixels = 0;
  i->format = "PNG";
  if (b->n < 8 + 8 + 13) return truncated(b, i, err);
  if (be32(b->p + 8) != 13 || memcmp(b->p + 12, "IHDR", 4))
    return bad(b, err, "is a damaged PNG: it does not begin with IHDR");
  LUN_TRY(png_header(b, i, b->p + 16, err)); /* before any other complaint */
  for (;;) {
    size_t length;
    if (b->n - at < 12) return truncated(b, i, err);
    length = be32(b->p + at);
    if (length > b->n - at - 12) return truncated(b, i, err);
    LUN_TRY(png_chunk(b, i, b->p + at + 8, length, err));
    if (memcmp(b->p + at + 4, "IDAT", 4) == 0) pixels = 1;
    if (memcmp(b->p + at + 4, "IEND", 4) == 0) break;
    at += length + 12;
  }
  return pixels ? LUN_OK : bad(b, err, "is a PNG without a picture");
}

/* ---- BMP ---------------------------------------------------------------- */

static int probe_bmp(const bytes *b, lun_image_info *i, lun_err *err) {
  uint32_t offset, header, packing = 0;
  int64_t width, height, stride;
  i->format = "BMP";
  if (b->n < 26) return truncated(b, i, err);
  offset = le32(b->p + 10);
  header = le32(b->p + 14);
  if (header != 12 && header < 40)
    return bad(b, err, "is a BMP with an unknown header");
  if (header >= 40 && b->n < 54) return truncated(b, i, err);
  width = header == 12 ? (int32_t)le16(b->p + 18) : (int32_t)le32(b->p + 18);
  height = header == 12 ? (int32_t)le16(b->p + 20) : (int32_t)le32(b->p + 22);
  i->depth = (int)le16(b->p + (header == 12 ? 24 : 28));
  if (header >= 40) packing = le32(b->p + 30);
  if (height < 0) height = -height; /* rows from the top */
  i->width = width < 0 || width > INT32_MAX ? 0 : (int)width;
  i->height = height > INT32_MAX ? INT32_MAX : (int)height;
  i->channels = i->depth == 32 ? 4 : 3;
  i->alpha = i->depth == 32;
  LUN_TRY(check_size(b, i, err));
  if (packing != 0 && packing != 3)
    return bad(b, err, "is a compressed BMP, which is not read");
  stride = (width * i->depth + 31) / 32 * 4;
  if ((int64_t)offset + stride * height > (int64_t)b->n)
    return truncated(b, i, err);
  return LUN_OK;
}

/* ---- which format ------------------------------------------------------- */

/* Formats that people have and we do not read: say so by name. */
static const char *foreign(const bytes *b) {
  static const struct {
    size_t at, n;
    const char *magic, *name;
  } known[] = {
      {0, 4, "GIF8", "a GIF"},
      {8, 4, "WEBP", "a WebP picture"},
      {0, 4, "II*\0", "a TIFF"},
      {0, 4, "MM\0*", "a TIFF"},
      {4, 8, "ftypheic", "a HEIC picture"},
      {4, 8, "ftypavif", "an AVIF picture"},
      {0, 5, "%PDF-", "a PDF"},
      {0, 4, "8BPS", "a Photoshop file"},
      {0, 4, "PK\3\4", "a zip archive"},
      {0, 6, "\x93NUMPY", "a NumPy array"},
  };
  for (size_t k = 0; k < sizeof known / sizeof *known; k++)
    if (b->n >= known[k].at + known[k].n &&
        memcmp(b->p + known[k].at, known[k].magic, known[k].n) == 0)
      return known[k].name;
  return NULL;
}

/* The first bytes that can be printed, for the message. */
static int not_a_picture(const bytes *b, lun_err *err) {
  char start[17];
  const char *name = foreign(b);
  size_t n = 0;
  while (n < 16 && n < b->n && b->p[n] >= 32 && b->p[n] < 127) {
    start[n] = (char)b->p[n];
    n++;
  }
  start[n] = '\0';
  if (name)
    return lun_fail(err, LUN_EFORMAT,
                    "'%.180s' is %s; pictures must be JPEG, PNG or BMP",
                    b->name, name);
  return lun_fail(
      err, LUN_EFORMAT,
      "'%.180s' is not a picture: JPEG, PNG or BMP expected, %s%s%s", b->name,
      n ? "it starts with \"" : "its first bytes are none", start,
      n ? "\"" : " of these");
}

int lun_image_probe(lun_image_info *info, const uint8_t *p, size_t n,
                    const char *name, lun_err *err) {
  bytes b = {p, n, name};
  memset(info, 0, sizeof *info);
  info->orientation = 1;
  if (n == 0) return bad(&b, err, "is empty (0 bytes)");
  if (n > LUN_IMAGE_BYTES)
    return lun_fail(err, LUN_EFORMAT,
                    "picture '%.180s' has %zu bytes; the limit is %d", name, n,
                    LUN_IMAGE_BYTES);
  if (n >= 3 && memcmp(p, "\xFF\xD8\xFF", 3) == 0)
    return probe_jpeg(&b, info, err);
  if (n >= 8 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0)
    return probe_png(&b, info, err);
  if (n >= 2 && memcmp(p, "BM", 2) == 0 && n >= 18)
    return probe_bmp(&b, info, err);
  /* the first bytes of a whole file, and no more */
  if (n < 8 && (memcmp(p, "\x89PNG\r\n\x1a\n", n) == 0 ||
                memcmp(p, "\xFF\xD8\xFF", n < 3 ? n : 3) == 0)) {
    info->format = p[0] == 0x89 ? "PNG" : "JPEG";
    return truncated(&b, info, err);
  }
  return not_a_picture(&b, err);
}
