/*
** half.c - numbers of 16 bits: float16 (1 sign, 5 exponent, 10 mantissa bits) and
** bfloat16 (the upper half of a float32).
*/
#include <string.h>

#include "lunette.h"

static uint32_t bits_of(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static float float_of(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

float lun_half_to_float(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = (h >> 10) & 31,
           m = h & 0x3FF;
  if (e == 31) return float_of(sign | 0x7F800000u | m << 13); /* inf, NaN */
  if (e) return float_of(sign | (e + 112) << 23 | m << 13);
  return float_of(sign | bits_of((float)m * 0x1p-24f)); /* subnormal */
}

uint16_t lun_float_to_half(float x) {
  uint32_t u = bits_of(x), sign = (u >> 16) & 0x8000, a = u & 0x7FFFFFFF;
  if (a > 0x7F800000u) return (uint16_t)(sign | 0x7E00);  /* NaN */
  if (a >= 0x477FF000u) return (uint16_t)(sign | 0x7C00); /* to infinity */
  if (a < 0x38800000u) /* subnormal: adding 2^-1 lines its bits up */
    return (uint16_t)(sign | (bits_of(float_of(a) + 0.5f) - 0x3F000000u));
  a += 0xFFF + ((a >> 13) & 1); /* nearest, ties to even */
  return (uint16_t)(sign | ((a - 0x38000000u) >> 13));
}

float lun_bfloat_to_float(uint16_t h) { return float_of((uint32_t)h << 16); }
