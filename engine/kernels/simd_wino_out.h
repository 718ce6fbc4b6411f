/*
** simd_wino_out.h - the part of simd.c that makes outputs of products: Winograd's
** output transform, the epilogue, and a transpose to planar rows.  Where a relu
** and a 2x2 maximum pooling follow, tiles of 4x4 hold whole windows, and the
** maxima are written instead, with which of the four won.
*/

/* Where a segment's outputs go, and what the epilogue needs there. */
typedef struct output_segment {
  float *out;
  uint8_t *tap;          /* pooled: which of four won; else NULL */
  const float *y, *bias; /* of the gate; of the channels, or NULL */
  const float *add;      /* a summand, or NULL */
  ptrdiff_t plane;
  int have, np;     /* channels, pixels */
  lun_slopes slope; /* of the gate */
  int streaming;    /* the map is too large for the caches */
} output_segment;

/* One row of pixels [pixel][BLOCK] to planar rows, through the epilogue. */
INLINE void row_out(enum mode mode, const output_segment *s, ptrdiff_t row,
                    const float *strip) {
  for (int h = 0; h < s->have; h += PLANES)
    for (int q = 0; q < s->np; q += VL) {
      int np = s->np - q, have = s->have - h;
      float *out = s->out + h * s->plane + row + q;
      const float *y = s->y + h * s->plane + row + q;
      const float *add = s->add ? s->add + h * s->plane + row + q : NULL;
      vec r[PLANES];
      pixels_to_planes(strip + q * BLOCK + h, r);
      if (np >= VL && have >= PLANES) {
        int streaming = s->streaming && whole_line(out);
        UNROLLED(int i = 0; i < PLANES; i++) {
          vec v = is_gate(mode) ? LOADU(y + i * s->plane) : (vec){0};
          vec a = add ? LOADU(add + i * s->plane) : (vec){0};
          v = epilogue(mode, r[i], v, s->bias ? s->bias[h + i] : 0.0f,
                       add ? &a : NULL, s->slope);
          if (streaming) {
            store_streaming(out + i * s->plane, v);
          } else {
            STOREU(out + i * s->plane, v);
          }
        }
      } else {
        UNROLLED(int i = 0; i < PLANES; i++) {
          if (i < have) {
            vec v = is_gate(mode) ? load_n(y + i * s->plane, np) : (vec){0};
            vec a = add ? load_n(add + i * s->plane, np) : (vec){0};
            v = epilogue(mode, r[i], v, s->bias ? s->bias[h + i] : 0.0f,
                         add ? &a : NULL, s->slope);
            store_n(out + i * s->plane, v, np);
          }
        }
      }
    }
}

INLINE void rows_out(enum mode mode, const output_segment *s, ptrdiff_t w,
                     int rows, const float *strip) {
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

/* Pools np windows of two rows [pixel][BLOCK]: the maxima go to the front of the
** upper row, the taps that won to the front of the lower row. */
INLINE void pool_rows(float *top, float *low, int np, const vec *bias) {
  for (int q = 0; q < np; q++) UNROLLED(int h = 0; h < BLOCK; h += VL) {
      const float *t = top + 2 * q * BLOCK + h, *u = low + 2 * q * BLOCK + h;
      vec b = bias[h / VL];
      vec best = activated(t, b), other = activated(u, b);
      ivec k = {0}, l = 2 - (ivec){0};
      take_maximum(activated(t + BLOCK, b), 1 - (ivec){0}, &best, &k);
      take_maximum(activated(u + BLOCK, b), 3 - (ivec){0}, &other, &l);
      take_maximum(other, l, &best, &k);
      STORE(top + q * BLOCK + h, best);
      STORE(low + q * BLOCK + h, (vec)k);
    }
}

/* The result of pool_rows to planar rows. */
INLINE void pooled_row(const output_segment *s, ptrdiff_t row,
                       const float *best, const float *taps) {
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

INLINE void pooled_out(const output_segment *s, ptrdiff_t w, int rows,
                       float *strip) {
  vec bias[BLOCK / VL];
  UNROLLED(int h = 0; h < BLOCK; h += VL) {
    int n = s->have - h;
    bias[h / VL] = s->bias && n > 0 ? load_n(s->bias + h, n) : (vec){0};
  }
  for (int y = 0; y < rows; y++) {
    float *top = strip + 2 * y * PITCH * BLOCK, *low = top + PITCH * BLOCK;
    pool_rows(top, low, s->np, bias);
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

static int streams(const lun_wino *j) {
  int64_t plane = (int64_t)j->oh * j->ow, bytes = lun_wino_bytes(j);
  return !j->tap && plane % LINE == 0 && bytes > LUN_CACHED;
}

/* nt tiles of image n from tile (ty, tx) on, channels from k on. */
static output_segment segment_of(const lun_wino *j, int n, int ty, int tx,
                                 int nt, int k) {
  int half = j->tap != NULL, side = 4 >> half; /* outputs of a tile's side */
  int h = j->oh >> half, w = j->ow >> half;
  ptrdiff_t plane = (ptrdiff_t)h * w;
  ptrdiff_t at = ((ptrdiff_t)n * j->k + k) * plane + side * ty * w + side * tx;
  const lun_gate *g = j->epilogue.gate;
  return (output_segment){.out = j->out + at,
                          .tap = half ? j->tap + at : NULL,
                          .y = g && g->y ? g->y + at % g->size : j->out,
                          .bias =
                              j->epilogue.bias ? j->epilogue.bias + k : NULL,
                          .add = j->epilogue.add ? j->epilogue.add + at : NULL,
                          .plane = plane,
                          .have = mini(BLOCK, j->k - k),
                          .np = mini(side * nt, w - side * tx),
                          .slope = slopes_of(g),
                          .streaming = streams(j)};
}

/* One tile, with as many outputs as tile (ty, tx) has, rounded up to 2 or 4 a
** side: outputs outside the map stay in the strip and are not written. */
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
                        const short *place, const float *m) {
  float strip[4 * PITCH * BLOCK] __attribute__((aligned(64)));
  output_segment s = segment_of(j, n, ty, tx, nt, k);
  int rows = mini(4, j->oh - 4 * ty);
  for (int t = 0; t < nt; t++) {
    any_tile_out(j, ty, tx + t, m + place[t] * (LUN_FREQ * PW + 16),
                 strip + 4 * t * BLOCK);
  }
  if (j->tap) {
    pooled_out(&s, j->ow / 2, rows / 2, strip);
    return;
  }
  FOR_MODE(mode_of(&j->epilogue), rows_out, &s, j->ow, rows, strip)
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
  if (streams(j)) streaming_fence();
}
