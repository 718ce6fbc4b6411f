/*
** conv.c - the way in: Winograd's method for 3x3 kernels of stride 1, gathers
** for all others.
*/
#include "simd.h"

/* The forward pass by Winograd's method. */
static lun_wino wino_forward(const lun_conv *s, const float *x, const float *w,
                             const float *b, float *y, int relu) {
  return (lun_wino){.n = s->n,
                    .c = s->c,
                    .h = s->h,
                    .w = s->w,
                    .k = s->k,
                    .oh = s->oh,
                    .ow = s->ow,
                    .pt = s->pt,
                    .pl = s->pl,
                    .in = x,
                    .weights = w,
                    .out = y,
                    .epilogue = {b, relu, NULL}};
}

int lun_conv_forward(const lun_conv *s, const float *x, const float *w,
                     const float *b, float *y, int relu, lun_err *err) {
  lun_gather g;
  lun_epilogue epilogue = {b, relu, NULL};
  if (lun_wino_fits(s)) {
    lun_wino j = wino_forward(s, x, w, b, y, relu);
    return lun_wino_run(&j, err);
  }
  LUN_TRY(lun_gather_forward(&g, s, err));
  int st = lun_gather_run(&g, s, 0, x, w, y, &epilogue, err);
  lun_gather_free(&g);
  return st;
}

int lun_conv_pools(const lun_conv *s) {
  return lun_wino_fits(s) && !lun_direct3x3_fits(s->c, s->k);
}

int lun_conv_forward_pooled(const lun_conv *s, const float *x, const float *w,
                            const float *b, float *y, uint8_t *tap,
                            lun_err *err) {
  lun_wino j = wino_forward(s, x, w, b, y, 1);
  j.tap = tap;
  return lun_wino_run(&j, err);
}

/* out, of the shape of s's input, gets what every value of `in`, of the shape of
** s's output, gives through the weights. */
static int transposed(const lun_conv *s, const float *in, const float *w,
                      float *out, const lun_epilogue *epilogue, lun_err *err) {
  if (lun_wino_fits(s)) {
    /* dx[y] meets dy[y + pt - i] through kernel row i: padding 2 - pt */
    lun_wino j = {.n = s->n,
                  .c = s->k,
                  .h = s->oh,
                  .w = s->ow,
                  .k = s->c,
                  .oh = s->h,
                  .ow = s->w,
                  .pt = 2 - s->pt,
                  .pl = 2 - s->pl,
                  .back = 1,
                  .in = in,
                  .weights = w,
                  .out = out,
                  .epilogue = *epilogue};
    return lun_wino_run(&j, err);
  }
  for (int phase = 0; phase < s->sh * s->sw; phase++) {
    lun_gather g;
    if (phase / s->sw >= s->h || phase % s->sw >= s->w) continue;
    LUN_TRY(lun_gather_backward(&g, s, phase / s->sw, phase % s->sw, err));
    int st = lun_gather_run(&g, s, 1, in, w, out, epilogue, err);
    lun_gather_free(&g);
    if (st != LUN_OK) return st;
  }
  return LUN_OK;
}

int lun_conv_backward(const lun_conv *s, const float *dy, const float *w,
                      float *dx, const lun_gate *gate, lun_err *err) {
  return transposed(s, dy, w, dx, &(lun_epilogue){NULL, 0, gate}, err);
}

int lun_conv_transposed(const lun_conv *s, const float *x, const float *w,
                        const float *b, float *y, int relu, lun_err *err) {
  return transposed(s, x, w, y, &(lun_epilogue){b, relu, NULL}, err);
}
