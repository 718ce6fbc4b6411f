/*
** simd_pointwise.h - the part of simd.c for 1x1 convolutions: rows of weights times
** planes that lie where they are.
**
** A panel of places is read with the steps of its planes once, by the first group of
** outputs, which leaves it behind packed for the others.
*/

typedef struct places {
  const float *w, *x; /* x: packed, or planes xs apart */
  float *panel, *y;   /* panel: where x is packed to */
  ptrdiff_t ws, xs, ys;
  int depth, add;
} places;

/* y[i][0 .. nv*VL) = (add ? y : 0) + sum over c of W[i][c] x[c][...], i < n: one chain
** of fused multiply-adds each.  pack: x is copied to the panel meanwhile, and the next
** panel of the planes asked for; else it is the panel. */
INLINE void places_kernel(int n, int nv, int transposed, int pack,
                          const places *o) {
  const float *w = o->w, *x = o->x;
  float *panel = o->panel, *y = o->y;
  const ptrdiff_t ws = o->ws, xs = o->xs, ys = o->ys;
  const int depth = o->depth, add = o->add;
  vec s[ROWS][VECS], u[VECS];
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < nv; v++)
  s[i][v] = add ? LOADU(y + i * ys + v * VL) : (vec){0};
  UNROLL4(int c = 0; c < depth; c++) {
    UNROLLED(int v = 0; v < nv; v++) u[v] = LOADU(x + v * VL);
    if (pack) {
      __builtin_prefetch(x + PW, 0, 2);
      UNROLLED(int v = 0; v < nv; v++) STORE(panel + v * VL, u[v]);
      panel += PW;
    }
    UNROLLED(int i = 0; i < n; i++) {
      vec t = SPLAT(transposed ? w[i] : w[i * ws]);
      UNROLLED(int v = 0; v < nv; v++) s[i][v] += t * u[v];
    }
    x += pack ? xs : (ptrdiff_t)PW;
    w += transposed ? n : 1;
  }
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < nv; v++) STOREU(y + i * ys + v * VL, s[i][v]);
}

typedef void places_fn(const places *);
#define PLACES(n, name, nv, transposed, pack)                                  \
  static void name##n(const places *o) {                                       \
    places_kernel(n, nv, transposed, pack, o);                                 \
  }
EACH_ROWS(PLACES, pack, VECS, 0, 1)
EACH_ROWS(PLACES, packed, VECS, 0, 0)
EACH_ROWS(PLACES, few, HALF, 0, 0)
EACH_ROWS(PLACES, pack_transposed, VECS, 1, 1)
EACH_ROWS(PLACES, packed_transposed, VECS, 1, 0)
EACH_ROWS(PLACES, few_transposed, HALF, 1, 0)

enum {
  WHOLE = (ROWS + VL - 1) / VL * VL
}; /* whole vectors of a group of outputs */

/* [transposed?][pack, packed, packed and half of the panel only][rows - 1] */
enum { PACK, PACKED, FEW };
static places_fn *const places_kernels[2][3][ROWS] = {
    {ALL(pack), ALL(packed), ALL(few)},
    {ALL(pack_transposed), ALL(packed_transposed), ALL(few_transposed)},
};

/* A panel of n < PW places, packed here for the first group of outputs; its sums are
** made in `rest`. */
static void some_places(const lun_pointwise *p, places o, int rows, int n,
                        int first) {
  vec rest[ROWS][VECS];
  float *y = o.y;
  ptrdiff_t ys = o.ys;
  for (int c = 0; first && c < p->depth; c++) UNROLLED(int v = 0; v < VECS; v++)
  STORE(o.panel + c * PW + v * VL,
        load_upto(o.x + c * o.xs + v * VL, n - v * VL));
  for (int i = 0; o.add && i < rows; i++) UNROLLED(int v = 0; v < VECS; v++)
  rest[i][v] = load_upto(y + i * ys + v * VL, n - v * VL);
  o.x = o.panel;
  o.y = (float *)rest;
  o.ys = PW;
  places_kernels[p->transposed][n <= HALF * VL ? FEW : PACKED][rows - 1](&o);
  for (int i = 0; i < rows; i++) UNROLLED(int v = 0; v < VECS; v++)
  store_upto(y + i * ys + v * VL, rest[i][v], n - v * VL);
}

#if defined __AVX512F__
/* ---- three vectors of places, and half a one ---------------------------- */

/*
** 49 places are three vectors and one place. Two panels of two vectors would be a
** quarter empty; so the last panel has three vectors where there are as many, half the
** outputs at a time, and up to eight places behind them are half a vector.
*/
enum { WIDE = 3 * VL, WIDE_ROWS = 7, SOME = VL / 2 };

/* `panel` has WIDE places a channel; a group's transposed weights are wn apart. */
INLINE void wide_places(int n, int transposed, int wn, const places *o) {
  const float *w = o->w, *x = o->x;
  float *y = o->y;
  const ptrdiff_t ws = o->ws, ys = o->ys;
  vec s[WIDE_ROWS][3], u[3];
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < 3; v++)
  s[i][v] = o->add ? LOADU(y + i * ys + v * VL) : (vec){0};
  for (int c = 0; c < o->depth; c++, x += WIDE, w += transposed ? wn : 1) {
    UNROLLED(int v = 0; v < 3; v++) u[v] = LOADU(x + v * VL);
    UNROLLED(int i = 0; i < n; i++) {
      vec t = SPLAT(transposed ? w[i] : w[i * ws]);
      UNROLLED(int v = 0; v < 3; v++) s[i][v] += t * u[v];
    }
  }
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < 3; v++) STOREU(y + i * ys + v * VL, s[i][v]);
}

typedef void wide_places_fn(int wn, const places *);
#define WIDE_PLACES(n, name, transposed)                                       \
  static void name##n(int wn, const places *o) {                               \
    wide_places(n, transposed, wn, o);                                         \
  }
#define EACH_WIDE(x, ...)                                                      \
  x(1, __VA_ARGS__) x(2, __VA_ARGS__) x(3, __VA_ARGS__) x(4, __VA_ARGS__)      \
      x(5, __VA_ARGS__) x(6, __VA_ARGS__) x(7, __VA_ARGS__)
EACH_WIDE(WIDE_PLACES, wide, 0)
EACH_WIDE(WIDE_PLACES, wide_transposed, 1)
static wide_places_fn *const wide_places_kernels[2][WIDE_ROWS] = {
    {EACH_WIDE(NAMED, wide)}, {EACH_WIDE(NAMED, wide_transposed)}};

/* x and y have SOME places a channel and a row. */
INLINE void half_places(int n, int transposed, const places *o) {
  const float *w = o->w, *x = o->x;
  half_vec s[ROWS];
  UNROLLED(int i = 0; i < n; i++)
  s[i] = o->add ? *(const half_vec *)(o->y + i * SOME) : (half_vec){0};
  UNROLL4(int c = 0; c < o->depth; c++) {
    half_vec u = *(const half_vec *)x;
    UNROLLED(int i = 0; i < n; i++)
    s[i] += ((transposed ? w[i] : w[i * o->ws]) - (half_vec){0}) * u;
    x += SOME;
    w += transposed ? n : 1;
  }
  UNROLLED(int i = 0; i < n; i++) * (half_vec *)(o->y + i * SOME) = s[i];
}

#define HALF_PLACES(n, name, transposed)                                       \
  static void name##n(const places *o) { half_places(n, transposed, o); }
EACH_ROWS(HALF_PLACES, halves, 0)
EACH_ROWS(HALF_PLACES, halves_transposed, 1)
static places_fn *const half_places_kernels[2][ROWS] = {ALL(halves),
                                                        ALL(halves_transposed)};

/* Packs n <= `width` places of every channel. */
static void pack_places(const places *o, int depth, int n, int width) {
  for (int c = 0; c < depth; c++)
    for (int v = 0; v < width; v += VL)
      store_n(o->panel + c * width + v, load_upto(o->x + c * o->xs + v, n - v),
              mini(VL, width - v));
}

/* WIDE places of a group of outputs. */
static void three_vectors(const lun_pointwise *p, places o, int rows,
                          int first) {
  int half = (rows + 1) / 2;
  if (first) pack_places(&o, p->depth, WIDE, WIDE);
  o.x = o.panel;
  wide_places_kernels[p->transposed][half - 1](rows, &o);
  if (rows == half) return;
  o.w += p->transposed ? half : half * o.ws;
  o.y += half * o.ys;
  wide_places_kernels[p->transposed][rows - half - 1](rows, &o);
}

/* n <= SOME places of a group of outputs. */
static void half_vector(const lun_pointwise *p, places o, int rows, int n,
                        int first) {
  float rest[ROWS * SOME] __attribute__((aligned(32)));
  float *y = o.y;
  if (first) pack_places(&o, p->depth, n, SOME);
  for (int i = 0; o.add && i < rows; i++)
    store_n(rest + i * SOME, load_part(y + i * o.ys, n), SOME);
  o.x = o.panel;
  o.y = rest;
  half_places_kernels[p->transposed][rows - 1](&o);
  for (int i = 0; i < rows; i++)
    store_part(y + i * o.ys, load_part(rest + i * SOME, n), n);
}

/* Computes the last np places of a group if they are three vectors (and perhaps a half)
** or half a vector; returns how many of them it computed. */
static int odd_places(const lun_pointwise *p, places o, int rows, int np,
                      int first) {
  if (np >= WIDE && np <= WIDE + SOME) {
    three_vectors(p, o, rows, first);
    return WIDE;
  }
  if (np > SOME) return 0;
  half_vector(p, o, rows, np, first);
  return np;
}
#else
static int odd_places(const lun_pointwise *p, places o, int rows, int np,
                      int first) {
  (void)p, (void)o, (void)rows, (void)np, (void)first;
  return 0;
}
#endif

/* Applies the epilogue to np places from `at` on of the outputs i0 .. i0+n-1. */
static void finish_places(const lun_pointwise *p, int i0, int n, int at,
                          int np) {
  const lun_epilogue *e = p->epilogue;
  for (int i = i0; i < i0 + n; i++) {
    ptrdiff_t row = i * p->ys + at;
    const float *gate_y = e->gate ? p->gate_y + row : NULL;
    const float *add = p->add ? p->add + row : NULL;
    finish f = finish_of(e, i);
    FOR_ANY_MODE(any_mode_of(e), epilogue_span, &f, gate_y, add, np, p->y + row,
                 p->y + row)
  }
}

/* np places from `at` on: outputs in groups of nearly equal size, each of which goes
** through all panels, so that it writes long pieces of rows and its weights are near.
** */
static void block_of_places(const lun_pointwise *p, int at, int np, int ends) {
  int rows = p->rows, i0 = 0;
  const float *w = p->w;
  for (int g = (rows + ROWS - 1) / ROWS, n; g > 0; g--, rows -= n, i0 += n) {
    n = (rows + g - 1) / g;
    for (int u = 0, done; u < np; u += done) {
      places o = {.w = w,
                  .x = p->x + at + u,
                  .panel = p->panel + (ptrdiff_t)u * p->depth,
                  .y = p->y + i0 * p->ys + at + u,
                  .ws = p->ws,
                  .xs = p->xs,
                  .ys = p->ys,
                  .depth = p->depth,
                  .add = !p->first};
      done = odd_places(p, o, n, np - u, i0 == 0);
      if (done) continue;
      done = PW;
      if (np - u < PW) {
        some_places(p, o, n, np - u, i0 == 0);
        continue;
      }
      if (i0 > 0) o.x = o.panel;
      places_kernels[p->transposed][i0 == 0 ? PACK : PACKED][n - 1](&o);
    }
    w += p->transposed ? (ptrdiff_t)n * p->depth + LUN_GAP : n * p->ws;
    if (ends) finish_places(p, i0, n, at, np);
  }
}

/* Transposed weights as the kernels read them: of each group of n outputs, n side by
** side for every channel.  A few channels at a time, so that a line of theirs is
** fetched once for all groups, and the next ones are asked for.  Whole vectors are
** copied where the rows that follow are long enough for what is too much of one; it is
** overwritten, or lies in the gap behind the group. */
static void pack_weights(const lun_pointwise *p, float *to) {
  enum { CHANNELS = 8 };
  int all = (p->rows + ROWS - 1) / ROWS, least = p->rows / all;
  int whole = p->depth - (int)((WHOLE - least + p->ws - 1) / p->ws);
  for (int c0 = 0; c0 < p->depth; c0 += CHANNELS) {
    int end = mini(p->depth, c0 + CHANNELS), rows = p->rows;
    const float *w = p->w;
    float *group = to;
    for (int g = all, n; g > 0; g--, rows -= n, w += n) {
      n = (rows + g - 1) / g;
      for (int c = c0; c < end; c++) {
        const float *from = w + c * p->ws;
        float *out = group + (ptrdiff_t)c * n;
        __builtin_prefetch(from + CHANNELS * p->ws, 0, 2);
        if (c < whole) {
          UNROLLED(int v = 0; v < WHOLE; v += VL)
          STOREU(out + v, LOADU(from + v));
        } else {
          for (int i = 0; i < n; i++) out[i] = from[i];
        }
      }
      group += (ptrdiff_t)n * p->depth + LUN_GAP;
    }
  }
}

/* Copies rows of weights whose distance maps them to one set of the first-level cache
** to rows with a gap between them. */
static void part_weights(const lun_pointwise *p, float *to) {
  for (int i = 0; i < p->rows; i++, to += LUN_DEPTH + LUN_GAP)
    memcpy(to, p->w + i * p->ws, (size_t)p->depth * sizeof *to);
}

static void pointwise(const lun_pointwise *p) {
  const lun_epilogue *e = p->epilogue;
  lun_pointwise transposed = *p;
  int ends =
      p->last && (any_mode_of(e) != BIAS || e->bias || e->scale || e->add);
  int panels = LUN_PACKED / (PW * p->depth), block = (panels ? panels : 1) * PW;
  if (p->transposed) {
    pack_weights(p, p->weights);
    transposed.w = p->weights;
  } else if (lun_pointwise_copies(p->transposed, p->ws, PW)) {
    part_weights(p, p->weights);
    transposed.w = p->weights;
    transposed.ws = LUN_DEPTH + LUN_GAP;
  }
  for (int at = 0; at < p->np; at += block)
    block_of_places(&transposed, at, mini(block, p->np - at), ends);
}
