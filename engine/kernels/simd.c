/*
** simd.c - everything that must be fast, for one instruction set.  The
** Makefile compiles this file several times with -DISA=name and the flags to
** match; no other file depends on the instruction set.
**
** Written with the compilers' vector extensions, so that one source serves
** SSE2, AVX2, AVX-512 and NEON.  (Cloning functions by attribute instead does
** not work: vectors wider than the file's baseline go through memory.)
*/
#include "simd.h"

#include <string.h>
#if defined __aarch64__ && !defined __clang__
/* gcc would load every element of A before the first product, which is more
** than 32 registers hold beside the sums. */
#pragma GCC optimize("no-schedule-insns")
#endif
#if defined __x86_64__
#include <immintrin.h>
#endif

#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
#define STR_(a)    #a
#define STR(a)     STR_(a)

/* Vectors of VL floats; a panel is PW outputs, PW/VL vectors; ROWS rows of
** sums times a panel are as many as the registers hold. */
#if defined __AVX512F__
enum { VL = 16, PW = 32, ROWS = 14 };
#elif defined __AVX__
enum { VL = 8, PW = 16, ROWS = 6 };
#elif defined __aarch64__
enum { VL = 4, PW = 16, ROWS = 6 };
#else
enum { VL = 4, PW = 16, ROWS = 2 };
#endif
enum {
  BLOCK = 16, /* channels of a block */
  VECS = PW / VL,
  LINE = 16, /* floats of a cache line */
};

typedef float vec __attribute__((vector_size(VL * 4)));
typedef int ivec __attribute__((vector_size(VL * 4)));
typedef float uvec __attribute__((vector_size(VL * 4), aligned(4), may_alias));

#define INLINE       static inline __attribute__((always_inline))
#define LOAD(p)      (*(const vec *)(p))         /* aligned: our own arrays */
#define LOADU(p)     ((vec)(*(const uvec *)(p))) /* anywhere: the caller's */
#define STORE(p, v)  (*(vec *)(p) = (v))
#define STOREU(p, v) (*(uvec *)(p) = (v))
#define SPLAT(s)     ((s) - (vec){0})
#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)") for
#define UNROLL4  _Pragma("clang loop unroll_count(4)") for
#else
#define UNROLLED _Pragma("GCC unroll 16") for
#define UNROLL4  _Pragma("GCC unroll 4") for
#endif

/* Keeps a stride from being multiplied out before the loop: dozens of
** precomputed offsets do not fit the registers, and adding is free. */
#define ADD_UP(x) __asm__("" : "+r"(x))

INLINE int mini(int a, int b) { return a < b ? a : b; }

/* n < VL floats, reading and writing nothing beyond them. */
INLINE vec load_part(const float *p, int n) {
#if defined __AVX512F__
  return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  vec v = {0};
  memcpy(&v, p, (size_t)n * sizeof *p);
  return v;
#endif
}

INLINE void store_part(float *p, vec v, int n) {
#if defined __AVX512F__
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
#else
  memcpy(p, &v, (size_t)n * sizeof *p);
#endif
}

INLINE vec load_n(const float *p, int n) {
  return n >= VL ? LOADU(p) : load_part(p, n);
}

INLINE void store_n(float *p, vec v, int n) {
  if (n >= VL) {
    *(uvec *)p = v;
  } else {
    store_part(p, v, n);
  }
}

/* A streaming store: a vector that is a whole cache line is written to memory
** without reading the line first, for maps that no cache holds.  Other threads
** see it after streaming_fence. */
INLINE void store_streaming(float *p, vec v) {
#if defined __AVX512F__
  _mm512_stream_ps(p, (__m512)v);
#else
  STOREU(p, v);
#endif
}

static void streaming_fence(void) {
#if defined __AVX512F__
  _mm_sfence();
#endif
}

INLINE int whole_line(const float *p) {
  return (int)VL == (int)LINE && (uintptr_t)p % (LINE * sizeof *p) == 0;
}

/* Bits of z where c holds, else 0. */
INLINE vec keep(vec z, ivec c) { return (vec)((ivec)z & c); }

/* ---- transposing VL x VL in registers ---------------------------------- */

#if defined __AVX512F__
#define QUADS(a, b, c, d)                                                      \
  a, b, c, d, a + 4, b + 4, c + 4, d + 4, a + 8, b + 8, c + 8, d + 8, a + 12,  \
      b + 12, c + 12, d + 12
#elif defined __AVX__
#define QUADS(a, b, c, d) a, b, c, d, a + 4, b + 4, c + 4, d + 4
#else
#define QUADS(a, b, c, d) a, b, c, d
#endif
#define SHUFFLE __builtin_shufflevector

/* Four rows from r on: 4x4 transposes inside every 128 bits. */
INLINE void transpose_quads(vec *r) {
  vec a = SHUFFLE(r[0], r[1], QUADS(0, VL, 1, VL + 1));
  vec b = SHUFFLE(r[0], r[1], QUADS(2, VL + 2, 3, VL + 3));
  vec c = SHUFFLE(r[2], r[3], QUADS(0, VL, 1, VL + 1));
  vec d = SHUFFLE(r[2], r[3], QUADS(2, VL + 2, 3, VL + 3));
  r[0] = SHUFFLE(a, c, QUADS(0, 1, VL, VL + 1));
  r[1] = SHUFFLE(a, c, QUADS(2, 3, VL + 2, VL + 3));
  r[2] = SHUFFLE(b, d, QUADS(0, 1, VL, VL + 1));
  r[3] = SHUFFLE(b, d, QUADS(2, 3, VL + 2, VL + 3));
}

#define Q(i) 4 * (i), 4 * (i) + 1, 4 * (i) + 2, 4 * (i) + 3
INLINE void transpose(vec *r) {
  UNROLLED(int i = 0; i < VL; i += 4) transpose_quads(r + i);
#if defined __AVX512F__
  /* then the 4x4 matrix of 128-bit quarters, for each row of a quad */
  UNROLLED(int i = 0; i < 4; i++) {
    vec a = SHUFFLE(r[i], r[i + 4], Q(0), Q(2), Q(4), Q(6));
    vec b = SHUFFLE(r[i], r[i + 4], Q(1), Q(3), Q(5), Q(7));
    vec c = SHUFFLE(r[i + 8], r[i + 12], Q(0), Q(2), Q(4), Q(6));
    vec d = SHUFFLE(r[i + 8], r[i + 12], Q(1), Q(3), Q(5), Q(7));
    r[i] = SHUFFLE(a, c, Q(0), Q(2), Q(4), Q(6));
    r[i + 8] = SHUFFLE(a, c, Q(1), Q(3), Q(5), Q(7));
    r[i + 4] = SHUFFLE(b, d, Q(0), Q(2), Q(4), Q(6));
    r[i + 12] = SHUFFLE(b, d, Q(1), Q(3), Q(5), Q(7));
  }
#elif defined __AVX__
  UNROLLED(int i = 0; i < 4; i++) {
    vec a = SHUFFLE(r[i], r[i + 4], Q(0), Q(2));
    r[i + 4] = SHUFFLE(r[i], r[i + 4], Q(1), Q(3));
    r[i] = a;
  }
#endif
}
#undef Q

/* ---- planes to [pixel][BLOCK] and back ----------------------------------- */

/* Planes transposed together, VL pixels at a time. */
enum { PLANES = VL < 8 ? VL : 8 };

#if defined __AVX512F__
typedef float half_vec __attribute__((vector_size(32)));
#define H(i) 4 * (i), 4 * (i) + 1, 4 * (i) + 2, 4 * (i) + 3

/* Eight pixels in the lower half of a vector, eight in the upper. */
INLINE void planes_to_pixels(vec *r, float *to) {
  transpose_quads(r);
  transpose_quads(r + 4);
  UNROLLED(int i = 0; i < 4; i++) {
    vec a = SHUFFLE(r[i], r[i + 4], H(0), H(4), H(1), H(5));
    vec b = SHUFFLE(r[i], r[i + 4], H(2), H(6), H(3), H(7));
    *(half_vec *)(to + i * BLOCK) = SHUFFLE(a, a, H(0), H(1));
    *(half_vec *)(to + (i + 4) * BLOCK) = SHUFFLE(a, a, H(2), H(3));
    *(half_vec *)(to + (i + 8) * BLOCK) = SHUFFLE(b, b, H(0), H(1));
    *(half_vec *)(to + (i + 12) * BLOCK) = SHUFFLE(b, b, H(2), H(3));
  }
}

INLINE void pixels_to_planes(const float *from, vec *r) {
  vec t[8];
  UNROLLED(int i = 0; i < 8; i++) {
    half_vec a = *(const half_vec *)(from + i * BLOCK);
    half_vec b = *(const half_vec *)(from + (i + 8) * BLOCK);
    t[i] = SHUFFLE(a, b, H(0), H(1), H(2), H(3));
  }
  transpose_quads(t);
  transpose_quads(t + 4);
  UNROLLED(int i = 0; i < 4; i++) {
    r[i] = SHUFFLE(t[i], t[i + 4], H(0), H(4), H(2), H(6));
    r[i + 4] = SHUFFLE(t[i], t[i + 4], H(1), H(5), H(3), H(7));
  }
}
#undef H
#else
INLINE void planes_to_pixels(vec *r, float *to) {
  transpose(r);
  UNROLLED(int i = 0; i < VL; i++) STORE(to + i * BLOCK, r[i]);
}

INLINE void pixels_to_planes(const float *from, vec *r) {
  UNROLLED(int i = 0; i < VL; i++) r[i] = LOAD(from + i * BLOCK);
  transpose(r);
}
#endif

/* ---- the product -------------------------------------------------------- */

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
** Row c of B begins at b + c*bs, or at b + at[c] when there is a table.
** Every sum is one chain of fused multiply-adds in the order of c, whatever
** n: results do not depend on how rows are grouped.  Meanwhile `depth` cache
** lines from `ahead` on are prefetched, the operand of the next product, and
** `prefetch`.
*/
typedef struct operands {
  const float *a, *b;
  ptrdiff_t as, bs, ms;
  const ptrdiff_t *at;
  float *m;
  int depth, add;
  const float *ahead; /* NULL: the rows of A after these */
  row_prefetch prefetch;
} operands;

INLINE void kernel(int n, int nv, int table, const operands *o) {
  const float *a = o->a, *b = o->b;
  const ptrdiff_t as = o->as, bs = o->bs, ms = o->ms, *at = o->at;
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
      const float *r = b + (table ? at[c] : c * bs);
      UNROLLED(int v = 0; v < nv; v++) u[v] = LOADU(r + v * VL);
      if (!table) {
        __builtin_prefetch(ahead + c * LINE, 0, 2);
        __builtin_prefetch(p, 0, 2);
        p += step;
      }
      UNROLLED(int i = 0; i < n; i++) {
        vec t = SPLAT(a[i * as + c]);
        UNROLLED(int v = 0; v < nv; v++) s[i][v] += t * u[v];
      }
    }
  }
  UNROLLED(int i = 0; i < n; i++)
  UNROLLED(int v = 0; v < nv; v++) STOREU(m + i * ms + v * VL, s[i][v]);
}

typedef void kernel_fn(const operands *);
#define HALF (VECS > 1 ? VECS / 2 : 1)
#define FOUR(n)                                                                \
  static void full##n(const operands *o) {                                     \
    kernel(n <= ROWS ? n : ROWS, VECS, 0, o);                                  \
  }                                                                            \
  static void half##n(const operands *o) {                                     \
    kernel(n <= ROWS ? n : ROWS, HALF, 0, o);                                  \
  }                                                                            \
  static void full_at##n(const operands *o) {                                  \
    kernel(n <= ROWS ? n : ROWS, VECS, 1, o);                                  \
  }                                                                            \
  static void half_at##n(const operands *o) {                                  \
    kernel(n <= ROWS ? n : ROWS, HALF, 1, o);                                  \
  }
FOUR(1)
FOUR(2)
#if defined __AVX__ || defined __aarch64__
FOUR(3)
FOUR(4)
FOUR(5)
FOUR(6)
#endif
#if defined __AVX512F__
FOUR(7)
FOUR(8)
FOUR(9)
FOUR(10)
FOUR(11)
FOUR(12)
FOUR(13)
FOUR(14)
#define ALL(f)                                                                 \
  {                                                                            \
    f##1, f##2, f##3, f##4, f##5, f##6, f##7, f##8, f##9, f##10, f##11, f##12, \
        f##13, f##14                                                           \
  }
#elif defined __AVX__ || defined __aarch64__
#define ALL(f)                                                                 \
  { f##1, f##2, f##3, f##4, f##5, f##6 }
#else
#define ALL(f)                                                                 \
  { f##1, f##2 }
#endif

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

/* ---- epilogues ------------------------------------ */

/* BIAS: z + bias.  RELU: max(z + bias, 0).  SLOPES: any gate.  PLAIN, GUIDED and
** RECTIFIED: the gates used most, whose slopes are 0 or 1, without a product. */
enum mode { BIAS, RELU, PLAIN, GUIDED, RECTIFIED, SLOPES };

static enum mode mode_of(const lun_epilogue *e) {
  static const struct {
    enum mode mode;
    lun_slopes slope;
  } special[] = {
      {PLAIN, {1, 1, 0, 0}}, {GUIDED, {1, 0, 0, 0}}, {RECTIFIED, {1, 0, 1, 0}}};
  if (!e->gate) return e->relu ? RELU : BIAS;
  for (int i = 0; i < 3; i++)
    if (memcmp(&special[i].slope, &e->gate->slope, sizeof(lun_slopes)) == 0)
      return special[i].mode;
  return SLOPES;
}

/* fn(mode, ...) with the mode as a constant, so that each has a loop of its own. */
#define FOR_MODE(mode, fn, ...)                                                \
  switch (mode) {                                                              \
    case BIAS:                                                                 \
      fn(BIAS, __VA_ARGS__);                                                   \
      break;                                                                   \
    case RELU:                                                                 \
      fn(RELU, __VA_ARGS__);                                                   \
      break;                                                                   \
    case PLAIN:                                                                \
      fn(PLAIN, __VA_ARGS__);                                                  \
      break;                                                                   \
    case GUIDED:                                                               \
      fn(GUIDED, __VA_ARGS__);                                                 \
      break;                                                                   \
    case RECTIFIED:                                                            \
      fn(RECTIFIED, __VA_ARGS__);                                              \
      break;                                                                   \
    case SLOPES:                                                               \
      fn(SLOPES, __VA_ARGS__);                                                 \
      break;                                                                   \
  }

static lun_slopes slopes_of(const lun_gate *g) {
  return g ? g->slope : (lun_slopes){0};
}

INLINE vec choose(ivec c, vec yes, vec no) {
  return (vec)(((ivec)yes & c) | ((ivec)no & ~c));
}

/* slope * z as lun_gate_value has it. */
INLINE vec sloped(vec z, vec y, lun_slopes s) {
  ivec open = y > 0;
  vec up = choose(open, SPLAT(s.open_up), SPLAT(s.shut_up));
  vec down = choose(open, SPLAT(s.open_down), SPLAT(s.shut_down));
  vec slope = choose(z < 0, down, up);
  return keep(slope * z, slope != 0);
}

/* The epilogue of z: a gate (gate.h), or bias and relu. */
INLINE vec epilogue(enum mode mode, vec z, vec y, float bias, lun_slopes s) {
  switch (mode) {
    case PLAIN:
      return keep(z, y > 0);
    case GUIDED:
      return keep(z, (y > 0) & ~(z < 0));
    case RECTIFIED:
      return keep(z, ~(z < 0));
    case SLOPES:
      return sloped(z, y, s);
    case RELU:
      z += bias;
      return keep(z, ~(z < 0)); /* NaN stays, as in the plain relu */
    default:
      return z + bias;
  }
}

INLINE int is_gate(enum mode m) {
  return m == PLAIN || m == GUIDED || m == SLOPES;
}

static void epilogue_row(const lun_epilogue *e, float *out, int64_t at, int np,
                         const float *m, float bias) {
  enum mode mode = mode_of(e);
  const float *y = e->gate ? e->gate->y + at % e->gate->size : NULL;
  lun_slopes s = slopes_of(e->gate);
  for (int p = 0; p < np; p += VL) {
    vec v = is_gate(mode) ? load_n(y + p, np - p) : (vec){0};
    store_n(out + at + p, epilogue(mode, load_n(m + p, np - p), v, bias, s),
            np - p);
  }
}

static void mul(const lun_product *p) {
  operands o = {.a = p->a,
                .b = p->b,
                .as = p->as,
                .bs = p->bs,
                .ms = p->ms,
                .at = p->at,
                .m = p->m,
                .depth = p->depth,
                .add = p->add,
                .prefetch = {(const char *)p->a, 16, 0, 0, 0}};
  product(p->rows, p->nk, o);
}

static void transpose_rows(const float *from, ptrdiff_t fs, int rows, int np,
                           float *to, ptrdiff_t ts) {
  for (int i = 0; i < rows; i += VL)
    for (int p = 0; p < np; p += VL) {
      vec r[VL];
      for (int q = 0; q < VL; q++) {
        r[q] =
            i + q < rows ? load_n(from + (i + q) * fs + p, np - p) : (vec){0};
      }
      transpose(r);
      for (int q = 0; q < mini(VL, np - p); q++)
        STOREU(to + (p + q) * ts + i, r[q]);
    }
}

/* Four rows at a time: the sums are then read and written a quarter as often. */
static void sum_rows(double *restrict acc, const float *restrict v,
                     int64_t step, int64_t rows, int64_t len) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, v += 4 * step)
    for (int64_t i = 0; i < len; i++)
      acc[i] = acc[i] + (double)v[i] + (double)v[step + i] +
               (double)v[2 * step + i] + (double)v[3 * step + i];
  for (; r < rows; r++, v += step)
    for (int64_t i = 0; i < len; i++) acc[i] += (double)v[i];
}

#include "simd_dense.h"
#include "simd_pool.h"
#include "simd_wino.h"
#include "simd_wino_out.h"

#include "simd_direct3x3.h" /* uses output_segment of simd_wino_out.h */

const lun_simd CAT(lun_simd_, ISA) = {
#if defined __AVX512F__ || defined __AVX__
    .name = STR(ISA),
#elif defined __SSE2__
    .name = "sse2",
#elif defined __aarch64__
    .name = "neon",
#else
    .name = "generic",
#endif
    .panel = PW,
    .wino_in = wino_in,
    .wino_weights = wino_weights,
    .wino_mul = wino_mul,
    .wino_out = wino_out,
    .direct3x3 = direct3x3,
    .mul = mul,
    .epilogue = epilogue_row,
    .transpose = transpose_rows,
    .dense_rows = dense_rows,
    .dense_cols = dense_cols,
    .sum_rows = sum_rows,
    .maxpool2x2 = maxpool2x2,
    .maxpool2x2_back = maxpool2x2_back,
};
