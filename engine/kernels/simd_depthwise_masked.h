/*
** simd_depthwise_masked.h - the part of simd.c for depthwise convolutions where a load
** may leave lanes out: rows of a plane are read where they lie, without a copy, sums
** stay in registers until they are written, and a mask stands for the borders.
*/
#if defined __AVX512F__

enum { MOST_ROWS = 4 }; /* of outputs at once */

/* The lanes of a vector from column x on that lie in a row of w. */
INLINE __mmask16 columns_inside(int x, int w) {
  int lo = x < 0 ? -x : 0, hi = mini(VL, w - x);
  return (__mmask16)(hi > lo ? (1u << hi) - (1u << lo) : 0);
}

INLINE vec load_inside(const float *p, __mmask16 lanes) {
  return (vec)_mm512_maskz_loadu_ps(lanes, p);
}

/* A plane, and where its outputs go. */
typedef struct masked_plane {
  const lun_depthwise *d;
  enum mode mode;
  finish f;
  float *out;
  const float *y, *add; /* of the gate, of the sum, or NULL */
} masked_plane;

INLINE masked_plane masked_plane_of(const lun_depthwise *d) {
  const lun_epilogue *e = d->epilogue;
  return (masked_plane){.d = d,
                        .mode = any_mode_of(e),
                        .f = finish_of(e, d->channel),
                        .out = d->out + d->at,
                        .y =
                            e->gate ? e->gate->y + d->at % e->gate->size : NULL,
                        .add = e->add ? e->add + d->at : NULL};
}

/* Writes n <= VL outputs of each of nr rows from `at` on. */
INLINE void masked_finish(enum mode mode, const masked_plane *p, int nr, int n,
                          ptrdiff_t at, const vec *s) {
  UNROLLED(int r = 0; r < nr; r++) {
    ptrdiff_t row = at + r * (ptrdiff_t)p->d->ow;
    vec y = is_gate(mode) ? load_part(p->y + row, n) : (vec){0};
    vec add = p->add ? load_part(p->add + row, n) : (vec){0};
    store_part(p->out + row, finished(mode, &p->f, s[r], y, add), n);
  }
}

/* What a row of inputs gives the k taps of VL outputs; of stride 2 by pairs of vectors,
** whose even values are one tap's and whose odd ones the next one's. */
INLINE void masked_taps(int k, int stride, const float *from,
                        const __mmask16 *lanes, vec *x) {
  if (stride == 1) {
    UNROLLED(int t = 0; t < k; t++) x[t] = load_inside(from + t, lanes[t]);
    return;
  }
  UNROLLED(int t = 0; t < k; t += 2) {
    vec a = load_inside(from + t, lanes[t]);
    vec b = load_inside(from + t + VL, lanes[t + 1]);
    x[t] = SHUFFLE(a, b, EVEN);
    x[t + 1] = SHUFFLE(a, b, ODD);
  }
}

/* nr rows of VL outputs from (v, u) on: each one chain of fused multiply-adds in the
** order of the kernel's elements; a row outside the plane gives nothing. */
INLINE void masked_sums(int k, int stride, int nr, const masked_plane *p, int v,
                        int u, const __mmask16 *lanes) {
  const lun_depthwise *d = p->d;
  int y = v * stride - d->above;
  const float *w = d->weights;
  const float *from =
      d->in + (ptrdiff_t)y * d->w + (ptrdiff_t)u * stride - d->before;
  vec s[MOST_ROWS], x[8];
  UNROLLED(int o = 0; o < nr; o++) s[o] = (vec){0};
  UNROLLED(int r = 0; r < (nr - 1) * stride + k; r++) {
    if (y + r < 0 || y + r >= d->h) continue;
    masked_taps(k, stride, from + (ptrdiff_t)r * d->w, lanes, x);
    UNROLLED(int t = 0; t < k; t++)
    UNROLLED(int o = 0; o < nr; o++) {
      int i = r - o * stride;
      if (i >= 0 && i < k) s[o] += SPLAT(w[i * k + t]) * x[t];
    }
  }
  FOR_ANY_MODE(p->mode, masked_finish, p, nr, mini(VL, d->ow - u),
               (ptrdiff_t)v * d->ow + u, s)
}

INLINE void masked_window(int k, int stride, const lun_depthwise *d) {
  masked_plane p = masked_plane_of(d);
  for (int u = 0; u < d->ow; u += VL) {
    __mmask16 lanes[8];
    int v = 0, x = u * stride - d->before;
    UNROLLED(int t = 0; t < 8; t++)
    lanes[t] =
        columns_inside(x + (stride == 1 ? t : t / 2 * 2 + t % 2 * VL), d->w);
    for (; v + MOST_ROWS <= d->oh; v += MOST_ROWS)
      masked_sums(k, stride, MOST_ROWS, &p, v, u, lanes);
    if (d->oh - v == 3)
      masked_sums(k, stride, 3, &p, v, u, lanes);
    else if (d->oh - v == 2)
      masked_sums(k, stride, 2, &p, v, u, lanes);
    else if (d->oh - v == 1)
      masked_sums(k, stride, 1, &p, v, u, lanes);
  }
}

/* The gradient of stride 2, `odd` of its border: even and odd columns of outputs are
** sums apart, of which each has every other tap, and each row every other row of the
** kernel. */
INLINE void masked_spread(int k, int odd, const lun_depthwise *d) {
  masked_plane p = masked_plane_of(d);
  const float *w = d->weights;
  for (int u = 0; u < d->ow; u += 2 * VL) {
    __mmask16 lanes[8];
    ptrdiff_t at[8];
    UNROLLED(int t = 0; t < k; t++) {
      at[t] = (u + (odd ^ (t & 1)) + t - d->before) / 2;
      lanes[t] = columns_inside((int)at[t], d->w);
    }
    for (int v = 0; v < d->oh; v++) {
      vec s[2] = {{0}, {0}};
      UNROLLED(int i = 0; i < k; i++) {
        int y = v + i - d->above;
        if (y < 0 || y % 2 || y / 2 >= d->h) continue;
        const float *row = d->in + (ptrdiff_t)(y / 2) * d->w;
        UNROLLED(int t = 0; t < k; t++)
        s[odd ^ (t & 1)] +=
            SPLAT(w[i * k + t]) * load_inside(row + at[t], lanes[t]);
      }
      vec low = SHUFFLE(s[0], s[1], LOW_PAIR);
      vec high = SHUFFLE(s[0], s[1], HIGH_PAIR);
      int n = d->ow - u;
      ptrdiff_t to = (ptrdiff_t)v * d->ow + u;
      FOR_ANY_MODE(p.mode, masked_finish, &p, 1, mini(VL, n), to, &low)
      if (n > VL)
        FOR_ANY_MODE(p.mode, masked_finish, &p, 1, mini(VL, n - VL), to + VL,
                     &high)
    }
  }
}

#define MASKED(k)                                                              \
  static void masked##k(const lun_depthwise *d) {                              \
    if (d->spread == 1 && d->stride == 1)                                      \
      masked_window(k, 1, d);                                                  \
    else if (d->spread == 1)                                                   \
      masked_window(k, 2, d);                                                  \
    else if (d->before % 2)                                                    \
      masked_spread(k, 1, d);                                                  \
    else                                                                       \
      masked_spread(k, 0, d);                                                  \
  }
MASKED(3)
MASKED(5)
MASKED(7)

static void depthwise_masked(const lun_depthwise *d) {
  if (d->k == 3)
    masked3(d);
  else if (d->k == 5)
    masked5(d);
  else
    masked7(d);
}
#endif
