/*
** gate.h - a gate (lunette.h) on one value: what the kernels' scalar loops, the
** rules by themselves and the naive twins of the tests share.  simd.c has the
** same on vectors.
*/
#ifndef LUN_KERNELS_GATE_H
#define LUN_KERNELS_GATE_H

#include "../lunette.h"

/* slope * dy; 0 where the slope is 0.  A NaN counts as up. */
static inline float lun_gate_value(lun_slopes s, float y, float dy) {
  int open = y > 0 && (s.top == 0 || y < s.top);
  float up = open ? s.open_up : s.shut_up;
  float down = open ? s.open_down : s.shut_down;
  float slope = dy < 0 ? down : up;
  return slope == 0 ? 0.0f : slope * dy;
}

/* The gate on gradient element `at`. */
static inline float lun_gate_at(const lun_gate *g, int64_t at, float dy) {
  return lun_gate_value(g->slope, g->y[at % g->size], dy);
}

/* 1: the gradient is 0 wherever the unit is shut (y <= 0). */
static inline int lun_gate_shuts(const lun_slopes *s) {
  return s->shut_up == 0 && s->shut_down == 0;
}

#endif
