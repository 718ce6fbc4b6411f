/*
** activation.c - the relu family and its backward rules.
**
** With y = f(x) and dy arriving:
**   plain      dx = dy f'(x)
**   guided     dx = max(dy, 0) f'(x)      Springenberg et al. 2015
**   rectified  dx = max(dy, 0)            the gate held open, keras-vis
**   deconvnet  the same                   Zeiler and Fergus 2014
**   leak       dx = dy where y > 0, param * dy elsewhere
**   identity   dx = dy
** and for relu
**   beta_smooth dx = dy sigmoid(param x)  softplus instead of relu, backward
**                                         only; Dombrowski et al. 2019
**
** Relu's rules read the output alone, so that a convolution may compute
** relu in the same pass and never write its own output; beta_smooth says
** needs_input.
*/
#include "span.h"

/* ---- rules that need no derivative ------------------------------------- */

SPAN_GUIDED_OUT(rectified, g)
SPAN_BACK_OUT(leak, y > 0 ? g : (r * g))

/* The rules that every member of the family has besides plain and guided. */
#define COMMON_RULES                                                           \
  {.name = "rectified", .back = rectified, .param = LUN_UNSET},                \
      {.name = "deconvnet", .back = rectified, .param = LUN_UNSET},            \
      {.name = "leak", .back = leak, .param = 0.01}, {                         \
    .name = "identity", .back = ops_pass_back, .param = LUN_UNSET              \
  }

/* An activation with forward value F(x) and gradient B(x, y, g). */
#define ACTIVATION(id, F, B)                                                   \
  SPAN_FORWARD(id##_span, F)                                                   \
  SPAN_BACK(id##_plain, B)                                                     \
  SPAN_GUIDED(id##_guided, B)                                                  \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    return span_forward(n, id##_span, err);                                    \
  }                                                                            \
  static const lun_rule id##_rules[] = {                                       \
      {.name = "plain", .back = id##_plain, .param = LUN_UNSET},               \
      {.name = "guided", .back = id##_guided, .param = LUN_UNSET},             \
      COMMON_RULES,                                                            \
      {.name = NULL},                                                          \
  };

#define OPERATOR(id, text, attributes, check)                                  \
  const lun_op lun_op_##id = {                                                 \
      .name = #id,                                                             \
      .doc = text,                                                             \
      .min_in = 1,                                                             \
      .max_in = 1,                                                             \
      .attrs = attributes,                                                     \
      .infer = check,                                                          \
      .forward = id##_forward,                                                 \
      .rules = id##_rules,                                                     \
      .inplace = 1,                                                            \
  };

/* An attribute that must be a positive number. */
static int positive(lun_node *n, lun_err *err) {
  double v = n->attr[0];
  if (!(v > 0 && v < HUGE_VAL))
    return ops_fail(n, err, LUN_EARG, "'%s' is %g, must be above 0",
                    n->op->attrs[0].name, v);
  return ops_same(n, err);
}

static float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

/* ---- relu -------------------------------------------------------------- */

/* 0 > x, not x > 0: a NaN must stay visible. */
SPAN_FORWARD(relu_span, 0.0f > x ? 0.0f : x)
SPAN_BACK_OUT(relu_plain, y > 0 ? g : 0.0f)
SPAN_GUIDED_OUT(relu_guided, y > 0 ? g : 0.0f)
SPAN_BACK(relu_smooth, (g * logistic((r * x))))

static int relu_forward(lun_node *n, lun_err *err) {
  return span_forward(n, relu_span, err);
}

static const lun_rule relu_rules[] = {
    {.name = "plain", .back = relu_plain, .param = LUN_UNSET},
    {.name = "guided", .back = relu_guided, .param = LUN_UNSET},
    COMMON_RULES,
    {
        .name = "beta_smooth",
        .back = relu_smooth,
        .param = 10,
        .needs_input = 1,
    },
    {.name = NULL},
};

OPERATOR(relu, "relu(x): max(x, 0)", NULL, ops_same)

/* ---- the others -------------------------------------------------------- */

/* The sign of x decides, not that of y: slope may be 0 or negative. */
ACTIVATION(leaky_relu, x > 0 ? x : (p * x), x > 0 ? g : (p * g))

static const lun_attrdef leaky_attrs[] = {
    {.name = "slope", .at = 0, .count = 1, .fallback = 0.01},
    {.name = NULL},
};
OPERATOR(leaky_relu, "leaky_relu(x, slope): x where x > 0, else slope x",
         leaky_attrs, ops_same)

ACTIVATION(relu6, 0.0f > x ? 0.0f : (x > 6.0f ? 6.0f : x),
           x > 0 && x < 6.0f ? g : 0.0f)
OPERATOR(relu6, "relu6(x): min(max(x, 0), 6)", NULL, ops_same)

ACTIVATION(sigmoid, logistic(x), (g * y * (1.0f - y)))
OPERATOR(sigmoid, "sigmoid(x): 1 / (1 + exp(-x))", NULL, ops_same)

ACTIVATION(tanh, tanhf(x), (g * (1.0f - y * y)))
OPERATOR(tanh, "tanh(x)", NULL, ops_same)

/* log(1 + e^bx) / b = max(x, 0) + log(1 + e^-|bx|) / b: no overflow. */
ACTIVATION(softplus, (0.0f > x ? 0.0f : x) + log1pf(expf(-fabsf(p * x))) / p,
           (g * logistic((p * x))))

static const lun_attrdef softplus_attrs[] = {
    {.name = "beta", .at = 0, .count = 1, .fallback = 1},
    {.name = NULL},
};
OPERATOR(softplus, "softplus(x, beta): log(1 + exp(beta x)) / beta",
         softplus_attrs, positive)

ACTIVATION(elu, x > 0 ? x : (p * expm1f(x)), x > 0 ? g : (g * p * expf(x)))

static const lun_attrdef elu_attrs[] = {
    {.name = "alpha", .at = 0, .count = 1, .fallback = 1},
    {.name = NULL},
};
OPERATOR(elu, "elu(x, alpha): x where x > 0, else alpha (exp(x) - 1)",
         elu_attrs, positive)

/* (x s)' = s + x s (1 - s) */
static float silu_slope(float x) {
  float s = logistic(x);
  return s * (1.0f + x * (1.0f - s));
}
ACTIVATION(silu, (x * logistic(x)), (g * silu_slope(x)))
OPERATOR(silu, "silu(x): x sigmoid(x)", NULL, ops_same)

/* Phi(x) = (1 + erf(x / sqrt 2)) / 2;  gelu = x Phi;  gelu' = Phi + x phi */
static float normal_cdf(float x) {
  return 0.5f * (1.0f + erff(x * 0.70710678f));
}
static float gelu_slope(float x) {
  return normal_cdf(x) + x * 0.39894228f * expf(-0.5f * x * x);
}
ACTIVATION(gelu, (x * normal_cdf(x)), (g * gelu_slope(x)))
OPERATOR(gelu, "gelu(x): x Phi(x), Phi the normal distribution (erf form)",
         NULL, ops_same)
