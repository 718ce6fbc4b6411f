/*
** ops.h - what the operators share: messages that name the layer, attributes
** checked once, loops cut into fixed chunks for the pool, broadcasting.
** Private to engine/ops/.
*/
#ifndef LUN_OPS_H
#define LUN_OPS_H

#include "../kernels/gate.h"
#include "../lunette.h"

#define OP(name, is) extern const lun_op lun_op_##name;
#include "ops.def"
#undef OP

/* ---- tables ------------------------------------------------------------- */

/* The backward rules of operator `id`: the gradient id_back, then more rows. */
#define OPS_PLAIN(id)      OPS_RULES_(id, {.name = NULL})
#define OPS_RULES(id, ...) OPS_RULES_(id, __VA_ARGS__, {.name = NULL})
#define OPS_RULES_(id, ...)                                                    \
  static const lun_rule id##_rules[] = {{.name = "plain", .back = id##_back},  \
                                        __VA_ARGS__}

/* The operator `id` of `least` to `most` inputs: id_forward, id_rules, and what
** else a lun_op has, as `.infer = f, .inplace = 1`.  It does not compile when
** ops.def has no line for it. */
#define OPS_OPERATOR(id, text, least, most, ...)                               \
  OPS_OPERATOR_WITH(id, text, least, most, id##_forward, id##_rules,           \
                    __VA_ARGS__)
#define OPS_OPERATOR_WITH(id, text, least, most, run, table, ...)              \
  _Static_assert(sizeof lun_op_##id > 0, "declared by its line in ops.def");   \
  const lun_op lun_op_##id = {.name = #id,                                     \
                              .doc = text,                                     \
                              .min_in = least,                                 \
                              .max_in = most,                                  \
                              .forward = run,                                  \
                              .rules = table,                                  \
                              __VA_ARGS__}

/* ---- infer: messages, attributes, shapes (op.c) ------------------------- */

/* lun_fail with "conv2d 'conv3_1': " before the message. */
int ops_fail(const lun_node *n, lun_err *err, int code, const char *fmt, ...)
    LUN_PRINTF(4, 5);
/* The whole number in slot `at`, between lo and hi. */
int ops_int(const lun_node *n, int at, int64_t lo, int64_t hi, int64_t *out,
            lun_err *err);
/* A dimension, 1-based, negative ones from the end; *out counts from 0. */
int ops_axis(const lun_node *n, int at, int ndim, int *out, lun_err *err);
/* A set of dimensions in slots at .. at+5: flags, 1 where listed.  Naming
** one twice is no error.  *given: how many slots are set. */
int ops_axes(const lun_node *n, int at, int ndim, int flag[LUN_MAXDIM],
             int *given, lun_err *err);
/* Input i has between lo and hi dimensions. */
int ops_ndim(const lun_node *n, int i, int lo, int hi, lun_err *err);
/* All of input i, if it has values yet, are whole numbers from 1 to `most`:
** positions. */
int ops_index(const lun_node *n, int i, int64_t most, lun_err *err);
static inline int ops_given(const lun_node *n, int at) {
  return n->attr[at] != LUN_UNSET;
}
/* Output of the same shape as in[0]: the infer of many operators. */
int ops_same(lun_node *n, lun_err *err);
/* Steps of a contiguous tensor, in floats. */
void ops_strides(int ndim, const int64_t *dim, int64_t *step);

/* ---- loops -------------------------------------------------------------- */

enum { OPS_CHUNK = 1 << 15 }; /* floats a job; fixed, so the bits are too */

/* Loops whose iterations are independent even if the pointers are equal.
** (Clang's own pragma warns wherever a loop cannot be vectorised.) */
#if defined(__GNUC__) && !defined(__clang__)
#define OPS_IVDEP _Pragma("GCC ivdep")
#else
#define OPS_IVDEP
#endif

/* dx = a gate (kernels/gate.h) of the units that put out y; dx may be dy.  The
** true gradient, the most frequent one, is a single select. */
static inline void ops_gate_span(lun_slopes s, const float *y, const float *dy,
                                 float *dx, int64_t n) {
  if (s.open_up == 1 && s.open_down == 1 && lun_gate_shuts(&s) && s.top == 0) {
    OPS_IVDEP for (int64_t i = 0; i < n; i++) {
      float g = dy[i]; /* read in any case, so that the loop vectorises */
      dx[i] = y[i] > 0 ? g : 0.0f;
    }
    return;
  }
  OPS_IVDEP for (int64_t i = 0; i < n; i++) {
    dx[i] = lun_gate_value(s, y[i], dy[i]);
  }
}

/* fn for unit 0 .. units-1, `work` floats each; jobs of about OPS_CHUNK. */
int ops_units(const lun_node *n, int64_t units, int64_t work, lun_job *fn,
              void *arg, lun_err *err);

/* Gradient elements base+lo .. base+hi-1 meet forward elements lo .. hi-1. */
typedef void ops_span(void *arg, int64_t base, int64_t lo, int64_t hi);
int ops_each(const lun_node *n, int copies, int64_t size, ops_span *fn,
             void *arg, lun_err *err);

/* dx[i] = 0 where a gradient is wanted of what has none. */
void ops_zero(const lun_back *b, int i);
/* Is n a maximum pooling of 2x2 windows, stride 2, no padding?  Its aux holds a
** byte for each window: which of the four won (max_pool.c). */
int ops_maxpool2x2(const lun_node *n);
/* batch_norm's n: y = scale x + shift, for each of its channels. */
void ops_norm_affine(const lun_node *n, float *scale, float *shift);
/* The rule of an operator with is_view: dx = dy. */
int ops_view_back(const lun_back *b, lun_err *err);
extern const lun_rule ops_view_rules[];

/* ---- strided and broadcast iteration (iter.c) --------------------------- */

enum { OPS_OPERANDS = 3 };

/* Walks a contiguous result of shape dim while up to three operands step
** along by step[k][d] floats.  Mergeable dimensions are merged. */
typedef struct ops_iter {
  int nd;
  int64_t dim[LUN_MAXDIM], size;
  int64_t step[OPS_OPERANDS][LUN_MAXDIM];
} ops_iter;

void ops_iter_make(ops_iter *it, int ndim, const int64_t *dim,
                   int64_t step[OPS_OPERANDS][LUN_MAXDIM]);
/* Steps of operand t spread over the right-aligned shape (0: repeated). */
void ops_spread(const lun_tensor *t, int ndim, int64_t *step);
/* Result elements at .. at+len-1 of one copy; operand k starts at off[k] and
** steps by it->step[k][it->nd - 1]. */
typedef void ops_row(void *arg, int64_t copy, int64_t at, const int64_t *off,
                     int64_t len);
int ops_rows(const lun_node *n, const ops_iter *it, int copies, ops_row *fn,
             void *arg, lun_err *err);

/* dst = scale * sum of src (of shape dim) over the flagged dimensions. */
int ops_sum(const lun_node *n, const float *src, int ndim, const int64_t *dim,
            const int *flag, double scale, float *dst, lun_err *err);
/* Sum of `len` floats in a fixed order, in double. */
double ops_run_sum(const float *x, int64_t len);

#endif
