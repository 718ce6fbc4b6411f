/*
** global_pool.c - mean and maximum over whole planes of (N, C, H, W) maps.
*/
#include <string.h>

#include "relevance.h"

static int global_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  char text[LUN_SHAPETEXT];
  LUN_TRY(ops_ndim(n, 0, 4, 4, err));
  if (x->dim[2] < 1 || x->dim[3] < 1 || x->dim[2] * x->dim[3] > INT32_MAX)
    return ops_fail(n, err, LUN_ESHAPE, "input has shape %s",
                    lun_shape_text(text, sizeof text, x->ndim, x->dim));
  return lun_node_shape(n, 4, (int64_t[]){x->dim[0], x->dim[1], 1, 1}, err);
}

static int global_max_infer(lun_node *n, lun_err *err) {
  LUN_TRY(global_infer(n, err));
  return lun_tensor_new(&n->aux, n->out->ndim, n->out->dim, err);
}

typedef struct whole {
  int64_t size, planes;
  const float *x, *dy;
  float *y, *dx;
  int32_t *at; /* place of the maximum */
} whole;

static whole whole_of(const lun_node *n) {
  const lun_tensor *x = n->in[0];
  whole g = {.size = x->dim[2] * x->dim[3], .planes = x->dim[0] * x->dim[1]};
  g.x = x->data;
  g.y = n->out->data;
  if (n->aux) g.at = (int32_t *)(void *)n->aux->data;
  return g;
}

static void mean_of(void *arg, int64_t plane) {
  const whole *g = arg;
  g->y[plane] =
      (float)(ops_run_sum(g->x + plane * g->size, g->size) / (double)g->size);
}

static void fill_mean(void *arg, int64_t plane) {
  const whole *g = arg;
  float *dx = g->dx + plane * g->size, v = g->dy[plane] / (float)g->size;
  for (int64_t i = 0; i < g->size; i++) dx[i] = v;
}

static void max_of(void *arg, int64_t plane) {
  const whole *g = arg;
  const float *x = g->x + plane * g->size;
  float best = x[0];
  int64_t at = 0;
  for (int64_t i = 1; i < g->size && best == best; i++)
    if (x[i] > best || x[i] != x[i]) best = x[at = i];
  g->y[plane] = best;
  g->at[plane] = (int32_t)at;
}

static void fill_max(void *arg, int64_t plane) {
  const whole *g = arg;
  float *dx = g->dx + plane * g->size;
  memset(dx, 0, (size_t)g->size * sizeof *dx);
  dx[g->at[plane % g->planes]] = g->dy[plane];
}

#define GLOBAL(id, text, check, take, give)                                    \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    whole g = whole_of(n);                                                     \
    return ops_units(n, g.planes, g.size, take, &g, err);                      \
  }                                                                            \
  static int id##_back(const lun_back *b, lun_err *err) {                      \
    whole g = whole_of(b->node);                                               \
    g.dy = b->dy;                                                              \
    g.dx = b->dx[0];                                                           \
    if (!g.dx) return LUN_OK;                                                  \
    return ops_units(b->node, b->copies * g.planes, g.size, give, &g, err);    \
  }                                                                            \
  OPS_RULES(id, RELEVANCE_NORM);                                               \
  OPS_OPERATOR(id, text, 1, 1, .infer = check);

GLOBAL(global_avg_pool, "global_avg_pool(x): (N,C,H,W) to (N,C,1,1)",
       global_infer, mean_of, fill_mean)
GLOBAL(global_max_pool, "global_max_pool(x): (N,C,H,W) to (N,C,1,1)",
       global_max_infer, max_of, fill_max)
