/*
** kernels.c - times every layer of VGG16 (224x224), forward and gradient of
** the input, on the fast kernels: milliseconds, and GF/s counted as a direct
** convolution would need them.  For steering work on the kernels; `make
** bench` has the comparison with other programs.
**
**   kernels [batch] [rounds] [threads] [plain]
**
** Dense weights lie [in][out], as imported ones do, or with `plain` [out][in].
*/
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../engine/kernels/kernels.h"

typedef struct layer {
  const char *name;
  int c, k, side; /* side 0: dense, c inputs, k outputs */
  float *x, *w, *b, *y;
  double fwd, bwd; /* best of all rounds, ms */
} layer;

static layer vgg[] = {
    {.name = "conv1_1", .c = 3, .k = 64, .side = 224},
    {.name = "conv1_2", .c = 64, .k = 64, .side = 224},
    {.name = "conv2_1", .c = 64, .k = 128, .side = 112},
    {.name = "conv2_2", .c = 128, .k = 128, .side = 112},
    {.name = "conv3_1", .c = 128, .k = 256, .side = 56},
    {.name = "conv3_2", .c = 256, .k = 256, .side = 56},
    {.name = "conv3_3", .c = 256, .k = 256, .side = 56},
    {.name = "conv4_1", .c = 256, .k = 512, .side = 28},
    {.name = "conv4_2", .c = 512, .k = 512, .side = 28},
    {.name = "conv4_3", .c = 512, .k = 512, .side = 28},
    {.name = "conv5_1", .c = 512, .k = 512, .side = 14},
    {.name = "conv5_2", .c = 512, .k = 512, .side = 14},
    {.name = "conv5_3", .c = 512, .k = 512, .side = 14},
    {.name = "fc1", .c = 25088, .k = 4096},
    {.name = "fc2", .c = 4096, .k = 4096},
    {.name = "predictions", .c = 4096, .k = 1000},
};
enum { LAYERS = sizeof vgg / sizeof *vgg };

static int in_out = 1; /* layout of the weights of dense layers */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Every fourth value 0, or half of them: what a relu leaves. */
static float *fill(int64_t n, int relu) {
  float *p = lun_malloc((size_t)n * sizeof *p);
  if (!p) exit(1);
  for (int64_t i = 0; i < n; i++) {
    float v = (float)((i * 2654435761u >> 7) % 1000) * 1e-3f - 0.5f;
    p[i] = relu && v < 0 ? 0.0f : v;
  }
  return p;
}

static int64_t plane(const layer *l) {
  return l->side ? (int64_t)l->side * l->side : 1;
}

static lun_conv shape(const layer *l, int n) {
  lun_conv s = {.n = n,
                .c = l->c,
                .h = l->side,
                .w = l->side,
                .k = l->k,
                .kh = 3,
                .kw = 3,
                .oh = l->side,
                .ow = l->side,
                .sh = 1,
                .sw = 1,
                .dh = 1,
                .dw = 1,
                .pt = 1,
                .pl = 1,
                .groups = 1};
  return s;
}

static double forward(layer *l, int n) {
  lun_conv s = shape(l, n);
  double t = now();
  if (l->side) {
    lun_conv_forward(&s, l->x, l->w, l->b, l->y, 1, NULL);
  } else {
    lun_linear d = {n, l->c, l->k, in_out};
    lun_linear_forward(&d, l->x, l->w, l->b, l->y, 1, NULL);
  }
  return now() - t;
}

/* dy is the next layer's relu output: about half of it is 0 */
static double backward(layer *l, int n, float *dx) {
  lun_conv s = shape(l, n);
  lun_gate g = {{1, 1, 0, 0}, l->x, plane(l) * l->c * n};
  double t = now();
  if (l->side) {
    lun_conv_backward(&s, l->y, l->w, dx, &g, NULL);
  } else {
    lun_linear d = {n, l->c, l->k, in_out};
    lun_linear_backward(&d, l->y, l->w, dx, &g, NULL, NULL);
  }
  return now() - t;
}

int main(int argc, char **argv) {
  int n = argc > 1 ? atoi(argv[1]) : 1, rounds = argc > 2 ? atoi(argv[2]) : 7;
  double sum[3] = {0}, best[2] = {1e9, 1e9};
  if (argc > 3) lun_set_threads(atoi(argv[3]));
  in_out = argc <= 4;
  float *dx = fill((int64_t)64 * 224 * 224 * n, 0);
  for (layer *l = vgg; l < vgg + LAYERS; l++) {
    l->x = fill(plane(l) * l->c * n, 1);
    l->y = fill(plane(l) * l->k * n, 1);
    l->w = fill((int64_t)l->k * l->c * (l->side ? 9 : 1), 0);
    l->b = fill(l->k, 0);
    l->fwd = l->bwd = 1e9;
  }
  for (int r = 0; r < rounds; r++) {
    double f = 0, b = 0, t;
    for (layer *l = vgg; l < vgg + LAYERS; l++) {
      f += t = forward(l, n);
      if (t < l->fwd) l->fwd = t;
    }
    for (layer *l = vgg + LAYERS; l-- > vgg;) {
      b += t = backward(l, n, dx);
      if (t < l->bwd) l->bwd = t;
    }
    if (f < best[0]) best[0] = f;
    if (f + b < best[1]) best[1] = f + b;
  }
  printf("# isa %s, %d threads, batch %d, best of %d\n", lun_isa(),
         lun_threads(), n, rounds);
  printf("layer\tfwd_ms\tGF/s\tbwd_ms\tGF/s\n");
  for (layer *l = vgg; l < vgg + LAYERS; l++) {
    double gf = 2e-6 * (double)plane(l) * l->c * l->k * n * (l->side ? 9 : 1);
    printf("%s\t%.2f\t%.0f\t%.2f\t%.0f\n", l->name, l->fwd, gf / l->fwd, l->bwd,
           gf / l->bwd);
    sum[0] += l->fwd;
    sum[1] += l->bwd;
  }
  printf("sum\t%.2f\t\t%.2f\n", sum[0], sum[1]);
  printf("best round\t%.2f fwd\t\t%.2f fwd+bwd\n", best[0], best[1]);
  return 0;
}
