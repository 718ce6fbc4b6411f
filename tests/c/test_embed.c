/*
** test_embed.c - a host program's view of the module: Lua states that come and
** go, one after the other and in threads, and what they leave: no memory, no
** signal handler, no thread.
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static const char work[] =
    "local core = require 'lunette.core' "
    "core.threads(2) "
    "local x = core.uniform(1, 1, 8, 3, 64, 64) "
    "local w = core.normal(1, 2, 4, 3, 3, 3) "
    "local tape = core.tape() "
    "local leaf = tape:watch(x) "
    "local y = leaf:conv2d(w, nil, {padding = 1}):relu() "
    "local g = core.backward(y, y:detach(), {0}, {})[1] "
    "return (g:bytes())";

static lua_State *fresh(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_dostring(L, "package.path = '' package.cpath = '" MODULES "'"))
    abort();
  return L;
}

static int run(lua_State *L, const char *code) {
  int bad = luaL_dostring(L, code);
  if (bad) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  return !bad;
}

static long resident(void) { /* bytes */
  long all, here = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f && fscanf(f, "%ld %ld", &all, &here) != 2) here = 0;
  if (f) fclose(f);
  return here * sysconf(_SC_PAGESIZE);
}

static void test_states_leave_no_memory(void) {
  long first = 0, last;
  for (int i = 0; i < 24; i++) {
    lua_State *L = fresh();
    CHECK(run(L, work), "state %d", i);
    lua_close(L);
    if (i == 3) first = resident();
  }
  last = resident();
#if !defined(__SANITIZE_ADDRESS__) /* which keeps what is freed */
  CHECK(last - first < 24 << 20, "%ld kB, then %ld kB", first / 1024,
        last / 1024);
#else
  (void)first, (void)last;
#endif
}

static volatile sig_atomic_t seen;

static void ours(int sig) { seen += sig == SIGINT; }

static void test_signals_are_given_back(void) {
  struct sigaction a = {.sa_handler = ours}, now;
  lua_State *L = fresh(), *other = fresh();
  sigaction(SIGINT, &a, NULL);
  CHECK(run(L, "require('lunette.core').catch_signals(true)"), "catch");
  sigaction(SIGINT, NULL, &now);
  CHECK(now.sa_handler != ours, "the state catches");
  CHECK(!luaL_dostring(other, "local ok, e = pcall(require('lunette.core')"
                              ".catch_signals, true) assert(not ok and "
                              "e:find 'another Lua state', e)"),
        "%s", lua_tostring(other, -1));
  CHECK(run(other, "require('lunette.core').catch_signals(false)"), "off");
  sigaction(SIGINT, NULL, &now);
  CHECK(now.sa_handler != ours, "and is not stopped by another");
  lua_close(L);
  sigaction(SIGINT, NULL, &now);
  CHECK(now.sa_handler == ours, "its end gives the signal back");
  CHECK(run(other, "require('lunette.core').catch_signals('commands')"),
        "next");
  lua_close(other);
  raise(SIGINT);
  CHECK(seen == 1, "our own handler is called: %d", (int)seen);
  signal(SIGINT, SIG_DFL);
}

typedef struct job {
  char *bytes;
  size_t n;
  int good;
} job;

static void *one_thread(void *arg) {
  job *j = arg;
  j->good = 1;
  for (int i = 0; i < 4; i++) {
    lua_State *L = fresh();
    const char *s;
    size_t n;
    j->good = j->good && run(L, work);
    s = lua_tolstring(L, -1, &n);
    if (j->bytes) {
      j->good = j->good && n == j->n && memcmp(s, j->bytes, n) == 0;
    } else if (s) {
      j->bytes = malloc(n);
      memcpy(j->bytes, s, j->n = n);
    }
    lua_close(L);
  }
  return NULL;
}

/* States in threads of their own: the same bits as alone. */
static void test_states_in_threads(void) {
  enum { N = 4 };
  pthread_t thread[N];
  job jobs[N] = {0}, alone = {0};
  one_thread(&alone);
  CHECK(alone.good, "alone");
  for (int i = 0; i < N; i++)
    pthread_create(&thread[i], NULL, one_thread, &jobs[i]);
  for (int i = 0; i < N; i++) {
    pthread_join(thread[i], NULL);
    CHECK(jobs[i].good && jobs[i].n == alone.n &&
              memcmp(jobs[i].bytes, alone.bytes, alone.n) == 0,
          "thread %d", i);
    free(jobs[i].bytes);
  }
  free(alone.bytes);
}

int main(void) {
  TESTS {
    TEST(test_states_leave_no_memory());
    TEST(test_signals_are_given_back());
    TEST(test_states_in_threads());
  }
  DONE("test_embed");
}
