/*
** gather.h - one description for every convolution and every input gradient.
**
** For each group, output channel k and output place (v, u), v < oh, u < ow:
**
**   out[k][oy + v*osy][ox + u*osx] =
**       sum over c, t of  W[k][c][t] * in[c][v*isy + ty[t]][u*isx + tx[t]]
**
** where places outside `in` count as 0.  A forward convolution is one gather
** whose taps t are the kernel's elements.  The gradient of a convolution with
** stride s is s*s gathers, one for each phase of the input's places modulo
** s: the places of one phase meet the same few kernel elements.
*/
#ifndef LUN_GATHER_H
#define LUN_GATHER_H

#include "gate.h"
#include "kernels.h"

typedef struct lun_gather {
  int n, groups, c, k;  /* rows, groups, channels per group in and out */
  int ih, iw, isy, isx; /* input plane, step between places read       */
  int fh, fw;           /* output plane                                */
  int oh, ow;           /* places computed                             */
  int oy, ox, osy, osx; /* where the places lie in the output plane    */
  int taps, *ty, *tx;   /* owned; ty, tx are one block                 */
  int *tap;             /* ... which element of the kernel each is     */
} lun_gather;

/* Applied to every output value z before it is written: scale z + bias + add, then a
** function; or, of a gradient, the gate of z + add. */
typedef struct lun_epilogue {
  const float *bias;          /* per output channel; NULL: none */
  lun_epilogue_kind function; /* none, or up to LUN_HARD_SWISH_EPILOGUE */
  const lun_gate *gate;       /* NULL: none */
  const float *scale;         /* per output channel; NULL: 1 */
  const float *add; /* as the output lies, not itself; NULL: nothing */
} lun_epilogue;

int lun_gather_forward(lun_gather *g, const lun_conv *s, lun_err *err);
int lun_gather_backward(lun_gather *g, const lun_conv *s, int py, int px,
                        lun_err *err);
void lun_gather_free(lun_gather *g);
/* Gathers computed together. */
enum { LUN_PHASES = 16 };
/* out = `count` <= LUN_PHASES gathers of in with the weights w of layer s, which read
** the same input and differ in the places that they write and in their taps: phases of
** a gradient.  `back`: they came from lun_gather_backward.  May reshape g[0] where there
** is one alone. */
int lun_gather_run(lun_gather *g, int count, const lun_conv *s, int back,
                   const float *in, const float *w, float *out,
                   const lun_epilogue *epilogue, lun_err *err);
/* to[i] = the value of row y of one channel's plane at column x + i*step, i < n;
** 0 outside. */
void lun_gather_row(const lun_gather *g, const float *plane, int y, int x,
                    int step, int n, float *to);
/* col[i] = the value of one channel's plane that tap t meets at place p0 + i,
** places counted row by row, i < np. */
void lun_gather_copy(const lun_gather *g, const float *plane, int t, int p0,
                     int np, float *col);

#endif
