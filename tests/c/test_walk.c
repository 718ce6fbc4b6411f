/*
** test_walk.c - backward: against finite differences and by hand, several targets
** in one walk against walks of their own, hooks.  Rules: test_walk_rules.c.
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
    TEST(targets_do_not_disturb_each_other());
    TEST(walks_leave_nothing_behind());
    TEST(answers_are_used());
    TEST(abandoned_walks_leak_nothing());
    TEST(misuse_is_told());
    TEST(empty_outputs_are_refused());
    lun_set_threads(1);
  }
  DONE("walk");
}
