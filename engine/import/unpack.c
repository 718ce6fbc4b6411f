/*
** unpack.c - archives that somebody zipped again, with packing.  Their members
** are unpacked one after the other into an unnamed file that was opened before
** (main.c), and are read there like stored ones.  Each must have the size and
** the checksum that the archive says, and all together at most GROWTH times the
** archive's bytes.
*/
#include "import.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { STEP = 1 << 18, GROWTH = 64 };

typedef struct unpacking {
  z_stream z;
  uint8_t *in, *out; /* STEP bytes each */
  imp_out to;
  int64_t done; /* bytes of this member that came out */
  uLong crc;
} unpacking;

static int wrong(const imp_entry *e, const char *what, lun_err *err) {
  char shown[IMP_SHOWN];
  return lun_fail(err, LUN_EFORMAT, "zip member '%s' %s",
                  imp_shown(shown, e->name, strlen(e->name)), what);
}

/* n bytes that came out. */
static int put(unpacking *u, const imp_entry *e, const uint8_t *p, size_t n,
               lun_err *err) {
  u->done += (int64_t)n;
  if (u->done > e->full)
    return wrong(e, "is longer than the archive says", err);
  u->crc = crc32(u->crc, p, (uInt)n);
  return imp_put(&u->to, p, n, err);
}

/* What the next n packed bytes give. */
static int inflate_some(unpacking *u, const imp_entry *e, size_t n, int *end,
                        lun_err *err) {
  u->z.next_in = u->in;
  u->z.avail_in = (uInt)n;
  do {
    int status;
    u->z.next_out = u->out;
    u->z.avail_out = STEP;
    status = inflate(&u->z, Z_NO_FLUSH);
    *end = status == Z_STREAM_END;
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
      return wrong(e, "is damaged: it cannot be unpacked", err);
    LUN_TRY(put(u, e, u->out, STEP - u->z.avail_out, err));
  } while (!*end && u->z.avail_out == 0);
  return LUN_OK;
}

static int member(unpacking *u, const imp_file *f, const imp_entry *e,
                  lun_err *err) {
  int end = e->method == 0;
  u->done = 0;
  u->crc = crc32(0L, Z_NULL, 0);
  if (inflateReset(&u->z) != Z_OK) return wrong(e, "cannot be unpacked", err);
  for (int64_t at = 0; at < e->size; at += STEP) {
    size_t n = e->size - at < STEP ? (size_t)(e->size - at) : STEP;
    LUN_TRY(imp_read_at(f, u->in, n, e->at + at, err));
    if (e->method == 0)
      LUN_TRY(put(u, e, u->in, n, err));
    else
      LUN_TRY(inflate_some(u, e, n, &end, err));
  }
  if (!end || u->done != e->full)
    return wrong(e, "is shorter than the archive says", err);
  if (u->crc != e->crc)
    return wrong(e, "is damaged: its CRC-32 is not what the archive says", err);
  return LUN_OK;
}

/* All members, one behind the other; then they lie there. */
static int members(unpacking *u, imp_file *f, imp_zip *z, lun_err *err) {
  int64_t at = 0;
  for (int i = 0; i < z->count; i++) LUN_TRY(member(u, f, &z->entry[i], err));
  for (int i = 0; i < z->count; i++) {
    imp_entry *e = &z->entry[i];
    e->at = at;
    e->size = e->full;
    e->method = 0;
    at += e->full;
  }
  f->fd = u->to.fd;
  f->size = at;
  return LUN_OK;
}

static int is_packed(const imp_zip *z) {
  for (int i = 0; i < z->count; i++)
    if (z->entry[i].method != 0) return 1;
  return 0;
}

/* Only stored and deflated members, and not too much of them. */
static int check(const imp_file *f, const imp_zip *z, lun_err *err) {
  int64_t total = 0;
  for (int i = 0; i < z->count; i++) {
    const imp_entry *e = &z->entry[i];
    if (e->method != 0 && e->method != 8)
      return wrong(e,
                   "is packed in another way than deflate: unpack the archive "
                   "and zip it again with `zip -0 -r`",
                   err);
    if (e->full > GROWTH * f->size - total)
      return lun_fail(err, LUN_EFORMAT,
                      "zip archive: its members would unpack to more than %d "
                      "times its size",
                      GROWTH);
    total += e->full;
  }
  return LUN_OK;
}

int imp_zip_unpack(imp_file *f, imp_zip *z, int scratch, lun_err *err) {
  unpacking u = {.to = {.fd = scratch}};
  int status = check(f, z, err);
  if (status != LUN_OK || !is_packed(z)) return status;
  if (scratch < 0) return wrong(&z->entry[0], "is packed", err);
  u.in = malloc(STEP);
  u.out = malloc(STEP);
  if (u.in == NULL || u.out == NULL || inflateInit2(&u.z, -MAX_WBITS) != Z_OK)
    status = lun_fail(err, LUN_ENOMEM, "no memory");
  else
    status = members(&u, f, z, err);
  if (status == LUN_OK)
    status = imp_end(&u.to, err);
  else
    free(u.to.piece);
  if (u.in && u.out) inflateEnd(&u.z);
  free(u.in);
  free(u.out);
  return status;
}
