/*
** simd_direct3x3.h - the part of simd.c for 3x3 convolutions of stride 1 that have
** few outputs, such as the gradient of a picture, or few inputs, such as a
** picture, or some of both: summed directly, tap by tap.  A panel of Winograd's method would be
** nearly empty, or its transforms cost more than its products save.
**
** Few outputs: a job goes through the input's planes one after the other, some
** whole rows of each (long reads, while the next plane is prefetched), and its sums
** stay in the first level cache.  Few inputs: the rows of all planes stay in the
** first level cache, and outputs are computed group after group.
*/

enum { BAND_IN = LUN_DIRECT_ROWS + 2 };
_Static_assert(LUN_DIRECT_ROWS == 4,
               "segment_of() counts in tiles of four rows");

/* BAND_IN rows of one plane from row y on; what lies outside is 0. */
static void direct_in(const lun_wino *j, const float *plane, int y, float *to) {
  ptrdiff_t pitch = lun_direct3x3_pitch(j);
  int lo = j->pl > 0 ? j->pl : 0, hi = mini(j->ow + 2, j->w + j->pl);
  for (int i = 0; i < BAND_IN; i++, to += pitch) {
    int inside = y + i >= 0 && y + i < j->h && hi > lo;
    int from = inside ? lo : 0, end = inside ? hi : 0;
    memset(to, 0, (size_t)from * sizeof *to);
    memset(to + end, 0, (size_t)(pitch - end) * sizeof *to);
    if (inside) {
      memcpy(to + lo, plane + (ptrdiff_t)(y + i) * j->w + lo - j->pl,
             (size_t)(hi - lo) * sizeof *to);
    }
  }
}

/* to[e][i] = element e of the kernel from input c to output k + i, i < of; 0
** where k + i >= the number of outputs. */
INLINE void direct_weights(const lun_wino *j, int c, int k, int of, float *to) {
  for (int i = 0; i < of; i++)
    for (int e = 0; e < 9; e++) {
      ptrdiff_t o = k + i;
      ptrdiff_t at = j->back ? (ptrdiff_t)c * j->k + o : o * j->c + c;
      to[e * of + i] =
          o < j->k ? j->weights[9 * at + (j->back ? 8 - e : e)] : 0.0f;
    }
}

/* s[o][k] += rows o .. o+2 of one plane by kernel k, `outs` of them. */
INLINE void direct_taps(int outs, const float *rows, ptrdiff_t pitch,
                        const float *w, vec *s) {
  UNROLLED(int x = 0; x < 3; x++) {
    vec r[BAND_IN];
    UNROLLED(int i = 0; i < BAND_IN; i++) r[i] = LOADU(rows + i * pitch + x);
    UNROLLED(int y = 0; y < 3; y++) UNROLLED(int k = 0; k < outs; k++) {
      vec u = SPLAT(w[(3 * y + x) * outs + k]);
      UNROLLED(int o = 0; o < LUN_DIRECT_ROWS; o++)
      s[o * outs + k] += r[o + y] * u;
    }
  }
}

/* ---- few outputs -------------------------------------------------------- */

/* Adds one plane's rows by all kernels to sum[o][k]; `next` are the rows of the
** plane after this one. */
INLINE void direct_plane(const lun_wino *j, int outs, const float *rows,
                         const float *w, const float *next, float *sum) {
  ptrdiff_t pitch = lun_direct3x3_pitch(j);
  for (int x = 0; x < j->ow; x += VL) {
    vec s[LUN_DIRECT_ROWS * LUN_DIRECT_CHANNELS];
    UNROLLED(int i = 0; i < BAND_IN; i++) {
      __builtin_prefetch(next + (ptrdiff_t)i * j->w + x, 0, 2);
    }
    UNROLLED(int i = 0; i < LUN_DIRECT_ROWS * outs; i++)
    s[i] = LOAD(sum + i * pitch + x);
    direct_taps(outs, rows + x, pitch, w, s);
    UNROLLED(int i = 0; i < LUN_DIRECT_ROWS * outs; i++)
    STORE(sum + i * pitch + x, s[i]);
  }
}

static void direct_out(const lun_wino *j, int n, int y0, const float *sum) {
  ptrdiff_t pitch = lun_direct3x3_pitch(j);
  for (int o = 0; o < mini(LUN_DIRECT_ROWS, j->oh - y0); o++)
    for (int k = 0; k < j->k; k++) {
      int64_t row = ((int64_t)n * j->k + k) * j->oh + y0 + o;
      epilogue_row(&j->epilogue, j->out, row * j->ow, j->ow,
                   sum + (o * j->k + k) * pitch, k);
    }
}

static void direct_few_outputs(const lun_wino *j, int n, int y0, float *rows) {
  ptrdiff_t pitch = lun_direct3x3_pitch(j), size = (ptrdiff_t)j->h * j->w;
  const float *plane = j->in + (ptrdiff_t)n * j->c * size;
  float *sum = rows + BAND_IN * pitch, w[9 * LUN_DIRECT_CHANNELS];
  memset(sum, 0, (size_t)(LUN_DIRECT_ROWS * j->k * pitch) * sizeof *sum);
  for (int c = 0; c < j->c; c++, plane += size) {
    const float *next = plane + size + (ptrdiff_t)(y0 - j->pt) * j->w;
    direct_in(j, plane, y0 - j->pt, rows);
    direct_weights(j, c, 0, j->k, w);
    switch (j->k) {
      case 1:
        direct_plane(j, 1, rows, w, next, sum);
        break;
      case 2:
        direct_plane(j, 2, rows, w, next, sum);
        break;
      default:
        direct_plane(j, LUN_DIRECT_CHANNELS, rows, w, next, sum);
        break;
    }
  }
  direct_out(j, n, y0, sum);
}

/* ---- few inputs --------------------------------------------------------- */

/* Outputs made together: what the registers hold of sums, LUN_DIRECT_ROWS rows. */
#if defined __AVX512F__ || defined __aarch64__
enum { GROUP = 4 };
#else
enum { GROUP = 2 };
#endif

/* Writes sums v of one output, from pixel x of row o on, through the epilogue. */
INLINE void direct_epilogue(enum mode mode, const output_segment *s, int k,
                            ptrdiff_t row, int x, vec v) {
  float *out = s->out + k * s->plane + row + x;
  const float *y = s->y + k * s->plane + row + x;
  int np = s->np - x;
  vec g = is_gate(mode) ? load_n(y, np) : (vec){0};
  vec a = s->add ? load_n(s->add + k * s->plane + row + x, np) : (vec){0};
  v = epilogue(mode, v, g, s->bias ? s->bias[k] : 0.0f, s->add ? &a : NULL,
               s->slope);
  if (s->streaming && np >= VL && whole_line(out)) {
    store_streaming(out, v);
  } else {
    store_n(out, v, np);
  }
}

/* GROUP outputs of a band of `of` rows from all planes' rows, kernels
** w[c][9][GROUP].  Planes are summed apart: shorter chains round less; of more than
** LUN_DIRECT_CHANNELS they are chained, as the registers do not hold both sums. */
INLINE void direct_group(enum mode mode, int chained, const lun_wino *j,
                         const output_segment *s, int of, const float *rows,
                         const float *w) {
  ptrdiff_t pitch = lun_direct3x3_pitch(j);
  for (int x = 0; x < j->ow; x += VL) {
    vec sum[LUN_DIRECT_ROWS * GROUP] = {{0}};
    UNROLLED(int o = 0; o < LUN_DIRECT_ROWS; o++)
    UNROLLED(int k = 0; k < GROUP; k++) {
      __builtin_prefetch(s->out + k * s->plane + o * j->ow + x, 1);
    }
    for (int c = 0; c < j->c; c++) {
      if (chained) {
        direct_taps(GROUP, rows + c * BAND_IN * pitch + x, pitch,
                    w + c * 9 * GROUP, sum);
        continue;
      }
      vec part[LUN_DIRECT_ROWS * GROUP] = {{0}};
      direct_taps(GROUP, rows + c * BAND_IN * pitch + x, pitch,
                  w + c * 9 * GROUP, part);
      UNROLLED(int i = 0; i < LUN_DIRECT_ROWS * GROUP; i++) sum[i] += part[i];
    }
    UNROLLED(int o = 0; o < LUN_DIRECT_ROWS; o++)
    UNROLLED(int k = 0; k < GROUP; k++) {
      if (o < of && k < s->have)
        direct_epilogue(mode, s, k, o * j->ow, x, sum[o * GROUP + k]);
    }
  }
}

static void direct_few_inputs(const lun_wino *j, int n, int y0, float *rows) {
  ptrdiff_t pitch = lun_direct3x3_pitch(j), size = (ptrdiff_t)j->h * j->w;
  const float *plane = j->in + (ptrdiff_t)n * j->c * size;
  int of = mini(LUN_DIRECT_ROWS, j->oh - y0);
  float w[LUN_DIRECT_BOTH * 9 * GROUP];
  for (int c = 0; c < j->c; c++) {
    direct_in(j, plane + c * size, y0 - j->pt, rows + c * BAND_IN * pitch);
  }
  for (int k = 0; k < j->k; k += GROUP) {
    output_segment s = segment_of(j, n, y0 / 4, 0, (j->ow + 3) / 4, k);
    for (int c = 0; c < j->c; c++)
      direct_weights(j, c, k, GROUP, w + c * 9 * GROUP);
    if (j->c <= LUN_DIRECT_CHANNELS) {
      FOR_MODE(mode_of(&j->epilogue), direct_group, 0, j, &s, of, rows, w)
    } else {
      FOR_MODE(mode_of(&j->epilogue), direct_group, 1, j, &s, of, rows, w)
    }
  }
  if (streams(j)) streaming_fence();
}

static void direct3x3(const lun_wino *j, int n, int y0, float *scratch) {
  if (j->k <= LUN_DIRECT_CHANNELS) {
    direct_few_outputs(j, n, y0, scratch);
  } else {
    direct_few_inputs(j, n, y0, scratch);
  }
}
