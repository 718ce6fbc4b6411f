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
INLINE void places_kernel(int n, int nv, int turned, int pack,
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
      vec t = SPLAT(turned ? w[i] : w[i * ws]);
      UNROLLED(int v = 0; v < nv; v++) s[i][v] += t * u[v];
    }
    x += pack ? xs : (ptrdiff_t)PW;
    w += turned ? n : 1;
  }
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < nv; v++) STOREU(y + i * ys + v * VL, s[i][v]);
}

typedef void places_fn(const places *);
#define PLACES(n, name, nv, turned, pack)                                      \
  static void name##n(const places *o) {                                       \
    places_kernel(n, nv, turned, pack, o);                                     \
  }
EACH_ROWS(PLACES, pack, VECS, 0, 1)
EACH_ROWS(PLACES, packed, VECS, 0, 0)
EACH_ROWS(PLACES, few, HALF, 0, 0)
EACH_ROWS(PLACES, pack_turned, VECS, 1, 1)
EACH_ROWS(PLACES, packed_turned, VECS, 1, 0)
EACH_ROWS(PLACES, few_turned, HALF, 1, 0)

enum {
  WHOLE = (ROWS + VL - 1) / VL * VL
}; /* whole vectors of a group of outputs */

/* [turned?][pack, packed, packed and half of the panel only][rows - 1] */
enum { PACK, PACKED, FEW };
static places_fn *const places_kernels[2][3][ROWS] = {
    {ALL(pack), ALL(packed), ALL(few)},
    {ALL(pack_turned), ALL(packed_turned), ALL(few_turned)},
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
  places_kernels[p->turned][n <= HALF * VL ? FEW : PACKED][rows - 1](&o);
  for (int i = 0; i < rows; i++) UNROLLED(int v = 0; v < VECS; v++)
  store_upto(y + i * ys + v * VL, rest[i][v], n - v * VL);
}

/* What follows the sums of np places from `at` on, of the outputs i0 .. i0+n-1. */
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
** through all panels, so that it writes long pieces of rows and its weights are near. */
static void block_of_places(const lun_pointwise *p, int at, int np, int ends) {
  int rows = p->rows, i0 = 0;
  const float *w = p->w;
  for (int g = (rows + ROWS - 1) / ROWS, n; g > 0; g--, rows -= n, i0 += n) {
    n = (rows + g - 1) / g;
    for (int u = 0; u < np; u += PW) {
      places o = {.w = w,
                  .x = p->x + at + u,
                  .panel = p->panel + (ptrdiff_t)u * p->depth,
                  .y = p->y + i0 * p->ys + at + u,
                  .ws = p->ws,
                  .xs = p->xs,
                  .ys = p->ys,
                  .depth = p->depth,
                  .add = !p->first};
      if (np - u < PW) {
        some_places(p, o, n, np - u, i0 == 0);
        continue;
      }
      if (i0 > 0) o.x = o.panel;
      places_kernels[p->turned][i0 == 0 ? PACK : PACKED][n - 1](&o);
    }
    w += p->turned ? (ptrdiff_t)n * p->depth + LUN_GAP : n * p->ws;
    if (ends) finish_places(p, i0, n, at, np);
  }
}

/* Turned weights as the kernels read them: of each group of n outputs, n side by side
** for every channel.  A few channels at a time, so that a line of theirs is fetched
** once for all groups, and the next ones are asked for.  Whole vectors are copied where
** the rows that follow are long enough for what is too much of one; it is overwritten,
** or lies in the gap behind the group. */
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

static void pointwise(const lun_pointwise *p) {
  const lun_epilogue *e = p->epilogue;
  lun_pointwise turned = *p;
  int ends =
      p->last && (any_mode_of(e) != BIAS || e->bias || e->scale || e->add);
  int panels = LUN_PACKED / (PW * p->depth), block = (panels ? panels : 1) * PW;
  if (p->turned) {
    pack_weights(p, p->weights);
    turned.w = p->weights;
  }
  for (int at = 0; at < p->np; at += block)
    block_of_places(&turned, at, mini(block, p->np - at), ends);
}
