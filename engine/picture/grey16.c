/*
** grey16.c - a map's values as a PNG file of 16-bit grey: value v is the number
** round(65535 (v - lo) / (hi - lo)), so that it comes back to within
** (hi - lo) / 131070; a NaN is 0. Every row is filtered by the predictor that leaves the
** smallest numbers, as PNG's authors advise; smooth maps then pack to a third.
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../core.h"
#include "picture.h"
#include "sink.h"

enum {
  FILTERS = 5,                             /* none, sub, up, average, Paeth */
  PIXEL = 2,                               /* bytes, the higher one first */
  LEVEL = 6,                               /* of zlib */
  CHUNK = 12,                              /* length, type, checksum */
  AROUND = 8 + CHUNK + 13 + CHUNK + CHUNK, /* the file without its data */
};

/* ---- rows --------------------------------------------------------------- */

static void numbers(uint8_t *row, const float *v, int width, double lo,
                    double hi) {
  double times = hi > lo ? 65535 / (hi - lo) : 0;
  for (int x = 0; x < width; x++) {
    double q = floor(((double)v[x] - lo) * times + 0.5);
    uint16_t n = (uint16_t)(q > 65535 ? 65535 : q > 0 ? q : 0);
    row[PIXEL * x] = (uint8_t)(n >> 8);
    row[PIXEL * x + 1] = (uint8_t)n;
  }
}

/* Of left, above and above left the one that is nearest to a + b - c. */
static uint8_t paeth(int a, int b, int c) {
  int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
  if (pa <= pb && pa <= pc) return (uint8_t)a;
  return (uint8_t)(pb <= pc ? b : c);
}

static uint8_t predicted(int filter, int a, int b, int c) {
  switch (filter) {
    case 1:
      return (uint8_t)a;
    case 2:
      return (uint8_t)b;
    case 3:
      return (uint8_t)((a + b) / 2);
    case 4:
      return paeth(a, b, c);
    default:
      return 0;
  }
}

/* What a filter leaves of a row, and the sum of what it leaves. */
static long filtered(uint8_t *out, int filter, const uint8_t *row,
                     const uint8_t *above, size_t n) {
  long sum = 0;
  *out++ = (uint8_t)filter;
  for (size_t i = 0; i < n; i++) {
    int a = i < PIXEL ? 0 : row[i - PIXEL],
        c = i < PIXEL ? 0 : above[i - PIXEL];
    out[i] = (uint8_t)(row[i] - predicted(filter, a, above[i], c));
    sum += out[i] < 128 ? out[i] : 256 - out[i];
  }
  return sum;
}

/* All rows, filtered. rows: two of them, the last ones; tries: one. */
static void filter_all(uint8_t *out, uint8_t *rows, uint8_t *tries,
                       const float *map, int width, int height, double lo,
                       double hi) {
  size_t n = (size_t)width * PIXEL;
  memset(rows, 0, 2 * n);
  for (int y = 0; y < height; y++, out += n + 1) {
    uint8_t *row = rows + (y & 1) * n, *above = rows + (~y & 1) * n;
    long least;
    numbers(row, map + (size_t)y * (size_t)width, width, lo, hi);
    least = filtered(out, 0, row, above, n);
    for (int f = 1; f < FILTERS; f++) {
      long sum = filtered(tries, f, row, above, n);
      if (sum < least) memcpy(out, tries, n + 1);
      if (sum < least) least = sum;
    }
  }
}

/* ---- the file ----------------------------------------------------------- */

static uint8_t *put32(uint8_t *p, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) *p++ = (uint8_t)(v >> shift);
  return p;
}

/* A chunk whose n bytes of data stand already where they belong. */
static uint8_t *chunk(uint8_t *p, const char *type, size_t n) {
  put32(p, (uint32_t)n);
  memcpy(p + 4, type, 4);
  return put32(p + 8 + n, (uint32_t)crc32(0, p + 4, (uInt)(n + 4)));
}

static size_t write_file(uint8_t *file, int width, int height, size_t packed) {
  uint8_t *p = file;
  memcpy(p, "\x89PNG\r\n\x1A\n", 8);
  p = put32(p + 16, (uint32_t)width);
  p = put32(p, (uint32_t)height);
  memcpy(p, "\x10\0\0\0", 5); /* 16 bits, grey */
  p = chunk(file + 8, "IHDR", 13);
  p = chunk(p, "IDAT", packed);
  p = chunk(p, "IEND", 0);
  return (size_t)(p - file);
}

int lun_grey16_encode(uint8_t **out, size_t *outlen, const float *map,
                      int width, int height, double lo, double hi,
                      lun_err *err) {
  size_t row = (size_t)width * PIXEL, n = (row + 1) * (size_t)height;
  size_t room = compressBound((uLong)n), packed = 0;
  uint8_t *work = lun_malloc(n + 3 * row + 1);
  *out = lun_malloc(room + AROUND);
  *outlen = 0;
  if (work && *out) {
    filter_all(work, work + n, work + n + 2 * row, map, width, height, lo, hi);
    packed = lun_zlib_pack(*out + 8 + CHUNK + 13 + 8, room, work, n, LEVEL);
  }
  lun_free(work);
  if (!packed) {
    lun_free(*out);
    *out = NULL;
    return lun_fail(err, LUN_ENOMEM, "no memory to write a map of %d x %d",
                    width, height);
  }
  *outlen = write_file(*out, width, height, packed);
  return LUN_OK;
}
