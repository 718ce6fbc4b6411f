/*
** naive.h - the plain twins of the fast kernels: nested loops straight from
** the definition, sums in double.  The tests hold both together.
*/
#ifndef NAIVE_H
#define NAIVE_H
#include "../../engine/kernels/gate.h"
#include "../../engine/kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAIVE __attribute__((unused)) static

/* Calls BODY for every pair of an output place and an input place that kernel
** element (i, j) joins: q indexes the output map, p the input map, r the
** weights (all flat). */
#define NAIVE_EACH(s, BODY)                                                    \
  for (int n = 0; n < (s)->n; n++)                                             \
    for (int k = 0; k < (s)->k; k++)                                           \
      for (int v = 0; v < (s)->oh; v++)                                        \
        for (int u = 0; u < (s)->ow; u++)                                      \
          for (int c = 0; c < (s)->c / (s)->groups; c++)                       \
            for (int i = 0; i < (s)->kh; i++)                                  \
              for (int j = 0; j < (s)->kw; j++) {                              \
                int y_ = v * (s)->sh - (s)->pt + i * (s)->dh;                  \
                int x_ = u * (s)->sw - (s)->pl + j * (s)->dw;                  \
                int cg_ = (s)->c / (s)->groups;                                \
                int ci_ = k / ((s)->k / (s)->groups) * cg_ + c;                \
                if (y_ < 0 || y_ >= (s)->h || x_ < 0 || x_ >= (s)->w)          \
                  continue;                                                    \
                int64_t q =                                                    \
                    (((int64_t)n * (s)->k + k) * (s)->oh + v) * (s)->ow + u;   \
                int64_t p =                                                    \
                    (((int64_t)n * (s)->c + ci_) * (s)->h + y_) * (s)->w + x_; \
                int64_t r =                                                    \
                    (((int64_t)k * cg_ + c) * (s)->kh + i) * (s)->kw + j;      \
                BODY;                                                          \
              }

NAIVE int64_t naive_in(const lun_conv *s) {
  return (int64_t)s->n * s->c * s->h * s->w;
}

NAIVE int64_t naive_out(const lun_conv *s) {
  return (int64_t)s->n * s->k * s->oh * s->ow;
}

NAIVE int64_t naive_weights(const lun_conv *s) {
  return (int64_t)s->k * (s->c / s->groups) * s->kh * s->kw;
}

/* Fills in the output's size from padding on all four sides. */
NAIVE lun_conv naive_shape(lun_conv s, int pb, int pr) {
  s.oh = (s.h + s.pt + pb - s.dh * (s.kh - 1) - 1) / s.sh + 1;
  s.ow = (s.w + s.pl + pr - s.dw * (s.kw - 1) - 1) / s.sw + 1;
  return s;
}

NAIVE double *naive_zeros(int64_t n) {
  return calloc((size_t)(n > 0 ? n : 1), sizeof(double));
}

NAIVE void naive_round(float *out, double *sum, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = (float)sum[i];
  free(sum);
}

/* Gates of every special form that the kernels have, and of none. */
static const lun_slopes naive_slopes[] = {
    {1, 1, 0, 0, 0},         {1, 0, 0, 0, 0},    {1, 0, 1, 0, 0},
    {1, 1, 0.25f, 0.25f, 0}, {1, -1, 0, 0, 0},   {0.5f, 2, -1, 0.25f, 0},
    {1, 1, 0, 0, 0.3f},      {1, 0, 0, 0, 0.3f},
};
enum { NAIVE_SLOPES = sizeof naive_slopes / sizeof *naive_slopes };

/* What a gate makes of one gradient element; no gate, no change. */
NAIVE float naive_gate(const lun_gate *g, int64_t e, float d) {
  return g ? lun_gate_at(g, e, d) : d;
}

NAIVE void naive_conv_forward(const lun_conv *s, const float *x, const float *w,
                              const float *b, float *y, int relu) {
  int64_t plane = (int64_t)s->oh * s->ow, size = naive_out(s);
  double *sum = naive_zeros(size);
  NAIVE_EACH(s, sum[q] += (double)x[p] * (double)w[r])
  for (int64_t q = 0; q < size; q++) {
    if (b) sum[q] += (double)b[q / plane % s->k];
    if (relu && !(sum[q] > 0)) sum[q] = 0;
  }
  naive_round(y, sum, size);
}

NAIVE void naive_conv_backward(const lun_conv *s, const float *dy,
                               const float *w, float *dx,
                               const lun_gate *gate) {
  int64_t size = naive_in(s);
  double *sum = naive_zeros(size);
  NAIVE_EACH(s, sum[p] += (double)dy[q] * (double)w[r])
  naive_round(dx, sum, size);
  for (int64_t e = 0; e < size; e++) dx[e] = naive_gate(gate, e, dx[e]);
}

NAIVE void naive_conv_params(const lun_conv *s, const float *x, const float *dy,
                             float *dw, float *db) {
  int64_t plane = (int64_t)s->oh * s->ow, size = naive_weights(s);
  double *sum = naive_zeros(size), *bias = naive_zeros(s->k);
  NAIVE_EACH(s, sum[r] += (double)x[p] * (double)dy[q])
  for (int64_t q = 0; q < naive_out(s); q++) {
    bias[q / plane % s->k] += (double)dy[q];
  }
  naive_round(dw, sum, size);
  naive_round(db, bias, s->k);
}

NAIVE void naive_linear_forward(int n, int64_t in, int64_t out, const float *x,
                                const float *w, const float *b, float *y,
                                int relu) {
  for (int64_t e = 0; e < n * out; e++) {
    double sum = b ? (double)b[e % out] : 0;
    for (int64_t i = 0; i < in; i++) {
      sum += (double)x[e / out * in + i] * (double)w[e % out * in + i];
    }
    y[e] = relu && !(sum > 0) ? 0.0f : (float)sum;
  }
}

NAIVE void naive_linear_backward(int n, int64_t in, int64_t out,
                                 const float *dy, const float *w, float *dx,
                                 const lun_gate *gate) {
  for (int64_t e = 0; e < n * in; e++) {
    double sum = 0;
    for (int64_t o = 0; o < out; o++) {
      sum += (double)dy[e / in * out + o] * (double)w[o * in + e % in];
    }
    dx[e] = naive_gate(gate, e, (float)sum);
  }
}

NAIVE void naive_linear_params(int n, int64_t in, int64_t out, const float *x,
                               const float *dy, float *dw, float *db) {
  double *sum = naive_zeros(out * in), *bias = naive_zeros(out);
  for (int64_t r = 0; r < n; r++)
    for (int64_t o = 0; o < out; o++) {
      bias[o] += (double)dy[r * out + o];
      for (int64_t i = 0; i < in; i++) {
        sum[o * in + i] += (double)dy[r * out + o] * (double)x[r * in + i];
      }
    }
  naive_round(dw, sum, out * in);
  naive_round(db, bias, out);
}

/* Largest difference, relative to the largest expected magnitude. */
NAIVE double naive_diff(const float *got, const float *want, int64_t n) {
  double worst = 0, scale = 1e-30;
  for (int64_t i = 0; i < n; i++) {
    double d = fabs((double)got[i] - (double)want[i]);
    if (!(d <= worst)) worst = d; /* lets NaN through */
    if (fabs((double)want[i]) > scale) scale = fabs((double)want[i]);
  }
  return worst / scale;
}
#endif
