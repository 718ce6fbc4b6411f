/*
** isa.c - which instruction set the fast kernels use: the best one that this
** processor has, or the one that LUNETTE_ISA names.
*/
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "simd.h"

static _Atomic(const lun_simd *) chosen;

/* The i-th set this machine runs, best first; NULL past the end. */
static const lun_simd *available(int i) {
  const lun_simd *list[4] = {0};
  int n = 0;
#if defined __x86_64__
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq")) {
    list[n++] = &lun_simd_avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    list[n++] = &lun_simd_avx2;
  }
#endif
  list[n++] = &lun_simd_generic;
  return i < n ? list[i] : NULL;
}

static const lun_simd *find(const char *name) {
  const lun_simd *s;
  for (int i = 0; name && (s = available(i)); i++) {
    if (strcmp(s->name, name) == 0) return s;
  }
  return name && strcmp(name, "generic") == 0 ? &lun_simd_generic : NULL;
}

const lun_simd *lun_simd_now(void) {
  const lun_simd *s = atomic_load(&chosen);
  if (s) return s;
  s = find(getenv("LUNETTE_ISA"));
  if (!s) s = available(0); /* none named, or one this machine lacks */
  atomic_store(&chosen, s);
  return s;
}

int lun_isa_set(const char *name) {
  const lun_simd *s = name ? find(name) : available(0);
  if (s) atomic_store(&chosen, s);
  return s != NULL;
}

const char *lun_isa_name(int i) {
  const lun_simd *s = available(i);
  return s ? s->name : NULL;
}

const char *lun_isa(void) { return lun_simd_now()->name; }
