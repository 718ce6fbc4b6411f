/*
** simd_math.h - the part of simd.c for functions of single values, a vector at a time.
** Each is one formula for all values, so that a value has the same bits wherever in a
** row it stands.  NaN stays.
*/

/* The last vector of a row is worked out in a buffer: values are never read or
** written beyond it. */
#define EACH_VECTOR(fn)                                                        \
  for (int64_t i = 0; i < n; i += VL) {                                        \
    int k = n - i < VL ? (int)(n - i) : VL;                                    \
    store_n(y + i, fn(load_n(x + i, k)), k);                                   \
  }

INLINE vec at_least(vec x, float lo) { return larger(SPLAT(lo), x); }
INLINE vec at_most(vec x, float hi) { return smaller(SPLAT(hi), x); }

/*
** e^x = 2^k e^r with k the whole number nearest to x / log 2, |r| <= log 2 / 2, and
** e^r by its series to r^7, of which |r|^8 / 8! < 6e-9 is left.  log 2 is taken off in
** two parts, the first of few bits, so that r is exact.  Adding 1.5 * 2^23 leaves k in
** the lowest bits.  Below -87 the result is 0, and not a subnormal number.
*/
INLINE vec exp_of(vec x) {
  const float magic = 12582912.0f;
  vec v = at_most(at_least(x, -87.0f), 88.0f);
  vec t = v * 1.44269504f + magic, k = t - magic;
  vec r = v - k * 0.693359375f;
  r -= k * -2.12194440e-4f;
  vec p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
#if defined __AVX512F__
  __mmask16 seen = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-87.0f),
                                      _CMP_NLT_UQ); /* NaN is */
  return (vec)_mm512_maskz_scalef_ps(seen, (__m512)p, (__m512)k);
#else
  vec power = (vec)((ivec)p + ((ivec)t << 23));
  ivec number = x == x, seen = x >= -87.0f;
  return choose(number, keep(power, seen), x);
#endif
}

/* 1 / x of 1 <= x: where division takes as long as all of exp_of, an estimate of 14
** bits and a step of Newton's, which leaves 2^-28 (0 where it would be subnormal). */
INLINE vec reciprocal(vec x) {
#if defined __AVX512F__
  vec y = (vec)_mm512_rcp14_ps((__m512)x);
  return y + y * (1.0f - x * y);
#else
  return 1.0f / x;
#endif
}

INLINE vec sigmoid_of(vec x) { return reciprocal(1.0f + exp_of(-x)); }

/*
** The error function, z P(z^2) / Q(z^2) up to z = 3.925, where it is 1 within float32:
** the quotient nearest in relative error (1.8e-9), found by reweighted least squares.
*/
INLINE vec erf_of(vec x) {
  vec z = at_most(at_least(x, -3.925f), 3.925f), t = z * z;
  vec p = t * -1.28287816e-8f + 4.61461150e-6f;
  p = p * t + 3.76962853e-4f;
  p = p * t + 3.83949443e-3f;
  p = p * t + 5.42494617e-2f;
  p = p * t + 1.85142443e-1f;
  p = p * t + 1.12837923f;
  vec q = t * 6.24496997e-5f + 1.30197417e-3f;
  q = q * t + 1.54325143e-2f;
  q = q * t + 1.13880731e-1f;
  q = q * t + 4.97411638e-1f;
  q = q * t + 1.0f;
  return at_most(at_least(z * p / q, -1.0f), 1.0f);
}

INLINE vec normal_cdf_of(vec x) {
  return 0.5f + 0.5f * erf_of(x * 0.70710678f);
}

static void exp_row(const float *x, float *y, int64_t n) { EACH_VECTOR(exp_of) }
static void sigmoid_row(const float *x, float *y, int64_t n) {
  EACH_VECTOR(sigmoid_of)
}
static void normal_cdf_row(const float *x, float *y, int64_t n) {
  EACH_VECTOR(normal_cdf_of)
}
