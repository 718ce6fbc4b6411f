/*
** simd_wino.h - the part of simd.c that transforms: Winograd's F(4x4,3x3)
** (Lavin and Gray 2016) with the points 0, +-sqrt(1/2), +-sqrt(2), infinity,
** whose rounding error is a third of that of 0, +-1, +-2.
**
**   Y = A' [ (G g G') o (B' d B) ] A      d 6x6 input, g 3x3 kernel, Y 4x4
**
** With r = sqrt(1/2):
**
**   B' = 1   0  -5/2   0    1  0    G = 1     0      0
**        0   2r   2   -r   -1  0        2/3   2r/3   1/3
**        0  -2r   2    r   -1  0        2/3  -2r/3   1/3
**        0   -r -1/2  2r    1  0        1/6   r/3    1/3
**        0    r -1/2 -2r    1  0        1/6  -r/3    1/3
**        0   1    0  -5/2   0  1        0     0      1
**
**   A' = 1  1    1    1    1   0
**        0  r   -r   2r  -2r   0
**        0 1/2  1/2   2    2   0
**        0 r/2 -r/2  4r  -4r   1
**
** Where a tile holds two outputs or one of a direction, F(2,3) with the points
** 0, +-sqrt(1/2), infinity does: it shares G with the above, where it lacks two
** rows, and has
**
**   B' = 1   0  -2   0     A' = 1  1  1  0
**        0 3/2r 3/2  0          0  r -r  1
**        0 -3/2r 3/2 0
**        0 -1/2  0   1
**
** For three outputs the points without infinity do: the same matrices without
** their last rows.
**
** Planar rows of 16 channels are transposed to [pixel][16], so that vectors
** run over channels; what lies outside the picture becomes 0 on the way.  No
** more than eight planes at a time: those of 224x224 lie 49 pages apart, so the
** same place of all of them falls into one set of the first-level cache.
*/

#define R 0.70710678118654752f

/* Tiles transformed together: 58 input columns, within four vectors of 16. */
enum { SEGMENT = 14, PITCH = 64 };

INLINE void in4(const vec *d, vec *r) {
  vec e = 2 * d[2] - d[4], o = 2 * d[1] - d[3];
  vec f = d[4] - 0.5f * d[2], p = 2 * d[3] - d[1];
  r[0] = d[0] - 2.5f * d[2] + d[4];
  r[1] = e + R * o;
  r[2] = e - R * o;
  r[3] = f + R * p;
  r[4] = f - R * p;
  r[5] = d[1] - 2.5f * d[3] + d[5];
}

INLINE void out4(const vec *m, vec *y) {
  vec p = m[1] + m[2], q = m[1] - m[2], s = m[3] + m[4], t = m[3] - m[4];
  y[0] = m[0] + p + s;
  y[1] = R * q + (2 * R) * t;
  y[2] = 0.5f * p + 2 * s;
  y[3] = (0.5f * R) * q + (4 * R) * t + m[5];
}

/* The same of two outputs. */
INLINE void in2(const vec *d, vec *r) {
  vec e = 1.5f * d[2], o = (1.5f * R) * d[1];
  r[0] = d[0] - 2 * d[2];
  r[1] = e + o;
  r[2] = e - o;
  r[5] = d[3] - 0.5f * d[1];
}

INLINE void out2(const vec *m, vec *y) {
  y[0] = m[0] + m[1] + m[2];
  y[1] = R * (m[1] - m[2]) + m[5];
}

/* 1: frequency f of a direction is not dropped. */
INLINE int has_frequency(int drop, int f) { return ~drop >> f & 1; }

INLINE void weights6(const vec *g, vec *u) {
  vec e = (2 / 3.0f) * g[0] + (1 / 3.0f) * g[2], o = (2 * R / 3) * g[1];
  vec f = (1 / 6.0f) * g[0] + (1 / 3.0f) * g[2], p = (R / 3) * g[1];
  u[0] = g[0];
  u[1] = e + o;
  u[2] = e - o;
  u[3] = f + p;
  u[4] = f - p;
  u[5] = g[2];
}

/* ---- input -------------------------------------------------------------- */

/* PLANES channels' rows, VL pixels from p on, to to[pixel][BLOCK].  Only `have`
** of the channels exist. */
INLINE void transpose_in(const float *p, ptrdiff_t plane, int have, float *to) {
  vec r[PLANES];
  UNROLLED(int i = 0; i < PLANES; i++) {
    r[i] = i < have ? LOADU(p + i * plane) : (vec){0};
  }
  planes_to_pixels(r, to);
}

/* The same at the ends of the whole map, where a vector would reach beyond
** it: pixels from .. to-1 exist. */
static void transpose_in_checked(const float *p, ptrdiff_t plane, int have,
                                 int from, int to, float *out) {
  memset(out, 0, (size_t)PITCH * BLOCK * sizeof *out);
  for (int i = 0; i < have; i++)
    for (int x = from; x < to; x++) out[x * BLOCK + i] = p[i * plane + x];
}

/* One row of `np` pixels from column x on, 16 channels from c on; columns
** outside the map are 0. */
INLINE void row_in(const lun_wino *j, int n, int c, int y, int x, int np,
                   float *strip) {
  ptrdiff_t plane = (ptrdiff_t)j->h * j->w;
  ptrdiff_t at = ((ptrdiff_t)n * j->c + c) * plane + (ptrdiff_t)y * j->w + x;
  int have = mini(BLOCK, j->c - c);
  int from = x < 0 ? mini(-x, np) : 0, to = mini(np, j->w - x);
  const float *p = j->in + at;
  if (to < from) to = from;
  if (at < 0 || at + (have - 1) * plane + PITCH > plane * j->c * j->n) {
    transpose_in_checked(p, plane, have, from, to, strip);
    return;
  }
  for (int h = 0; h < BLOCK; h += PLANES)
    for (int q = 0; q < np; q += VL) {
      float *s = strip + q * BLOCK + h;
      if (have >= h + PLANES) {
        transpose_in(p + q + h * plane, plane, PLANES, s);
      } else {
        transpose_in(p + q + h * plane, plane, have - h, s);
      }
    }
  for (int q = 0; q < from; q++) memset(strip + q * BLOCK, 0, BLOCK * 4);
  for (int q = to; q < np; q++) memset(strip + q * BLOCK, 0, BLOCK * 4);
}

/* One column of a strip, in place. */
INLINE void column_in(int drop, float *p) {
  vec d[6], r[6];
  UNROLLED(int i = 0; i < 6; i++) d[i] = LOAD(p + i * PITCH * BLOCK);
  if (drop == LUN_DROP_2) {
    in2(d, r);
  } else {
    in4(d, r);
  }
  UNROLLED(int i = 0; i < 6; i++) {
    if (has_frequency(drop, i)) STORE(p + i * PITCH * BLOCK, r[i]);
  }
}

/* One row of one tile, to V. */
INLINE void tile_row_in(int drop, const float *p, float *q, ptrdiff_t fs) {
  vec d[6], r[6];
  UNROLLED(int x = 0; x < 6; x++) d[x] = LOAD(p + x * BLOCK);
  if (drop == LUN_DROP_2) {
    in2(d, r);
  } else {
    in4(d, r);
  }
  UNROLLED(int x = 0; x < 6; x++) {
    if (has_frequency(drop, x)) STORE(q + x * fs, r[x]);
  }
}

/* nt <= SEGMENT tiles of one tile row: columns first, in place (neighbouring
** tiles share two of six columns), then rows into V. */
INLINE void segment_in(const lun_wino *j, int n, int ty, int tx, int nt, int c,
                       const short *place, lun_wino_v v) {
  float strip[6 * PITCH * BLOCK] __attribute__((aligned(64)));
  int np = 4 * nt + 2, low = ty == j->th - 1 ? j->drop_y : 0;
  for (int i = 0; i < (low == LUN_DROP_2 ? 4 : 6); i++) {
    float *row = strip + i * PITCH * BLOCK;
    int y = 4 * ty - j->pt + i;
    if (y < 0 || y >= j->h) {
      memset(row, 0, (size_t)np * BLOCK * sizeof *row);
    } else {
      row_in(j, n, c, y, 4 * tx - j->pl, np, row);
    }
  }
  for (float *p = strip; p < strip + np * BLOCK; p += VL) {
    if (low == LUN_DROP_2) {
      column_in(LUN_DROP_2, p);
    } else {
      column_in(0, p);
    }
  }
  for (int t = 0; t < nt; t++) {
    int two = tx + t == j->tw - 1 && j->drop_x == LUN_DROP_2;
    for (int h = 0; h < BLOCK; h += VL)
      for (int i = 0; i < 6; i++) {
        const float *p = strip + (i * PITCH + 4 * t) * BLOCK + h;
        float *q = v.p + 6 * i * v.fs + place[t] * v.ts + h;
        if (!has_frequency(low, i)) continue;
        if (two) {
          tile_row_in(LUN_DROP_2, p, q, v.fs);
        } else {
          tile_row_in(0, p, q, v.fs);
        }
      }
  }
}

static void wino_in(const lun_wino *j, const lun_wino_block *b, int c0,
                    lun_wino_v v) {
  for (int i = 0, m; i < b->nt; i += m) {
    int t = b->t0 + i;
    int tx = t % j->tw, ty = t / j->tw % j->th, n = t / j->tw / j->th;
    m = mini(mini(SEGMENT, j->tw - tx), b->nt - i);
    segment_in(j, n, ty, tx, m, c0, b->place + i, v);
  }
}

/* ---- weights ------------------------------------------------------------ */

/* g[e] = element e of the kernels from channel c to the VL outputs from k on,
** of which `have` exist. Reads VL floats where 9 are needed, unless that
** would pass the end of the array. */
INLINE void kernels_in(const lun_wino *j, int k, int c, int have, vec *g) {
  ptrdiff_t ks = 9 * (ptrdiff_t)(j->back ? 1 : j->c);
  ptrdiff_t cs = 9 * (ptrdiff_t)(j->back ? j->k : 1);
  const float *w = j->weights + k * ks + c * cs;
  ptrdiff_t left = 9 * (ptrdiff_t)j->k * j->c - k * ks - c * cs;
  vec r[16];
  float tmp[BLOCK * VL] __attribute__((aligned(64)));
  if (have < VL || left < (VL - 1) * ks + 16) {
    memset(tmp, 0, sizeof tmp);
    for (int i = 0; i < have; i++)
      for (int e = 0; e < 9; e++) tmp[e * VL + i] = w[i * ks + e];
    for (int e = 0; e < 9; e++) g[e] = LOAD(tmp + e * VL);
    return;
  }
  ADD_UP(ks);
  UNROLLED(int e = 0; e < 9; e += VL) {
    UNROLLED(int i = 0; i < VL; i++) r[i] = LOADU(w + i * ks + e);
    transpose(r);
    UNROLLED(int i = 0; i < mini(VL, 9 - e); i++) g[e + i] = r[i];
  }
}

/* G g G' for VL outputs of one channel; us floats between frequencies. */
INLINE void kernel_to_u(const vec *g, int back, float *u, ptrdiff_t us) {
  vec d[3], t[3][6], r[6];
  UNROLLED(int x = 0; x < 3; x++) {
    UNROLLED(int y = 0; y < 3; y++) {
      d[y] = back ? g[8 - 3 * y - x] : g[3 * y + x];
    }
    weights6(d, t[x]);
  }
  UNROLLED(int y = 0; y < 6; y++) {
    UNROLLED(int x = 0; x < 3; x++) d[x] = t[x][y];
    weights6(d, r);
    ADD_UP(us);
    UNROLLED(int x = 0; x < 6; x++) STORE(u + x * us, r[x]);
    u += 6 * us;
  }
}

/* Weights are read in short pieces far apart, which the hardware's prefetcher does
** not follow.  Prefetches 16 kernels side by side: of one output, from channel c
** on, or of one channel, from output k on, when back. */
INLINE void prefetch_kernels(const lun_wino *j, int k, int c) {
  ptrdiff_t at = j->back ? (ptrdiff_t)c * j->k + k : (ptrdiff_t)k * j->c + c;
  const float *w = j->weights + at * 9;
  UNROLLED(int i = 0; i <= 9; i++) __builtin_prefetch(w + i * BLOCK);
}

/* Channels in blocks, so that few rows of weights are read at a time. What is
** past the last output stays as it is: wino_mul takes what is there, wino_out
** ignores it. */
static void wino_weights(const lun_wino *j, lun_wino_part w, float *u) {
  enum { AHEAD = 6 }; /* channels: how long memory takes */
  ptrdiff_t us = (ptrdiff_t)w.nc * PW + 16;
  int nk = mini(PW, j->k - w.k0);
  for (int b = 0; b < w.nc; b += BLOCK)
    for (int h = 0; h < nk; h += VL)
      for (int c = b; c < mini(w.nc, b + BLOCK); c++) {
        vec g[9];
        kernels_in(j, w.k0 + h, w.c0 + c, mini(VL, nk - h), g);
        if (j->back) {
          prefetch_kernels(j, w.k0 + h, w.c0 + c + AHEAD);
          kernel_to_u(g, 1, u + c * PW + h, us);
        } else {
          if (c - b < VL)
            prefetch_kernels(j, w.k0 + h + c - b, w.c0 + b + BLOCK);
          kernel_to_u(g, 0, u + c * PW + h, us);
        }
      }
}

/* ---- products ----------------------------------------------------------- */

/* The prefetches of frequency f, shared by `groups` of tiles. */
INLINE row_prefetch prefetch_at(const lun_prefetch *prefetch, int f,
                                int groups) {
  const int size = sizeof(float), first = 1 << prefetch->shift;
  const lun_prefetch *s = f < first ? prefetch : prefetch + 1;
  int turn = f < first ? f : f - first; /* which of its frequencies */
  if (turn >= 1 << s->shift || !s->from) return (row_prefetch){0};
  ptrdiff_t unit = (ptrdiff_t)turn * s->units >> s->shift;
  ptrdiff_t part = s->len * size / groups;
  return (row_prefetch){(const char *)(s->from + unit * s->stride), s->shift,
                        (part >> s->shift) + 1, s->jump * size, part};
}

/* How many tiles need frequency f; their places in V and M begin at *first. */
INLINE int tiles_of(const lun_wino *j, const lun_wino_block *b, int f,
                    int *first) {
  int x = has_frequency(j->drop_x, f % 6), y = has_frequency(j->drop_y, f / 6);
  *first = x ? 0 : b->right;
  return b->nt - *first - (x && y ? 0 : b->corner) - (y ? 0 : b->low);
}

static void wino_mul(const lun_wino *j, const lun_wino_product *p) {
  ptrdiff_t us = (ptrdiff_t)p->nc * PW + 16;
  operands o = {.as = p->v.ts,
                .b = p->u,
                .bs = PW,
                .ms = LUN_FREQ * PW + 16,
                .depth = p->nc,
                .add = p->add};
  for (int f = 0; f < LUN_FREQ; f++, o.b += us) {
    int first, rows = tiles_of(j, p->block, f, &first);
    if (rows == 0) continue;
    o.a = p->v.p + f * p->v.fs + first * p->v.ts;
    o.m = p->m + f * PW + first * o.ms;
    o.ahead = p->far_u ? o.b + us : NULL;
    o.prefetch = prefetch_at(p->prefetch, f, (rows + ROWS - 1) / ROWS);
    if (!o.prefetch.from)
      o.prefetch = (row_prefetch){(const char *)o.a, 16, 0, 0, 0};
    product(rows, p->nk, o);
  }
}
