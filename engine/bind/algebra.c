/*
** algebra.c (binding) - decompositions of a matrix, and least squares.  Off the tape:
** where two eigenvalues meet there is no gradient.
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
                 int transposed) {
  int64_t dim[2] = {transposed ? columns : rows, transposed ? rows : columns};
  lun_tensor *t = lunL_fresh(L, 2, dim);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++)
      t->data[transposed ? c * rows + r : r * columns + c] =
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

/* The number at i of the list on the top of the stack. */
static double number_at(lua_State *L, int64_t i) {
  double v;
  int is_number;
  lua_rawgeti(L, -1, i);
  v = lua_tonumberx(L, -1, &is_number);
  if (!is_number || !isfinite(v))
    luaL_error(L, "least squares: element %d is no finite number", (int)i);
  lua_pop(L, 1);
  return v;
}

static int64_t length(lua_State *L, int at, const char *what, int64_t want) {
  int64_t n;
  lunL_checktype(L, at, LUA_TTABLE);
  n = (int64_t)lua_rawlen(L, at);
  if (n < 1 || (want && n != want))
    luaL_error(L, "least squares: %s of %d, %d are needed", what, (int)n,
               (int)(want ? want : 1));
  return n;
}

/* core.least_squares(rows, y) -> list: rows (m lists of n numbers), y (m) */
static int least_squares(lua_State *L) {
  int64_t m = length(L, 1, "a list", 0), n;
  double *a, *b;
  lun_err err;
  length(L, 2, "values", m);
  lua_rawgeti(L, 1, 1);
  n = length(L, -1, "a row", 0);
  lua_pop(L, 1);
  a = room(L, m * n), b = room(L, m > n ? m : n);
  lua_pushvalue(L, 2);
  for (int64_t r = 0; r < m; r++) b[r] = number_at(L, r + 1);
  lua_pop(L, 1);
  for (int64_t r = 0; r < m; r++) {
    lua_rawgeti(L, 1, r + 1);
    length(L, -1, "a row", n);
    for (int64_t c = 0; c < n; c++) a[c * m + r] = number_at(L, c + 1);
    lua_pop(L, 1);
  }
  if (lun_least_squares(m, n, a, b, 1e-10, &err) != LUN_OK)
    return lunL_raise(L, &err);
  lua_createtable(L, (int)n, 0);
  for (int64_t c = 0; c < n; c++) {
    lua_pushnumber(L, b[c]);
    lua_rawseti(L, -2, c + 1);
  }
  return 1;
}

int lunL_open_algebra(lua_State *L) {
  static const lunL_reg functions[] = {{"least_squares", least_squares, 2},
                                       {NULL, NULL, 0}};
  static const lunL_reg methods[] = {
      {"eigh", eigh, 1}, {"svd", svd, 1}, {NULL, NULL, 0}};
  lunL_setfuncs(L, functions);
  luaL_getmetatable(L, TENSOR_T);
  lua_getfield(L, -1, "methods");
  lunL_setfuncs(L, methods);
  lua_pop(L, 2);
  return 0;
}
