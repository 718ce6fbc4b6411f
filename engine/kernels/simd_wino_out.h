/*
** simd_wino_out.h - the part of simd.c that turns products into outputs: back
** from frequencies, through the finish, to planar rows; or, where a relu and a
** maximum pooling of 2x2 follow, to the maxima and who won: tiles of 4x4 hold
** whole windows.
*/

/* Where a segment's outputs go, and what the finish needs there. */
typedef struct segment_at {
  float *out;
  uint8_t *tap;          /* pooled: who won; else NULL */
  const float *y, *bias; /* of the gate; of the channels, or NULL */
  ptrdiff_t plane;
  int have, np;     /* channels, pixels */
  lun_slopes slope; /* of the gate */
  int past;         /* the map is too large for the caches */
} segment_at;

/* One row of pixels [pixel][BLOCK] to planar rows, through the finish. */
INLINE void row_out(enum mode mode, const segment_at *s, ptrdiff_t row,
                    const float *strip) {
  for (int h = 0; h < s->have; h += PLANES)
    for (int q = 0; q < s->np; q += VL) {
      int np = s->np - q, have = s->have - h;
      float *out = s->out + h * s->plane + row + q;
      const float *y = s->y + h * s->plane + row + q;
      vec r[PLANES];
      pixels_to_planes(strip + q * BLOCK + h, r);
      if (np >= VL && have >= PLANES) {
        int past = s->past && whole_line(out);
        UNROLLED(int i = 0; i < PLANES; i++) {
          vec v = is_gate(mode) ? LOADU(y + i * s->plane) : (vec){0};
          v = rule(mode, r[i], v, s->bias ? s->bias[h + i] : 0.0f, s->slope);
          if (past) {
            store_past(out + i * s->plane, v);
          } else {
            STOREU(out + i * s->plane, v);
          }
        }
      } else {
        UNROLLED(int i = 0; i < PLANES; i++) {
          if (i < have) {
            vec v = is_gate(mode) ? load_n(y + i * s->plane, np) : (vec){0};
            v = rule(mode, r[i], v, s->bias ? s->bias[h + i] : 0.0f, s->slope);
            store_n(out + i * s->plane, v, np);
          }
        }
      }
    }
}

INLINE void rows_out(enum mode mode, const segment_at *s, ptrdiff_t w, int rows,
                     const float *strip) {
  for (int y = 0; y < rows; y++) {
    row_out(mode, s, y * w, strip + y * PITCH * BLOCK);
  }
}

/* ---- relu and pooling on the way ---------------------------------------- */

/* A value after bias and relu. */
INLINE vec activated(const float *p, vec bias) {
  vec z = LOAD(p) + bias;
  return keep(z, ~(z < 0));
}

/* np windows of two rows [pixel][BLOCK]: their maxima to the front of the upper
** row, the taps that won to that of the lower. */
INLINE void meet(float *top, float *low, int np, const vec *bias) {
  for (int q = 0; q < np; q++) UNROLLED(int h = 0; h < BLOCK; h += VL) {
      const float *t = top + 2 * q * BLOCK + h, *u = low + 2 * q * BLOCK + h;
      vec b = bias[h / VL];
      vec best = activated(t, b), other = activated(u, b);
      ivec k = {0}, l = 2 - (ivec){0};
      take(activated(t + BLOCK, b), 1 - (ivec){0}, &best, &k);
      take(activated(u + BLOCK, b), 3 - (ivec){0}, &other, &l);
      take(other, l, &best, &k);
      STORE(top + q * BLOCK + h, best);
      STORE(low + q * BLOCK + h, (vec)k);
    }
}

/* What meet left, to planar rows. */
INLINE void pooled_row(const segment_at *s, ptrdiff_t row, const float *best,
                       const float *taps) {
  for (int h = 0; h < s->have; h += PLANES)
    for (int q = 0; q < s->np; q += VL) {
      int np = s->np - q, have = mini(PLANES, s->have - h);
      ptrdiff_t at = h * s->plane + row + q;
      vec r[PLANES];
      pixels_to_planes(best + q * BLOCK + h, r);
      UNROLLED(int i = 0; i < PLANES; i++) {
        if (i < have) store_n(s->out + at + i * s->plane, r[i], np);
      }
      pixels_to_planes(taps + q * BLOCK + h, r);
      UNROLLED(int i = 0; i < PLANES; i++) {
        bvec k = __builtin_convertvector((ivec)r[i], bvec);
        if (i < have) store_bytes(s->tap + at + i * s->plane, k, np);
      }
    }
}

INLINE void pooled_out(const segment_at *s, ptrdiff_t w, int rows,
                       float *strip) {
  vec bias[BLOCK / VL];
  UNROLLED(int h = 0; h < BLOCK; h += VL) {
    int n = s->have - h;
    bias[h / VL] = s->bias && n > 0 ? load_n(s->bias + h, n) : (vec){0};
  }
  for (int y = 0; y < rows; y++) {
    float *top = strip + 2 * y * PITCH * BLOCK, *low = top + PITCH * BLOCK;
    meet(top, low, s->np, bias);
    pooled_row(s, y * w, top, low);
  }
}

/* ---- from products ------------------------------------------------------ */

INLINE void out_of(int outs, const vec *m, vec *y) {
  if (outs == 2) {
    out2(m, y);
  } else {
    out4(m, y);
  }
}

/* One tile's ny rows of nx outputs. */
INLINE void tile_out(int ny, int nx, const float *m, float *strip) {
  vec d[6], t[4][6], r[4];
  UNROLLED(int x = 0; x < 6; x++) {
    UNROLLED(int y = 0; y < 6; y++) d[y] = LOAD(m + (6 * y + x) * PW);
    out_of(ny, d, r);
    UNROLLED(int y = 0; y < 4; y++) {
      if (y < ny) t[y][x] = r[y];
    }
  }
  UNROLLED(int y = 0; y < 4; y++) {
    if (y >= ny) continue;
    out_of(nx, t[y], r);
    UNROLLED(int x = 0; x < 4; x++) {
      if (x < nx) STORE(strip + (y * PITCH + x) * BLOCK, r[x]);
    }
  }
}

static int past_caches(const lun_wino *j) {
  int64_t plane = (int64_t)j->oh * j->ow, bytes = lun_wino_bytes(j);
  return !j->tap && plane % LINE == 0 && bytes > LUN_CACHED;
}

static segment_at place(const lun_wino *j, int n, int ty, int tx, int nt,
                        int k) {
  ptrdiff_t plane = (ptrdiff_t)j->oh * j->ow;
  ptrdiff_t at = ((ptrdiff_t)n * j->k + k) * plane + 4 * ty * j->ow + 4 * tx;
  const lun_gate *g = j->end.gate;
  return (segment_at){.out = j->out + at,
                      .y = g && g->y ? g->y + at % g->size : j->out,
                      .bias = j->end.bias ? j->end.bias + k : NULL,
                      .plane = plane,
                      .have = mini(BLOCK, j->k - k),
                      .np = mini(4 * nt, j->ow - 4 * tx),
                      .slope = slopes_of(g),
                      .past = past_caches(j)};
}

/* The same of pooled outputs. */
static segment_at place_pooled(const lun_wino *j, int n, int ty, int tx, int nt,
                               int k) {
  int h = j->oh / 2, w = j->ow / 2;
  ptrdiff_t plane = (ptrdiff_t)h * w;
  ptrdiff_t at = ((ptrdiff_t)n * j->k + k) * plane + 2 * ty * w + 2 * tx;
  return (segment_at){.out = j->out + at,
                      .tap = j->tap + at,
                      .bias = j->end.bias ? j->end.bias + k : NULL,
                      .plane = plane,
                      .have = mini(BLOCK, j->k - k),
                      .np = mini(2 * nt, w - 2 * tx)};
}

/* The same, as many as tile (ty, tx) has.  Of a pair that is more than the map
** holds, one belongs to no pixel; nor does what stays in the strip beside. */
INLINE void any_tile_out(const lun_wino *j, int ty, int tx, const float *m,
                         float *strip) {
  int low = ty == j->th - 1 && j->drop_y == LUN_DROP_2;
  int right = tx == j->tw - 1 && j->drop_x == LUN_DROP_2;
  for (int h = 0; h < BLOCK; h += VL) {
    if (low && right) {
      tile_out(2, 2, m + h, strip + h);
    } else if (low) {
      tile_out(2, 4, m + h, strip + h);
    } else if (right) {
      tile_out(4, 2, m + h, strip + h);
    } else {
      tile_out(4, 4, m + h, strip + h);
    }
  }
}

INLINE void segment_out(const lun_wino *j, int n, int ty, int tx, int nt, int k,
                        const short *place_of, const float *m) {
  float strip[4 * PITCH * BLOCK] __attribute__((aligned(64)));
  segment_at s =
      j->tap ? place_pooled(j, n, ty, tx, nt, k) : place(j, n, ty, tx, nt, k);
  int rows = mini(4, j->oh - 4 * ty);
  for (int t = 0; t < nt; t++) {
    any_tile_out(j, ty, tx + t, m + place_of[t] * (LUN_FREQ * PW + 16),
                 strip + 4 * t * BLOCK);
  }
  if (j->tap) {
    pooled_out(&s, j->ow / 2, rows / 2, strip);
    return;
  }
  switch (mode_of(&j->end)) {
    case BIAS:
      rows_out(BIAS, &s, j->ow, rows, strip);
      break;
    case RELU:
      rows_out(RELU, &s, j->ow, rows, strip);
      break;
    case PLAIN:
      rows_out(PLAIN, &s, j->ow, rows, strip);
      break;
    case GUIDED:
      rows_out(GUIDED, &s, j->ow, rows, strip);
      break;
    case RECTIFIED:
      rows_out(RECTIFIED, &s, j->ow, rows, strip);
      break;
    case SLOPES:
      rows_out(SLOPES, &s, j->ow, rows, strip);
      break;
  }
}

static void wino_out(const lun_wino *j, const lun_wino_block *b, int k0, int nk,
                     const float *m) {
  for (int i = 0, s; i < b->nt; i += s) {
    int t = b->t0 + i;
    int tx = t % j->tw, ty = t / j->tw % j->th, n = t / j->tw / j->th;
    s = mini(mini(SEGMENT, j->tw - tx), b->nt - i);
    for (int k = 0; k < nk; k += BLOCK) {
      segment_out(j, n, ty, tx, s, k0 + k, b->place + i, m + k);
    }
  }
  if (past_caches(j)) past_done();
}
