/*
** span.h - elementwise operators of one input written as one expression.
** Inside an expression: x the input, y the output, g the gradient (scalars);
** p and q the first two attributes, r the rule's first parameter.
*/
#ifndef LUN_SPAN_H
#define LUN_SPAN_H

#include <math.h>

#include "ops.h"

typedef struct span {
  const float *in, *out, *dy;
  float *to;
  float p, q, r;
} span;

/* The forward loop `fn`: to[i] = expression of x. */
#define SPAN_FORWARD(fn, expression)                                           \
  static void fn(void *arg, int64_t base, int64_t lo, int64_t hi) {            \
    const span *s = arg;                                                       \
    const float p = s->p, q = s->q, *in = s->in;                               \
    float *to = s->to;                                                         \
    (void)base, (void)p, (void)q;                                              \
    OPS_IVDEP for (int64_t i = lo; i < hi; i++) {                              \
      const float x = in[i];                                                   \
      to[i] = (expression);                                                    \
    }                                                                          \
  }

/* A backward loop whose gradient arrives as `arrive`, an expression of d = dy. */
#define SPAN_BACK_(fn, arrive, expression)                                     \
  static void fn##_span(void *arg, int64_t base, int64_t lo, int64_t hi) {     \
    const span *s = arg;                                                       \
    const float p = s->p, q = s->q, r = s->r;                                  \
    const float *in = s->in, *out = s->out, *dy = s->dy + base;                \
    float *to = s->to + base;                                                  \
    (void)p, (void)q, (void)r, (void)in;                                       \
    OPS_IVDEP for (int64_t i = lo; i < hi; i++) {                              \
      const float x = in[i], y = out[i], d = dy[i];                            \
      const float g = (arrive);                                                \
      (void)x, (void)y, (void)g;                                               \
      to[i] = (expression);                                                    \
    }                                                                          \
  }                                                                            \
  static int fn(const lun_back *b, lun_err *err) {                             \
    return span_back(b, fn##_span, err);                                       \
  }

/* dx = expression, with g = dy. */
#define SPAN_BACK(fn, expression) SPAN_BACK_(fn, d, expression)
/* The same with g = max(dy, 0): guided backpropagation.  A NaN stays one. */
#define SPAN_GUIDED(fn, expression) SPAN_BACK_(fn, d < 0 ? 0.0f : d, expression)

static inline int span_forward(lun_node *n, ops_span *fn, lun_err *err) {
  span s = {.in = n->in[0]->data, .to = n->out->data};
  s.p = (float)n->attr[0];
  s.q = (float)n->attr[1];
  return ops_each(n, 1, n->out->size, fn, &s, err);
}

static inline int span_back(const lun_back *b, ops_span *fn, lun_err *err) {
  const lun_node *n = b->node;
  span s = {.in = n->in[0]->data, .out = n->out->data, .dy = b->dy};
  if (!b->dx[0]) return LUN_OK;
  s.to = b->dx[0];
  s.p = (float)n->attr[0];
  s.q = (float)n->attr[1];
  s.r = (float)b->attr[0];
  return ops_each(n, b->copies, n->out->size, fn, &s, err);
}

#endif
