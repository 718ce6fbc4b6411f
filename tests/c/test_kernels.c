/*
** test_kernels.c - the fast kernels against their naive twins, on every
** instruction set this machine has.
**
** Tolerance 1e-5 of the largest value: float32 sums of up to 4608 products
** are good to about 1e-6 of it, Winograd's to 3e-6.
*/
#include "check.h"
#include "naive.h"

#include "../../engine/kernels/simd.h"

#define TOL 1e-5

typedef struct layer {
  lun_conv s;
  float *x, *w, *b, *y, *dy, *dx, *dw, *db; /* what the kernels use */
  float *ref;                               /* large enough for any */
} layer;

static float *fresh(int64_t n, uint64_t seed) {
  float *p = malloc((size_t)(n + 1) * sizeof *p);
  if (seed) {
    lun_random_normal(p, n, 7, seed);
  } else {
    for (int64_t i = 0; i < n; i++) p[i] = NAN; /* must be overwritten */
  }
  return p;
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static layer layer_new(lun_conv s) {
  int64_t in = naive_in(&s), out = naive_out(&s), nw = naive_weights(&s);
  layer l = {s,
             fresh(in, 1),
             fresh(nw, 2),
             fresh(s.k, 3),
             fresh(out, 0),
             fresh(out, 4),
             fresh(in, 0),
             fresh(nw, 0),
             fresh(s.k, 0),
             fresh(most(in, most(out, nw)) + s.k, 0)};
  return l;
}

static void layer_free(layer *l) {
  float *all[] = {l->x, l->w, l->b, l->y, l->dy, l->dx, l->dw, l->db, l->ref};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static char *shape_text(const lun_conv *s) {
  static char t[200];
  snprintf(t, sizeof t, "%s n%d c%d %dx%d k%d %dx%d s%d,%d d%d,%d p%d,%d g%d",
           lun_isa(), s->n, s->c, s->h, s->w, s->k, s->kh, s->kw, s->sh, s->sw,
           s->dh, s->dw, s->pt, s->pl, s->groups);
  return t;
}

#define NEAR(got, want, n, what, l)                                            \
  do {                                                                         \
    double d_ = naive_diff(got, want, n);                                      \
    CHECK(d_ <= TOL, "%s %s: %g", shape_text(&(l)->s), what, d_);              \
  } while (0)

static void forward_is_naive(layer *l) {
  for (int mode = 0; mode < 4; mode++) {
    const float *b = mode & 1 ? l->b : NULL;
    int st = lun_conv_forward(&l->s, l->x, l->w, b, l->y, mode >> 1, NULL);
    CHECK(st == LUN_OK, "status %d", st);
    naive_conv_forward(&l->s, l->x, l->w, b, l->ref, mode >> 1);
    NEAR(l->y, l->ref, naive_out(&l->s), mode & 2 ? "relu" : "forward", l);
  }
}

static void backward_is_naive(layer *l) {
  int64_t in = naive_in(&l->s);
  lun_gate gate = {.leak = 0.25f, .y = l->x};
  for (int kind = -1; kind <= (int)LUN_GATE_LEAK; kind++) {
    gate.kind = (lun_gate_kind)(kind < 0 ? 0 : kind);
    gate.size = in / l->s.n; /* so that n > 1 means several copies */
    const lun_gate *g = kind < 0 ? NULL : &gate;
    lun_conv_backward(&l->s, l->dy, l->w, l->dx, g, NULL);
    naive_conv_backward(&l->s, l->dy, l->w, l->ref, NULL);
    /* a rounding may flip a sign gate, which changes little: the gates are
    ** continuous in dy */
    for (int64_t e = 0; e < in; e++) l->ref[e] = naive_gate(g, e, l->ref[e]);
    NEAR(l->dx, l->ref, in, kind < 0 ? "backward" : "gated backward", l);
  }
}

static void params_are_naive(layer *l) {
  float *db = l->ref + naive_weights(&l->s);
  lun_conv_backward_params(&l->s, l->x, l->dy, l->dw, l->db, NULL);
  naive_conv_params(&l->s, l->x, l->dy, l->ref, db);
  NEAR(l->dw, l->ref, naive_weights(&l->s), "weights' gradient", l);
  NEAR(l->db, db, l->s.k, "biases' gradient", l);
}

static double inner(const float *a, const float *b, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += (double)a[i] * (double)b[i];
  return s;
}

/* <conv x, dy> = <x, conv' dy>, to float32 rounding of the larger norm. */
static void backward_is_the_adjoint(layer *l) {
  int64_t in = naive_in(&l->s), out = naive_out(&l->s);
  lun_conv_forward(&l->s, l->x, l->w, NULL, l->y, 0, NULL);
  lun_conv_backward(&l->s, l->dy, l->w, l->dx, NULL, NULL);
  double a = inner(l->y, l->dy, out), b = inner(l->x, l->dx, in);
  double scale = sqrt(inner(l->y, l->y, out) * inner(l->dy, l->dy, out));
  CHECK(fabs(a - b) <= 1e-5 * scale + 1e-12, "%s: %g and %g", shape_text(&l->s),
        a, b);
}

static void check_shape(lun_conv s) {
  layer l = layer_new(s);
  forward_is_naive(&l);
  backward_is_naive(&l);
  params_are_naive(&l);
  backward_is_the_adjoint(&l);
  layer_free(&l);
}

static lun_conv square(int n, int c, int h, int w, int k, int size, int pad) {
  lun_conv s = {.n = n,
                .c = c,
                .h = h,
                .w = w,
                .k = k,
                .kh = size,
                .kw = size,
                .sh = 1,
                .sw = 1,
                .dh = 1,
                .dw = 1,
                .pt = pad,
                .pl = pad,
                .groups = 1};
  return naive_shape(s, pad, pad);
}

static void three_by_three_shapes(void) {
  static const int side[] = {1, 5, 13, 14, 17, 28};
  static const int chan[] = {3, 8, 16, 20, 48};
  for (int i = 0; i < 6; i++)
    for (int j = 0; j < 5; j++) {
      int h = side[i], w = side[(i + j) % 6], c = chan[j];
      check_shape(square(1 + 2 * (j & 1), c, h, w, chan[(i + j) % 5], 3, 1));
      check_shape(square(1, c, h + 2, w + 2, chan[(i + 2 * j) % 5], 3, 0));
      check_shape(square(1, c, h, w, 8, 3, 2));
    }
}

static void general_shapes(void) {
  static const lun_conv s[] = {
      /* n c  h   w   k kh kw oh ow sh sw dh dw pt pl groups */
      {2, 3, 23, 19, 20, 7, 7, 0, 0, 2, 2, 1, 1, 3, 3, 1},
      {1, 16, 13, 14, 48, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1},
      {3, 48, 14, 9, 16, 1, 1, 0, 0, 2, 2, 1, 1, 0, 0, 1},
      {1, 20, 17, 17, 8, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 1},
      {1, 8, 17, 28, 20, 3, 3, 0, 0, 1, 1, 2, 2, 2, 2, 1},
      {2, 16, 11, 12, 16, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 16},
      {2, 16, 11, 12, 32, 3, 3, 0, 0, 2, 1, 1, 1, 1, 1, 4},
      {1, 6, 9, 15, 9, 2, 5, 0, 0, 3, 1, 1, 2, 1, 0, 3},
      {1, 3, 31, 29, 16, 11, 11, 0, 0, 4, 4, 1, 1, 2, 2, 1},
      {1, 5, 5, 5, 7, 5, 5, 0, 0, 1, 1, 1, 1, 0, 0, 1},
  };
  for (size_t i = 0; i < sizeof s / sizeof *s; i++) {
    check_shape(naive_shape(s[i], s[i].pt, s[i].pl));
    check_shape(naive_shape(s[i], s[i].pt + 1, s[i].pl)); /* asymmetric */
  }
}

int main(void) {
  for (int i = 0; lun_isa_name(i); i++) {
    CHECK(lun_isa_set(lun_isa_name(i)), "%s", lun_isa_name(i));
    three_by_three_shapes();
    general_shapes();
  }
  DONE("kernels");
}
