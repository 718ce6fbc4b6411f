/* weights.c (binding) - safetensors files. */
#include <stdlib.h>
#include <string.h>

#include "bind.h"

static lun_weights *check(lua_State *L, int arg) {
  lun_weights **b = luaL_checkudata(L, arg, WEIGHTS_T);
  luaL_argcheck(L, *b != NULL, arg, "weights were released");
  return *b;
}

/* core.weights(path) -> weights, or nil and a message */
static int weights_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
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
  lun_weights *w = check(L, 1);
  int n = lun_weights_count(w);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    const lun_entry *e = lun_weights_entry(w, i);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, e->name), lua_setfield(L, -2, "name");
    lua_pushstring(L, names[e->dtype]), lua_setfield(L, -2, "dtype");
    lua_createtable(L, e->ndim, 0);
    for (int d = 0; d < e->ndim; d++) {
      lua_pushinteger(L, e->dim[d]);
      lua_seti(L, -2, d + 1);
    }
    lua_setfield(L, -2, "shape");
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

/* w:tensor(i) -> ith tensor (from 1), or nil and a message */
static int tensor(lua_State *L) {
  lun_weights *w = check(L, 1);
  int i = (int)luaL_checkinteger(L, 2) - 1;
  lunL_tensor *b = lunL_newtensor(L);
  lun_err err;
  lunL_reserve(L, 0);
  if (lun_weights_tensor(w, i, &b->t, &err) != LUN_OK)
    return lunL_failed(L, &err);
  return 1;
}

/* w:meta() -> table of strings */
static int meta(lua_State *L) {
  lun_weights *w = check(L, 1);
  const char *key, *value;
  lua_newtable(L);
  for (int i = 0; lun_weights_meta(w, i, &key, &value); i++) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
  }
  return 1;
}

static int release(lua_State *L) {
  lun_weights **b = luaL_checkudata(L, 1, WEIGHTS_T);
  lun_weights_release(*b);
  *b = NULL;
  return 0;
}

/* Metadata table at arg as key, value, ..., NULL in a userdatum. */
static const char **meta_list(lua_State *L, int arg) {
  const char **list_;
  int n = 0;
  if (lua_istable(L, arg))
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) n++;
  list_ = lua_newuserdatauv(L, (size_t)(2 * n + 1) * sizeof *list_, 0);
  n = 0;
  if (lua_istable(L, arg))
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
        luaL_argerror(L, arg, "metadata are strings by name");
      list_[n++] = lua_tostring(L, -2); /* both stay alive in the table */
      list_[n++] = lua_tostring(L, -1);
    }
  list_[n] = NULL;
  return list_;
}

/* A tensor whose values are there, lying as they may. */
static lun_tensor *with_values(lua_State *L, int arg) {
  lun_tensor *t = lunL_checkbox(L, arg)->t;
  return t->turned ? t : lunL_checktensor(L, arg);
}

/* core.write_weights(path, {{name, tensor}, ...}, "f32"|"f16"[, meta]) ->
** true, or nil and a message */
static int weights_write(lua_State *L) {
  static const char *const kinds[] = {"f32", "f16", NULL};
  const char *path = luaL_checkstring(L, 1);
  int n, half = luaL_checkoption(L, 3, "f32", kinds);
  const char **names, **pairs;
  lun_tensor **tensors;
  lun_err err;
  luaL_checktype(L, 2, LUA_TTABLE);
  n = (int)luaL_len(L, 2);
  pairs = meta_list(L, 4);
  names = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *names, 0);
  tensors = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *tensors, 0);
  for (int i = 0; i < n; i++) {
    lua_geti(L, 2, i + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_geti(L, -1, 1);
    names[i] = luaL_checkstring(L, -1);
    lua_geti(L, -2, 2);
    tensors[i] = with_values(L, -1);
    lua_pop(L, 3);
  }
  if (lun_weights_write(path, n, names, tensors, half ? LUN_F16 : LUN_F32,
                        pairs, &err) != LUN_OK)
    return lunL_failed(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg methods[] = {
    {"list", list},       {"tensor", tensor}, {"meta", meta},
    {"release", release}, {NULL, NULL},
};
static const luaL_Reg metamethods[] = {
    {"__gc", release},
    {"__close", release},
    {NULL, NULL},
};

int lunL_open_weights(lua_State *L) {
  lunL_class(L, WEIGHTS_T, methods, metamethods);
  lua_pushcfunction(L, weights_open);
  lua_setfield(L, -2, "weights");
  lua_pushcfunction(L, weights_write);
  lua_setfield(L, -2, "write_weights");
  return 0;
}
