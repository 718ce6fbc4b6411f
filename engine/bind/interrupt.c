/*
** interrupt.c (binding) - Ctrl-C becomes the error "interrupted".
**
** The core's loops see the flag, Lua code a hook.  An interruption sticks
** until the command has ended: a `pcall` on the way catches the error, and
** the next instruction raises it again.  Its cleaning up (`__close`) gets a
** grace of GRACE instructions once.
**
** A scheduler asks by SIGTERM, SIGUSR1 or a timer: that ends what core.protect
** runs in the same way, and the program asks core.stop_asked what it was.
**
** The limit on processor time (ulimit -t) interrupts like Ctrl-C, a little before
** the system ends the process.
*/
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "bind.h"

enum { OFF, ALWAYS, COMMANDS };
enum { GRACE = 20000, POLL = 1000 };

static struct {
  lua_State *L; /* the main state */
  int mode;     /* OFF, ALWAYS, or only inside core.protect (COMMANDS) */
  int depth;    /* core.protect calls in each other */
  int raised;   /* times that the interruption was raised */
  volatile long long last;      /* milliseconds, 0: none */
  volatile sig_atomic_t signal; /* what came then */
  struct sigaction before;      /* what stood there when L began to catch */
} ctrl;

static int catching(void) {
  return ctrl.mode == ALWAYS || (ctrl.mode == COMMANDS && ctrl.depth > 0);
}

static void interrupt_hook(lua_State *L, lua_Debug *ar);

/* The first time, GRACE instructions are left for cleaning up; then one. */
static void interrupt_arm(lua_State *L) {
  lua_sethook(L, interrupt_hook, LUA_MASKCOUNT, ctrl.raised++ ? 1 : GRACE);
}

static void interrupt_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  if (!lun_interrupted()) { /* answered; coroutines go on looking */
    lua_sethook(L, L == ctrl.L ? NULL : interrupt_hook, LUA_MASKCOUNT, POLL);
    return;
  }
  interrupt_arm(L);
  luaL_where(L, 0);
  lua_pushliteral(L, "interrupted");
  lua_concat(L, 2);
  lua_error(L);
}

void lunL_interrupted(lua_State *L) {
  if (catching())
    interrupt_arm(L); /* sticks until the command ends */
  else
    lun_interrupt(0); /* answered */
}

static long long milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1 + (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What runs is to end at its next instruction. */
static void interrupt_now(void) {
  lun_interrupt(1);
  lua_sethook(ctrl.L, interrupt_hook,
              LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* A second Ctrl-C within two seconds ends the process. */
static void on_signal(int sig) {
  long long now = milliseconds();
  if (ctrl.last && now - ctrl.last < 2000) _exit(128 + sig);
  ctrl.last = now;
  ctrl.signal = sig;
  if (catching()) interrupt_now();
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
  if (co) lua_sethook(co, interrupt_hook, LUA_MASKCOUNT, POLL);
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

/* Restores the handler that the signal had before. */
static void stop_catching(void) {
  if (ctrl.mode != OFF) sigaction(SIGINT, &ctrl.before, NULL);
  ctrl.mode = OFF;
  ctrl.L = NULL;
}

/* ---- the limit on processor time ----------------------------------------- */

static volatile sig_atomic_t stop_asked; /* the signal; 0: none yet */

/*
** SIGXCPU comes at the soft limit and then every second, SIGKILL at the hard one.
** Where both are the same, as a shell's `ulimit -t` sets them, no SIGXCPU would
** come: a timer is there before (by SIGPROF, whose clock is that of the limit), with
** time left for a message and for files that are on their way.
*/
static struct {
  lua_State *L;                  /* the main state that watches; NULL: none */
  volatile sig_atomic_t signals; /* that came */
  int timed;                     /* there is a timer */
  struct sigaction before[2];
} limit;

static const int limit_signals[] = {SIGXCPU, SIGPROF};

/* What does not end when it is interrupted has MOST_SIGNALS seconds. */
enum { MOST_SIGNALS = 4 };

static void on_limit(int sig) {
  static const char said[] =
      "lunette: the limit on processor time (ulimit -t) is reached\n";
  sig = SIGXCPU;
  stop_asked = sig;
  ctrl.last = milliseconds();
  ctrl.signal = sig;
  if (ctrl.mode == OFF || ++limit.signals > MOST_SIGNALS) {
    if (write(STDERR_FILENO, said, sizeof said - 1) < 0) errno = 0;
    _exit(128 + sig);
  }
  if (catching()) interrupt_now();
}

/* Of a second: a fifth of the shortest limit, two of long ones. */
static double time_left_for_ending(rlim_t seconds) {
  return seconds < 90 ? 0.2 + (double)seconds / 50 : 2;
}

static void start_timer(rlim_t seconds) {
  struct itimerval t;
  struct rusage used;
  double left = (double)seconds - time_left_for_ending(seconds);
  if (getrusage(RUSAGE_SELF, &used) != 0) return;
  left -= (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
          (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  if (left < 1e-3) left = 1e-3;
  memset(&t, 0, sizeof t);
  t.it_value.tv_sec = (time_t)left;
  t.it_value.tv_usec = (suseconds_t)((left - (double)t.it_value.tv_sec) * 1e6);
  limit.timed = setitimer(ITIMER_PROF, &t, NULL) == 0;
}

static void watch_limit(lua_State *top) {
  struct rlimit r;
  struct sigaction a;
  if (limit.L || getrlimit(RLIMIT_CPU, &r) != 0 || r.rlim_cur == RLIM_INFINITY)
    return;
  limit.L = top;
  memset(&a, 0, sizeof a);
  a.sa_handler = on_limit;
  for (int i = 0; i < 2; i++) sigaction(limit_signals[i], &a, &limit.before[i]);
  if (r.rlim_cur >= r.rlim_max) start_timer(r.rlim_cur);
}

static void stop_watching(void) {
  static const struct itimerval none;
  if (limit.timed) setitimer(ITIMER_PROF, &none, NULL);
  for (int i = 0; i < 2; i++)
    sigaction(limit_signals[i], &limit.before[i], NULL);
  limit.timed = 0;
  limit.signals = 0;
  limit.L = NULL;
}

/* The state that catches signals closes: nothing of it may be called again. */
static int closing(lua_State *L) {
  lua_State *top = main_state(L);
  if (limit.L == top) stop_watching();
  if (ctrl.L == top) stop_catching();
  return 0;
}

/* Runs `closing` when the state ends. */
static void watch_closing(lua_State *L) {
  static const char key = 0; /* its address: the registry's key */
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, closing);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  lua_pop(L, 1);
}

/* core.catch_signals(on): Ctrl-C and the limit on processor time become the error
** "interrupted"; with "commands" only inside core.protect.  One state of a process
** can have it. */
static int catch_signals(lua_State *L) {
  struct sigaction a;
  int mode = !lua_toboolean(L, 1) ? OFF
             : lua_isstring(L, 1) ? COMMANDS
                                  : ALWAYS;
  lua_State *top = main_state(L);
  if (ctrl.L && ctrl.L != top) {
    if (mode == OFF) return 0;
    return luaL_error(L, "another Lua state of this process catches Ctrl-C");
  }
  if (mode == OFF) return stop_catching(), 0;
  watch_closing(L);
  hook_coroutines(L);
  if (ctrl.mode == OFF) sigaction(SIGINT, NULL, &ctrl.before);
  ctrl.L = top;
  ctrl.mode = mode;
  memset(&a, 0, sizeof a);
  a.sa_handler = on_signal;
  sigaction(SIGINT, &a, NULL);
  watch_limit(top);
  return 0;
}

/* ---- being asked to stop ------------------------------------------------- */

/* A scheduler's wish, or the deadline: ends what core.protect runs, and nothing
** else.  It stays: what is begun later is interrupted at once. */
static void on_stop(int sig) {
  stop_asked = sig == SIGPROF ? SIGXCPU : sig;
  if (ctrl.depth > 0 && ctrl.L) interrupt_now();
}

/* The limit as a wish: what does not end by it has MOST_SIGNALS seconds, too. */
static void on_stop_limit(int sig) {
  if (++limit.signals > MOST_SIGNALS) _exit(128 + SIGXCPU);
  on_stop(sig);
}

/* core.catch_stop([seconds]) */
static int catch_stop(lua_State *L) {
  static const int asks[] = {SIGTERM, SIGUSR1, SIGALRM};
  lua_Number seconds = lunL_optnumber(L, 1, 0);
  struct itimerval timer;
  struct sigaction a;
  lunL_argcheck(L, seconds >= 0 && seconds < 1e9, 1, "seconds expected");
  if (!ctrl.L) return luaL_error(L, "catch_stop needs catch_signals first");
  memset(&a, 0, sizeof a);
  a.sa_handler = on_stop;
  a.sa_flags = SA_RESTART; /* a write on its way goes on */
  for (size_t i = 0; i < sizeof asks / sizeof *asks; i++)
    sigaction(asks[i], &a, NULL);
  a.sa_handler = on_stop_limit;
  for (int i = 0; i < 2; i++) sigaction(limit_signals[i], &a, NULL);
  memset(&timer, 0, sizeof timer);
  timer.it_value.tv_sec = (time_t)seconds;
  timer.it_value.tv_usec =
      (suseconds_t)((seconds - (lua_Number)timer.it_value.tv_sec) * 1e6);
  setitimer(ITIMER_REAL, &timer, NULL);
  return 0;
}

/* core.stop_asked() -> what has asked, or nil */
static int stop_was_asked(lua_State *L) {
  int sig = stop_asked;
  if (sig == 0) return 0;
  lua_pushstring(L, sig == SIGTERM   ? "SIGTERM"
                    : sig == SIGUSR1 ? "SIGUSR1"
                    : sig == SIGXCPU ? "SIGXCPU"
                                     : "deadline");
  return 1;
}

/* Forgets an interruption: answered, or too late to stop anything. */
static int interrupt_clear(lua_State *L) {
  int was = lun_interrupted();
  lua_sethook(L, NULL, 0, 0);
  lun_interrupt(0);
  ctrl.raised = 0;
  return was;
}

/* core.interrupted_at() -> seconds since the last Ctrl-C or the limit on processor
** time, and the signal's number, of SIGXCPU 24 on every machine; or nil */
static int interrupted_at(lua_State *L) {
  if (!ctrl.last) return 0;
  lua_pushnumber(L, (lua_Number)(milliseconds() - ctrl.last) / 1000);
  lua_pushinteger(L, ctrl.signal == SIGXCPU ? 24 : ctrl.signal);
  return 2;
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
  lunL_checktype(L, 1, LUA_TFUNCTION);
  if (ctrl.depth == 0) interrupt_clear(L), ctrl.last = 0;
  lua_pushcfunction(L, with_traceback);
  lua_insert(L, 1);
  ctrl.depth++;
  if (stop_asked) on_stop(stop_asked);
  status = lua_pcall(L, n - 1, LUA_MULTRET, 1);
  ctrl.depth--;
  cut = ctrl.depth == 0 ? interrupt_clear(L) : lun_interrupted();
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

/* core.interrupt([on]): sets or clears the flag, as Ctrl-C would */
static int interrupt(lua_State *L) {
  lun_interrupt(lua_isnone(L, 1) || lua_toboolean(L, 1));
  return 0;
}

static const lunL_reg functions[] = {
    {"interrupt", interrupt, 1},
    {"catch_signals", catch_signals, 1},
    {"protect", protect, LUNL_ANY},
    {"interrupted_at", interrupted_at, 0},
    {"catch_stop", catch_stop, 1},
    {"stop_asked", stop_was_asked, 0},
    {NULL, NULL, 0},
};

/* Adds to the table on top. */
int lunL_open_interrupt(lua_State *L) {
  lunL_setfuncs(L, functions);
  return 0;
}
