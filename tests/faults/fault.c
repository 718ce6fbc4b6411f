/*
** fault.c - a system that fails when it is told to: preloaded into a program, it
** makes calls of the C library fail as $FAULT says.
**
**   FAULT=write:3:ENOSPC    the third write fails so, and every later one
**   FAULT=fsync:1:EIO       likewise; also open, read, rename, link, ftruncate
**   FAULT=read:/2:EINTR     every second one fails so (the others work)
**   FAULT=write:/3:SHORT    every third one takes one byte only
**   FAULT=rename:2.:EIO     the second one only
**   FAULT=malloc:40         the fortieth allocation fails, the following work
**   FAULT=malloc:40+        it and all that follow
**   FAULT=write:3:KILL      the process is killed there (TERM, HUP, INT, PIPE likewise)
**   FAULT=proc:1:EACCES     /proc cannot be entered
**   FAULT=seccomp:1:ENOSYS  no system-call filters
** The first byte of FAULT_LOG=FILE is 1 once a call has failed so.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ONCE, ALWAYS, EVERY };
enum { SHORT = -1 };

static const struct {
  const char *name;
  int error, signal;
} outcomes[] = {
    {"ENOSPC", ENOSPC, 0}, {"EIO", EIO, 0},       {"EINTR", EINTR, 0},
    {"EDQUOT", EDQUOT, 0}, {"EMFILE", EMFILE, 0}, {"EACCES", EACCES, 0},
    {"SHORT", SHORT, 0},   {"KILL", 0, SIGKILL},  {"TERM", 0, SIGTERM},
    {"HUP", 0, SIGHUP},    {"INT", 0, SIGINT},    {"ENOSYS", ENOSYS, 0},
    {"PIPE", 0, SIGPIPE},
};

static struct {
  char call[16];
  long n;
  int mode, error, signal;
  atomic_long count;
  char *struck; /* mapped: no call is made where none may be */
} plan;

static void map_log(void) {
  const char *path = getenv("FAULT_LOG");
  int fd =
      path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT, 0600)
           : -1;
  if (fd < 0) return;
  if (syscall(SYS_ftruncate, fd, 1) == 0)
    plan.struck = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (plan.struck == MAP_FAILED) plan.struck = NULL;
  syscall(SYS_close, fd);
}

__attribute__((constructor)) static void read_plan(void) {
  const char *text = getenv("FAULT"), *at;
  size_t n = text ? strcspn(text, ":") : 0;
  if (!text || text[n] != ':' || n >= sizeof plan.call) return;
  map_log();
  memcpy(plan.call, text, n);
  at = text + n + 1;
  plan.mode = strcmp(plan.call, "malloc") == 0 ? ONCE : ALWAYS;
  if (*at == '/') plan.mode = EVERY, at++;
  plan.n = strtol(at, (char **)(void *)&at, 10);
  if (*at == '+') plan.mode = ALWAYS, at++;
  if (*at == '.') plan.mode = ONCE, at++;
  for (size_t i = 0; *at == ':' && i < sizeof outcomes / sizeof *outcomes; i++)
    if (strcmp(at + 1, outcomes[i].name) == 0) {
      plan.error = outcomes[i].error;
      plan.signal = outcomes[i].signal;
    }
}

/* Is this call to fail?  errno is then set. */
static int fails(const char *call) {
  long k;
  int now;
  if (strcmp(plan.call, call) != 0) return 0;
  k = atomic_fetch_add(&plan.count, 1) + 1;
  now = plan.mode == EVERY    ? k % plan.n == 0
        : plan.mode == ALWAYS ? k >= plan.n
                              : k == plan.n;
  if (!now) return 0;
  if (plan.struck) *plan.struck = 1;
  if (plan.signal) raise(plan.signal);
  errno = plan.error;
  return !plan.signal;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* ---- memory ------------------------------------------------------------- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t to, size_t n);

static int no_memory(void) {
  if (!fails("malloc")) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t n) { return no_memory() ? NULL : __libc_malloc(n); }

void *calloc(size_t n, size_t size) {
  return no_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n) {
  return n && no_memory() ? NULL : __libc_realloc(p, n);
}

int posix_memalign(void **p, size_t to, size_t n) {
  if (no_memory()) return ENOMEM;
  *p = __libc_memalign(to, n);
  return *p ? 0 : ENOMEM;
}

/* ---- files -------------------------------------------------------------- */

ssize_t write(int fd, const void *p, size_t n) {
  if (fails("write")) {
    if (errno != SHORT || n == 0) return -1;
    n = 1;
  }
  return NEXT(write)(fd, p, n);
}

ssize_t read(int fd, void *p, size_t n) {
  if (fails("read")) {
    if (errno != SHORT || n == 0) return -1;
    n = 1;
  }
  return NEXT(read)(fd, p, n);
}

ssize_t pread(int fd, void *p, size_t n, off_t at) {
  if (fails("read")) {
    if (errno != SHORT || n == 0) return -1;
    n = 1;
  }
  return NEXT(pread)(fd, p, n, at);
}

ssize_t pread64(int fd, void *p, size_t n, off64_t at) {
  return pread(fd, p, n, at);
}

int fsync(int fd) { return fails("fsync") ? -1 : NEXT(fsync)(fd); }

int rename(const char *from, const char *to) {
  return fails("rename") ? -1 : NEXT(rename)(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
  return fails("rename") ? -1 : NEXT(renameat)(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  return fails("rename") ? -1 : NEXT(renameat2)(a, from, b, to, flags);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
  return fails("link") ? -1 : NEXT(linkat)(a, from, b, to, flags);
}

int access(const char *path, int how) {
  if (strncmp(path, "/proc/", 6) == 0 && fails("proc")) return -1;
  return (int)syscall(SYS_faccessat, AT_FDCWD, path, how);
}

int seccomp_load(void *filter);
int seccomp_load(void *filter) {
  int (*next)(void *) = (int (*)(void *))dlsym(RTLD_NEXT, "seccomp_load");
  return fails("seccomp") ? -errno : next(filter);
}

static int opened(int dir, const char *path, int flags, va_list ap) {
  int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
  if (fails("open")) return -1;
  return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list ap;
  int fd;
  va_start(ap, flags);
  fd = opened(AT_FDCWD, path, flags, ap);
  va_end(ap);
  return fd;
}

int open64(const char *path, int flags, ...) {
  va_list ap;
  int fd;
  va_start(ap, flags);
  fd = opened(AT_FDCWD, path, flags, ap);
  va_end(ap);
  return fd;
}

int openat(int dir, const char *path, int flags, ...) {
  va_list ap;
  int fd;
  va_start(ap, flags);
  fd = opened(dir, path, flags, ap);
  va_end(ap);
  return fd;
}

int openat64(int dir, const char *path, int flags, ...) {
  va_list ap;
  int fd;
  va_start(ap, flags);
  fd = opened(dir, path, flags, ap);
  va_end(ap);
  return fd;
}
