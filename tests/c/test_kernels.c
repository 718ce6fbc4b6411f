/*
** test_kernels.c - convolutions against their naive twins, on every instruction
** set this machine has.  Dense layers: test_dense.c.
*/
#include "kernelcase.h"

typedef struct layer {
  lun_conv s;
  float *x, *w, *b, *y, *dy, *dx, *dw, *db; /* what the kernels use */
  float *ref;                               /* large enough for any */
} layer;

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
    if (mode == 2) continue; /* relu without bias: nothing new */
    if (mode == 3)           /* of the sums just made */
      for (int64_t i = 0; i < naive_out(&l->s); i++)
        l->ref[i] = l->ref[i] > 0 ? l->ref[i] : 0;
    else
      naive_conv_forward(&l->s, l->x, l->w, b, l->ref, 0);
    EACH_SET {
      int st = lun_conv_forward(&l->s, l->x, l->w, b, l->y, mode >> 1, NULL);
      CHECK(st == LUN_OK, "status %d", st);
      NEAR(l->y, l->ref, naive_out(&l->s), mode & 2 ? "relu" : "forward", l);
    }
  }
}

/* The gate's y is one image's: n > 1 means several copies. */
static void backward_is_naive(layer *l) {
  int64_t in = naive_in(&l->s);
  lun_gate gate = {.y = l->x, .size = in / l->s.n};
  float *plain = fresh(in, 0), *add = fresh(in, 0);
  naive_conv_backward(&l->s, l->dy, l->w, plain, NULL);
  for (int kind = -1; kind < NAIVE_SLOPES; kind++) {
    gate.slope = naive_slopes[kind < 0 ? 0 : kind];
    const lun_gate *g = kind < 0 ? NULL : &gate;
    /* all gates are continuous in dy: rounding cannot flip anything large */
    for (int64_t e = 0; e < in; e++) l->ref[e] = naive_gate(g, e, plain[e]);
    EACH_SET {
      lun_conv_backward(&l->s, l->dy, l->w, l->dx, g, NULL);
      NEAR(l->dx, l->ref, in, kind < 0 ? "backward" : "gated backward", l);
    }
    if (kind > 1) continue;
    /* a summand, which the gate is of too: of the gradient's sign, so that nothing
    ** cancels */
    for (int64_t e = 0; e < in; e++) {
      add[e] = copysignf(l->x[e], plain[e]);
      l->ref[e] = naive_gate(g, e, plain[e] + add[e]);
    }
    EACH_SET {
      lun_conv_backward_add(&l->s, l->dy, l->w, l->dx, add, g, NULL);
      NEAR(l->dx, l->ref, in, "backward with a summand", l);
    }
  }
  free(add);
  free(plain);
}

/* The layer, its relu and a 2x2 pooling in one pass: to the bit what one after
** the other gives, winners too. */
static void pooled_is_unfused(layer *l) {
  const lun_conv *s = &l->s;
  int64_t h = s->oh / 2, w = s->ow / 2, all = (int64_t)s->n * s->k * h * w;
  float *y = fresh(all, 0);
  uint8_t *tap = calloc(1, (size_t)all + 1), *want = calloc(1, (size_t)all + 1);
  if (!lun_conv_pools(s)) {
    CHECK(s->kh != 3 || s->sh != 1 || s->sw != 1 || s->dh != 1 ||
              s->groups != 1 || lun_direct3x3_fits(s->c, s->k),
          "%s does not pool", shape_text(s));
  } else {
    EACH_SET {
      const float *b = set_ ? NULL : l->b;
      lun_conv_forward(s, l->x, l->w, b, l->y, 1, NULL);
      for (int64_t r = 0; r < (int64_t)s->n * s->k * h; r++) {
        const float *top = l->y + (r / h * s->oh + 2 * (r % h)) * s->ow;
        lun_simd_now()->maxpool2x2(top, top + s->ow, l->ref + r * w,
                                   want + r * w, w);
      }
      int st = lun_conv_forward_pooled(s, l->x, l->w, b, y, tap, NULL);
      CHECK(st == LUN_OK, "status %d", st);
      CHECK(!memcmp(y, l->ref, (size_t)all * 4), "%s maxima", shape_text(s));
      CHECK(!memcmp(tap, want, (size_t)all), "%s winners", shape_text(s));
    }
  }
  free(want);
  free(tap);
  free(y);
}

static void params_are_naive(layer *l) {
  float *db = l->ref + naive_weights(&l->s);
  naive_conv_params(&l->s, l->x, l->dy, l->ref, db);
  EACH_SET {
    lun_conv_backward_params(&l->s, l->x, l->dy, l->dw, l->db, NULL);
    NEAR(l->dw, l->ref, naive_weights(&l->s), "weights' gradient", l);
    NEAR(l->db, db, l->s.k, "biases' gradient", l);
  }
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
  pooled_is_unfused(&l);
  backward_is_naive(&l);
  params_are_naive(&l);
  EACH_SET backward_is_the_adjoint(&l);
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

static void few_channels(void) {
  for (int k = 1; k <= 4; k++)
    for (int pad = 0; pad <= 3; pad++) {
      check_shape(square(2, 7, 9, 37, k, 3, pad));
      check_shape(square(1 + k % 2, k, 14, 16 + 9 * pad, 11, 3, pad));
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
      {1, 3, 61, 70, 32, 5, 5, 0, 0, 2, 2, 1, 1, 2, 2, 1},
      {1, 30, 33, 47, 3, 5, 5, 0, 0, 2, 2, 1, 1, 1, 2, 1},
      {2, 10, 21, 50, 10, 7, 7, 0, 0, 2, 2, 1, 1, 3, 2, 10},
      {2, 8, 13, 36, 8, 3, 3, 0, 0, 2, 2, 1, 1, 0, 2, 8},
      {1, 11, 9, 35, 11, 7, 7, 0, 0, 1, 1, 1, 1, 3, 3, 11},
      {2, 150, 9, 11, 80, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 1},
      {1, 3, 22, 27, 7, 6, 5, 0, 0, 5, 5, 1, 1, 2, 1, 1},
      {2, 3, 16, 20, 12, 4, 4, 0, 0, 4, 4, 1, 1, 0, 0, 1},
      {1, 6, 13, 16, 70, 3, 3, 0, 0, 3, 2, 1, 1, 1, 1, 1},
      {1, 8, 1, 9, 6, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 2},
      {2, 8, 13, 21, 7, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
      {1, 5, 17, 19, 4, 3, 3, 0, 0, 2, 2, 2, 2, 2, 2, 1},
      {2, 5, 9, 1, 5, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 5}, /* one column */
      {2, 5, 1, 9, 5, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 5},
      {1, 4, 2, 2, 4, 5, 5, 0, 0, 2, 2, 1, 1, 2, 2, 4}, /* one place */
  };
  for (size_t i = 0; i < sizeof s / sizeof *s; i++) {
    check_shape(naive_shape(s[i], s[i].pt, s[i].pl));
    check_shape(naive_shape(s[i], s[i].pt + 1, s[i].pl)); /* asymmetric */
  }
}

/* Few channels of each kernel, stride and number of groups: where whole vectors are
** read of weights or rows that are shorter than one, the end of the array is near. */
static void narrow_layers_are_naive(void) {
  static const int kernel[] = {1, 3, 5};
  for (int c = 1; c <= 9; c++)
    for (int k = 1; k <= 9; k++)
      for (int i = 0; i < 12; i++) {
        int f = kernel[i % 3], stride = 1 + i / 3 % 2, groups = 1 + i / 6;
        lun_conv s = {2,      c * groups, 5, 7, k * groups, f,     f,     0, 0,
                      stride, stride,     1, 1, f / 2,      f / 2, groups};
        check_shape(naive_shape(s, s.pt, s.pl));
      }
}

/* ---- same bits ---------------------------------------------------------- */

/* Layers of every plan: whole, panels (of one and two chunks of channels), few
** outputs, few inputs and few of both of winograd.c, gathers of all kinds (1x1, also of more
** channels than are multiplied at a time, of more places than are packed, strided, grouped, depthwise of 3x3, 5x5 and
** 7x7, also of more rows than a band has, narrower than a vector, strided; gradients of
** several parts of channels, of more phases than are computed together, of rows of
** which there is one, of phases without a tap). */
static int every_plan(int i, lun_conv *s) {
  static const lun_conv all[] = {
      {3, 20, 29, 33, 48, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
      {3, 160, 14, 14, 144, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
      {2, 272, 14, 9, 80, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
      {3, 7, 18, 37, 2, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
      {3, 3, 18, 37, 21, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
      {3, 48, 15, 14, 130, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1},
      {3, 16, 28, 28, 40, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 1},
      {3, 8, 19, 17, 12, 5, 5, 0, 0, 1, 1, 1, 1, 2, 2, 4},
      {2, 300, 9, 11, 20, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1},
      {2, 270, 13, 8, 24, 1, 1, 0, 0, 2, 2, 1, 1, 0, 0, 1},
      {1, 34, 12, 60, 20, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 2},
      {2, 40, 15, 17, 40, 7, 7, 0, 0, 1, 1, 1, 1, 3, 3, 40},
      {2, 36, 16, 19, 36, 5, 5, 0, 0, 2, 2, 1, 1, 2, 2, 36},
      {1, 32, 70, 66, 32, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 32},
      {3, 24, 7, 5, 24, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 24},
      {2, 12, 30, 41, 12, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 12},
      {2, 9, 90, 23, 9, 5, 5, 0, 0, 1, 1, 1, 1, 2, 1, 9},
      {2, 20, 7, 7, 150, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1},
      {2, 6, 10, 13, 5, 3, 3, 0, 0, 1, 2, 1, 1, 1, 1, 1},
      {2, 270, 15, 15, 40, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1},
      {2, 9, 20, 31, 25, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1},
      {2, 40, 9, 22, 20, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 1},
      {1, 3, 61, 70, 32, 5, 5, 0, 0, 2, 2, 1, 1, 2, 2, 1},
      {1, 30, 33, 47, 3, 5, 5, 0, 0, 2, 2, 1, 1, 1, 2, 1},
      {2, 10, 21, 50, 10, 7, 7, 0, 0, 2, 2, 1, 1, 3, 2, 10},
      {2, 8, 13, 36, 8, 3, 3, 0, 0, 2, 2, 1, 1, 0, 2, 8},
      {1, 11, 9, 35, 11, 7, 7, 0, 0, 1, 1, 1, 1, 3, 3, 11},
      {2, 150, 9, 11, 80, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 1},
      {1, 3, 22, 27, 7, 6, 5, 0, 0, 5, 5, 1, 1, 2, 1, 1},
      {2, 3, 16, 20, 12, 4, 4, 0, 0, 4, 4, 1, 1, 0, 0, 1},
      {1, 6, 13, 16, 70, 3, 3, 0, 0, 3, 2, 1, 1, 1, 1, 1},
      {1, 8, 1, 9, 6, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 2},
      {2, 8, 13, 21, 7, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
      {1, 5, 17, 19, 4, 3, 3, 0, 0, 2, 2, 2, 2, 2, 2, 1},
  };
  if (i >= (int)(sizeof all / sizeof *all)) return 0;
  *s = naive_shape(all[i], all[i].pt, all[i].pl);
  return 1;
}

static void every_plan_is_naive(void) {
  lun_conv s;
  for (int i = 0; every_plan(i, &s); i++) {
    layer l = layer_new(s);
    forward_is_naive(&l);
    backward_is_naive(&l);
    l.x[naive_in(&s) / 2] = NAN; /* one wins its windows */
    pooled_is_unfused(&l);
    layer_free(&l);
  }
}

static void run_layer(layer *l, int params) {
  lun_gate g = {naive_slopes[5], l->x, naive_in(&l->s)};
  lun_conv_forward(&l->s, l->x, l->w, l->b, l->y, 1, NULL);
  lun_conv_backward(&l->s, l->dy, l->w, l->dx, &g, NULL);
  if (params) lun_conv_backward_params(&l->s, l->x, l->dy, l->dw, l->db, NULL);
}

static void threads_do_not_change_bits(void) {
  static const int threads[] = {2, 3, 8};
  int before = lun_threads();
  lun_conv s;
  for (int i = 0; every_plan(i, &s); i++) {
    layer a = layer_new(s);
    lun_set_threads(1);
    run_layer(&a, 1);
    for (int t = 0; t < 3; t++) {
      layer b = layer_new(s);
      lun_set_threads(threads[t]);
      run_layer(&b, 1);
      CHECK(!memcmp(a.y, b.y, (size_t)naive_out(&s) * 4), "%s, %d threads",
            shape_text(&s), threads[t]);
      CHECK(!memcmp(a.dx, b.dx, (size_t)naive_in(&s) * 4), "%s, %d threads",
            shape_text(&s), threads[t]);
      CHECK(!memcmp(a.dw, b.dw, (size_t)naive_weights(&s) * 4) &&
                !memcmp(a.db, b.db, (size_t)s.k * 4),
            "%s, %d threads", shape_text(&s), threads[t]);
      layer_free(&b);
    }
    layer_free(&a);
  }
  lun_set_threads(before);
}

static void batch_is_its_images(lun_conv s) {
  layer a = layer_new(s), b = layer_new(s);
  int64_t in = naive_in(&s) / s.n, out = naive_out(&s) / s.n;
  run_layer(&a, 0);
  for (int n = 0; n < s.n; n++) {
    layer one = b;
    one.s.n = 1;
    one.x += n * in;
    one.dx += n * in;
    one.y += n * out;
    one.dy += n * out;
    run_layer(&one, 0);
  }
  CHECK(!memcmp(a.y, b.y, (size_t)(out * s.n) * 4), "%s", shape_text(&s));
  CHECK(!memcmp(a.dx, b.dx, (size_t)(in * s.n) * 4), "%s", shape_text(&s));
  layer_free(&a);
  layer_free(&b);
}

/* The last four write 38 MB, which goes past the caches; one image does not.  No set
** but one whose vectors are whole cache lines does that. */
static void batches_do_not_change_bits(void) {
  lun_conv s;
  for (int i = 0; every_plan(i, &s); i++) batch_is_its_images(s);
  if (lun_simd_now()->panel != 32 && lun_isa_name(1)) return;
  batch_is_its_images(square(3, 4, 224, 224, 64, 3, 1));
  batch_is_its_images(square(3, 64, 224, 224, 4, 3, 1));
  batch_is_its_images(square(3, 3, 224, 224, 64, 3, 1));
  batch_is_its_images(square(3, 64, 224, 224, 3, 3, 1));
}

/* ---- the rest ----------------------------------------------------------- */

static void sets_agree(void) {
  lun_conv s;
  CHECK(lun_isa_name(0), "no instruction set"); /* ARM has but one */
  for (int i = 0; every_plan(i, &s); i++) {
    layer a = layer_new(s), b = layer_new(s);
    lun_isa_set(NULL);
    run_layer(&a, 1);
    for (int k = 1; lun_isa_name(k); k++) {
      lun_isa_set(lun_isa_name(k));
      run_layer(&b, 1);
      CHECK(naive_diff(b.y, a.y, naive_out(&s)) <= TOL, "%s", shape_text(&s));
      CHECK(naive_diff(b.dx, a.dx, naive_in(&s)) <= TOL, "%s", shape_text(&s));
      CHECK(naive_diff(b.dw, a.dw, naive_weights(&s)) <= TOL, "%s",
            shape_text(&s));
    }
    layer_free(&a);
    layer_free(&b);
  }
}

static void interruption_is_reported(void) {
  lun_conv s;
  lun_err err;
  for (int i = 0; every_plan(i, &s); i++) {
    layer l = layer_new(s);
    lun_gate g = {naive_slopes[0], l.x, naive_in(&s)};
    size_t bytes = (size_t)naive_out(&s) * sizeof(float);
    lun_conv_forward(&s, l.x, l.w, l.b, l.ref, 1, NULL);
    lun_interrupt(1);
    CHECK(lun_conv_forward(&s, l.x, l.w, l.b, l.y, 1, &err) == LUN_EINTR, "%s",
          shape_text(&s));
    CHECK(err.code == LUN_EINTR, "code %d", err.code);
    CHECK(lun_conv_backward(&s, l.dy, l.w, l.dx, &g, NULL) == LUN_EINTR, "%s",
          shape_text(&s));
    CHECK(lun_conv_backward_params(&s, l.x, l.dy, l.dw, l.db, NULL) ==
              LUN_EINTR,
          "%s", shape_text(&s));
    lun_interrupt(0);
    memset(l.y, 0xff, bytes);
    CHECK(lun_conv_forward(&s, l.x, l.w, l.b, l.y, 1, NULL) == LUN_OK, "%s",
          shape_text(&s));
    CHECK(!memcmp(l.y, l.ref, bytes), "broken afterwards: %s", shape_text(&s));
    layer_free(&l);
  }
}

/* Every allocation that a call makes may fail; nothing leaks. */
static void refused_memory_is_reported(void) {
  lun_conv s;
  for (int i = 0; every_plan(i, &s); i++) {
    layer l = layer_new(s);
    size_t blocks = lun_mem().blocks;
    int st = LUN_ENOMEM;
    for (long nth = 1; nth < 64 && st == LUN_ENOMEM; nth++) {
      lun_mem_fail_at(nth);
      st = lun_conv_backward(&s, l.dy, l.w, l.dx, NULL, NULL);
      if (st == LUN_OK) {
        st = lun_conv_backward_params(&s, l.x, l.dy, l.dw, l.db, NULL);
      }
      CHECK(nth > 1 || st == LUN_ENOMEM, "%s", shape_text(&s));
    }
    lun_mem_fail_at(0);
    CHECK(st == LUN_OK, "%s: status %d", shape_text(&s), st);
    CHECK(lun_mem().blocks == blocks, "%s leaks", shape_text(&s));
    layer_free(&l);
  }
}

static void unknown_sets_are_refused(void) {
  const char *now = lun_isa();
  CHECK(!lun_isa_set("abacus"), "accepted");
  CHECK(lun_isa() == now, "changed");
  CHECK(lun_isa_set("generic"), "generic must be there");
  lun_isa_set(NULL);
}

int main(void) {
  TESTS {
    TEST(three_by_three_shapes());
    TEST(few_channels());
    TEST(general_shapes());
    TEST(narrow_layers_are_naive());
    TEST(every_plan_is_naive());
    TEST(each_set(threads_do_not_change_bits));
    TEST(each_set(batches_do_not_change_bits));
    TEST(sets_agree());
    TEST(interruption_is_reported());
    TEST(refused_memory_is_reported());
    TEST(unknown_sets_are_refused());
  }
  DONE("kernels");
}
