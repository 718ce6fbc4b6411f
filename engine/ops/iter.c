/*
** iter.c - walking a contiguous result while operands step along with it:
** broadcasting, permuting, spreading.
*/
#include <string.h>

#include "ops.h"

/* May dimension d of the shape be merged into the last one of `it`? */
static int mergeable(const ops_iter *it, int64_t dim,
                     int64_t step[OPS_OPERANDS][LUN_MAXDIM], int d) {
  int last = it->nd - 1;
  for (int k = 0; k < OPS_OPERANDS; k++)
    if (it->step[k][last] != step[k][d] * dim) return 0;
  return 1;
}

void ops_iter_make(ops_iter *it, int ndim, const int64_t *dim,
                   int64_t step[OPS_OPERANDS][LUN_MAXDIM]) {
  memset(it, 0, sizeof *it);
  it->size = 1;
  for (int d = 0; d < ndim; d++) {
    it->size *= dim[d];
    if (dim[d] == 1) continue;
    int merge = it->nd > 0 && mergeable(it, dim[d], step, d);
    int at = merge ? it->nd - 1 : it->nd++;
    it->dim[at] = merge ? it->dim[at] * dim[d] : dim[d];
    for (int k = 0; k < OPS_OPERANDS; k++) it->step[k][at] = step[k][d];
  }
  if (it->nd == 0) { /* a single element; every step is 0 */
    it->nd = 1;
    it->dim[0] = 1;
  }
}

void ops_spread(const lun_tensor *t, int ndim, int64_t *step) {
  int64_t own[LUN_MAXDIM];
  int lead = ndim - t->ndim;
  ops_strides(t->ndim, t->dim, own);
  for (int d = 0; d < ndim; d++)
    step[d] = d < lead || t->dim[d - lead] == 1 ? 0 : own[d - lead];
}

typedef struct job {
  const ops_iter *it;
  int64_t parts; /* chunks a copy */
  ops_row *fn;
  void *arg;
} job;

/* Operand offsets of the row that result element `at` lies in, and its
** place in that row. */
static int64_t locate(const ops_iter *it, int64_t at, int64_t *off) {
  int last = it->nd - 1;
  int64_t inside = at % it->dim[last], rest = at / it->dim[last];
  for (int k = 0; k < OPS_OPERANDS; k++) off[k] = inside * it->step[k][last];
  for (int d = last - 1; d >= 0; d--) {
    int64_t i = rest % it->dim[d];
    rest /= it->dim[d];
    for (int k = 0; k < OPS_OPERANDS; k++) off[k] += i * it->step[k][d];
  }
  return inside;
}

/* One chunk: row by row, the first and the last perhaps in part. */
static void run(void *arg, int64_t unit) {
  const job *j = arg;
  const ops_iter *it = j->it;
  int64_t copy = unit / j->parts, at = unit % j->parts * OPS_CHUNK;
  int64_t end = at + OPS_CHUNK < it->size ? at + OPS_CHUNK : it->size;
  while (at < end) {
    int64_t off[OPS_OPERANDS];
    int64_t len = it->dim[it->nd - 1] - locate(it, at, off);
    if (len > end - at) len = end - at;
    j->fn(j->arg, copy, at, off, len);
    at += len;
  }
}

int ops_rows(const lun_node *n, const ops_iter *it, int copies, ops_row *fn,
             void *arg, lun_err *err) {
  if (it->size == 0) return LUN_OK;
  job j = {.it = it, .fn = fn, .arg = arg};
  j.parts = (it->size - 1) / OPS_CHUNK + 1;
  int64_t work = it->size < OPS_CHUNK ? it->size : OPS_CHUNK;
  return ops_units(n, copies * j.parts, work, run, &j, err);
}
