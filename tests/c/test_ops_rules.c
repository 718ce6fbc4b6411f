/*
** test_ops_rules.c - backward rules against their formulas, convolution and
** relu in one pass against one after the other, every message, the table of
** operators.
*/
#include "opcase.h"

/* ---- backward rules ----------------------------------------------------- */

typedef double formula(double x, double y, double dy, double plain, double p);

static double guided(double x, double y, double dy, double plain, double p) {
  (void)x, (void)y, (void)p;
  return dy > 0 ? plain : 0;
}
static double rectified(double x, double y, double dy, double plain, double p) {
  (void)x, (void)y, (void)plain, (void)p;
  return dy > 0 ? dy : 0;
}
static double leak(double x, double y, double dy, double plain, double p) {
  (void)x, (void)plain;
  return y > 0 ? dy : p * dy;
}
static double same(double x, double y, double dy, double plain, double p) {
  (void)x, (void)y, (void)plain, (void)p;
  return dy;
}
static double smooth(double x, double y, double dy, double plain, double p) {
  (void)y, (void)plain;
  return dy / (1 + exp(-p * x));
}

static const struct {
  const char *name;
  formula *f;
  double param;
} rules[] = {
    {"guided", guided, 0},       {"rectified", rectified, 0},
    {"deconvnet", rectified, 0}, {"leak", leak, 0.25},
    {"identity", same, 0},       {"beta_smooth", smooth, 3},
};

/* One rule of one activation, two copies, out of place and in place. */
static void check_rule(const char *op, int r, int in_place) {
  opcase c;
  float dy[40], plain[40], got[40], *a[LUN_MAXIN] = {plain};
  float *b[LUN_MAXIN] = {in_place ? dy : got};
  double off = 0;
  opcase_open(&c, op, "", "4,5");
  opcase_fill(dy, 40, ' ', 0, 6);
  opcase_back(&c, "plain", 0, 2, dy, a);
  float keep[40];
  memcpy(keep, dy, sizeof dy);
  CHECK(opcase_back(&c, rules[r].name, rules[r].param, 2, dy, b) == LUN_OK,
        "%s", c.err.msg);
  for (int i = 0; i < 40; i++) {
    double want = rules[r].f((double)c.n.in[0]->data[i % 20],
                             (double)c.n.out->data[i % 20], (double)keep[i],
                             (double)plain[i], rules[r].param);
    double away = fabs(want - (double)b[0][i]);
    if (!(away <= off)) off = away;
  }
  CHECK(off < 1e-6, "%s %s is off by %g", op, rules[r].name, off);
  opcase_close(&c);
}

static int formula_of(const char *rule) {
  for (int r = 0; r < (int)(sizeof rules / sizeof *rules); r++)
    if (strcmp(rules[r].name, rule) == 0) return r;
  return -1;
}

/* The rules of every operator of the relu family, those that have "guided": a
** rule that is added to one of them needs its formula above. */
static void rules_follow_their_formulas(void) {
  lun_err err;
  for (int i = 0; lun_op_at(i); i++) {
    const lun_op *op = lun_op_at(i);
    if (!lun_op_rule(op, "guided", &err)) continue;
    for (const lun_rule *rule = op->rules + 1; rule->name; rule++) {
      int r = formula_of(rule->name);
      CHECK(r >= 0, "rule '%s' of %s has no formula in this test", rule->name,
            op->name);
      if (r < 0) continue;
      check_rule(op->name, r, 0);
      check_rule(op->name, r, 1);
    }
  }
}

/* Only beta_smooth may look at relu's input, which may have no values. */
static void relu_rules_need_the_output_alone(void) {
  opcase c;
  float dy[4] = {1, -1, 2, -2}, got[4], *dx[LUN_MAXIN] = {got};
  opcase_open(&c, "relu", "", "4");
  float *data = c.n.in[0]->data;
  c.n.in[0]->data = NULL;
  for (const lun_rule *r = c.n.op->rules; r->name; r++) {
    CHECK(r->needs_input == (strcmp(r->name, "beta_smooth") == 0), "%s",
          r->name);
    if (!r->needs_input)
      CHECK(opcase_back(&c, r->name, 0.5, 1, dy, dx) == LUN_OK, "%s", r->name);
  }
  c.n.in[0]->data = data;
  opcase_close(&c);
}

/* ---- convolution and relu in one pass ----------------------------------- */

/* join's pass against forward and then relu; the gated gradient against the
** plain one and then relu's rule.  The same kernels sum in the same order in
** both cases, so they must agree to the bit. */
static void fused_equals_unfused(const char *op, const char *attrs,
                                 const char *inputs) {
  static const char *const gates[] = {"plain", "guided", "rectified", "leak"};
  opcase c, relu, before;
  int64_t in, out;
  opcase_open(&c, op, attrs, inputs);
  out = c.n.out->size;
  in = c.n.in[0]->size;
  opcase_make(&relu, "relu", "", "");
  relu.n.nin = 1;
  relu.n.in[0] = lun_tensor_retain(c.n.out);
  opcase_run(&relu);
  float *apart = lun_malloc((size_t)out * sizeof *apart);
  memcpy(apart, relu.n.out->data, (size_t)out * sizeof *apart);
  memset(relu.n.out->data, 0, (size_t)out * sizeof *apart);
  lun_node *next[1] = {&relu.n};
  lun_joined how = c.n.op->join(&c.n, next, 1);
  CHECK(how.run && how.run(&c.n, next, 1, &c.err) == LUN_OK, "%s", op);
  CHECK(opcase_off(relu.n.out->data, apart, out) == 0, "%s {%s}", op, attrs);

  /* the relu before: made c's input */
  opcase_make(&before, "relu", "", "");
  before.n.nin = 1;
  before.n.in[0] = lun_tensor_retain(c.n.in[0]);
  opcase_run(&before);
  float *dy = lun_malloc(2 * (size_t)out * sizeof *dy);
  float *one = lun_malloc(2 * (size_t)in * sizeof *one);
  float *two = lun_malloc(2 * (size_t)in * sizeof *two);
  opcase_fill(dy, 2 * out, ' ', 0, 3);
  for (int k = 0; k < 4; k++) {
    const double attr[LUN_MAXPARAM] = {(double)0.3f};
    const lun_rule *rule = lun_op_rule(before.n.op, gates[k], &c.err);
    lun_gate gate = {rule->gate(attr), before.n.out->data, in};
    lun_back b = {.node = &c.n, .copies = 2, .dy = dy};
    b.dx[0] = one;
    c.n.op->rules[0].back(&b, &c.err);
    opcase_back(&before, gates[k], (double)0.3f, 2, one, &one);
    b.dx[0] = two;
    b.gate = &gate;
    c.n.op->rules[0].back(&b, &c.err);
    CHECK(opcase_off(two, one, 2 * in) == 0, "%s {%s} %s: %g", op, attrs,
          gates[k], opcase_off(two, one, 2 * in));
  }
  lun_free(apart);
  lun_free(dy);
  lun_free(one);
  lun_free(two);
  opcase_close(&before);
  opcase_close(&relu);
  opcase_close(&c);
}

/* ---- messages ----------------------------------------------------------- */

static const struct {
  const char *op, *attrs, *inputs;
  int code;
  const char *part; /* must appear in the message */
} mistakes[] = {
    {"conv2d", "", "1,128,4,4|8,256,3,3", LUN_ESHAPE,
     "conv2d 'l1': weight has 256 input channels, input has 128"},
    {"conv2d", "groups=2", "1,4,4,4|3,2,3,3", LUN_ESHAPE,
     "3 output channels in 2 groups"},
    {"conv2d", "", "1,2,4,4|8,2,3,3|7", LUN_ESHAPE,
     "bias has shape (7), weight has 8 output channels"},
    {"conv2d", "", "1,2,2,4|8,2,3,3", LUN_ESHAPE,
     "kernel spans 3 in height, padded input has 2"},
    {"conv2d", "dilation=1,3", "1,2,4,4|8,2,3,3", LUN_ESHAPE,
     "kernel spans 7 in width, padded input has 4"},
    {"conv2d", "stride=0,1", "1,2,4,4|8,2,3,3", LUN_EARG, "'stride' is 0"},
    {"conv2d", "padding=-1,0", "1,2,4,4|8,2,3,3", LUN_EARG, "'padding' is -1"},
    {"conv2d", "stride=1.5,1", "1,2,4,4|8,2,3,3", LUN_EARG,
     "'stride' is 1.5, must be a whole number"},
    {"conv2d", "", "2,4,4|8,2,3,3", LUN_ESHAPE,
     "input 1 has shape (2, 4, 4), needs 4 dims"},
    {"linear", "", "1,5|3,4", LUN_ESHAPE,
     "weight has 4 input features, input has 5"},
    {"linear", "weight_layout=1", "1,5|3,4", LUN_ESHAPE,
     "weight has 3 input features, input has 5"},
    {"linear", "", "1,3|3,4", LUN_ESHAPE,
     "input has 3; of shape (in, out) it is weight_layout in_out"},
    {"linear", "weight_layout=1", "1,4|3,4", LUN_ESHAPE,
     "input has 4; of shape (out, in) it is weight_layout out_in"},
    {"linear", "weight_layout=1", "1,3|3,4|3", LUN_ESHAPE,
     "bias has shape (3), weight has 4 output features"},
    {"linear", "weight_layout=2", "1,5|3,5", LUN_EARG,
     "'weight_layout' is 2, must be 0 to 1"},
    {"linear", "", "1,4|3,4|2", LUN_ESHAPE,
     "bias has shape (2), weight has 3 output features"},
    {"linear", "", "1,0|3,0", LUN_ESHAPE, "weight has shape (3, 0)"},
    {"matmul", "", "2,3|4,5", LUN_ESHAPE,
     "left matrix has 3 columns, right has 4 rows"},
    {"matmul", "transpose_a=2", "2,3|3,5", LUN_EARG, "'transpose_a' is 2"},
    {"softplus", "beta=0", "2", LUN_EARG, "'beta' is 0, must be above 0"},
    {"elu", "alpha=-1", "2", LUN_EARG, "'alpha' is -1"},
    {"clamp", "min=2 max=1", "2", LUN_EARG, "'min' is 2, 'max' is 1"},
    {"add", "", "2,3|4,3", LUN_ESHAPE,
     "shapes (2, 3) and (4, 3) do not broadcast"},
    {"sum", "dims=4", "2,3", LUN_EARG, "'dims' is 4, must be -2 to 2"},
    {"sum", "dims=0", "2,3", LUN_EARG, "dimensions count from 1"},
    {"max", "", "0", LUN_ESHAPE, "input is empty"},
    {"max_pool2d", "", "1,1,4,4", LUN_EARG, "'kernel' is missing"},
    {"max_pool2d", "kernel=2,2 padding=2,0", "1,1,4,4", LUN_EARG,
     "'padding' is 2, must be 0 to 1"},
    {"avg_pool2d", "kernel=5,5", "1,1,4,6", LUN_ESHAPE,
     "kernel spans 5 in height, padded input has 4"},
    {"global_avg_pool", "", "1,1,0,4", LUN_ESHAPE, "shape (1, 1, 0, 4)"},
    {"batch_norm", "", "1,3,2|2|+3", LUN_ESHAPE,
     "mean has shape (2), input has 3 channels"},
    {"batch_norm", "eps=-1", "1,3,2|3|+3", LUN_EARG, "'eps' is -1"},
    {"lrn", "k=0", "1,3", LUN_EARG, "'k' is 0"},
    {"lrn", "size=0", "1,3", LUN_EARG, "'size' is 0"},
    {"softmax", "dim=3", "1,3", LUN_EARG, "'dim' is 3"},
    {"reshape", "shape=4,2", "2,3", LUN_ESHAPE,
     "input (2, 3) has 6 elements, shape (4, 2) has 8"},
    {"reshape", "shape=-1,4", "2,3", LUN_ESHAPE, "has 6 elements"},
    {"reshape", "shape=-1,-1", "2,3", LUN_EARG, "-1 twice, at 1 and 2"},
    {"reshape", "", "2,3", LUN_EARG, "'shape' is missing"},
    {"flatten", "from=3", "2,3", LUN_EARG, "'from' is 3"},
    {"permute", "dims=1,1", "2,3", LUN_EARG, "names dimension 1 twice"},
    {"permute", "dims=1,2,3", "2,3", LUN_EARG,
     "has 3 numbers for 2 dimensions"},
    {"permute", "dims=2", "2,3", LUN_EARG, "has 1 number for 2 dimensions"},
    {"permute", "", "2,3", LUN_EARG, "'dims' is missing"},
    {"expand", "shape=2,4", "2,3", LUN_ESHAPE,
     "input (2, 3) does not expand to (2, 4)"},
    {"expand", "shape=3", "2,3", LUN_ESHAPE, "does not expand to (3)"},
    {"concat", "", "2,3|3,3", LUN_ESHAPE,
     "input 1 has shape (2, 3), input 2 has (3, 3)"},
    {"concat", "", "2,3|-", LUN_EARG, "input 2 is missing"},
    {"narrow", "dim=1 start=3 length=2", "3,2", LUN_EARG,
     "'length' is 2, must be 0 to 1"},
    {"narrow", "", "3,2", LUN_EARG, "'dim' is missing"},
    {"pad", "before=3 mode=1", "3", LUN_ESHAPE,
     "padding 3 is too much for dimension 1 of length 3"},
    {"pad", "mode=3", "3", LUN_EARG, "'mode' is 3"},
    {"roll", "shift=0.5", "3", LUN_EARG, "'shift' is 0.5"},
    {"flip", "", "3", LUN_EARG, "'dims' is missing"},
    {"index_select", "", "3|i9:1", LUN_EARG, "must be 1 to 3"},
    {"gather", "dim=1", "3,2|i3:2,3", LUN_ESHAPE,
     "index (2, 3) reaches outside input (3, 2)"},
    {"gather", "dim=1", "1,2|b2,2", LUN_EARG, "index 0 at position"},
    {"interpolate", "", "1,1,2,2", LUN_EARG, "'size' is missing"},
    {"interpolate", "size=2,2 mode=5", "1,1,2,2", LUN_EARG, "'mode' is 5"},
    {"interpolate", "size=2,2", "1,1,0,2", LUN_ESHAPE, "shape (1, 1, 0, 2)"},
};

static void messages_name_the_layer_and_both_numbers(void) {
  static char name[] = "l1";
  for (size_t r = 0; r < sizeof mistakes / sizeof *mistakes; r++) {
    opcase c;
    opcase_make(&c, mistakes[r].op, mistakes[r].attrs, mistakes[r].inputs);
    if (strcmp(mistakes[r].op, "index_select") == 0)
      c.n.in[1]->data[0] = 4; /* one past the end */
    c.n.name = name;
    opcase_run(&c);
    CHECK(c.status == mistakes[r].code && strstr(c.err.msg, mistakes[r].part) &&
              strncmp(c.err.msg, mistakes[r].op, strlen(mistakes[r].op)) == 0,
          "%s {%s} on %s said '%s' (%d)", mistakes[r].op, mistakes[r].attrs,
          mistakes[r].inputs, c.err.msg, c.status);
    opcase_close(&c);
  }
}

/* ---- the table ---------------------------------------------------------- */

static void the_table_is_complete_and_consistent(void) {
  int count = 0;
  for (const lun_op *op; (op = lun_op_at(count)) != NULL; count++) {
    int used[LUN_MAXATTR] = {0}, clash = 0;
    CHECK(lun_op_find(op->name) == op, "%s", op->name);
    CHECK(op->doc && strncmp(op->doc, op->name, strlen(op->name)) == 0,
          "%s has no line of documentation", op->name);
    CHECK(op->rules && strcmp(op->rules->name, "plain") == 0, "%s", op->name);
    for (const lun_attrdef *a = op->attrs; a && a->name; a++)
      for (int i = a->at; i < a->at + a->count; i++)
        clash |= i >= LUN_MAXATTR || used[i]++;
    CHECK(!clash, "%s: two attributes in one slot", op->name);
  }
  CHECK(count >= 60 && !lun_op_at(-1) && !lun_op_find("no such"), "%d", count);
}

static void an_unknown_rule_lists_those_there_are(void) {
  lun_err err;
  const lun_op *relu = lun_op_find("relu");
  CHECK(!lun_op_rule(relu, "gided", &err) && err.code == LUN_ENAME &&
            strstr(err.msg, "op 'relu' has no rule 'gided'") &&
            strstr(err.msg, "plain, guided"),
        "%s", err.msg);
  CHECK(lun_op_rule(relu, "guided", &err) != NULL, "guided");
}

/* By name, every slot of it; what is no attribute is named, also where there
** is none at all. */
static void attributes_are_set_by_name(void) {
  static const char *const ops[] = {"conv2d", "relu"};
  double attr[LUN_MAXATTR];
  lun_err err = {0, ""};
  lun_attr_defaults(lun_op_find("conv2d"), attr);
  CHECK(lun_attr_set(lun_op_find("conv2d"), attr, "stride", 3, &err) == LUN_OK,
        "%s", err.msg);
  for (const lun_attrdef *a = lun_op_find("conv2d")->attrs; a->name; a++)
    for (int i = 0; i < a->count; i++)
      CHECK((attr[a->at + i] == 3) == (strcmp(a->name, "stride") == 0), "%s",
            a->name);
  for (int k = 0; k < 2; k++) {
    CHECK(lun_attr_set(lun_op_find(ops[k]), attr, "stripe", 3, &err) ==
              LUN_ENAME,
          "%s", ops[k]);
    CHECK(strstr(err.msg, ops[k]) && strstr(err.msg, "'stripe'"), "%s",
          err.msg);
  }
}

static void defaults_fill_every_slot(void) {
  double attr[LUN_MAXATTR];
  lun_attr_defaults(lun_op_find("conv2d"), attr);
  CHECK(attr[0] == 1 && attr[2] == 0 && attr[4] == LUN_UNSET && attr[8] == 1 &&
            attr[15] == LUN_UNSET,
        "conv2d");
}

int main(void) {
  TESTS {
    TEST(rules_follow_their_formulas());
    TEST(relu_rules_need_the_output_alone());
    TEST(fused_equals_unfused("conv2d", "padding=1,1", "2,5,9,11|7,5,3,3|7"));
    TEST(fused_equals_unfused("conv2d", "stride=2,2", "1,3,9,11|4,3,5,5"));
    TEST(fused_equals_unfused("linear", "", "3,33|17,33|17"));
    TEST(fused_equals_unfused("linear", "weight_layout=1", "3,33|33,17|17"));
    TEST(messages_name_the_layer_and_both_numbers());
    TEST(the_table_is_complete_and_consistent());
    TEST(an_unknown_rule_lists_those_there_are());
    TEST(defaults_fill_every_slot());
    TEST(attributes_are_set_by_name());
  }
  DONE("ops: rules and messages");
}
