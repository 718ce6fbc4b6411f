/*
** out.c - what is written goes out in pieces of whole large pages, so that the
** file's pages in memory are large ones: mapping it then takes a fifth of the
** time (engine/safetensors.c).
*/
#include "import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 8 << 20 };

static int write_all(int fd, const char *p, size_t n, lun_err *err) {
  while (n > 0) {
    ssize_t put = write(fd, p, n);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return lun_fail(err, LUN_EIO, "write: %s", strerror(errno));
    p += put;
    n -= (size_t)put;
  }
  return LUN_OK;
}

int imp_put(imp_out *o, const void *data, size_t n, lun_err *err) {
  const char *p = data;
  if (!o->piece) o->piece = malloc(PIECE);
  if (!o->piece) return lun_fail(err, LUN_ENOMEM, "no memory to write");
  while (n > 0) {
    size_t some = n < PIECE - o->used ? n : PIECE - o->used;
    memcpy(o->piece + o->used, p, some);
    p += some;
    n -= some;
    o->used += some;
    if (o->used < PIECE) break;
    o->used = 0;
    LUN_TRY(write_all(o->fd, o->piece, PIECE, err));
  }
  return LUN_OK;
}

int imp_end(imp_out *o, lun_err *err) {
  int status = write_all(o->fd, o->piece, o->used, err);
  free(o->piece);
  *o = (imp_out){.fd = o->fd};
  return status;
}
