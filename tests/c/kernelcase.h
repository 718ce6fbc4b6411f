/*
** kernelcase.h - what the tests of the kernels share.
**
** Tolerance 1e-5 of the largest value: float32 sums of up to 4608 products
** are good to about 1e-6 of it, Winograd's to 3e-6.
*/
#ifndef KERNELCASE_H
#define KERNELCASE_H
#include "check.h"
#include "naive.h"

#include "../../engine/kernels/simd.h"

#define TOL 1e-5

/* n normal values, or NaN for seed 0: they must be overwritten. */
__attribute__((unused)) static float *fresh(int64_t n, uint64_t seed) {
  float *p = malloc((size_t)(n + 1) * sizeof *p);
  if (seed) {
    lun_random_normal(p, n, 7, seed);
  } else {
    for (int64_t i = 0; i < n; i++) p[i] = NAN;
  }
  return p;
}

__attribute__((unused)) static int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* Runs what follows once for every instruction set of this machine, the best
** one first; the naive twin need not run again. */
#define EACH_SET                                                               \
  for (int set_ = 0; lun_isa_name(set_) && lun_isa_set(lun_isa_name(set_));    \
       set_++)

/* One test on every instruction set: how many tests there are does not depend on
** the machine. */
__attribute__((unused)) static void each_set(void (*test)(void)) {
  EACH_SET { test(); }
  lun_isa_set(NULL);
}

#endif
