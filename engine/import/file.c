/*
** file.c - the list of tensors that every reader fills, and plain reading.
** Formats are told apart by what a file holds, never by what it is called.
*/
#include "import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
  char *p = buf;
  if (at < 0 || (int64_t)n < 0 || at > f->size - (int64_t)n)
    return lun_fail(err, LUN_EFORMAT,
                    "file too short: %zu bytes wanted at %lld, it has %lld", n,
                    (long long)at, (long long)f->size);
  while (n > 0) {
    ssize_t got = pread(f->fd, p, n, at);
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

/* The array doubles inside the arena; the old one is simply left behind. */
static int more_room(imp_file *f, lun_err *err) {
  int room = f->room ? 2 * f->room : 64;
  imp_tensor *t = imp_alloc(f, (size_t)room * sizeof *t);
  if (t == NULL) return lun_fail(err, LUN_ENOMEM, "too many tensors to list");
  if (f->count) memcpy(t, f->tensor, (size_t)f->count * sizeof *t);
  f->tensor = t;
  f->room = room;
  return LUN_OK;
}

int imp_add(imp_file *f, imp_tensor **out, const char *name, size_t len,
            lun_err *err) {
  char *copy;
  if (f->count >= IMP_MAXTENSORS)
    return lun_fail(err, LUN_EFORMAT, "more than %d tensors", IMP_MAXTENSORS);
  if (len > IMP_MAXNAME)
    return lun_fail(err, LUN_EFORMAT, "a tensor's name has %zu bytes, most %d",
                    len, IMP_MAXNAME);
  if (f->count == f->room) LUN_TRY(more_room(f, err));
  copy = imp_alloc(f, len + 1);
  if (copy == NULL) return lun_fail(err, LUN_ENOMEM, "names need too much");
  memcpy(copy, name, len);
  *out = &f->tensor[f->count++];
  (*out)->name = copy;
  return LUN_OK;
}

int imp_shape(imp_tensor *t, int ndim, const int64_t *dim, lun_err *err) {
  int64_t size = 1;
  char shown[IMP_SHOWN];
  imp_shown(shown, t->name, strlen(t->name));
  if (ndim < 0 || ndim > IMP_MAXDIM)
    return lun_fail(err, LUN_EFORMAT, "tensor '%s' has %d axes, most %d", shown,
                    ndim, IMP_MAXDIM);
  t->ndim = ndim;
  for (int i = ndim - 1; i >= 0; i--) {
    /* sizes stay under 2^40 elements, so that bytes cannot overflow */
    if (dim[i] < 0 || (dim[i] > 0 && size > ((int64_t)1 << 40) / dim[i]))
      return lun_fail(err, LUN_EFORMAT, "tensor '%s': axis %d of %lld", shown,
                      i, (long long)dim[i]);
    t->dim[i] = dim[i];
    t->stride[i] = size;
    size *= dim[i];
  }
  t->size = size;
  return LUN_OK;
}

int imp_inside(const imp_file *f, const imp_tensor *t, lun_err *err) {
  int64_t bytes = t->size * t->width;
  char shown[IMP_SHOWN];
  if (t->at >= 0 && t->at <= f->size && bytes <= f->size - t->at) return LUN_OK;
  return lun_fail(err, LUN_EFORMAT,
                  "tensor '%s': %lld bytes at %lld, the file has %lld",
                  imp_shown(shown, t->name, strlen(t->name)), (long long)bytes,
                  (long long)t->at, (long long)f->size);
}

/* What else people hand in: say what it is, and what would do. */
static int refuse(const uint8_t *head, size_t n, lun_err *err) {
  static const struct {
    size_t at, len;
    const char *bytes, *what;
  } known[] = {
      {257, 5, "ustar", "a tar archive (torch before 0.2, or a packed model)"},
      {0, 2, "\x1f\x8b", "gzip data: unpack it first"},
      {0, 2, "\xff\xd8", "a JPEG picture"},
      {0, 4, "\x89PNG", "a PNG picture"},
      {0, 4, "GGUF", "a GGUF file"},
      {0, 2, "\x80\x02", "a pickle, but not one that torch.save wrote"},
      {0, 2, "\x80\x03", "a pickle, but not one that torch.save wrote"},
      {0, 2, "\x80\x04", "a pickle, but not one that torch.save wrote"},
      /* protobuf: field 1 (ir_version) below 16, then a string field */
      {0, 1, "\x08", "perhaps ONNX, which is not read: take the weights"},
      {0, 15, "version https:/", "a Git LFS pointer, not the file itself"},
      {0, 1, "<", "a web page, perhaps of a failed download"},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (known[i].at + known[i].len <= n &&
        memcmp(head + known[i].at, known[i].bytes, known[i].len) == 0)
      return lun_fail(err, LUN_EFORMAT,
                      "no model file (HDF5, .pth, safetensors): it looks like "
                      "%s",
                      known[i].what);
  return lun_fail(err, LUN_EFORMAT,
                  "no model file: neither HDF5 (Keras), .pth nor safetensors");
}

static int detect(imp_file *f, lun_err *err) {
  uint8_t head[512];
  size_t n = f->size < 512 ? (size_t)f->size : 512;
  LUN_TRY(imp_read_at(f, head, n, 0, err));
  if (n >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0)
    return imp_read_hdf5(f, 0, f->size, err);
  if (n >= 4 && memcmp(head, "PK\3\4", 4) == 0) return imp_read_zip(f, err);
  if (imp_is_legacy(head, n)) return imp_read_legacy(f, err);
  if (n >= 10 && head[8] == '{') return imp_read_safetensors(f, err);
  return refuse(head, n, err);
}

int imp_open(imp_file *f, int fd, lun_err *err) {
  struct stat st;
  memset(f, 0, sizeof *f);
  f->fd = fd;
  f->h5 = -1;
  if (fstat(fd, &st) != 0)
    return lun_fail(err, LUN_EIO, "stat: %s", strerror(errno));
  if (!S_ISREG(st.st_mode)) return lun_fail(err, LUN_EIO, "not a regular file");
  f->size = st.st_size;
  if (f->size == 0) return lun_fail(err, LUN_EFORMAT, "the file is empty");
  return detect(f, err);
}

void imp_close(imp_file *f) {
  imp_hdf5_close(f);
  while (f->arena) {
    imp_block *next = f->arena->next;
    free(f->arena);
    f->arena = next;
  }
  f->count = f->nmeta = 0;
}
