/*
** reduce.c - sum, mean, max and min over any set of dimensions.
**
** Adjacent dimensions that are all kept or all reduced are merged, so every
** shape becomes an alternation of kept and reduced groups.  Where the last
** group is kept, whole rows are folded into a row of accumulators; where it
** is reduced, whole runs into one.  Sums are carried in double, in an order
** that depends on the shape alone.
*/
#include <math.h>
#include <string.h>

#include "../kernels/simd.h"
#include "relevance.h"

/* ---- the folds ---------------------------------------------------------- */

/* A fold over values v[0 .. len-1], which lie at flat index `at` + i. */
typedef struct fold {
  double start;
  /* acc[i] takes v[i]; NULL: the fold is a sum, lun_simd.sum_rows. */
  void (*columns)(double *acc, int32_t *arg, const float *v, int64_t at,
                  int64_t len);
  void (*run)(double *acc, int32_t *arg, const float *v, int64_t at,
              int64_t len); /* *acc takes all of v */
} fold;

/* Eight sums side by side: fixed order, and the compiler vectorises. */
double ops_run_sum(const float *x, int64_t len) {
  double lane[8] = {0}, tail = 0;
  int64_t i = 0;
  for (; i + 8 <= len; i += 8)
    for (int k = 0; k < 8; k++) lane[k] += (double)x[i + k];
  for (; i < len; i++) tail += (double)x[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
         ((lane[2] + lane[6]) + (lane[3] + lane[7])) + tail;
}

static void sum_run(double *acc, int32_t *arg, const float *v, int64_t at,
                    int64_t len) {
  (void)arg, (void)at;
  *acc += ops_run_sum(v, len);
}

/* The first extreme wins; the first NaN beats all. */
#define EXTREME(id, op)                                                        \
  static void id##_columns(double *restrict acc, int32_t *restrict arg,        \
                           const float *restrict v, int64_t at, int64_t len) { \
    for (int64_t i = 0; i < len; i++)                                          \
      if ((double)v[i] op acc[i] || (v[i] != v[i] && acc[i] == acc[i])) {      \
        acc[i] = (double)v[i];                                                 \
        arg[i] = (int32_t)(at + i);                                            \
      }                                                                        \
  }                                                                            \
  static void id##_run(double *acc, int32_t *arg, const float *v, int64_t at,  \
                       int64_t len) {                                          \
    for (int64_t i = 0; i < len; i++)                                          \
      id##_columns(acc, arg, v + i, at + i, 1);                                \
  }

EXTREME(max, >)
EXTREME(min, <)

static const fold sum_fold = {0, NULL, sum_run};
static const fold max_fold = {-HUGE_VAL, max_columns, max_run};
static const fold min_fold = {HUGE_VAL, min_columns, min_run};

/* ---- the walk ----------------------------------------------------------- */

enum { TILE = 512 }; /* columns folded at once */

typedef struct plan {
  const fold *f;
  const lun_simd *isa;
  const float *src;
  float *dst;
  int32_t *arg; /* NULL: not wanted */
  double scale;
  int nd; /* groups, kept and reduced in turn */
  int64_t dim[LUN_MAXDIM], step[LUN_MAXDIM];
  int flag[LUN_MAXDIM]; /* 1: reduced */
  int64_t inner;        /* length of the last group */
  int64_t tiles;        /* tiles a row (last kept), else 1 */
  int64_t rows;         /* reduced combinations before the last group */
  int64_t units;        /* independent pieces of the result */
} plan;

/* Offset of combination `index` of the groups before the last that have
** that flag. */
static int64_t offset(const plan *p, int flag, int64_t index) {
  int64_t off = 0;
  for (int d = p->nd - 2; d >= 0; d--) {
    if (p->flag[d] != flag) continue;
    off += index % p->dim[d] * p->step[d];
    index /= p->dim[d];
  }
  return off;
}

static void put(const plan *p, int64_t at, double acc, int32_t arg) {
  p->dst[at] = (float)(acc * p->scale);
  if (p->arg) p->arg[at] = arg;
}

/* Last group kept: a tile of columns. */
static void fold_tile(void *arg, int64_t unit) {
  const plan *p = arg;
  double acc[TILE];
  int32_t where[TILE];
  int64_t row = unit / p->tiles, lo = unit % p->tiles * TILE;
  int64_t len = p->inner - lo < TILE ? p->inner - lo : TILE;
  int64_t from = offset(p, 0, row) + lo;
  for (int64_t i = 0; i < len; i++) acc[i] = p->f->start;
  for (int64_t i = 0; i < len; i++) where[i] = (int32_t)(from + i);
  for (int64_t r = 0; r < p->rows; r++) {
    int64_t at = from + offset(p, 1, r);
    p->f->columns(acc, where, p->src + at, at, len);
  }
  for (int64_t i = 0; i < len; i++)
    put(p, row * p->inner + lo + i, acc[i], where[i]);
}

/* The same for sums: the reduced group before the last is evenly spaced rows. */
static void sum_tile(void *arg, int64_t unit) {
  const plan *p = arg;
  double acc[TILE] = {0};
  int64_t row = unit / p->tiles, lo = unit % p->tiles * TILE;
  int64_t len = p->inner - lo < TILE ? p->inner - lo : TILE;
  const float *from = p->src + offset(p, 0, row) + lo;
  int64_t run = p->nd > 1 ? p->dim[p->nd - 2] : 1;
  int64_t step = p->nd > 1 ? p->step[p->nd - 2] : 0;
  for (int64_t r = 0; r < p->rows; r += run)
    p->isa->sum_rows(acc, from + offset(p, 1, r), step, run, len);
  for (int64_t i = 0; i < len; i++) put(p, row * p->inner + lo + i, acc[i], 0);
}

/* Last group reduced: one element of the result. */
static void fold_one(void *arg, int64_t unit) {
  const plan *p = arg;
  double acc = p->f->start;
  int64_t from = offset(p, 0, unit);
  int32_t where = (int32_t)from;
  for (int64_t r = 0; r < p->rows; r++) {
    int64_t at = from + offset(p, 1, r);
    p->f->run(&acc, &where, p->src + at, at, p->inner);
  }
  put(p, unit, acc, where);
}

/* Groups the dimensions; those of 1 vanish. */
static void group(plan *p, int ndim, const int64_t *dim, const int *flag) {
  p->nd = 0;
  for (int d = 0; d < ndim; d++) {
    if (dim[d] == 1) continue;
    if (p->nd && p->flag[p->nd - 1] == flag[d]) {
      p->dim[p->nd - 1] *= dim[d];
      continue;
    }
    p->dim[p->nd] = dim[d];
    p->flag[p->nd++] = flag[d];
  }
  if (p->nd == 0) {
    p->dim[0] = 1;
    p->flag[p->nd++] = 0;
  }
  ops_strides(p->nd, p->dim, p->step);
}

static void count(plan *p) {
  int last = p->nd - 1;
  p->rows = p->units = 1;
  for (int d = 0; d < last; d++)
    *(p->flag[d] ? &p->rows : &p->units) *= p->dim[d];
  p->inner = p->dim[last];
  p->tiles = p->flag[last] ? 1 : (p->inner + TILE - 1) / TILE;
  p->units *= p->tiles;
}

/* One result of the whole tensor: pieces of a fixed length are folded in parallel,
** then their results in order. */
typedef struct pieces {
  const plan *p;
  double *acc;
  int32_t *where;
} pieces;

static void fold_piece(void *arg, int64_t unit) {
  const pieces *s = arg;
  int64_t lo = unit * OPS_CHUNK, len = s->p->inner - lo;
  if (len > OPS_CHUNK) len = OPS_CHUNK;
  s->acc[unit] = s->p->f->start;
  s->where[unit] = (int32_t)lo;
  s->p->f->run(&s->acc[unit], &s->where[unit], s->p->src + lo, lo, len);
}

/* Does piece i beat the best so far?  (fold.run cannot be asked: it sees
** floats, and the index would be the piece's.) */
static int beats(const fold *f, double value, double best) {
  if (value != value) return best == best;
  return f->start < 0 ? value > best : value < best;
}

static int fold_all(const lun_node *n, const plan *p, lun_err *err) {
  int64_t count_ = (p->inner - 1) / OPS_CHUNK + 1;
  double *acc = lun_malloc((size_t)count_ * (sizeof *acc + sizeof(int32_t)));
  if (!acc) return ops_fail(n, err, LUN_ENOMEM, "no memory for partial sums");
  pieces s = {.p = p, .acc = acc, .where = (int32_t *)(void *)(acc + count_)};
  int status = ops_units(n, count_, OPS_CHUNK, fold_piece, &s, err);
  double total = acc[0];
  int32_t where = s.where[0];
  for (int64_t i = 1; i < count_ && status == LUN_OK; i++) {
    if (p->f == &sum_fold) {
      total += acc[i];
    } else if (beats(p->f, acc[i], total)) {
      total = acc[i];
      where = s.where[i];
    }
  }
  if (status == LUN_OK) put(p, 0, total, where);
  lun_free(acc);
  return status;
}

static int reduce(const lun_node *n, plan *p, int ndim, const int64_t *dim,
                  const int *flag, lun_err *err) {
  group(p, ndim, dim, flag);
  count(p);
  int reduced = p->flag[p->nd - 1];
  if (reduced && p->nd == 1 && p->inner > 2 * OPS_CHUNK)
    return fold_all(n, p, err);
  int64_t work = p->rows * (reduced ? p->inner : TILE);
  lun_job *fn = reduced ? fold_one : p->f == &sum_fold ? sum_tile : fold_tile;
  p->isa = lun_simd_now();
  return ops_units(n, p->units, work, fn, p, err);
}

int ops_sum(const lun_node *n, const float *src, int ndim, const int64_t *dim,
            const int *flag, double scale, float *dst, lun_err *err) {
  plan p = {.f = &sum_fold, .src = src, .dst = dst, .scale = scale};
  return reduce(n, &p, ndim, dim, flag, err);
}

/* ---- the operators ------------------------------------------------------ */

enum { DIMS = 0, KEEP = LUN_MAXDIM };

static const lun_attrdef attrs[] = {
    {.name = "dims", .at = DIMS, .count = LUN_MAXDIM, .fallback = LUN_UNSET},
    {.name = "keepdims", .at = KEEP, .count = 1, .fallback = 0},
    {.name = NULL},
};

/* The dimensions to reduce: those listed, or all. */
static int flags(const lun_node *n, int *flag, lun_err *err) {
  int given;
  LUN_TRY(ops_axes(n, DIMS, n->in[0]->ndim, flag, &given, err));
  for (int d = 0; d < n->in[0]->ndim && !given; d++) flag[d] = 1;
  return LUN_OK;
}

static int infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int flag[LUN_MAXDIM], ndim = 0;
  int64_t dim[LUN_MAXDIM], keep;
  LUN_TRY(flags(n, flag, err));
  LUN_TRY(ops_int(n, KEEP, 0, 1, &keep, err));
  for (int d = 0; d < x->ndim; d++) {
    if (!flag[d]) dim[ndim++] = x->dim[d];
    if (flag[d] && keep) dim[ndim++] = 1;
  }
  if (ndim == 0) dim[ndim++] = 1;
  return lun_node_shape(n, ndim, dim, err);
}

/* max and min remember where they found their value, as int32. */
static int infer_extreme(lun_node *n, lun_err *err) {
  LUN_TRY(infer(n, err));
  if (n->in[0]->size == 0 && n->out->size != 0)
    return ops_fail(n, err, LUN_ESHAPE, "input is empty");
  if (n->in[0]->size > INT32_MAX)
    return ops_fail(n, err, LUN_ESHAPE, "input has %lld elements, at most %d",
                    (long long)n->in[0]->size, INT32_MAX);
  return lun_tensor_new(&n->aux, n->out->ndim, n->out->dim, err);
}

static int run_reduce(lun_node *n, const fold *f, double scale, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int flag[LUN_MAXDIM];
  plan p = {.f = f, .src = x->data, .dst = n->out->data, .scale = scale};
  if (n->aux) p.arg = (int32_t *)(void *)n->aux->data;
  LUN_TRY(flags(n, flag, err));
  return reduce(n, &p, x->ndim, x->dim, flag, err);
}

/* 1 / number of elements in a mean. */
static double share(const lun_node *n) {
  return (double)n->out->size / (double)n->in[0]->size;
}

static int sum_forward(lun_node *n, lun_err *err) {
  return run_reduce(n, &sum_fold, 1, err);
}
static int mean_forward(lun_node *n, lun_err *err) {
  return run_reduce(n, &sum_fold, share(n), err);
}
static int max_forward(lun_node *n, lun_err *err) {
  return run_reduce(n, &max_fold, 1, err);
}
static int min_forward(lun_node *n, lun_err *err) {
  return run_reduce(n, &min_fold, 1, err);
}

/* ---- gradients ---------------------------------------------------------- */

typedef struct spread {
  const lun_back *b;
  const ops_iter *it;
  float scale;
} spread;

/* A row of dx is one value of dy repeated, or a row of dy. */
static void spread_row(void *arg, int64_t copy, int64_t at, const int64_t *off,
                       int64_t len) {
  const spread *s = arg;
  const lun_node *n = s->b->node;
  const float *dy = s->b->dy + copy * n->out->size + off[0];
  float *dx = s->b->dx[0] + copy * n->in[0]->size + at;
  int64_t step = s->it->step[0][s->it->nd - 1];
  if (step == 0) {
    float v = *dy * s->scale;
    for (int64_t i = 0; i < len; i++) dx[i] = v;
  } else {
    for (int64_t i = 0; i < len; i++) dx[i] = dy[i] * s->scale;
  }
}

/* dx = scale * dy, repeated over what was reduced. */
static int spread_back(const lun_back *b, double scale, lun_err *err) {
  const lun_node *n = b->node;
  const lun_tensor *x = n->in[0];
  int flag[LUN_MAXDIM];
  int64_t step[OPS_OPERANDS][LUN_MAXDIM] = {0}, stride = 1;
  ops_iter it;
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(flags(n, flag, err));
  for (int d = x->ndim - 1; d >= 0; d--) {
    step[0][d] = flag[d] ? 0 : stride;
    if (!flag[d]) stride *= x->dim[d];
  }
  ops_iter_make(&it, x->ndim, x->dim, step);
  spread s = {.b = b, .it = &it, .scale = (float)scale};
  return ops_rows(n, &it, b->copies, spread_row, &s, err);
}

static int sum_back(const lun_back *b, lun_err *err) {
  return spread_back(b, 1, err);
}
static int mean_back(const lun_back *b, lun_err *err) {
  return spread_back(b, share(b->node), err);
}

/* dy goes to the element that was the extreme. */
static int extreme_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  const int32_t *arg = (const int32_t *)(const void *)n->aux->data;
  (void)err;
  if (!b->dx[0]) return LUN_OK;
  ops_zero(b, 0);
  for (int c = 0; c < b->copies; c++)
    for (int64_t i = 0; i < n->out->size; i++)
      b->dx[0][c * n->in[0]->size + arg[i]] = b->dy[c * n->out->size + i];
  return LUN_OK;
}

OPS_RULES(sum, RELEVANCE_NORM);
OPS_RULES(mean, RELEVANCE_NORM);
OPS_PLAIN(extreme);

#define REDUCTION(id, text, check, table)                                      \
  OPS_OPERATOR_WITH(id, text, 1, 1, id##_forward, table, .attrs = attrs,       \
                    .infer = check)

REDUCTION(sum, "sum(x, dims, keepdims): over dims, or over all", infer,
          sum_rules);
REDUCTION(mean, "mean(x, dims, keepdims): over dims, or over all", infer,
          mean_rules);
REDUCTION(max, "max(x, dims, keepdims): gradient to the first maximum",
          infer_extreme, extreme_rules);
REDUCTION(min, "min(x, dims, keepdims): gradient to the first minimum",
          infer_extreme, extreme_rules);
