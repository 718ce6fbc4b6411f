/*
** optim.c - steps of optimisers and other changes in place, fused so that a
** parameter is read and written once.
*/
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core.h"

/*
** Adam (Kingma & Ba 2015, algorithm 1), with the bias corrections folded
** into the step, and decoupled weight decay (Loshchilov & Hutter 2019):
**   m = b1 m + (1-b1) g        v = b2 v + (1-b2) g^2
**   p = p - rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps) - rate decay p
*/
void lun_adam_step(int64_t n, float *p, const float *g, float *m, float *v,
                   const lun_adam *o) {
  const float b1 = (float)o->beta1, b2 = (float)o->beta2;
  const float c1 = (float)(1 / (1 - pow(o->beta1, (double)o->step)));
  const float c2 = (float)(1 / (1 - pow(o->beta2, (double)o->step)));
  const float rate = (float)o->rate, eps = (float)o->eps;
  const float keep = (float)(1 - o->rate * o->decay);
  const float scale = (float)o->scale;
  for (int64_t i = 0; i < n; i++) {
    float gi = g[i] * scale;
    m[i] = b1 * m[i] + (1.0f - b1) * gi;
    v[i] = b2 * v[i] + (1.0f - b2) * gi * gi;
    p[i] = keep * p[i] - rate * (m[i] * c1) / (sqrtf(v[i] * c2) + eps);
  }
}

/*
** Gradient descent with momentum, velocity in units of the gradient:
**   v = momentum v + g + decay p        p = p - rate v
*/
void lun_sgd_step(int64_t n, float *p, const float *g, float *v, double rate,
                  double momentum, double decay, double scale) {
  const float r = (float)rate, mu = (float)momentum, d = (float)decay;
  const float s = (float)scale;
  for (int64_t i = 0; i < n; i++) {
    v[i] = mu * v[i] + s * g[i] + d * p[i];
    p[i] -= r * v[i];
  }
}

/* Does dimension `axis` of `part` at `from` lie inside t? */
static int inside(const lun_tensor *t, const lun_tensor *part, int axis,
                  int64_t from, lun_err *err) {
  int64_t have = t->dim[axis], want = part->dim[axis];
  if (from >= 0 && want <= have && from <= have - want) return LUN_OK;
  return lun_fail(err, LUN_ESHAPE,
                  "paste: %" PRId64 " from %" PRId64
                  " is outside dimension %d of %" PRId64,
                  want, from, axis + 1, have);
}

int lun_tensor_paste(lun_tensor *t, const lun_tensor *part, int64_t row,
                     int64_t column, lun_err *err) {
  int nd = t->ndim;
  if (nd < 2 || part->ndim != nd)
    return lun_fail(err, LUN_ESHAPE, "paste: %d dimensions into %d", part->ndim,
                    nd);
  for (int d = 0; d < nd - 2; d++)
    if (part->dim[d] != t->dim[d])
      return lun_fail(err, LUN_ESHAPE,
                      "paste: dimension %d is %" PRId64 ", not %" PRId64, d + 1,
                      part->dim[d], t->dim[d]);
  LUN_TRY(inside(t, part, nd - 2, row, err));
  LUN_TRY(inside(t, part, nd - 1, column, err));
  int64_t h = part->dim[nd - 2], w = part->dim[nd - 1];
  int64_t th = t->dim[nd - 2], tw = t->dim[nd - 1];
  int64_t planes = part->size ? part->size / (h * w) : 0;
  for (int64_t c = 0; c < planes; c++)
    for (int64_t y = 0; y < h; y++)
      memmove(t->data + (c * th + row + y) * tw + column,
              part->data + (c * h + y) * w, (size_t)w * sizeof(float));
  return LUN_OK;
}
