/*
** write.c - pictures out, in memory: the only includer of stb_image_write.
** zlib packs its PNG files (stb's own packer makes them half as large again);
** texts are spliced in after the header.
*/
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "../output.h"
#include "picture.h"
#include "sink.h"
#include "stb.h"

/* ---- packing for PNG ---------------------------------------------------- */

/* What stb holds packed: it forgets to free that when it finds no memory for
** the file. */
static _Thread_local uint8_t *packed;

static void stb_give(void *p) {
  if (p == packed) packed = NULL;
  lun_free(p);
}

/* stb's interface: a zlib stream that stb_give takes back; NULL: no memory. */
static unsigned char *pack(unsigned char *in, int n, int *outlen, int level) {
  uLong room = compressBound((uLong)n);
  uint8_t *out = lun_malloc(room);
  size_t size = out ? lun_zlib_pack(out, room, in, (size_t)n, level) : 0;
  *outlen = (int)size;
  if (size) return packed = out;
  lun_free(out);
  return NULL;
}

/* ---- the encoders ------------------------------------------------------- */

enum { ZLIB_LEVEL = 6, JPEG_QUALITY = 95 }; /* over 90: colours at full size */

#define STBIW_MALLOC(n)              lun_malloc(n)
#define STBIW_FREE(p)                stb_give(p)
#define STBIW_REALLOC_SIZED(p, o, n) NULL /* for stb's own packer alone */
#define STBIW_ZLIB_COMPRESS          pack
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
STB_FILE
STB_BEGIN
#include <stb/stb_image_write.h>
STB_END

/* ---- text chunks of PNG ------------------------------------------------- */

enum {
  HEADER = 8 + 12 + 13, /* signature and IHDR; the next chunk begins here */
  FRAME = 12,           /* length, type, checksum of a chunk */
  KEYWORD = 79,         /* longest keyword that PNG allows */
};

static uint8_t *put32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24);
  p[1] = (uint8_t)(v >> 16);
  p[2] = (uint8_t)(v >> 8);
  p[3] = (uint8_t)v;
  return p + 4;
}

static int is_ascii(const char *s) {
  while (*s && (unsigned char)*s < 128) s++;
  return !*s;
}

/* tEXt: keyword 0 text; iTXt: keyword 0 0 0 0 0 text (not packed, no
** language, no translated keyword). */
static uint8_t *put_text(uint8_t *p, const char *key, const char *value) {
  uint8_t *length = p, *type = p + 4;
  size_t k = strnlen(key, KEYWORD), n = strlen(value);
  size_t zeros = is_ascii(value) ? 1 : 5;
  memcpy(type, zeros == 1 ? "tEXt" : "iTXt", 4);
  p = type + 4;
  memcpy(p, key, k);
  memset(p + k, 0, zeros);
  memcpy(p + k + zeros, value, n);
  p += k + zeros + n;
  put32(length, (uint32_t)(k + zeros + n));
  return put32(p, (uint32_t)crc32(0, type, (uInt)(p - type)));
}

static size_t texts_room(const char *const *meta) {
  size_t room = 0;
  for (; meta && meta[0] && meta[1]; meta += 2)
    room += FRAME + KEYWORD + 5 + strlen(meta[1]);
  return room;
}

/* ---- formats ------------------------------------------------------------ */

/* What a writer of stb calls with its bytes. */
static void append(void *ctx, void *bytes, int n) {
  lun_sink_put(ctx, bytes, (size_t)n);
}

static int png(lun_sink *s, const lun_image *im, const char *const *meta) {
  uint8_t *file, *p;
  int n = 0;
  stbi_write_png_compression_level = ZLIB_LEVEL;
  file = stbi_write_png_to_mem(im->px, 3 * im->width, im->width, im->height, 3,
                               &n);
  stb_give(packed);
  p = s->bytes = file ? lun_malloc((size_t)n + texts_room(meta)) : NULL;
  if (p) {
    memcpy(p, file, HEADER);
    p += HEADER;
    for (; meta && meta[0] && meta[1]; meta += 2)
      p = put_text(p, meta[0], meta[1]);
    memcpy(p, file + HEADER, (size_t)n - HEADER);
    s->used = (size_t)(p - s->bytes) + (size_t)n - HEADER;
  }
  lun_free(file);
  return s->bytes != NULL;
}

static int jpeg(lun_sink *s, const lun_image *im, const char *const *meta) {
  (void)meta;
  *s = lun_sink_new(4096);
  return stbi_write_jpg_to_func(append, s, im->width, im->height, 3, im->px,
                                JPEG_QUALITY) &&
         s->bytes;
}

static int bmp(lun_sink *s, const lun_image *im, const char *const *meta) {
  (void)meta;
  *s = lun_sink_new(64 + (size_t)im->height * ((size_t)im->width * 3 + 3));
  return stbi_write_bmp_to_func(append, s, im->width, im->height, 3, im->px) &&
         s->bytes;
}

static const struct {
  const char *suffix;
  int (*write)(lun_sink *s, const lun_image *im, const char *const *meta);
} formats[] = {{"png", png}, {"jpg", jpeg}, {"jpeg", jpeg}, {"bmp", bmp}};

int lun_image_encode(uint8_t **out, size_t *outlen, const lun_image *im,
                     const char *format, const char *const *meta,
                     lun_err *err) {
  lun_sink s = {NULL, 0, 0};
  *out = NULL;
  *outlen = 0;
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    if (strcasecmp(format, formats[i].suffix) != 0) continue;
    if (!formats[i].write(&s, im, meta)) {
      lun_free(s.bytes);
      return lun_fail(err, LUN_ENOMEM,
                      "no memory to write a picture of %d x %d", im->width,
                      im->height);
    }
    *out = s.bytes;
    *outlen = s.used;
    return LUN_OK;
  }
  return lun_fail(err, LUN_EARG,
                  "pictures are written as png, jpg, jpeg or bmp, not '%.20s'",
                  format);
}

int lun_image_save(const lun_image *im, const char *path,
                   const char *const *meta, lun_err *err) {
  const char *dot = strrchr(path, '.');
  const char *format = dot && !strchr(dot, '/') ? dot + 1 : "";
  uint8_t *bytes;
  size_t n;
  lun_output *out;
  int status;
  LUN_TRY(lun_image_encode(&bytes, &n, im, format, meta, err));
  status = lun_output_open(&out, path, 0, err);
  if (status == LUN_OK) {
    lun_output_put(out, bytes, n);
    status = lun_output_commit(&out, 1, err);
  }
  lun_output_free(out);
  lun_free(bytes);
  return status;
}
