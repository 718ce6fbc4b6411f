/*
** simd_vector.h - the part of simd.c for vectors: their widths, loads and stores of
** parts, transposes in registers.
*/

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

#if defined __AVX__ && !defined __AVX512F__
/* All bits of the first n lanes. */
INLINE __m256i first_lanes(int n) {
  static const int ones[2 * VL] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256((const void *)(ones + VL - n));
}
#endif

/* n < VL floats, reading and writing nothing beyond them. */
INLINE vec load_part(const float *p, int n) {
#if defined __AVX512F__
  return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined __AVX__
  return (vec)_mm256_maskload_ps(p, first_lanes(n));
#else
  vec v = {0};
  memcpy(&v, p, (size_t)n * sizeof *p);
  return v;
#endif
}

INLINE void store_part(float *p, vec v, int n) {
#if defined __AVX512F__
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
#elif defined __AVX__
  _mm256_maskstore_ps(p, first_lanes(n), (__m256)v);
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

/* Of a row's last n floats those that are left for one of its vectors: any number. */
INLINE vec load_upto(const float *p, int n) {
  return n > 0 ? load_n(p, n) : (vec){0};
}

INLINE void store_upto(float *p, vec v, int n) {
  if (n > 0) store_n(p, v, n);
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

/* yes where c holds, else no. */
INLINE vec choose(ivec c, vec yes, vec no) {
  return (vec)(((ivec)yes & c) | ((ivec)no & ~c));
}

/* a where a > b, or a < b, else b: so b where either is NaN. */
INLINE vec larger(vec a, vec b) {
#if defined __AVX512F__
  return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined __AVX__
  return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return choose(a > b, a, b);
#endif
}

INLINE vec smaller(vec a, vec b) {
#if defined __AVX512F__
  return (vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined __AVX__
  return (vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return choose(a < b, a, b);
#endif
}

/* ---- transposing VL x VL in registers ----------------------------------- */

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

/* ---- planes to [pixel][BLOCK] and back ---------------------------------- */

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
