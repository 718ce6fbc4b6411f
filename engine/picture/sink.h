/*
** sink.h - bytes of a file that grows while it is encoded: what the writers of
** pictures append to; and how they pack them.
*/
#ifndef LUN_SINK_H
#define LUN_SINK_H

#include <stddef.h>
#include <stdint.h>

typedef struct lun_sink {
  uint8_t *bytes; /* of lun_malloc; NULL after a failure */
  size_t used, room;
} lun_sink;

/* An empty one with room for that many bytes. */
lun_sink lun_sink_new(size_t room);
/* Appends; where there is no memory, the sink is empty and stays so. */
void lun_sink_put(lun_sink *s, const void *bytes, size_t n);

/* A zlib stream of n bytes; its size, 0 where there is no memory or no room.
** compressBound(n) is room enough. */
size_t lun_zlib_pack(uint8_t *out, size_t room, const uint8_t *in, size_t n,
                     int level);

#endif
