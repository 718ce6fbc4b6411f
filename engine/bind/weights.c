/*
** weights.c (binding) - safetensors files.
*/
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"

static lun_weights *check(lua_State *L, int arg) {
  lun_weights **b = lunL_checkudata(L, arg, WEIGHTS_T);
  lunL_argcheck(L, *b != NULL, arg, "weights were released");
  return *b;
}

/* core.weights(path) -> weights, or nil and a message */
static int weights_open(lua_State *L) {
  const char *path = lunL_checkstring(L, 1);
  lun_weights **b = lua_newuserdatauv(L, sizeof *b, 0);
  lun_err err;
  *b = NULL;
  luaL_setmetatable(L, WEIGHTS_T);
  if (lun_weights_open(b, path, &err) != LUN_OK) return lunL_failed(L, &err);
  return 1;
}

/* w:list() -> {{name =, dtype =, shape = {}}, ...} in file order */
static int list(lua_State *L) {
  static const char *const names[] = {"F32", "F16", "BF16", "F64", "other"};
  int n = lun_weights_count(check(L, 1));
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lun_entry e;
    lua_createtable(L, 0, 3);
    e = *lun_weights_entry(check(L, 1), i);
    lua_pushstring(L, e.name), lua_setfield(L, -2, "name");
    lua_pushstring(L, names[e.dtype]), lua_setfield(L, -2, "dtype");
    lua_createtable(L, e.ndim, 0);
    for (int d = 0; d < e.ndim; d++) {
      lua_pushinteger(L, e.dim[d]);
      lua_seti(L, -2, d + 1);
    }
    lua_setfield(L, -2, "shape");
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

/* w:tensor(i) -> ith tensor (from 1), or nil and a message */
static int tensor(lua_State *L) {
  lua_Integer i = lunL_checkinteger(L, 2);
  int index = i >= 1 && i <= INT_MAX ? (int)i - 1 : -1;
  lunL_tensor *b = lunL_newtensor(L);
  lun_err err;
  lunL_reserve(L, 0);
  if (lun_weights_tensor(check(L, 1), index, &b->t, &err) != LUN_OK)
    return lunL_failed(L, &err);
  return 1;
}

/* w:meta() -> table of strings */
static int meta(lua_State *L) {
  const char *key, *value;
  lua_newtable(L);
  for (int i = 0; lun_weights_meta(check(L, 1), i, &key, &value); i++) {
    lua_pushstring(L, key);
    lun_weights_meta(check(L, 1), i, &key, &value);
    lua_pushstring(L, value);
    lua_rawset(L, -3);
  }
  return 1;
}

/* w:unchanged() -> true, or nil and a message: the file was cut or overwritten
** since it was opened */
static int unchanged(lua_State *L) {
  lun_err err;
  if (lun_weights_unchanged(check(L, 1), &err) != LUN_OK)
    return lunL_failed(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int release(lua_State *L) {
  lun_weights **b = lunL_checkudata(L, 1, WEIGHTS_T);
  lun_weights_release(*b);
  *b = NULL;
  return 0;
}

enum { MAX_TENSORS = 65536, MAX_META = 4096 };

/* Moves the value on top to place i of the table at `list`. */
static void keep(lua_State *L, int list, int i) { lua_rawseti(L, list, i); }

/* Copies key, value, key, value ... of the table at arg to the one at `to`,
** which keeps them; returns how many strings. */
static int keep_meta(lua_State *L, int arg, int to) {
  int n = 0;
  if (!lua_istable(L, arg)) return 0;
  for (lua_pushnil(L); lua_next(L, arg); n += 2) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      lunL_argerror(L, arg, "metadata are strings by name");
    lunL_argcheck(L, n < 2 * MAX_META, arg, "too much metadata");
    keep(L, to, n + 2);
    lua_pushvalue(L, -1);
    keep(L, to, n + 1);
  }
  return n;
}

/* Copies name, tensor, name, tensor ... of {{name, tensor}, ...} at arg to the
** table at `to`; returns how many tensors. */
static int keep_tensors(lua_State *L, int arg, int to) {
  lua_Integer n = luaL_len(L, arg);
  lunL_argcheck(L, n >= 0 && n <= MAX_TENSORS, arg,
                "a list of at most 65536 {name, tensor}");
  for (int i = 0; i < (int)n; i++) {
    lua_geti(L, arg, i + 1);
    lunL_checktype(L, -1, LUA_TTABLE);
    lua_geti(L, -1, 1);
    lunL_checkstring(L, -1);
    keep(L, to, 2 * i + 1);
    lua_geti(L, -1, 2);
    lunL_ready(L, lua_gettop(L));
    keep(L, to, 2 * i + 2);
    lua_pop(L, 1);
  }
  return (int)n;
}

/* The string at place i of the table at `list`, which keeps it. */
static const char *kept_string(lua_State *L, int list, int i) {
  const char *s;
  lua_rawgeti(L, list, i);
  s = lua_tostring(L, -1);
  lua_pop(L, 1);
  return s;
}

static lun_tensor *kept_tensor(lua_State *L, int list, int i) {
  lun_tensor *t;
  lua_rawgeti(L, list, i);
  t = lunL_checkbox(L, -1)->t;
  lua_pop(L, 1);
  return t;
}

/* Tables have no order; files of the same weights are to have the same bytes. */
static int by_key(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* core.write_weights(path, {{name, tensor}, ...}, "f32"|"f16"[, meta]) ->
** true, or nil and a message */
static int weights_write(lua_State *L) {
  enum { LIST = 2, META = 4, PAIRS, TENSORS };
  static const char *const kinds[] = {"f32", "f16", NULL};
  const char *path = lunL_checkstring(L, 1);
  int n, npairs, half = lunL_checkoption(L, 3, "f32", kinds);
  const char **names, **pairs;
  lun_tensor **tensors;
  lun_err err;
  lunL_checktype(L, LIST, LUA_TTABLE);
  lua_settop(L, META);
  lua_newtable(L);
  npairs = keep_meta(L, META, PAIRS);
  lua_newtable(L);
  n = keep_tensors(L, LIST, TENSORS);
  pairs = lua_newuserdatauv(L, (size_t)(npairs + 1) * sizeof *pairs, 0);
  names = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *names, 0);
  tensors = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *tensors, 0);
  for (int i = 0; i < npairs; i++) pairs[i] = kept_string(L, PAIRS, i + 1);
  qsort(pairs, (size_t)npairs / 2, 2 * sizeof *pairs, by_key);
  pairs[npairs] = NULL;
  for (int i = 0; i < n; i++) {
    names[i] = kept_string(L, TENSORS, 2 * i + 1);
    tensors[i] = kept_tensor(L, TENSORS, 2 * i + 2);
  }
  if (lun_weights_write(path, n, names, tensors, half ? LUN_F16 : LUN_F32,
                        pairs, &err) != LUN_OK)
    return lunL_failed(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static const lunL_reg functions[] = {
    {"weights", weights_open, 1},
    {"write_weights", weights_write, 4},
    {NULL, NULL, 0},
};
static const lunL_reg methods[] = {
    {"list", list, 1},           {"tensor", tensor, 2},   {"meta", meta, 1},
    {"unchanged", unchanged, 1}, {"release", release, 1}, {NULL, NULL, 0},
};
static const luaL_Reg metamethods[] = {
    {"__gc", release},
    {"__close", release},
    {NULL, NULL},
};

int lunL_open_weights(lua_State *L) {
  lunL_class(L, WEIGHTS_T, methods, metamethods);
  lunL_setfuncs(L, functions);
  return 0;
}
