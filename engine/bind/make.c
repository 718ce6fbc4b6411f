/*
** make.c (binding) - tensors from Lua values: constants, nested lists, bytes,
** ranges, random numbers by seed and stream.
*/
#include <math.h>
#include <string.h>

#include "bind.h"

/* A tensor of one value; its shape stands at arg. */
static int filled(lua_State *L, float v, int arg) {
  int64_t dim[LUN_MAXDIM];
  int n = lunL_checkshape(L, arg, dim);
  lun_tensor *t = lunL_fresh(L, n, dim);
  for (int64_t i = 0; i < t->size; i++) t->data[i] = v;
  return 1;
}

/* core.full(value, shape...) */
static int full(lua_State *L) {
  return filled(L, (float)lunL_checknumber(L, 1), 2);
}

static int zeros(lua_State *L) { return filled(L, 0, 1); }

static int ones(lua_State *L) { return filled(L, 1, 1); }

/* Shape of nested lists, following first elements; argument 1 is a list. */
static int nested_shape(lua_State *L, int64_t *dim) {
  int n = 0;
  lua_pushvalue(L, 1);
  do {
    if (n == LUN_MAXDIM)
      return luaL_error(L, "a tensor has at most %d dimensions", LUN_MAXDIM);
    dim[n++] = luaL_len(L, -1);
    lua_geti(L, -1, 1);
    lua_remove(L, -2);
  } while (lua_istable(L, -1));
  lua_pop(L, 1);
  return n;
}

static float *fill_nested(lua_State *L, int level, int ndim, const int64_t *dim,
                          float *p) {
  lunL_checktype(L, -1, LUA_TTABLE);
  if (luaL_len(L, -1) != dim[level])
    luaL_error(
        L, "ragged table: %d elements at depth %d, expected %d as in the first",
        (int)luaL_len(L, -1), level + 1, (int)dim[level]);
  for (int64_t i = 1; i <= dim[level]; i++) {
    lua_geti(L, -1, i);
    if (level + 1 < ndim)
      p = fill_nested(L, level + 1, ndim, dim, p);
    else if (lua_isnumber(L, -1))
      *p++ = (float)lua_tonumber(L, -1);
    else
      luaL_error(L, "a tensor holds numbers, got %s", luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  return p;
}

/* core.tensor(nested lists of numbers) */
static int tensor(lua_State *L) {
  int64_t dim[LUN_MAXDIM];
  int n;
  lun_tensor *t;
  if (!lua_isnoneornil(L, 2))
    luaL_error(
        L, "tensor takes 1 argument, got %d: one list, lu.tensor { 1, 2, 3 }",
        lua_gettop(L));
  if (!lua_istable(L, 1))
    lunL_wanted(L, 1, "a list of numbers, lu.tensor { 1, 2, 3 }");
  n = nested_shape(L, dim);
  t = lunL_fresh(L, n, dim);
  lua_pushvalue(L, 1);
  fill_nested(L, 0, n, dim, t->data);
  lua_pop(L, 1);
  return 1;
}

/* core.from_bytes(string, "f32"|"u8", shape...) */
static int from_bytes(lua_State *L) {
  static const char *const kinds[] = {"f32", "u8", NULL};
  size_t len;
  const char *s = lunL_checklstring(L, 1, &len);
  int kind = lunL_checkoption(L, 2, NULL, kinds);
  int64_t dim[LUN_MAXDIM];
  int n = lunL_checkshape(L, 3, dim);
  lun_tensor *t = lunL_fresh(L, n, dim);
  if (len != (size_t)t->size * (kind ? 1 : sizeof(float)))
    return luaL_error(L, "from_bytes: %d bytes for %d %s values", (int)len,
                      (int)t->size, kinds[kind]);
  if (kind)
    for (int64_t i = 0; i < t->size; i++)
      t->data[i] = (float)(unsigned char)s[i];
  else
    memcpy(t->data, s, len);
  return 1;
}

/* core.range(from, to[, step]): from, from+step ... up to `to` included */
static int range(lua_State *L) {
  double from = lunL_checknumber(L, 1), to = lunL_checknumber(L, 2);
  double step = lunL_optnumber(L, 3, 1);
  int64_t n;
  lun_tensor *t;
  lunL_argcheck(L, step != 0 && fabs((to - from) / step) < 1e9, 3,
                "step must not be 0, nor give a thousand million values");
  n = (int64_t)floor((to - from) / step + 1e-9) + 1;
  if (n < 0) n = 0;
  t = lunL_fresh(L, 1, &n);
  for (int64_t i = 0; i < n; i++) t->data[i] = (float)(from + (double)i * step);
  return 1;
}

static int random_with(lua_State *L,
                       void (*fill)(float *, int64_t, uint64_t, uint64_t)) {
  uint64_t seed = (uint64_t)lunL_checkinteger(L, 1);
  uint64_t stream = (uint64_t)lunL_checkinteger(L, 2);
  int64_t dim[LUN_MAXDIM];
  int n = lunL_checkshape(L, 3, dim);
  lun_tensor *t = lunL_fresh(L, n, dim);
  fill(t->data, t->size, seed, stream);
  return 1;
}

/* core.uniform(seed, stream, shape...): [0,1) */
static int uniform(lua_State *L) { return random_with(L, lun_random_uniform); }

/* core.normal(seed, stream, shape...): mean 0, deviation 1 */
static int normal(lua_State *L) { return random_with(L, lun_random_normal); }

static const lunL_reg functions[] = {
    {"tensor", tensor, LUNL_ANY},
    {"full", full, LUNL_ANY},
    {"zeros", zeros, LUNL_ANY},
    {"ones", ones, LUNL_ANY},
    {"range", range, 3},
    {"from_bytes", from_bytes, LUNL_ANY},
    {"uniform", uniform, LUNL_ANY},
    {"normal", normal, LUNL_ANY},
    {NULL, NULL, 0},
};

/* Adds the constructors to the table on top. */
int lunL_open_make(lua_State *L) {
  lunL_setfuncs(L, functions);
  return 0;
}
