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
#define PLACES(n)                                                              \
  static void pack##n(const places *o) {                                       \
    places_kernel(n <= ROWS ? n : ROWS, VECS, 0, 1, o);                        \
  }                                                                            \
  static void packed##n(const places *o) {                                     \
    places_kernel(n <= ROWS ? n : ROWS, VECS, 0, 0, o);                        \
  }                                                                            \
  static void few##n(const places *o) {                                        \
    places_kernel(n <= ROWS ? n : ROWS, HALF, 0, 0, o);                        \
  }                                                                            \
  static void pack_turned##n(const places *o) {                                \
    places_kernel(n <= ROWS ? n : ROWS, VECS, 1, 1, o);                        \
  }                                                                            \
  static void packed_turned##n(const places *o) {                              \
    places_kernel(n <= ROWS ? n : ROWS, VECS, 1, 0, o);                        \
  }                                                                            \
  static void few_turned##n(const places *o) {                                 \
    places_kernel(n <= ROWS ? n : ROWS, HALF, 1, 0, o);                        \
  }
PLACES(1)
PLACES(2)
#if defined __AVX__ || defined __aarch64__
PLACES(3)
PLACES(4)
PLACES(5)
PLACES(6)
#endif
#if defined __AVX512F__
PLACES(7)
PLACES(8)
PLACES(9)
PLACES(10)
PLACES(11)
PLACES(12)
PLACES(13)
PLACES(14)
#endif

enum {
  WHOLE = (ROWS + VL - 1) / VL * VL
}; /* whole vectors of a group of outputs */

/* [turned?][pack, packed, packed and half of the panel only][rows - 1] */
enum { PACK, PACKED, FEW };
static places_fn *const places_kernels[2][3][ROWS] = {
    {ALL(pack), ALL(packed), ALL(few)},
    {ALL(pack_turned), ALL(packed_turned), ALL(few_turned)},
};

/* The epilogue of n rows of a panel, in place, from output i0 and place `at` on. */
INLINE void finish_panel(enum mode mode, const lun_pointwise *p, int i0, int n,
                         int at) {
  for (int i = i0; i < i0 + n; i++) {
    finish f = finish_of(p->epilogue, i);
    ptrdiff_t row = i * p->ys + at;
    UNROLLED(int v = 0; v < PW; v += VL) {
      vec g = is_gate(mode) ? LOADU(p->gate_y + row + v) : (vec){0};
      vec a = f.adds ? LOADU(p->add + row + v) : (vec){0};
      STOREU(p->y + row + v, finished(mode, &f, LOADU(p->y + row + v), g, a));
    }
  }
}

/* All rows of one panel, in groups of nearly equal size; at: its first place, if the
** epilogue follows, else -1. */
INLINE void panel_rows(const lun_pointwise *p, enum mode mode, int fn, places o,
                       int at) {
  int rows = p->rows, i0 = 0;
  for (int g = (rows + ROWS - 1) / ROWS, n; g > 0; g--, rows -= n, i0 += n) {
    n = (rows + g - 1) / g;
    places_kernels[p->turned][fn][n - 1](&o);
    if (at >= 0) {
      FOR_ANY_MODE(mode, finish_panel, p, i0, n, at)
    }
    if (fn == PACK) {
      fn = PACKED;
      o.x = o.panel;
    }
    o.w += n * (p->turned ? (ptrdiff_t)p->depth : p->ws);
    o.y += n * o.ys;
  }
}

/* The last places, of which there are n < PW: packed here, summed in `rest`. */
static void rest_of_places(const lun_pointwise *p, int from, int n) {
  places o = {.w = p->w,
              .x = p->panel,
              .y = p->rest,
              .ws = p->ws,
              .ys = PW,
              .depth = p->depth,
              .add = !p->first};
  for (int c = 0; c < p->depth; c++) {
    const float *x = p->x + c * p->xs + from;
    float *to = p->panel + (ptrdiff_t)c * PW;
    UNROLLED(int v = 0; v < VECS; v++)
    STORE(to + v * VL, n > v * VL ? load_n(x + v * VL, n - v * VL) : (vec){0});
  }
  panel_rows(p, BIAS, n <= HALF * VL ? FEW : PACKED, o, -1);
  for (int i = 0; p->last && i < p->rows; i++) {
    ptrdiff_t row = i * p->ys + from;
    lun_epilogue e = *p->epilogue;
    lun_gate g = {e.gate ? e.gate->slope : (lun_slopes){0}, NULL, n};
    if (e.gate) {
      g.y = p->gate_y + row;
      e.gate = &g;
    }
    e.add = p->add ? p->add + row : NULL;
    epilogue_row(&e, p->y + row, 0, n, p->rest + (ptrdiff_t)i * PW, i);
  }
}

/* Turned weights as the kernels read them: of each group of n outputs, n side by side
** for every channel.  Whole vectors are copied where the rows that follow are long
** enough for what is too much of one; it is overwritten. */
static void pack_weights(const lun_pointwise *p, float *to) {
  int rows = p->rows;
  const float *w = p->w;
  for (int g = (rows + ROWS - 1) / ROWS, n; g > 0; g--, rows -= n, w += n) {
    n = (rows + g - 1) / g;
    int whole = p->depth - (int)((WHOLE - n + p->ws - 1) / p->ws);
    for (int c = 0; c < p->depth; c++, to += n) {
      const float *from = w + c * p->ws;
      if (c < whole) {
        UNROLLED(int v = 0; v < WHOLE; v += VL)
        STOREU(to + v, LOADU(from + v));
      } else {
        for (int i = 0; i < n; i++) to[i] = from[i];
      }
    }
  }
}

static void pointwise(const lun_pointwise *whole) {
  const lun_epilogue *e = whole->epilogue;
  enum mode mode = any_mode_of(e);
  lun_pointwise turned = *whole;
  const lun_pointwise *p = &turned;
  int at = 0;
  if (p->turned) {
    pack_weights(whole, whole->weights);
    turned.w = whole->weights;
  }
  int ends = p->last && (mode != BIAS || e->bias || e->scale || e->add);
  for (; at + PW <= p->np; at += PW) {
    places o = {.w = p->w,
                .x = p->x + at,
                .panel = p->panel,
                .y = p->y + at,
                .ws = p->ws,
                .xs = p->xs,
                .ys = p->ys,
                .depth = p->depth,
                .add = !p->first};
    panel_rows(p, mode, PACK, o, ends ? at : -1);
  }
  if (at < p->np) rest_of_places(p, at, p->np - at);
}
