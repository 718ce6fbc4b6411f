/*
** test_ops.c - the operators' values against literals worked out by hand or
** printed by PyTorch 1.13 (named beside each); shapes, NaN, ties.
*/
#include "naive.h"
#include "opcase.h"

/* ---- literal values ----------------------------------------------------- */

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
    {"gelu", "approximate=1", "3", V{-1, 0, 2}, V{-0.15880801f, 0, 1.95459769f},
     1e-6, NULL},
    /* torch.nn.functional.hardsigmoid, hardswish */
    {"hard_sigmoid", "", "4", V{-4, -1, 2, 5}, V{0, 1 / 3.0f, 5 / 6.0f, 1},
     1e-6, NULL},
    {"hard_sigmoid", "alpha=0.2", "3", V{-4, 1, 5}, V{0, 0.7f, 1}, 1e-6, NULL},
    {"hard_swish", "", "4", V{-4, -1, 2, 5}, V{0, -1 / 3.0f, 5 / 3.0f, 5}, 1e-6,
     NULL},
    {"abs", "", "3", V{-1, 0, 2}, V{1, 0, 2}, 0, NULL},
    {"neg", "", "2", V{1, -2}, V{-1, 2}, 0, NULL},
    {"square", "", "2", V{-3, 0.5f}, V{9, 0.25f}, 0, NULL},
    {"sqrt", "", "2", V{4, 2}, V{2, 1.41421356f}, 1e-6, NULL},
    {"reciprocal", "", "2", V{2, -4}, V{0.5f, -0.25f}, 0, NULL},
    {"exp", "", "2", V{0, 1}, V{1, 2.71828183f}, 1e-6, NULL},
    {"log", "", "2", V{1, 2}, V{0, 0.69314718f}, 1e-6, NULL},
    {"sin", "", "2", V{0, 1}, V{0, 0.84147098f}, 1e-6, NULL},
    {"cos", "", "2", V{0, 1}, V{1, 0.54030231f}, 1e-6, NULL},
    {"erf", "", "2", V{0, 1}, V{0, 0.84270079f}, 1e-6, NULL},
    {"add", "", "2|2", V{1, 2}, V{11, 22}, 0, V{10, 20}},
    {"mul", "", "2|2", V{1, 2}, V{10, 40}, 0, V{10, 20}},
    {"div", "", "2|2", V{1, 6}, V{0.25f, 3}, 0, V{4, 2}},
    {"maximum", "", "2|2", V{1, 5}, V{3, 5}, 0, V{3, 2}},
    {"minimum", "", "2|2", V{1, 5}, V{1, 2}, 0, V{3, 2}},
    /* 0.07 is how opcase fills the third input */
    {"where", "", "2|2|1", V{1, 0}, V{5, 0.07f}, 1e-6, V{5, 6}},
    {"identity", "", "2", V{1, 2}, V{1, 2}, 0, NULL},
    {"dropout", "", "2", V{1, 2}, V{1, 2}, 0, NULL}, /* while nobody trains */
    {"flatten", "", "1,2,1,2", V{1, 2, 3, 4}, V{1, 2, 3, 4}, 0, NULL},
    {"reshape", "shape=2,2", "4", V{1, 2, 3, 4}, V{1, 2, 3, 4}, 0, NULL},
    /* no kernel is turned round: 1 x 1 + 2 x 2 + 4 x 3 + 5 x 4 = 37 */
    {"conv2d", "", "1,1,3,3|1,1,2,2", V{1, 2, 3, 4, 5, 6, 7, 8, 9},
     V{37, 47, 67, 77}, 0, V{1, 2, 3, 4}},
    {"conv_transpose2d", "", "1,1,1,2|1,1,2,2", V{1, 2}, V{1, 4, 4, 3, 10, 8},
     0, V{1, 2, 3, 4}},
    /* (x - 1) / sqrt(1.4), as opcase fills one positive input */
    {"batch_norm", "eps=1e-12", "2,1|1|+1", V{3, 8},
     V{1.69030851f, 5.91607978f}, 1e-6, V{1}},
    {"layer_norm", "eps=1e-12", "1,2", V{1, 3}, V{-1, 1}, 1e-6, NULL},
    {"round", "", "4", V{0.5f, 1.5f, -0.5f, 2.4f}, V{0, 2, 0, 2}, 0, NULL},
    {"floor", "", "2", V{-0.5f, 1.5f}, V{-1, 1}, 0, NULL},
    {"ceil", "", "2", V{-0.5f, 1.5f}, V{-0.0f, 2}, 0, NULL},
    {"log1p", "", "2", V{0, 1}, V{0, 0.693147181f}, 1e-6, NULL},
    {"expm1", "", "2", V{0, 1}, V{0, 1.718281828f}, 1e-6, NULL},
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
    {"linear", "weight_layout=1", "1,2|2,2", V{5, 6}, V{23, 34}, 0,
     V{1, 2, 3, 4}},
    {"sum", "dims=1", "2,2", V{1, 2, 3, 4}, V{4, 6}, 0, NULL},
    {"mean", "", "2,2", V{1, 2, 3, 4}, V{2.5f}, 0, NULL},
    {"sum", "", "1,1", V{3}, V{3}, 0, NULL},
    {"max", "dims=2", "1,1,1", V{-3}, V{-3}, 0, NULL},
    {"max", "dims=2", "2,2", V{1, 2, 4, 3}, V{2, 4}, 0, NULL},
    {"min", "", "2,2", V{4, 2, 1, 3}, V{1}, 0, NULL},
    {"max_pool2d", "kernel=2,2", "1,1,2,4", V{1, 5, 2, 0, 3, 4, 8, 7}, V{5, 8},
     0, NULL},
    {"max_pool2d_places", "kernel=2,2", "1,1,2,4", V{1, 5, 2, 0, 3, 4, 8, 7},
     V{2, 7}, 0, NULL},
    {"max_pool2d_places", "kernel=2,3 padding=0,1", "1,2,2,3",
     V{1, 5, 5, 3, 4, 0, 0, 0, 0, 0, 9, 0}, V{2, 11}, 0, NULL},
    /* ceil mode: 3 wide, the last window has one column */
    {"max_pool2d", "kernel=2,2 ceil_mode=1", "1,1,2,3", V{1, 5, 2, 3, 4, 8},
     V{5, 8}, 0, NULL},
    /* torch.nn.functional.avg_pool2d(arange(9), 2, 2, 1): padding counted */
    {"avg_pool2d", "kernel=2,2 padding=1,1", "1,1,3,3",
     V{0, 1, 2, 3, 4, 5, 6, 7, 8}, V{0, 0.75f, 2.25f, 6}, 1e-6, NULL},
    {"avg_pool2d", "kernel=2,2 padding=1,1 count_include_pad=0", "1,1,3,3",
     V{0, 1, 2, 3, 4, 5, 6, 7, 8}, V{0, 1.5f, 4.5f, 6}, 1e-6, NULL},
    /* torch.nn.functional.avg_pool2d of arange, ceil_mode = True: what lies
    ** beyond the padding is not counted */
    {"avg_pool2d", "kernel=2,2 stride=3,3 padding=1,1 ceil_mode=1", "1,1,4,4",
     V{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
     V{0, 1.25f, 5, 12.5f}, 1e-6, NULL},
    {"avg_pool2d", "kernel=1,3 stride=1,2 padding=0,1 ceil_mode=1", "1,1,1,6",
     V{0, 3, 6, 9, 12, 15}, V{1, 6, 12, 7.5f}, 1e-6, NULL},
    {"global_avg_pool", "", "1,2,1,2", V{1, 2, 3, 5}, V{1.5f, 4}, 0, NULL},
    {"global_max_pool", "", "1,2,1,2", V{1, 2, 5, 3}, V{2, 5}, 0, NULL},
    {"lrn", "size=3 alpha=3 beta=1 k=1", "1,3", V{1, 2, 3},
     V{1 / 6.0f, 2 / 15.0f, 3 / 14.0f}, 1e-6, NULL},
    {"softmax", "", "1,3", V{1, 2, 3}, V{0.09003057f, 0.24472847f, 0.66524096f},
     1e-6, NULL},
    {"softmax", "", "1,2", V{1000, 1000}, V{0.5f, 0.5f}, 0, NULL},
    {"softmax", "", "1,2", V{-1000, 1000}, V{0, 1}, 0, NULL},
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
    /* half a turn about the centre */
    {"affine", "matrix=-1,0,0,-1", "1,1,2,2", V{1, 2, 3, 4}, V{4, 3, 2, 1},
     1e-6, NULL},
    /* from one row below and half a column to the right; outside it is 10 */
    {"affine", "matrix=1,0,0,1 shift=1,0.5 value=10", "1,1,2,2", V{1, 2, 3, 4},
     V{3.5f, 7, 10, 10}, 1e-6, NULL},
    /* -1 1 -1 1 in every row is a wave of two columns' length */
    {"rfft2", "", "2,4", V{-1, 1, -1, 1, -1, 1, -1, 1},
     V{0, 0, -8, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1e-6, NULL},
    {"irfft2", "", "2,3", V{1, 1, 0, 0, 2, 0}, V{0.75f, -0.75f, -0.25f, 1.25f},
     1e-6, NULL},
    {"roll", "shift=1", "3", V{1, 2, 3}, V{3, 1, 2}, 0, NULL},
    {"roll", "shift=-4", "3", V{1, 2, 3}, V{2, 3, 1}, 0, NULL},
    {"flip", "dims=1", "3", V{1, 2, 3}, V{3, 2, 1}, 0, NULL},
    {"index_select", "dim=1", "3|i1:4", V{5, 6, 7}, V{7, 5, 5, 6}, 0,
     V{3, 1, 1, 2}},
    {"gather", "dim=2", "2,2|i1:2,1", V{5, 6, 7, 8}, V{6, 7}, 0, V{2, 1}},
    /* added are 0.07 and -0.03, as opcase fills the third input */
    {"scatter_add", "dim=2", "2,2|i1:2,1|2,1", V{5, 6, 7, 8},
     V{5, 6.07f, 6.97f, 8}, 1e-6, V{2, 1}},
    /* torch.nn.functional.interpolate of [[1, 2], [3, 4]] or [1, 2, 4] */
    {"interpolate", "size=1,5 mode=0", "1,1,1,3", V{1, 2, 4}, V{1, 1, 2, 2, 4},
     0, NULL},
    {"interpolate", "size=1,6", "1,1,1,3", V{1, 2, 4},
     V{1, 1.25f, 1.75f, 2.5f, 3.5f, 4}, 1e-6, NULL},
    {"interpolate", "size=3,3 align_corners=1", "1,1,2,2", V{1, 2, 3, 4},
     V{1, 1.5f, 2, 2, 2.5f, 3, 3, 3.5f, 4}, 1e-6, NULL},
    /* one output with align_corners is the first input, at coordinate 0 */
    {"interpolate", "size=1,1 align_corners=1", "1,1,2,3", V{7, 2, 3, 4, 5, 6},
     V{7}, 0, NULL},
    {"interpolate", "size=2,1 align_corners=1", "1,1,2,3", V{7, 2, 3, 4, 5, 6},
     V{7, 4}, 0, NULL},
    {"interpolate", "size=1,1 mode=2 align_corners=1", "1,1,2,3",
     V{7, 2, 3, 4, 5, 6}, V{7}, 0, NULL},
    {"interpolate", "size=3,2 align_corners=1", "1,1,1,1", V{7},
     V{7, 7, 7, 7, 7, 7}, 0, NULL},
    {"interpolate", "size=1,1", "1,1,1,3", V{1, 2, 4}, V{2}, 0, NULL},
    {"interpolate", "size=1,6 mode=2", "1,1,1,3", V{1, 2, 4},
     V{0.89453125f, 1.15625f, 1.5625f, 2.55859375f, 3.58203125f, 4.2109375f},
     1e-6, NULL},
};

/* The table leaves nobody out. */
static void every_operator_has_values(void) {
  for (int i = 0; lun_op_at(i); i++) {
    int seen = 0;
    for (size_t r = 0; r < sizeof literals / sizeof *literals; r++)
      seen |= strcmp(literals[r].op, lun_op_at(i)->name) == 0;
    CHECK(seen, "%s has no row of values in literals[]", lun_op_at(i)->name);
  }
}

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

/* PyTorch's derivatives (float64) at -1, 1/2 and 2. */
static void slopes_are_those_of_pytorch(void) {
  static const struct {
    const char *op;
    float want[3];
  } slopes[] = {
      {"hard_sigmoid", {1 / 6.0f, 1 / 6.0f, 1 / 6.0f}},
      {"hard_swish", {1 / 6.0f, 2 / 3.0f, 7 / 6.0f}},
      {"gelu", {-0.08331547f, 0.86749512f, 1.08523180f}},
      {"silu", {0.07232949f, 0.73996119f, 1.09078425f}},
      {"tanh", {0.41997434f, 0.78644773f, 0.07065083f}},
      {"softplus", {0.26894142f, 0.62245933f, 0.88079708f}},
      {"elu", {0.36787944f, 1, 1}},
      {"sigmoid", {0.19661193f, 0.23500371f, 0.10499359f}},
  };
  for (int k = 0; k < 8; k++) {
    opcase c;
    float g[3], *dx[LUN_MAXIN] = {g}, dy[3] = {1, 1, 1};
    opcase_make(&c, slopes[k].op, "", "3");
    opcase_set(&c, 0, V{-1, 0.5f, 2});
    opcase_run(&c);
    opcase_back(&c, "plain", 0, 1, dy, dx);
    CHECK(opcase_off(g, slopes[k].want, 3) < 1e-6, "%s is off by %g",
          slopes[k].op, opcase_off(g, slopes[k].want, 3));
    opcase_close(&c);
  }
}

/* Output shapes as PyTorch makes them. */
static void shapes_are_those_of_pytorch(void) {
  static const struct {
    const char *op, *attrs, *inputs, *want;
  } shapes[] = {
      {"conv2d", "stride=2,2 padding=3,3", "1,3,224,224|64,3,7,7",
       "(1, 64, 112, 112)"},
      {"conv2d", "padding=0,1 padding_end=1,3", "1,1,5,5|1,1,2,3",
       "(1, 1, 5, 7)"},
      {"conv2d", "dilation=2,3", "1,1,9,9|1,1,3,3", "(1, 1, 5, 3)"},
      {"max_pool2d", "kernel=3,3 stride=2,2", "1,2,112,112", "(1, 2, 55, 55)"},
      {"max_pool2d", "kernel=3,3 stride=2,2 ceil_mode=1", "1,2,112,113",
       "(1, 2, 56, 56)"},
      {"max_pool2d", "kernel=2,2 stride=3,3 padding=1,1 ceil_mode=1", "1,1,4,4",
       "(1, 1, 2, 2)"},
      {"avg_pool2d", "kernel=3,3 stride=2,2 padding=1,1 ceil_mode=1", "1,1,6,5",
       "(1, 1, 4, 3)"},
      {"flatten", "", "2,3,4,5", "(2, 60)"},
      {"sum", "dims=2", "2,3,4", "(2, 4)"},
      {"sum", "dims=2 keepdims=1", "2,3,4", "(2, 1, 4)"},
      {"sum", "", "2,3,4", "(1)"},
      {"sum", "keepdims=1", "2,3,4", "(1, 1, 1)"},
      {"add", "", "3,1|5,1,4", "(5, 3, 4)"},
      {"reshape", "shape=-1,6", "2,3,4", "(4, 6)"},
  };
  for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
    opcase c;
    char text[LUN_SHAPETEXT] = "";
    if (opcase_open(&c, shapes[k].op, shapes[k].attrs, shapes[k].inputs))
      lun_shape_text(text, sizeof text, c.n.out->ndim, c.n.out->dim);
    CHECK(strcmp(text, shapes[k].want) == 0, "%s {%s} on %s: %s, not %s",
          shapes[k].op, shapes[k].attrs, shapes[k].inputs, text,
          shapes[k].want);
    opcase_close(&c);
  }
}

/* ---- plain twins -------------------------------------------------------- */

/* The maximum of the window at (r, c) of one plane, and where it is: of equal values
** the first, but the last NaN. */
static float window_maximum(const lun_node *n, int64_t r, int64_t c,
                            int64_t *where) {
  const lun_tensor *x = n->in[0];
  const double *kernel = n->attr, *stride = n->attr + 2, *pad = n->attr + 4;
  int64_t y0 = r * (int64_t)stride[0] - (int64_t)pad[0];
  int64_t x0 = c * (int64_t)stride[1] - (int64_t)pad[1];
  float best = -HUGE_VALF;
  *where = -1;
  for (int64_t i = y0; i < y0 + (int64_t)kernel[0]; i++)
    for (int64_t j = x0; j < x0 + (int64_t)kernel[1]; j++) {
      if (i < 0 || j < 0 || i >= x->dim[2] || j >= x->dim[3]) continue;
      float v = x->data[i * x->dim[3] + j];
      if (*where >= 0 && !isnan(v) && !(v > best)) continue;
      best = v;
      *where = i * x->dim[3] + j;
    }
  return best;
}

static void pooled_is_a_plain_loop(const char *attrs, int h, int w, int nan) {
  opcase c;
  char shape[32];
  float *g, *dy, *want, *dx[LUN_MAXIN] = {NULL};
  snprintf(shape, sizeof shape, "1,1,%d,%d", h, w);
  CHECK(opcase_make(&c, "max_pool2d", attrs, shape), "%s of %s", attrs, shape);
  lun_tensor *x = c.n.in[0], *y;
  lun_random_uniform(x->data, x->size, (uint64_t)(h * 100 + w), 0);
  for (int64_t i = 0; i < x->size; i++) /* many are equal */
    x->data[i] = floorf(x->data[i] * 6);
  if (nan) x->data[x->size / 2] = x->data[x->size / 3] = NAN;
  CHECK(opcase_run(&c), "%s of %s", attrs, shape);
  y = c.n.out;
  want = lun_calloc((size_t)x->size, sizeof *want);
  g = dx[0] = lun_malloc((size_t)x->size * sizeof *g);
  dy = lun_malloc((size_t)y->size * sizeof *dy);
  int wrong = 0;
  for (int64_t o = 0, at; o < y->size; o++) {
    float v = window_maximum(&c.n, o / y->dim[3], o % y->dim[3], &at);
    dy[o] = (float)(o + 1);
    want[at] += dy[o];
    wrong += memcmp(&v, y->data + o, sizeof v) != 0;
  }
  opcase_back(&c, "plain", 0, 1, dy, dx);
  CHECK(!wrong && !memcmp(g, want, (size_t)x->size * sizeof *g),
        "%s of %s: %d values are wrong", attrs, shape, wrong);
  lun_free(want);
  lun_free(g);
  lun_free(dy);
  opcase_close(&c);
}

/* Windows three wide of stride 2, by vectors where they lie inside; and others. */
static void maxima_are_those_of_a_plain_loop(void) {
  static const char *const attrs[] = {
      "kernel=3,3 stride=2,2",
      "kernel=3,3 stride=2,2 padding=1,1",
      "kernel=3,3 stride=2,2 ceil_mode=1",
      "kernel=2,3 stride=1,2 padding=1,1 padding_end=0,0",
      "kernel=5,3 stride=3,2 padding=2,0 padding_end=1,1 ceil_mode=1",
      "kernel=3,3 stride=1,1 padding=1,1",
      "kernel=3,4 stride=2,2 padding=1,1"};
  for (size_t a = 0; a < sizeof attrs / sizeof *attrs; a++)
    for (int w = 3; w < 72; w += w < 20 ? 1 : 5)
      for (int nan = 0; nan < 2; nan++)
        pooled_is_a_plain_loop(attrs[a], 5 + w % 9, w, nan);
}

/* Reductions of more than one piece.  Sums are carried in double, so only
** the rounding of the result is left: 1 ulp, here below 1e-7 of it. */
static void large_reductions_equal_a_plain_loop(void) {
  opcase s, m;
  float dy[1] = {1}, *g, *dx[LUN_MAXIN] = {NULL};
  double sum = 0;
  int64_t at = 0, n = 300 * 701;
  opcase_make(&s, "sum", "", "300,701");
  opcase_make(&m, "max", "", "300,701");
  lun_random_uniform(s.n.in[0]->data, n, 3, 0);
  memcpy(m.n.in[0]->data, s.n.in[0]->data, (size_t)n * sizeof *g);
  opcase_run(&s);
  opcase_run(&m);
  const float *x = s.n.in[0]->data;
  for (int64_t i = 0; i < n; i++) {
    sum += (double)x[i];
    if (x[i] > x[at]) at = i;
  }
  CHECK(fabs(sum - (double)s.n.out->data[0]) < 1e-7 * sum, "%g %g", sum,
        (double)s.n.out->data[0]);
  CHECK(m.n.out->data[0] == x[at], "%g", (double)m.n.out->data[0]);
  g = dx[0] = lun_malloc((size_t)n * sizeof *g);
  opcase_back(&m, "plain", 0, 1, dy, dx);
  for (int64_t i = 0; i < n; i++)
    if (g[i] != (i == at ? 1.0f : 0.0f)) at = -1;
  CHECK(at >= 0, "the gradient is elsewhere");
  lun_free(g);
  opcase_close(&s);
  opcase_close(&m);
}

/* A NaN anywhere in a large reduction: in the first of its pieces, in a later one,
** in both.  The first of several gets the gradient of an extreme. */
static void nan_survives_large_reductions(void) {
  static const char *const ops[] = {"sum", "mean", "max", "min"};
  static const char *const dims[] = {"", "dims=1", "dims=2"};
  static const int64_t places[][2] = {
      {0, 0}, {40000, 40000}, {210299, 210299}, {40000, 210299}, {5, 100000}};
  float dy[701], *g, *dx[LUN_MAXIN] = {NULL};
  for (int i = 0; i < 701; i++) dy[i] = 1;
  g = dx[0] = lun_malloc(300 * 701 * sizeof *g);
  for (int o = 0; o < 4; o++)
    for (int d = 0; d < 3; d++)
      for (int k = 0; k < 5; k++) {
        const int64_t *at = places[k];
        int64_t count = 0, lost = 0, out[2];
        opcase c;
        CHECK(opcase_make(&c, ops[o], dims[d], "300,701"), "%s", ops[o]);
        for (int i = 0; i < 2; i++) {
          c.n.in[0]->data[at[i]] = NAN;
          out[i] = d == 0 ? 0 : d == 1 ? at[i] % 701 : at[i] / 701;
        }
        CHECK(opcase_run(&c), "%s", ops[o]);
        for (int64_t i = 0; i < c.n.out->size; i++)
          count += isnan(c.n.out->data[i]) != 0;
        CHECK(isnan(c.n.out->data[out[0]]) && isnan(c.n.out->data[out[1]]) &&
                  count == 1 + (out[0] != out[1]),
              "%s {%s}: %d NaNs of those at %d and %d", ops[o], dims[d],
              (int)count, (int)at[0], (int)at[1]);
        opcase_back(&c, "plain", 0, 1, dy, dx);
        for (int i = 0; o >= 2 && i < 2; i++)
          lost += g[at[i]] < 1 && (i == 0 || out[0] != out[1]);
        CHECK(lost == 0, "%s {%s}: the gradient is elsewhere", ops[o], dims[d]);
        opcase_close(&c);
      }
  lun_free(g);
}

/* The operator reads its attributes as the kernels' plain twin is told.
** Values of order 1, sums of 45 terms: 1e-5. */
static void conv2d_hands_its_geometry_on(void) {
  opcase c;
  lun_conv g = {.n = 2, .c = 4, .h = 9, .w = 10, .k = 6, .kh = 3, .kw = 2};
  g.sh = 2, g.sw = 1, g.dh = 1, g.dw = 3, g.groups = 2, g.pt = 1, g.pl = 2;
  g.oh = (9 + 1 + 3 - 3) / 2 + 1; /* 3 below */
  g.ow = 10 + 2 + 0 - 4 + 1;      /* none to the right */
  int ok = opcase_open(&c, "conv2d",
                       "stride=2,1 padding=1,2 padding_end=3,0 dilation=1,3 "
                       "groups=2",
                       "2,4,9,10|6,2,3,2|6");
  int64_t size = (int64_t)g.n * g.k * g.oh * g.ow;
  CHECK(ok && c.n.out->size == size, "%s", c.err.msg);
  float *want = lun_malloc((size_t)size * sizeof *want);
  naive_conv_forward(&g, c.n.in[0]->data, c.n.in[1]->data, c.n.in[2]->data,
                     want, 0);
  CHECK(opcase_off(c.n.out->data, want, size) < 1e-5, "off by %g",
        opcase_off(c.n.out->data, want, size));
  lun_free(want);
  opcase_close(&c);
}

/* ---- NaN and ties ------------------------------------------------------- */

/* One NaN in, at least one NaN out: no picture may hide it. */
static void nan_stays_nan(void) {
  static const char *const rows[][3] = {
      {"relu", "", "4"},
      {"relu6", "", "4"},
      {"leaky_relu", "", "4"},
      {"elu", "", "4"},
      {"gelu", "", "4"},
      {"gelu", "approximate=1", "4"},
      {"hard_sigmoid", "", "4"},
      {"hard_swish", "", "4"},
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

int main(void) {
  TESTS {
    TEST(every_operator_has_values());
    TEST(values_are_the_literal_ones());
    TEST(slopes_are_those_of_pytorch());
    TEST(shapes_are_those_of_pytorch());
    TEST(maxima_are_those_of_a_plain_loop());
    TEST(large_reductions_equal_a_plain_loop());
    TEST(nan_survives_large_reductions());
    TEST(conv2d_hands_its_geometry_on());
    TEST(nan_stays_nan());
    TEST(the_first_of_equal_maxima_gets_the_gradient());
    TEST(ties_of_maximum_share());
  }
  DONE("ops: values");
}
