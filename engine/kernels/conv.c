/*
** conv.c - chooses how a convolution is computed: Winograd's method for 3x3 kernels of
** stride 1, plane by plane for depthwise ones, gathers (gather.h) for all others.
*/
#include "simd.h"

/* The forward pass by Winograd's method. */
static lun_wino wino_forward(const lun_conv *s, const float *x, const float *w,
                             float *y, const lun_epilogue *epilogue) {
  return (lun_wino){.n = s->n,
                    .c = s->c,
                    .h = s->h,
                    .w = s->w,
                    .k = s->k,
                    .oh = s->oh,
                    .ow = s->ow,
                    .pt = s->pt,
                    .pl = s->pl,
                    .in = x,
                    .weights = w,
                    .out = y,
                    .epilogue = *epilogue};
}

/* ---- epilogues that Winograd's kernels do not have ---------------------- */

/* A pass over the output in place, one channel plane a job: out = epilogue(out). */
typedef struct pass {
  const lun_simd *isa;
  const lun_epilogue *epilogue;
  float *out;
  int channels;
  int64_t plane;
} pass;

static void finish_plane(void *arg, int64_t i) {
  const pass *p = arg;
  p->isa->epilogue(p->epilogue, p->out, i * p->plane, (int)p->plane,
                   p->out + i * p->plane, (int)(i % p->channels));
}

/* Winograd's kernels know a bias, a summand, relu and gates; for the rest the sums are
** made first. */
static int run_winograd(lun_wino *j, lun_err *err) {
  lun_epilogue e = j->epilogue;
  int64_t plane = (int64_t)j->oh * j->ow, planes = (int64_t)j->n * j->k;
  int known = e.function == LUN_NO_EPILOGUE || e.function == LUN_RELU_EPILOGUE;
  if (!e.scale && known) return lun_wino_run(j, err);
  j->epilogue = (lun_epilogue){0};
  pass p = {lun_simd_now(), &e, j->out, j->k, plane};
  LUN_TRY(lun_wino_run(j, err));
  return lun_parallel(planes, finish_plane, &p) == LUN_OK
             ? LUN_OK
             : lun_fail(err, LUN_EINTR, "interrupted");
}

static int forward(const lun_conv *s, const float *x, const float *w, float *y,
                   const lun_epilogue *epilogue, lun_err *err) {
  lun_gather g;
  if (lun_wino_fits(s)) {
    lun_wino j = wino_forward(s, x, w, y, epilogue);
    return run_winograd(&j, err);
  }
  if (lun_depthwise_fits(s))
    return lun_depthwise_run(s, 0, x, w, y, epilogue, err);
  LUN_TRY(lun_gather_forward(&g, s, err));
  int st = lun_gather_run(&g, 1, s, 0, x, w, y, epilogue, err);
  lun_gather_free(&g);
  return st;
}

int lun_conv_forward(const lun_conv *s, const float *x, const float *w,
                     const float *b, float *y, int relu, lun_err *err) {
  lun_epilogue e = {.bias = b, .function = relu != 0};
  return forward(s, x, w, y, &e, err);
}

int lun_conv_forward_after(const lun_conv *s, const float *x, const float *w,
                           float *y, const lun_after *after, lun_err *err) {
  lun_epilogue e = {.bias = after->shift,
                    .scale = after->scale,
                    .add = after->add,
                    .function = after->function};
  return forward(s, x, w, y, &e, err);
}

int lun_conv_pools(const lun_conv *s) {
  return lun_wino_fits(s) && !lun_direct3x3_fits(s->c, s->k);
}

int lun_conv_forward_pooled(const lun_conv *s, const float *x, const float *w,
                            const float *b, float *y, uint8_t *tap,
                            lun_err *err) {
  lun_epilogue e = {.bias = b, .function = LUN_RELU_EPILOGUE};
  lun_wino j = wino_forward(s, x, w, y, &e);
  j.tap = tap;
  return lun_wino_run(&j, err);
}

/* ---- input gradients by gathers ----------------------------------------- */

/* The places of the gradient in all phases of the stride, some phases at a time. */
static int transposed_by_phases(const lun_conv *s, const float *in,
                                const float *w, float *out,
                                const lun_epilogue *epilogue, lun_err *err) {
  lun_gather g[LUN_PHASES];
  int st = LUN_OK, phases = s->sh * s->sw;
  for (int phase = 0, n = 0; phase < phases && st == LUN_OK; phase++) {
    int py = phase / s->sw, px = phase % s->sw;
    if (py < s->h && px < s->w)
      st = lun_gather_backward(g + n++, s, py, px, err);
    if (n < LUN_PHASES && phase + 1 < phases && st == LUN_OK) continue;
    if (st == LUN_OK && n > 0)
      st = lun_gather_run(g, n, s, 1, in, w, out, epilogue, err);
    while (n > 0) lun_gather_free(g + --n);
  }
  return st;
}

/* Rows py, py + sh, ... of the gradient of stride 2 across: even columns in half[0],
** odd ones in half[1], until join_columns writes whole rows. */
typedef struct columns {
  const lun_conv *s;
  const lun_simd *isa;
  const lun_epilogue *epilogue;
  float *out;
  float *
      half[2]; /* [plane][row][column]; NULL: no kernel element meets them: 0 */
  int py, rows, width[2];
} columns;

/* Computes columns px of these rows by the gather `of` into c->half[px], which is
** `room`. */
static int one_phase(columns *c, int px, const lun_gather *of, const float *in,
                     const float *w, float *room, lun_err *err) {
  lun_epilogue plain = {0};
  lun_gather g = *of;
  c->half[px] = NULL;
  c->rows = g.oh;
  c->width[px] = g.ow;
  g.fh = g.oh, g.fw = g.ow;
  g.oy = g.ox = 0;
  g.osy = g.osx = 1;
  if (g.taps == 0 || g.ow <= 0) return LUN_OK;
  c->half[px] = room;
  return lun_gather_run(&g, 1, c->s, 1, in, w, room, &plain, err);
}

static void join_columns(void *arg, int64_t plane) {
  const columns *c = arg;
  const lun_conv *s = c->s;
  const float *half[2];
  for (int v = 0; v < c->rows; v++) {
    int64_t row = (plane * s->h + c->py + (int64_t)v * s->sh) * s->w;
    for (int px = 0; px < 2; px++)
      half[px] = c->half[px]
                     ? c->half[px] + (plane * c->rows + v) * c->width[px]
                     : NULL;
    c->isa->interleave(c->epilogue, c->out, row, s->w, half[0], half[1],
                       (int)(plane % s->c));
  }
}

/* Both phases g[0], g[1] of these rows; each half takes `each` floats of room. */
static int rows_of_columns(columns *c, const lun_gather *g, const float *in,
                           const float *w, float *room, int64_t each,
                           lun_err *err) {
  for (int px = 0; px < 2; px++)
    LUN_TRY(one_phase(c, px, g + px, in, w, room + px * each, err));
  if (lun_parallel((int64_t)c->s->n * c->s->c, join_columns, c) != LUN_OK)
    return lun_fail(err, LUN_EINTR, "interrupted");
  return LUN_OK;
}

/* Of a 1x1 kernel and stride 2 across, and down at most 2: a matrix product, and zeros
** between. */
static int transposed_by_columns(const lun_conv *s, const float *in,
                                 const float *w, float *out,
                                 const lun_epilogue *epilogue, lun_err *err) {
  columns c = {s, lun_simd_now(), epilogue, out, {NULL, NULL}, 0, 0, {0, 0}};
  lun_gather g[4] = {{0}};
  int64_t planes = (int64_t)s->n * s->c, rows = (s->h + s->sh - 1) / s->sh;
  int64_t each = (planes * rows * ((s->w + 1) / 2) + 15) / 16 * 16;
  int st = LUN_OK, down = s->sh < s->h ? s->sh : s->h;
  float *room = lun_malloc((size_t)(2 * each) * sizeof *room);
  if (!room) return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  for (int i = 0; i < 2 * down && st == LUN_OK; i++)
    st = lun_gather_backward(g + i, s, i / 2, i % 2, err);
  for (c.py = 0; c.py < down && st == LUN_OK; c.py++)
    st = rows_of_columns(&c, g + 2 * c.py, in, w, room, each, err);
  for (int i = 0; i < 2 * down; i++) lun_gather_free(g + i);
  lun_free(room);
  return st;
}

/* out, of the shape of s's input, gets what every value of `in`, of the shape of
** s's output, gives through the weights. */
static int transposed(const lun_conv *s, const float *in, const float *w,
                      float *out, const lun_epilogue *epilogue, lun_err *err) {
  if (lun_wino_fits(s)) {
    /* dx[y] meets dy[y + pt - i] through kernel row i: padding 2 - pt */
    lun_wino j = {.n = s->n,
                  .c = s->k,
                  .h = s->oh,
                  .w = s->ow,
                  .k = s->c,
                  .oh = s->h,
                  .ow = s->w,
                  .pt = 2 - s->pt,
                  .pl = 2 - s->pl,
                  .back = 1,
                  .in = in,
                  .weights = w,
                  .out = out,
                  .epilogue = *epilogue};
    return run_winograd(&j, err);
  }
  if (lun_depthwise_fits(s))
    return lun_depthwise_run(s, 1, in, w, out, epilogue, err);
  if (s->kh * s->kw == 1 && s->sw == 2 && s->sh <= 2)
    return transposed_by_columns(s, in, w, out, epilogue, err);
  return transposed_by_phases(s, in, w, out, epilogue, err);
}

int lun_conv_backward(const lun_conv *s, const float *dy, const float *w,
                      float *dx, const lun_gate *gate, lun_err *err) {
  return lun_conv_backward_add(s, dy, w, dx, NULL, gate, err);
}

int lun_conv_backward_add(const lun_conv *s, const float *dy, const float *w,
                          float *dx, const float *add, const lun_gate *gate,
                          lun_err *err) {
  lun_epilogue e = {.gate = gate, .add = add};
  return transposed(s, dy, w, dx, &e, err);
}

int lun_conv_transposed(const lun_conv *s, const float *x, const float *w,
                        const float *b, float *y, int relu, lun_err *err) {
  lun_epilogue e = {.bias = b, .function = relu != 0};
  return transposed(s, x, w, y, &e, err);
}
