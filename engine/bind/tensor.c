/*
** tensor.c (binding) - tensors in Lua: reading, views, indexing.  make.c makes
** them, inplace.c writes into them.
** Arithmetic and everything else differentiable is in ops.c.
** Indices and dimensions count from 1.
*/
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bind.h"

/* ---- reading ------------------------------------------------------------ */

static int shape(lua_State *L) {
  const lun_tensor *t = lunL_checkbox(L, 1)->t;
  lunL_pushshape(L, t->ndim, t->dim);
  return 1;
}

/* t:dim() -> number of dimensions; t:dim(i) -> size of the ith */
static int dim(lua_State *L) {
  const lun_tensor *t = lunL_checkbox(L, 1)->t;
  lua_Integer i = lunL_optinteger(L, 2, 0);
  if (i < 0 || i > t->ndim)
    lunL_argerror(L, 2,
                  lua_pushfstring(L,
                                  "there is no dimension %I, there are 1 to %d",
                                  i, t->ndim));
  lua_pushinteger(L, i ? t->dim[i - 1] : t->ndim);
  return 1;
}

/* t:size() -> number of values; in torch size(i) is one dimension */
static int size(lua_State *L) {
  if (lua_gettop(L) > 1 && !lua_isnil(L, 2))
    luaL_error(L, "size() counts all values and takes no argument; dim(i) is "
                  "the size of dimension i, shape() has all sizes");
  lua_pushinteger(L, lunL_checkbox(L, 1)->t->size);
  return 1;
}

static int len(lua_State *L) {
  lua_pushinteger(L, lunL_checkbox(L, 1)->t->dim[0]);
  return 1;
}

static int item(lua_State *L) {
  const lun_tensor *t = lunL_checktensor(L, 1);
  char text[LUN_SHAPETEXT];
  if (t->size != 1)
    luaL_error(L, "item() wants a tensor of one element, this one is %s",
               lun_shape_text(text, sizeof text, t->ndim, t->dim));
  lua_pushnumber(L, (lua_Number)t->data[0]);
  return 1;
}

/* Raises unless the call has an index for every dimension, and `more` behind them. */
static void check_indices(lua_State *L, const lun_tensor *t, const char *name,
                          int more) {
  char text[LUN_SHAPETEXT];
  int top = lua_gettop(L), most = t->ndim + 1 + more;
  while (top > most && lua_isnil(L, top)) top--;
  if (top == most) return;
  luaL_error(L, "%s takes %d %s%s for a tensor %s, got %d argument%s", name,
             t->ndim, t->ndim == 1 ? "index" : "indices",
             more ? " and a value" : "",
             lun_shape_text(text, sizeof text, t->ndim, t->dim), top - 1,
             top == 2 ? "" : "s");
}

int64_t lunL_offset(lua_State *L, const lun_tensor *t, const char *name,
                    int more) {
  int64_t at = 0;
  check_indices(L, t, name, more);
  for (int i = 0; i < t->ndim; i++) {
    lua_Integer k = lunL_checkinteger(L, 2 + i);
    if (k < 1 || k > t->dim[i])
      luaL_error(L, "index %d of dimension %d is outside 1 .. %d%s", (int)k,
                 i + 1, (int)t->dim[i], k == 0 ? "; indices count from 1" : "");
    at = at * t->dim[i] + k - 1;
  }
  return at;
}

/* t:get(i, j, ...) -> number */
static int get(lua_State *L) {
  const lun_tensor *t = lunL_checktensor(L, 1);
  lua_pushnumber(L, (lua_Number)t->data[lunL_offset(L, t, "get", 0)]);
  return 1;
}

/* Pushes the values of dimensions level .. last as nested lists. */
static const float *push_nested(lua_State *L, const lun_tensor *t, int level,
                                const float *p) {
  int last = level + 1 >= t->ndim || level + 1 >= LUN_MAXDIM;
  lua_createtable(L, (int)t->dim[level], 0);
  for (int64_t i = 1; i <= t->dim[level]; i++) {
    if (last)
      lua_pushnumber(L, (lua_Number)*p++);
    else
      p = push_nested(L, t, level + 1, p);
    lua_seti(L, -2, i);
  }
  return p;
}

static int totable(lua_State *L) {
  const lun_tensor *t = lunL_hold(L, 1);
  push_nested(L, t, 0, t->data);
  return 1;
}

/* t:bytes() -> little-endian float32 values as a string */
static int bytes(lua_State *L) {
  const lun_tensor *t = lunL_checktensor(L, 1);
  lua_pushlstring(L, (const char *)t->data, (size_t)t->size * sizeof(float));
  return 1;
}

/* t:stats() -> {min, max, mean, zeros (share), finite (bool), nan, infinite
** (how many), l2}; of NaN alone min and max are NaN */
static int stats(lua_State *L) {
  const lun_tensor *t = lunL_hold(L, 1);
  double lo = HUGE_VAL, hi = -HUGE_VAL, sum = 0, sq = 0;
  int64_t zero = 0, nan = 0, infinite = 0;
  for (int64_t i = 0; i < t->size; i++) {
    double v = (double)t->data[i];
    nan += v != v;
    infinite += isinf(v) != 0;
    if (v < lo) lo = v;
    if (v > hi) hi = v;
    sum += v;
    sq += v * v;
    zero += v == 0;
  }
  if (t->size > 0 && nan == t->size) lo = hi = (double)NAN;
  lua_createtable(L, 0, 8);
  lua_pushnumber(L, lo), lua_setfield(L, -2, "min");
  lua_pushnumber(L, hi), lua_setfield(L, -2, "max");
  lua_pushnumber(L, sum / (double)t->size), lua_setfield(L, -2, "mean");
  lua_pushnumber(L, sqrt(sq)), lua_setfield(L, -2, "l2");
  lua_pushnumber(L, (double)zero / (double)t->size);
  lua_setfield(L, -2, "zeros");
  lua_pushinteger(L, nan), lua_setfield(L, -2, "nan");
  lua_pushinteger(L, infinite), lua_setfield(L, -2, "infinite");
  lua_pushboolean(L, nan + infinite == 0), lua_setfield(L, -2, "finite");
  return 1;
}

/* ---- views and copies (outside any tape) -------------------------------- */

/* Part of the first dimension as a view. */
static int sub(lua_State *L, int64_t from, int64_t n, int keep) {
  const lun_tensor *t = lunL_hold(L, 1);
  lunL_tensor *v = lunL_newtensor(L);
  int64_t d[LUN_MAXDIM], row = t->dim[0] ? t->size / t->dim[0] : 0;
  lun_err err;
  int nd = keep ? t->ndim : t->ndim - 1;
  memcpy(d, keep ? t->dim : t->dim + 1, (size_t)nd * sizeof *d);
  if (keep) d[0] = n;
  if (lun_tensor_view(&v->t, t, from * row, nd, d, &err) != LUN_OK)
    return lunL_raise(L, &err);
  return 1;
}

/* t:rows(from, to): view of rows from .. to */
static int rows(lua_State *L) {
  const lun_tensor *t = lunL_checkbox(L, 1)->t;
  lua_Integer a = lunL_checkinteger(L, 2), b = lunL_optinteger(L, 3, a);
  if (a < 1 || b > t->dim[0] || b < a - 1)
    return luaL_error(L, "rows %d .. %d are outside 1 .. %d", (int)a, (int)b,
                      (int)t->dim[0]);
  return sub(L, a - 1, b - a + 1, 1);
}

/* Calls the method of that name, which is the library's, on what is on the stack. */
static int call_method(lua_State *L, const char *name, int results) {
  lua_getmetatable(L, 1);
  lua_getfield(L, -1, "methods");
  lua_getfield(L, -1, name);
  lua_replace(L, -3);
  lua_pop(L, 1);
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, results);
  return results;
}

/* Is it a number, which counts rows?  2.0 is 2, as in Lua's tables. */
static int is_index(lua_State *L, int arg) {
  int whole;
  if (lua_type(L, arg) != LUA_TNUMBER) return 0;
  lua_tointegerx(L, arg, &whole);
  if (!whole)
    return luaL_error(L, "index %f is no whole number; a // b divides to one",
                      lua_tonumber(L, arg));
  return 1;
}

/* Raises: a tensor of n rows has no row i. */
static int outside(lua_State *L, lua_Integer i, const lun_tensor *t) {
  char text[LUN_SHAPETEXT];
  const char *more = "";
  lua_Integer n = (lua_Integer)t->dim[0];
  lun_shape_text(text, sizeof text, t->ndim, t->dim);
  if (i < 0)
    more = lua_pushfstring(L, "; x[{ %I }] counts from the end", i);
  else if (i == 0)
    more = "; indices count from 1";
  return luaL_error(L, "index %I is outside 1 .. %I of a tensor %s%s", i, n,
                    text, more);
}

/* t[i]: ith row as a view (a number from a 1-D tensor); t[{...}]: a region; t.name: a
** method, whose file the library may load now, or what the user wrote there */
static int index_(lua_State *L) {
  const lun_tensor *t;
  lua_Integer i;
  if (lua_istable(L, 2)) return call_method(L, "region", 1);
  if (!is_index(L, 2)) {
    lua_getmetatable(L, 1);
    lua_getfield(L, -1, "methods");
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
    if (lua_isnil(L, -1)) { /* the user's own fields: story, pictures */
      lua_getiuservalue(L, 1, 1);
      if (lua_istable(L, -1)) {
        lua_pushvalue(L, 2);
        lua_rawget(L, -2);
      } else {
        lua_pushnil(L);
      }
    }
    return 1;
  }
  t = lunL_checktensor(L, 1);
  i = lua_tointeger(L, 2);
  if (i < 1 || i > t->dim[0]) return outside(L, i, t);
  if (t->ndim > 1) return sub(L, i - 1, 1, 0);
  lua_pushnumber(L, (lua_Number)t->data[i - 1]);
  return 1;
}

/* t[i] = number or tensor; t[{...}] = likewise; t.field = anything (kept with this handle) */
static int newindex(lua_State *L) {
  if (lua_istable(L, 2)) return call_method(L, "set_region", 0);
  if (is_index(L, 2)) {
    int number = lua_isnumber(L, 3);
    lua_Integer i = lua_tointeger(L, 2);
    lun_tensor *t;
    int64_t row;
    if (!number && !luaL_testudata(L, 3, TENSOR_T))
      lunL_wanted(L, 3, "a tensor or a number");
    lunL_ready(L, 1);
    if (!number) lunL_ready(L, 3);
    t = lunL_writable(L, 1);
    row = t->dim[0] ? t->size / t->dim[0] : 0;
    if (i < 1 || i > t->dim[0]) return outside(L, i, t);
    if (number) {
      for (int64_t k = 0; k < row; k++)
        t->data[(i - 1) * row + k] = (float)lua_tonumber(L, 3);
    } else {
      const lun_tensor *s = lunL_values(L, 3);
      if (s->size != row)
        return luaL_error(L, "x[i] = y: a row of %d values is wanted, got %d",
                          (int)row, (int)s->size);
      memmove(t->data + (i - 1) * row, s->data, (size_t)row * sizeof(float));
    }
    return 0;
  }
  if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 1);
  }
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_settable(L, -3);
  return 0;
}

/* t:view(shape...): same values, off the tape */
static int view(lua_State *L) {
  int64_t d[LUN_MAXDIM];
  int n = lunL_checkshape(L, 2, d);
  const lun_tensor *t = lunL_hold(L, 1);
  lunL_tensor *v = lunL_newtensor(L);
  lun_err err = {LUN_ESHAPE, ""};
  if (lun_shape_size(n, d) != t->size)
    return luaL_error(L, "view: %d values do not fit that shape", (int)t->size);
  if (lun_tensor_view(&v->t, t, 0, n, d, &err) != LUN_OK)
    return lunL_raise(L, &err);
  return 1;
}

static int clone(lua_State *L) {
  const lun_tensor *t;
  lunL_tensor *c;
  lun_err err;
  lunL_ready(L, 1);
  lunL_reserve(L, (size_t)lunL_checkbox(L, 1)->t->size * sizeof(float));
  c = lunL_newtensor(L);
  t = lunL_checkbox(L, 1)->t;
  if (lun_tensor_copy(&c->t, t, &err) != LUN_OK) return lunL_raise(L, &err);
  return 1;
}

/* t:version() -> how often values of its storage were written to */
static int version(lua_State *L) {
  const lun_tensor *t = lunL_checktensor(L, 1);
  lua_pushinteger(L, t->store ? (lua_Integer)t->store->changes : 0);
  return 1;
}

/* t:shares(other): are both the same values in memory, in the same shape? */
static int shares(lua_State *L) {
  const lun_tensor *a, *b;
  lunL_ready(L, 1);
  lunL_ready(L, 2);
  a = lunL_values(L, 1), b = lunL_values(L, 2);
  lua_pushboolean(L, a->data == b->data && lun_tensor_same_shape(a, b));
  return 1;
}

/* t:detach(): the same values without the tape */
static int detach(lua_State *L) {
  lunL_tensor *b = lunL_newtensor(L);
  lunL_ready(L, 1);
  b->t = lun_tensor_retain(lunL_values(L, 1));
  return 1;
}

/* t:node() -> its id on the tape, or nil */
static int node(lua_State *L) {
  const lunL_tensor *b = lunL_checkbox(L, 1);
  if (b->node < 0) return 0;
  lua_pushinteger(L, b->node);
  return 1;
}

static int same(lua_State *L) {
  const lun_tensor *a, *b;
  lunL_ready(L, 1);
  lunL_ready(L, 2);
  a = lunL_values(L, 1), b = lunL_values(L, 2);
  lua_pushboolean(
      L, lun_tensor_same_shape(a, b) &&
             memcmp(a->data, b->data, (size_t)a->size * sizeof(float)) == 0);
  return 1;
}

static int release(lua_State *L) {
  lunL_tensor *b = lunL_checkudata(L, 1, TENSOR_T);
  lun_tensor_release(b->t);
  lun_tape_release(b->tape);
  *b = (lunL_tensor){NULL, NULL, -1};
  return 0;
}

static int tostring(lua_State *L) {
  lunL_tensor *b = lunL_checkudata(L, 1, TENSOR_T);
  char text[LUN_SHAPETEXT];
  double lo = HUGE_VAL, hi = -HUGE_VAL;
  if (!b->t) {
    lua_pushliteral(L, "Tensor (released)");
    return 1;
  }
  lun_shape_text(text, sizeof text, b->t->ndim, b->t->dim);
  if (!b->t->data || !b->t->size) {
    lua_pushfstring(L, "Tensor %s %s", text,
                    b->t->size ? "not computed yet" : "empty");
    return 1;
  }
  for (int64_t i = 0; i < b->t->size; i++) {
    if ((double)b->t->data[i] < lo) lo = (double)b->t->data[i];
    if ((double)b->t->data[i] > hi) hi = (double)b->t->data[i];
  }
  {
    char buf[160];
    if (lo > hi) /* no value is a number */
      snprintf(buf, sizeof buf, "Tensor %s all NaN", text);
    else
      snprintf(buf, sizeof buf, "Tensor %s min %.4g max %.4g", text, lo, hi);
    lua_pushstring(L, buf);
  }
  return 1;
}

static const lunL_reg methods[] = {
    {"shape", shape, 1},      {"dim", dim, 2},        {"size", size, LUNL_ANY},
    {"item", item, 1},        {"get", get, LUNL_ANY}, {"totable", totable, 1},
    {"bytes", bytes, 1},      {"stats", stats, 1},    {"rows", rows, 3},
    {"view", view, LUNL_ANY}, {"clone", clone, 1},    {"detach", detach, 1},
    {"node", node, 1},        {"same", same, 2},      {"release", release, 1},
    {"version", version, 1},  {"shares", shares, 2},  {NULL, NULL, 0},
};

static const luaL_Reg meta[] = {
    {"__index", index_}, {"__newindex", newindex}, {"__len", len},
    {"__gc", release},   {"__close", release},     {"__tostring", tostring},
    {NULL, NULL},
};

/* The class keeps its methods in metatable.methods, since __index is a
** function; core.methods is the same table. */
int lunL_open_tensor(lua_State *L) {
  luaL_newmetatable(L, TENSOR_T);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  lunL_setfuncs(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "methods");
  lua_setfield(L, -3, "methods"); /* core.methods: the library adds to it */
  lua_pop(L, 1);
  return 0;
}
