/*
** simd_product.h - the part of simd.c that multiplies: some rows of A by a panel of
** B, as many sums at once as the registers hold.
*/

/* Memory that is prefetched during a product: `step` bytes with every row of B,
** starting again `jump` bytes further every 2^shift rows.  Each group of rows of A
** prefetches what lies `part` bytes after the last group's. */
typedef struct row_prefetch {
  const char *from;
  int shift;
  ptrdiff_t step, jump, part;
} row_prefetch;

/*
** M[i][0 .. nv*VL) = (add ? M : 0) + sum over c of A[i][c] B[c][...], n rows.
** Row c of B begins at b + c*bs and A[i][c] is a[i*as + c]; where there is a table they
** are at b + at[c].b and a[i*as + at[c].a].
** Every sum is one chain of fused multiply-adds in the order of c, whatever
** n: results do not depend on how rows are grouped.  Meanwhile `depth` cache
** lines from `ahead` on are prefetched, the operand of the next product, and
** `prefetch`.
*/
typedef struct operands {
  const float *a, *b;
  ptrdiff_t as, bs, ms;
  const lun_place *at;
  float *m;
  int depth, add;
  const float *ahead; /* NULL: the rows of A after these */
  row_prefetch prefetch;
} operands;

INLINE void kernel(int n, int nv, int table, const operands *o) {
  const float *a = o->a, *b = o->b;
  const ptrdiff_t as = o->as, bs = o->bs, ms = o->ms;
  const lun_place *at = o->at;
  const int depth = o->depth, add = o->add;
  const float *ahead = o->ahead ? o->ahead : a + n * as;
  const ptrdiff_t step = o->prefetch.step, jump = o->prefetch.jump;
  const char *prefetch = o->prefetch.from;
  float *m = o->m;
  vec s[ROWS][VECS], u[VECS];
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < nv; v++)
  s[i][v] = add ? LOADU(m + i * ms + v * VL) : (vec){0};
  for (int c0 = 0, end; c0 < depth; c0 = end, prefetch += jump) {
    const char *p = prefetch;
    end = table ? depth : mini(depth, c0 + (1 << o->prefetch.shift));
    UNROLL4(int c = c0; c < end; c++) {
      const float *r = b + (table ? at[c].b : c * bs);
      const float *factor = a + (table ? at[c].a : c);
      UNROLLED(int v = 0; v < nv; v++) u[v] = LOADU(r + v * VL);
      if (!table) {
        __builtin_prefetch(ahead + c * LINE, 0, 2);
        __builtin_prefetch(p, 0, 2);
        p += step;
      }
      UNROLLED(int i = 0; i < n; i++) {
        vec t = SPLAT(factor[i * as]);
        UNROLLED(int v = 0; v < nv; v++) s[i][v] += t * u[v];
      }
    }
  }
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < nv; v++) STOREU(m + i * ms + v * VL, s[i][v]);
}

/* The same of up to LUN_WIDE_ROWS rows and two panels, through a table: so few rows of
** one panel are too few sums at once, each of which waits for the last. */
INLINE void wide_kernel(int n, const operands *o) {
  const float *a = o->a, *b = o->b;
  float *m = o->m;
  vec s[LUN_WIDE_ROWS][2 * VECS], t[LUN_WIDE_ROWS];
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < 2 * VECS; v++)
  s[i][v] = o->add ? LOADU(m + i * o->ms + v * VL) : (vec){0};
  for (int c = 0; c < o->depth; c++) {
    const float *r = b + o->at[c].b, *factor = a + o->at[c].a;
    UNROLLED(int i = 0; i < n; i++) t[i] = SPLAT(factor[i * o->as]);
    UNROLLED(int v = 0; v < 2 * VECS; v++) {
      vec u = LOADU(r + v * VL);
      UNROLLED(int i = 0; i < n; i++) s[i][v] += t[i] * u;
    }
  }
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < 2 * VECS; v++)
  STOREU(m + i * o->ms + v * VL, s[i][v]);
}

static void wide_product(int rows, const operands *o) {
  if (rows == 1)
    wide_kernel(1, o);
  else if (rows == 2)
    wide_kernel(2, o);
  else
    wide_kernel(3, o);
}

typedef void kernel_fn(const operands *);
#define HALF (VECS > 1 ? VECS / 2 : 1)

/* x(n, ...) for every number of rows that a kernel may have. */
#if defined __AVX512F__
#define EACH_ROWS(x, ...)                                                      \
  x(1, __VA_ARGS__) x(2, __VA_ARGS__) x(3, __VA_ARGS__) x(4, __VA_ARGS__)      \
      x(5, __VA_ARGS__) x(6, __VA_ARGS__) x(7, __VA_ARGS__) x(8, __VA_ARGS__)  \
          x(9, __VA_ARGS__) x(10, __VA_ARGS__) x(11, __VA_ARGS__)              \
              x(12, __VA_ARGS__) x(13, __VA_ARGS__) x(14, __VA_ARGS__)
#elif defined __AVX__ || defined __aarch64__
#define EACH_ROWS(x, ...)                                                      \
  x(1, __VA_ARGS__) x(2, __VA_ARGS__) x(3, __VA_ARGS__) x(4, __VA_ARGS__)      \
      x(5, __VA_ARGS__) x(6, __VA_ARGS__)
#else
#define EACH_ROWS(x, ...) x(1, __VA_ARGS__) x(2, __VA_ARGS__)
#endif
#define NAMED(n, name) name##n,
#define ALL(name)                                                              \
  { EACH_ROWS(NAMED, name) }

#define PRODUCT(n, name, nv, table)                                            \
  static void name##n(const operands *o) { kernel(n, nv, table, o); }
EACH_ROWS(PRODUCT, full, VECS, 0)
EACH_ROWS(PRODUCT, half, HALF, 0)
EACH_ROWS(PRODUCT, full_at, VECS, 1)
EACH_ROWS(PRODUCT, half_at, HALF, 1)

/* [table?][half of the panel only?][rows - 1] */
static kernel_fn *const kernels[2][2][ROWS] = {
    {ALL(full), ALL(half)},
    {ALL(full_at), ALL(half_at)},
};

/* The same for any number of rows, in groups of nearly equal size; nk is how
** many of the panel's columns matter. */
INLINE void product(int rows, int nk, operands o) {
  int half = nk <= HALF * VL;
  kernel_fn *const *k = kernels[o.at != NULL][half];
  for (int g = (rows + ROWS - 1) / ROWS, n; g > 0; g--, rows -= n) {
    n = (rows + g - 1) / g;
    k[n - 1](&o);
    o.a += n * o.as;
    o.m += n * o.ms;
    if (o.ahead) o.ahead += o.depth * LINE;
    o.prefetch.from += o.prefetch.part;
  }
}
