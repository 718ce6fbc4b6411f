/*
** window.c - windows of pooling (window.h).
*/
#include "window.h"

#include <string.h>

enum { MOST = 1 << 24 }; /* a plane's side; sides and taps fit an int32 */

/* Attributes of one axis; a missing stride is the kernel's, a missing padding at
** the end that before. */
static int axis_attrs(const lun_node *n, lun_window *w, int a, lun_err *err) {
  int64_t span;
  LUN_TRY(ops_int(n, KERNEL + a, 1, 4096, &w->k[a], err));
  LUN_TRY(ops_int(n, DILATION + a, 1, 4096, &w->dilation[a], err));
  w->stride[a] = w->k[a];
  if (ops_given(n, STRIDE + a))
    LUN_TRY(ops_int(n, STRIDE + a, 1, MOST, &w->stride[a], err));
  span = (w->k[a] - 1) * w->dilation[a];
  LUN_TRY(ops_int(n, PAD + a, 0, span, &w->pad[a], err));
  w->end[a] = w->pad[a];
  if (!ops_given(n, PAD_END + a)) return LUN_OK;
  return ops_int(n, PAD_END + a, 0, span, &w->end[a], err);
}

/* PyTorch's output length: rounded up in ceil mode, but the last window must
** start inside the input or the padding before it. */
static int64_t length(const lun_window *w, int a, int64_t room, int64_t ceil) {
  int64_t out = (room + (ceil ? w->stride[a] - 1 : 0)) / w->stride[a] + 1;
  if (ceil && (out - 1) * w->stride[a] >= w->in[a] + w->pad[a]) out--;
  return out;
}

/* Wide padding, or taps far apart, may leave a window that meets nothing. */
static int all_meet(const lun_node *n, const lun_window *w, int a,
                    lun_err *err) {
  for (int64_t o = 0, lo, hi; o < w->out[a]; o++) {
    ops_window_inside(w, a, o, &lo, &hi);
    if (lo >= hi)
      return ops_fail(n, err, LUN_ESHAPE,
                      "window %lld in %s lies in the padding alone",
                      (long long)o + 1, a ? "width" : "height");
  }
  return LUN_OK;
}

static int axis(const lun_node *n, lun_window *w, int a, int64_t ceil,
                lun_err *err) {
  int64_t span, padded;
  LUN_TRY(axis_attrs(n, w, a, err));
  span = (w->k[a] - 1) * w->dilation[a] + 1;
  padded = w->in[a] + w->pad[a] + w->end[a];
  if (w->in[a] < 1 || padded < span || w->in[a] > MOST)
    return ops_fail(n, err, LUN_ESHAPE,
                    "kernel spans %lld in %s, padded input has %lld",
                    (long long)span, a ? "width" : "height", (long long)padded);
  w->out[a] = length(w, a, padded - span, ceil);
  if (w->dilation[a] == 1 && 2 * w->pad[a] <= w->k[a] &&
      2 * w->end[a] <= w->k[a])
    return LUN_OK;
  return all_meet(n, w, a, err);
}

int ops_window(const lun_node *n, lun_window *w, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t ceil;
  memset(w, 0, sizeof *w);
  LUN_TRY(ops_ndim(n, 0, 4, 4, err));
  LUN_TRY(ops_int(n, CEIL, 0, 1, &ceil, err));
  w->planes = x->dim[0] * x->dim[1];
  for (int a = 0; a < 2; a++) {
    w->in[a] = x->dim[2 + a];
    LUN_TRY(axis(n, w, a, ceil, err));
  }
  return LUN_OK;
}

int ops_window_shape(lun_node *n, const lun_window *w, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t dim[4] = {x->dim[0], x->dim[1], w->out[0], w->out[1]};
  return lun_node_shape(n, 4, dim, err);
}

static int64_t up(int64_t v, int64_t by) { return (v + by - 1) / by; }

void ops_window_inside(const lun_window *w, int a, int64_t o, int64_t *lo,
                       int64_t *hi) {
  int64_t start = ops_window_at(w, a, o, 0), room = w->in[a] - start;
  *lo = start < 0 ? up(-start, w->dilation[a]) : 0;
  *hi = room > 0 ? up(room, w->dilation[a]) : 0;
  if (*hi > w->k[a]) *hi = w->k[a];
}

int ops_window_columns(const lun_window *w, int64_t j, int64_t *from,
                       int64_t *to) {
  int64_t s = w->stride[1], before = w->pad[1] - j * w->dilation[1];
  int64_t last = w->in[1] - 1 + before; /* last column starts here or less */
  *from = before > 0 ? up(before, s) : 0;
  *to = last < 0 ? 0 : last / s + 1;
  if (*to > w->out[1]) *to = w->out[1];
  return *from < *to;
}
