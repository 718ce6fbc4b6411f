/*
** simd_depthwise.h - the part of simd.c for depthwise convolutions of 3x3, 5x5 and 7x7:
** every channel by itself, a band of rows at a time.  The rows that a band meets are
** first copied with their borders, then summed without asking where the plane ends.
*/

#if !defined __AVX512F__ /* which has simd_depthwise_masked.h */

/* to[0 .. n) = 0; writes up to a whole vector behind. */
INLINE void clear_row(float *to, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i += VL) STOREU(to + i, (vec){0});
}

/* to[0 .. n) = from[0 .. n), of which `left` floats may be read; writes up to a whole
** vector behind. */
INLINE void copy_floats(const float *from, int n, int64_t left, float *to) {
  int i = 0;
  for (; i + VL <= n; i += VL) STOREU(to + i, LOADU(from + i));
  if (i < n)
    STOREU(to + i,
           left - i >= VL ? LOADU(from + i) : load_part(from + i, n - i));
}

/* The same with a 0 between any two. */
INLINE void copy_apart(const float *from, int n, int64_t left, float *to) {
  for (int i = 0; i < n; i += VL) {
    vec v = left - i >= VL ? LOADU(from + i) : load_n(from + i, n - i);
    STOREU(to + 2 * i, SHUFFLE(v, ((vec){0}), LOW_PAIR));
    STOREU(to + 2 * i + VL, SHUFFLE(v, ((vec){0}), HIGH_PAIR));
  }
}

/* Row y of the plane as the band meets it: `before` zeros, the values, zeros up to d's
** pitch.  Of stride 2 the values at even columns come first, then, half a pitch on,
** those at odd ones. */
INLINE void border_row(const lun_depthwise *d, int y, float *line, float *to) {
  int spread = d->spread, stride = d->stride, from = y / spread;
  if (y < 0 || y % spread || from >= d->h) {
    clear_row(to, d->pitch);
    return;
  }
  float *row = stride == 1 ? to : line;
  const float *values = d->in + (ptrdiff_t)from * d->w;
  int64_t left = d->left - (int64_t)from * d->w;
  int wide = (d->w - 1) * spread + 1;
  clear_row(row, d->before);
  if (spread == 1)
    copy_floats(values, d->w, left, row + d->before);
  else
    copy_apart(values, d->w, left, row + d->before);
  clear_row(row + d->before + wide, d->pitch - d->before - wide);
  for (ptrdiff_t i = 0; stride == 2 && i < d->pitch / 2; i += VL) {
    vec a = LOADU(line + 2 * i), b = LOADU(line + 2 * i + VL);
    STOREU(to + i, SHUFFLE(a, b, EVEN));
    STOREU(to + d->pitch / 2 + i, SHUFFLE(a, b, ODD));
  }
}

/* nr rows of nv vectors of sums of k x k products, each one chain of fused
** multiply-adds in the order of the kernel's elements.  Rows of sums are ow apart; of
** several the later one is stored later, over what the one before wrote too far. */
INLINE void window_sums(int k, int stride, int nr, int nv,
                        const lun_depthwise *d, const float *from, float *m) {
  const float *w = d->weights;
  const ptrdiff_t pitch = d->pitch, ms = d->ow;
  vec s[4][4];
  UNROLLED(int r = 0; r < nr; r++)
  UNROLLED(int v = 0; v < nv; v++) s[r][v] = (vec){0};
  for (int i = 0; i < k; i++, from += pitch, w += k) {
    UNROLLED(int t = 0; t < k; t++) {
      const float *p = from + (stride == 1 ? t : t / 2 + t % 2 * (pitch / 2));
      vec a = SPLAT(w[t]);
      UNROLLED(int r = 0; r < nr; r++)
      UNROLLED(int v = 0; v < nv; v++)
      s[r][v] += a * LOADU(p + r * stride * pitch + v * VL);
    }
  }
  UNROLLED(int r = 0; r < nr; r++)
  UNROLLED(int v = 0; v < nv; v++) STOREU(m + r * ms + v * VL, s[r][v]);
}

/* nr rows of ow sums, side by side.  A row's vectors go from its end to its beginning,
** so that what a vector writes beyond a row is written over by the next one's first. */
INLINE void window_row(int k, int stride, int nr, const lun_depthwise *d,
                       const float *strip, float *m) {
  for (int u = (d->ow + VL - 1) / VL * VL; u > 0;) {
    int left = u / VL, nv = left % 4 == 0 && nr < 4 ? 4 : left % 2 == 0 ? 2 : 1;
    u -= nv * VL;
    if (nv == 4)
      window_sums(k, stride, mini(nr, 2), 4, d, strip + u, m + u);
    else if (nv == 2)
      window_sums(k, stride, nr, 2, d, strip + u, m + u);
    else
      window_sums(k, stride, nr, 1, d, strip + u, m + u);
  }
}

/* Narrow rows are summed four at a time, others two: eight sums abreast. */
INLINE void window_rows(int k, int stride, const lun_depthwise *d, int rows,
                        const float *strip, float *m) {
  int r = 0, step = stride * d->pitch, narrow = d->ow <= 2 * VL;
  for (; narrow && r + 4 <= rows; r += 4, m += 4 * d->ow, strip += 4 * step)
    window_row(k, stride, 4, d, strip, m);
  for (; r + 2 <= rows; r += 2, m += 2 * d->ow, strip += 2 * step)
    window_row(k, stride, 2, d, strip, m);
  if (r < rows) window_row(k, stride, 1, d, strip, m);
}

#define WINDOW(k, stride)                                                      \
  static void window##k##_##stride(const lun_depthwise *d, int rows,           \
                                   const float *strip, float *m) {             \
    window_rows(k, stride, d, rows, strip, m);                                 \
  }
WINDOW(3, 1)
WINDOW(3, 2)
WINDOW(5, 1)
WINDOW(5, 2)
WINDOW(7, 1)
WINDOW(7, 2)

/* Band by band: borders, sums, epilogue. */
static void depthwise(const lun_depthwise *d) {
  static void (*const sums[3][2])(const lun_depthwise *, int, const float *,
                                  float *) = {
      {window3_1, window3_2}, {window5_1, window5_2}, {window7_1, window7_2}};
  int k = d->k, stride = d->stride, rows;
  float *strip = d->scratch, *m = strip + d->strip, *line = m + d->sums;
  for (int v = 0; v < d->oh; v += rows) {
    rows = mini(d->band, d->oh - v);
    for (int i = 0; i < (rows - 1) * stride + k; i++)
      border_row(d, v * stride + i - d->above, line, strip + i * d->pitch);
    sums[(k - 3) / 2][stride - 1](d, rows, strip, m);
    epilogue_row(d->epilogue, d->out, d->at + (int64_t)v * d->ow, rows * d->ow,
                 m, d->channel);
  }
}

#endif

/* ---- the columns of a gradient of stride 2, which are computed apart ---- */

/* VL values of a row from column `at` on; zeros if row is NULL or beyond column n. */
INLINE vec of_phase(const float *row, int at, int n) {
  if (!row || n <= 0) return (vec){0};
  return load_n(row + at, n);
}

INLINE void interleave_span(enum mode mode, const finish *f, const float *y,
                            const float *add, int n, const float *even,
                            const float *odd, float *out) {
  for (int p = 0; p < n; p += 2 * VL) {
    vec a = of_phase(even, p / 2, (n - p + 1) / 2);
    vec b = of_phase(odd, p / 2, (n - p) / 2);
    for (int q = p; q < n && q < p + 2 * VL; q += VL) {
      vec z = q == p ? SHUFFLE(a, b, LOW_PAIR) : SHUFFLE(a, b, HIGH_PAIR);
      vec v = is_gate(mode) ? load_n(y + q, n - q) : (vec){0};
      vec more = f->adds ? load_n(add + q, n - q) : (vec){0};
      store_n(out + q, finished(mode, f, z, v, more), n - q);
    }
  }
}

static void interleave(const lun_epilogue *e, float *out, int64_t at, int n,
                       const float *even, const float *odd, int k) {
  const float *y = e->gate ? e->gate->y + at % e->gate->size : NULL;
  const float *add = e->add ? e->add + at : NULL;
  finish f = finish_of(e, k);
  FOR_ANY_MODE(any_mode_of(e), interleave_span, &f, y, add, n, even, odd,
               out + at)
}
