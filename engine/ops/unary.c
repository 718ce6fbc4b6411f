/*
** unary.c - elementwise functions of one tensor.  Outside their domain they
** give what C gives (NaN, infinities): nothing is hidden.
*/
#include "relevance.h"
#include "span.h"

/* id(x) with value F(x) and gradient B(x, y, g). */
#define UNARY(id, text, attributes, check, F, B)                               \
  SPAN_FORWARD(id##_span, F)                                                   \
  SPAN_BACK(id##_back, B)                                                      \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    return span_forward(n, id##_span, err);                                    \
  }                                                                            \
  OPS_RULES(id, RELEVANCE_IDENTITY);                                           \
  OPS_OPERATOR(id, text, 1, 1, .attrs = attributes, .infer = check,            \
               .inplace = 1);

/* -1, 0, 1; a NaN stays. */
static float sign_of(float x) {
  return x > 0 ? 1.0f : x < 0 ? -1.0f : x == 0 ? 0.0f : x;
}

UNARY(neg, "neg(x): -x", NULL, ops_same, -x, -g)
/* The gradient at the kink is 0, as PyTorch. */
UNARY(abs, "abs(x): |x|", NULL, ops_same, fabsf(x), (g * sign_of(x)))
UNARY(exp, "exp(x)", NULL, ops_same, expf(x), (g * y))
UNARY(log, "log(x): natural logarithm", NULL, ops_same, logf(x), g / x)
UNARY(sqrt, "sqrt(x)", NULL, ops_same, sqrtf(x), 0.5f * g / y)
UNARY(square, "square(x): x^2", NULL, ops_same, (x * x), 2.0f * g * x)
UNARY(sin, "sin(x)", NULL, ops_same, sinf(x), (g * cosf(x)))
UNARY(cos, "cos(x)", NULL, ops_same, cosf(x), (-g * sinf(x)))
/* d erf / dx = 2 / sqrt(pi) exp(-x^2) */
UNARY(erf, "erf(x): the error function", NULL, ops_same, erff(x),
      (g * 1.12837916709551f * expf(-x * x)))
UNARY(log1p, "log1p(x): log(1 + x)", NULL, ops_same, log1pf(x), g / (1.0f + x))
UNARY(expm1, "expm1(x): exp(x) - 1", NULL, ops_same, expm1f(x), (g * expf(x)))
UNARY(reciprocal, "reciprocal(x): 1 / x", NULL, ops_same, 1.0f / x,
      (-g * y * y))
/* Steps: flat almost everywhere, so the gradient is 0. */
UNARY(floor, "floor(x)", NULL, ops_same, floorf(x), 0.0f * g)
UNARY(ceil, "ceil(x)", NULL, ops_same, ceilf(x), 0.0f * g)
UNARY(round, "round(x): halves to even", NULL, ops_same, rintf(x), 0.0f * g)
UNARY(sign, "sign(x): -1, 0 or 1", NULL, ops_same, sign_of(x), 0.0f * g)

/* ---- clamp -------------------------------------------------------------- */

static const lun_attrdef clamp_attrs[] = {
    {.name = "min", .at = 0, .count = 1, .fallback = LUN_UNSET},
    {.name = "max", .at = 1, .count = 1, .fallback = LUN_UNSET},
    {.name = NULL},
};

/* An open end becomes an infinity, so that the loops need not ask. */
static int clamp_infer(lun_node *n, lun_err *err) {
  if (!ops_given(n, 0) && !ops_given(n, 1))
    return ops_fail(n, err, LUN_EARG,
                    "'min' and 'max' are missing: clamp(0, 1), or one of them: "
                    "clamp { min = 0 }");
  if (!ops_given(n, 0)) n->attr[0] = -HUGE_VAL;
  if (!ops_given(n, 1)) n->attr[1] = HUGE_VAL;
  if (!(n->attr[0] <= n->attr[1]))
    return ops_fail(n, err, LUN_EARG, "'min' is %g, 'max' is %g", n->attr[0],
                    n->attr[1]);
  return ops_same(n, err);
}

UNARY(clamp, "clamp(x, min, max): gradient 1 from min to max, 0 outside",
      clamp_attrs, clamp_infer, x < p ? p : (x > q ? q : x),
      x >= p && x <= q ? g : 0.0f)
