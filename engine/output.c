/*
** output.c - files that appear whole or not at all.
*/
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { MAXLINKS = 40, MAXNAMES = 32, BUFFER = 64 << 10 };

struct lun_output {
  char path[PATH_MAX];     /* as the caller wrote it, for messages */
  char target[PATH_MAX];   /* where its links lead to */
  const char *name;        /* last part of target */
  char temp[NAME_MAX + 1]; /* temporary's name; "": it has none (yet) */
  int fd, dir;             /* being written, and its folder; -1: none */
  int direct;              /* no regular file: written to as it is */
  int replaces;            /* there is an old file, with this mode: */
  mode_t mode;
  int placed, swapped; /* it stands; the old file has the temporary's name */
  int problem;         /* errno of the first failure */
  size_t used, room;
  uint8_t *buf;
};

/* ---- where the file is -------------------------------------------------- */

static int on_procfs(const char *folder) {
  struct statfs s;
  return statfs(folder, &s) == 0 && s.f_type == PROC_SUPER_MAGIC;
}

/* Splits o->target at its last slash: the folder into `folder`. */
static void split(lun_output *o, char *folder) {
  char *slash = strrchr(o->target, '/');
  size_t n = slash ? (size_t)(slash - o->target) : 0;
  o->name = slash ? slash + 1 : o->target;
  memcpy(folder, o->target, n);
  strcpy(folder + n, !slash ? "." : n == 0 ? "/" : "");
}

/* One link of o->target: 1 followed, 0 it is no link, -1 errno tells. Links of
** /proc (a descriptor's) lead to what is open, not to a path. */
static int follow(lun_output *o) {
  char folder[PATH_MAX], to[PATH_MAX], joined[2 * PATH_MAX + 2];
  ssize_t n = readlink(o->target, to, sizeof to - 1);
  if (n < 0) return errno == EINVAL || errno == ENOENT ? 0 : -1;
  to[n] = '\0';
  split(o, folder);
  if (on_procfs(folder)) return o->direct = 1, 0;
  if (to[0] == '/')
    snprintf(joined, sizeof joined, "%s", to);
  else
    snprintf(joined, sizeof joined, "%s/%s", folder, to);
  if (strlen(joined) >= sizeof o->target) return errno = ENAMETOOLONG, -1;
  strcpy(o->target, joined);
  return 1;
}

/* Sets target, direct, replaces and mode; errno or 0. */
static int find_target(lun_output *o) {
  struct stat s;
  int links = 0, more;
  strcpy(o->target, o->path);
  while ((more = follow(o)) == 1)
    if (++links > MAXLINKS) return ELOOP;
  if (more < 0) return errno;
  if (stat(o->target, &s) != 0) return errno == ENOENT ? 0 : errno;
  if (S_ISDIR(s.st_mode)) return EISDIR;
  if (!S_ISREG(s.st_mode)) o->direct = 1;
  o->replaces = !o->direct;
  o->mode = s.st_mode & 0777;
  return o->replaces && access(o->target, W_OK) != 0 ? errno : 0;
}

/* ---- the temporary ------------------------------------------------------ */

/* Removes a temporary that a killed run left; a living one holds its lock. */
static int sweep(int dir, const char *name) {
  struct stat mine, there;
  int gone = 0;
  int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return 0;
  if (fstat(fd, &mine) == 0 && S_ISREG(mine.st_mode) &&
      flock(fd, LOCK_EX | LOCK_NB) == 0 &&
      fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      there.st_ino == mine.st_ino && there.st_dev == mine.st_dev)
    gone = unlinkat(dir, name, 0) == 0;
  close(fd);
  return gone;
}

static int make_named(lun_output *o) {
  o->fd = openat(o->dir, o->temp,
                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  return o->fd < 0 ? errno : 0;
}

static int link_unnamed(lun_output *o) {
  char self[64];
  snprintf(self, sizeof self, "/proc/self/fd/%d", o->fd);
  return linkat(AT_FDCWD, self, o->dir, o->temp, AT_SYMLINK_FOLLOW) ? errno : 0;
}

/* Gives the temporary a name of its own by `make`; errno or 0. */
static int take_name(lun_output *o, int (*make)(lun_output *)) {
  int why = EEXIST;
  for (int i = 0; i < MAXNAMES && why == EEXIST; i++) {
    snprintf(o->temp, sizeof o->temp, ".%.200s.lunette-%d", o->name, i);
    why = make(o);
    if (why == EEXIST && sweep(o->dir, o->temp)) why = make(o);
  }
  if (why) o->temp[0] = '\0';
  return why;
}

/* A file without a name where the file system has those (it is gone when the
** process is), else one with a name that the next run knows and removes. */
static int open_temporary(lun_output *o) {
  char folder[PATH_MAX];
  int why = 0;
  split(o, folder);
  if (!*o->name) return EISDIR;
  o->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (o->dir < 0) return errno;
  if (access("/proc/self/fd", X_OK) == 0)
    o->fd = openat(o->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (o->fd < 0) why = take_name(o, make_named);
  if (o->fd >= 0) flock(o->fd, LOCK_EX | LOCK_NB);
  return why;
}

/* The number of a descriptor of this process that target names, or -1. */
static int own_descriptor(lun_output *o) {
  char folder[PATH_MAX];
  struct stat mine, its;
  split(o, folder);
  if (stat("/proc/self/fd", &mine) != 0 || stat(folder, &its) != 0 ||
      mine.st_ino != its.st_ino || mine.st_dev != its.st_dev)
    return -1;
  return strspn(o->name, "0123456789") == strlen(o->name) ? atoi(o->name) : -1;
}

/* What is no regular file, as it is; a descriptor of our own is copied, so
** that what else is written to it comes after.  A named pipe that nobody reads
** is an error (ENXIO): waiting for a reader would look like hanging. */
static int open_direct(lun_output *o) {
  int own = own_descriptor(o), flags;
  do
    o->fd = own >= 0
                ? fcntl(own, F_DUPFD_CLOEXEC, 3)
                : open(o->target, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  while (o->fd < 0 && errno == EINTR && !lun_interrupted());
  if (o->fd < 0) return errno;
  flags = own >= 0 ? -1 : fcntl(o->fd, F_GETFL);
  if (flags >= 0) fcntl(o->fd, F_SETFL, flags & ~O_NONBLOCK);
  return 0;
}

/* ---- writing ------------------------------------------------------------ */

ssize_t lun_quiet_write(int fd, const void *p, size_t n) {
  const struct timespec none = {0, 0};
  sigset_t set, old, before;
  ssize_t k;
  int why;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  sigaddset(&set, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &set, &old);
  sigpending(&before);
  k = write(fd, p, n);
  why = errno;
  if (k < 0 && !sigismember(&before, SIGPIPE) && !sigismember(&before, SIGXFSZ))
    sigtimedwait(&set, NULL, &none);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = why;
  return k;
}

static void write_out(lun_output *o, const uint8_t *p, size_t n) {
  while (n > 0 && !o->problem) {
    ssize_t k = lun_quiet_write(o->fd, p, n);
    if (k > 0)
      p += k, n -= (size_t)k;
    else if (k == 0 || errno != EINTR || lun_interrupted())
      o->problem = k == 0 ? EIO : errno;
  }
}

static void flush(lun_output *o) {
  write_out(o, o->buf, o->used);
  o->used = 0;
}

void lun_output_put(lun_output *o, const void *bytes, size_t n) {
  const uint8_t *p = bytes;
  if (o->used + n >= o->room) { /* fill the buffer: whole blocks go out */
    size_t k = o->room - o->used;
    memcpy(o->buf + o->used, p, k);
    o->used += k, p += k, n -= k;
    flush(o);
    write_out(o, p, n / o->room * o->room);
    p += n / o->room * o->room;
    n %= o->room;
  }
  memcpy(o->buf + o->used, p, n);
  o->used += n;
}

/* ---- the life of an output ---------------------------------------------- */

static int failed(const lun_output *o, int why, lun_err *err) {
  int code = why == EINTR ? LUN_EINTR : why == ENOMEM ? LUN_ENOMEM : LUN_EIO;
  return lun_fail(err, code, "cannot write '%s': %s", o->path,
                  why == ENXIO ? "nobody reads there" : strerror(why));
}

int lun_output_open(lun_output **out, const char *path, size_t buffer,
                    lun_err *err) {
  lun_output *o;
  int why;
  *out = NULL;
  if (strlen(path) >= PATH_MAX)
    return lun_fail(err, LUN_EARG, "%.80s...: path too long", path);
  o = lun_calloc(1, sizeof *o);
  if (!o) return lun_fail(err, LUN_ENOMEM, "'%s': no memory", path);
  o->fd = o->dir = -1;
  strcpy(o->path, path);
  o->room = buffer ? buffer : BUFFER;
  o->buf = lun_malloc(o->room);
  why = !o->buf ? ENOMEM : *path ? find_target(o) : ENOENT;
  if (!why) why = o->direct ? open_direct(o) : open_temporary(o);
  if (!why) return *out = o, LUN_OK;
  why = failed(o, why, err);
  lun_output_free(o);
  return why;
}

/* All bytes on the disk, the mode as it was. */
static void finish(lun_output *o) {
  flush(o);
  if (o->problem || o->direct) return;
  if (o->replaces && fchmod(o->fd, o->mode) != 0) o->problem = errno;
  if (!o->problem && fsync(o->fd) != 0) o->problem = errno;
}

/* A name of its own, beside the target: all that can fail for want of room or
** rights fails here, before any old file is touched. */
static void stand_ready(lun_output *o) {
  if (!o->direct && !o->temp[0]) o->problem = take_name(o, link_unnamed);
}

/* Changes places with the old file, which stays under the temporary's name until
** the whole set stands; a new file just takes its name. */
static void put_in_place(lun_output *o) {
  int why = EINVAL; /* what systems say that exchange no names */
  if (o->direct) return;
  if (o->replaces)
    why = renameat2(o->dir, o->temp, o->dir, o->name, RENAME_EXCHANGE) ? errno
                                                                       : 0;
  o->swapped = why == 0;
  if (why == EINVAL || why == ENOSYS || why == ENOENT) {
    why = renameat(o->dir, o->temp, o->dir, o->name) ? errno : 0;
    if (!why) o->temp[0] = '\0';
  }
  o->problem = why;
  o->placed = !why;
}

/* As it was before put_in_place, where the file system can exchange names. */
static void take_back(lun_output *o) {
  if (!o->placed) return;
  if (o->swapped)
    renameat2(o->dir, o->temp, o->dir, o->name, RENAME_EXCHANGE);
  else if (!o->replaces)
    unlinkat(o->dir, o->name, 0);
}

/* Runs `step` on every output; stops at the first that fails. */
static int each(lun_output *const *set, int n, void (*step)(lun_output *),
                lun_err *err) {
  for (int i = 0; i < n; i++) {
    step(set[i]);
    if (set[i]->problem) return failed(set[i], set[i]->problem, err);
  }
  return LUN_OK;
}

/* Signals that end a process wait until the set stands or is gone. */
static int place_all(lun_output *const *set, int n, lun_err *err) {
  sigset_t all, old;
  int status;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  status = each(set, n, stand_ready, err);
  if (status == LUN_OK) status = each(set, n, put_in_place, err);
  for (int i = 0; i < n && status != LUN_OK; i++) take_back(set[i]);
  for (int i = 0; i < n; i++)
    if (set[i]->temp[0] && unlinkat(set[i]->dir, set[i]->temp, 0) == 0)
      set[i]->temp[0] = '\0';
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return status;
}

void lun_output_tensor(lun_output *out, const lun_tensor *t, lun_dtype dtype) {
  uint16_t half[1024];
  if (dtype != LUN_F16) {
    lun_output_put(out, t->data, sizeof(float) * (size_t)t->size);
    return;
  }
  for (int64_t i = 0; i < t->size; i += 1024) {
    int n = t->size - i < 1024 ? (int)(t->size - i) : 1024;
    for (int k = 0; k < n; k++) half[k] = lun_float_to_half(t->data[i + k]);
    lun_output_put(out, half, 2 * (size_t)n);
  }
}

int lun_output_commit(lun_output *const *set, int n, lun_err *err) {
  LUN_TRY(each(set, n, finish, err));
  return place_all(set, n, err);
}

void lun_output_free(lun_output *o) {
  if (!o) return;
  if (o->temp[0]) unlinkat(o->dir, o->temp, 0);
  if (o->fd >= 0) close(o->fd);
  if (o->dir >= 0) close(o->dir);
  lun_free(o->buf);
  lun_free(o);
}
