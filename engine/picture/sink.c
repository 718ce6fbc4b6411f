/*
** sink.c - bytes of a file that grows while it is encoded, and packing by zlib
** with our own memory.
*/
#include "sink.h"

#include <string.h>
#include <zlib.h>

#include "../lunette.h"

lun_sink lun_sink_new(size_t room) {
  return (lun_sink){lun_malloc(room), 0, room};
}

void lun_sink_put(lun_sink *s, const void *bytes, size_t n) {
  if (s->bytes && s->used + n > s->room) {
    size_t room = 2 * s->room + n;
    uint8_t *more = lun_malloc(room);
    if (more) memcpy(more, s->bytes, s->used);
    lun_free(s->bytes);
    s->bytes = more;
    s->room = room;
  }
  if (!s->bytes) return;
  memcpy(s->bytes + s->used, bytes, n);
  s->used += n;
}

static voidpf zlib_take(voidpf opaque, uInt n, uInt size) {
  (void)opaque;
  return lun_calloc(n, size);
}

static void zlib_give(voidpf opaque, voidpf p) {
  (void)opaque;
  lun_free(p);
}

size_t lun_zlib_pack(uint8_t *out, size_t room, const uint8_t *in, size_t n,
                     int level) {
  z_stream z = {.zalloc = zlib_take, .zfree = zlib_give};
  size_t size = 0;
  if (deflateInit(&z, level) != Z_OK) return 0;
  z.next_in = (z_const Bytef *)(uintptr_t)in;
  z.avail_in = (uInt)n;
  z.next_out = out;
  z.avail_out = (uInt)room;
  if (deflate(&z, Z_FINISH) == Z_STREAM_END) size = z.total_out;
  deflateEnd(&z);
  return size;
}
