/*
** readline.c - GNU readline as the Lua module lunette.readline: line editing
** of the REPL. An object of its own, so that neither the core nor any script
** loads it (or comes under its licence).
**
** Reading is readline's callback interface under our own ppoll: Ctrl-C is
** blocked except while we wait, so it cannot jump into the middle of an edit,
** and TAB goes to a Lua function that sees the line up to the cursor.
*/
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include <lauxlib.h>
#include <lua.h>

/* readline is one per process, so is what its callbacks need. */
static struct {
  lua_State *L; /* while a line is read */
  char *line;
  int done, eof;
  volatile sig_atomic_t interrupted;
} self;

static const char completer = 0; /* its address: the registry's key */

static void on_line(char *line) {
  self.done = 1;
  self.eof = line == NULL;
  self.line = line;
  rl_callback_handler_remove();
}

static void on_interrupt(int sig) {
  (void)sig;
  self.interrupted = 1;
}

/* ---- completion --------------------------------------------------------- */

static void list_choices(const char *text) {
  rl_crlf();
  fputs(text, rl_outstream);
  fflush(rl_outstream);
  rl_on_new_line();
}

/* The Lua function answers: bytes to delete before the cursor, what to put
** there, and a text to show (or nil). */
static void apply_completion(lua_State *L) {
  int n = (int)lua_tointeger(L, -3);
  const char *put = lua_tostring(L, -2), *list = lua_tostring(L, -1);
  if (put && n >= 0 && n <= rl_point) {
    rl_begin_undo_group();
    rl_delete_text(rl_point - n, rl_point);
    rl_point -= n;
    rl_insert_text(put);
    rl_end_undo_group();
  }
  if (list)
    list_choices(list);
  else if (!put)
    rl_ding();
}

static int tab(int count, int key) {
  lua_State *L = self.L;
  int top;
  (void)count, (void)key;
  if (!L) return 0;
  top = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &completer) == LUA_TFUNCTION) {
    lua_pushlstring(L, rl_line_buffer, (size_t)rl_point);
    if (lua_pcall(L, 1, 3, 0) == LUA_OK)
      apply_completion(L);
    else
      rl_ding(); /* a completer that fails costs no line */
  }
  lua_settop(L, top);
  return 0;
}

/* readline.completer(function(before) -> delete, insert, listing) */
static int set_completer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &completer);
  return 0;
}

/* ---- reading ------------------------------------------------------------ */

/* Waits for a key with the signals of `mask`; 0: a signal came. */
static int wait_key(const sigset_t *mask) {
  struct pollfd p = {.fd = fileno(rl_instream ? rl_instream : stdin),
                     .events = POLLIN};
  return ppoll(&p, 1, NULL, mask) > 0;
}

static void edit(const sigset_t *mask) {
  while (!self.done && !self.interrupted) {
    if (wait_key(mask))
      rl_callback_read_char();
    else
      rl_check_signals(); /* the window changed its size */
  }
}

/* Leaves the line as it is on the screen and gives the terminal back. */
static void abandon(void) {
  rl_free_line_state();
  rl_callback_sigcleanup();
  fputs("^C\n", rl_outstream); /* before readline goes to the line's start */
  rl_callback_handler_remove();
  fflush(rl_outstream);
}

/* Reads one line under our own Ctrl-C; returns whether there was text on the
** line when it was abandoned. */
static int ask(const char *prompt) {
  struct sigaction ours, theirs;
  sigset_t block, before;
  int had_text;
  memset(&ours, 0, sizeof ours);
  ours.sa_handler = on_interrupt;
  sigemptyset(&block);
  sigaddset(&block, SIGINT);
  sigprocmask(SIG_BLOCK, &block, &before);
  sigaction(SIGINT, &ours, &theirs);
  rl_callback_handler_install(prompt, on_line);
  edit(&before);
  had_text = !self.done && rl_end > 0;
  if (!self.done) abandon();
  sigaction(SIGINT, &theirs, NULL);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return had_text;
}

/* readline.read(prompt) -> line; nil at the end of input; false, had_text
** after Ctrl-C */
static int read_line(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1);
  int had_text;
  self.L = L;
  self.line = NULL;
  self.done = self.eof = self.interrupted = 0;
  had_text = ask(prompt);
  self.L = NULL;
  if (!self.done) {
    lua_pushboolean(L, 0);
    lua_pushboolean(L, had_text);
    return 2;
  }
  if (self.eof) return 0;
  lua_pushstring(L, self.line);
  free(self.line);
  return 1;
}

/* ---- history ------------------------------------------------------------ */

/* readline.remember(line): adds to the history in memory */
static int remember(lua_State *L) {
  add_history(luaL_checkstring(L, 1));
  return 0;
}

/* readline.private_file(path) -> true, or nil, message: the file exists now
** and only its owner reads it */
static int private_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 || fchmod(fd, 0600) != 0) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return 2;
  }
  close(fd);
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {
    {"read", read_line},    {"completer", set_completer},
    {"remember", remember}, {"private_file", private_file},
    {NULL, NULL},
};

__attribute__((visibility("default"))) int
luaopen_lunette_readline(lua_State *L);

int luaopen_lunette_readline(lua_State *L) {
  luaL_checkversion(L);
  rl_readline_name = "lunette";
  rl_catch_signals = 0; /* Ctrl-C is ours */
  rl_catch_sigwinch = 1;
  rl_initialize();
  rl_bind_key('\t', tab);
  using_history();
  stifle_history(5000);
  luaL_newlib(L, functions);
  return 1;
}
