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

/*
** The core's loops see the flag, Lua code a hook.  An interruption sticks
** until the command has ended: a `pcall` on the way catches the error, and
** the next instruction raises it again.  Its cleaning up (`__close`) gets a
** grace of GRACE instructions once.
*/
enum { OFF, ALWAYS, COMMANDS };
enum { GRACE = 20000, POLL = 1000 };

static struct {
  lua_State *L; /* the main state */
  int mode;     /* OFF, ALWAYS, or only inside core.protect (COMMANDS) */
  int depth;    /* core.protect calls in each other */
  int strikes;  /* times that the interruption was raised */
  volatile long long last; /* milliseconds, 0: none */
} ctrl;

static int catching(void) {
  return ctrl.mode == ALWAYS || (ctrl.mode == COMMANDS && ctrl.depth > 0);
}

static void stop(lua_State *L, lua_Debug *ar);

/* After the first strike there is time for cleaning up, then none. */
static void strike(lua_State *L) {
  lua_sethook(L, stop, LUA_MASKCOUNT, ctrl.strikes++ ? 1 : GRACE);
}

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  if (!lun_interrupted()) { /* answered; coroutines go on looking */
    lua_sethook(L, L == ctrl.L ? NULL : stop, LUA_MASKCOUNT, POLL);
    return;
  }
  strike(L);
  luaL_where(L, 0);
  lua_pushliteral(L, "interrupted");
  lua_concat(L, 2);
  lua_error(L);
}

int lunL_raise(lua_State *L, const lun_err *err) {
  if (err->code != LUN_EINTR) return luaL_error(L, "%s", err->msg);
  if (catching())
    strike(L); /* sticks until the command ends */
  else
    lun_interrupt(0); /* answered */
  return luaL_error(L, "interrupted");
}

static long long milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1 + (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A second Ctrl-C within two seconds leaves. */
static void on_signal(int sig) {
  long long now = milliseconds();
  if (ctrl.last && now - ctrl.last < 2000) _exit(128 + sig);
  ctrl.last = now;
  if (!catching()) return;
  lun_interrupt(1);
  lua_sethook(ctrl.L, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* coroutine.create and .wrap, whose threads look at the flag: a hook set on
** the main state reaches no coroutine that exists already. */
static int hooked(lua_State *L) {
  lua_State *co;
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  co = lua_tothread(L, -1);
  if (!co && lua_getupvalue(L, -1, 1)) { /* wrap keeps its thread there */
    co = lua_tothread(L, -1);
    lua_pop(L, 1);
  }
  if (co) lua_sethook(co, stop, LUA_MASKCOUNT, POLL);
  return 1;
}

static void hook_coroutines(lua_State *L) {
  static const char *const makers[] = {"create", "wrap"};
  if (lua_getglobal(L, "coroutine") == LUA_TTABLE)
    for (int i = 0; i < 2; i++) {
      lua_getfield(L, -1, makers[i]);
      if (lua_tocfunction(L, -1) == hooked || !lua_isfunction(L, -1)) {
        lua_pop(L, 1);
        continue;
      }
      lua_pushcclosure(L, hooked, 1);
      lua_setfield(L, -2, makers[i]);
    }
  lua_pop(L, 1);
}

static lua_State *main_state(lua_State *L) {
  lua_State *top;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  top = lua_tothread(L, -1);
  lua_pop(L, 1);
  return top;
}

/* core.catch_signals(on): Ctrl-C becomes the error "interrupted"; with
** "commands" only inside core.protect */
static int catch_signals(lua_State *L) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  ctrl.L = main_state(L);
  ctrl.mode = !lua_toboolean(L, 1) ? OFF
              : lua_isstring(L, 1) ? COMMANDS
                                   : ALWAYS;
  a.sa_handler = ctrl.mode ? on_signal : SIG_DFL;
  if (ctrl.mode) hook_coroutines(L);
  sigaction(SIGINT, &a, NULL);
  return 0;
}

/* Forgets an interruption: answered, or too late to stop anything. */
static int settle(lua_State *L) {
  int was = lun_interrupted();
  lua_sethook(L, NULL, 0, 0);
  lun_interrupt(0);
  ctrl.strikes = 0;
  return was;
}

/* core.calm() */
static int calm(lua_State *L) {
  settle(L);
  ctrl.last = 0;
  return 0;
}

/* core.interrupted_at() -> seconds since the last Ctrl-C, or nil */
static int interrupted_at(lua_State *L) {
  if (!ctrl.last) return 0;
  lua_pushnumber(L, (lua_Number)(milliseconds() - ctrl.last) / 1000);
  return 1;
}

static int with_traceback(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  if (!message) { /* an error object: keep it, and its text if it has one */
    message = luaL_tolstring(L, 1, NULL);
    lua_replace(L, 1);
  }
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 1);
  lua_seti(L, -2, 1);
  luaL_traceback(L, L, message, 1);
  lua_seti(L, -2, 2);
  return 1;
}

/*
** core.protect(f, ...): a command of a session.
**   true, results...            it ended
**   false, message, traceback   it failed
**   nil, message                Ctrl-C ended it, whatever it caught itself
** Nothing of an interruption is left afterwards.
*/
static int protect(lua_State *L) {
  int n = lua_gettop(L), status, cut;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  if (ctrl.depth == 0) settle(L), ctrl.last = 0;
  lua_pushcfunction(L, with_traceback);
  lua_insert(L, 1);
  ctrl.depth++;
  status = lua_pcall(L, n - 1, LUA_MULTRET, 1);
  ctrl.depth--;
  cut = ctrl.depth == 0 ? settle(L) : lun_interrupted();
  if (status == LUA_OK && !cut) {
    lua_pushboolean(L, 1);
    lua_replace(L, 1);
    return lua_gettop(L);
  }
  if (cut)
    lua_pushnil(L);
  else
    lua_pushboolean(L, 0);
  if (status == LUA_OK) return lua_pushliteral(L, "interrupted"), 2;
  if (!lua_istable(L, -2)) { /* the handler itself failed: no memory */
    luaL_tolstring(L, -2, NULL);
    return 2;
  }
  lua_geti(L, -2, 1);
  lua_geti(L, -3, 2);
  return 3;
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
    {"protect", protect},
    {"interrupted_at", interrupted_at},
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
  lunL_open_make(L);
  lunL_open_ops(L);
  lunL_open_optim(L);
  lunL_open_tape(L);
  lunL_open_weights(L);
  lunL_open_term(L);
  lunL_open_image(L);
  lua_setfield(L, -2, "image");
  return 1;
}
