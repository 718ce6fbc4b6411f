/*
** bytes.c - what every reader is made of: the arena, reading at an offset,
** little-endian numbers, names made fit for a message.
*/
#include "import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARENA_BLOCK ((size_t)1 << 16)

void *imp_alloc(imp_file *f, size_t bytes) {
  imp_block *b = f->arena;
  size_t need;
  if (bytes > IMP_MAXARENA) return NULL;
  need = (bytes + 15) & ~(size_t)15; /* keep every piece aligned */
  if (b == NULL || b->size - b->used < need) {
    size_t size = need > ARENA_BLOCK ? need : ARENA_BLOCK;
    if (f->arena_bytes + size > IMP_MAXARENA) return NULL;
    b = calloc(1, sizeof *b + size);
    if (b == NULL) return NULL;
    b->size = size;
    b->next = f->arena;
    f->arena = b;
    f->arena_bytes += size;
  }
  b->used += need;
  return (char *)(b + 1) + b->used - need;
}

int imp_read_at(const imp_file *f, void *buf, size_t n, int64_t at,
                lun_err *err) {
  return imp_read_fd(f->fd, f->size, buf, n, at, err);
}

int imp_read_fd(int fd, int64_t size, void *buf, size_t n, int64_t at,
                lun_err *err) {
  char *p = buf;
  if (at < 0 || n > (size_t)PTRDIFF_MAX || at > size - (int64_t)n)
    return lun_fail(err, LUN_EFORMAT,
                    "%zu bytes wanted at %lld, the file has %lld: it is cut "
                    "off, fetch it again",
                    n, (long long)at, (long long)size);
  while (n > 0) {
    ssize_t got = pread(fd, p, n, at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return lun_fail(err, LUN_EIO, "read: %s", strerror(errno));
    if (got == 0)
      return lun_fail(err, LUN_EIO, "the file shrank while it was read");
    p += got;
    at += got;
    n -= (size_t)got;
  }
  return LUN_OK;
}

uint64_t imp_le(const uint8_t *p, int bytes) {
  uint64_t x = 0;
  for (int i = bytes - 1; i >= 0; i--) x = x << 8 | p[i];
  return x;
}

const char *imp_shown(char buf[IMP_SHOWN], const char *s, size_t n) {
  size_t k = 0;
  for (size_t i = 0; i < n && k < IMP_SHOWN - 4; i++) {
    unsigned char c = (unsigned char)s[i];
    buf[k++] = c < 32 || c == 127 ? '?' : (char)c;
  }
  if (k < n) memcpy(buf + k, "...", 3), k += 3;
  buf[k] = '\0';
  return buf;
}
