/*
** part.c - an output file that appears only when it is whole.
**
** It is written without a name (O_TMPFILE) beside where it will stand, so
** whatever ends this process leaves nothing behind.  At the end it is synced,
** linked as OUT.lunette-part and renamed over OUT: readers see the old file or
** the whole new one.  Where that cannot be (a file system without O_TMPFILE,
** no /proc) it has that name from the beginning, and the next writer of OUT
** removes what a killed one left there.
*/
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 100 }; /* other writers of the same name may come between */

static int fail(const char *path, lun_err *err) {
  return lun_fail(err, LUN_EIO, "%.200s: %s", path, strerror(errno));
}

/* Links are followed; what is there and no file is left alone. */
static int target(imp_part *p, const char *out, lun_err *err) {
  struct stat st;
  if (stat(out, &st) == 0 && !S_ISREG(st.st_mode))
    return lun_fail(err, LUN_EIO, "%.200s: not a regular file", out);
  if (strlen(out) + sizeof IMP_PART_SUFFIX > sizeof p->path)
    return lun_fail(err, LUN_EIO, "%.100s...: the name is too long", out);
  if (!realpath(out, p->out)) strcpy(p->out, out); /* a new file */
  if (strlen(p->out) + sizeof IMP_PART_SUFFIX > sizeof p->path)
    return lun_fail(err, LUN_EIO, "%.100s...: the name is too long", out);
  strcpy(p->path, p->out);
  strcat(p->path, IMP_PART_SUFFIX);
  return LUN_OK;
}

static int nameless(const imp_part *p) {
  char folder[sizeof p->out];
  char *slash;
  strcpy(folder, p->out);
  slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = '\0';
  if (access("/proc/self/fd", X_OK) != 0) return -1;
  return open(slash ? folder : ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
}

static int named(const imp_part *p) {
  int fd = -1;
  for (int i = 0; fd < 0 && i < TRIES; i++) {
    fd = open(p->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
              0666);
    if (fd < 0 && (errno != EEXIST || unlink(p->path) != 0)) break;
  }
  return fd;
}

int imp_part_open(imp_part *p, const char *out, lun_err *err) {
  *p = (imp_part){.fd = -1};
  LUN_TRY(target(p, out, err));
  p->fd = nameless(p);
  if (p->fd < 0) {
    p->fd = named(p);
    p->named = p->fd >= 0;
  }
  return p->fd >= 0 ? LUN_OK : fail(out, err);
}

/* Gives the nameless file its first name; 0 when it has it. */
static int link_part(const imp_part *p) {
  char self[64];
  snprintf(self, sizeof self, "/proc/self/fd/%d", p->fd);
  for (int i = 0; i < TRIES; i++) {
    if (linkat(AT_FDCWD, self, AT_FDCWD, p->path, AT_SYMLINK_FOLLOW) == 0)
      return 0;
    if (errno != EEXIST || unlink(p->path) != 0) break;
  }
  return -1;
}

int imp_part_keep(imp_part *p, lun_err *err) {
  int bad;
  /* On the disk before it gets its name: a power cut leaves all or nothing. */
  if (fsync(p->fd) != 0) return fail(p->out, err);
  for (int i = 0; i < TRIES; i++) {
    if (!p->named && link_part(p) != 0) return fail(p->out, err);
    if (rename(p->path, p->out) == 0) return LUN_OK;
    if (p->named || errno != ENOENT) break; /* another writer took our name */
  }
  bad = fail(p->out, err);
  unlink(p->path);
  return bad;
}

void imp_part_drop(imp_part *p) {
  if (p->fd < 0) return;
  if (p->named) unlink(p->path);
  close(p->fd);
  p->fd = -1;
}
