/*
** plane.c - between bytes and floats: what a network's preprocessing does to
** a picture, the way back, and what the values of a map span.
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"

void lun_image_to_planes(float *out, const lun_image *im, const lun_prep *p) {
  int64_t n = (int64_t)im->width * im->height;
  for (int c = 0; c < 3; c++) {
    const uint8_t *px = im->px + (p->bgr ? 2 - c : c);
    float value[256]; /* a byte has 256 values: compute each once */
    for (int v = 0; v < 256; v++)
      value[v] = (float)((v * p->scale - p->mean[c]) / p->std[c]);
    for (int64_t i = 0; i < n; i++) out[c * n + i] = value[px[3 * i]];
  }
}

static uint8_t to_byte(double v) {
  if (!(v > 0)) return 0; /* NaN too */
  return (uint8_t)(v >= 255 ? 255 : v + 0.5);
}

int lun_image_from_planes(lun_image **out, const float *planes, int width,
                          int height, const lun_prep *p, lun_err *err) {
  int64_t n = (int64_t)width * height;
  LUN_TRY(lun_image_new(out, width, height, err));
  for (int c = 0; c < 3; c++) {
    uint8_t *px = (*out)->px + (p->bgr ? 2 - c : c);
    for (int64_t i = 0; i < n; i++)
      px[3 * i] = to_byte(((double)planes[c * n + i] * p->std[c] + p->mean[c]) /
                          p->scale);
  }
  return LUN_OK;
}

lun_range lun_map_range(const float *map, int64_t n) {
  lun_range r = {0, 0, 0};
  int any = 0;
  for (int64_t i = 0; i < n; i++) {
    float v = map[i];
    if (!isfinite(v)) {
      r.bad++;
    } else if (!any) {
      r.lo = r.hi = v;
      any = 1;
    } else {
      if (v < r.lo) r.lo = v;
      if (v > r.hi) r.hi = v;
    }
  }
  return r;
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

int lun_map_percentile(float *out, const float *map, int64_t n, double p,
                       lun_err *err) {
  float *sorted;
  double rank, below;
  int64_t i;
  *out = 0;
  if (n < 1 || !(p >= 0 && p <= 100))
    return lun_fail(err, LUN_EARG, "percentile %g of %lld values", p,
                    (long long)n);
  sorted = lun_malloc((size_t)n * sizeof *sorted);
  if (!sorted)
    return lun_fail(err, LUN_ENOMEM, "no memory to sort %lld values",
                    (long long)n);
  for (i = 0; i < n; i++) sorted[i] = fabsf(map[i]);
  qsort(sorted, (size_t)n, sizeof *sorted, ascending);
  rank = p / 100 * (double)(n - 1);
  below = floor(rank);
  i = (int64_t)below;
  *out = sorted[i];
  if (i + 1 < n) *out += (float)(rank - below) * (sorted[i + 1] - sorted[i]);
  lun_free(sorted);
  return LUN_OK;
}
