/*
** machine.c - what this machine can do, the limits that docs/performance.md
** measures against:  bench_machine [THREADS]
**
** Prints, for one thread and for THREADS (2), the best of several rounds:
** multiply-adds of the kernel on operands in the first level cache; memory
** read, far more than caches hold; and how long a cache line takes from one
** processor to another and back.
*/
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../engine/kernels/simd.h"

enum {
  ROUNDS = 9,
  ROWS = 12,           /* what every kernel takes in groups without rest */
  DEPTH = 64,          /* 8 KB of B */
  CALLS = 20000,       /* of the kernel, a thread */
  CHUNK = 1 << 20,     /* floats a job reads */
  CHUNKS = 96,         /* 400 MB */
  ROUND_TRIPS = 200000 /* of a line */
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of the fastest of several loops. */
static double best(int64_t jobs, lun_job *fn, void *arg) {
  double least = 1e9;
  for (int r = 0; r < ROUNDS; r++) {
    double t = now();
    lun_parallel(jobs, fn, arg);
    t = now() - t;
    if (t < least) least = t;
  }
  return least;
}

static void multiply(void *arg, int64_t job) {
  const lun_simd *isa = arg;
  _Alignas(64) float a[ROWS * DEPTH], b[DEPTH * 32], m[ROWS * 32];
  (void)job;
  memset(a, 0, sizeof a);
  memset(b, 0, sizeof b);
  for (int i = 0; i < CALLS; i++)
    isa->mul(&(lun_product){.rows = ROWS,
                            .nk = isa->panel,
                            .depth = DEPTH,
                            .a = a,
                            .b = b,
                            .m = m,
                            .as = DEPTH,
                            .bs = isa->panel,
                            .ms = isa->panel});
}

static void read_chunk(void *arg, int64_t job) {
  const int64_t *p = (const int64_t *)arg + job * (CHUNK / 2);
  int64_t sum[8] = {0};
  for (int64_t i = 0; i < CHUNK / 2; i += 8)
    for (int k = 0; k < 8; k++) sum[k] += p[i + k];
  for (int k = 1; k < 8; k++) sum[0] += sum[k];
  if (sum[0] != 0) abort(); /* and so it must be read */
}

static atomic_int ball;

static void *rally(void *arg) {
  int side = *(const int *)arg;
  for (int i = 0; i < ROUND_TRIPS; i++) {
    while (atomic_load(&ball) != 2 * i + side) {
    }
    atomic_store(&ball, 2 * i + side + 1);
  }
  return NULL;
}

static double round_trip(void) {
  pthread_t other;
  int sides[2] = {0, 1};
  if (pthread_create(&other, NULL, rally, sides + 1) != 0) return 0;
  double t = now();
  rally(sides);
  pthread_join(other, NULL);
  return (now() - t) / ROUND_TRIPS;
}

static void line(int threads, float *memory) {
  const lun_simd *isa = lun_simd_now();
  union {
    const lun_simd *from;
    void *to;
  } arg = {isa};
  lun_set_threads(threads);
  threads = lun_threads();
  double flops = 2.0 * ROWS * isa->panel * DEPTH * CALLS * threads;
  double t = best(threads, multiply, arg.to);
  double bytes = (double)CHUNKS * CHUNK * sizeof(float);
  printf("%d\t%.0f\t%.1f\n", threads, 1e-9 * flops / t,
         1e-9 * bytes / best(CHUNKS, read_chunk, memory));
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 2;
  float *memory = lun_malloc(sizeof(float) * CHUNK * CHUNKS);
  if (!memory || threads < 1) return fprintf(stderr, "no memory\n"), 1;
  memset(memory, 0, sizeof(float) * CHUNK * CHUNKS);
  printf("# isa %s\nthreads\tGF/s\tread GB/s\n", lun_isa());
  line(1, memory);
  if (threads > 1) line(threads, memory);
  printf("# a line there and back: %.0f ns\n", 1e9 * round_trip());
  lun_free(memory);
  return 0;
}
