/*
** gather.c - gathers (gather.h): those of a layer, and the values that they
** read.
*/
#include "simd.h"

#include <string.h>

static int mini(int a, int b) { return a < b ? a : b; }

static int ceil_div(int a, int b) { return (a + b - 1) / b; }

/* ---- gathers from layers ------------------------------------------------ */

void lun_gather_free(lun_gather *g) {
  lun_free(g->ty);
  g->ty = NULL;
}

static int room_for_taps(lun_gather *g, int taps, lun_err *err) {
  g->ty = lun_malloc((size_t)(taps + 1) * 3 * sizeof(int));
  if (!g->ty) return lun_fail(err, LUN_ENOMEM, "convolution: no memory");
  g->tx = g->ty + taps;
  g->tap = g->tx + taps;
  return LUN_OK;
}

int lun_gather_forward(lun_gather *g, const lun_conv *s, lun_err *err) {
  *g = (lun_gather){.n = s->n,
                    .groups = s->groups,
                    .c = s->c / s->groups,
                    .k = s->k / s->groups,
                    .ih = s->h,
                    .iw = s->w,
                    .isy = s->sh,
                    .isx = s->sw,
                    .fh = s->oh,
                    .fw = s->ow,
                    .oh = s->oh,
                    .ow = s->ow,
                    .osy = 1,
                    .osx = 1};
  LUN_TRY(room_for_taps(g, s->kh * s->kw, err));
  for (int i = 0; i < s->kh * s->kw; i++) {
    g->ty[i] = i / s->kw * s->dh - s->pt;
    g->tx[i] = i % s->kw * s->dw - s->pl;
    g->tap[i] = i;
  }
  g->taps = s->kh * s->kw;
  return LUN_OK;
}

/* Input place y meets kernel row i at output row (y + pt - i*dh) / sh, if
** that divides: y = py + sh*v fixes the rows i, and the output row is v plus
** a constant. */
int lun_gather_backward(lun_gather *g, const lun_conv *s, int py, int px,
                        lun_err *err) {
  *g = (lun_gather){.n = s->n,
                    .groups = s->groups,
                    .c = s->k / s->groups,
                    .k = s->c / s->groups,
                    .ih = s->oh,
                    .iw = s->ow,
                    .isy = 1,
                    .isx = 1,
                    .fh = s->h,
                    .fw = s->w,
                    .oh = ceil_div(s->h - py, s->sh),
                    .ow = ceil_div(s->w - px, s->sw),
                    .oy = py,
                    .ox = px,
                    .osy = s->sh,
                    .osx = s->sw};
  LUN_TRY(room_for_taps(g, s->kh * s->kw, err));
  for (int i = 0; i < s->kh * s->kw; i++) {
    int y = py + s->pt - i / s->kw * s->dh, x = px + s->pl - i % s->kw * s->dw;
    if (y % s->sh || x % s->sw) continue;
    g->ty[g->taps] = y / s->sh;
    g->tx[g->taps] = x / s->sw;
    g->tap[g->taps++] = i;
  }
  return LUN_OK;
}

/* ---- what they read ----------------------------------------------------- */

void lun_gather_row(const lun_gather *g, const float *plane, int y, int x,
                    int step, int n, float *to) {
  int i = 0;
  if (y < 0 || y >= g->ih) {
    memset(to, 0, (size_t)n * sizeof *to);
    return;
  }
  const float *row = plane + (ptrdiff_t)y * g->iw;
  for (; i < n && x < 0; i++, x += step) to[i] = 0.0f;
  int end = mini(n, i + (x < g->iw ? ceil_div(g->iw - x, step) : 0));
  if (step == 1) {
    memcpy(to + i, row + x, (size_t)(end - i) * sizeof *to);
    i = end;
  } else if (step == 2) {
    for (; i < end; i++, x += 2) to[i] = row[x];
  } else {
    for (; i < end; i++, x += step) to[i] = row[x];
  }
  for (; i < n; i++) to[i] = 0.0f;
}

void lun_gather_copy(const lun_gather *g, const float *plane, int t, int p0,
                     int np, float *col) {
  for (int p = 0; p < np;) {
    int v = (p0 + p) / g->ow, u = (p0 + p) % g->ow;
    int run = mini(g->ow - u, np - p); /* places left in this row */
    lun_gather_row(g, plane, v * g->isy + g->ty[t], u * g->isx + g->tx[t],
                   g->isx, run, col + p);
    p += run;
  }
}
