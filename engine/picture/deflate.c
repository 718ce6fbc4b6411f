/*
** deflate.c - packing for PNG files: the only user of zlib, which takes its
** memory from the core's allocator.
*/
#include <zlib.h>

#include "picture.h"

static voidpf take(voidpf opaque, uInt n, uInt size) {
  (void)opaque;
  return lun_calloc(n, size);
}

static void give(voidpf opaque, voidpf p) {
  (void)opaque;
  lun_free(p);
}

int lun_zlib_pack(uint8_t **out, size_t *outlen, const uint8_t *in, size_t n,
                  lun_err *err) {
  z_stream z = {.zalloc = take, .zfree = give};
  uLong room = compressBound((uLong)n);
  *out = NULL;
  *outlen = 0;
  if (n <= INT32_MAX) *out = lun_malloc(room);
  if (!*out || deflateInit(&z, 6) != Z_OK) goto refused;
  z.next_in = (z_const Bytef *)(uintptr_t)in;
  z.avail_in = (uInt)n;
  z.next_out = *out;
  z.avail_out = (uInt)room;
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) {
    deflateEnd(&z);
    goto refused;
  }
  *outlen = z.total_out;
  deflateEnd(&z);
  return LUN_OK;
refused:
  lun_free(*out);
  *out = NULL;
  return lun_fail(err, LUN_ENOMEM, "no memory to pack %zu bytes", n);
}
