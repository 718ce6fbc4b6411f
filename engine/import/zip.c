/*
** zip.c - the table of a zip archive.  torch.save and Keras store members without
** packing; packed ones are unpacked elsewhere (unpack.c).  Members that overlap
** are refused.
**
** The table is found from the end (APPNOTE 4.3): end record, perhaps preceded
** by its 64-bit form (torch always writes that), then one header a member.
*/
#include "import.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
  END_BYTES = 22,
  END64_BYTES = 56,
  LOCATOR_BYTES = 20,
  CENTRAL_BYTES = 46,
  LOCAL_BYTES = 30,
  MAX_TABLE = 8 << 20,
  MAX_COMMENT = 65535,
};

typedef struct table { /* the central directory */
  uint64_t count, bytes, at;
} table;

static int damaged(const char *what, lun_err *err) {
  return lun_fail(err, LUN_EFORMAT, "zip archive: %s", what);
}

/* The 64-bit end record, when a locator stands before the plain one. */
static int find_table64(const imp_file *f, int64_t end, table *t,
                        lun_err *err) {
  uint8_t b[END64_BYTES];
  if (end < LOCATOR_BYTES) return LUN_OK;
  LUN_TRY(imp_read_at(f, b, LOCATOR_BYTES, end - LOCATOR_BYTES, err));
  if (memcmp(b, "PK\6\7", 4) != 0) return LUN_OK;
  LUN_TRY(imp_read_at(f, b, END64_BYTES, (int64_t)imp_le(b + 8, 8), err));
  if (memcmp(b, "PK\6\6", 4) != 0) return damaged("no 64-bit end record", err);
  t->count = imp_le(b + 32, 8);
  t->bytes = imp_le(b + 40, 8);
  t->at = imp_le(b + 48, 8);
  return LUN_OK;
}

/* Looks for the end record backwards: a comment may follow it. */
static int find_table(const imp_file *f, table *t, lun_err *err) {
  uint8_t *tail;
  int64_t n = f->size, i;
  int status;
  if (n > END_BYTES + MAX_COMMENT) n = END_BYTES + MAX_COMMENT;
  if (n < END_BYTES) return damaged("too short", err);
  tail = malloc((size_t)n);
  if (tail == NULL) return lun_fail(err, LUN_ENOMEM, "no memory");
  status = imp_read_at(f, tail, (size_t)n, f->size - n, err);
  for (i = n - END_BYTES; status == LUN_OK && i >= 0; i--)
    if (memcmp(tail + i, "PK\5\6", 4) == 0) break;
  if (status == LUN_OK && i < 0)
    status = damaged("no table at the end: the file is cut off, fetch it again",
                     err);
  if (status == LUN_OK) {
    t->count = imp_le(tail + i + 10, 2);
    t->bytes = imp_le(tail + i + 12, 4);
    t->at = imp_le(tail + i + 16, 4);
    status = find_table64(f, f->size - n + i, t, err);
  }
  free(tail);
  return status;
}

/* Sizes of 2^32-1 mean: see the extra field 0x0001, in this order. */
static int wide_sizes(const uint8_t *x, size_t n, uint64_t v[3], lun_err *err) {
  while (n >= 4) {
    size_t len = imp_le(x + 2, 2), at = 4;
    if (len + 4 > n) return damaged("an extra field runs over its end", err);
    if (imp_le(x, 2) == 1)
      for (int k = 0; k < 3; k++)
        if (v[k] == 0xffffffff && at + 8 <= len + 4) {
          v[k] = imp_le(x + at, 8);
          at += 8;
        }
    x += len + 4;
    n -= len + 4;
  }
  return LUN_OK;
}

/* Where a member's data begins: after its local header, whose name and extra
** field may be longer than those of the directory. */
static int place(const imp_file *f, imp_entry *e, uint64_t header,
                 lun_err *err) {
  uint8_t b[LOCAL_BYTES];
  if (header > (uint64_t)f->size) return damaged("a member lies outside", err);
  LUN_TRY(imp_read_at(f, b, LOCAL_BYTES, (int64_t)header, err));
  if (memcmp(b, "PK\3\4", 4) != 0) return damaged("no header at a member", err);
  e->at = (int64_t)header + LOCAL_BYTES + (int64_t)imp_le(b + 26, 2) +
          (int64_t)imp_le(b + 28, 2);
  if (e->at > f->size || e->size > f->size - e->at)
    return damaged("a member lies outside the file", err);
  return LUN_OK;
}

static int member(imp_file *f, imp_entry *e, const uint8_t *p, size_t left,
                  size_t *used, lun_err *err) {
  uint64_t v[3]; /* unpacked size, packed size, offset of the local header */
  size_t name, extra, comment;
  char *copy, shown[IMP_SHOWN];
  if (left < CENTRAL_BYTES || memcmp(p, "PK\1\2", 4) != 0)
    return damaged("the table is damaged", err);
  name = imp_le(p + 28, 2), extra = imp_le(p + 30, 2);
  comment = imp_le(p + 32, 2);
  *used = CENTRAL_BYTES + name + extra + comment;
  if (*used > left) return damaged("the table is cut off", err);
  v[0] = imp_le(p + 24, 4), v[1] = imp_le(p + 20, 4), v[2] = imp_le(p + 42, 4);
  LUN_TRY(wide_sizes(p + CENTRAL_BYTES + name, extra, v, err));
  copy = imp_alloc(f, name + 1);
  if (copy == NULL) return lun_fail(err, LUN_ENOMEM, "the table is too large");
  memcpy(copy, p + CENTRAL_BYTES, name);
  e->name = copy;
  imp_shown(shown, copy, name);
  if (imp_le(p + 8, 2) & 1)
    return lun_fail(err, LUN_EFORMAT, "zip member '%s' is encrypted", shown);
  e->method = (int)imp_le(p + 10, 2);
  if (e->method == 0 && v[0] != v[1])
    return lun_fail(err, LUN_EFORMAT, "zip member '%s' has two sizes", shown);
  if (v[1] > (uint64_t)f->size || v[0] > (uint64_t)1 << 40)
    return lun_fail(err, LUN_EFORMAT, "zip member '%s' claims %llu bytes",
                    shown, (unsigned long long)(v[0] > v[1] ? v[0] : v[1]));
  e->full = (int64_t)v[0];
  e->size = (int64_t)v[1];
  e->crc = (uint32_t)imp_le(p + 16, 4);
  return place(f, e, v[2], err);
}

static int by_place(const void *a, const void *b) {
  const imp_entry *x = a, *y = b;
  if (x->at != y->at) return x->at < y->at ? -1 : 1;
  return x->size < y->size ? -1 : x->size > y->size;
}

/* Sorted by place; each must end before the next begins. */
static int disjoint(imp_zip *z, lun_err *err) {
  char shown[IMP_SHOWN];
  qsort(z->entry, (size_t)z->count, sizeof *z->entry, by_place);
  for (int i = 1; i < z->count; i++) {
    imp_entry *a = &z->entry[i - 1], *b = &z->entry[i];
    if (a->at + a->size > b->at)
      return lun_fail(err, LUN_EFORMAT, "zip member '%s' overlaps another",
                      imp_shown(shown, b->name, strlen(b->name)));
  }
  return LUN_OK;
}

static int members(imp_file *f, imp_zip *z, const uint8_t *p, size_t n,
                   lun_err *err) {
  for (int i = 0; i < z->count; i++) {
    size_t used = 0;
    LUN_TRY(member(f, &z->entry[i], p, n, &used, err));
    p += used;
    n -= used;
  }
  return disjoint(z, err);
}

int imp_zip_list(imp_file *f, imp_zip *z, lun_err *err) {
  table t = {0};
  uint8_t *p;
  int status;
  memset(z, 0, sizeof *z);
  LUN_TRY(find_table(f, &t, err));
  if (t.count > IMP_MAXTENSORS || t.bytes > MAX_TABLE ||
      t.at > (uint64_t)f->size)
    return lun_fail(err, LUN_EFORMAT,
                    "zip archive: %llu members, table of %llu bytes",
                    (unsigned long long)t.count, (unsigned long long)t.bytes);
  z->count = (int)t.count;
  z->entry = imp_alloc(f, t.count * sizeof *z->entry + 1);
  p = malloc(t.bytes + 1);
  status = z->entry && p ? imp_read_at(f, p, t.bytes, (int64_t)t.at, err)
                         : lun_fail(err, LUN_ENOMEM, "no memory");
  if (status == LUN_OK) status = members(f, z, p, t.bytes, err);
  free(p);
  return status;
}

int imp_zip_check(const imp_file *f, const imp_entry *e, lun_err *err) {
  enum { STEP = 1 << 18 };
  uint8_t *buf = malloc(STEP);
  uLong crc = crc32(0L, Z_NULL, 0);
  int status = buf ? LUN_OK : lun_fail(err, LUN_ENOMEM, "no memory");
  char shown[IMP_SHOWN];
  for (int64_t done = 0; status == LUN_OK && done < e->size; done += STEP) {
    int64_t n = e->size - done < STEP ? e->size - done : STEP;
    status = imp_read_at(f, buf, (size_t)n, e->at + done, err);
    if (status == LUN_OK) crc = crc32(crc, buf, (uInt)n);
  }
  free(buf);
  if (status != LUN_OK || crc == e->crc) return status;
  return lun_fail(err, LUN_EFORMAT,
                  "member '%s' is damaged: its CRC-32 is %08lx, the archive "
                  "says %08lx",
                  imp_shown(shown, e->name, strlen(e->name)), crc,
                  (unsigned long)e->crc);
}
