/*
** sink.h - bytes of a file that grows while it is encoded: what the writers of
** pictures append to.
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

#endif
