/*
** test_walk.c - backward: against finite differences and by hand, rules fused
** into convolutions against the same rules by themselves, several seeds in
** one walk against walks of their own, hooks.
*/
#include "tapecase.h"

/* ---- the true gradient -------------------------------------------------- */

/* sum(seed * net(x)) in double, run anew. */
static double score(const lun_tensor *x, const lun_tensor *seed) {
  tapenet n;
  double s = 0;
  tapenet_open(&n, LUN_DEFER); /* gives the weights; its own x is not used */
  lun_tape *tape;
  lun_var v = {(lun_tensor *)(uintptr_t)x, -1};
  CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
  CHECK(lun_tape_watch(tape, v.t, &v.node, NULL) == LUN_OK, "watch");
  v = put(tape, "conv2d", v, (lun_var){n.w1, -1}, (lun_var){n.b1, -1});
  v = put(tape, "relu", v, none, none);
  v = put(tape, "conv2d", v, (lun_var){n.w2, -1}, none);
  v = put(tape, "relu", v, none, none);
  v = put(tape, "flatten", v, none, none);
  v = put(tape, "linear", v, (lun_var){n.w3, -1}, none);
  for (int64_t i = 0; i < v.t->size; i++)
    s += (double)v.t->data[i] * (double)seed->data[i];
  lun_tape_release(tape);
  tapenet_close(&n);
  return s;
}

/* Central differences at h = 1e-3: the net is piecewise linear, so what is
** left is the rounding of a score near 100, 1e-6 of it over 2h: 0.05 of
** gradients up to 60; and now and then a relu that turns within h. */
static void gradient_is_the_slope(void) {
  tapenet n;
  lun_tensor *seed = noise("2,4", 9), *g, *x;
  int close = 0, tried = 0;
  tapenet_open(&n, LUN_DEFER);
  g = gradient(n.tape, n.out.node, seed, n.x.node, NULL, 0);
  CHECK(lun_tensor_copy(&x, n.x.t, NULL) == LUN_OK, "copy");
  for (int64_t i = 0; i < x->size; i += 7, tried++) {
    float at = x->data[i];
    double up, down, slope;
    x->data[i] = at + 1e-3f;
    up = score(x, seed);
    x->data[i] = at - 1e-3f;
    down = score(x, seed);
    x->data[i] = at;
    slope = (up - down) / (double)((at + 1e-3f) - (at - 1e-3f));
    close += fabs(slope - (double)g->data[i]) < 0.1 + 0.01 * fabs(slope);
  }
  CHECK(close >= tried - 2, "%d of %d", close, tried);
  lun_tensor_release(x);
  lun_tensor_release(g);
  lun_tensor_release(seed);
  tapenet_close(&n);
}

/* y = a*a + 3a + a: four paths to one leaf; dy/da = 2a + 4. */
static void paths_add_up(void) {
  lun_tape *tape;
  lun_tensor *three = noise("1", 1), *seed = noise("5", 2), *g;
  lun_var a, y;
  CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
  three->data[0] = 3;
  a = leaf(tape, "5", 3);
  y = put(tape, "mul", a, a, none);
  y = put(tape, "add", y, put(tape, "mul", a, (lun_var){three, -1}, none),
          none);
  y = put(tape, "add", y, a, none);
  g = gradient(tape, y.node, seed, a.node, NULL, 0);
  for (int i = 0; i < 5; i++) {
    double want = (2 * (double)a.t->data[i] + 4) * (double)seed->data[i];
    CHECK(fabs((double)g->data[i] - want) < 1e-5, "%g, %g", (double)g->data[i],
          want);
  }
  lun_tensor_release(g);
  lun_tensor_release(three);
  lun_tensor_release(seed);
  lun_tape_release(tape);
}

/* x -> relu (in place) and x -> add: in-place steps must not eat a gradient
** that somebody else still reads, nor the seed. */
static void nothing_is_overwritten(void) {
  lun_tape *tape;
  lun_tensor *seed = noise("8", 2), *before, *ga, *gy, *g = NULL;
  lun_walk *w;
  lun_var a, r, y, z;
  CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
  a = leaf(tape, "8", 3);
  r = put(tape, "relu", a, none, none);
  y = put(tape, "neg", r, none, none);
  z = put(tape, "relu", put(tape, "add", y, a, none), none, none);
  CHECK(lun_tensor_copy(&before, seed, NULL) == LUN_OK, "copy");
  CHECK(lun_walk_new(&w, tape, z.node, seed, NULL) == LUN_OK, "walk");
  lun_walk_want(w, a.node, NULL);
  lun_walk_want(w, y.node, NULL);
  lun_walk_want(w, z.node, NULL);
  CHECK(lun_walk_next(w, NULL) == LUN_OK, "next");
  ga = lun_walk_gradient(w, a.node);
  gy = lun_walk_gradient(w, y.node);
  g = lun_walk_gradient(w, z.node);
  CHECK(same_bits(seed, before), "the seed");
  CHECK(same_bits(g, before), "the gradient of the scored node is the seed");
  for (int i = 0; i < 8; i++) {
    /* z = relu(a - relu(a)) = 0 where a > 0, and there its gate is shut */
    double open = a.t->data[i] - (a.t->data[i] > 0 ? a.t->data[i] : 0) > 0;
    double s = (double)seed->data[i] * open;
    double want = s - (a.t->data[i] > 0 ? s : 0);
    CHECK(fabs((double)gy->data[i] - s) < 1e-6, "y, %d", i);
    CHECK(fabs((double)ga->data[i] - want) < 1e-6, "a, %d", i);
  }
  lun_walk_free(w);
  lun_tensor_release(before);
  lun_tensor_release(seed);
  lun_tape_release(tape);
}

/* A wanted node in the middle of the way has the gradient that a walk for it
** alone finds. */
static void wants_in_the_middle(void) {
  tapenet n;
  lun_tensor *seed = noise("2,4", 9), *gx, *gr;
  lun_walk *w;
  tapenet_open(&n, LUN_DEFER);
  gx = gradient(n.tape, n.out.node, seed, n.x.node, NULL, 0);
  gr = gradient(n.tape, n.out.node, seed, n.relu1.node, NULL, 0);
  CHECK(lun_walk_new(&w, n.tape, n.out.node, seed, NULL) == LUN_OK, "walk");
  lun_walk_want(w, n.x.node, NULL);
  lun_walk_want(w, n.relu1.node, NULL);
  lun_walk_want(w, n.conv1.node, NULL);
  CHECK(lun_walk_reached(w, n.flat.node) && lun_walk_reached(w, n.x.node),
        "on the way");
  CHECK(lun_walk_next(w, NULL) == LUN_OK, "next");
  CHECK(same_bits(lun_walk_gradient(w, n.relu1.node), gr), "relu1");
  /* not fused here, so rounding may differ: the same sum in another order */
  CHECK(distance(lun_walk_gradient(w, n.x.node)->data, gx->data, gx->size) <
            1e-6,
        "x");
  CHECK(lun_walk_gradient(w, n.flat.node) == NULL, "not asked for");
  lun_walk_free(w);
  lun_tensor_release(gx);
  lun_tensor_release(gr);
  lun_tensor_release(seed);
  tapenet_close(&n);
}

static void no_path_gives_nothing(void) {
  lun_tape *tape;
  lun_tensor *seed = noise("3", 2);
  lun_var a, b, y;
  CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
  a = leaf(tape, "3", 3);
  b = leaf(tape, "3", 4);
  y = put(tape, "relu", b, none, none);
  CHECK(gradient(tape, y.node, seed, a.node, NULL, 0) == NULL, "no path");
  lun_tensor_release(seed);
  lun_tape_release(tape);
}

/* ---- rules -------------------------------------------------------------- */

static const struct {
  const char *rule;
  double param;
} rules[] = {{"plain", 0},      {"guided", 0},  {"rectified", 0},
             {"deconvnet", 0},  {"leak", 0.25}, {"identity", 0},
             {"beta_smooth", 3}};
enum { RULES = sizeof rules / sizeof *rules };

/* dx of one relu by the formula. */
static double by_hand(int rule, double x, double dy) {
  switch (rule) {
    case 0:
      return x > 0 ? dy : 0;
    case 1:
      return x > 0 && dy > 0 ? dy : 0;
    case 2:
    case 3:
      return dy > 0 ? dy : 0;
    case 4:
      return x > 0 ? dy : 0.25 * dy;
    case 5:
      return dy;
    default:
      return dy / (1 + exp(-3 * x));
  }
}

static void rules_follow_their_formulas(void) {
  for (int r = 0; r < RULES; r++) {
    lun_tape *tape;
    lun_tensor *seed = noise("40", 2), *g;
    lun_var a, y;
    double most = 0;
    CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
    a = leaf(tape, "40", 3);
    a.t->data[7] = 0; /* the kink itself is shut */
    y = put(tape, "relu", a, none, none);
    y = put(tape, "identity", y, none, none);
    g = gradient(tape, y.node, seed, a.node, rules[r].rule, rules[r].param);
    for (int i = 0; i < 40; i++) {
      double d = fabs((double)g->data[i] -
                      by_hand(r, (double)a.t->data[i], (double)seed->data[i]));
      if (d > most) most = d;
    }
    CHECK(most < 1e-6, "%s: %g", rules[r].rule, most);
    lun_tensor_release(g);
    lun_tensor_release(seed);
    lun_tape_release(tape);
  }
}

/* ---- a rule of one's own ------------------------------------------------ */

/* dx = |dy| where the unit is open; in half the strength where it is shut. */
static lun_slopes absolute_gate(const double *attr) {
  return (lun_slopes){1, -1, (float)attr[0], -(float)attr[0]};
}
static int calls; /* of the rule by itself */
static int absolute_back(const lun_back *b, lun_err *err) {
  const lun_tensor *y = b->node->out;
  (void)err;
  calls++;
  for (int64_t i = 0; i < b->copies * y->size; i++)
    b->dx[0][i] =
        (y->data[i % y->size] > 0 ? 1.0f : (float)b->attr[0]) * fabsf(b->dy[i]);
  return LUN_OK;
}
static const lun_attrdef absolute_attrs[] = {
    {.name = "shut", .at = 0, .count = 1, .fallback = 0.5},
    {.name = NULL},
};
static const lun_rule absolute = {
    .name = "absolute",
    .back = absolute_back,
    .attrs = absolute_attrs,
    .gate = absolute_gate,
};

/* The gradient of x, both relus under `rule`, by itself or as a gate. */
static lun_tensor *under(const tapenet *n, lun_tensor *seed,
                         const lun_rule *rule, const double *attr) {
  lun_walk *w;
  lun_err err;
  lun_tensor *g;
  CHECK(lun_walk_new(&w, n->tape, n->out.node, seed, NULL) == LUN_OK, "new");
  lun_walk_want(w, n->x.node, NULL);
  CHECK(lun_walk_rule(w, n->relu1.node, rule, attr, &err) == LUN_OK, "%s",
        err.msg);
  CHECK(lun_walk_rule(w, n->relu2.node, rule, attr, &err) == LUN_OK, "%s",
        err.msg);
  CHECK(lun_walk_next(w, &err) == LUN_OK, "%s", err.msg);
  g = lun_tensor_retain(lun_walk_gradient(w, n->x.node));
  lun_walk_free(w);
  return g;
}

/* A rule whose name no kernel knows is applied in the convolution's pass when it
** says that it is a gate, and to the bit as by itself. */
static void own_gates_are_fused(void) {
  static const double given[LUN_MAXPARAM] = {0.125};
  lun_rule apart = absolute;
  tapenet n;
  lun_tensor *seed = noise("6,4", 9);
  apart.gate = NULL;
  tapenet_open(&n, LUN_DEFER);
  for (int k = 0; k < 2; k++) {
    const double *attr = k ? given : NULL;
    calls = 0;
    lun_tensor *a = under(&n, seed, &absolute, attr);
    CHECK(calls == 1, "relu1 goes with conv2, relu2 stands alone: %d", calls);
    lun_tensor *b = under(&n, seed, &apart, attr);
    CHECK(calls == 3, "no gate: two calls more, %d", calls);
    CHECK(same_bits(a, b), "the same bits, %d", k);
    lun_tensor_release(a);
    lun_tensor_release(b);
  }
  lun_tensor_release(seed);
  tapenet_close(&n);
}

static void rules_that_are_none_are_refused(void) {
  tapenet n;
  lun_walk *w;
  lun_err err;
  lun_tensor *seed = noise("2,4", 9);
  const lun_rule empty = {.name = "empty"};
  tapenet_open(&n, LUN_DEFER);
  CHECK(lun_walk_new(&w, n.tape, n.out.node, seed, NULL) == LUN_OK, "new");
  CHECK(lun_walk_rule(w, n.relu1.node, NULL, NULL, &err) == LUN_EARG &&
            strstr(err.msg, "relu"),
        "%s", err.msg);
  CHECK(lun_walk_rule(w, n.relu1.node, &empty, NULL, &err) == LUN_EARG, "%s",
        err.msg);
  CHECK(lun_walk_rule(w, n.x.node, &absolute, NULL, &err) == LUN_EARG, "%s",
        err.msg);
  CHECK(lun_walk_rule(w, 99, &absolute, NULL, &err) == LUN_EARG, "%s", err.msg);
  lun_walk_want(w, n.x.node, NULL);
  CHECK(lun_walk_next(w, &err) == LUN_OK, "%s", err.msg);
  CHECK(lun_walk_want(w, n.relu1.node, &err) == LUN_EARG &&
            strstr(err.msg, "before the walk"),
        "%s", err.msg);
  CHECK(lun_walk_hook(w, n.relu1.node, &err) == LUN_EARG, "%s", err.msg);
  lun_walk_free(w);
  lun_tensor_release(seed);
  tapenet_close(&n);
}

/* relu(x) read by two convolutions: the rule is that of the sum of both gradients.
** A gate applied in each convolution's own pass would be another rule: guided is
** max(a + b, 0), not max(a, 0) + max(b, 0). */
static void two_readers_share_one_gate(void) {
  static const char *const names[] = {"plain", "guided", "rectified", "leak"};
  lun_tensor *w[3] = {noise("6,3,3,3", 2), noise("5,6,3,3", 3),
                      noise("5,6,3,3", 4)};
  lun_tensor *seed = noise("2,5,4,4", 5);
  for (int r = 0; r < 4; r++) {
    lun_tape *tape;
    CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
    lun_var x = leaf(tape, "2,3,8,8", 1), c, y, branch[2];
    c = put_with(tape, "conv2d", NULL, 0, LUN_DEFER, x, (lun_var){w[0], -1},
                 none);
    y = put(tape, "relu", c, none, none);
    for (int k = 0; k < 2; k++)
      branch[k] = put(tape, "conv2d", y, (lun_var){w[1 + k], -1}, none);
    lun_var out = put(tape, "add", branch[0], branch[1], none);
    /* the gradient at y knows no rule of y; the rule's own, by its formula */
    lun_tensor *dy = gradient(tape, out.node, seed, y.node, NULL, 0);
    lun_tensor *dc = gradient(tape, out.node, seed, c.node, names[r], 0.1);
    int bad = 0, up = 0;
    for (int64_t i = 0; dy && dc && i < dy->size; i++) {
      float g = dy->data[i], open = y.t->data[i] > 0, want;
      want = r == 0   ? g * open
             : r == 1 ? fmaxf(g, 0) * open
             : r == 2 ? fmaxf(g, 0)
                      : (open > 0 ? g : 0.1f * g);
      bad += fabsf(dc->data[i] - want) > 1e-6f * fabsf(want);
      up += want > 0;
    }
    CHECK(dy && dc && bad == 0 && up > 10, "%s: %d differ", names[r], bad);
    lun_tensor_release(dy);
    lun_tensor_release(dc);
    lun_tape_release(tape);
  }
  for (int i = 0; i < 3; i++) lun_tensor_release(w[i]);
  lun_tensor_release(seed);
}

/* Answers every hook by the C rule that the node has. */
static lun_tensor *hooked(const tapenet *n, lun_tensor *seed, int rule) {
  lun_walk *w;
  lun_tensor *g;
  int id, count = 0, ids[2] = {n->relu1.node, n->relu2.node};
  CHECK(lun_walk_new(&w, n->tape, n->out.node, seed, NULL) == LUN_OK, "new");
  lun_walk_want(w, n->x.node, NULL);
  for (int i = 0; i < 2; i++) {
    const lun_op *op = lun_tape_node(n->tape, ids[i])->op;
    lun_walk_rule(w, ids[i], lun_op_rule(op, rules[rule].rule, NULL),
                  (double[LUN_MAXPARAM]){rules[rule].param}, NULL);
    lun_walk_hook(w, ids[i], NULL);
  }
  while ((id = lun_walk_next(w, NULL)) > 0) {
    CHECK(id - 1 == ids[1 - count], "hook %d is node %d", count, id - 1);
    CHECK(lun_walk_dy(w) && lun_walk_dy(w)->size % 2 == 0, "dy");
    CHECK(lun_walk_skip(w, NULL) == LUN_OK, "skip");
    count++;
  }
  CHECK(id == 0 && count == 2, "%d hooks, %d", count, id);
  g = lun_tensor_retain(lun_walk_gradient(w, n->x.node));
  lun_walk_free(w);
  return g;
}

/* The rule applied in the convolution's own pass, and by itself (a hook in
** between keeps them apart): the same formula on the same sums. */
static void gates_equal_rules(void) {
  tapenet n;
  tapenet_open(&n, LUN_DEFER);
  for (int r = 0; r < RULES; r++)
    for (int copies = 1; copies <= 3; copies += 2) {
      lun_tensor *seed = noise(copies == 1 ? "2,4" : "6,4", 9);
      lun_tensor *fused = gradient(n.tape, n.out.node, seed, n.x.node,
                                   rules[r].rule, rules[r].param);
      lun_tensor *apart = hooked(&n, seed, r);
      CHECK(fused && fused->dim[0] == 2 * copies, "%s", rules[r].rule);
      /* the bits are the same where the sums run in the same order; the
      ** limit allows one rounding in each of two layers */
      CHECK(distance(fused->data, apart->data, fused->size) < 1e-6,
            "%s, %d copies: %g", rules[r].rule, copies,
            distance(fused->data, apart->data, fused->size));
      lun_tensor_release(fused);
      lun_tensor_release(apart);
      lun_tensor_release(seed);
    }
  tapenet_close(&n);
}

/* The matrix with its dimensions swapped. */
static lun_tensor *transposed(const lun_tensor *m) {
  lun_tensor *t;
  int64_t dim[2] = {m->dim[1], m->dim[0]};
  CHECK(lun_tensor_new(&t, 2, dim, NULL) == LUN_OK, "transposed");
  for (int64_t r = 0; r < dim[1]; r++)
    for (int64_t c = 0; c < dim[0]; c++)
      t->data[c * dim[1] + r] = m->data[r * dim[0] + c];
  return t;
}

/* conv2d, relu, (pooling,) flatten, linear of weights in either layout: of an
** (in, out) one, inputs that the relu set to 0 are skipped. */
static lun_tensor *dense_gradient(int in_out, int pooled, const char *rule,
                                  int want) {
  lun_tensor *w = noise("6,3,3,3", 2), *f = noise(pooled ? "9,54" : "9,216", 3);
  lun_tensor *swapped = transposed(f);
  lun_tensor *seed = noise("6,9", 4), *g; /* three copies of two pictures */
  lun_tape *tape;
  lun_var v, at[4];
  CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
  at[0] = v = leaf(tape, "2,3,8,8", 1);
  at[1] = v =
      put_with(tape, "conv2d", NULL, 0, LUN_DEFER, v, (lun_var){w, -1}, none);
  v = put_with(tape, "relu", NULL, 0, LUN_DEFER, v, none, none);
  if (pooled) v = put_with(tape, "max_pool2d", "kernel", 2, 0, v, none, none);
  at[2] = v;
  at[3] = v = put(tape, "flatten", v, none, none);
  v = put_with(tape, "linear", "weight_layout", in_out, 0, v,
               (lun_var){in_out ? swapped : f, -1}, none);
  g = gradient(tape, v.node, seed, at[want].node, rule, 0.1);
  lun_tape_release(tape);
  lun_tensor_release(seed);
  lun_tensor_release(f);
  lun_tensor_release(swapped);
  lun_tensor_release(w);
  return g;
}

/* The layouts add in different orders: 1e-6 of the gradient's length. */
static void layouts_agree(void) {
  static const char *const names[] = {"plain",     "guided", "rectified",
                                      "deconvnet", "leak",   "identity"};
  for (int k = 0; k < 6; k++)
    for (int pooled = 0; pooled < 2; pooled++)
      for (int want = 0; want < 4; want++) {
        lun_tensor *a = dense_gradient(0, pooled, names[k], want);
        lun_tensor *b = dense_gradient(1, pooled, names[k], want);
        double d = a && b ? distance(b->data, a->data, a->size) : 1;
        CHECK(d < 1e-6, "%s, %d, %d: %g", names[k], pooled, want, d);
        lun_tensor_release(a);
        lun_tensor_release(b);
      }
}

/* ---- several targets in one walk ---------------------------------------- */

/* relu(conv(x)), pooled or not, flattened twice; each flat map goes through a
** dense layer of (in, out) weights; the sum of both.  first, second: the flat maps
** under which gradients are wanted. */
typedef struct twonet {
  lun_tensor *w, *f[2];
  lun_tape *tape;
  lun_var x, relu, read, flat[2], out;
} twonet;

static void twonet_open(twonet *n, int pooled) {
  memset(n, 0, sizeof *n);
  n->w = noise("6,3,3,3", 2);
  CHECK(lun_tape_new(&n->tape, NULL) == LUN_OK, "tape");
  n->x = leaf(n->tape, "2,3,8,8", 1);
  lun_var v = put_with(n->tape, "conv2d", NULL, 0, LUN_DEFER, n->x,
                       (lun_var){n->w, -1}, none);
  v = n->relu = put_with(n->tape, "relu", NULL, 0, LUN_DEFER, v, none, none);
  if (pooled)
    v = put_with(n->tape, "max_pool2d", "kernel", 2, 0, v, none, none);
  n->read = v;
  for (int k = 0; k < 2; k++) {
    n->f[k] = noise(pooled ? "54,9" : "216,9", 3 + (uint64_t)k);
    n->flat[k] = put(n->tape, "flatten", v, none, none);
  }
  lun_var a = put_with(n->tape, "linear", "weight_layout", 1, 0, n->flat[0],
                       (lun_var){n->f[0], -1}, none);
  lun_var b = put_with(n->tape, "linear", "weight_layout", 1, 0, n->flat[1],
                       (lun_var){n->f[1], -1}, none);
  n->out = put(n->tape, "add", a, b, none);
}

static void twonet_close(twonet *n) {
  lun_tape_release(n->tape);
  lun_tensor_release(n->w);
  lun_tensor_release(n->f[0]);
  lun_tensor_release(n->f[1]);
}

/* Every set of targets, every rule: what a walk finds for several targets is
** what walks of one target find.  The gradient of a flat map is that of its
** dense layer everywhere, also where a relu further back is shut: inputs may
** be skipped as dead only when nobody wants them. */
static void targets_do_not_disturb_each_other(void) {
  static const char *const names[] = {"plain", "guided", "rectified", "leak"};
  lun_tensor *seed = noise("4,9", 4), *alone[5], *g;
  for (int pooled = 0; pooled < 2; pooled++)
    for (int r = 0; r < 4; r++) {
      twonet n;
      twonet_open(&n, pooled);
      const int at[5] = {n.x.node, n.relu.node, n.read.node, n.flat[0].node,
                         n.flat[1].node};
      for (int k = 0; k < 5; k++)
        alone[k] = gradient(n.tape, n.out.node, seed, at[k], names[r], 0.1);
      for (int set = 1; set < 32; set++) {
        lun_walk *w;
        CHECK(lun_walk_new(&w, n.tape, n.out.node, seed, NULL) == LUN_OK, "w");
        lun_node *relu = lun_tape_node(n.tape, n.relu.node);
        lun_walk_rule(w, relu->id, lun_op_rule(relu->op, names[r], NULL),
                      (double[LUN_MAXPARAM]){0.1}, NULL);
        for (int k = 0; k < 5; k++)
          if (set >> k & 1) lun_walk_want(w, at[k], NULL);
        CHECK(lun_walk_next(w, NULL) == LUN_OK, "next");
        for (int k = 0; k < 5; k++) {
          if (!(set >> k & 1)) continue;
          g = lun_walk_gradient(w, at[k]);
          /* a gate fused or not: the same sums, so the same bits or nearly */
          double d = g ? distance(g->data, alone[k]->data, g->size) : 1;
          CHECK(d < 1e-6, "%s, pooled %d, set %d, target %d: %g", names[r],
                pooled, set, k, d);
        }
        lun_walk_free(w);
      }
      /* and the flat map's gradient is full: no zeros where the relu is shut */
      int64_t zeros = 0;
      for (int64_t i = 0; i < alone[3]->size; i++)
        zeros += alone[3]->data[i] == 0.0f;
      CHECK(zeros == 0, "%d zeros", (int)zeros);
      for (int k = 0; k < 5; k++) lun_tensor_release(alone[k]);
      twonet_close(&n);
    }
  lun_tensor_release(seed);
}

/* K seeds in one walk against K walks, bit for bit. */
static void copies_equal_walks(void) {
  tapenet n;
  tapenet_open(&n, LUN_DEFER);
  for (int r = 0; r < RULES; r++) {
    int64_t dim[2] = {2, 4};
    lun_tensor *seeds = noise("10,4", 11), *one, *all, *g;
    all = gradient(n.tape, n.out.node, seeds, n.x.node, rules[r].rule,
                   rules[r].param);
    for (int k = 0; k < 5; k++) {
      CHECK(lun_tensor_view(&one, seeds, 8 * k, 2, dim, NULL) == LUN_OK, "row");
      g = gradient(n.tape, n.out.node, one, n.x.node, rules[r].rule,
                   rules[r].param);
      CHECK(memcmp(all->data + k * g->size, g->data,
                   (size_t)g->size * sizeof(float)) == 0,
            "%s, seed %d", rules[r].rule, k);
      lun_tensor_release(g);
      lun_tensor_release(one);
    }
    lun_tensor_release(all);
    lun_tensor_release(seeds);
  }
  tapenet_close(&n);
}

static void walks_leave_nothing_behind(void) {
  tapenet n;
  lun_tensor *seed = noise("2,4", 9), *a, *b, *other;
  tapenet_open(&n, LUN_DEFER);
  a = gradient(n.tape, n.out.node, seed, n.x.node, NULL, 0);
  other = gradient(n.tape, n.out.node, seed, n.x.node, "guided", 0);
  b = gradient(n.tape, n.out.node, seed, n.x.node, NULL, 0);
  CHECK(same_bits(a, b), "plain before and after guided");
  CHECK(!same_bits(a, other), "guided is something else");
  lun_tensor_release(a);
  lun_tensor_release(b);
  lun_tensor_release(other);
  lun_tensor_release(seed);
  tapenet_close(&n);
}

/* ---- hooks -------------------------------------------------------------- */

/* dx = 2 dy at the second relu, given back by the caller. */
static void answers_are_used(void) {
  tapenet n;
  lun_walk *w;
  lun_err err;
  lun_tensor *seed = noise("2,4", 9), *dx, *dy, *bad = noise("3", 1), *turned;
  int64_t dim[4] = {2, 4, 4, 5};
  tapenet_open(&n, LUN_DEFER);
  CHECK(lun_walk_new(&w, n.tape, n.out.node, seed, &err) == LUN_OK, "new");
  lun_walk_want(w, n.conv2.node, NULL);
  lun_walk_hook(w, n.relu2.node, NULL);
  CHECK(lun_walk_put(w, 0, bad, &err) == LUN_EARG, "nobody waits yet");
  CHECK(lun_walk_skip(w, &err) == LUN_EARG && !lun_walk_dy(w), "nor here");
  CHECK(lun_walk_next(w, &err) == n.relu2.node + 1, "the hook is due");
  dy = lun_walk_dy(w);
  CHECK(lun_walk_copies(w) == 1 && dy->size == n.relu2.t->size, "dy");
  CHECK(lun_walk_put(w, 0, bad, &err) == LUN_ESHAPE, "wrong size");
  CHECK(strstr(err.msg, "relu") && strstr(err.msg, "(3)") &&
            strstr(err.msg, "(2, 5, 4, 4)"),
        "%s", err.msg);
  CHECK(lun_tensor_view(&turned, dy, 0, 4, dim, NULL) == LUN_OK, "view");
  CHECK(lun_walk_put(w, 0, turned, &err) == LUN_ESHAPE,
        "the same size in another shape");
  CHECK(lun_walk_put(w, 1, dy, &err) == LUN_EARG, "relu has one input");
  CHECK(lun_tensor_copy(&dx, dy, NULL) == LUN_OK, "copy");
  for (int64_t i = 0; i < dx->size; i++) dx->data[i] *= 2;
  CHECK(lun_walk_put(w, 0, dx, &err) == LUN_OK, "%s", err.msg);
  CHECK(lun_walk_next(w, &err) == LUN_OK, "%s", err.msg);
  CHECK(same_bits(lun_walk_gradient(w, n.conv2.node), dx), "as given");
  lun_walk_free(w);
  lun_tensor_release(turned);
  lun_tensor_release(dx);
  lun_tensor_release(bad);
  lun_tensor_release(seed);
  tapenet_close(&n);
}

/* Freed while a hook waits, with gradients on the way. */
static void abandoned_walks_leak_nothing(void) {
  size_t base = lun_mem().blocks;
  tapenet n;
  lun_walk *w;
  lun_tensor *seed = noise("4,4", 9);
  tapenet_open(&n, LUN_DEFER);
  CHECK(lun_walk_new(&w, n.tape, n.out.node, seed, NULL) == LUN_OK, "new");
  lun_walk_want(w, n.x.node, NULL);
  lun_walk_hook(w, n.relu1.node, NULL);
  tapenet_close(&n); /* the walk keeps the tape */
  CHECK(lun_walk_next(w, NULL) > 0, "the hook is due");
  lun_walk_free(w);
  lun_tensor_release(seed);
  CHECK(lun_mem().blocks == base, "%zu left", lun_mem().blocks - base);
}

static void misuse_is_told(void) {
  tapenet n;
  lun_walk *w;
  lun_err err;
  lun_tensor *seed = noise("2,4", 9), *bad = noise("3,3", 1), *empty;
  int64_t zero[2] = {0, 4};
  tapenet_open(&n, LUN_DEFER);
  CHECK(lun_tensor_zeros(&empty, 2, zero, NULL) == LUN_OK, "empty");
  CHECK(lun_walk_new(&w, n.tape, 99, seed, &err) == LUN_EARG && !w, "node 99");
  CHECK(lun_walk_new(&w, n.tape, n.out.node, bad, &err) == LUN_ESHAPE && !w,
        "9 values for 8");
  CHECK(strstr(err.msg, "(3, 3)") && strstr(err.msg, "(2, 4)"), "%s", err.msg);
  CHECK(lun_walk_new(&w, n.tape, n.out.node, empty, &err) == LUN_ESHAPE && !w,
        "no values");
  CHECK(lun_walk_new(&w, n.tape, n.relu1.node, n.relu1.t, &err) == LUN_OK,
        "from the middle");
  CHECK(lun_walk_want(w, n.out.node, &err) == LUN_EARG, "comes later");
  CHECK(lun_walk_hook(w, -1, &err) == LUN_EARG, "node -1");
  CHECK(lun_walk_gradient(w, 99) == NULL && !lun_walk_reached(w, 99), "99");
  lun_walk_free(w);
  CHECK(lun_walk_new(&w, n.tape, n.out.node, seed, &err) == LUN_OK, "new");
  lun_walk_want(w, n.x.node, NULL);
  lun_walk_hook(w, n.relu2.node, NULL);
  CHECK(lun_walk_next(w, &err) == n.relu2.node + 1, "the hook is due");
  lun_tape_forget(n.tape, n.relu2.node); /* released while the hook runs */
  CHECK(lun_walk_skip(w, &err) == LUN_EARG, "nothing to skip to");
  CHECK(lun_walk_put(w, 0, lun_walk_dy(w), &err) == LUN_EARG, "nor to put to");
  lun_walk_free(w);
  CHECK(lun_walk_new(&w, n.tape, n.out.node, seed, &err) == LUN_OK, "new");
  lun_walk_want(w, n.x.node, NULL);
  CHECK(lun_walk_next(w, &err) < 0 && strstr(err.msg, "keep"), "%s", err.msg);
  lun_walk_free(w);
  lun_tensor_release(empty);
  lun_tensor_release(bad);
  lun_tensor_release(seed);
  tapenet_close(&n);
}

/* A seed over an output without values. */
static void empty_outputs_are_refused(void) {
  lun_tape *tape;
  lun_walk *w;
  lun_err err;
  lun_tensor *seed = noise("2", 1);
  lun_var x, y;
  CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
  x = leaf(tape, "0,3", 1);
  y = put(tape, "relu", x, none, none);
  CHECK(lun_walk_new(&w, tape, y.node, seed, &err) == LUN_ESHAPE && !w, "%s",
        err.msg);
  lun_tensor_release(seed);
  lun_tape_release(tape);
}

int main(void) {
  TESTS {
    TEST(gradient_is_the_slope());
    TEST(paths_add_up());
    TEST(nothing_is_overwritten());
    TEST(wants_in_the_middle());
    TEST(no_path_gives_nothing());
    TEST(rules_follow_their_formulas());
    TEST(own_gates_are_fused());
    TEST(rules_that_are_none_are_refused());
    TEST(gates_equal_rules());
    TEST(two_readers_share_one_gate());
    TEST(layouts_agree());
    TEST(targets_do_not_disturb_each_other());
    TEST(copies_equal_walks());
    TEST(walks_leave_nothing_behind());
    TEST(answers_are_used());
    TEST(abandoned_walks_leak_nothing());
    TEST(misuse_is_told());
    TEST(empty_outputs_are_refused());
    lun_set_threads(1);
  }
  DONE("walk");
}
