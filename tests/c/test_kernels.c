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

/* Runs what follows once for every instruction set of this machine, the best
** one first; the naive twin need not run again. */
#define EACH_SET                                                               \
  for (int set_ = 0; lun_isa_name(set_) && lun_isa_set(lun_isa_name(set_));    \
       set_++)

static void forward_is_naive(layer *l) {
  for (int mode = 0; mode < 4; mode++) {
    const float *b = mode & 1 ? l->b : NULL;
    if (mode == 2) continue; /* relu without bias: nothing new */
    naive_conv_forward(&l->s, l->x, l->w, b, l->ref, mode >> 1);
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
  float *plain = fresh(in, 0);
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
  }
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
    CHECK(s->kh != 3 || s->sh != 1 || s->dh != 1 || s->groups != 1 ||
              s->k <= 3 || s->c <= 3,
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
  };
  for (size_t i = 0; i < sizeof s / sizeof *s; i++) {
    check_shape(naive_shape(s[i], s[i].pt, s[i].pl));
    check_shape(naive_shape(s[i], s[i].pt + 1, s[i].pl)); /* asymmetric */
  }
}

/* ---- dense layers ------------------------------------------------------- */

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

/* ---- same bits ---------------------------------------------------------- */

/* Layers of every plan: whole, panels (of one and two chunks of channels), few
** outputs and few inputs of winograd.c, gathers of all kinds (1x1, strided, grouped). */
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

/* The last four write 38 MB, which goes past the caches; one image does not. */
static void batches_do_not_change_bits(void) {
  lun_conv s;
  for (int i = 0; every_plan(i, &s); i++) batch_is_its_images(s);
  batch_is_its_images(square(3, 4, 224, 224, 64, 3, 1));
  batch_is_its_images(square(3, 64, 224, 224, 4, 3, 1));
  batch_is_its_images(square(3, 3, 224, 224, 64, 3, 1));
  batch_is_its_images(square(3, 64, 224, 224, 3, 3, 1));
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

/* ---- the rest ----------------------------------------------------------- */

static void sets_agree(void) {
  lun_conv s;
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
  dense d = dense_new(2, 300, 40);
  for (int i = 0; every_plan(i, &s); i++) {
    layer l = layer_new(s);
    lun_gate g = {naive_slopes[0], l.x, naive_in(&s)};
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
    forward_is_naive(&l); /* and nothing is broken afterwards */
    layer_free(&l);
  }
  lun_interrupt(1);
  EACH_LAYOUT {
    CHECK(dense_forward(&d, in_out, d.b, 0) == LUN_EINTR, "dense forward");
    CHECK(dense_backward(&d, in_out, NULL, NULL) == LUN_EINTR, "and backward");
  }
  EACH_LAYOUT {
    CHECK(dense_params(&d, in_out) == LUN_EINTR, "dense parameters");
  }
  CHECK(lun_gemm(0, 0, 3, 3, 3, d.x, d.w, d.y, NULL) == LUN_EINTR, "gemm");
  lun_interrupt(0);
  dense_free(&d);
}

/* Every allocation that a call makes may fail; nothing leaks. */
static void refused_memory_is_reported(void) {
  lun_conv s;
  for (int i = 0; every_plan(i, &s); i++) {
    layer l = layer_new(s);
    size_t blocks = lun_mem().blocks;
    int st = LUN_ENOMEM;
    for (long nth = 1; nth < 20 && st == LUN_ENOMEM; nth++) {
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
    TEST(dense_shapes());
    TEST(every_plan_is_naive());
    EACH_SET {
      TEST(threads_do_not_change_bits());
      TEST(batches_do_not_change_bits());
      TEST(dense_bits_are_fixed());
    }
    if (lun_isa_name(1)) TEST(sets_agree()); /* ARM has but one */
    lun_isa_set(NULL);
    TEST(interruption_is_reported());
    lun_isa_set(NULL);
    TEST(refused_memory_is_reported());
    TEST(gemm_is_naive());
    TEST(unknown_sets_are_refused());
  }
  DONE("kernels");
}
