/*
** simd.c - everything that must be fast, for one instruction set.  The
** Makefile compiles this file several times with -DISA=name and the flags to
** match; no other file depends on the instruction set.  Its parts are the simd_*.h
** below, in the order in which they build on each other.
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

#include "simd_vector.h"

#include "simd_product.h" /* uses the vectors */

#include "simd_math.h"

#include "simd_epilogue.h" /* uses the functions */

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
  if (p->nk > PW)
    wide_product(p->rows, &o);
  else
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

#include "simd_pointwise.h"
#include "simd_taps.h"

#include "simd_dense.h"
#include "simd_fft.h"
#include "simd_pool.h"
#include "simd_wino.h"
#include "simd_wino_out.h"

#include "simd_depthwise.h" /* uses the pairs of simd_pool.h */
#include "simd_depthwise_masked.h"
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
    .rows = ROWS,
    .wino_in = wino_in,
    .wino_weights = wino_weights,
    .wino_mul = wino_mul,
    .wino_out = wino_out,
    .direct3x3 = direct3x3,
    .mul = mul,
    .pointwise = pointwise,
#if defined __AVX512F__
    .depthwise = depthwise_masked,
#else
    .depthwise = depthwise,
#endif
    .interleave = interleave,
    .taps = taps,
    .exp = exp_row,
    .sigmoid = sigmoid_row,
    .normal_cdf = normal_cdf_row,
    .epilogue = epilogue_row,
    .transpose = transpose_rows,
    .fft = fft,
    .dense_rows = dense_rows,
    .dense_cols = dense_cols,
    .sum_rows = sum_rows,
    .maxpool2x2 = maxpool2x2,
    .maxpool2x2_back = maxpool2x2_back,
    .maxpool3 = maxpool3,
};
