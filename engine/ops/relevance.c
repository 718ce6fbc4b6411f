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
**   uniform   of a product of two inputs: `first` of the relevance goes to the first,
**             the rest to the second; half each, or all to the one that is no
**             constant (AttnLRP, Achtibat et al. 2024).  Of a product of matrices
**             z = A B: R_A = first A (R / stab(z)) B^T, likewise B
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

#include "products.h"

#define ATTR(id, slot, n, value)                                               \
  { .name = id, .at = slot, .count = n, .fallback = value }
enum { LOW = 2, HIGH = 5 };

const lun_attrdef lun_relevance_epsilon_attrs[] = {
    ATTR("epsilon", REL_EPSILON, 1, 1e-6),
    ATTR("bias", REL_BIAS, 1, 1),
    ATTR("clip", REL_FIRST, 1, 0),
    ATTR("norm_scale", REL_SECOND, 1, 0),
    {.name = NULL},
};
const lun_attrdef lun_relevance_basic_attrs[] = {
    ATTR("epsilon", REL_EPSILON, 1, 1e-6),
    ATTR("bias", REL_BIAS, 1, 1),
    {.name = NULL},
};
const lun_attrdef lun_relevance_alpha_beta_attrs[] = {
    ATTR("alpha", REL_FIRST, 1, 2),
    ATTR("beta", REL_SECOND, 1, 1),
    ATTR("epsilon", REL_EPSILON, 1, 1e-6),
    ATTR("bias", REL_BIAS, 1, 1),
    {.name = NULL},
};
const lun_attrdef lun_relevance_gamma_attrs[] = {
    ATTR("gamma", REL_FIRST, 1, 0.25),
    ATTR("epsilon", REL_EPSILON, 1, 1e-6),
    ATTR("bias", REL_BIAS, 1, 1),
    {.name = NULL},
};
const lun_attrdef lun_relevance_uniform_attrs[] = {
    ATTR("first", REL_FIRST, 1, LUN_UNSET),
    ATTR("epsilon", REL_EPSILON, 1, 1e-6),
    {.name = NULL},
};
const lun_attrdef lun_relevance_z_box_attrs[] = {
    ATTR("low", LOW, 3, LUN_UNSET),
    ATTR("high", HIGH, 3, LUN_UNSET),
    ATTR("epsilon", REL_EPSILON, 1, 1e-6),
    {.name = NULL},
};
static float positive(float v, float p) { return (void)p, v > 0 ? v : 0.0f; }
static float negative(float v, float p) { return (void)p, v < 0 ? v : 0.0f; }
static float squared(float v, float p) { return (void)p, v * v; }
static float constant(float v, float p) { return (void)v, p; }
static float raised(float v, float p) { return v > 0 ? v + p * v : v; }
static float lowered(float v, float p) { return v < 0 ? v + p * v : v; }

static int any_negative(const lun_tensor *t) {
  for (int64_t i = 0; i < t->size; i++)
    if (t->data[i] < 0) return 1;
  return 0;
}

/* Parameters have no relevance; a product of two computed matrices has none. */
static ops_scratch begin(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  ops_scratch s = {.b = b, .err = err};
  for (int i = 1; i < n->nin; i++) ops_zero(b, i);
  if (n->op == &lun_op_matmul && n->src[1] >= 0)
    s.status = ops_fail(n, err, LUN_EARG,
                        "rule '%s' wants weights as the right matrix; a "
                        "product of two computed ones may have 'uniform'",
                        b->rule->name);
  return s;
}

/* ---- the rules ---------------------------------------------------------- */

/* R_in = x W^T (R / stab(W x + b)) */
static void one_product(ops_scratch *s, lun_tensor *w, int full) {
  lun_tensor *x = s->b->node->in[0];
  lun_tensor *z = ops_fresh(s, s->b->node->out, 1), *q;
  ops_forward(s, x, w, ops_bias_of(s), z, 0);
  if (!z || !(q = ops_quotient(s, z, full))) return;
  ops_note_bias(s, ops_bias_of(s), q, 1);
  ops_input_back(s, q, x, w, 1, 0);
}

int lun_relevance_epsilon(const lun_back *b, lun_err *err) {
  ops_scratch s = begin(b, err);
  one_product(&s, b->node->in[1], 1);
  return ops_scratch_free(&s);
}

int lun_relevance_w_plus(const lun_back *b, lun_err *err) {
  ops_scratch s = begin(b, err);
  one_product(&s, ops_mapped(&s, b->node->in[1], positive, 0), 0);
  return ops_scratch_free(&s);
}

int lun_relevance_gamma_captum(const lun_back *b, lun_err *err) {
  ops_scratch s = begin(b, err);
  one_product(
      &s, ops_mapped(&s, b->node->in[1], raised, (float)b->attr[REL_FIRST]), 0);
  return ops_scratch_free(&s);
}

/* Two products: of x+ with one set of weights and x- with another, where x has
** negative values.  R_in += factor times their share. */
typedef struct pair {
  lun_tensor *up, *down; /* x+, x- or NULL */
  lun_tensor *w[2];      /* with x+, with x- */
  lun_tensor *bias;
} pair;

static lun_tensor *pair_forward(ops_scratch *s, const pair *p) {
  lun_tensor *z = ops_fresh(s, s->b->node->out, 1);
  if (!z) return NULL;
  ops_forward(s, p->up, p->w[0], p->bias, z, 0);
  if (p->down) ops_forward(s, p->down, p->w[1], NULL, z, 1);
  return z;
}

static void pair_back(ops_scratch *s, const pair *p, const lun_tensor *q,
                      float factor, int add) {
  if (!q) return;
  ops_note_bias(s, p->bias, q, factor);
  ops_input_back(s, q, p->up, p->w[0], factor, add);
  if (p->down) ops_input_back(s, q, p->down, p->w[1], factor, 1);
}

/* x split by sign; the weights by `fn`, for x- by `gn`. */
static pair split(ops_scratch *s, ops_map *fn, ops_map *gn, float p) {
  const lun_node *n = s->b->node;
  pair all = {.up = n->in[0]};
  all.w[0] = ops_mapped(s, n->in[1], fn, p);
  if (!any_negative(n->in[0])) return all;
  all.up = ops_mapped(s, n->in[0], positive, 0);
  all.down = ops_mapped(s, n->in[0], negative, 0);
  all.w[1] = ops_mapped(s, n->in[1], gn, p);
  return all;
}

int lun_relevance_z_plus(const lun_back *b, lun_err *err) {
  ops_scratch s = begin(b, err);
  pair p = split(&s, positive, negative, 0);
  lun_tensor *z;
  p.bias = ops_mapped(&s, ops_bias_of(&s), positive, 0);
  z = pair_forward(&s, &p);
  if (z) pair_back(&s, &p, ops_quotient(&s, z, 0), 1, 0);
  return ops_scratch_free(&s);
}

int lun_relevance_alpha_beta(const lun_back *b, lun_err *err) {
  ops_scratch s = begin(b, err);
  for (int k = 0; k < 2 && s.status == LUN_OK; k++) {
    ops_scratch part = {.b = b, .err = err};
    pair p = k ? split(&part, negative, positive, 0)
               : split(&part, positive, negative, 0);
    float factor = (float)(k ? -b->attr[REL_SECOND] : b->attr[REL_FIRST]);
    lun_tensor *z;
    p.bias = ops_mapped(&part, ops_bias_of(&part), k ? negative : positive, 0);
    z = pair_forward(&part, &p);
    /* zn <= 0: its stabiliser has its sign, as everywhere */
    if (z) pair_back(&part, &p, ops_quotient(&part, z, 0), factor, k);
    s.status = ops_scratch_free(&part);
  }
  return ops_scratch_free(&s);
}

/* Keeps R where the sign of z is `sign`. */
static void only_sign(lun_tensor *q, const lun_tensor *z, int sign) {
  for (int64_t i = 0; i < q->size; i++) {
    float v = z->data[i % z->size];
    if (!(sign > 0 ? v > 0 : v < 0)) q->data[i] = 0;
  }
}

/* b + gamma b+ (or b-). */
static lun_tensor *gamma_bias(ops_scratch *s, int sign) {
  return ops_mapped(s, ops_bias_of(s), sign > 0 ? raised : lowered,
                    (float)s->b->attr[REL_FIRST]);
}

int lun_relevance_gamma(const lun_back *b, lun_err *err) {
  ops_scratch s = begin(b, err);
  const lun_node *n = b->node;
  lun_tensor *z = ops_fresh(&s, n->out, 1);
  /* the sign is that of the output with its bias, whatever the rule leaves out */
  ops_forward(&s, n->in[0], n->in[1], n->nin > 2 ? n->in[2] : NULL, z, 0);
  for (int k = 0; k < 2 && s.status == LUN_OK; k++) {
    ops_scratch part = {.b = b, .err = err};
    float gamma = (float)b->attr[REL_FIRST];
    pair p = k ? split(&part, lowered, raised, gamma)
               : split(&part, raised, lowered, gamma);
    lun_tensor *zk, *q = NULL;
    p.bias = gamma_bias(&part, k ? -1 : 1);
    zk = pair_forward(&part, &p);
    if (zk) q = ops_quotient(&part, zk, 0);
    if (q) only_sign(q, z, k ? -1 : 1);
    pair_back(&part, &p, q, 1, k);
    s.status = ops_scratch_free(&part);
  }
  return ops_scratch_free(&s);
}

/* A tensor like x whose channels hold the bound at slot `at`. */
static lun_tensor *bound(ops_scratch *s, int at) {
  const double *v = s->b->attr + at;
  const lun_tensor *x = s->b->node->in[0];
  lun_tensor *t = ops_fresh(s, x, 1);
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
  ops_scratch s = begin(b, err);
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
  w[1] = ops_mapped(&s, n->in[1], positive, 0);
  w[2] = ops_mapped(&s, n->in[1], negative, 0);
  z = ops_fresh(&s, n->out, 1);
  for (int k = 0; k < 3 && s.status == LUN_OK; k++) {
    lun_tensor *zk = k ? ops_fresh(&s, n->out, 1) : z;
    if (!zk) break;
    ops_forward(&s, part[k], w[k], NULL, zk, 0);
    for (int64_t i = 0; k && i < z->size; i++) z->data[i] -= zk->data[i];
  }
  q = z ? ops_quotient(&s, z, 0) : NULL;
  for (int k = 0; k < 3 && q; k++)
    ops_input_back(&s, q, part[k], w[k], k ? -1.0f : 1.0f, k > 0);
  return ops_scratch_free(&s);
}

/* R_in = V^T (R / stab(V 1 + c)) */
static void without_input(ops_scratch *s, lun_tensor *v, lun_tensor *c) {
  lun_tensor *ones = ops_mapped(s, s->b->node->in[0], constant, 1);
  lun_tensor *z = ops_fresh(s, s->b->node->out, 1), *q;
  ops_forward(s, ones, v, c, z, 0);
  if (!z || !(q = ops_quotient(s, z, 0))) return;
  ops_note_bias(s, c, q, 1);
  ops_input_back(s, q, NULL, v, 1, 0);
}

int lun_relevance_w_square(const lun_back *b, lun_err *err) {
  ops_scratch s = begin(b, err);
  lun_tensor *c = ops_mapped(&s, ops_bias_of(&s), squared, 0);
  without_input(&s, ops_mapped(&s, b->node->in[1], squared, 0), c);
  return ops_scratch_free(&s);
}

int lun_relevance_flat(const lun_back *b, lun_err *err) {
  ops_scratch s = begin(b, err);
  without_input(&s, ops_mapped(&s, b->node->in[1], constant, 1), NULL);
  return ops_scratch_free(&s);
}

/* R_in of input k = x_k times its gradient for R / stab(z), times its share. */
static int by_gradient(const lun_back *b, int full, lun_err *err) {
  ops_scratch s = {.b = b, .err = err};
  const lun_node *n = b->node;
  lun_tensor *q = ops_quotient(&s, n->out, full);
  lun_back plain = *b;
  if (!q) return ops_scratch_free(&s);
  plain.dy = q->data;
  plain.rule = n->op->rules;
  s.status = plain.rule->back(&plain, err);
  for (int k = 0; k < n->nin && s.status == LUN_OK; k++) {
    float share = full ? 1.0f : lun_relevance_share(b, k);
    if (b->dx[k]) s.status = ops_times(b, k, n->in[k]->data, share);
  }
  return ops_scratch_free(&s);
}

int lun_relevance_norm(const lun_back *b, lun_err *err) {
  return by_gradient(b, 1, err);
}

float lun_relevance_share(const lun_back *b, int k) {
  const lun_node *n = b->node;
  double first = b->attr[REL_FIRST];
  if (first <= LUN_UNSET) first = n->src[1] < 0 ? 1 : n->src[0] < 0 ? 0 : 0.5;
  return (float)(k == 0 ? first : 1 - first);
}

int lun_relevance_uniform(const lun_back *b, lun_err *err) {
  return by_gradient(b, 0, err);
}
