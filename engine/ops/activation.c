/*
** activation.c - the relu family and its backward rules.
**
** With y = f(x) and dy arriving:
**   plain      dx = dy f'(x)
**   guided     dx = max(dy, 0) f'(x)      Springenberg et al. 2015
**   rectified  dx = max(dy, 0)            the gate held open, keras-vis
**   deconvnet  the same                   Zeiler and Fergus 2014
**   leak       dx = dy where y > 0, leak * dy elsewhere
**   identity   dx = dy
** and for relu
**   beta_smooth dx = dy sigmoid(beta x)   softplus instead of relu, backward
**                                         only; Dombrowski et al. 2019
**
** Most are gates (lunette.h): they read the output alone, so that a convolution
** may compute relu in the same pass and never write its own output, and they are
** applied in the pass of the layer before which the unit stands.  beta_smooth
** says needs_input.
*/
#include "../kernels/simd.h"
#include "relevance.h"
#include "span.h"

/* ---- gates -------------------------------------------------------------- */

typedef struct gate_job {
  lun_slopes slope;
  const float *y, *dy;
  float *dx;
} gate_job;

static void gate_span(void *arg, int64_t base, int64_t lo, int64_t hi) {
  const gate_job *j = arg;
  ops_gate_span(j->slope, j->y + lo, j->dy + base + lo, j->dx + base + lo,
                hi - lo);
}

/* The rule of every gate by itself. */
static int gate_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  gate_job j = {b->rule->gate(b->attr), n->out->data, b->dy, b->dx[0]};
  if (!b->dx[0]) return LUN_OK;
  return ops_each(n, b->copies, n->out->size, gate_span, &j, err);
}

/* A gate `id` of these slopes, in which attr are the rule's parameters. */
#define GATE(id, open_up, open_down, shut_up, shut_down)                       \
  static lun_slopes id##_gate(const double *attr) {                            \
    (void)attr;                                                                \
    return (lun_slopes){open_up, open_down, shut_up, shut_down, 0};            \
  }
#define GATE_RULE(id) .name = #id, .back = gate_back, .gate = id##_gate

GATE(plain, 1, 1, 0, 0)
GATE(guided, 1, 0, 0, 0)
GATE(rectified, 1, 0, 1, 0)
GATE(leak, 1, 1, (float)attr[0], (float)attr[0])
#define deconvnet_gate rectified_gate

static const lun_attrdef leak_attrs[] = {
    {.name = "leak", .at = 0, .count = 1, .fallback = 0.01},
    {.name = NULL},
};

/* The rules that every member of the family has besides plain and guided. */
#define COMMON_RULES                                                           \
  {GATE_RULE(rectified)}, {GATE_RULE(deconvnet)},                              \
      {GATE_RULE(leak), .attrs = leak_attrs}, {                                \
    .name = "identity", .back = ops_view_back                                  \
  }

/* Forward value F(x) and gradient B(x, y, g). */
#define FUNCTION(id, F, B)                                                     \
  SPAN_FORWARD(id##_span, F)                                                   \
  SPAN_BACK(id##_back, B)                                                      \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    return span_forward(n, id##_span, err);                                    \
  }

/* Values that a function of the instruction set works out at once. */
enum { PART = 256 };

/* y[i] = a function of x[i], or its slope there. */
typedef void vector_fn(const float *x, float *y, int64_t n);

static void by_parts(vector_fn *fn, const span *s, int64_t lo, int64_t hi) {
  for (int64_t i = lo, n; i < hi; i += n) {
    n = hi - i < PART ? hi - i : PART;
    fn(s->in + i, s->to + i, n);
  }
}

static void back_by_parts(vector_fn *slope, int guided, const span *s,
                          int64_t base, int64_t lo, int64_t hi) {
  float f[PART];
  for (int64_t i = lo, n; i < hi; i += n) {
    const float *dy = s->dy + base + i;
    float *dx = s->to + base + i;
    n = hi - i < PART ? hi - i : PART;
    slope(s->in + i, f, n);
    OPS_IVDEP for (int64_t k = 0; k < n; k++) {
      float d = guided && dy[k] < 0 ? 0.0f : dy[k]; /* a NaN stays one */
      dx[k] = d * f[k];
    }
  }
}

/* An operator of these two functions: id##_forward, id##_back. */
#define VECTOR_BACK(id, rule, guided)                                          \
  static void id##_##rule##_span(void *arg, int64_t base, int64_t lo,          \
                                 int64_t hi) {                                 \
    back_by_parts(id##_slopes, guided, arg, base, lo, hi);                     \
  }                                                                            \
  static int id##_##rule(const lun_back *b, lun_err *err) {                    \
    return span_back(b, id##_##rule##_span, err);                              \
  }
#define VECTOR_FUNCTION(id)                                                    \
  static void id##_span(void *arg, int64_t base, int64_t lo, int64_t hi) {     \
    (void)base;                                                                \
    by_parts(id##_values, arg, lo, hi);                                        \
  }                                                                            \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    return span_forward(n, id##_span, err);                                    \
  }                                                                            \
  VECTOR_BACK(id, back, 0)

/* A member of the relu family: shut, or nearly, below 0. */
#define RELU_LIKE(id, F, B)                                                    \
  FUNCTION(id, F, B)                                                           \
  SPAN_GUIDED(id##_guided, B)                                                  \
  OPS_RULES(id, {.name = "guided", .back = id##_guided}, COMMON_RULES);

/* The rules of one whose slope is a function of its input, which the layer before it
** need not have kept. */
#define INPUT_RULES(id)                                                        \
  static const lun_rule id##_rules[] = {                                       \
      {.name = "plain", .back = id##_back, .needs_input = 1},                  \
      {.name = "guided", .back = id##_guided, .needs_input = 1},               \
      COMMON_RULES,                                                            \
      {.name = NULL},                                                          \
  }

/* A function that saturates on both sides: relu's rules would mean nothing. */
#define SIGMOIDAL(id, F, B)                                                    \
  FUNCTION(id, F, B)                                                           \
  OPS_RULES(id, RELEVANCE_IDENTITY);

#define OPERATOR(id, text, attributes, check)                                  \
  OPS_OPERATOR(id, text, 1, 1, .attrs = attributes, .infer = check,            \
               .inplace = 1)

/* One that the layer before it can compute in its own pass. */
#define JOINED_OPERATOR(id, text, kind)                                        \
  OPS_OPERATOR(id, text, 1, 1, .infer = ops_same, .inplace = 1,                \
               .epilogue = kind)

/* An attribute that must be a positive number. */
static int positive(lun_node *n, lun_err *err) {
  double v = n->attr[0];
  if (!(v > 0 && v < HUGE_VAL))
    return ops_fail(n, err, LUN_EARG, "'%s' is %g, must be above 0",
                    n->op->attrs[0].name, v);
  return ops_same(n, err);
}

static float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

/* ---- relu --------------------------------------------------------------- */

/* 0 > x, not x > 0: a NaN must stay visible. */
SPAN_FORWARD(relu_span, 0.0f > x ? 0.0f : x)
SPAN_BACK(relu_smooth, (g * logistic((r * x))))

static int relu_forward(lun_node *n, lun_err *err) {
  return span_forward(n, relu_span, err);
}

static const lun_attrdef smooth_attrs[] = {
    {.name = "beta", .at = 0, .count = 1, .fallback = 10},
    {.name = NULL},
};

static const lun_rule relu_rules[] = {
    {GATE_RULE(plain)},
    {GATE_RULE(guided)},
    COMMON_RULES,
    {
        .name = "beta_smooth",
        .back = relu_smooth,
        .attrs = smooth_attrs,
        .needs_input = 1,
    },
    {.name = NULL},
};

JOINED_OPERATOR(relu, "relu(x): max(x, 0)", LUN_RELU_EPILOGUE);

/* ---- the others --------------------------------------------------------- */

/* The sign of x decides, not that of y: slope may be 0 or negative. */
RELU_LIKE(leaky_relu, x > 0 ? x : (p * x), x > 0 ? g : (p * g))

static const lun_attrdef leaky_attrs[] = {
    {.name = "slope", .at = 0, .count = 1, .fallback = 0.01},
    {.name = NULL},
};
OPERATOR(leaky_relu, "leaky_relu(x, slope): x where x > 0, else slope x",
         leaky_attrs, ops_same);

/* Its output says what its input was: gates, shut at 6 too. */
static lun_slopes plain6_gate(const double *attr) {
  (void)attr;
  return (lun_slopes){1, 1, 0, 0, 6};
}
static lun_slopes guided6_gate(const double *attr) {
  (void)attr;
  return (lun_slopes){1, 0, 0, 0, 6};
}
SPAN_FORWARD(relu6_span, 0.0f > x ? 0.0f : (x > 6.0f ? 6.0f : x))
static int relu6_forward(lun_node *n, lun_err *err) {
  return span_forward(n, relu6_span, err);
}
static const lun_rule relu6_rules[] = {
    {.name = "plain", .back = gate_back, .gate = plain6_gate},
    {.name = "guided", .back = gate_back, .gate = guided6_gate},
    COMMON_RULES,
    {.name = NULL},
};
JOINED_OPERATOR(relu6, "relu6(x): min(max(x, 0), 6)", LUN_RELU6_EPILOGUE);

static void sigmoid_values(const float *x, float *y, int64_t n) {
  lun_simd_now()->sigmoid(x, y, n);
}
SPAN_BACK(sigmoid_back, (g * y * (1.0f - y)))
static void sigmoid_span(void *arg, int64_t base, int64_t lo, int64_t hi) {
  (void)base;
  by_parts(sigmoid_values, arg, lo, hi);
}
static int sigmoid_forward(lun_node *n, lun_err *err) {
  return span_forward(n, sigmoid_span, err);
}
OPS_RULES(sigmoid, RELEVANCE_IDENTITY);
OPERATOR(sigmoid, "sigmoid(x): 1 / (1 + exp(-x))", NULL, ops_same);

SIGMOIDAL(tanh, tanhf(x), (g * (1.0f - y * y)))
OPERATOR(tanh, "tanh(x)", NULL, ops_same);

/* log(1 + e^bx) / b = max(x, 0) + log(1 + e^-|bx|) / b: no overflow. */
RELU_LIKE(softplus, (0.0f > x ? 0.0f : x) + log1pf(expf(-fabsf(p * x))) / p,
          (g * logistic((p * x))))

static const lun_attrdef softplus_attrs[] = {
    {.name = "beta", .at = 0, .count = 1, .fallback = 1},
    {.name = NULL},
};
OPERATOR(softplus, "softplus(x, beta): log(1 + exp(beta x)) / beta",
         softplus_attrs, positive);

RELU_LIKE(elu, x > 0 ? x : (p * expm1f(x)), x > 0 ? g : (g * p * expf(x)))

static const lun_attrdef elu_attrs[] = {
    {.name = "alpha", .at = 0, .count = 1, .fallback = 1},
    {.name = NULL},
};
OPERATOR(elu, "elu(x, alpha): x where x > 0, else alpha (exp(x) - 1)",
         elu_attrs, positive);

/* (x s)' = s + x s (1 - s) */
static void silu_values(const float *x, float *y, int64_t n) {
  float f[PART];
  lun_simd_now()->sigmoid(x, f, n);
  for (int64_t i = 0; i < n; i++) y[i] = x[i] * f[i];
}
static void silu_slopes(const float *x, float *d, int64_t n) {
  lun_simd_now()->sigmoid(x, d, n);
  for (int64_t i = 0; i < n; i++) d[i] *= 1.0f + x[i] * (1.0f - d[i]);
}
VECTOR_FUNCTION(silu)
VECTOR_BACK(silu, guided, 1)
INPUT_RULES(silu);
JOINED_OPERATOR(silu, "silu(x): x sigmoid(x)", LUN_SILU_EPILOGUE);

/* Phi(x) = (1 + erf(x / sqrt 2)) / 2;  gelu = x Phi;  gelu' = Phi + x phi */
static void gelu_values(const float *x, float *y, int64_t n) {
  float f[PART];
  lun_simd_now()->normal_cdf(x, f, n);
  for (int64_t i = 0; i < n; i++) y[i] = x[i] * f[i];
}
static void gelu_slopes(const float *x, float *d, int64_t n) {
  float f[PART];
  lun_simd_now()->normal_cdf(x, d, n);
  for (int64_t i = 0; i < n; i++) f[i] = -0.5f * x[i] * x[i];
  lun_simd_now()->exp(f, f, n);
  for (int64_t i = 0; i < n; i++) d[i] += x[i] * 0.39894228f * f[i];
}

/* By tanh, with u = c (x + k x^3):
** (1 + tanh u) / 2 + x (1 - tanh^2 u) c (1 + 3 k x^2) / 2
** and tanh u = 2 sigmoid(2u) - 1, so that (1 + tanh u) / 2 = sigmoid(2u). */
static const float gelu_c = 0.79788456f, gelu_k = 0.044715f;
static void gelu_gates(const float *x, float *f, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    f[i] = 2.0f * gelu_c * (x[i] + gelu_k * x[i] * x[i] * x[i]);
  lun_simd_now()->sigmoid(f, f, n);
}
static void gelu_tanh_values(const float *x, float *y, int64_t n) {
  float f[PART];
  gelu_gates(x, f, n);
  for (int64_t i = 0; i < n; i++) y[i] = x[i] * f[i];
}
static void gelu_tanh_slopes(const float *x, float *d, int64_t n) {
  gelu_gates(x, d, n);
  for (int64_t i = 0; i < n; i++) {
    float bend = 2.0f * gelu_c * (1.0f + 3.0f * gelu_k * x[i] * x[i]);
    d[i] += x[i] * d[i] * (1.0f - d[i]) * bend;
  }
}

static void gelu_span(void *arg, int64_t base, int64_t lo, int64_t hi) {
  const span *s = arg;
  (void)base;
  by_parts(s->p > 0 ? gelu_tanh_values : gelu_values, s, lo, hi);
}
static int gelu_forward(lun_node *n, lun_err *err) {
  return span_forward(n, gelu_span, err);
}
static void gelu_back_span(void *arg, int64_t base, int64_t lo, int64_t hi) {
  const span *s = arg;
  back_by_parts(s->p > 0 ? gelu_tanh_slopes : gelu_slopes, 0, s, base, lo, hi);
}
static void gelu_guided_span(void *arg, int64_t base, int64_t lo, int64_t hi) {
  const span *s = arg;
  back_by_parts(s->p > 0 ? gelu_tanh_slopes : gelu_slopes, 1, s, base, lo, hi);
}
static int gelu_back(const lun_back *b, lun_err *err) {
  return span_back(b, gelu_back_span, err);
}
static int gelu_guided(const lun_back *b, lun_err *err) {
  return span_back(b, gelu_guided_span, err);
}
OPS_RULES(gelu, {.name = "guided", .back = gelu_guided}, COMMON_RULES);

static const char *const approximations[] = {"none", "tanh", NULL};
static const lun_attrdef gelu_attrs[] = {
    {"approximate", .at = 0, .count = 1, .words = approximations},
    {.name = NULL},
};
OPERATOR(gelu,
         "gelu(x, approximate = none): x Phi(x), Phi the normal distribution "
         "(by erf); tanh: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2",
         gelu_attrs, ops_same);

/* ---- piecewise linear --------------------------------------------------- */

/* 0 > v, not v > 0: a NaN must stay visible. */
static float to_unit(float v) {
  return 0.0f > v ? 0.0f : (v > 1.0f ? 1.0f : v);
}

SIGMOIDAL(hard_sigmoid, to_unit(p *x + q),
          p *x + q > 0 && p * x + q < 1.0f ? g * p : 0.0f)

static const lun_attrdef hard_attrs[] = {
    {.name = "alpha", .at = 0, .count = 1, .fallback = 1.0 / 6},
    {.name = "beta", .at = 1, .count = 1, .fallback = 0.5},
    {.name = NULL},
};
OPERATOR(hard_sigmoid,
         "hard_sigmoid(x, alpha = 1/6, beta = 1/2): alpha x + beta, at least 0 "
         "and at most 1",
         hard_attrs, ops_same);

/* x (x + 3) / 6 between -3 and 3: slope x / 3 + 1/2 */
#define HARD_SWISH_SLOPE                                                       \
  x <= -3.0f ? 0.0f : (x >= 3.0f ? g : g * (x / 3.0f + 0.5f))
FUNCTION(hard_swish, (x * to_unit(x / 6.0f + 0.5f)), HARD_SWISH_SLOPE)
SPAN_GUIDED(hard_swish_guided, HARD_SWISH_SLOPE)
INPUT_RULES(hard_swish);
JOINED_OPERATOR(hard_swish,
                "hard_swish(x): x hard_sigmoid(x), 0 below -3, x above 3",
                LUN_HARD_SWISH_EPILOGUE);
