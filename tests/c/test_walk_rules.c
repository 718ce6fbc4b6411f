/*
** test_walk_rules.c - rules in a backward walk: by their formulas, and fused into
** convolutions, dense layers and poolings against the same rules by themselves.
*/
#include "tapecase.h"

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
  return (lun_slopes){1, -1, (float)attr[0], -(float)attr[0], 0};
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

int main(void) {
  TESTS {
    TEST(rules_follow_their_formulas());
    TEST(own_gates_are_fused());
    TEST(rules_that_are_none_are_refused());
    TEST(gates_equal_rules());
    TEST(two_readers_share_one_gate());
    TEST(layouts_agree());
    TEST(copies_equal_walks());
    lun_set_threads(1);
  }
  DONE("walk, rules");
}
