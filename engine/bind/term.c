/*
** term.c (binding) - what a program may ask a terminal: how large it is, and
** what it answers to a question. Used to draw pictures and progress.
*/
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "bind.h"

/* core.term_size([fd]) -> columns, rows, pixels across, pixels down; nil when
** it is no terminal. Pixels are 0 where the terminal does not say. */
static int term_size(lua_State *L) {
  struct winsize w;
  int fd = (int)lunL_optinteger(L, 1, STDOUT_FILENO);
  if (ioctl(fd, TIOCGWINSZ, &w) != 0 || w.ws_col == 0) return 0;
  lua_pushinteger(L, w.ws_col);
  lua_pushinteger(L, w.ws_row);
  lua_pushinteger(L, w.ws_xpixel);
  lua_pushinteger(L, w.ws_ypixel);
  return 4;
}

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads until `last` ends an answer or time is up. */
static size_t answer(int fd, char last, long long until, char *buf, size_t n) {
  size_t got = 0;
  while (got < n) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    long long left = until - now_ms();
    if (left <= 0 || poll(&p, 1, (int)left) <= 0) break;
    if (read(fd, buf + got, 1) != 1) break;
    if (buf[got++] == last) break;
  }
  return got;
}

/* Asks on `fd` with echo and line editing off; 0 when nothing came. What a
** person typed ahead stays theirs: then nothing is asked. */
static size_t ask(int fd, const char *text, size_t len, char last, int ms,
                  char *buf, size_t n) {
  struct termios old, raw;
  struct pollfd typed = {.fd = fd, .events = POLLIN};
  size_t got = 0;
  if (tcgetattr(fd, &old) != 0) return 0;
  raw = old;
  raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  if (tcsetattr(fd, TCSANOW, &raw) != 0) return 0;
  if (poll(&typed, 1, 0) == 0 && write(fd, text, len) == (ssize_t)len)
    got = answer(fd, last, now_ms() + ms, buf, n);
  tcsetattr(fd, TCSANOW, &old);
  return got;
}

/* core.term_ask(question, last, milliseconds) -> the terminal's answer up to
** the character `last`, or nil when there is no terminal or it says nothing */
static int term_ask(lua_State *L) {
  size_t len, n;
  const char *text = lunL_checklstring(L, 1, &len);
  const char *last = lunL_checkstring(L, 2);
  int ms = (int)lunL_checkinteger(L, 3);
  char buf[256];
  int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return 0;
  n = ask(fd, text, len, *last, ms, buf, sizeof buf);
  close(fd);
  if (n == 0 || buf[n - 1] != *last) return 0;
  lua_pushlstring(L, buf, n);
  return 1;
}

static const lunL_reg functions[] = {
    {"term_size", term_size, 1},
    {"term_ask", term_ask, 3},
    {NULL, NULL, 0},
};

/* Adds to the table on top. */
int lunL_open_term(lua_State *L) {
  lunL_setfuncs(L, functions);
  return 0;
}
