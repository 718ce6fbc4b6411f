/*
** sink.c - bytes of a file that grows while it is encoded.
*/
#include "sink.h"

#include <string.h>

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
