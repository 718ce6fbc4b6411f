/*
** png.c - pictures out: 8-bit RGB PNG with text chunks.  Of the five filters
** a row takes the one whose bytes have the least sum of magnitudes, the
** choice that the PNG specification recommends.
*/
#include <stdlib.h>
#include <string.h>

#include "picture.h"

uint32_t lun_crc32(uint32_t crc, const uint8_t *bytes, size_t n) {
  uint32_t table[16]; /* four bits a step: small enough to build each time */
  for (uint32_t i = 0; i < 16; i++) {
    uint32_t c = i;
    for (int k = 0; k < 4; k++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
    table[i] = c;
  }
  crc = ~crc;
  for (size_t i = 0; i < n; i++) {
    crc ^= bytes[i];
    crc = table[crc & 15] ^ crc >> 4;
    crc = table[crc & 15] ^ crc >> 4;
  }
  return ~crc;
}

/* ---- filters ------------------------------------------------------------ */

/* The neighbour (left a, up b, upper left c) nearest to a + b - c. */
static int paeth(int a, int b, int c) {
  int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/* Filters a row of n bytes; `up` is the row above, NULL for the first.
** Returns the sum of magnitudes. */
static long filter_row(uint8_t *out, const uint8_t *row, const uint8_t *up,
                       int n, int kind) {
  long sum = 0;
  for (int i = 0; i < n; i++) {
    int a = i >= 3 ? row[i - 3] : 0;
    int b = up ? up[i] : 0;
    int c = up && i >= 3 ? up[i - 3] : 0;
    int guess = kind == 0   ? 0
                : kind == 1 ? a
                : kind == 2 ? b
                : kind == 3 ? (a + b) / 2
                            : paeth(a, b, c);
    out[i] = (uint8_t)(row[i] - guess);
    sum += out[i] < 128 ? out[i] : 256 - out[i];
  }
  return sum;
}

/* All rows with the best filter each; `room` holds one more row. */
static void filter_image(uint8_t *out, uint8_t *room, const lun_image *im) {
  int n = 3 * im->width;
  for (int y = 0; y < im->height; y++, out += n + 1) {
    const uint8_t *row = im->px + (size_t)y * (size_t)n;
    const uint8_t *up = y ? row - n : NULL;
    long best = -1;
    for (int kind = 0; kind < 5; kind++) {
      long sum = filter_row(room, row, up, n, kind);
      if (best >= 0 && sum >= best) continue;
      best = sum;
      out[0] = (uint8_t)kind;
      memcpy(out + 1, room, (size_t)n);
    }
  }
}

/* ---- chunks ------------------------------------------------------------- */

static uint8_t *put32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24);
  p[1] = (uint8_t)(v >> 16);
  p[2] = (uint8_t)(v >> 8);
  p[3] = (uint8_t)v;
  return p + 4;
}

enum { FRAME = 12 }; /* length, type, checksum of a chunk */

/* A chunk of up to three parts; NULL parts have no bytes. */
static uint8_t *put_chunk(uint8_t *p, const char *type, const void *const *part,
                          const size_t *n, int parts) {
  uint8_t *begin = p + 4;
  size_t all = 0;
  for (int i = 0; i < parts; i++) all += n[i];
  p = put32(p, (uint32_t)all);
  memcpy(p, type, 4);
  p += 4;
  for (int i = 0; i < parts; i++) {
    if (n[i]) memcpy(p, part[i], n[i]);
    p += n[i];
  }
  return put32(p, lun_crc32(0, begin, all + 4));
}

static int is_ascii(const char *s) {
  while (*s && (unsigned char)*s < 128) s++;
  return !*s;
}

enum { KEYWORD = 79 }; /* longest keyword that PNG allows */

static size_t keyword_length(const char *key) {
  size_t n = strlen(key);
  return n < KEYWORD ? n : KEYWORD;
}

/* keyword 0 text, or iTXt: keyword 0 0 0 0 0 text (not packed, no language,
** no translated keyword). */
static uint8_t *put_text(uint8_t *p, const char *key, const char *value) {
  static const char zeros[5] = {0};
  int plain = is_ascii(value);
  const void *part[3] = {key, zeros, value};
  const size_t n[3] = {keyword_length(key), plain ? 1 : 5, strlen(value)};
  return put_chunk(p, plain ? "tEXt" : "iTXt", part, n, 3);
}

static size_t meta_room(const char *const *meta) {
  size_t room = 0;
  for (; meta && meta[0] && meta[1]; meta += 2)
    room += FRAME + KEYWORD + 5 + strlen(meta[1]);
  return room;
}

static uint8_t *put_header(uint8_t *p, const lun_image *im) {
  uint8_t header[13] = {0};
  const void *part[1] = {header};
  const size_t n[1] = {sizeof header};
  put32(put32(header, (uint32_t)im->width), (uint32_t)im->height);
  header[8] = 8; /* bits */
  header[9] = 2; /* RGB */
  memcpy(p, "\x89PNG\r\n\x1a\n", 8);
  return put_chunk(p + 8, "IHDR", part, n, 1);
}

/* The filtered and packed rows. */
static int pack_rows(uint8_t **out, size_t *n, const lun_image *im,
                     lun_err *err) {
  size_t row = 3 * (size_t)im->width + 1, all = row * (size_t)im->height;
  uint8_t *rows = lun_malloc(all + row);
  int st;
  *out = NULL;
  if (!rows)
    return lun_fail(err, LUN_ENOMEM, "no memory to write a picture of %d x %d",
                    im->width, im->height);
  filter_image(rows, rows + all, im);
  st = lun_zlib_pack(out, n, rows, all, err);
  lun_free(rows);
  return st;
}

int lun_png_encode(uint8_t **out, size_t *outlen, const lun_image *im,
                   const char *const *meta, lun_err *err) {
  uint8_t *packed, *p;
  size_t n = 0;
  *out = NULL;
  *outlen = 0;
  LUN_TRY(pack_rows(&packed, &n, im, err));
  p = *out = lun_malloc(8 + FRAME + 13 + meta_room(meta) + FRAME + n + FRAME);
  if (!p) {
    lun_free(packed);
    return lun_fail(err, LUN_ENOMEM, "no memory to write a picture");
  }
  p = put_header(p, im);
  for (; meta && meta[0] && meta[1]; meta += 2)
    p = put_text(p, meta[0], meta[1]);
  p = put_chunk(p, "IDAT", (const void *const[]){packed}, &n, 1);
  p = put_chunk(p, "IEND", NULL, NULL, 0);
  *outlen = (size_t)(p - *out);
  lun_free(packed);
  return LUN_OK;
}
