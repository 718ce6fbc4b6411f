/*
** test_dense.c - dense layers and matrix products against their naive twins, on
** every instruction set this machine has.
*/
#include "kernelcase.h"

typedef struct dense {
  int n;
  int64_t in, out;
  float *x, *w, *b, *y, *dy, *dx, *dw, *db, *ref;
  float *w_in_out; /* w as (in, out) */
} dense;

static dense dense_new(int n, int64_t in, int64_t out) {
  dense d = {n,
             in,
             out,
             fresh(n * in, 1),
             fresh(in * out, 2),
             fresh(out, 3),
             fresh(n * out, 0),
             fresh(n * out, 4),
             fresh(n * in, 0),
             fresh(in * out, 0),
             fresh(out, 0),
             fresh(most(n * in, most(n * out, in * out)) + out, 0),
             fresh(in * out, 0)};
  for (int64_t i = 0; i < in; i++)
    for (int64_t o = 0; o < out; o++) d.w_in_out[i * out + o] = d.w[o * in + i];
  for (int64_t e = 0; e < n * in; e++) { /* and here */
    if (e % in % 7 == 2 || (e % 3 == 0 && d.x[e] < 0)) d.x[e] = 0.0f;
  }
  for (int64_t e = 0; e < n * out; e++) { /* dead units, whole dead rows */
    if (d.dy[e] < 0 || e % out % 5 == 1) d.dy[e] = 0.0f;
  }
  return d;
}

static void dense_free(dense *d) {
  float *all[] = {d->x,  d->w,  d->b,  d->y,   d->dy,
                  d->dx, d->dw, d->db, d->ref, d->w_in_out};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static int dense_forward(dense *d, int in_out, const float *b, int relu) {
  lun_linear s = {d->n, d->in, d->out, in_out};
  return lun_linear_forward(&s, d->x, in_out ? d->w_in_out : d->w, b, d->y,
                            relu, NULL);
}

static int dense_backward(dense *d, int in_out, const lun_gate *gate,
                          const lun_gate *dead) {
  lun_linear s = {d->n, d->in, d->out, in_out};
  return lun_linear_backward(&s, d->dy, in_out ? d->w_in_out : d->w, d->dx,
                             gate, dead, NULL);
}

/* dw in that layout. */
static int dense_params(dense *d, int in_out) {
  lun_linear s = {d->n, d->in, d->out, in_out};
  return lun_linear_backward_params(&s, d->x, d->dy, d->dw, d->db, NULL);
}

/* Both layouts of the weights. */
#define EACH_LAYOUT for (int in_out = 0; in_out < 2; in_out++)

#define DENSE_NEAR(got, n_, what, d)                                           \
  do {                                                                         \
    double d_ = naive_diff(got, (d)->ref, n_);                                 \
    CHECK(d_ <= TOL, "%s dense %d x %d -> %d %s: %g", lun_isa(), (d)->n,       \
          (int)(d)->in, (int)(d)->out, what, d_);                              \
  } while (0)

static void dense_forward_is_naive(dense *d) {
  for (int mode = 0; mode < 4; mode++) {
    const float *b = mode & 1 ? d->b : NULL;
    naive_linear_forward(d->n, d->in, d->out, d->x, d->w, b, d->ref, mode >> 1);
    EACH_SET EACH_LAYOUT {
      dense_forward(d, in_out, b, mode >> 1);
      DENSE_NEAR(d->y, d->n * d->out, "forward", d);
    }
  }
}

static void dense_backward_is_naive(dense *d) {
  lun_gate gate = {.y = d->x, .size = d->in};
  for (int kind = -1; kind < NAIVE_SLOPES; kind++) {
    gate.slope = naive_slopes[kind < 0 ? 0 : kind];
    const lun_gate *g = kind < 0 ? NULL : &gate;
    naive_linear_backward(d->n, d->in, d->out, d->dy, d->w, d->ref, g);
    EACH_SET EACH_LAYOUT {
      dense_backward(d, in_out, g, NULL);
      DENSE_NEAR(d->dx, d->n * d->in, "backward", d);
    }
  }
}

/* What a later gate lets through is the same with and without its hint. */
static void dead_inputs_do_not_matter(dense *d) {
  lun_gate dead = {naive_slopes[0], d->x, d->n * d->in};
  float *all = fresh(d->n * d->in, 0);
  EACH_SET EACH_LAYOUT {
    int wrong = 0;
    dense_backward(d, in_out, NULL, NULL);
    memcpy(all, d->dx, (size_t)(d->n * d->in) * sizeof *all);
    dense_backward(d, in_out, NULL, &dead);
    for (int64_t e = 0; e < d->n * d->in; e++) {
      wrong += d->x[e] > 0 ? d->dx[e] != all[e]
                           : d->dx[e] != 0.0f && d->dx[e] != all[e];
    }
    CHECK(wrong == 0, "%s dense %d x %d -> %d: %d", lun_isa(), d->n, (int)d->in,
          (int)d->out, wrong);
  }
  free(all);
}

static void dense_is_naive(int n, int64_t in, int64_t out) {
  dense d = dense_new(n, in, out);
  dense_forward_is_naive(&d);
  dense_backward_is_naive(&d);
  dead_inputs_do_not_matter(&d);
  naive_linear_params(n, in, out, d.x, d.dy, d.ref, d.ref + in * out);
  EACH_SET {
    dense_params(&d, 1);
    for (int64_t e = 0; e < in * out; e++) {
      d.w_in_out[e / out + e % out * in] = d.dw[e];
    }
    dense_params(&d, 0);
    CHECK(!memcmp(d.dw, d.w_in_out, (size_t)(in * out) * 4),
          "either layout's gradient");
    DENSE_NEAR(d.dw, in * out, "weights' gradient", &d);
    CHECK(naive_diff(d.db, d.ref + in * out, out) <= TOL, "biases' gradient");
  }
  dense_free(&d);
}

static void dense_shapes(void) {
  static const int size[][3] = {{1, 1, 1},    {1, 17, 5},    {3, 2049, 33},
                                {8, 4100, 9}, {19, 130, 70}, {5, 64, 1000}};
  for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
    dense_is_naive(size[i][0], size[i][1], size[i][2]);
  }
}

/* Images whose dead units differ, more of them than are taken together. */
static void dense_bits_are_fixed(void) {
  enum { N = 21, IN = 2100, OUT = 77 };
  dense a = dense_new(N, IN, OUT), b = dense_new(N, IN, OUT);
  int before = lun_threads();
  EACH_LAYOUT {
    lun_gate g = {naive_slopes[1], a.x, (int64_t)N * IN};
    lun_set_threads(3);
    dense_forward(&a, in_out, a.b, 1);
    dense_backward(&a, in_out, &g, NULL);
    lun_set_threads(1);
    for (int n = 0; n < N; n++) {
      dense one = b;
      one.n = 1;
      one.x += n * IN;
      one.y += n * OUT;
      one.dy += n * OUT;
      one.dx += n * IN;
      g = (lun_gate){naive_slopes[1], one.x, IN};
      dense_forward(&one, in_out, b.b, 1);
      dense_backward(&one, in_out, &g, NULL);
    }
    CHECK(!memcmp(a.y, b.y, N * OUT * 4), "%s forward %d", lun_isa(), in_out);
    CHECK(!memcmp(a.dx, b.dx, N * IN * 4), "%s backward %d", lun_isa(), in_out);
  }
  lun_set_threads(before);
  dense_free(&a);
  dense_free(&b);
}

static void gemm_is_naive(void) {
  enum { M = 150, N = 300, K = 70 };
  dense d = dense_new(M, K, N); /* y = x w' */
  float *c = fresh(M * N, 0), *t = fresh(M * K, 0);
  naive_linear_forward(M, K, N, d.x, d.w, NULL, d.ref, 0);
  lun_gemm(0, 1, M, N, K, d.x, d.w, c, NULL);
  DENSE_NEAR(c, M * N, "gemm", &d);
  for (int i = 0; i < M * K; i++) t[i % K * M + i / K] = d.x[i];
  lun_gemm(1, 1, M, N, K, t, d.w, c, NULL);
  DENSE_NEAR(c, M * N, "transposed gemm", &d);
  free(c);
  free(t);
  dense_free(&d);
}

/* More rows, inputs and outputs than a job takes, and a last panel that is not full;
** the same bits for a row alone and for any number of threads. */
static void rows_are_naive(void) {
  enum { ROWS = 260, IN = 300, OUT = 205 };
  dense d = dense_new(ROWS, IN, OUT), e = dense_new(1, IN, OUT);
  int before = lun_threads();
  naive_linear_forward(ROWS, IN, OUT, d.x, d.w, NULL, d.ref, 0);
  EACH_SET EACH_LAYOUT {
    lun_rows s = {ROWS, IN, OUT, in_out};
    const float *w = in_out ? d.w_in_out : d.w;
    lun_set_threads(3);
    lun_rows_product(&s, d.x, w, d.y, NULL);
    DENSE_NEAR(d.y, ROWS * OUT, "rows", &d);
    lun_set_threads(1);
    s.rows = 1;
    lun_rows_product(&s, d.x + 255 * IN, w, e.y, NULL);
    CHECK(!memcmp(d.y + 255 * OUT, e.y, OUT * 4), "%s: a row alone", lun_isa());
  }
  lun_set_threads(before);
  dense_free(&d);
  dense_free(&e);
}

/* A product over no terms is 0 everywhere, whatever stood there; of no rows or columns
** nothing is written. */
static void gemm_of_nothing_is_zero(void) {
  float a[6] = {1, 2, 3, 4, 5, 6}, c[6];
  for (int i = 0; i < 6; i++) c[i] = NAN;
  CHECK(lun_gemm(0, 0, 2, 3, 0, a, a, c, NULL) == LUN_OK, "no terms");
  for (int i = 0; i < 6; i++) CHECK(c[i] == 0, "%d: %g", i, (double)c[i]);
  c[0] = 7;
  CHECK(lun_gemm(0, 0, 0, 3, 2, a, a, c, NULL) == LUN_OK && c[0] == 7,
        "no rows");
  CHECK(lun_gemm(0, 0, 3, 0, 2, a, a, c, NULL) == LUN_OK && c[0] == 7,
        "no columns");
}

static void interruption_is_reported(void) {
  dense d = dense_new(2, 300, 40);
  lun_interrupt(1);
  EACH_LAYOUT {
    CHECK(dense_forward(&d, in_out, d.b, 0) == LUN_EINTR, "forward");
    CHECK(dense_backward(&d, in_out, NULL, NULL) == LUN_EINTR, "backward");
    CHECK(dense_params(&d, in_out) == LUN_EINTR, "parameters");
  }
  CHECK(lun_gemm(0, 0, 3, 3, 3, d.x, d.w, d.y, NULL) == LUN_EINTR, "gemm");
  lun_interrupt(0);
  dense_free(&d);
}

int main(void) {
  TESTS {
    TEST(dense_shapes());
    TEST(each_set(dense_bits_are_fixed));
    TEST(interruption_is_reported());
    TEST(gemm_is_naive());
    TEST(gemm_of_nothing_is_zero());
    TEST(rows_are_naive());
  }
  DONE("dense layers");
}
