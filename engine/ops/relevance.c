/*
** relevance.c - layer-wise relevance propagation (Bach et al. 2015, Montavon et al.
** 2019; the rules of zennit).  R is the relevance of a layer's outputs,
**   stab(z) = z + sign(z) epsilon, sign(0) = 1,
** x+ and x- the positive and the negative part of x, and W^T s the layer's input
** gradient for the output gradient s.
**
**   epsilon   z = W x + b              R_in = x W^T (R / stab(z))
**             clip: sign(z) max(|z|, epsilon) in place of stab(z);
**             norm_scale: epsilon times the root mean square of the sample's z
**   norm      the same for layers without weights: sums, means, average pooling
**   z_plus    z = W+ x+ + W- x- + b+   R_in = x+ W+^T s + x- W-^T s
**   w_plus    z = W+ x + b             R_in = x W+^T s (captum's alpha 1 beta 0;
**             excitation backprop of TorchRay without bias)
**   alpha_beta  alpha times z_plus - beta times the same of the other two products:
**             zn = W- x+ + W+ x- + b-
**   gamma     P = W + gamma W+, N = W + gamma W-;  with z = W x + b:
**             z > 0: s = R / stab(P x+ + N x- + b + gamma b+),
**                    R_in += x+ P^T s + x- N^T s;   z < 0: the same, P and N and
**             b+ and b- exchanged
**   gamma_captum  z = P x + b          R_in = x P^T s
**   z_box     z = W x - W+ low - W- high
**             R_in = x W^T s - low W+^T s - high W-^T s   (low <= x <= high)
**   w_square  z = W^2 1 + b^2          R_in = (W^2)^T s
**   flat      the same with 1 for W and no bias
**
** bias = 0 leaves b out.  All are sums of products "relevance over an input and
** changed weights", which run through the operator's own forward and gradient, so
** that every convolution and dense layer has them.
*/
#include "relevance.h"

#include <math.h>
#include <string.h>

#define ATTR(id, slot, n, value)                                               \
  { .name = id, .at = slot, .count = n, .fallback = value }
enum { EPSILON, BIAS, FIRST, SECOND, LOW = 2, HIGH = 5 };

const lun_attrdef lun_relevance_epsilon_attrs[] = {
    ATTR("epsilon", EPSILON, 1, 1e-6),
    ATTR("bias", BIAS, 1, 1),
    ATTR("clip", FIRST, 1, 0),
    ATTR("norm_scale", SECOND, 1, 0),
    {.name = NULL},
};
const lun_attrdef lun_relevance_basic_attrs[] = {
    ATTR("epsilon", EPSILON, 1, 1e-6),
    ATTR("bias", BIAS, 1, 1),
    {.name = NULL},
};
const lun_attrdef lun_relevance_alpha_beta_attrs[] = {
    ATTR("alpha", FIRST, 1, 2),
    ATTR("beta", SECOND, 1, 1),
    ATTR("epsilon", EPSILON, 1, 1e-6),
    ATTR("bias", BIAS, 1, 1),
    {.name = NULL},
};
const lun_attrdef lun_relevance_gamma_attrs[] = {
    ATTR("gamma", FIRST, 1, 0.25),
    ATTR("epsilon", EPSILON, 1, 1e-6),
    ATTR("bias", BIAS, 1, 1),
    {.name = NULL},
};
const lun_attrdef lun_relevance_z_box_attrs[] = {
    ATTR("low", LOW, 3, LUN_UNSET),
    ATTR("high", HIGH, 3, LUN_UNSET),
    ATTR("epsilon", EPSILON, 1, 1e-6),
    {.name = NULL},
};

/* ---- scratch ------------------------------------------------------------ */

enum { MOST = 16 };

/* Everything that one call allocates; the first failure stays in status. */
typedef struct scratch {
  const lun_back *b;
  lun_err *err;
  lun_tensor *own[MOST];
  int count, status;
} scratch;

static int finish(scratch *s) {
  for (int i = 0; i < s->count; i++) lun_tensor_release(s->own[i]);
  return s->status;
}

/* A tensor like `like`, its first dimension `copies` times; NULL after a
** failure. */
static lun_tensor *fresh(scratch *s, const lun_tensor *like, int copies) {
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

/* What a value becomes, x or one of the weights; p: a parameter. */
typedef float map(float v, float p);

static float positive(float v, float p) { return (void)p, v > 0 ? v : 0.0f; }
static float negative(float v, float p) { return (void)p, v < 0 ? v : 0.0f; }
static float squared(float v, float p) { return (void)p, v * v; }
static float constant(float v, float p) { return (void)v, p; }
static float raised(float v, float p) { return v > 0 ? v + p * v : v; }
static float lowered(float v, float p) { return v < 0 ? v + p * v : v; }

typedef struct map_job {
  const float *from;
  float *to, p;
  map *fn;
  int64_t n;
} map_job;

static void map_chunk(void *arg, int64_t job) {
  const map_job *j = arg;
  int64_t lo = job * OPS_CHUNK,
          hi = lo + OPS_CHUNK < j->n ? lo + OPS_CHUNK : j->n;
  for (int64_t i = lo; i < hi; i++) j->to[i] = j->fn(j->from[i], j->p);
}

/* fn over the values of t; NULL of NULL. */
static lun_tensor *mapped(scratch *s, const lun_tensor *t, map *fn, float p) {
  lun_tensor *to = t ? fresh(s, t, 1) : NULL;
  map_job j;
  if (!to) return NULL;
  j = (map_job){t->data, to->data, p, fn, t->size};
  s->status =
      lun_parallel((t->size + OPS_CHUNK - 1) / OPS_CHUNK, map_chunk, &j);
  return to;
}

static int any_negative(const lun_tensor *t) {
  for (int64_t i = 0; i < t->size; i++)
    if (t->data[i] < 0) return 1;
  return 0;
}

/* ---- the operator with other inputs ------------------------------------- */

static lun_tensor *bias_of(const scratch *s) {
  const lun_node *n = s->b->node;
  return n->nin > 2 && s->b->attr[BIAS] != 0 ? n->in[2] : NULL;
}

static lun_node other(const scratch *s, lun_tensor *x, lun_tensor *w,
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

/* z += or = the operator's output. */
static void forward(scratch *s, lun_tensor *x, lun_tensor *w, lun_tensor *bias,
                    lun_tensor *z, int add) {
  lun_tensor *part = add ? fresh(s, z, 1) : z;
  lun_node n;
  if (s->status != LUN_OK) return;
  n = other(s, x, w, bias);
  n.out = part;
  s->status = n.op->forward(&n, s->err);
  for (int64_t i = 0; add && s->status == LUN_OK && i < z->size; i++)
    z->data[i] += part->data[i];
}

/* R_in += or = factor x times the input gradient of q; x NULL: 1. */
static void back(scratch *s, const lun_tensor *q, const lun_tensor *x,
                 lun_tensor *w, float factor, int add) {
  const lun_tensor *in = s->b->node->in[0];
  int64_t n = in->size, all = n * s->b->copies;
  float *to = s->b->dx[0];
  lun_tensor *part = add || !to ? fresh(s, in, s->b->copies) : NULL;
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
  for (int64_t i = 0; i < all; i++) {
    float v = b.dx[0][i] * (x ? x->data[i % n] * factor : factor);
    to[i] = add ? to[i] + v : v;
  }
}

/* ---- R / stab(z) --------------------------------------------------------- */

/* epsilon of one sample. */
static double scaled_epsilon(const lun_back *b, const float *z, int64_t n) {
  double sum = 0;
  if (b->attr[SECOND] == 0) return b->attr[EPSILON];
  for (int64_t i = 0; i < n; i++) sum += (double)z[i] * (double)z[i];
  return b->attr[EPSILON] * sqrt(sum / (double)n);
}

static float stabilised(float z, float epsilon, int clip) {
  if (clip) return z < 0 ? fminf(z, -epsilon) : fmaxf(z, epsilon);
  return z < 0 ? z - epsilon : z + epsilon;
}

/* full: the rule has clip and norm_scale. */
static lun_tensor *quotient(scratch *s, const lun_tensor *z, int full) {
  const lun_back *b = s->b;
  lun_tensor *q = fresh(s, z, b->copies);
  int64_t row;
  if (!q || !z->size) return q;
  row = z->size / z->dim[0];
  for (int64_t r = 0; r < q->size / row; r++) {
    const float *zr = z->data + r % z->dim[0] * row;
    double e = full ? scaled_epsilon(b, zr, row) : b->attr[EPSILON];
    int clip = full && b->attr[FIRST] != 0;
    for (int64_t i = 0; i < row; i++)
      q->data[r * row + i] =
          b->dy[r * row + i] / stabilised(zr[i], (float)e, clip);
  }
  return q;
}

/* Parameters have no relevance. */
static scratch begin(const lun_back *b, lun_err *err) {
  for (int i = 1; i < b->node->nin; i++) ops_zero(b, i);
  return (scratch){.b = b, .err = err};
}

/* ---- the rules ----------------------------------------------------------- */

/* R_in = x W^T (R / stab(W x + b)) */
static void one_product(scratch *s, lun_tensor *w, int full) {
  lun_tensor *x = s->b->node->in[0];
  lun_tensor *z = fresh(s, s->b->node->out, 1);
  forward(s, x, w, bias_of(s), z, 0);
  if (z) back(s, quotient(s, z, full), x, w, 1, 0);
}

int lun_relevance_epsilon(const lun_back *b, lun_err *err) {
  scratch s = begin(b, err);
  one_product(&s, b->node->in[1], 1);
  return finish(&s);
}

int lun_relevance_w_plus(const lun_back *b, lun_err *err) {
  scratch s = begin(b, err);
  one_product(&s, mapped(&s, b->node->in[1], positive, 0), 0);
  return finish(&s);
}

int lun_relevance_gamma_captum(const lun_back *b, lun_err *err) {
  scratch s = begin(b, err);
  one_product(&s, mapped(&s, b->node->in[1], raised, (float)b->attr[FIRST]), 0);
  return finish(&s);
}

/* Two products: of x+ with one set of weights and x- with another, where x has
** negative values.  R_in += factor times their share. */
typedef struct pair {
  lun_tensor *up, *down; /* x+, x- or NULL */
  lun_tensor *w[2];      /* with x+, with x- */
  lun_tensor *bias;
} pair;

static lun_tensor *pair_forward(scratch *s, const pair *p) {
  lun_tensor *z = fresh(s, s->b->node->out, 1);
  if (!z) return NULL;
  forward(s, p->up, p->w[0], p->bias, z, 0);
  if (p->down) forward(s, p->down, p->w[1], NULL, z, 1);
  return z;
}

static void pair_back(scratch *s, const pair *p, const lun_tensor *q,
                      float factor, int add) {
  if (!q) return;
  back(s, q, p->up, p->w[0], factor, add);
  if (p->down) back(s, q, p->down, p->w[1], factor, 1);
}

/* x split by sign; the weights by `fn`, for x- by `gn`. */
static pair split(scratch *s, map *fn, map *gn, float p) {
  const lun_node *n = s->b->node;
  pair all = {.up = n->in[0]};
  all.w[0] = mapped(s, n->in[1], fn, p);
  if (!any_negative(n->in[0])) return all;
  all.up = mapped(s, n->in[0], positive, 0);
  all.down = mapped(s, n->in[0], negative, 0);
  all.w[1] = mapped(s, n->in[1], gn, p);
  return all;
}

int lun_relevance_z_plus(const lun_back *b, lun_err *err) {
  scratch s = begin(b, err);
  pair p = split(&s, positive, negative, 0);
  lun_tensor *z;
  p.bias = mapped(&s, bias_of(&s), positive, 0);
  z = pair_forward(&s, &p);
  if (z) pair_back(&s, &p, quotient(&s, z, 0), 1, 0);
  return finish(&s);
}

int lun_relevance_alpha_beta(const lun_back *b, lun_err *err) {
  scratch s = begin(b, err);
  for (int k = 0; k < 2; k++) {
    scratch part = {.b = b, .err = err};
    pair p = k ? split(&part, negative, positive, 0)
               : split(&part, positive, negative, 0);
    float factor = (float)(k ? -b->attr[SECOND] : b->attr[FIRST]);
    lun_tensor *z;
    p.bias = mapped(&part, bias_of(&part), k ? negative : positive, 0);
    z = pair_forward(&part, &p);
    /* zn <= 0: its stabiliser has its sign, as everywhere */
    if (z) pair_back(&part, &p, quotient(&part, z, 0), factor, k);
    s.status = finish(&part);
    if (s.status != LUN_OK) break;
  }
  return finish(&s);
}

/* Keeps R where the sign of z is `sign`. */
static void only_sign(lun_tensor *q, const lun_tensor *z, int sign) {
  for (int64_t i = 0; i < q->size; i++) {
    float v = z->data[i % z->size];
    if (!(sign > 0 ? v > 0 : v < 0)) q->data[i] = 0;
  }
}

/* b + gamma b+ (or b-). */
static lun_tensor *gamma_bias(scratch *s, int sign) {
  return mapped(s, bias_of(s), sign > 0 ? raised : lowered,
                (float)s->b->attr[FIRST]);
}

int lun_relevance_gamma(const lun_back *b, lun_err *err) {
  scratch s = begin(b, err);
  const lun_node *n = b->node;
  lun_tensor *z = fresh(&s, n->out, 1);
  /* the sign is that of the output with its bias, whatever the rule leaves out */
  forward(&s, n->in[0], n->in[1], n->nin > 2 ? n->in[2] : NULL, z, 0);
  for (int k = 0; k < 2 && s.status == LUN_OK; k++) {
    scratch part = {.b = b, .err = err};
    float gamma = (float)b->attr[FIRST];
    pair p = k ? split(&part, lowered, raised, gamma)
               : split(&part, raised, lowered, gamma);
    lun_tensor *zk, *q = NULL;
    p.bias = gamma_bias(&part, k ? -1 : 1);
    zk = pair_forward(&part, &p);
    if (zk) q = quotient(&part, zk, 0);
    if (q) only_sign(q, z, k ? -1 : 1);
    pair_back(&part, &p, q, 1, k);
    s.status = finish(&part);
  }
  return finish(&s);
}

/* A tensor like x whose channels hold the bound at slot `at`. */
static lun_tensor *bound(scratch *s, int at) {
  const double *v = s->b->attr + at;
  const lun_tensor *x = s->b->node->in[0];
  lun_tensor *t = fresh(s, x, 1);
  int64_t channels = x->ndim > 1 ? x->dim[1] : 1, plane;
  if (!t || !t->size) return t;
  plane = x->size / x->dim[0] / channels;
  for (int64_t i = 0; i < t->size; i++) {
    int64_t c = i / plane % channels;
    t->data[i] = (float)(c < 3 && v[c] > LUN_UNSET ? v[c] : v[0]);
  }
  return t;
}

int lun_relevance_z_box(const lun_back *b, lun_err *err) {
  scratch s = begin(b, err);
  const lun_node *n = b->node;
  lun_tensor *z, *q, *part[3], *w[3];
  if (b->attr[LOW] <= LUN_UNSET || b->attr[HIGH] <= LUN_UNSET)
    return ops_fail(
        n, err, LUN_EARG,
        "z_box: 'low' and 'high' bound the input and must be given");
  part[0] = n->in[0];
  part[1] = bound(&s, LOW);
  part[2] = bound(&s, HIGH);
  w[0] = n->in[1];
  w[1] = mapped(&s, n->in[1], positive, 0);
  w[2] = mapped(&s, n->in[1], negative, 0);
  z = fresh(&s, n->out, 1);
  for (int k = 0; k < 3 && s.status == LUN_OK; k++) {
    lun_tensor *zk = k ? fresh(&s, n->out, 1) : z;
    if (!zk) break;
    forward(&s, part[k], w[k], NULL, zk, 0);
    for (int64_t i = 0; k && i < z->size; i++) z->data[i] -= zk->data[i];
  }
  q = z ? quotient(&s, z, 0) : NULL;
  for (int k = 0; k < 3 && q; k++)
    back(&s, q, part[k], w[k], k ? -1.0f : 1.0f, k > 0);
  return finish(&s);
}

/* R_in = V^T (R / stab(V 1 + c)) */
static void without_input(scratch *s, lun_tensor *v, lun_tensor *c) {
  lun_tensor *ones = mapped(s, s->b->node->in[0], constant, 1);
  lun_tensor *z = fresh(s, s->b->node->out, 1);
  forward(s, ones, v, c, z, 0);
  if (z) back(s, quotient(s, z, 0), NULL, v, 1, 0);
}

int lun_relevance_w_square(const lun_back *b, lun_err *err) {
  scratch s = begin(b, err);
  lun_tensor *c = mapped(&s, bias_of(&s), squared, 0);
  without_input(&s, mapped(&s, b->node->in[1], squared, 0), c);
  return finish(&s);
}

int lun_relevance_flat(const lun_back *b, lun_err *err) {
  scratch s = begin(b, err);
  without_input(&s, mapped(&s, b->node->in[1], constant, 1), NULL);
  return finish(&s);
}

/* R_in of input k = x_k times its gradient for R / stab(z). */
int lun_relevance_norm(const lun_back *b, lun_err *err) {
  scratch s = {.b = b, .err = err};
  const lun_node *n = b->node;
  lun_tensor *q = quotient(&s, n->out, 1);
  lun_back plain = *b;
  if (!q) return finish(&s);
  plain.dy = q->data;
  plain.rule = n->op->rules;
  s.status = plain.rule->back(&plain, err);
  for (int k = 0; k < n->nin && s.status == LUN_OK; k++)
    for (int64_t i = 0; b->dx[k] && i < b->copies * n->in[k]->size; i++)
      b->dx[k][i] *= n->in[k]->data[i % n->in[k]->size];
  return finish(&s);
}
