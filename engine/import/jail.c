/*
** jail.c - confines this process before it looks at a file: address space,
** processor time, size of what it writes, no core dump, and a short list of
** system calls.  It cannot open anything, run anything, or reach a network;
** what it may write is stdout and two descriptors that were opened before.
*/
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

/* Address sanitizer reserves terabytes and opens files: it cannot be
** confined, and runs with the time limit only, a longer one. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Never above what the caller was given (ulimit). */
static int set_limit(int what, rlim_t value, lun_err *err) {
  struct rlimit r;
  if (getrlimit((__rlimit_resource_t)what, &r) != 0)
    return lun_fail(err, LUN_EIO, "getrlimit: %s", strerror(errno));
  if (value < r.rlim_cur) r.rlim_cur = value;
  r.rlim_max = r.rlim_cur;
  if (setrlimit((__rlimit_resource_t)what, &r) == 0) return LUN_OK;
  return lun_fail(err, LUN_EIO, "setrlimit: %s", strerror(errno));
}

/* SIGPROF ends the process: a limit finer than RLIMIT_CPU's whole seconds. */
static int set_timer(double seconds, lun_err *err) {
  struct itimerval t = {{0, 0}, {0, 0}};
  if (SANITIZED) seconds *= 20;
  t.it_value.tv_sec = (time_t)seconds;
  t.it_value.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6);
  if (setitimer(ITIMER_PROF, &t, NULL) != 0)
    return lun_fail(err, LUN_EIO, "setitimer: %s", strerror(errno));
  return set_limit(RLIMIT_CPU, (rlim_t)seconds + 2, err);
}

static int allow(scmp_filter_ctx c) {
  /* Memory, reading, and what the C library does on its own: qsort asks how
  ** much memory there is (sysinfo).  libhdf5 waits a nanosecond where a checksum
  ** is wrong, and reads again. */
  static const int calls[] = {
      SCMP_SYS(read),
      SCMP_SYS(pread64),
      SCMP_SYS(lseek),
      SCMP_SYS(fstat),
      SCMP_SYS(munmap),
      SCMP_SYS(brk),
      SCMP_SYS(mremap),
      SCMP_SYS(madvise),
      SCMP_SYS(futex),
      SCMP_SYS(exit),
      SCMP_SYS(exit_group),
      SCMP_SYS(rt_sigreturn),
      SCMP_SYS(clock_gettime),
      SCMP_SYS(gettimeofday),
      SCMP_SYS(time),
      SCMP_SYS(close),
      SCMP_SYS(getpid),
      SCMP_SYS(getrandom),
      SCMP_SYS(sysinfo),
      SCMP_SYS(nanosleep),
      SCMP_SYS(clock_nanosleep),
  };
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
    if (seccomp_rule_add(c, SCMP_ACT_ALLOW, calls[i], 0) != 0) return -1;
  /* fstat is this call in some C libraries: of a descriptor, at least. */
  if (seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                       SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH, 0)) != 0)
    return -1;
  /* Memory may be mapped, but never as code. */
  return seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ||
         seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

static int allow_write(scmp_filter_ctx c, int fd) {
  return seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
                          SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)fd, 0));
}

static int filter_calls(const int out[2], lun_err *err) {
  scmp_filter_ctx c = seccomp_init(SCMP_ACT_KILL_PROCESS);
  int bad = c == NULL || allow(c) || allow_write(c, STDOUT_FILENO) ||
            (out[0] >= 0 && allow_write(c, out[0])) ||
            (out[1] >= 0 && allow_write(c, out[1])) || seccomp_load(c);
  if (c) seccomp_release(c);
  if (!bad) return LUN_OK;
  return lun_fail(err, LUN_EIO,
                  "this system lets no process give up its "
                  "system calls (seccomp)");
}

int imp_confine(const imp_limits *l, lun_err *err) {
  LUN_TRY(set_limit(RLIMIT_CORE, 0, err));
  LUN_TRY(set_limit(RLIMIT_FSIZE, (rlim_t)l->file_bytes, err));
  LUN_TRY(set_timer(l->cpu_seconds, err));
  if (SANITIZED) return LUN_OK;
  LUN_TRY(set_limit(RLIMIT_AS, l->memory, err));
  return filter_calls(l->out, err);
}
