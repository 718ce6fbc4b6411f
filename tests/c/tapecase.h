/*
** tapecase.h - small networks on a tape for the tests of the core.
**
**   lun_var x = leaf(tape, "1,3,8,8", seed);      a watched random tensor
**   lun_var y = put(tape, "relu", NULL, 0, x, none, none);
**
** `put` checks that applying worked and keeps no reference: values live as
** long as the tape.  Variables of nodes that were refused have t == NULL.
*/
#ifndef TAPECASE_H
#define TAPECASE_H
#include "../../engine/lunette.h"
#include "check.h"

#define TAPECASE __attribute__((unused)) static

static const lun_var none = {NULL, -1};

/* Normal values of shape "2,3,4". */
TAPECASE lun_tensor *noise(const char *shape, uint64_t seed) {
  int64_t dim[LUN_MAXDIM];
  int n = 0;
  lun_tensor *t = NULL;
  for (char *end; n < LUN_MAXDIM; shape = end + 1) {
    dim[n++] = strtoll(shape, &end, 10);
    if (*end != ',') break;
  }
  if (lun_tensor_new(&t, n, dim, NULL) != LUN_OK) return NULL;
  lun_random_normal(t->data, t->size, seed, 0);
  return t;
}

/* A leaf of noise; the tape keeps the tensor. */
TAPECASE lun_var leaf(lun_tape *tape, const char *shape, uint64_t seed) {
  lun_var v = {noise(shape, seed), -1};
  lun_err err;
  int status = lun_tape_watch(tape, v.t, &v.node, &err);
  CHECK(status == LUN_OK, "%s", err.msg);
  lun_tensor_release(v.t); /* the tape has its own reference */
  return v;
}

/* Applies `op` with one attribute changed (NULL: none). */
TAPECASE lun_var put_with(lun_tape *tape, const char *op, const char *attr,
                          double value, unsigned flags, lun_var a, lun_var b,
                          lun_var c) {
  const lun_op *o = lun_op_find(op);
  lun_var in[3] = {a, b, c}, out;
  double attrs[LUN_MAXATTR];
  int nin = c.t ? 3 : b.t ? 2 : 1;
  lun_err err = {0, ""};
  lun_attr_defaults(o, attrs);
  if (attr)
    CHECK(lun_attr_set(o, attrs, attr, value, &err) == LUN_OK, "%s", err.msg);
  CHECK(lun_apply(tape, o, in, nin, attrs, op, flags, &out, &err) == LUN_OK,
        "%s: %s", op, err.msg);
  if (out.node >= 0) lun_tensor_release(out.t);
  return out;
}

TAPECASE lun_var put(lun_tape *tape, const char *op, lun_var a, lun_var b,
                     lun_var c) {
  return put_with(tape, op, NULL, 0, 0, a, b, c);
}

/* conv 3x3 + relu, twice, flatten, linear: 2 pictures (3,8,8) to 4 classes.
** The weights are constants that belong to the caller. */
typedef struct tapenet {
  lun_tensor *w1, *b1, *w2, *w3;
  lun_tape *tape;
  lun_var x, conv1, relu1, conv2, relu2, flat, out;
} tapenet;

TAPECASE void tapenet_open(tapenet *n, unsigned flags) {
  memset(n, 0, sizeof *n);
  n->w1 = noise("6,3,3,3", 2);
  n->b1 = noise("6", 3);
  n->w2 = noise("5,6,3,3", 4);
  n->w3 = noise("4,80", 5);
  CHECK(lun_tape_new(&n->tape, NULL) == LUN_OK, "tape");
  n->x = leaf(n->tape, "2,3,8,8", 1);
  n->conv1 = put_with(n->tape, "conv2d", NULL, 0, flags, n->x,
                      (lun_var){n->w1, -1}, (lun_var){n->b1, -1});
  n->relu1 = put(n->tape, "relu", n->conv1, none, none);
  n->conv2 = put_with(n->tape, "conv2d", NULL, 0, flags, n->relu1,
                      (lun_var){n->w2, -1}, none);
  n->relu2 = put(n->tape, "relu", n->conv2, none, none);
  n->flat = put(n->tape, "flatten", n->relu2, none, none);
  n->out = put(n->tape, "linear", n->flat, (lun_var){n->w3, -1}, none);
}

TAPECASE void tapenet_close(tapenet *n) {
  lun_tape_release(n->tape);
  lun_tensor_release(n->w1);
  lun_tensor_release(n->b1);
  lun_tensor_release(n->w2);
  lun_tensor_release(n->w3);
}

/* Are the values the same, to the bit? */
TAPECASE int same_bits(const lun_tensor *a, const lun_tensor *b) {
  return a && b && a->size == b->size &&
         memcmp(a->data, b->data, (size_t)a->size * sizeof *a->data) == 0;
}

/* ||a - b|| / ||b|| */
TAPECASE double distance(const float *a, const float *b, int64_t n) {
  double d = 0, s = 0;
  for (int64_t i = 0; i < n; i++) {
    d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    s += (double)b[i] * (double)b[i];
  }
  return s > 0 ? sqrt(d / s) : sqrt(d);
}

/* A walk from `node` to `want` where every relu has `rule` (NULL: plain);
** returns the gradient with a reference of its own, or NULL. */
TAPECASE lun_tensor *gradient(lun_tape *tape, int node, lun_tensor *seed,
                              int want, const char *rule, double param) {
  lun_walk *w = NULL;
  lun_tensor *g = NULL;
  lun_err err = {0, ""};
  int status = lun_walk_new(&w, tape, node, seed, &err);
  if (status == LUN_OK) status = lun_walk_want(w, want, &err);
  for (int i = 0; rule && status == LUN_OK && i < node; i++) {
    const lun_node *n = lun_tape_node(tape, i);
    if (n->op && strcmp(n->op->name, "relu") == 0)
      status = lun_walk_rule(w, i, lun_op_rule(n->op, rule, &err),
                             (double[LUN_MAXPARAM]){param}, &err);
  }
  if (status == LUN_OK) status = lun_walk_next(w, &err);
  if (status == LUN_OK) g = lun_tensor_retain(lun_walk_gradient(w, want));
  lun_walk_free(w);
  return g;
}

#endif
