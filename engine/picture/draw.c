/*
** draw.c - drawing on a picture: fill, paste, blend, colour maps.  Whatever
** reaches over the edge is cut off.
*/
#include <math.h>
#include <string.h>

#include "picture.h"

/* The part of a (w x h) block at (x, y) that lies on im: rows y0 .. y1-1,
** columns x0 .. x1-1 of the block; 0 when nothing does. */
typedef struct part {
  int x0, y0, x1, y1;
} part;

static int clip(part *c, const lun_image *im, int x, int y, int w, int h) {
  c->x0 = x < 0 ? -x : 0;
  c->y0 = y < 0 ? -y : 0;
  c->x1 = w < im->width - x ? w : im->width - x;
  c->y1 = h < im->height - y ? h : im->height - y;
  return c->x0 < c->x1 && c->y0 < c->y1;
}

static uint8_t *at(const lun_image *im, int x, int y) {
  return im->px + 3 * ((size_t)y * (size_t)im->width + (size_t)x);
}

void lun_image_fill(lun_image *im, int x, int y, int width, int height,
                    lun_rgb colour) {
  part c;
  if (!clip(&c, im, x, y, width, height)) return;
  for (int j = c.y0; j < c.y1; j++) {
    uint8_t *p = at(im, x + c.x0, y + j);
    for (int i = c.x0; i < c.x1; i++, p += 3) {
      p[0] = colour.r;
      p[1] = colour.g;
      p[2] = colour.b;
    }
  }
}

void lun_image_paste(lun_image *im, int x, int y, const lun_image *src) {
  part c;
  if (!clip(&c, im, x, y, src->width, src->height)) return;
  for (int j = c.y0; j < c.y1; j++)
    memcpy(at(im, x + c.x0, y + j), at(src, c.x0, j),
           3 * (size_t)(c.x1 - c.x0));
}

void lun_image_blend(lun_image *im, int x, int y, const lun_image *src,
                     double alpha) {
  part c;
  /* 16 bits of fraction: exact at 0 and 1, within half a level between */
  int a = (int)lround(fmin(fmax(alpha, 0), 1) * 65536);
  if (!clip(&c, im, x, y, src->width, src->height)) return;
  for (int j = c.y0; j < c.y1; j++) {
    uint8_t *p = at(im, x + c.x0, y + j);
    const uint8_t *q = at(src, c.x0, j);
    for (int i = 0; i < 3 * (c.x1 - c.x0); i++)
      p[i] = (uint8_t)((p[i] * (65536 - a) + q[i] * a + 32768) >> 16);
  }
}

void lun_image_grey(lun_image *im) {
  int64_t n = (int64_t)im->width * im->height;
  for (int64_t i = 0; i < n; i++) {
    uint8_t *p = im->px + 3 * i;
    /* 0.299, 0.587, 0.114 in 16 bits of fraction */
    int y = (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16;
    p[0] = p[1] = p[2] = (uint8_t)y;
  }
}

/* Entry of a 256-entry table: as matplotlib, 256 equal steps. */
static const uint8_t *colour_of(float v, const uint8_t *table, double lo,
                                double scale) {
  static const uint8_t nan_grey[3] = {128, 128, 128};
  double t = ((double)v - lo) * scale;
  if (isnan(t)) return nan_grey;
  return table + 3 * (t < 0 ? 0 : t > 255 ? 255 : (int)t);
}

int lun_image_colormap(lun_image **out, const float *map, int width, int height,
                       const uint8_t *table, double lo, double hi,
                       lun_err *err) {
  int64_t n = (int64_t)width * height;
  double scale = hi > lo ? 256.0 / (hi - lo) : 0;
  LUN_TRY(lun_image_new(out, width, height, err));
  for (int64_t i = 0; i < n; i++)
    memcpy((*out)->px + 3 * i,
           scale > 0 ? colour_of(map[i], table, lo, scale) : table + 3 * 128,
           3);
  return LUN_OK;
}
