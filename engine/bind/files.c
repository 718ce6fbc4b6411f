/*
** files.c (binding) - files that are written whole or not at all.
*/
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../output.h"
#include "bind.h"

#define OUTPUTS_T "lunette.outputs"

/* Open outputs of one call; the collector closes them if it fails. */
typedef struct {
  int n;
  lun_output *out[]; /* NULL: not open */
} outputs;

static int release(lua_State *L) {
  outputs *set = luaL_checkudata(L, 1, OUTPUTS_T);
  for (int i = 0; i < set->n; i++) {
    lun_output_free(set->out[i]);
    set->out[i] = NULL;
  }
  return 0;
}

static outputs *new_set(lua_State *L, int n) {
  outputs *set =
      lua_newuserdatauv(L, sizeof *set + (size_t)n * sizeof(lun_output *), 0);
  set->n = n;
  for (int i = 0; i < n; i++) set->out[i] = NULL;
  luaL_setmetatable(L, OUTPUTS_T);
  return set;
}

/* A text without a NUL at {..., [k] = } of the table on top; stays pushed. */
static const char *part(lua_State *L, int at, int k, size_t *n) {
  if (lua_rawgeti(L, at, k) != LUA_TSTRING)
    luaL_argerror(L, 1, "a list of {path, bytes} expected");
  return lua_tolstring(L, -1, n);
}

/* Opens and fills output i; both strings stay on the stack meanwhile. */
static int put(lua_State *L, outputs *set, int i, lun_err *err) {
  size_t length, n;
  const char *path, *bytes;
  if (lua_rawgeti(L, 1, i + 1) != LUA_TTABLE)
    return luaL_argerror(L, 1, "a list of {path, bytes} expected");
  path = part(L, lua_gettop(L), 1, &length);
  bytes = part(L, lua_gettop(L) - 1, 2, &n);
  if (strlen(path) != length)
    return lun_fail(err, LUN_EARG, "path '%s' has a NUL character", path);
  LUN_TRY(lun_output_open(&set->out[i], path, 0, err));
  lun_output_put(set->out[i], bytes, n);
  lua_pop(L, 3);
  return LUN_OK;
}

/* core.write_files{{path, bytes}, ...} -> true, or nil and a message: all are
** written whole, or none */
static int write_files(lua_State *L) {
  lun_err err;
  outputs *set;
  int n, status = LUN_OK;
  luaL_checktype(L, 1, LUA_TTABLE);
  n = (int)lua_rawlen(L, 1);
  luaL_argcheck(L, n <= 1000, 1, "more than 1000 files");
  set = new_set(L, n);
  for (int i = 0; i < n && status == LUN_OK; i++) status = put(L, set, i, &err);
  if (status == LUN_OK) status = lun_output_commit(set->out, n, &err);
  for (int i = 0; i < n; i++) { /* now, not at the next collection */
    lun_output_free(set->out[i]);
    set->out[i] = NULL;
  }
  if (status != LUN_OK) return lunL_failed(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* core.flush_output() -> true, or nil and a message when something that was
** printed is lost: a full disk, a closed descriptor */
static int flush_output(lua_State *L) {
  int lost;
  errno = 0;
  lost = fflush(stdout) != 0 || ferror(stdout);
  lua_pushboolean(L, !lost);
  if (!lost) return 1;
  lua_pushnil(L);
  lua_pushfstring(L, "standard output: %s",
                  errno ? strerror(errno) : "cannot be written");
  return 2;
}

static const luaL_Reg functions[] = {
    {"write_files", write_files},
    {"flush_output", flush_output},
    {NULL, NULL},
};

static const luaL_Reg none[] = {{NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", release}, {NULL, NULL}};

/* Adds to the table on top. */
int lunL_open_files(lua_State *L) {
  lunL_class(L, OUTPUTS_T, none, meta);
  luaL_setfuncs(L, functions, 0);
  return 0;
}
