/*
** window.h - windows of pooling: attributes, geometry, which taps meet the input.
** Axis 0 is vertical, axis 1 horizontal.
*/
#ifndef LUN_WINDOW_H
#define LUN_WINDOW_H

#include "ops.h"

enum {
  KERNEL = 0,
  STRIDE = 2,
  PAD = 4,
  CEIL = 6,
  COUNT_PAD = 7,
  DILATION = 8,
  PAD_END = 10
};

#define WINDOW_ATTRS                                                           \
  {.name = "kernel", .at = KERNEL, .count = 2, .fallback = LUN_UNSET},         \
      {.name = "stride", .at = STRIDE, .count = 2, .fallback = LUN_UNSET},     \
      {.name = "padding", .at = PAD, .count = 2, .fallback = 0},               \
      {.name = "padding_end",                                                  \
       .at = PAD_END,                                                          \
       .count = 2,                                                             \
       .fallback = LUN_UNSET},                                                 \
      {.name = "ceil_mode", .at = CEIL, .count = 1, .fallback = 0}, {          \
    .name = "dilation", .at = DILATION, .count = 2, .fallback = 1              \
  }

typedef struct lun_window {
  int64_t planes;        /* N C */
  int64_t in[2], out[2]; /* heights and widths */
  int64_t k[2], stride[2], pad[2], end[2], dilation[2];
} lun_window;

/* All of n's geometry; every window meets the input. */
int ops_window(const lun_node *n, lun_window *w, lun_err *err);
/* Gives n its output shape. */
int ops_window_shape(lun_node *n, const lun_window *w, lun_err *err);
/* The taps lo .. hi-1 of the window at output o that lie inside the input. */
void ops_window_inside(const lun_window *w, int a, int64_t o, int64_t *lo,
                       int64_t *hi);
/* The output columns from..to-1 whose window has tap column j inside; says
** whether there are any. */
int ops_window_columns(const lun_window *w, int64_t j, int64_t *from,
                       int64_t *to);
/* Where tap t of the window at output o reads. */
static inline int64_t ops_window_at(const lun_window *w, int a, int64_t o,
                                    int64_t t) {
  return o * w->stride[a] - w->pad[a] + t * w->dilation[a];
}

#endif
