/*
** box.c (binding) - what every file here uses: errors, classes, and the boxes
** in which Lua holds tensors.  It calls no other file of the binding but
** interrupt.c.
*/
#include <stdio.h>
#include <string.h>

#include "bind.h"

/* ---- errors, memory, classes -------------------------------------------- */

int lunL_raise(lua_State *L, const lun_err *err) {
  if (err->code != LUN_EINTR) return luaL_error(L, "%s", err->msg);
  lunL_interrupted(L);
  return luaL_error(L, "interrupted");
}

const char *lunL_quoted(lua_State *L, const char *s) {
  lun_err e;
  lun_fail(&e, LUN_ENAME, "%s", s);
  return lua_pushstring(L, e.msg);
}

int lunL_failed(lua_State *L, const lun_err *err) {
  if (err->code == LUN_EINTR) return lunL_raise(L, err);
  lua_pushnil(L);
  lua_pushstring(L, err->msg);
  return 2;
}

/*
** Torch's rule.  Lua's collector counts the few bytes of a box, not the megabytes
** of its tensor.  So when the soft limit is crossed, garbage is collected; if more
** than 80 % of the limit is still in use, the limit grows to 1.4 times the use.
*/
void lunL_reserve(lua_State *L, size_t bytes) {
  if (!lun_mem_over(bytes)) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  lua_gc(L, LUA_GCCOLLECT, 0); /* what finalisers released */
  if (lun_mem().live + bytes > lun_mem_limit() / 10 * 8)
    lun_mem_set_limit((lun_mem().live + bytes) / 10 * 14);
}

int lunL_position(lua_State *L, int arg) {
  lua_Debug ar;
  return arg - (lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) &&
                strcmp(ar.namewhat, "method") == 0);
}

void lunL_most(lua_State *L, const char *name, int most) {
  int top = lua_gettop(L), object;
  while (top > most && lua_isnil(L, top)) top--;
  if (top <= most) return;
  object = 1 - lunL_position(L, 1);
  luaL_error(L, "%s takes %s%d argument%s, got %d", name,
             most > object ? "at most " : "", most - object,
             most - object == 1 ? "" : "s", top - object);
}

/* A function of a list: upvalue 1 is its row. */
static int counted(lua_State *L) {
  const lunL_reg *r = lua_touserdata(L, lua_upvalueindex(1));
  if (lua_gettop(L) > r->most) lunL_most(L, r->name, r->most);
  return r->f(L);
}

const char *lunL_own_name(lua_State *L, int f) {
  const lunL_reg *r;
  if (lua_tocfunction(L, f) != counted || !lua_getupvalue(L, f, 1)) return NULL;
  r = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return r->name;
}

void lunL_setfuncs(lua_State *L, const lunL_reg *list) {
  for (; list->name; list++) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)list);
    lua_pushcclosure(L, counted, 1);
    lua_setfield(L, -2, list->name);
  }
}

void lunL_known(lua_State *L, int idx, const char *name,
                const char *const *known) {
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    const char *const *k = known;
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    luaL_Buffer b;
    while (*k && strcmp(*k, key) != 0) k++;
    lua_pop(L, 1);
    if (*k) continue;
    luaL_tolstring(L, -1, NULL);
    luaL_buffinit(L, &b);
    for (k = known; *k; k++) {
      luaL_addstring(&b, k == known ? "" : ", ");
      luaL_addstring(&b, *k);
    }
    luaL_pushresult(&b);
    const char *takes = lua_tostring(L, -1);
    luaL_error(L, "%s: there is no '%s' (it takes %s)", name,
               lunL_quoted(L, lua_tostring(L, -2)), takes);
  }
}

void lunL_class(lua_State *L, const char *name, const lunL_reg *methods,
                const luaL_Reg *meta) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  if (methods) lunL_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void lunL_check_files(lua_State *L) {
  static unsigned seen;
  const char *path;
  unsigned now = lun_file_faults(&path);
  if (now == seen) return;
  seen = now;
  luaL_error(L,
             "%s: the file was cut or cannot be read any more, and what was "
             "just computed from it is wrong; load it again",
             path);
}

/* ---- boxes -------------------------------------------------------------- */

lunL_tensor *lunL_newtensor(lua_State *L) {
  lunL_tensor *b = lua_newuserdatauv(L, sizeof *b, 1);
  *b = (lunL_tensor){NULL, NULL, -1};
  luaL_setmetatable(L, TENSOR_T);
  return b;
}

void lunL_pushtensor(lua_State *L, lun_tensor *t, lun_tape *tape, int node) {
  lunL_tensor *b = lunL_newtensor(L);
  b->t = lun_tensor_retain(t);
  b->tape = node >= 0 ? lun_tape_retain(tape) : NULL;
  b->node = node;
}

lunL_tensor *lunL_testbox(lua_State *L, int arg) {
  lunL_tensor *b = luaL_testudata(L, arg, TENSOR_T);
  if (b && !b->t) luaL_error(L, "tensor was released");
  return b;
}

lunL_tensor *lunL_checkbox(lua_State *L, int arg) {
  lunL_tensor *b = lunL_checkudata(L, arg, TENSOR_T);
  if (!b->t) lunL_argerror(L, arg, "tensor was released");
  return b;
}

/* A deferred tensor is computed. */
void lunL_ready(lua_State *L, int arg) {
  lunL_check_files(L);
  lunL_tensor *b = lunL_checkbox(L, arg);
  lun_err err;
  lun_tensor *value;
  if (!b->t->store && b->t->size && b->tape) {
    lunL_reserve(L, (size_t)b->t->size * sizeof(float));
    b = lunL_checkbox(L, arg);
    if (lun_tape_value(b->tape, b->node, &value, &err) != LUN_OK)
      lunL_raise(L, &err);
  }
}

lun_tensor *lunL_values(lua_State *L, int arg) {
  lun_tensor *t = lunL_checkbox(L, arg)->t;
  lunL_argcheck(L, t->data || !t->size, arg, "its values were not kept");
  return t;
}

/* Remembers the line that writes, for the message of a gradient that cannot be
** computed any more: the caller's, where the library writes for him (a step of an
** optimiser).  No string is made, so nothing is collected. */
static void note_place(lua_State *L, lun_storage *s) {
  lua_Debug ar;
  s->changed_at[0] = 0;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    if (s->changed_at[0] && lunL_inner(L, &ar)) continue;
    snprintf(s->changed_at, sizeof s->changed_at, "%.50s:%d", ar.short_src,
             ar.currentline);
    if (!lunL_inner(L, &ar)) return;
  }
}

lun_tensor *lunL_writable(lua_State *L, int arg) {
  lun_tensor *t = lunL_checkbox(L, arg)->t;
  if (t->readonly)
    lunL_argerror(L, arg, "weights of a file are read-only; clone() them");
  lunL_argcheck(L, t->data || !t->size, arg, "its values were not kept");
  if (!t->store) return t;
  if (t->store->owner[0])
    luaL_error(L,
               "these values belong to %s and are read-only; change a copy: "
               "clone()",
               t->store->owner);
  t->store->changes++;
  if (t->store->watched) note_place(L, t->store);
  return t;
}

lun_tensor *lunL_checktensor(lua_State *L, int arg) {
  lunL_ready(L, arg);
  return lunL_values(L, arg);
}

lun_tensor *lunL_checkwritable(lua_State *L, int arg) {
  lunL_ready(L, arg);
  return lunL_writable(L, arg);
}

lun_tensor *lunL_hold(lua_State *L, int arg) {
  lunL_tensor *b = lunL_newtensor(L);
  lunL_ready(L, arg);
  b->t = lun_tensor_retain(lunL_values(L, arg));
  lua_toclose(L, -1); /* let go when the call ends, not when Lua collects */
  return b->t;
}

void lunL_pushshape(lua_State *L, int ndim, const int64_t *dim) {
  int64_t d[LUN_MAXDIM];
  memcpy(d, dim, (size_t)ndim * sizeof *d); /* its owner may go meanwhile */
  lua_createtable(L, ndim, 0);
  for (int i = 0; i < ndim; i++) {
    lua_pushinteger(L, d[i]);
    lua_seti(L, -2, i + 1);
  }
}

int lunL_checkshape(lua_State *L, int arg, int64_t *dim) {
  int list = lua_istable(L, arg), n = 0;
  int top = list ? (int)luaL_len(L, arg) : lua_gettop(L) - arg + 1;
  if (list && lua_gettop(L) > arg && !lua_isnil(L, arg + 1))
    luaL_error(L, "a shape is one list, or numbers: there is an argument more");
  lunL_argcheck(L, top >= 1 && top <= LUN_MAXDIM, arg,
                "a shape has 1 to 6 dimensions, (2, 3) or { 2, 3 }");
  for (; n < top; n++) {
    int whole;
    if (list) lua_geti(L, arg, n + 1);
    dim[n] = lua_tointegerx(L, list ? -1 : arg + n, &whole);
    if (!whole)
      lunL_wanted(L, list ? -1 : arg + n, "a whole number, as shapes are");
    if (list) lua_pop(L, 1);
  }
  return n;
}

lun_tensor *lunL_fresh(lua_State *L, int ndim, const int64_t *dim) {
  lunL_tensor *b = lunL_newtensor(L);
  int64_t size = lun_shape_size(ndim, dim);
  lun_err err;
  int status;
  if (size > 0) lunL_reserve(L, (size_t)size * sizeof(float));
  status = lun_tensor_new(&b->t, ndim, dim, &err);
  if (status == LUN_ENOMEM) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    status = lun_tensor_new(&b->t, ndim, dim, &err);
  }
  if (status != LUN_OK) lunL_raise(L, &err);
  return b->t;
}
