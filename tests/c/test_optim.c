/*
** test_optim.c - optimisers against the same formulas in double precision, and
** pasting against a naive loop, its edges included.
*/
#include <stdint.h>

#include "../../engine/lunette.h"
#include "check.h"

enum { N = 37, STEPS = 6 };

/* Float32 steps against double: a few roundings a step, relative 1e-6 each. */
static void close_to(const char *what, const float *p, const double *want) {
  for (int i = 0; i < N; i++)
    CHECK(fabs((double)p[i] - want[i]) <= 1e-5 * (1 + fabs(want[i])),
          "%s %d: %g, expected %g", what, i, (double)p[i], want[i]);
}

static void test_adam(void) {
  float p[N], g[N], m[N] = {0}, v[N] = {0};
  double wp[N], wm[N] = {0}, wv[N] = {0};
  lun_adam o = {.rate = 0.05,
                .beta1 = 0.9,
                .beta2 = 0.99,
                .eps = 1e-4,
                .decay = 0.2,
                .scale = 0.5};
  lun_random_normal(p, N, 1, 1);
  for (int i = 0; i < N; i++) wp[i] = (double)p[i];
  for (int t = 1; t <= STEPS; t++) {
    lun_random_normal(g, N, 2, (uint64_t)t);
    o.step = t;
    lun_adam_step(N, p, g, m, v, &o);
    for (int i = 0; i < N; i++) {
      double gi = 0.5 * (double)g[i];
      wm[i] = 0.9 * wm[i] + 0.1 * gi;
      wv[i] = 0.99 * wv[i] + 0.01 * gi * gi;
      wp[i] -=
          0.05 * 0.2 * wp[i] + 0.05 * (wm[i] / (1 - pow(0.9, t))) /
                                   (sqrt(wv[i] / (1 - pow(0.99, t))) + 1e-4);
    }
  }
  close_to("adam", p, wp);
}

static void test_sgd(void) {
  float p[N], g[N], v[N] = {0};
  double wp[N], wv[N] = {0};
  lun_random_normal(p, N, 3, 1);
  for (int i = 0; i < N; i++) wp[i] = (double)p[i];
  for (int t = 1; t <= STEPS; t++) {
    lun_random_normal(g, N, 4, (uint64_t)t);
    lun_sgd_step(N, p, g, v, 0.1, 0.7, 0.3, 2);
    for (int i = 0; i < N; i++) {
      wv[i] = 0.7 * wv[i] + 2 * (double)g[i] + 0.3 * wp[i];
      wp[i] -= 0.1 * wv[i];
    }
  }
  close_to("sgd", p, wp);
}

/* Every place of a (2,3) part in (2,4,5), and those just outside. */
static void test_paste(void) {
  lun_tensor *t, *part;
  lun_err err;
  if (lun_tensor_new(&t, 3, (int64_t[]){2, 4, 5}, &err) != LUN_OK ||
      lun_tensor_new(&part, 3, (int64_t[]){2, 2, 3}, &err) != LUN_OK)
    abort();
  for (int i = 0; i < 12; i++) part->data[i] = (float)(i + 1);
  for (int row = -1; row <= 3; row++)
    for (int col = -1; col <= 3; col++) {
      int fits = row >= 0 && row <= 2 && col >= 0 && col <= 2, wrong = 0;
      memset(t->data, 0, 40 * sizeof(float));
      int st = lun_tensor_paste(t, part, row, col, &err);
      CHECK((st == LUN_OK) == fits, "row %d column %d: %d", row, col, st);
      for (int c = 0; c < 2; c++)
        for (int y = 0; y < 4; y++)
          for (int x = 0; x < 5; x++) {
            int in = fits && y >= row && y < row + 2 && x >= col && x < col + 3;
            float want =
                in ? (float)(1 + (c * 2 + y - row) * 3 + x - col) : 0.0f;
            wrong += t->data[(c * 4 + y) * 5 + x] != want;
          }
      CHECK(wrong == 0, "row %d column %d: %d values", row, col, wrong);
    }
  CHECK(lun_tensor_paste(t, part, INT64_MAX, 0, &err) == LUN_ESHAPE, "far");
  lun_tensor_release(part);
  lun_tensor_release(t);
}

int main(void) {
  TESTS {
    TEST(test_adam());
    TEST(test_sgd());
    TEST(test_paste());
  }
  DONE("optim");
}
