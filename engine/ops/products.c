/*
** products.c - an operator over other inputs and weights, through its own forward
** and gradient: what relevance rules are sums of.
*/
#include "products.h"

#include <math.h>
#include <string.h>

#include "../core.h"

/* ---- scratch ------------------------------------------------------------ */

int ops_scratch_free(ops_scratch *s) {
  for (int i = 0; i < s->count; i++) lun_tensor_release(s->own[i]);
  return s->status;
}

/* A tensor like `like`, its first dimension `copies` times; NULL after a
** failure. */
lun_tensor *ops_fresh(ops_scratch *s, const lun_tensor *like, int copies) {
  int64_t dim[LUN_MAXDIM];
  lun_tensor *t;
  if (s->status != LUN_OK) return NULL;
  memcpy(dim, like->dim, sizeof dim);
  dim[0] *= copies;
  s->status = lun_tensor_new(&t, like->ndim, dim, s->err);
  if (s->status != LUN_OK) return NULL;
  s->own[s->count++] = t;
  return t;
}

typedef struct map_job {
  const float *from;
  float *to, p;
  ops_map *fn;
  int64_t n;
} map_job;

static void map_chunk(void *arg, int64_t job) {
  const map_job *j = arg;
  int64_t lo = job * OPS_CHUNK,
          hi = lo + OPS_CHUNK < j->n ? lo + OPS_CHUNK : j->n;
  for (int64_t i = lo; i < hi; i++) j->to[i] = j->fn(j->from[i], j->p);
}

/* fn over the values of t; NULL of NULL. */
lun_tensor *ops_mapped(ops_scratch *s, const lun_tensor *t, ops_map *fn,
                       float p) {
  lun_tensor *to = t ? ops_fresh(s, t, 1) : NULL;
  map_job j;
  if (!to) return NULL;
  j = (map_job){t->data, to->data, p, fn, t->size};
  s->status =
      lun_parallel((t->size + OPS_CHUNK - 1) / OPS_CHUNK, map_chunk, &j);
  return to;
}

/* ---- the operator with other inputs ------------------------------------- */

lun_tensor *ops_bias_of(const ops_scratch *s) {
  const lun_node *n = s->b->node;
  return n->nin > 2 && s->b->attr[REL_BIAS] != 0 ? n->in[2] : NULL;
}

static lun_node other(const ops_scratch *s, lun_tensor *x, lun_tensor *w,
                      lun_tensor *bias) {
  lun_node n = *s->b->node;
  n.in[0] = x;
  if (w) {
    n.in[1] = w;
    n.in[2] = bias;
    n.nin = bias ? 3 : 2;
  }
  return n;
}

typedef struct times_job {
  const float *dx, *x;
  float *to, factor;
  int add;
  int64_t n, all; /* floats of x, and of dx: one or more copies */
} times_job;

/* to = or += factor x dx, for `len` floats. */
static void times(const times_job *j, int64_t i, int64_t at, int64_t len) {
  const float *dx = j->dx + i, *x = j->x ? j->x + at : NULL;
  const float f = j->factor;
  float *to = j->to + i;
  if (!x && !j->add)
    for (int64_t k = 0; k < len; k++) to[k] = f * dx[k];
  else if (!x)
    for (int64_t k = 0; k < len; k++) to[k] += f * dx[k];
  else if (!j->add)
    for (int64_t k = 0; k < len; k++) to[k] = dx[k] * (x[k] * f);
  else
    for (int64_t k = 0; k < len; k++) to[k] += dx[k] * (x[k] * f);
}

static void times_chunk(void *arg, int64_t job) {
  const times_job *j = arg;
  int64_t i = job * OPS_CHUNK, end = i + OPS_CHUNK;
  if (end > j->all) end = j->all;
  while (i < end) {
    int64_t at = i % j->n, len = j->n - at < end - i ? j->n - at : end - i;
    times(j, i, at, len);
    i += len;
  }
}

/* to = or += factor dx x for `all` floats; x has n floats and is repeated. */
static int times_all(times_job j) {
  return lun_parallel((j.all + OPS_CHUNK - 1) / OPS_CHUNK, times_chunk, &j);
}

int ops_times(const lun_back *b, int k, const float *x, float factor) {
  int64_t n = b->node->in[k]->size;
  float *dx = b->dx[k];
  if (n == 0) return LUN_OK;
  return times_all((times_job){dx, x, dx, factor, 0, n, n * b->copies});
}

/* z += or = the operator's output. */
void ops_forward(ops_scratch *s, lun_tensor *x, lun_tensor *w, lun_tensor *bias,
                 lun_tensor *z, int add) {
  lun_tensor *part = add ? ops_fresh(s, z, 1) : z;
  lun_node n;
  if (s->status != LUN_OK) return;
  n = other(s, x, w, bias);
  n.out = part;
  s->status = n.op->forward(&n, s->err);
  if (add && s->status == LUN_OK)
    s->status = times_all(
        (times_job){part->data, NULL, z->data, 1, 1, z->size, z->size});
}

/* R_in += or = factor x times the input gradient of q; x NULL: 1. */
void ops_input_back(ops_scratch *s, const lun_tensor *q, const lun_tensor *x,
                    lun_tensor *w, float factor, int add) {
  const lun_tensor *in = s->b->node->in[0];
  int64_t n = in->size, all = n * s->b->copies;
  float *to = s->b->dx[0];
  lun_tensor *part = add || !to ? ops_fresh(s, in, s->b->copies) : NULL;
  lun_node node;
  lun_back b;
  if (s->status != LUN_OK || !to) return;
  node = other(s, s->b->node->in[0], w, NULL);
  b = (lun_back){.node = &node,
                 .copies = s->b->copies,
                 .dy = q->data,
                 .rule = node.op->rules};
  b.dx[0] = part ? part->data : to;
  s->status = b.rule->back(&b, s->err);
  if (s->status != LUN_OK) return;
  s->status = times_all(
      (times_job){b.dx[0], x ? x->data : NULL, to, factor, add, n, all});
}

/* ---- R / stab(z) -------------------------------------------------------- */

/* epsilon of one sample. */
static double scaled_epsilon(const lun_back *b, const float *z, int64_t n) {
  double sum = 0;
  if (b->attr[REL_SECOND] == 0) return b->attr[REL_EPSILON];
  for (int64_t i = 0; i < n; i++) sum += (double)z[i] * (double)z[i];
  return b->attr[REL_EPSILON] * sqrt(sum / (double)n);
}

static float stabilised(float z, float epsilon, int clip) {
  if (clip) return z < 0 ? fminf(z, -epsilon) : fmaxf(z, epsilon);
  return z < 0 ? z - epsilon : z + epsilon;
}

/* R / stab(z) of one sample. */
typedef struct share_job {
  const float *r, *z;
  float *to, epsilon;
  int64_t n;
  int clip;
} share_job;

static void share_chunk(void *arg, int64_t job) {
  const share_job *j = arg;
  int64_t i = job * OPS_CHUNK,
          end = i + OPS_CHUNK < j->n ? i + OPS_CHUNK : j->n;
  for (; i < end; i++)
    j->to[i] = j->r[i] / stabilised(j->z[i], j->epsilon, j->clip);
}

/* full: the rule has clip and norm_scale. */
lun_tensor *ops_quotient(ops_scratch *s, const lun_tensor *z, int full) {
  const lun_back *b = s->b;
  lun_tensor *q = ops_fresh(s, z, b->copies);
  int64_t row;
  if (!q || !z->size) return q;
  row = z->size / z->dim[0];
  for (int64_t r = 0; r < q->size / row && s->status == LUN_OK; r++) {
    const float *zr = z->data + r % z->dim[0] * row;
    double e = full ? scaled_epsilon(b, zr, row) : b->attr[REL_EPSILON];
    share_job j = {b->dy + r * row, zr,  q->data + r * row,
                   (float)e,        row, full && b->attr[REL_FIRST] != 0};
    s->status =
        lun_parallel((row + OPS_CHUNK - 1) / OPS_CHUNK, share_chunk, &j);
  }
  return s->status == LUN_OK ? q : NULL;
}

/* Adds what the bias of z = W x + bias takes, factor bias R / stab(z). */
void ops_note_bias(const ops_scratch *s, const lun_tensor *bias,
                   const lun_tensor *q, float factor) {
  int64_t channels, plane;
  if (!s->b->bias || !bias || !q || !q->size) return;
  channels = bias->size;
  plane = q->size / q->dim[0] / channels; /* of linear the last dimension */
  if (s->b->node->op == &lun_op_linear) plane = 1;
  for (int64_t at = 0; at < q->size; at += channels * plane)
    for (int64_t c = 0; c < channels; c++)
      *s->b->bias += (double)(factor * bias->data[c]) *
                     lun_sum(q->data + at + c * plane, plane);
}
