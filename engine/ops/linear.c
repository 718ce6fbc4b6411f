/*
** linear.c - linear: dense layers, their weights in either order.  Of inputs with
** more than two dimensions the last one is meant: what stands before it are rows,
** many for each picture (tokens of a transformer).
*/
#include <string.h>

#include "../kernels/gate.h"
#include "weighted.h"

enum { LAYOUT = 0 };

static const char *const layouts[] = {"out_in", "in_out", NULL};

static const lun_attrdef linear_attrs[] = {
    {"weight_layout", .at = LAYOUT, .count = 1, .words = layouts},
    {.name = NULL},
};

/* The end of a message where the transposed weight would fit. */
static const char *const other_layout[] = {
    "; of shape (in, out) it is weight_layout in_out",
    "; of shape (out, in) it is weight_layout out_in"};

static int in_out(const lun_node *n) { return n->attr[LAYOUT] > 0; }

static int linear_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0], *w = n->in[1];
  const lun_tensor *b = n->nin > 2 ? n->in[2] : NULL;
  char text[LUN_SHAPETEXT];
  int rows = 0;
  int64_t layout, in, out, has, dim[LUN_MAXDIM];
  LUN_TRY(ops_int(n, LAYOUT, 0, 1, &layout, err));
  LUN_TRY(ops_ndim(n, 0, 2, LUN_MAXDIM, err));
  LUN_TRY(ops_ndim(n, 1, 2, 2, err));
  LUN_TRY(weighted_ints(n, 0, x->dim, 1, &rows, err));
  in = w->dim[!layout], out = w->dim[layout], has = x->dim[x->ndim - 1];
  if (in != has)
    return ops_fail(
        n, err, LUN_ESHAPE, "weight has %lld input features, input has %lld%s",
        (long long)in, (long long)has, out == has ? other_layout[layout] : "");
  if (b && b->size != out)
    return ops_fail(n, err, LUN_ESHAPE,
                    "bias has shape %s, weight has %lld output features",
                    lun_shape_text(text, sizeof text, b->ndim, b->dim),
                    (long long)out);
  if (w->size == 0)
    return ops_fail(n, err, LUN_ESHAPE, "weight has shape %s",
                    lun_shape_text(text, sizeof text, w->ndim, w->dim));
  memcpy(dim, x->dim, sizeof dim);
  dim[x->ndim - 1] = out;
  return lun_node_shape(n, x->ndim, dim, err);
}

/* The layer for `rows` rows. */
static lun_linear layer(const lun_node *n, int64_t rows) {
  const lun_tensor *w = n->in[1];
  int layout = in_out(n);
  return (lun_linear){(int)rows, w->dim[!layout], w->dim[layout], layout};
}

/* ---- many rows a picture ------------------------------------------------ */

static int many(const lun_node *n) { return n->in[0]->ndim > 2; }

static int64_t rows_of(const lun_node *n) {
  const lun_tensor *x = n->in[0];
  return x->size / x->dim[x->ndim - 1];
}

typedef struct row_job {
  float *y;
  const float *bias;
  const lun_gate *gate;
  int64_t size;
  int relu;
} row_job;

/* Bias and relu, or a gate, of one row. */
static void finish_row(void *arg, int64_t row) {
  const row_job *j = arg;
  float *y = j->y + row * j->size;
  for (int64_t i = 0; j->bias && i < j->size; i++) y[i] += j->bias[i];
  for (int64_t i = 0; j->relu && i < j->size; i++)
    y[i] = y[i] < 0 ? 0.0f : y[i]; /* NaN stays */
  for (int64_t i = 0; j->gate && i < j->size; i++)
    y[i] = lun_gate_at(j->gate, row * j->size + i, y[i]);
}

static int many_forward(lun_node *n, lun_tensor *out, int relu, lun_err *err) {
  int64_t rows = rows_of(n);
  lun_linear s = layer(n, 0);
  row_job j = {out->data, weighted_bias(n), NULL, s.out, relu};
  lun_rows p = {rows, s.in, s.out, s.in_out};
  LUN_TRY(lun_rows_product(&p, n->in[0]->data, n->in[1]->data, out->data, err));
  if (!j.bias && !relu) return LUN_OK;
  return ops_units(n, rows, s.out, finish_row, &j, err);
}

static int many_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  int64_t rows = rows_of(n) * b->copies;
  lun_linear s = layer(n, 0);
  row_job j = {b->dx[0], NULL, b->gate, s.in, 0};
  lun_rows p = {rows, s.out, s.in, !s.in_out}; /* the same weights, seen back */
  LUN_TRY(lun_rows_product(&p, b->dy, n->in[1]->data, b->dx[0], err));
  return b->gate ? ops_units(n, rows, s.in, finish_row, &j, err) : LUN_OK;
}

/* db: the sum of dy over its rows. */
static void sum_rows(const float *dy, int64_t rows, int64_t out, float *db) {
  for (int64_t o = 0; o < out; o++) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) sum += (double)dy[r * out + o];
    db[o] = (float)sum;
  }
}

/* dw = dy' x, or x' dy where w is (in, out). */
static int many_params(const lun_node *n, const lun_linear *s, const float *dy,
                       float *dw, float *db, lun_err *err) {
  int64_t rows = rows_of(n);
  const float *x = n->in[0]->data;
  if (db) sum_rows(dy, rows, s->out, db);
  if (!dw) return LUN_OK;
  if (s->in_out) return lun_gemm(1, 0, s->in, s->out, rows, x, dy, dw, err);
  return lun_gemm(1, 0, s->out, s->in, rows, dy, x, dw, err);
}

/* ---- values ------------------------------------------------------------- */

static int linear_run(lun_node *n, lun_tensor *out, int relu, lun_err *err) {
  lun_linear s = layer(n, n->in[0]->dim[0]);
  if (out->size == 0) return LUN_OK;
  if (many(n)) return many_forward(n, out, relu, err);
  return lun_linear_forward(&s, n->in[0]->data, n->in[1]->data,
                            weighted_bias(n), out->data, relu, err);
}

static int linear_forward(lun_node *n, lun_err *err) {
  return linear_run(n, n->out, 0, err);
}

/* linear -> relu */
static int linear_relu(lun_node *n, lun_node *const *next, int count,
                       lun_err *err) {
  return linear_run(n, next[count - 1]->out, 1, err);
}

static lun_joined linear_join(const lun_node *n, lun_node *const *next,
                              int count) {
  (void)n;
  if (count == 0) return (lun_joined){NULL, 1};
  if (count > 1 || next[0]->op->epilogue != LUN_RELU_EPILOGUE)
    return (lun_joined){NULL, 0};
  return (lun_joined){linear_relu, 0};
}

static int linear_params(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  lun_linear s = layer(n, n->in[0]->dim[0]);
  for (int c = 0; c < b->copies; c++) {
    float *dw = b->dx[1] ? b->dx[1] + c * n->in[1]->size : NULL;
    float *db = b->dx[2] ? b->dx[2] + c * n->in[2]->size : NULL;
    const float *dy = b->dy + c * n->out->size;
    if (many(n))
      LUN_TRY(many_params(n, &s, dy, dw, db, err));
    else
      LUN_TRY(lun_linear_backward_params(&s, n->in[0]->data, dy, dw, db, err));
  }
  return LUN_OK;
}

static int linear_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  lun_linear s;
  int rows = 0;
  if (n->out->size == 0) return weighted_nothing(b);
  if (b->dx[1] || b->dx[2]) LUN_TRY(linear_params(b, err));
  if (!b->dx[0]) return LUN_OK;
  if (many(n)) return many_back(b, err);
  LUN_TRY(weighted_rows(b, (int)n->in[0]->dim[0], &rows, err));
  s = layer(n, rows);
  return lun_linear_backward(&s, b->dy, n->in[1]->data, b->dx[0], b->gate,
                             b->dead_inputs, err);
}

OPS_RULES(linear, RELEVANCE_RULES);
OPS_OPERATOR(
    linear,
    "linear(x (N,..,in), w (out,in), b (out), weight_layout = out_in): "
    "x w' + b; in_out: w is (in,out)",
    2, 3, .attrs = linear_attrs, .infer = linear_infer, .join = linear_join,
    .gated = 1, .skips_dead = 1);
