/*
** fuzz_safetensors.c - engine/safetensors.c (lun_weights_open, every tensor, metadata).
** Compact inputs: the 8-byte length field is taken from the input as is when
** the first byte is < 0x80; otherwise it is computed, so that the mutator gets
** past it: byte 0 = 0x80 | pad, then header text up to a NUL, then data. */
#include "../../engine/lunette.h"
#include "budget.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int fd = -1;
static char path[64];

static void put(const uint8_t *p, size_t n) {
  if (fd < 0) {
    fd = memfd_create("w", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  }
  if (ftruncate(fd, 0)) abort();
  if (pwrite(fd, p, n, 0) != (ssize_t)n) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  static uint8_t buf[1 << 16];
  lun_weights *w;
  lun_err err = {0, ""};
  const char *k, *v;
  double sum = 0;
  budget_begin();
  if (n == 0 || n > sizeof buf - 16) return 0;
  if (p[0] & 0x80) {
    const uint8_t *nul = memchr(p + 1, 0, n - 1);
    size_t h = nul ? (size_t)(nul - p - 1) : n - 1, d = n - 1 - h;
    if (nul) d--;
    for (int i = 0; i < 8; i++) buf[i] = (uint8_t)(h >> (8 * i));
    memcpy(buf + 8, p + 1, h);
    if (d) memcpy(buf + 8 + h, nul + 1, d);
    put(buf, 8 + h + d);
  } else
    put(p, n);
  if (lun_weights_open(&w, path, &err) != LUN_OK) {
    if (!err.msg[0]) abort();
    return 0;
  }
  for (int i = 0; i < lun_weights_count(w); i++) {
    lun_tensor *t;
    if (lun_weights_tensor(w, i, &t, &err) != LUN_OK) continue;
    for (int64_t j = 0; j < t->size; j++) sum += (double)t->data[j];
    lun_tensor_release(t);
  }
  for (int i = 0; lun_weights_meta(w, i, &k, &v); i++) sum += (double)strlen(v);
  if (sum == 0.123) abort(); /* every number and byte is read */
  lun_weights_release(w);
  if (lun_mem().blocks) abort(); /* a leak of the core's own allocator */
  return 0;
}
