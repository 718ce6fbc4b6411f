/*
** The operators' values against literals worked out by hand or printed by
** PyTorch 1.13 / numpy (named beside each), backward rules against their
** formulas, and every message.
*/
#include "opcase.h"

/* ---- literal values ---------------------------------------------------- */

typedef struct literal {
  const char *op, *attrs, *inputs;
  const float *x;    /* of the first input, NULL: as opcase fills it */
  const float *want; /* the output */
  double tolerance;
  const float *x2; /* of the second input */
} literal;

#define V (const float[])

/* Float32 arithmetic on values of order 1 to 16: 1e-6 is a few ulps; exact
** where the operator only moves or selects. */
static const literal literals[] = {
    {"relu", "", "3", V{-1, 0, 2}, V{0, 0, 2}, 0, NULL},
    {"leaky_relu", "", "2", V{-1, 2}, V{-0.01f, 2}, 0, NULL},
    {"relu6", "", "3", V{-1, 3, 7}, V{0, 3, 6}, 0, NULL},
    /* torch.nn.functional: values at -1, 0, 2 */
    {"sigmoid", "", "3", V{-1, 0, 2}, V{0.26894142f, 0.5f, 0.88079708f}, 1e-6,
     NULL},
    {"tanh", "", "3", V{-1, 0, 2}, V{-0.76159416f, 0, 0.96402758f}, 1e-6, NULL},
    {"softplus", "beta=2", "3", V{-1, 0, 2},
     V{0.06346400f, 0.34657359f, 2.00907499f}, 1e-6, NULL},
    {"softplus", "", "2", V{-200, 200}, V{0, 200}, 0, NULL},
    {"elu", "alpha=0.5", "3", V{-1, 0, 2}, V{-0.31606028f, 0, 2}, 1e-6, NULL},
    {"silu", "", "3", V{-1, 0, 2}, V{-0.26894142f, 0, 1.76159416f}, 1e-6, NULL},
    {"gelu", "", "3", V{-1, 0, 2}, V{-0.15865525f, 0, 1.95449974f}, 1e-6, NULL},
    {"round", "", "4", V{0.5f, 1.5f, -0.5f, 2.4f}, V{0, 2, 0, 2}, 0, NULL},
    {"floor", "", "2", V{-0.5f, 1.5f}, V{-1, 1}, 0, NULL},
    {"sign", "", "3", V{-3, 0, 9}, V{-1, 0, 1}, 0, NULL},
    {"clamp", "min=0 max=1", "3", V{-3, 0.5f, 9}, V{0, 0.5f, 1}, 0, NULL},
    {"clamp", "min=1", "2", V{-3, 9}, V{1, 9}, 0, NULL},
    {"sub", "", "2,1|2", V{1, 2}, V{-9, -19, -8, -18}, 0, V{10, 20}},
    {"atan2", "", "1|1", V{1}, V{2.3561945f}, 1e-6, V{-1}},
    {"pow", "", "3|1", V{0, 2, 3}, V{0, 4, 9}, 0, V{2}},
    {"gt", "", "3|1", V{1, 2, 3}, V{0, 0, 1}, 0, V{2}},
    {"lt", "", "3|1", V{1, 2, 3}, V{1, 0, 0}, 0, V{2}},
    {"ge", "", "3|1", V{1, 2, 3}, V{0, 1, 1}, 0, V{2}},
    {"le", "", "3|1", V{1, 2, 3}, V{1, 1, 0}, 0, V{2}},
    {"eq", "", "3|1", V{1, 2, 3}, V{0, 1, 0}, 0, V{2}},
    {"ne", "", "3|1", V{1, 2, 3}, V{1, 0, 1}, 0, V{2}},
    {"matmul", "", "2,2|2,1", V{1, 2, 3, 4}, V{17, 39}, 0, V{5, 6}},
    {"linear", "", "1,2|2,2", V{5, 6}, V{17, 39}, 0, V{1, 2, 3, 4}},
    {"sum", "dims=1", "2,2", V{1, 2, 3, 4}, V{4, 6}, 0, NULL},
    {"mean", "", "2,2", V{1, 2, 3, 4}, V{2.5f}, 0, NULL},
    {"max", "dims=2", "2,2", V{1, 2, 4, 3}, V{2, 4}, 0, NULL},
    {"min", "", "2,2", V{4, 2, 1, 3}, V{1}, 0, NULL},
    {"max_pool2d", "kernel=2,2", "1,1,2,4", V{1, 5, 2, 0, 3, 4, 8, 7}, V{5, 8},
     0, NULL},
    /* ceil mode: 3 wide, the last window has one column */
    {"max_pool2d", "kernel=2,2 ceil_mode=1", "1,1,2,3", V{1, 5, 2, 3, 4, 8},
     V{5, 8}, 0, NULL},
    /* torch.nn.functional.avg_pool2d(arange(9), 2, 2, 1): padding counted */
    {"avg_pool2d", "kernel=2,2 padding=1,1", "1,1,3,3",
     V{0, 1, 2, 3, 4, 5, 6, 7, 8}, V{0, 0.75f, 2.25f, 6}, 1e-6, NULL},
    {"avg_pool2d", "kernel=2,2 padding=1,1 count_include_pad=0", "1,1,3,3",
     V{0, 1, 2, 3, 4, 5, 6, 7, 8}, V{0, 1.5f, 4.5f, 6}, 1e-6, NULL},
    {"global_avg_pool", "", "1,2,1,2", V{1, 2, 3, 5}, V{1.5f, 4}, 0, NULL},
    {"global_max_pool", "", "1,2,1,2", V{1, 2, 5, 3}, V{2, 5}, 0, NULL},
    {"lrn", "size=3 alpha=3 beta=1 k=1", "1,3", V{1, 2, 3},
     V{1 / 6.0f, 2 / 15.0f, 3 / 14.0f}, 1e-6, NULL},
    {"softmax", "", "1,3", V{1, 2, 3}, V{0.09003057f, 0.24472847f, 0.66524096f},
     1e-6, NULL},
    {"softmax", "", "1,2", V{1000, 1000}, V{0.5f, 0.5f}, 0, NULL},
    {"log_softmax", "", "1,3", V{1, 2, 3},
     V{-2.40760596f, -1.40760596f, -0.40760596f}, 1e-6, NULL},
    {"permute", "dims=2,1", "2,3", V{1, 2, 3, 4, 5, 6}, V{1, 4, 2, 5, 3, 6}, 0,
     NULL},
    {"expand", "shape=2,3", "2,1", V{1, 2}, V{1, 1, 1, 2, 2, 2}, 0, NULL},
    {"concat", "dim=2", "2,1|2,2", V{1, 2}, V{1, 3, 4, 2, 5, 6}, 0,
     V{3, 4, 5, 6}},
    {"narrow", "dim=2 start=2 length=2", "2,3", V{1, 2, 3, 4, 5, 6},
     V{2, 3, 5, 6}, 0, NULL},
    {"pad", "before=1 after=2 value=9", "2", V{1, 2}, V{9, 1, 2, 9, 9}, 0,
     NULL},
    {"pad", "before=2 after=1 mode=1", "3", V{1, 2, 3}, V{3, 2, 1, 2, 3, 2}, 0,
     NULL},
    {"pad", "before=2 after=1 mode=2", "3", V{1, 2, 3}, V{1, 1, 1, 2, 3, 3}, 0,
     NULL},
    {"roll", "shift=1", "3", V{1, 2, 3}, V{3, 1, 2}, 0, NULL},
    {"roll", "shift=-4", "3", V{1, 2, 3}, V{2, 3, 1}, 0, NULL},
    {"flip", "dims=1", "3", V{1, 2, 3}, V{3, 2, 1}, 0, NULL},
    {"index_select", "dim=1", "3|i1:4", V{5, 6, 7}, V{7, 5, 5, 6}, 0,
     V{3, 1, 1, 2}},
    {"gather", "dim=2", "2,2|i1:2,1", V{5, 6, 7, 8}, V{6, 7}, 0, V{2, 1}},
    /* torch.nn.functional.interpolate of [[1, 2], [3, 4]] or [1, 2, 4] */
    {"interpolate", "size=1,5 mode=0", "1,1,1,3", V{1, 2, 4}, V{1, 1, 2, 2, 4},
     0, NULL},
    {"interpolate", "size=1,6", "1,1,1,3", V{1, 2, 4},
     V{1, 1.25f, 1.75f, 2.5f, 3.5f, 4}, 1e-6, NULL},
    {"interpolate", "size=3,3 align_corners=1", "1,1,2,2", V{1, 2, 3, 4},
     V{1, 1.5f, 2, 2, 2.5f, 3, 3, 3.5f, 4}, 1e-6, NULL},
    {"interpolate", "size=1,6 mode=2", "1,1,1,3", V{1, 2, 4},
     V{0.89453125f, 1.15625f, 1.5625f, 2.55859375f, 3.58203125f, 4.2109375f},
     1e-6, NULL},
};

static void values_are_the_literal_ones(void) {
  for (size_t r = 0; r < sizeof literals / sizeof *literals; r++) {
    const literal *l = &literals[r];
    opcase c;
    int ok = opcase_make(&c, l->op, l->attrs, l->inputs);
    if (ok && l->x) opcase_set(&c, 0, l->x);
    if (ok && l->x2) opcase_set(&c, 1, l->x2);
    ok = ok && opcase_run(&c);
    CHECK(ok, "%s {%s}: %s", l->op, l->attrs, c.err.msg);
    if (ok) {
      double off = opcase_off(c.n.out->data, l->want, c.n.out->size);
      CHECK(off <= l->tolerance, "%s {%s} is off by %g", l->op, l->attrs, off);
    }
    opcase_close(&c);
  }
}

/* ---- NaN and ties ------------------------------------------------------ */

/* One NaN in, at least one NaN out: no picture may hide it. */
static void nan_stays_nan(void) {
  static const char *const rows[][3] = {
      {"relu", "", "4"},
      {"relu6", "", "4"},
      {"leaky_relu", "", "4"},
      {"elu", "", "4"},
      {"gelu", "", "4"},
      {"softplus", "", "4"},
      {"abs", "", "4"},
      {"sign", "", "4"},
      {"clamp", "min=0", "4"},
      {"clamp", "max=0", "4"},
      {"maximum", "", "4|4"},
      {"minimum", "", "4|4"},
      {"sum", "", "4"},
      {"mean", "", "4"},
      {"max", "", "4"},
      {"min", "", "4"},
      {"max", "dims=1", "4"},
      {"max", "dims=1", "4,2"},
      {"softmax", "dim=1", "4"},
      {"max_pool2d", "kernel=2,2", "1,1,2,2"},
      {"max_pool2d", "kernel=2,2 stride=1,1", "1,1,2,2"},
      {"global_max_pool", "", "1,1,2,2"},
      {"avg_pool2d", "kernel=2,2", "1,1,2,2"},
      {"interpolate", "size=4,4", "1,1,2,2"},
  };
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
    for (int at = 0; at < 4; at++) {
      opcase c;
      int found = 0;
      if (opcase_make(&c, rows[r][0], rows[r][1], rows[r][2])) {
        c.n.in[0]->data[at] = NAN;
        if (opcase_run(&c))
          for (int64_t i = 0; i < c.n.out->size; i++)
            found |= c.n.out->data[i] != c.n.out->data[i];
      }
      CHECK(found, "%s {%s} lost a NaN at %d", rows[r][0], rows[r][1], at);
      opcase_close(&c);
    }
  opcase c; /* the second operand as well */
  for (int k = 0; k < 2; k++) {
    opcase_make(&c, k ? "maximum" : "minimum", "", "2|2");
    c.n.in[1]->data[0] = NAN;
    opcase_run(&c);
    CHECK(c.n.out->data[0] != c.n.out->data[0], "%s", c.n.op->name);
    opcase_close(&c);
  }
}

/* Gradient 1 from every output of `op` on x, compared with `want`. */
static void ones_back(const char *op, const char *attrs, const char *inputs,
                      const float *x, const float *want) {
  opcase c;
  float dy[16], g[16], *dx[LUN_MAXIN] = {g};
  for (int i = 0; i < 16; i++) dy[i] = 1;
  opcase_make(&c, op, attrs, inputs);
  opcase_set(&c, 0, x);
  opcase_run(&c);
  opcase_back(&c, "plain", 0, 1, dy, dx);
  CHECK(opcase_off(g, want, c.n.in[0]->size) == 0, "%s {%s}: %g %g %g %g", op,
        attrs, (double)g[0], (double)g[1], (double)g[2], (double)g[3]);
  opcase_close(&c);
}

static void the_first_of_equal_maxima_gets_the_gradient(void) {
  ones_back("max", "", "2,2", V{3, 3, 3, 1}, V{1, 0, 0, 0});
  ones_back("min", "dims=1", "2,2", V{3, 3, 3, 1}, V{1, 0, 0, 1});
  ones_back("max_pool2d", "kernel=2,2", "1,1,2,2", V{0, 3, 3, 3},
            V{0, 1, 0, 0});
  ones_back("max_pool2d", "kernel=2,2", "1,1,2,2", V{0, 0, 3, 3},
            V{0, 0, 1, 0});
  ones_back("max_pool2d", "kernel=2,2 padding=1,1", "1,1,2,2", V{5, 5, 5, 5},
            V{1, 1, 1, 1});
  ones_back("max_pool2d", "kernel=2,2 stride=1,1", "1,1,2,2", V{5, 5, 5, 5},
            V{1, 0, 0, 0});
  ones_back("global_max_pool", "", "1,1,2,2", V{0, 2, 2, 2}, V{0, 1, 0, 0});
  /* all -inf: still one winner, inside the input */
  ones_back("max_pool2d", "kernel=2,2 padding=1,1 stride=3,3", "1,1,2,2",
            V{-INFINITY, 0, 0, 0}, V{1, 0, 0, 0});
  ones_back("clamp", "min=0 max=1", "4", V{-1, 0, 1, 2}, V{0, 1, 1, 0});
  ones_back("relu", "", "3", V{-1, 0, 1}, V{0, 0, 1});
  ones_back("abs", "", "3", V{-1, 0, 1}, V{-1, 0, 1});
}

static void ties_of_maximum_share(void) {
  opcase c;
  float dy[2] = {1, 1}, a[2], b[2], *dx[LUN_MAXIN] = {a, b};
  opcase_make(&c, "maximum", "", "2|2");
  opcase_set(&c, 0, V{2, 5});
  opcase_set(&c, 1, V{2, 4});
  opcase_run(&c);
  opcase_back(&c, "plain", 0, 1, dy, dx);
  CHECK(a[0] == 0.5f && b[0] == 0.5f && a[1] == 1 && b[1] == 0, "%g %g",
        (double)a[0], (double)b[0]);
  opcase_close(&c);
}

/* ---- backward rules ---------------------------------------------------- */

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

static void rules_follow_their_formulas(void) {
  static const char *const family[] = {"relu", "leaky_relu", "relu6",   "elu",
                                       "silu", "gelu",       "softplus"};
  for (int f = 0; f < 7; f++)
    for (int r = 0; r < 6; r++) {
      if (f > 0 && strcmp(rules[r].name, "beta_smooth") == 0) continue;
      check_rule(family[f], r, 0);
      check_rule(family[f], r, 1);
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

/* ---- convolution and relu in one pass ---------------------------------- */

/* forward_relu against forward and then relu; the gated gradient against the
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
  CHECK(c.n.op->forward_relu(&c.n, &relu.n, &c.err) == LUN_OK, "%s", op);
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
    lun_gate gate = {(lun_gate_kind)k, 0.3f, before.n.out->data, in};
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

/* ---- messages ---------------------------------------------------------- */

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
    {"permute", "dims=1,2,3", "2,3", LUN_EARG, "more than 2 numbers"},
    {"permute", "dims=2", "2,3", LUN_EARG, "'dims' is missing"},
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

/* ---- the table --------------------------------------------------------- */

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

static void defaults_fill_every_slot(void) {
  double attr[LUN_MAXATTR];
  lun_attr_defaults(lun_op_find("conv2d"), attr);
  CHECK(attr[0] == 1 && attr[2] == 0 && attr[4] == LUN_UNSET && attr[8] == 1 &&
            attr[15] == LUN_UNSET,
        "conv2d");
}

int main(void) {
  values_are_the_literal_ones();
  nan_stays_nan();
  the_first_of_equal_maxima_gets_the_gradient();
  ties_of_maximum_share();
  rules_follow_their_formulas();
  relu_rules_need_the_output_alone();
  fused_equals_unfused("conv2d", "padding=1,1", "2,5,9,11|7,5,3,3|7");
  fused_equals_unfused("conv2d", "stride=2,2", "1,3,9,11|4,3,5,5");
  fused_equals_unfused("linear", "", "3,33|17,33|17");
  messages_name_the_layer_and_both_numbers();
  the_table_is_complete_and_consistent();
  an_unknown_rule_lists_those_there_are();
  defaults_fill_every_slot();
  DONE("ops: values and rules");
}
