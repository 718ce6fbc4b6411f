/*
** mapping.c - files mapped read-only, and what happens when they change below.
**
** A file that is cut while it is mapped makes the next read of it a SIGBUS, in
** whatever thread reads.  The handler puts pages of zeros from there to the end
** of the mapping, counts, and lets the work go on: its result is wrong, and
** whoever asked looks at the count (lun_file_faults) and answers by an error
** that names the file.  Nothing is unwound, so no lock stays held.  A signal
** that is none of ours goes to the handler that was there before.
**
** A file that is overwritten in place changes values in silence; size and time
** are compared where a run begins (lun_mapping_unchanged).  Files replaced by
** a rename, as all of ours are, stay what they were.
*/
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"

enum { MOST = 1024, PATH_BYTES = 4096 };

/* The handler reads these without a lock: a slot is filled before `base` is
** set, and never freed. */
typedef struct slot {
  _Atomic(unsigned char *) base; /* NULL: free */
  size_t bytes;
  atomic_int faulted;
  struct stat st;
  char path[PATH_BYTES];
} slot;

static slot slots[MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;
static int installed;
static uintptr_t page;
static atomic_uint faults;
static _Atomic(const char *) faulted_path;

/* ---- the signal --------------------------------------------------------- */

/* Zeros from the page of `at` to the end of s; 0: that could not be. */
static int patch(slot *s, uintptr_t at) {
  uintptr_t base = (uintptr_t)atomic_load(&s->base);
  uintptr_t from = at & ~(page - 1);
  if (base == 0 || at < base || at >= base + s->bytes) return 0;
  if (mmap((void *)from, base + s->bytes - from, PROT_READ,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
           0) == MAP_FAILED)
    return 0;
  atomic_store(&s->faulted, 1);
  atomic_store(&faulted_path, s->path);
  atomic_fetch_add(&faults, 1);
  return 1;
}

static void on_fault(int sig, siginfo_t *info, void *context) {
  int e = errno;
  for (int i = 0; i < MOST; i++)
    if (patch(&slots[i], (uintptr_t)info->si_addr)) {
      errno = e;
      return;
    }
  if (before.sa_flags & SA_SIGINFO)
    before.sa_sigaction(sig, info, context);
  else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN)
    sigaction(sig, &before, NULL); /* the read is tried again, and ends us */
  else
    before.sa_handler(sig);
}

static void install(void) {
  struct sigaction a;
  if (installed) return;
  memset(&a, 0, sizeof a);
  a.sa_sigaction = on_fault;
  a.sa_flags = SA_SIGINFO | SA_ONSTACK;
  page = (uintptr_t)sysconf(_SC_PAGESIZE);
  installed = sigaction(SIGBUS, &a, &before) == 0;
}

/* The library may be unloaded: its handler goes first. */
__attribute__((destructor)) static void uninstall(void) {
  struct sigaction now;
  if (installed && sigaction(SIGBUS, NULL, &now) == 0 &&
      now.sa_sigaction == on_fault)
    sigaction(SIGBUS, &before, NULL);
}

unsigned lun_file_faults(const char **path) {
  unsigned n = atomic_load(&faults);
  *path = n ? atomic_load(&faulted_path) : "";
  return n;
}

/* ---- mappings ----------------------------------------------------------- */

static int keep(lun_mapping *m, const char *path, const struct stat *st,
                lun_err *err) {
  int i = 0;
  pthread_mutex_lock(&lock);
  install();
  while (i < MOST && atomic_load(&slots[i].base)) i++;
  if (i < MOST) {
    slot *s = &slots[i];
    if (!realpath(path, s->path)) snprintf(s->path, PATH_BYTES, "%s", path);
    s->bytes = m->bytes;
    s->st = *st;
    atomic_store(&s->faulted, 0);
    atomic_store(&s->base, m->at);
    m->slot = i;
  }
  pthread_mutex_unlock(&lock);
  if (i < MOST) return LUN_OK;
  return lun_fail(err, LUN_EIO, "%s: more than %d files are mapped", path,
                  MOST);
}

static int map(lun_mapping *m, int fd, const char *path, lun_err *err) {
  struct stat st;
  void *at;
  if (fstat(fd, &st) != 0)
    return lun_fail(err, LUN_EIO, "%s: %s", path, strerror(errno));
  if (!S_ISREG(st.st_mode) || st.st_size == 0)
    return lun_fail(err, LUN_EFORMAT, "%s: %s", path,
                    S_ISREG(st.st_mode) ? "the file is empty"
                                        : "not a regular file");
  if ((uintmax_t)st.st_size > PTRDIFF_MAX)
    return lun_fail(err, LUN_EIO, "%s: too large to be mapped here", path);
  m->bytes = (size_t)st.st_size;
  at = mmap(NULL, m->bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED)
    return lun_fail(err, LUN_EIO, "%s: cannot map: %s", path, strerror(errno));
#ifdef MADV_HUGEPAGE
  /* What is not in memory yet comes in large pages where the file system can:
  ** 135,000 small ones are slow to map, and slow to keep mapped in a virtual
  ** machine. */
  madvise(at, m->bytes, MADV_HUGEPAGE);
#endif
  m->at = at;
  return keep(m, path, &st, err);
}

int lun_mapping_open(lun_mapping *m, const char *path, lun_err *err) {
  /* O_NONBLOCK: a named pipe must not make us wait */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), status;
  *m = (lun_mapping){.slot = -1};
  if (fd < 0) return lun_fail(err, LUN_EIO, "%s: %s", path, strerror(errno));
  status = map(m, fd, path, err);
  close(fd);
  if (status != LUN_OK) lun_mapping_close(m);
  return status;
}

void lun_mapping_close(lun_mapping *m) {
  if (m->slot >= 0) atomic_store(&slots[m->slot].base, NULL);
  if (m->at) munmap(m->at, m->bytes);
  *m = (lun_mapping){.slot = -1};
}

int lun_mapping_unchanged(const lun_mapping *m, lun_err *err) {
  const slot *s = &slots[m->slot];
  struct stat now;
  if (!atomic_load(&s->faulted)) {
    if (stat(s->path, &now) != 0 || now.st_ino != s->st.st_ino ||
        now.st_dev != s->st.st_dev)
      return LUN_OK; /* replaced by a rename: the mapping shows the old file */
    if (now.st_size == s->st.st_size &&
        now.st_mtim.tv_sec == s->st.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == s->st.st_mtim.tv_nsec)
      return LUN_OK;
  }
  return lun_fail(err, LUN_EIO,
                  "%s: the file was changed since it was loaded; load it again",
                  s->path);
}
