/*
** jpeg.c - see jpeg.h.  The formulas are those of the JPEG standard; how they are
** rounded is libjpeg's, since what trains networks decodes by it.
*/
#include "jpeg.h"

#include <string.h>

static uint8_t clamp(int32_t x) {
  return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

/* ---- the inverse transform ---------------------------------------------- */

enum { BITS = 13, KEPT = 2 }; /* of constants; kept between the passes */

/* round(x * 2^13).  Unsigned: a damaged file's sums wrap. */
#define FIX(x) ((uint32_t)(int32_t)((x)*8192 + ((x) < 0 ? -0.5 : 0.5)))

/* Loeffler, Ligtenberg and Moschytz 1989: eight values that lie `step` apart,
** the sums in `even` and `odd` (out[i] = even[i] + odd[i], out[7 - i] = even[i]
** - odd[i]). */
static void transform(const int32_t *in, int step, uint32_t even[4],
                      uint32_t odd[4]) {
  uint32_t v[8], a, b, c, d, e, low, high;
  for (int i = 0; i < 8; i++) v[i] = (uint32_t)in[i * step];
  a = (v[2] + v[6]) * FIX(0.541196100);
  low = a + v[6] * FIX(-1.847759065);
  high = a + v[2] * FIX(0.765366865);
  a = (v[0] + v[4]) << BITS;
  b = (v[0] - v[4]) << BITS;
  even[0] = a + high, even[3] = a - high;
  even[1] = b + low, even[2] = b - low;
  e = (v[7] + v[3] + v[5] + v[1]) * FIX(1.175875602);
  a = (v[7] + v[1]) * FIX(-0.899976223);
  b = (v[5] + v[3]) * FIX(-2.562915447);
  c = (v[7] + v[3]) * FIX(-1.961570560) + e;
  d = (v[5] + v[1]) * FIX(-0.390180644) + e;
  odd[3] = v[7] * FIX(0.298631336) + a + c;
  odd[2] = v[5] * FIX(2.053119869) + b + d;
  odd[1] = v[3] * FIX(3.072711026) + b + c;
  odd[0] = v[1] * FIX(1.501321110) + a + d;
}

static int32_t rounded(uint32_t x, int bits) {
  return (int32_t)(x + (1U << (bits - 1))) >> bits;
}

/* Are the coefficients 0 but for the first, as in smooth places? */
static int only_mean(const int16_t coef[64]) {
  int16_t any = 0;
  for (int i = 1; i < 64; i++) any |= coef[i];
  return any == 0;
}

void lun_jpeg_block(uint8_t *out, int stride, const int16_t coef[64]) {
  int32_t in[64], mid[64];
  uint32_t even[4], odd[4];
  if (only_mean(coef)) {
    uint8_t mean = clamp(((coef[0] + 4) >> 3) + 128);
    for (int y = 0; y < 8; y++) memset(out + y * stride, mean, 8);
    return;
  }
  for (int i = 0; i < 64; i++) in[i] = coef[i];
  for (int x = 0; x < 8; x++) { /* columns */
    transform(in + x, 8, even, odd);
    for (int i = 0; i < 4; i++) {
      mid[i * 8 + x] = rounded(even[i] + odd[i], BITS - KEPT);
      mid[(7 - i) * 8 + x] = rounded(even[i] - odd[i], BITS - KEPT);
    }
  }
  for (int y = 0; y < 8; y++, out += stride) { /* rows, each a factor of 8 */
    transform(mid + y * 8, 1, even, odd);
    for (int i = 0; i < 4; i++) {
      out[i] = clamp(rounded(even[i] + odd[i], BITS + KEPT + 3) + 128);
      out[7 - i] = clamp(rounded(even[i] - odd[i], BITS + KEPT + 3) + 128);
    }
  }
}

/* ---- a sample for every pixel ------------------------------------------- */

/* 3/4 of the sample nearby and 1/4 of the one behind it; a half goes down and up
** in turn, so that no half of the pixels is brighter. */
static void across(uint8_t *out, const uint8_t *in, int w) {
  out[0] = in[0];
  out[1] = (uint8_t)((in[0] * 3 + in[1] + 2) >> 2);
  for (int x = 1; x < w - 1; x++) {
    out[2 * x] = (uint8_t)((in[x] * 3 + in[x - 1] + 1) >> 2);
    out[2 * x + 1] = (uint8_t)((in[x] * 3 + in[x + 1] + 2) >> 2);
  }
  out[2 * w - 2] = (uint8_t)((in[w - 1] * 3 + in[w - 2] + 1) >> 2);
  out[2 * w - 1] = in[w - 1];
}

static void down(uint8_t *out, const uint8_t *near, const uint8_t *far, int w,
                 int bias) {
  for (int x = 0; x < w; x++)
    out[x] = (uint8_t)((near[x] * 3 + far[x] + bias) >> 2);
}

static void both(uint8_t *out, const uint8_t *near, const uint8_t *far, int w) {
  int last, here = near[0] * 3 + far[0], next = near[1] * 3 + far[1];
  out[0] = (uint8_t)((here * 4 + 8) >> 4);
  out[1] = (uint8_t)((here * 3 + next + 7) >> 4);
  for (int x = 1; x < w; x++) {
    last = here, here = next;
    next = x + 1 < w ? near[x + 1] * 3 + far[x + 1] : here;
    out[2 * x] = (uint8_t)((here * 3 + last + 8) >> 4);
    out[2 * x + 1] = (uint8_t)((here * 3 + next + 7) >> 4);
  }
}

const uint8_t *lun_jpeg_row(const lun_plane *p, int y, uint8_t *room) {
  int row = y / p->vs, up = y % 2 == 0;
  int beside = up ? row - (row > 0) : row + (row < p->h - 1);
  const uint8_t *near = p->data + (int64_t)row * p->stride;
  const uint8_t *far = p->data + (int64_t)beside * p->stride;
  if (p->hs == 1 && p->vs == 2)
    down(room, near, far, p->w, up ? 1 : 2);
  else if (p->hs == 1)
    return near;
  else if (p->hs == 2 && p->vs == 1 && p->w > 2)
    across(room, near, p->w);
  else if (p->hs == 2 && p->vs == 2 && p->w > 2)
    both(room, near, far, p->w);
  else
    for (int x = 0; x < p->w; x++)
      memset(room + x * p->hs, near[x], (size_t)p->hs);
  return room;
}

/* ---- colours ------------------------------------------------------------ */

/* R = Y + 1.402 Cr, G = Y - 0.34414 Cb - 0.71414 Cr, B = Y + 1.772 Cb, in units
** of 2^-16, each share of a chrominance rounded by itself but for G's. */
void lun_jpeg_rgb(uint8_t *rgb, const uint8_t *y, const uint8_t *cb,
                  const uint8_t *cr, int n) {
  for (int i = 0; i < n; i++, rgb += 3) {
    int b = cb[i] - 128, r = cr[i] - 128, half = 1 << 15;
    rgb[0] = clamp(y[i] + ((91881 * r + half) >> 16));
    rgb[1] = clamp(y[i] + ((-22554 * b - 46802 * r + half) >> 16));
    rgb[2] = clamp(y[i] + ((116130 * b + half) >> 16));
  }
}
