/*
** simd_pool.h - the part of simd.c for maximum pooling: of 2x2 windows, VGG's, four
** neighbours meet in one pass; of windows three wide with stride 2, ResNet's, the
** values at even columns, at odd ones, and at the next even ones.
*/

#if defined __AVX512F__
#define EVEN      0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD       1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define LOW_PAIR  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_PAIR 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined __AVX__
#define EVEN      0, 2, 4, 6, 8, 10, 12, 14
#define ODD       1, 3, 5, 7, 9, 11, 13, 15
#define LOW_PAIR  0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_PAIR 4, 12, 5, 13, 6, 14, 7, 15
#else
#define EVEN      0, 2, 4, 6
#define ODD       1, 3, 5, 7
#define LOW_PAIR  0, 4, 1, 5
#define HIGH_PAIR 2, 6, 3, 7
#endif

typedef uint8_t bvec __attribute__((vector_size(VL)));

/* best, k = the maximum of best and v, and its tap; of equal values the first, and
** NaN counts as the largest. */
INLINE void take_maximum(vec v, ivec l, vec *best, ivec *k) {
  ivec c = (v != v) | (v > *best);
  *best = (vec)(((ivec)v & c) | ((ivec)*best & ~c));
  *k = (l & c) | (*k & ~c);
}

/* n > 0 bytes, up to VL of them. */
INLINE bvec load_bytes(const uint8_t *p, int n) {
  bvec k = {0};
#if defined __AVX512F__
  if (n < VL) return (bvec)_mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p);
#endif
  memcpy(&k, p, n < VL ? (size_t)n : VL);
  return k;
}

INLINE void store_bytes(uint8_t *p, bvec k, int n) {
#if defined __AVX512F__
  if (n < VL) {
    _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1), (__m128i)k);
    return;
  }
#endif
  memcpy(p, &k, n < VL ? (size_t)n : VL);
}

/* Up to VL windows. */
INLINE void maxpool2x2_some(const float *top, const float *low, float *y,
                            uint8_t *tap, int n) {
  vec t = load_n(top, 2 * n), u = load_upto(top + VL, 2 * n - VL);
  vec b = load_n(low, 2 * n), e = load_upto(low + VL, 2 * n - VL);
  vec p = SHUFFLE(t, u, EVEN), q = SHUFFLE(b, e, EVEN);
  ivec k = {0}, l = 2 - (ivec){0};
  take_maximum(SHUFFLE(t, u, ODD), 1 - (ivec){0}, &p, &k);
  take_maximum(SHUFFLE(b, e, ODD), 3 - (ivec){0}, &q, &l);
  take_maximum(q, l, &p, &k);
  store_n(y, p, n);
  store_bytes(tap, __builtin_convertvector(k, bvec), n);
}

static void maxpool2x2(const float *top, const float *low, float *y,
                       uint8_t *tap, int64_t len) {
  int64_t i = 0;
  for (; i + VL <= len; i += VL)
    maxpool2x2_some(top + 2 * i, low + 2 * i, y + i, tap + i, VL);
  if (i < len)
    maxpool2x2_some(top + 2 * i, low + 2 * i, y + i, tap + i, (int)(len - i));
}

/* Up to VL windows three wide from x on, of `left` floats a row that may be read. */
INLINE void maxpool3_some(const float *x, int64_t pitch, int rows, int64_t left,
                          int32_t first, float *y, int32_t *tap, int n) {
  vec best = {0};
  ivec k = {0};
  int many = (int)(left < 2 * VL + 2 ? left : 2 * VL + 2);
  for (int i = 0; i < rows; i++, x += pitch) {
    vec a = load_upto(x, many), b = load_upto(x + VL, many - VL);
    vec c = load_upto(x + 2, many - 2),
        d = load_upto(x + VL + 2, many - VL - 2);
    int32_t t = first + 3 * i;
    vec even = SHUFFLE(a, b, EVEN);
    if (i == 0)
      best = even, k = t - (ivec){0};
    else
      take_maximum(even, t - (ivec){0}, &best, &k);
    take_maximum(SHUFFLE(a, b, ODD), t + 1 - (ivec){0}, &best, &k);
    take_maximum(SHUFFLE(c, d, EVEN), t + 2 - (ivec){0}, &best, &k);
  }
  store_n(y, best, n);
  store_n((float *)(void *)tap, (vec)k, n);
}

static void maxpool3(const float *x, int64_t pitch, int rows, int32_t first,
                     float *y, int32_t *tap, int64_t len) {
  int64_t i = 0, left = 2 * len + 1;
  for (; i + VL < len; i += VL)
    maxpool3_some(x + 2 * i, pitch, rows, 2 * VL + 2, first, y + i, tap + i,
                  VL);
  if (i < len)
    maxpool3_some(x + 2 * i, pitch, rows, left - 2 * i, first, y + i, tap + i,
                  (int)(len - i));
}

INLINE void maxpool2x2_back_some(enum mode mode, const float *dy,
                                 const float *y, lun_slopes s,
                                 const uint8_t *tap, float *top, float *low,
                                 int n) {
  ivec t = __builtin_convertvector(load_bytes(tap, n), ivec);
  vec v = is_gate(mode) ? load_n(y, n) : (vec){0};
  v = function_of(mode, load_n(dy, n), v, s);
  vec a = keep(v, t == 0), b = keep(v, t == 1);
  vec c = keep(v, t == 2), d = keep(v, t == 3);
  store_n(top, SHUFFLE(a, b, LOW_PAIR), 2 * n);
  store_upto(top + VL, SHUFFLE(a, b, HIGH_PAIR), 2 * n - VL);
  store_n(low, SHUFFLE(c, d, LOW_PAIR), 2 * n);
  store_upto(low + VL, SHUFFLE(c, d, HIGH_PAIR), 2 * n - VL);
}

INLINE void maxpool2x2_back_row(enum mode mode, const float *dy, const float *y,
                                lun_slopes s, const uint8_t *tap, float *top,
                                float *low, int64_t len) {
  int64_t i = 0;
  for (; i + VL <= len; i += VL)
    maxpool2x2_back_some(mode, dy + i, y + i, s, tap + i, top + 2 * i,
                         low + 2 * i, VL);
  if (i < len)
    maxpool2x2_back_some(mode, dy + i, y + i, s, tap + i, top + 2 * i,
                         low + 2 * i, (int)(len - i));
}

/* The gate's own y is the maximum where dy goes. */
static void maxpool2x2_back(const lun_gate *g, const float *dy, const float *y,
                            const uint8_t *tap, float *top, float *low,
                            int64_t len) {
  const lun_epilogue e = {.gate = g};
  lun_slopes s = slopes_of(g);
  FOR_MODE(mode_of(&e), maxpool2x2_back_row, dy, y, s, tap, top, low, len)
}
