/*
** core.c - the module lunette.core: opens its parts, and what concerns the
** whole engine: memory, threads, build facts.
*/
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../kernels/kernels.h"
#include "bind.h"

#ifndef LUN_COMMIT
#define LUN_COMMIT "unknown"
#endif

/* core.memory() -> {live=, peak=, cached=, blocks=, system=} in bytes */
static int memory(lua_State *L) {
  lun_mem_stats n = lun_mem();
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, (lua_Integer)n.live), lua_setfield(L, -2, "live");
  lua_pushinteger(L, (lua_Integer)n.peak), lua_setfield(L, -2, "peak");
  lua_pushinteger(L, (lua_Integer)n.cached), lua_setfield(L, -2, "cached");
  lua_pushinteger(L, (lua_Integer)n.blocks), lua_setfield(L, -2, "blocks");
  lua_pushinteger(L, (lua_Integer)n.system), lua_setfield(L, -2, "system");
  return 1;
}

static int reset_peak(lua_State *L) {
  (void)L;
  lun_mem_reset_peak();
  return 0;
}

static int trim(lua_State *L) {
  (void)L;
  lun_mem_trim();
  return 0;
}

/* core.memory_limit([bytes]) -> the soft limit before */
static int memory_limit(lua_State *L) {
  lua_Integer bytes = lunL_optinteger(L, 1, -1);
  lua_pushinteger(L, (lua_Integer)lun_mem_limit());
  if (bytes >= 0) lun_mem_set_limit((size_t)bytes);
  return 1;
}

/* core.memory_ceiling(bytes or nil) -> the one before, or nil */
static int memory_ceiling(lua_State *L) {
  lua_Integer bytes = lunL_optinteger(L, 1, 0);
  size_t before;
  lunL_argcheck(L, bytes >= 0, 1, "a number of bytes, or nil for none");
  before = lun_mem_set_ceiling((size_t)bytes);
  if (!before) return 0;
  lua_pushinteger(L, (lua_Integer)before);
  return 1;
}

/* core.threads([n]) -> number of threads before */
static int threads(lua_State *L) {
  lua_Integer n = lunL_optinteger(L, 1, 0);
  lunL_argcheck(L, n >= 0 && n <= LUN_MAXTHREADS, 1, "threads must be 1 to 64");
  lua_pushinteger(L, lun_threads());
  if (n > 0) lun_set_threads((int)n);
  return 1;
}

/* Tests: the nth allocation from now on fails; returns how far off the failure
** was that was asked for last. */
static int fail_at(lua_State *L) {
  lua_pushinteger(L, lun_mem_fail_at((long)lunL_checkinteger(L, 1)));
  return 1;
}

static int clock_now(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + 1e-9 * (lua_Number)t.tv_nsec);
  return 1;
}

static int is_tty(lua_State *L) {
  lua_pushboolean(L, isatty((int)lunL_checkinteger(L, 1)));
  return 1;
}

/* core.build() -> table of facts for bug reports */
static int build(lua_State *L) {
  lua_createtable(L, 0, 5);
  lua_pushliteral(L, LUN_VERSION), lua_setfield(L, -2, "version");
  lua_pushliteral(L, LUN_COMMIT), lua_setfield(L, -2, "commit");
  lua_pushliteral(L, __VERSION__), lua_setfield(L, -2, "compiler");
  lua_pushstring(L, lun_isa()), lua_setfield(L, -2, "isa");
  lua_pushinteger(L, lun_threads()), lua_setfield(L, -2, "threads");
  return 1;
}

/* core.blas() -> the library of matrix products, which is opened for that */
static int blas(lua_State *L) {
  lua_pushstring(L, lun_blas());
  return 1;
}

/* The working folder may change later, and a path that was relative with it. */
static char loaded_from[PATH_MAX];

static void find_library(void) {
  static const char here = 0;
  Dl_info info;
  if (!dladdr(&here, &info) || !info.dli_fname ||
      !realpath(info.dli_fname, loaded_from))
    loaded_from[0] = '\0';
}

/* core.library() -> where this module was loaded from, or nil */
static int library(lua_State *L) {
  if (!loaded_from[0]) return 0;
  lua_pushstring(L, loaded_from);
  return 1;
}

static const char sources = 0, outside = 0; /* keys of the registry */

/* Does a function lie in that folder of sources, and not in that file? */
static int lies_in(const lua_Debug *ar, const char *folder, size_t n,
                   const char *except) {
  return strncmp(ar->source, folder, n) == 0 &&
         strncmp(ar->source + n, "../", 3) != 0 &&
         strcmp(ar->source, except) != 0;
}

int lunL_inner(lua_State *L, const lua_Debug *ar) {
  size_t n = 0;
  const char *folder, *except;
  int inner;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sources);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &outside);
  folder = lua_tolstring(L, -2, &n), except = lua_tostring(L, -1);
  inner = folder && lies_in(ar, folder, n, except);
  lua_pop(L, 2);
  return inner;
}

/* Upvalues: a folder of sources, and one of its files.  Is the caller of the function
** that asks in the folder, and not in that file?  C functions on the way (pcall) are
** passed over.  (debug.getinfo would make a table and four strings of it, which is
** more than all else that such a call does.) */
static int is_inner(lua_State *L) {
  size_t n;
  const char *folder = lua_tolstring(L, lua_upvalueindex(1), &n);
  const char *except = lua_tostring(L, lua_upvalueindex(2));
  lua_Debug ar;
  int inner = 0;
  for (int level = 2; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "S", &ar);
    if (*ar.what == 'C') continue;
    inner = lies_in(&ar, folder, n, except);
    break;
  }
  lua_pushboolean(L, inner);
  return 1;
}

/* Remembers argument i for lunL_inner; the first call stands, which is the library's
** own: nobody else may say what its sources are. */
static void remember(lua_State *L, int i, const void *key) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TNIL) {
    lua_pushvalue(L, i);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  }
  lua_pop(L, 1);
}

/* core.asks_inner(folder, file) -> is_inner of these */
static int asks_inner(lua_State *L) {
  lunL_checkstring(L, 1);
  lunL_checkstring(L, 2);
  lua_settop(L, 2);
  remember(L, 1, &sources);
  remember(L, 2, &outside);
  lua_pushcclosure(L, is_inner, 2);
  return 1;
}

static const lunL_reg functions[] = {
    {"asks_inner", asks_inner, 2},
    {"memory", memory, 0},
    {"reset_peak", reset_peak, 0},
    {"trim", trim, 0},
    {"memory_limit", memory_limit, 1},
    {"memory_ceiling", memory_ceiling, 1},
    {"threads", threads, 1},
    {"fail_at", fail_at, 1},
    {"clock", clock_now, 0},
    {"is_tty", is_tty, 1},
    {"blas", blas, 0},
    {"build", build, 0},
    {"library", library, 0},
    {NULL, NULL, 0},
};

__attribute__((visibility("default"))) int luaopen_lunette_core(lua_State *L);

int luaopen_lunette_core(lua_State *L) {
  luaL_checkversion(L);
  find_library();
  if (!lun_mem_limit()) lun_mem_set_limit((size_t)256 << 20);
  lua_newtable(L);
  lunL_setfuncs(L, functions);
  lunL_open_interrupt(L);
  lunL_open_tensor(L);
  lunL_open_make(L);
  lunL_open_order(L);
  lunL_open_ops(L);
  lunL_open_op_info(L);
  lunL_open_algebra(L);
  lunL_open_inplace(L);
  lunL_open_tape(L);
  lunL_open_weights(L);
  lunL_open_term(L);
  lunL_open_files(L);
  lunL_open_spawn(L);
  lunL_open_image(L);
  lua_setfield(L, -2, "image");
  lunL_open_json(L);
  lua_setfield(L, -2, "json");
  return 1;
}
