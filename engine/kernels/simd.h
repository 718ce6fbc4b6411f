/*
** simd.h - between the portable code, which plans the work, and simd.c, which
** is compiled once for every instruction set and does it.
*/
#ifndef LUN_SIMD_H
#define LUN_SIMD_H

#include "gather.h"

/*
** A 3x3 convolution of stride 1 by Winograd's F(4x4,3x3), or its gradient:
** the same sum with the kernel rotated by 180 degrees and the roles of the
** channels swapped.  `in` has c channels that are summed, `out` has k.
** Tiles of 4x4 outputs are numbered over the whole batch, row by row.
*/
typedef struct lun_wino {
  int n, c, h, w; /* in (n, c, h, w) */
  int k, oh, ow;  /* out (n, k, oh, ow) */
  int pt, pl;     /* tile (ty, tx) reads from row 4ty - pt, 4tx - pl */
  int back;       /* take the weights for the gradient */
  const float *in;
  const float *weights; /* (k, c, 3, 3), or (c, k, 3, 3) when back */
  float *out;
  uint8_t *tap; /* not NULL: bias, relu and 2x2 maximum pooling follow; out
                   (n, k, oh/2, ow/2) holds the maxima, tap which of four won */
  lun_epilogue epilogue;
  int th, tw;         /* tiles down and across one image */
  int tiles;          /* n * th * tw */
  int drop_y, drop_x; /* bits: frequencies that the last tiles do not need */
} lun_wino;

/*
** The stages' arrays.  Frequencies f = 0 .. 35, tiles t, input channels c,
** outputs k of one panel:
**   V[f*fs + t*ts + c]   transformed input
**   U[f*us + c*panel + k]     transformed weights of nc channels
**   M[t*ms + f*panel + k]     their products, summed over channels
*/
typedef struct lun_wino_v {
  float *p;
  ptrdiff_t fs, ts;
} lun_wino_v;

enum { LUN_FREQ = 36 };

/*
** Tiles t0 .. t0+nt-1, and the place of each in V and M.  The last tile of a
** row or column often holds fewer than four outputs, and needs fewer of the six
** frequencies of that direction: three outputs all but the last one, two or one
** 0, 1, 2 and 5.  Places are in the order right, inner, low, corner (the last
** of a row, not last, the last of a column, of both), so that the tiles of a
** frequency are always neighbours.
*/
enum { LUN_TILES = 140, LUN_DROP_3 = 1 << 5, LUN_DROP_2 = 1 << 3 | 1 << 4 };
typedef struct lun_wino_block {
  int t0, nt, right, low, corner;
  short place[LUN_TILES];
} lun_wino_block;

/* Bytes: larger outputs are written by streaming stores, which bypass the caches,
** where they fill whole cache lines. */
enum { LUN_CACHED = 32 << 20 };

/* 3x3 convolutions with at most LUN_DIRECT_CHANNELS inputs or outputs, or LUN_DIRECT_BOTH
** of both, are summed directly, LUN_DIRECT_ROWS rows of outputs at a time. */
enum { LUN_DIRECT_CHANNELS = 3, LUN_DIRECT_BOTH = 8, LUN_DIRECT_ROWS = 4 };

/* Weights to transform: the panel from output k0 on, nc channels from c0. */
typedef struct lun_wino_part {
  int k0, c0, nc;
} lun_wino_part;

/*
** Memory to prefetch while products are computed: `units` pieces that begin
** `stride` floats apart from `from` on, shared evenly by 2^shift frequencies.  Each
** frequency prefetches `len` floats per 2^shift channels, then moves on by `jump`
** floats.
*/
typedef struct lun_prefetch {
  const float *from; /* NULL: nothing */
  int shift, units, len;
  ptrdiff_t stride, jump;
} lun_prefetch;

/* M = (add ? M : 0) + V U for one block of tiles. */
typedef struct lun_wino_product {
  const lun_wino_block *block;
  int nk, nc; /* outputs, channels */
  lun_wino_v v;
  const float *u;
  float *m;
  int add;
  int far_u; /* 1: U is in a farther cache than V; prefetch it too */
  const lun_prefetch *prefetch; /* two, one after the other */
} lun_wino_product;

/* Where the factors of product d begin: a[d][..] and b[d][..]. */
typedef struct lun_place {
  ptrdiff_t a, b;
} lun_place;

/* m[i][0 .. panel) = (add ? m : 0) + sum over d of a[i][d] b[d][0 .. panel) for
** i < rows, d < depth; only the first nk columns matter.  Of up to LUN_WIDE_ROWS rows,
** with a table, nk may be two panels', which are then all written. */
enum { LUN_WIDE_ROWS = 3 };
typedef struct lun_product {
  int rows, nk, depth, add;
  const float *a, *b;
  const lun_place *at; /* offsets of product d; NULL: d and d * bs */
  float *m;
  ptrdiff_t as, bs, ms; /* floats between rows */
} lun_product;

/*
** A 1x1 convolution of one tile of places: for outputs i < rows and places p < np
**
**   y[i][p] = the epilogue of  sum over c < depth of W[i][c] x[c][p]
**
** where x[c] begins at x + c*xs, y[i] at y + i*ys and W[i][c] is w[i*ws + c], or
** transposed w[c*ws + i].  A sum over more channels than depth is cut into calls:
** `first` begins it, `last` ends it with the epilogue, between them the sums stand in
** y. As many panels of places as LUN_PACKED floats hold are worked on together.
*/
enum {
  LUN_DEPTH = 256,
  LUN_PACKED = 16384,
  LUN_GAP = 16 /* floats between groups of transposed weights */
};
typedef struct lun_pointwise {
  int rows, depth, np; /* depth <= LUN_DEPTH */
  int first, last, transposed;
  const float *x, *w;
  float *y;
  float *panel;   /* scratch: LUN_PACKED floats */
  float *weights; /* scratch, rows * (LUN_DEPTH + LUN_GAP) floats; NULL where
                     lun_pointwise_copies says no */
  ptrdiff_t xs, ws, ys;
  const lun_epilogue *epilogue; /* its bias[0] and scale[0] are of output 0 */
  const float *gate_y,
      *add; /* of a gate, of a sum: laid out as y is; or NULL */
} lun_pointwise;

/* Are weights copied? Transposed ones are; and rows that lie whole pages apart, of
** which 14 would need as many lines of one set of the first cache, where it has 8 or
** 12. */
static inline int lun_pointwise_copies(int transposed, ptrdiff_t ws,
                                       int panel) {
  return transposed || (panel == 32 && ws % 1024 == 0);
}

/*
** A depthwise convolution of one plane, or its gradient, with the kernel's k * k
** weights in the order in which they are summed:
**
**   out[v][u] = the epilogue of  sum over i, t of
**               weights[i][t] in'[v*stride + i - above][u*stride + t - before]
**
** where in'[y][x] = in[y / spread][x / spread], and 0 outside and between: the gradient
** of a stride of 2 is a sum over values spread apart.
*/
typedef struct lun_depthwise {
  int k, stride, spread; /* 3, 5 or 7; 1 or 2; 1 or 2, not both 2 */
  int h, w, oh, ow, above, before;
  const float *in, *weights;
  float *out;
  int64_t left, at; /* floats that may be read from `in` on; the plane in out */
  int channel;
  const lun_epilogue *epilogue;
  float *scratch; /* strip + sums + pitch + 16 floats */
  int band;       /* rows of outputs at a time */
  int pitch, strip, sums;
} lun_depthwise;

/*
** A matrix product of n rows, x (n, in) and y (n, out), in one of two ways.
** Rows: w (out, in), an output is the product of a row with x; sums are cut
** into fixed segments of inputs.  Columns: w (in, out), every input adds its
** row to all outputs; inputs are cut into fixed segments, summed apart and then
** added in order.  A dense layer is the one forward and the other backward.
*/
typedef struct lun_dense {
  int n;
  int64_t in, out;
  const float *x, *w;
  float *y;
  lun_epilogue epilogue;
  int64_t row0;         /* first row in the whole batch, for the gate */
  int64_t rows;         /* rows: how many of w matter */
  const int64_t *live;  /* ... and which, ascending; NULL: all */
  const int64_t *first; /* columns: segment s has live[first[s]] and on */
} lun_dense;

/* A plan of a Fourier transform of length n: its steps' radices, whose product is n,
** and cos and sin of 2 pi t / n, t < n. */
typedef struct lun_fft {
  int n, steps, radix[32];
  const float *cos, *sin;
} lun_fft;

typedef struct lun_complex {
  float *re, *im;
} lun_complex;

typedef struct lun_simd {
  const char *name;
  int panel; /* outputs worked on together: 16 or 32 */
  int rows;  /* ... by so many rows at once */
  /* V of a block of tiles, 16 channels from c0 on; v.p is theirs. */
  void (*wino_in)(const lun_wino *j, const lun_wino_block *b, int c0,
                  lun_wino_v v);
  /* U of a part of the weights. */
  void (*wino_weights)(const lun_wino *j, lun_wino_part w, float *u);
  void (*wino_mul)(const lun_wino *j, const lun_wino_product *p);
  /* Outputs of a block through the epilogue, channels k0 .. k0+nk-1. */
  void (*wino_out)(const lun_wino *j, const lun_wino_block *b, int k0, int nk,
                   const float *m);
  /* A convolution that lun_direct3x3_fits: image n,
  ** LUN_DIRECT_ROWS rows from y0 on.  Scratch: lun_direct3x3_scratch floats. */
  void (*direct3x3)(const lun_wino *j, int n, int y0, float *scratch);
  void (*mul)(const lun_product *p);
  void (*pointwise)(const lun_pointwise *p);
  void (*depthwise)(const lun_depthwise *d);
  /* m[i] = sum over t < taps of a[at[t].a] b[at[t].b + i], i < n; reads and writes up
  ** to a whole vector behind n. */
  void (*taps)(const float *a, int taps, const float *b, const lun_place *at,
               float *m, int n);
  /* y[i] = a function of x[i], i < n; x may be y. */
  void (*exp)(const float *x, float *y, int64_t n);
  void (*sigmoid)(const float *x, float *y, int64_t n);
  void (*normal_cdf)(const float *x, float *y, int64_t n);
  /* out[at + p] = the epilogue of m[p], p < np, of channel k; m may be there. */
  void (*epilogue)(const lun_epilogue *e, float *out, int64_t at, int np,
                   const float *m, int k);
  /* out[at + p] = the epilogue of even[p / 2] where p is even, else odd[p / 2], p < n,
  ** of channel k; NULL: zeros. */
  void (*interleave)(const lun_epilogue *e, float *out, int64_t at, int n,
                     const float *even, const float *odd, int k);
  /* to[p*ts + i] = from[i*fs + p], i < rows, p < np; i up to a multiple of 16
  ** is filled with 0. */
  void (*transpose)(const float *from, ptrdiff_t fs, int rows, int np,
                    float *to, ptrdiff_t ts);
  /* Transforms sum over j of x_j exp(-2 pi i jk / n) of `lanes` columns, a multiple of
  ** 16; arrays [n][lanes], from x to x: y is a second buffer, and they may change
  ** places. room: 64 n + 32 floats. All aligned. */
  void (*fft)(const lun_fft *f, int64_t lanes, lun_complex *x, lun_complex *y,
              float *room);
  /* Rows: y[n][live[a .. z)], through the epilogue. */
  void (*dense_rows)(const lun_dense *j, int64_t a, int64_t z);
  /* Columns: part[n][o - o0] = sum over segment s of x[n][i] w[i][o],
  ** o0 <= o < o1. */
  void (*dense_cols)(const lun_dense *j, int segment, int64_t o0, int64_t o1,
                     float *part, int64_t ps);
  /* acc[i] += v[i], then v[step + i], and so on: `rows` rows in their order. */
  void (*sum_rows)(double *acc, const float *v, int64_t step, int64_t rows,
                   int64_t len);
  /* A row of `len` 2x2 windows: maxima and which of the four won, a b / c d.
  ** The first maximum wins, but a NaN before it. */
  void (*maxpool2x2)(const float *top, const float *low, float *y, uint8_t *tap,
                     int64_t len);
  /* Back: dy through the gate (or NULL), y its maxima, to the winners. */
  void (*maxpool2x2_back)(const lun_gate *gate, const float *dy, const float *y,
                          const uint8_t *tap, float *top, float *low,
                          int64_t len);
  /* A row of `len` windows of `rows` x 3, stride 2 across, in rows `pitch` apart:
  ** maxima and which tap won, numbered row by row from `first` on.  Reads 2 len + 1
  ** floats of a row. */
  void (*maxpool3)(const float *x, int64_t pitch, int rows, int32_t first,
                   float *y, int32_t *tap, int64_t len);
} lun_simd;

/* Floats between two frequencies of U.  The odd cache line keeps the 36 of
** one channel out of each other's way in the first level cache. */
static inline ptrdiff_t lun_wino_us(const lun_simd *isa, int nc) {
  return (ptrdiff_t)nc * isa->panel + 16;
}

/* Floats between two tiles of M. */
static inline ptrdiff_t lun_wino_ms(const lun_simd *isa) {
  return (ptrdiff_t)LUN_FREQ * isa->panel + 16;
}

/* Bytes of the output. */
static inline int64_t lun_wino_bytes(const lun_wino *j) {
  int64_t plane =
      j->tap ? (int64_t)(j->oh / 2) * (j->ow / 2) : (int64_t)j->oh * j->ow;
  return j->n * plane * j->k * (int64_t)sizeof(float);
}

/* Floats between the rows of direct3x3: the widest vector at the last output meets
** two more inputs. */
static inline ptrdiff_t lun_direct3x3_pitch(const lun_wino *j) {
  return ((ptrdiff_t)j->ow + 15) / 16 * 16 + 16;
}

/* Floats of scratch for direct3x3: rows of one input and of all sums, or rows of all
** inputs. */
static inline size_t lun_direct3x3_scratch(const lun_wino *j) {
  enum {
    ROWS_IN = LUN_DIRECT_ROWS + 2,
    SUMS = LUN_DIRECT_ROWS * LUN_DIRECT_CHANNELS
  };
  enum { OUTPUTS = ROWS_IN + SUMS, INPUTS = LUN_DIRECT_BOTH * ROWS_IN };
  int rows = (int)OUTPUTS > (int)INPUTS ? OUTPUTS : INPUTS;
  return (size_t)(lun_direct3x3_pitch(j) * rows);
}

/* Is a layer from c channels to k summed directly? */
static inline int lun_direct3x3_fits(int c, int k) {
  return c <= LUN_DIRECT_CHANNELS || k <= LUN_DIRECT_CHANNELS ||
         (c <= LUN_DIRECT_BOTH && k <= LUN_DIRECT_BOTH);
}

const lun_simd *lun_simd_now(void);
/* Tests: take this instruction set from now on; 0 when it is not there.
** NULL: the best again. */
int lun_isa_set(const char *name);
const char *lun_isa_name(int i); /* all that this machine runs; NULL: end */

extern const lun_simd lun_simd_generic;
#if defined __x86_64__
extern const lun_simd lun_simd_avx2, lun_simd_avx512;
#endif

/* 1 when the layer is one that lun_depthwise_run computes. */
int lun_depthwise_fits(const lun_conv *s);
/* Forward or, `back`, the gradient of the input. */
int lun_depthwise_run(const lun_conv *s, int back, const float *in,
                      const float *w, float *out, const lun_epilogue *epilogue,
                      lun_err *err);
/* 1 when Winograd's method fits the layer. */
int lun_wino_fits(const lun_conv *s);
int lun_wino_run(lun_wino *j, lun_err *err);

#endif
