/*
** fuzz_import.c - the readers without the jail.  -DWHICH: 0 imp_open (any
** format), 1 bare pickle, 2 zip whose central directory is built around the
** input as data.pkl, 3 legacy .pth with the magic put in front, 4 safetensors
** header with a computed length, 5 HDF5 only, 6 ONNX however it begins, 7 a packed zip: deflated members around
** the input, or the input as what a member was packed into. After a listing that worked, every tensor is copied
** in its own order (imp_copy), as a plan would. */
#include "../../engine/import/import.h"
#include "budget.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#ifndef WHICH
#define WHICH 0
#endif

static int fd = -1, null_fd, scratch = -1;
static uint8_t buf[1 << 18];

static void le(uint8_t *p, uint64_t x, int n) {
  for (int i = 0; i < n; i++) p[i] = (uint8_t)(x >> (8 * i));
}

/* A member of n bytes as they lie in the archive, which unpack to `full`. */
typedef struct packing {
  size_t full;
  uint32_t crc;
  int method;
} packing;

static size_t member(uint8_t *to, const char *name, const uint8_t *p, size_t n,
                     packing how, uint8_t *central, size_t *nc, size_t at) {
  size_t ln = strlen(name);
  uint32_t crc = how.crc;
  memset(to, 0, 30);
  memcpy(to, "PK\3\4", 4);
  le(to + 8, (uint64_t)how.method, 2), le(to + 14, crc, 4), le(to + 18, n, 4);
  le(to + 22, how.full, 4), le(to + 26, ln, 2);
  memcpy(to + 30, name, ln);
  if (n) memcpy(to + 30 + ln, p, n);
  memset(central + *nc, 0, 46);
  memcpy(central + *nc, "PK\1\2", 4);
  le(central + *nc + 10, (uint64_t)how.method, 2);
  le(central + *nc + 16, crc, 4), le(central + *nc + 20, n, 4);
  le(central + *nc + 24, how.full, 4), le(central + *nc + 28, ln, 2);
  le(central + *nc + 42, at, 4);
  memcpy(central + *nc + 46, name, ln);
  *nc += 46 + ln;
  return 30 + ln + n;
}

static size_t stored(uint8_t *to, const char *name, const uint8_t *p, size_t n,
                     uint8_t *central, size_t *nc, size_t at) {
  packing how = {n, (uint32_t)crc32(0, p, (uInt)n), 0};
  return member(to, name, p, n, how, central, nc, at);
}

/* p packed as zip does; even first bytes: the input is what lies there. */
static size_t deflated(uint8_t *to, const char *name, const uint8_t *p,
                       size_t n, uint8_t *central, size_t *nc, size_t at) {
  static uint8_t packed[1 << 17];
  packing how = {n, (uint32_t)crc32(0, p, (uInt)n), 8};
  z_stream z;
  size_t used;
  memset(&z, 0, sizeof z);
  if (deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY))
    abort();
  z.next_in = (Bytef *)(uintptr_t)p, z.avail_in = (uInt)n;
  z.next_out = packed, z.avail_out = sizeof packed;
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) abort();
  used = sizeof packed - z.avail_out;
  deflateEnd(&z);
  return member(to, name, packed, used, how, central, nc, at);
}

static const uint8_t zeros[64];

/* The end of an archive of three members. */
static size_t ended(size_t at, const uint8_t *central, size_t nc) {
  size_t start = at;
  memcpy(buf + at, central, nc), at += nc;
  memset(buf + at, 0, 22);
  memcpy(buf + at, "PK\5\6", 4);
  le(buf + at + 8, 3, 2), le(buf + at + 10, 3, 2);
  le(buf + at + 12, nc, 4), le(buf + at + 16, start, 4);
  return at + 22;
}

/* The first byte: 0 .. 127 the pickle is packed here; else the input lies there
** as if it were packed, and the next seven bytes are its size and checksum. */
static size_t packed_zip(const uint8_t *p, size_t n) {
  uint8_t central[1024];
  size_t nc = 0, at = 0;
  if (n < 8) return 0;
  if (p[0] < 128) {
    at += deflated(buf, "a/data.pkl", p + 1, n - 1, central, &nc, 0);
  } else {
    packing how = {(size_t)p[1] | (size_t)p[2] << 8 | (size_t)p[3] << 16,
                   (uint32_t)imp_le(p + 4, 4), p[0] & 1 ? 8 : p[0] & 127};
    at += member(buf, "a/data.pkl", p + 8, n - 8, how, central, &nc, 0);
  }
  at += deflated(buf + at, "a/data/0", zeros, 48, central, &nc, at);
  at += deflated(buf + at, "a/data/1", zeros, 16, central, &nc, at);
  return ended(at, central, nc);
}

static size_t make(const uint8_t *p, size_t n) {
  size_t at = 0;
  if (WHICH == 7) return packed_zip(p, n);
  if (WHICH == 2) {
    uint8_t central[1024];
    size_t nc = 0;
    at += stored(buf + at, "a/data.pkl", p, n, central, &nc, at);
    at += stored(buf + at, "a/data/0", zeros, 48, central, &nc, at);
    at += stored(buf + at, "a/data/1", zeros, 16, central, &nc, at);
    return ended(at, central, nc);
  }
  if (WHICH == 3) {
    static const uint8_t magic[] = {
        0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8,
        0x50, 0x19, '.',  0x80, 2,    'M',  0xe9, 3,    '.',  '}',  '.'};
    memcpy(buf, magic, sizeof magic);
    memcpy(buf + sizeof magic, p, n);
    return sizeof magic + n;
  }
  if (WHICH == 4) {
    const uint8_t *nul = memchr(p, 0, n);
    size_t h = nul ? (size_t)(nul - p) : n, d = nul ? n - h - 1 : 0;
    le(buf, h, 8);
    memcpy(buf + 8, p, h);
    if (d) memcpy(buf + 8 + h, nul + 1, d);
    return 8 + h + d;
  }
  memcpy(buf, p, n);
  return n;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  fd = memfd_create("m", 0);
  null_fd = memfd_create("o", 0);
#if WHICH == 7
  scratch = memfd_create("s", 0);
#endif
  imp_hdf5_start(NULL);
  json_object_seed(1);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* The format's own reader where the input is for one, whatever it begins with. */
static int open_file(imp_file *f, size_t m, lun_err *err) {
#if WHICH == 6
  memset(f, 0, sizeof *f);
  f->fd = fd;
  f->size = (int64_t)m;
  f->h5 = f->outside = -1;
  (void)imp_is_onnx(f);
  return imp_read_onnx(f, err);
#else
  (void)m;
  return imp_open_with(f, fd, scratch, err);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  imp_file f;
  lun_err err = {0, ""};
  size_t m;
  budget_begin();
  if (n == 0 || n > sizeof buf - 4096 || (WHICH == 7 && n > 1 << 16)) return 0;
#if WHICH == 5
  if (n < 8 || memcmp(p, "\x89HDF\r\n\x1a\n", 8)) return 0;
#endif
  if (WHICH == 1) {
    imp_value *top;
    imp_storage *list = NULL;
    size_t used;
    memset(&f, 0, sizeof f);
    f.h5 = -1;
    /* a copy of exactly n bytes, so that reading past its end shows */
    uint8_t *copy = malloc(n);
    memcpy(copy, p, n);
    if (imp_pickle(&f, copy, n, &used, &top, &list, &err) != LUN_OK &&
        !err.msg[0])
      abort();
    free(copy);
    imp_close(&f);
    return 0;
  }
  m = make(p, n);
  if (m == 0) return 0;
  if (ftruncate(fd, 0) || pwrite(fd, buf, m, 0) != (ssize_t)m) abort();
  if (scratch >= 0 && (ftruncate(scratch, 0) || lseek(scratch, 0, SEEK_SET)))
    abort();
  if (open_file(&f, m, &err) == LUN_OK) {
    for (int i = 0; i < f.count && i < 64; i++) {
      imp_out out = {.fd = null_fd};
      static const float up[3] = {0.5F, -1, 1e30F}, down[3] = {0, 2, -0.0F};
      static const imp_slopes slopes = {up, down, 3, 2};
      const imp_tensor *t = &f.tensor[i];
      imp_view v = {.ndim = t->ndim, .slopes = i % 3 == 2 ? &slopes : NULL};
      if (t->size > 1 << 16) continue;
      for (int k = 0; k < t->ndim; k++) { /* axes reversed */
        v.dim[k] = t->dim[t->ndim - 1 - k];
        v.stride[k] = t->stride[t->ndim - 1 - k];
      }
      imp_copy(&f, t, &v, i & 1 ? LUN_F16 : LUN_F32, &out, &err);
      imp_end(&out, &err);
    }
    if (ftruncate(null_fd, 0) || lseek(null_fd, 0, SEEK_SET)) abort();
  } else if (!err.msg[0])
    abort();
  imp_close(&f);
  return 0;
}
