/*
** simd_dense.h - the part of simd.c for dense layers.  With few images they
** are as fast as memory delivers the weights: several rows are read side by
** side, each once for all images.
*/

/* Inputs of a segment: 8 rows of it stay in the second level cache while all
** images use them. */
enum { SEGMENT_IN = 2048 };

/* Rows and images at once: R rows of one image, or 4 rows of S images. */
#if defined __AVX512F__ || defined __aarch64__
enum { SEVERAL = 4 };
#else
enum { SEVERAL = 2 };
#endif

/* Lanes in a fixed order. */
INLINE float total(vec a) {
  float s = 0.0f;
  UNROLLED(int i = 0; i < VL; i++) s += a[i];
  return s;
}

/* The next 8 rows of weights are prefetched while groups of images use the
** present ones.  Each group prefetches its share of every row: floats from `from`
** on, `step` more with every vector that it computes. */
typedef struct share {
  ptrdiff_t from, step;
} share;

INLINE share share_of(const lun_dense *j, int image, int64_t len) {
  int groups = j->n / SEVERAL > 1 ? j->n / SEVERAL : 1;
  return (share){image / SEVERAL * (ptrdiff_t)len / groups, VL / groups};
}

/* sum[r][b] += <w[r], x row b> over len inputs; one vector of partial sums for
** each, so that the grouping does not show.  w[8], w[9] ... are prefetched. */
INLINE void dots(int rows, int images, const float *const *w, int64_t in,
                 const float *x, int len, float *sum, share prefetch) {
  vec s[8][SEVERAL];
  ptrdiff_t ask = prefetch.from;
  int i = 0;
  UNROLLED(int r = 0; r < rows; r++)
  UNROLLED(int b = 0; b < images; b++) s[r][b] = (vec){0};
  for (; i + VL <= len; i += VL, ask += prefetch.step) {
    vec u[SEVERAL];
    UNROLLED(int b = 0; b < images; b++) u[b] = LOADU(x + b * in + i);
    UNROLLED(int r = 0; r < rows; r++) {
      vec v = LOADU(w[r] + i);
      __builtin_prefetch(w[8 + r] + ask, 0, 2);
      UNROLLED(int b = 0; b < images; b++) s[r][b] += v * u[b];
    }
  }
  for (int r = 0; r < rows; r++)
    for (int b = 0; b < images; b++) {
      if (i < len) {
        s[r][b] +=
            load_part(w[r] + i, len - i) * load_part(x + b * in + i, len - i);
      }
      sum[r * SEVERAL + b] += total(s[r][b]);
    }
}

/* Weights w[r], 8 rows (or fewer), all images, one segment; sums go to row[r] of
** y. */
INLINE void rows_segment(const lun_dense *j, const float *const *w,
                         const int64_t *row, int rows, int64_t i0, int len) {
  const float *x = j->x + i0;
  float sum[8 * SEVERAL];
  for (int b = 0, m; b < j->n; b += m) {
    m = j->n - b >= SEVERAL ? SEVERAL : 1;
    share prefetch = share_of(j, b, len);
    float *y = j->y + b * j->out;
    for (int r = 0; r < rows; r++)
      for (int q = 0; q < m; q++) {
        sum[r * SEVERAL + q] = i0 ? y[q * j->out + row[r]] : 0.0f;
      }
    const float *xb = x + b * j->in;
    if (m > 1 && rows == 8) {
      dots(4, SEVERAL, w, j->in, xb, len, sum, prefetch);
      dots(4, SEVERAL, w + 4, j->in, xb, len, sum + 4 * SEVERAL, prefetch);
    } else if (rows == 8) {
      dots(8, 1, w, j->in, xb, len, sum, prefetch);
    } else {
      for (int r = 0; r < rows; r++)
        for (int q = 0; q < m; q++) {
          dots(1, 1, w + r, j->in, xb + q * j->in, len, sum + r * SEVERAL + q,
               prefetch);
        }
    }
    for (int r = 0; r < rows; r++)
      for (int q = 0; q < m; q++) y[q * j->out + row[r]] = sum[r * SEVERAL + q];
  }
}

/* The epilogue of output o of image b. */
INLINE float dense_epilogue(const lun_dense *j, int b, int64_t o, float y) {
  if (j->epilogue.bias) y += j->epilogue.bias[o];
  if (j->epilogue.function && y < 0) return 0.0f; /* NaN stays */
  if (!j->epilogue.gate) return y;
  return lun_gate_at(j->epilogue.gate, (j->row0 + b) * j->out + o, y);
}

/* The row of w that is the nth of those that matter, or the last of them. */
INLINE int64_t row_of(const lun_dense *j, int64_t n) {
  if (n >= j->rows) n = j->rows - 1;
  return j->live ? j->live[n] : n;
}

static void dense_rows(const lun_dense *j, int64_t a, int64_t z) {
  for (; a < z; a += 8) {
    int rows = (int)(z - a < 8 ? z - a : 8);
    int64_t row[16];
    for (int r = 0; r < 16; r++) row[r] = row_of(j, a + r);
    for (int64_t i = 0; i < j->in; i += SEGMENT_IN) {
      int64_t len = j->in - i < SEGMENT_IN ? j->in - i : SEGMENT_IN;
      int more = i + len < j->in; /* of these rows, before the next ones */
      const float *w[16];
      for (int r = 0; r < 8; r++) {
        w[r] = j->w + row[r] * j->in + i;
        w[8 + r] = more ? w[r] + len : j->w + row[8 + r] * j->in;
      }
      rows_segment(j, w, row, rows, i, (int)len);
    }
    for (int b = 0; b < j->n; b++)
      for (int r = 0; r < rows; r++) {
        float *y = j->y + b * j->out + row[r];
        *y = dense_epilogue(j, b, row[r], j->in ? *y : 0.0f);
      }
  }
}

/* part[b] += sum over rows of d[r][b] * w[r], row after row; w[8], w[9] ...
** come next. */
INLINE void axpys(int rows, int images, const float *const *w, const float *d,
                  int64_t len, float *part, ptrdiff_t ps, share prefetch) {
  vec f[8][SEVERAL];
  int64_t i = 0;
  UNROLLED(int r = 0; r < rows; r++)
  UNROLLED(int b = 0; b < images; b++) f[r][b] = SPLAT(d[r * SEVERAL + b]);
  ptrdiff_t ask = prefetch.from;
  for (; i + VL <= len; i += VL, ask += prefetch.step) {
    vec s[SEVERAL];
    UNROLLED(int b = 0; b < images; b++) s[b] = LOADU(part + b * ps + i);
    UNROLLED(int r = 0; r < rows; r++) {
      vec v = LOADU(w[r] + i);
      __builtin_prefetch(w[8 + r] + ask, 0, 2);
      UNROLLED(int b = 0; b < images; b++) s[b] += f[r][b] * v;
    }
    UNROLLED(int b = 0; b < images; b++) STOREU(part + b * ps + i, s[b]);
  }
  if (i == len) return;
  int n = (int)(len - i);
  for (int b = 0; b < images; b++) {
    vec s = load_part(part + b * ps + i, n);
    UNROLLED(int r = 0; r < rows; r++) s += f[r][b] * load_part(w[r] + i, n);
    store_part(part + b * ps + i, s, n);
  }
}

/* Up to 8 rows from live[a] on; one that is missing at the end counts with the
** factor 0. */
static void dense_cols(const lun_dense *j, int segment, int64_t o0, int64_t o1,
                       float *part, int64_t ps) {
  int64_t a = j->first[segment], z = j->first[segment + 1], len = o1 - o0;
  for (int b = 0; b < j->n; b++) {
    memset(part + b * ps, 0, (size_t)len * sizeof *part);
  }
  for (; a < z; a += 8) {
    const float *w[16];
    for (int r = 0; r < 16; r++) {
      w[r] = j->w + j->live[a + r < z ? a + r : z - 1] * j->out + o0;
    }
    for (int b = 0, m; b < j->n; b += m) {
      m = j->n - b >= SEVERAL ? SEVERAL : 1;
      float d[8 * SEVERAL];
      for (int r = 0; r < 8; r++)
        for (int q = 0; q < m; q++) {
          d[r * SEVERAL + q] =
              a + r < z ? j->x[(b + q) * j->in + j->live[a + r]] : 0.0f;
        }
      float *to = part + b * ps;
      share prefetch = share_of(j, b, len);
      if (m > 1) {
        axpys(4, SEVERAL, w, d, len, to, ps, prefetch);
        axpys(4, SEVERAL, w + 4, d + 4 * SEVERAL, len, to, ps, prefetch);
      } else {
        axpys(8, 1, w, d, len, to, ps, prefetch);
      }
    }
  }
}
