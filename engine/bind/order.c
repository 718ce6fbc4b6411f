/*
** order.c (binding) - the order of a tensor's values: core.argmax, core.argsort.
** The library makes the methods of tensors from them (tensors/order.lua).
*/
#include <stdlib.h>

#include "bind.h"

/* core.argmax(t) -> flat index from 1 of the first largest value, the value */
static int argmax(lua_State *L) {
  const lun_tensor *t = lunL_checktensor(L, 1);
  int64_t best = 0;
  lunL_argcheck(L, t->size > 0, 1, "empty tensor");
  for (int64_t i = 1; i < t->size; i++)
    if (t->data[i] > t->data[best]) best = i;
  lua_pushinteger(L, best + 1);
  lua_pushnumber(L, (lua_Number)t->data[best]);
  return 2;
}

typedef struct ranked {
  float v;
  int64_t i;
} ranked;

static int descending(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  int odd = (x->v != x->v) - (y->v != y->v); /* NaN comes last */
  if (odd) return odd;
  if (x->v > y->v || x->v < y->v) return x->v > y->v ? -1 : 1;
  return x->i < y->i ? -1 : 1; /* stable */
}

/* core.argsort(t[, n]) -> of every n values in a row (all of them), positions in it from
** 1, largest value first, ties in order; and the sorted values.  Both are flat. */
static int argsort(lua_State *L) {
  lua_Integer length = lunL_optinteger(L, 2, 0);
  const lun_tensor *t = lunL_hold(L, 1);
  int64_t size = t->size, n = length ? length : size;
  ranked *r;
  lun_tensor *index, *value;
  lunL_argcheck(L, n >= 0 && (n == 0 ? size == 0 : size % n == 0), 2,
                "the values are no whole number of such rows");
  r = lua_newuserdatauv(L, (size_t)(n ? n : 1) * sizeof *r, 0);
  index = lunL_fresh(L, 1, &size);
  value = lunL_fresh(L, 1, &size);
  for (int64_t at = 0; at < size; at += n) {
    for (int64_t i = 0; i < n; i++) r[i] = (ranked){t->data[at + i], i};
    qsort(r, (size_t)n, sizeof *r, descending);
    for (int64_t i = 0; i < n; i++) {
      index->data[at + i] = (float)(r[i].i + 1);
      value->data[at + i] = r[i].v;
    }
  }
  return 2;
}

/* Adds the functions to the table on top. */
int lunL_open_order(lua_State *L) {
  static const lunL_reg functions[] = {
      {"argmax", argmax, 1}, {"argsort", argsort, 2}, {NULL, NULL, 0}};
  lunL_setfuncs(L, functions);
  return 0;
}
