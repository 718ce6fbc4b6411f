/* core.c - the module lunette.core: opens its parts, and what concerns the
** whole engine: memory, threads, interruption, build facts. */
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../kernels/kernels.h"
#include "bind.h"

#ifndef LUN_COMMIT
#define LUN_COMMIT "unknown"
#endif

int lunL_raise(lua_State *L, const lun_err *err) {
  if (err->code == LUN_EINTR) {
    lun_interrupt(0); /* answered */
    return luaL_error(L, "interrupted");
  }
  return luaL_error(L, "%s", err->msg);
}

int lunL_failed(lua_State *L, const lun_err *err) {
  if (err->code == LUN_EINTR) return lunL_raise(L, err);
  lua_pushnil(L);
  lua_pushstring(L, err->msg);
  return 2;
}

/*
** Torch's rule: the collector sees a few bytes where we hold megabytes, so
** when the soft limit is crossed everything unreachable goes; if that did not
** help much the work really needs more, and the limit grows by 40 %.
*/
void lunL_reserve(lua_State *L, size_t bytes) {
  if (!lun_mem_over(bytes)) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  lua_gc(L, LUA_GCCOLLECT, 0); /* what finalisers let go of */
  if (lun_mem().live + bytes > lun_mem_limit() / 10 * 8)
    lun_mem_set_limit((lun_mem().live + bytes) / 10 * 14);
}

void lunL_class(lua_State *L, const char *name, const luaL_Reg *methods,
                const luaL_Reg *meta) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

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
  lua_Integer bytes = luaL_optinteger(L, 1, -1);
  lua_pushinteger(L, (lua_Integer)lun_mem_limit());
  if (bytes >= 0) lun_mem_set_limit((size_t)bytes);
  return 1;
}

/* core.threads([n]) -> number of threads before */
static int threads(lua_State *L) {
  lua_Integer n = luaL_optinteger(L, 1, 0);
  luaL_argcheck(L, n >= 0 && n <= LUN_MAXTHREADS, 1, "threads must be 1 to 64");
  lua_pushinteger(L, lun_threads());
  if (n > 0) lun_set_threads((int)n);
  return 1;
}

/* Tests: the nth allocation from now on fails. */
static int fail_at(lua_State *L) {
  lun_mem_fail_at((long)luaL_checkinteger(L, 1));
  return 0;
}

static int interrupt(lua_State *L) {
  lun_interrupt(lua_isnone(L, 1) || lua_toboolean(L, 1));
  return 0;
}

/* ---- Ctrl-C ---- */

static lua_State *signalled; /* the state whose hook stops running Lua code */
static volatile sig_atomic_t last_signal;

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  lun_interrupt(0);
  luaL_error(L, "interrupted");
}

/* The core's loops see the flag, Lua code the hook.  A second Ctrl-C within
** two seconds leaves. */
static void on_signal(int sig) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  if (last_signal && (sig_atomic_t)t.tv_sec - last_signal < 2) _exit(128 + sig);
  last_signal = (sig_atomic_t)t.tv_sec;
  lun_interrupt(1);
  lua_sethook(signalled, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* core.catch_signals(on): Ctrl-C becomes the error "interrupted" */
static int catch_signals(lua_State *L) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_handler = lua_toboolean(L, 1) ? on_signal : SIG_DFL;
  signalled = L;
  sigaction(SIGINT, &a, NULL);
  return 0;
}

/* core.calm(): forget an interruption that came too late to stop anything */
static int calm(lua_State *L) {
  lua_sethook(L, NULL, 0, 0);
  lun_interrupt(0);
  last_signal = 0;
  return 0;
}

static int clock_now(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + 1e-9 * (lua_Number)t.tv_nsec);
  return 1;
}

static int is_tty(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

/* core.build() -> table of facts for bug reports */
static int build(lua_State *L) {
  lua_createtable(L, 0, 6);
  lua_pushliteral(L, LUN_VERSION), lua_setfield(L, -2, "version");
  lua_pushliteral(L, LUN_COMMIT), lua_setfield(L, -2, "commit");
  lua_pushliteral(L, __VERSION__), lua_setfield(L, -2, "compiler");
  lua_pushstring(L, lun_isa()), lua_setfield(L, -2, "isa");
  lua_pushstring(L, lun_blas()), lua_setfield(L, -2, "blas");
  lua_pushinteger(L, lun_threads()), lua_setfield(L, -2, "threads");
  return 1;
}

static const luaL_Reg functions[] = {
    {"memory", memory},
    {"reset_peak", reset_peak},
    {"trim", trim},
    {"memory_limit", memory_limit},
    {"threads", threads},
    {"fail_at", fail_at},
    {"interrupt", interrupt},
    {"catch_signals", catch_signals},
    {"calm", calm},
    {"clock", clock_now},
    {"is_tty", is_tty},
    {"build", build},
    {NULL, NULL},
};

__attribute__((visibility("default"))) int luaopen_lunette_core(lua_State *L);

int luaopen_lunette_core(lua_State *L) {
  luaL_checkversion(L);
  if (!lun_mem_limit()) lun_mem_set_limit((size_t)256 << 20);
  luaL_newlib(L, functions);
  lunL_open_tensor(L);
  lunL_open_ops(L);
  lunL_open_tape(L);
  lunL_open_weights(L);
  lunL_open_image(L);
  lua_setfield(L, -2, "image");
  return 1;
}
