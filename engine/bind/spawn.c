/*
** spawn.c (binding) - another program without a shell: its path, arguments and
** input are passed as they are, its stdout comes back as a string.  Used for
** the reader of model files.
*/
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../output.h"
#include "bind.h"

#define PROCESS_T "lunette.process"
enum { MAX_OUTPUT = 64 << 20, MAX_WORDS = 32 };

typedef struct process {
  pid_t pid;   /* 0: it has been waited for */
  int in, out; /* its stdin and stdout; -1: closed */
} process;

static void close_end(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* Waits for it; exit code, or 128 + the signal that ended it. */
static int wait_for(process *p) {
  int status = 0;
  if (p->pid <= 0) return 0;
  while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) continue;
  p->pid = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int process_gc(lua_State *L) {
  process *p = lunL_checkudata(L, 1, PROCESS_T);
  close_end(&p->in);
  close_end(&p->out);
  if (p->pid > 0) {
    kill(p->pid, SIGTERM); /* it has time to clean up */
    wait_for(p);
  }
  return 0;
}

/* The input as a file without a name: nothing of it can be left behind. */
static int give_input(process *p, const char *text, size_t n) {
  p->in = text ? memfd_create("input", MFD_CLOEXEC)
               : open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (p->in < 0) return errno;
  while (n > 0) {
    ssize_t put = lun_quiet_write(p->in, text, n);
    if (put < 0 && errno != EINTR) return errno;
    if (put > 0) text += put, n -= (size_t)put;
  }
  return text && lseek(p->in, 0, SEEK_SET) != 0 ? errno : 0;
}

/* Default signals, none blocked; stdin, stdout, stderr and no other file. */
static int start(process *p, const char *path, char *const *words, int out) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t how;
  sigset_t all, none;
  int code;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&how);
  posix_spawn_file_actions_adddup2(&files, p->in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_setflags(&how,
                           POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigdefault(&how, &all);
  posix_spawnattr_setsigmask(&how, &none);
  code = posix_spawn(&p->pid, path, &files, &how, words, environ);
  if (code != 0) p->pid = 0;
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&files);
  return code;
}

/* core.spawn(path, {argument, ...}, [input]) -> process, or nil and a message.
** The path is taken as it is: nothing is looked for. */
static int spawn(lua_State *L) {
  const char *path = lunL_checkstring(L, 1);
  const char *words[MAX_WORDS + 2] = {path};
  size_t n = 0;
  const char *input = lunL_optlstring(L, 3, NULL, &n);
  process *p;
  int ends[2], code, count;
  lunL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  count = (int)lua_rawlen(L, 2);
  lunL_argcheck(L, count <= MAX_WORDS, 2, "too many arguments");
  luaL_checkstack(L, count + 4, NULL);
  for (int i = 0; i < count; i++) { /* the strings stay on the stack */
    lua_rawgeti(L, 2, i + 1);
    words[i + 1] = lunL_checkstring(L, -1);
  }
  p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (process){0, -1, -1};
  luaL_setmetatable(L, PROCESS_T);
  code = give_input(p, input, n);
  if (code == 0 && pipe2(ends, O_CLOEXEC) != 0) code = errno;
  if (code == 0) {
    p->out = ends[0];
    code = start(p, path, (char *const *)(uintptr_t)words, ends[1]);
    close(ends[1]);
  }
  close_end(&p->in);
  if (code == 0) return 1;
  lua_pushnil(L);
  lua_pushfstring(L, "cannot start '%s': %s", path, strerror(code));
  return 2;
}

/* process:finish() -> what it said, exit code (128 + a signal that ended it).
** Ctrl-C ends the program too. */
static int finish(lua_State *L) {
  process *p = lunL_checkudata(L, 1, PROCESS_T);
  lun_err stopped = {LUN_EINTR, ""};
  luaL_Buffer b;
  size_t all = 0;
  lunL_argcheck(L, p->pid > 0, 1, "process has ended");
  luaL_buffinit(L, &b);
  for (;;) {
    char *room = luaL_prepbuffer(&b);
    ssize_t got = read(p->out, room, LUAL_BUFFERSIZE);
    if (got == 0) break;
    if (got < 0 && errno == EINTR && lun_interrupted()) {
      process_gc(L);
      return lunL_raise(L, &stopped);
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || (all += (size_t)got) > MAX_OUTPUT) {
      process_gc(L);
      return luaL_error(L, "a program's answer could not be read");
    }
    luaL_addsize(&b, (size_t)got);
  }
  luaL_pushresult(&b);
  close_end(&p->out);
  lua_pushinteger(L, wait_for(p));
  return 2;
}

int lunL_open_spawn(lua_State *L) {
  static const lunL_reg methods[] = {{"finish", finish, 1}, {NULL, NULL, 0}};
  static const lunL_reg functions[] = {{"spawn", spawn, 3}, {NULL, NULL, 0}};
  static const luaL_Reg meta[] = {
      {"__gc", process_gc}, {"__close", process_gc}, {NULL, NULL}};
  lunL_class(L, PROCESS_T, methods, meta);
  lunL_setfuncs(L, functions);
  return 0;
}
