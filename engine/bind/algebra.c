/*
** algebra.c (binding) - decompositions of a matrix.  Off the tape: where two
** eigenvalues meet there is no gradient.
*/
#include <math.h>

#include "../kernels/kernels.h"
#include "bind.h"

/* The values of the matrix at 1 as doubles, which the stack keeps; NaN is refused:
** LAPACK may not come to an end with it. */
static double *doubles(lua_State *L, const char *what, int64_t *rows,
                       int64_t *columns) {
  const lun_tensor *t = lunL_hold(L, 1);
  double *a = lua_newuserdatauv(L, (size_t)(t->size + 1) * sizeof *a, 0);
  if (t->ndim != 2)
    luaL_error(L, "%s: a matrix (m,n) is needed, this has %d dimensions", what,
               t->ndim);
  *rows = t->dim[0], *columns = t->dim[1];
  for (int64_t i = 0; i < t->size; i++) {
    a[i] = (double)t->data[i];
    if (!isfinite(a[i]))
      luaL_error(L, "%s: the matrix holds NaN or infinity", what);
  }
  return a;
}

static double *room(lua_State *L, int64_t n) {
  return lua_newuserdatauv(L, (size_t)(n + 1) * sizeof(double), 0);
}

/* Pushes a tensor of `rows` rows of `columns` doubles, or its transpose. */
static void push(lua_State *L, const double *v, int64_t rows, int64_t columns,
                 int turned) {
  int64_t dim[2] = {turned ? columns : rows, turned ? rows : columns};
  lun_tensor *t = lunL_fresh(L, 2, dim);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++)
      t->data[turned ? c * rows + r : r * columns + c] =
          (float)v[r * columns + c];
}

static void push_row(lua_State *L, const double *v, int64_t n) {
  lun_tensor *t = lunL_fresh(L, 1, &n);
  for (int64_t i = 0; i < n; i++) t->data[i] = (float)v[i];
}

/* t:eigh() -> eigenvalues (n), ascending, and eigenvectors (n,n), one a column */
static int eigh(lua_State *L) {
  int64_t n, columns;
  double *a = doubles(L, "eigh", &n, &columns), *value;
  lun_err err;
  if (n != columns)
    return luaL_error(L, "eigh: a square matrix is needed, this is (%d,%d)",
                      (int)n, (int)columns);
  value = room(L, n);
  if (lun_eigh(n, a, value, &err) != LUN_OK) return lunL_raise(L, &err);
  push_row(L, value, n);
  push(L, a, n, n, 1);
  return 2;
}

/* t:svd() -> u (m,k), s (k) descending, v (n,k): t = u diag(s) v' */
static int svd(lua_State *L) {
  int64_t m, n, k;
  double *a = doubles(L, "svd", &m, &n), *u, *s, *vt;
  lun_err err;
  k = m < n ? m : n;
  u = room(L, m * k), s = room(L, k), vt = room(L, k * n);
  if (lun_svd(m, n, a, u, s, vt, &err) != LUN_OK) return lunL_raise(L, &err);
  push(L, u, m, k, 0);
  push_row(L, s, k);
  push(L, vt, k, n, 1);
  return 3;
}

int lunL_open_algebra(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"eigh", eigh}, {"svd", svd}, {NULL, NULL}};
  luaL_getmetatable(L, TENSOR_T);
  lua_getfield(L, -1, "methods");
  luaL_setfuncs(L, methods, 0);
  lua_pop(L, 2);
  return 0;
}
