/*
** test_deferred.c - deferred.c: values that are put off and computed in one pass,
** against the same operators one by one; when they are computed after all.
*/
#include "../../engine/core.h"
#include "tapecase.h"

static void fused_equals_unfused(void) {
  tapenet a, b;
  lun_tensor *conv;
  lun_err err;
  tapenet_open(&a, 0);
  tapenet_open(&b, LUN_DEFER);
  CHECK(same_bits(a.out.t, b.out.t), "deferred convolutions");
  CHECK(b.conv1.t->data == NULL, "nobody read the values before the relu");
  CHECK(lun_tape_value(b.tape, b.conv1.node, &conv, &err) == LUN_OK, "%s",
        err.msg);
  CHECK(same_bits(a.conv1.t, conv), "computed when they are read");
  tapenet_close(&a);
  tapenet_close(&b);
}

/* A deferred convolution with another reader than its relu. */
static void deferred_values_are_there_for_others(void) {
  lun_tape *tape;
  lun_var x, y, r, s, z;
  lun_tensor *w = noise("4,3,3,3", 2);
  CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
  x = leaf(tape, "1,3,6,6", 1);
  y = put_with(tape, "conv2d", NULL, 0, LUN_DEFER, x, (lun_var){w, -1}, none);
  r = put(tape, "relu", y, none, none);
  CHECK(y.t->data == NULL, "still deferred");
  s = put(tape, "tanh", y, none, none); /* computes it */
  CHECK(y.t->data != NULL, "computed for the second reader");
  z = put(tape, "add", r, s, none);
  for (int64_t i = 0; i < z.t->size; i++) {
    double v = (double)y.t->data[i], want = (v > 0 ? v : 0) + tanh(v);
    if (fabs((double)z.t->data[i] - want) > 1e-5) {
      CHECK(0, "element %d", (int)i);
      break;
    }
  }
  lun_tape_release(tape);
  lun_tensor_release(w);
}

/* conv2d, relu, 2x2 pooling, flatten; what waits is up to the flags. */
typedef struct poolnet {
  lun_tensor *w;
  lun_tape *tape;
  lun_var x, conv, relu, pool, out;
} poolnet;

static void poolnet_open(poolnet *n, unsigned flags) {
  n->w = noise("20,5,3,3", 2);
  CHECK(lun_tape_new(&n->tape, NULL) == LUN_OK, "tape");
  n->x = leaf(n->tape, "2,5,9,8", 1);
  n->conv = put_with(n->tape, "conv2d", "padding", 1, flags, n->x,
                     (lun_var){n->w, -1}, none);
  n->relu = put_with(n->tape, "relu", NULL, 0, flags, n->conv, none, none);
  n->pool =
      put_with(n->tape, "max_pool2d", "kernel", 2, flags, n->relu, none, none);
  n->out = put(n->tape, "flatten", n->pool, none, none);
}

static void poolnet_close(poolnet *n) {
  lun_tape_release(n->tape);
  lun_tensor_release(n->w);
}

/* With every rule, of the input and of the relu's output, which is not there;
** three copies. */
static void same_gradients(poolnet *a, poolnet *b, const char *rule) {
  lun_tensor *seed = noise("6,320", 3);
  for (int k = 0; k < 2; k++) {
    lun_tensor *g = gradient(a->tape, a->out.node, seed,
                             k ? a->relu.node : a->x.node, rule, 0.1);
    lun_tensor *h = gradient(b->tape, b->out.node, seed,
                             k ? b->relu.node : b->x.node, rule, 0.1);
    CHECK(same_bits(g, h), "%s, %d", rule, k);
    lun_tensor_release(g);
    lun_tensor_release(h);
  }
  lun_tensor_release(seed);
}

static void pooled_equals_unpooled(void) {
  static const char *const rules[] = {"plain",     "guided", "rectified",
                                      "deconvnet", "leak",   "identity"};
  poolnet a, b;
  lun_tensor *relu, *conv;
  lun_err err;
  poolnet_open(&a, 0);
  poolnet_open(&b, LUN_DEFER);
  CHECK(!b.relu.t->data && !b.conv.t->data, "three in one pass");
  CHECK(same_bits(a.pool.t, b.pool.t), "pooled values");
  for (int i = 0; i < 5; i++) {
    same_gradients(&a, &b, rules[i]);
    CHECK(!b.relu.t->data && !b.conv.t->data, "%s reads the maxima", rules[i]);
  }
  CHECK(lun_tape_value(b.tape, b.relu.node, &relu, &err) == LUN_OK, "%s",
        err.msg);
  CHECK(same_bits(a.relu.t, relu) && !b.conv.t->data, "made when it is read");
  CHECK(lun_tape_value(b.tape, b.conv.node, &conv, &err) == LUN_OK, "%s",
        err.msg);
  CHECK(same_bits(a.conv.t, conv), "and what is before it");
  same_gradients(&a, &b, "guided");
  same_gradients(&a, &b, rules[5]);
  poolnet_close(&a);
  poolnet_close(&b);
}

/* Values that were dropped stay while something can only be computed from them,
** and then go, one after the other. */
static void dropped_values_serve_what_waits(void) {
  poolnet n;
  lun_tensor *v;
  poolnet_open(&n, LUN_DEFER);
  lun_node *x = lun_tape_node(n.tape, n.x.node);
  lun_node *conv = lun_tape_node(n.tape, n.conv.node);
  lun_node *relu = lun_tape_node(n.tape, n.relu.node);
  CHECK(conv->joined && relu->joined, "three in one pass");
  lun_tape_forget(n.tape, x->id);
  lun_tape_forget(n.tape, conv->id);
  CHECK(x->out && conv->out, "relu waits and would be computed from them");
  CHECK(lun_tape_value(n.tape, relu->id, &v, NULL) == LUN_OK && v->data,
        "it is");
  CHECK(!x->out && !conv->out && relu->out, "then they go");
  CHECK(lun_tape_value(n.tape, conv->id, &v, NULL) == LUN_EARG, "for good");
  poolnet_close(&n);
  poolnet_open(&n, LUN_DEFER);
  for (int id = 0; id < lun_tape_count(n.tape); id++)
    lun_tape_forget(n.tape, id);
  for (int id = 0; id < lun_tape_count(n.tape); id++)
    CHECK(!lun_tape_node(n.tape, id)->out, "node %d: nothing waits", id);
  poolnet_close(&n);
}

/* What was put off is made of what was there then, or not at all. */
static void changed_inputs_are_told(void) {
  poolnet n;
  lun_tensor *v;
  lun_err err = {0, ""};
  poolnet_open(&n, LUN_DEFER);
  n.w->store->changes++;
  CHECK(lun_tape_value(n.tape, n.relu.node, &v, &err) == LUN_EARG && !v &&
            strstr(err.msg, "relu") && strstr(err.msg, "changed since"),
        "%s", err.msg);
  CHECK(!n.relu.t->data, "nothing half-made");
  CHECK(lun_tape_value(n.tape, n.conv.node, &v, &err) == LUN_EARG, "%s",
        err.msg);
  poolnet_close(&n);
}

/* A rule that stands by itself finds the relu's values. */
static void rules_find_what_waited(void) {
  poolnet a, b;
  poolnet_open(&a, 0);
  poolnet_open(&b, LUN_DEFER);
  same_gradients(&a, &b, "identity"); /* no gate: relu has a step of its own */
  same_gradients(&a, &b, "beta_smooth");
  CHECK(b.relu.t->data && b.conv.t->data, "computed for the rule");
  poolnet_close(&a);
  poolnet_close(&b);
}

/* Poolings of other windows, and others than poolings, read relu's values. */
static void what_cannot_join_reads(void) {
  poolnet a, b;
  lun_var p, q;
  poolnet_open(&a, 0);
  poolnet_open(&b, LUN_DEFER);
  p = put_with(a.tape, "max_pool2d", "kernel", 3, 0, a.relu, none, none);
  q = put_with(b.tape, "max_pool2d", "kernel", 3, 0, b.relu, none, none);
  CHECK(b.relu.t->data && same_bits(p.t, q.t), "3x3");
  poolnet_close(&b);
  poolnet_open(&b, LUN_DEFER);
  p = put(a.tape, "tanh", a.relu, none, none);
  q = put(b.tape, "tanh", b.relu, none, none);
  CHECK(b.relu.t->data && same_bits(p.t, q.t), "tanh");
  poolnet_close(&a);
  poolnet_close(&b);
}

/* A read that fails leaves the value put off, and nothing behind; the next one that
** is not refused brings it. */
static void a_read_that_fails_can_be_repeated(void) {
  poolnet a, b;
  lun_tensor *v = NULL;
  long n = 1;
  poolnet_open(&a, 0);
  poolnet_open(&b, LUN_DEFER);
  for (int status = LUN_ENOMEM; n < 100 && status != LUN_OK; n++) {
    size_t blocks = lun_mem().blocks;
    lun_mem_fail_at(n);
    status = lun_tape_value(b.tape, b.relu.node, &v, NULL);
    lun_mem_fail_at(0);
    if (status == LUN_OK) break;
    CHECK(status == LUN_ENOMEM && !v && !b.relu.t->data, "allocation %ld", n);
    CHECK(lun_mem().blocks == blocks, "allocation %ld leaks", n);
  }
  CHECK(n > 1 && v && same_bits(a.relu.t, v), "%ld allocations", n);
  lun_interrupt(1);
  CHECK(lun_tape_value(b.tape, b.conv.node, &v, NULL) == LUN_EINTR && !v,
        "an interrupted read");
  lun_interrupt(0);
  CHECK(!b.conv.t->data, "is none");
  CHECK(lun_tape_value(b.tape, b.conv.node, &v, NULL) == LUN_OK &&
            same_bits(a.conv.t, v),
        "afterwards all is well");
  poolnet_close(&a);
  poolnet_close(&b);
}

/* conv2d, batch_norm, add, an activation: four in one pass, as of a residual
** block. */
typedef struct block { /* norm: mean, variance, gamma, beta */
  lun_tensor *w, *norm[4];
  lun_tape *tape;
  lun_var x, side, conv, scaled, sum, out;
} block;

static void block_open(block *n, const char *activation, unsigned flags) {
  const lun_op *op = lun_op_find("batch_norm");
  double attr[LUN_MAXATTR];
  lun_var in[5];
  lun_err err = {0, ""};
  CHECK(lun_tape_new(&n->tape, NULL) == LUN_OK, "tape");
  n->w = noise("6,4,3,3", 2);
  n->x = leaf(n->tape, "2,4,7,9", 1);
  n->side = leaf(n->tape, "2,6,7,9", 3);
  n->conv = put_with(n->tape, "conv2d", "padding", 1, flags, n->x,
                     (lun_var){n->w, -1}, none);
  in[0] = n->conv;
  for (int i = 0; i < 4; i++) {
    n->norm[i] = noise("6", 4 + (uint64_t)i);
    in[1 + i] = (lun_var){n->norm[i], -1};
  }
  for (int i = 0; i < 6; i++) /* a variance is positive */
    n->norm[1]->data[i] = 0.5f + n->norm[1]->data[i] * n->norm[1]->data[i];
  lun_attr_defaults(op, attr);
  CHECK(lun_apply(n->tape, op, in, 5, attr, "norm", flags, &n->scaled, &err) ==
            LUN_OK,
        "%s", err.msg);
  lun_tensor_release(n->scaled.t);
  n->sum = put_with(n->tape, "add", NULL, 0, flags, n->scaled, n->side, none);
  n->out = put(n->tape, activation, n->sum, none, none);
}

static void block_close(block *n) {
  lun_tape_release(n->tape);
  lun_tensor_release(n->w);
  for (int i = 0; i < 4; i++) lun_tensor_release(n->norm[i]);
}

/* One pass scales by a factor that batch_norm makes of two numbers first: roundings. */
static void near(const lun_tensor *a, const lun_tensor *b, const char *what) {
  CHECK(a && b && a->size == b->size &&
            distance(b->data, a->data, a->size) < 1e-6,
        "%s: %g", what, a && b ? distance(b->data, a->data, a->size) : -1.0);
}

static void a_block_is_one_pass(void) {
  static const char *const activations[] = {"relu", "relu6"};
  for (int k = 0; k < 2; k++) {
    block a, b;
    lun_tensor *v;
    block_open(&a, activations[k], 0);
    block_open(&b, activations[k], LUN_DEFER);
    CHECK(!b.conv.t->data && !b.scaled.t->data && !b.sum.t->data,
          "%s: four in one pass", activations[k]);
    near(a.out.t, b.out.t, activations[k]);
    for (int id = b.conv.node; id < b.out.node; id++)
      CHECK(lun_tape_node(b.tape, id)->joined, "node %d was joined", id);
    CHECK(!lun_tape_node(b.tape, b.out.node)->joined,
          "the last one has values");
    /* from the end: each is computed with those before it, which still wait */
    CHECK(lun_tape_value(b.tape, b.sum.node, &v, NULL) == LUN_OK, "sum");
    near(a.sum.t, v, "the sum");
    CHECK(!b.scaled.t->data && !b.conv.t->data, "made of what still waits");
    CHECK(lun_tape_value(b.tape, b.scaled.node, &v, NULL) == LUN_OK, "norm");
    near(a.scaled.t, v, "the norm");
    CHECK(lun_tape_value(b.tape, b.conv.node, &v, NULL) == LUN_OK &&
              same_bits(a.conv.t, v),
          "the convolution, to the bit");
    block_close(&a);
    block_close(&b);
  }
}

/* silu's gradient reads what silu was given, so that is computed, unless no gradient
** will be asked for. */
static void what_a_gradient_reads_does_not_wait(void) {
  for (int forward_only = 0; forward_only < 2; forward_only++) {
    lun_tape *tape;
    lun_tensor *w = noise("4,3,3,3", 2);
    lun_var x, y;
    unsigned only = forward_only ? LUN_FORWARD_ONLY : 0;
    CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
    x = leaf(tape, "1,3,6,6", 1);
    y = put_with(tape, "conv2d", NULL, 0, LUN_DEFER | only, x, (lun_var){w, -1},
                 none);
    put_with(tape, "silu", NULL, 0, only, y, none, none);
    CHECK((y.t->data == NULL) == forward_only, "forward only: %d",
          forward_only);
    lun_tape_release(tape);
    lun_tensor_release(w);
  }
}

/* A value that is put off on a tape is none for an operator without it. */
static void misuse_is_told(void) {
  poolnet n;
  lun_var in[1], out;
  lun_tensor *v;
  lun_err err = {0, ""};
  poolnet_open(&n, LUN_DEFER);
  in[0] = (lun_var){n.relu.t, -1};
  CHECK(lun_apply(NULL, lun_op_find("tanh"), in, 1, NULL, "t", 0, &out, &err) ==
                LUN_EARG &&
            strstr(err.msg, "input 1 has no values"),
        "%s", err.msg);
  CHECK(lun_tape_value(n.tape, 99, &v, &err) == LUN_EARG && !v &&
            strstr(err.msg, "no node 99"),
        "%s", err.msg);
  CHECK(lun_tape_value(n.tape, -1, &v, &err) == LUN_EARG && !v, "%s", err.msg);
  poolnet_close(&n);
}

int main(void) {
  TESTS {
    TEST(fused_equals_unfused());
    TEST(deferred_values_are_there_for_others());
    TEST(pooled_equals_unpooled());
    TEST(dropped_values_serve_what_waits());
    TEST(changed_inputs_are_told());
    TEST(rules_find_what_waited());
    TEST(what_cannot_join_reads());
    TEST(a_read_that_fails_can_be_repeated());
    TEST(a_block_is_one_pass());
    TEST(what_a_gradient_reads_does_not_wait());
    TEST(misuse_is_told());
  }
  DONE("deferred");
}
