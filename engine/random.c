/*
** random.c - random numbers by a counter: number i of a stream is a function of
** (seed, stream, i), so workers make them in any order and number 5 is the same
** whether 10 or 1000 are asked for.
*/
#include <math.h>
#include <string.h>

#include "lunette.h"

/* SplitMix64's output function (Steele, Lea, Flood 2014): a counter goes in,
** 64 well mixed bits come out. */
static uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

static uint64_t key_of(uint64_t seed, uint64_t stream) {
  return mix(mix(seed) ^ (stream * 0xD1342543DE82EF95u + 1));
}

static double unit(uint64_t key, uint64_t i) {
  return (double)(mix(key + i * 0x9E3779B97F4A7C15u) >> 11) * 0x1p-53;
}

void lun_random_uniform(float *out, int64_t n, uint64_t seed, uint64_t stream) {
  uint64_t key = key_of(seed, stream);
  for (int64_t i = 0; i < n; i++) /* 24 bits: never rounds up to 1 */
    out[i] =
        (float)(mix(key + (uint64_t)i * 0x9E3779B97F4A7C15u) >> 40) * 0x1p-24f;
}

typedef struct normals {
  float *out;
  int64_t n;
  uint64_t key;
} normals;

enum { NORMALS = 1 << 14 }; /* even: two come from two uniform numbers */

static void normal_chunk(void *arg, int64_t job) {
  const normals *j = arg;
  int64_t i = job * NORMALS, end = i + NORMALS < j->n ? i + NORMALS : j->n;
  for (; i < end; i += 2) {
    double r = sqrt(-2 * log(1 - unit(j->key, (uint64_t)i)));
    double a = 6.283185307179586 * unit(j->key, (uint64_t)i + 1);
    j->out[i] = (float)(r * cos(a));
    if (i + 1 < end) j->out[i + 1] = (float)(r * sin(a));
  }
}

void lun_random_normal(float *out, int64_t n, uint64_t seed, uint64_t stream) {
  normals j = {out, n, key_of(seed, stream)};
  if (lun_parallel((n + NORMALS - 1) / NORMALS, normal_chunk, &j) != LUN_OK)
    memset(out, 0, (size_t)n * sizeof *out); /* interrupted: nothing random */
}
