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

/* Two units joined, read by one convolution: their gate goes with its pass, unless
** somebody else reads one of them. */
static void gates_go_over_a_join_of_units_that_nobody_else_reads(void) {
  lun_tensor *w = noise("4,6,3,3", 2);
  for (int readers = 1; readers <= 2; readers++) {
    lun_tape *tape;
    lun_walk *walk;
    lun_err err;
    CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
    lun_var x = leaf(tape, "1,3,8,8", 1);
    lun_var a = put(tape, "relu", x, none, none);
    lun_var half = put(tape, "square", x, none, none);
    lun_var b = put(tape, "relu", half, none, none);
    lun_var join = put(tape, "concat", a, b, none);
    lun_var y = put(tape, "conv2d", join, (lun_var){w, -1}, none);
    lun_var end = put(tape, "sum", y, none, none), more;
    if (readers == 2) {
      more = put(tape, "sum", b, none, none);
      end = put(tape, "add", end, more, none);
    }
    lun_tensor *seed = lun_tensor_retain(end.t);
    calls = 0;
    CHECK(lun_walk_new(&walk, tape, end.node, seed, &err) == LUN_OK, "%s",
          err.msg);
    lun_walk_want(walk, x.node, NULL);
    CHECK(lun_walk_rule(walk, a.node, &absolute, NULL, &err) == LUN_OK &&
              lun_walk_rule(walk, b.node, &absolute, NULL, &err) == LUN_OK,
          "%s", err.msg);
    CHECK(lun_walk_next(walk, &err) == LUN_OK, "%s", err.msg);
    CHECK(calls == (readers == 1 ? 0 : 2), "%d readers: %d calls", readers,
          calls);
    lun_walk_free(walk);
    lun_tensor_release(seed);
    lun_tape_release(tape);
  }
  lun_tensor_release(w);
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

/* ---- branches ----------------------------------------------------------- */

/* A network of branches from x on: a residual block, and units side by side in two
** joins.  All that read the first join's units is the join, so their gate goes over
** its whole gradient; of the second one another layer reads a unit too. */
typedef struct branched {
  lun_tape *tape;
  lun_var x, a, b, c, join, sum, last, out;
} branched;

static lun_var conv(lun_tape *tape, lun_var x, lun_tensor *w) {
  int padded = w->dim[2] == 3;
  return put_with(tape, "conv2d", padded ? "padding" : NULL, 1, LUN_DEFER, x,
                  (lun_var){w, -1}, none);
}

static lun_var unit(lun_tape *tape, lun_var x, lun_tensor *w) {
  return put(tape, "relu", conv(tape, x, w), none, none);
}

enum { WEIGHTS = 7 };
static branched branched_over(lun_tensor *x, lun_tensor *const *w) {
  branched n = {.x = {x, -1}};
  CHECK(lun_tape_new(&n.tape, NULL) == LUN_OK, "tape");
  CHECK(lun_tape_watch(n.tape, x, &n.x.node, NULL) == LUN_OK, "watch");
  n.a = unit(n.tape, n.x, w[0]);
  n.b = unit(n.tape, n.a, w[1]);
  n.c = unit(n.tape, n.a, w[2]);
  n.join = put(n.tape, "concat", n.b, n.c, none);
  lun_var inner = conv(n.tape, unit(n.tape, n.join, w[3]), w[4]);
  n.sum = put(n.tape, "relu", put(n.tape, "add", inner, n.a, none), none, none);
  n.last = unit(n.tape, n.sum, w[5]);
  lun_var side = put(n.tape, "concat", n.sum, n.last, none);
  side = put_with(n.tape, "max_pool2d", "kernel", 3, 0, side, none, none);
  n.out = conv(n.tape, side, w[6]);
  return n;
}

/* gradient() with every relu and every sum handed out, so that nothing is joined
** with a unit's rule. */
static lun_tensor *apart(lun_tape *tape, int node, lun_tensor *seed, int want,
                         const char *rule, double param) {
  lun_walk *w;
  CHECK(lun_walk_new(&w, tape, node, seed, NULL) == LUN_OK, "new");
  lun_walk_want(w, want, NULL);
  for (int i = 0; i < node; i++) {
    const lun_node *n = lun_tape_node(tape, i);
    if (!n->op || strcmp(n->op->name, "relu")) continue;
    lun_walk_rule(w, i, lun_op_rule(n->op, rule, NULL),
                  (double[LUN_MAXPARAM]){param}, NULL);
    lun_walk_hook(w, i, NULL);
  }
  while (lun_walk_next(w, NULL) > 0)
    CHECK(lun_walk_skip(w, NULL) == LUN_OK, "skip");
  lun_tensor *g = lun_tensor_retain(lun_walk_gradient(w, want));
  lun_walk_free(w);
  return g;
}

/* Sums, gates and joins in the passes of the layers against each by itself: what is
** wanted is the picture, a unit that three layers read, a part of a join, the join
** and a sum; of one picture, where parts of a join lie in one piece, and of two. */
static void branches_equal_rules(void) {
  static const char *const shape[] = {"1,4,9,9", "2,4,9,9"};
  static const char *const seeds[2][2] = {{"1,3,3,3", "3,3,3,3"},
                                          {"2,3,3,3", "6,3,3,3"}};
  lun_tensor *w[WEIGHTS] = {noise("8,4,1,1", 2), noise("6,8,3,3", 3),
                            noise("5,8,1,1", 4), noise("7,11,1,1", 5),
                            noise("8,7,3,3", 6), noise("9,8,3,3", 7),
                            noise("3,17,1,1", 8)};
  for (int batch = 0; batch < 2; batch++) {
    lun_tensor *x = noise(shape[batch], 1);
    branched n = branched_over(x, w);
    int wants[] = {n.x.node,    n.a.node,   n.b.node,   n.c.node,
                   n.join.node, n.sum.node, n.last.node};
    for (int r = 0; r < RULES - 1; r++)
      for (int k = 0; k < 2 * 7; k++) {
        lun_tensor *seed = noise(seeds[batch][k % 2], 9);
        int want = wants[k / 2];
        lun_tensor *joined = gradient(n.tape, n.out.node, seed, want,
                                      rules[r].rule, rules[r].param);
        lun_tensor *each = apart(n.tape, n.out.node, seed, want, rules[r].rule,
                                 rules[r].param);
        CHECK(same_bits(joined, each), "%s, batch %d, want %d", rules[r].rule,
              batch + 1, want);
        lun_tensor_release(joined);
        lun_tensor_release(each);
        lun_tensor_release(seed);
      }
    lun_tape_release(n.tape);
    lun_tensor_release(x);
  }
  for (int i = 0; i < WEIGHTS; i++) lun_tensor_release(w[i]);
}

/* sum(seed * out) for x + h v. */
static double branched_score(const lun_tensor *x, const lun_tensor *v, float h,
                             lun_tensor *const *w, const lun_tensor *seed) {
  lun_tensor *moved;
  double s = 0;
  CHECK(lun_tensor_copy(&moved, x, NULL) == LUN_OK, "copy");
  for (int64_t i = 0; i < x->size; i++) moved->data[i] += h * v->data[i];
  branched n = branched_over(moved, w);
  lun_tensor *out;
  CHECK(lun_tape_value(n.tape, n.out.node, &out, NULL) == LUN_OK, "value");
  for (int64_t i = 0; i < seed->size; i++)
    s += (double)out->data[i] * (double)seed->data[i];
  lun_tape_release(n.tape);
  lun_tensor_release(moved);
  return s;
}

/* The slope in a direction by central differences.  It is a normal number of deviation
** |g|; kinks within h and float32's rounding of the score were seen to take up to 0.013
** of that, so the limit is 0.05: a branch that is lost, or counted twice, moves it by
** more. */
static void branches_have_their_slope(void) {
  lun_tensor *w[WEIGHTS] = {noise("8,4,1,1", 2), noise("6,8,3,3", 3),
                            noise("5,8,1,1", 4), noise("7,11,1,1", 5),
                            noise("8,7,3,3", 6), noise("9,8,3,3", 7),
                            noise("3,17,1,1", 8)};
  lun_tensor *x = noise("1,4,9,9", 1), *seed = noise("1,3,3,3", 9);
  branched n = branched_over(x, w);
  lun_tensor *g = gradient(n.tape, n.out.node, seed, n.x.node, "plain", 0);
  for (int k = 0; k < 4; k++) {
    lun_tensor *v = noise("1,4,9,9", 20 + (uint64_t)k);
    double slope = 0, norm = 0, h = 3e-5;
    for (int64_t i = 0; i < g->size; i++) {
      slope += (double)g->data[i] * (double)v->data[i];
      norm += (double)g->data[i] * (double)g->data[i];
    }
    double up = branched_score(x, v, (float)h, w, seed);
    double down = branched_score(x, v, -(float)h, w, seed);
    double got = (up - down) / (2 * h);
    CHECK(fabs(got - slope) < 0.05 * sqrt(norm),
          "direction %d: %g, by differences %g, norm %g", k, slope, got,
          sqrt(norm));
    lun_tensor_release(v);
  }
  lun_tape_release(n.tape);
  lun_tensor_release(g);
  lun_tensor_release(seed);
  lun_tensor_release(x);
  for (int i = 0; i < WEIGHTS; i++) lun_tensor_release(w[i]);
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
    TEST(gates_go_over_a_join_of_units_that_nobody_else_reads());
    TEST(rules_that_are_none_are_refused());
    TEST(gates_equal_rules());
    TEST(two_readers_share_one_gate());
    TEST(branches_equal_rules());
    TEST(branches_have_their_slope());
    TEST(layouts_agree());
    TEST(copies_equal_walks());
    lun_set_threads(1);
  }
  DONE("walk, rules");
}
