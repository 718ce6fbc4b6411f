/*
** hash_weights.c - writes a full-size VGG16 whose weights come from a formula,
** so that tests need no download:  hash_weights SEED FILE [plain]
** Dense weights are (in, out), as those of imported files are, or plain:
** (out, in).
**
** Parameter i, element j (OIHW order): u = splitmix64((seed*1000 + i) * 2^32 +
** j) >> 40, over 2^24; weight (2u-1) sqrt(6 / fan_in), bias 0.1 (2u-1).
*/
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../engine/lunette.h"

enum { PARAMS = 32 };

static double unit(uint64_t stream, uint64_t j) {
  uint64_t x = (stream << 32) + j + 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return (double)((x ^ (x >> 31)) >> 40) * 0x1p-24;
}

typedef struct filling {
  float *p;
  int64_t n;
  uint64_t stream;
  double scale;
  int64_t in, out; /* of a dense weight (in, out); 0: filled in order */
} filling;

enum { CHUNK = 1 << 20 };

static void fill(void *arg, int64_t job) {
  const filling *f = arg;
  int64_t i = job * CHUNK, end = i + CHUNK < f->n ? i + CHUNK : f->n;
  for (; i < end; i++) {
    int64_t at = f->out ? i % f->in * f->out + i / f->in : i;
    f->p[at] = (float)((2 * unit(f->stream, (uint64_t)i) - 1) * f->scale);
  }
}

/* Parameter i: OIHW, a dense one (out, in), or of shape (in, out). */
static lun_tensor *parameter(uint64_t seed, int i, int ndim, const int64_t *dim,
                             int in_out) {
  int64_t swapped[2] = {dim[ndim - 1], dim[0]};
  lun_err err;
  lun_tensor *t;
  filling f;
  if (lun_tensor_new(&t, ndim, in_out ? swapped : dim, &err) != LUN_OK) {
    fprintf(stderr, "%s\n", err.msg);
    exit(1);
  }
  f = (filling){t->data, t->size, seed * 1000 + (uint64_t)i, 0.1, 0, 0};
  if (in_out) f.in = dim[1], f.out = dim[0];
  if (ndim > 1) f.scale = sqrt(6 / (double)(t->size / dim[0]));
  lun_parallel((t->size + CHUNK - 1) / CHUNK, fill, &f);
  return t;
}

int main(int argc, char **argv) {
  static const int depth[5] = {2, 2, 3, 3, 3},
                   width[5] = {64, 128, 256, 512, 512};
  static const int64_t fc[4] = {25088, 4096, 4096, 1000};
  static const char *const dense[3] = {"fc1", "fc2", "predictions"};
  static char name[PARAMS][40];
  const char *names[PARAMS];
  lun_tensor *t[PARAMS];
  uint64_t seed;
  int64_t in = 3;
  static const char *const meta[] = {
      "lunette_turned",
      "[\"fc1.weight\",\"fc2.weight\",\"predictions.weight\"]", NULL};
  int n = 0;
  lun_err err;
  if (argc != 3 && (argc != 4 || strcmp(argv[3], "plain") != 0))
    return fprintf(stderr, "hash_weights SEED FILE [plain]\n"), 64;
  seed = strtoull(argv[1], NULL, 10);
  for (int b = 0; b < 5; b++)
    for (int c = 1; c <= depth[b]; c++, n += 2, in = width[b]) {
      int64_t w[4] = {width[b], in, 3, 3};
      snprintf(name[n], sizeof *name, "block%d_conv%d.weight", b + 1, c);
      snprintf(name[n + 1], sizeof *name, "block%d_conv%d.bias", b + 1, c);
      t[n] = parameter(seed, n, 4, w, 0);
      t[n + 1] = parameter(seed, n + 1, 1, w, 0);
    }
  for (int i = 0; i < 3; i++, n += 2) {
    int64_t w[2] = {fc[i + 1], fc[i]};
    snprintf(name[n], sizeof *name, "%s.weight", dense[i]);
    snprintf(name[n + 1], sizeof *name, "%s.bias", dense[i]);
    t[n] = parameter(seed, n, 2, w, argc == 3);
    t[n + 1] = parameter(seed, n + 1, 1, w, 0);
  }
  for (int i = 0; i < n; i++) names[i] = name[i];
  if (lun_weights_write(argv[2], n, names, t, LUN_F32, argc == 3 ? meta : NULL,
                        &err) != LUN_OK)
    return fprintf(stderr, "%s\n", err.msg), 1;
  return 0;
}
