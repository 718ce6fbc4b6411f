/*
** gif.c - moving pictures, by cgif: every frame has 256 colours of its own.
*/
#include <cgif.h>

#include "palette.h"
#include "sink.h"

static int append(void *ctx, const uint8_t *bytes, const size_t n) {
  lun_sink *s = ctx;
  lun_sink_put(s, bytes, n);
  return s->bytes ? CGIF_OK : CGIF_EALLOC;
}

static int check(const lun_image *const *frames, int count, lun_err *err) {
  if (count < 1)
    return lun_fail(err, LUN_EARG, "a moving picture of no frames");
  for (int i = 1; i < count; i++) {
    const lun_image *a = frames[0], *b = frames[i];
    if (a->width != b->width || a->height != b->height)
      return lun_fail(err, LUN_ESHAPE,
                      "frame %d is %d x %d, the first one %d x %d", i + 1,
                      b->width, b->height, a->width, a->height);
  }
  return LUN_OK;
}

/* Writes one frame; `at` has room for its pixels. */
static int put(CGIF *gif, const lun_image *im, int delay, uint8_t *at,
               lun_err *err) {
  lun_palette p;
  CGIF_FrameConfig frame = {
      .pImageData = at,
      .attrFlags = CGIF_FRAME_ATTR_USE_LOCAL_TABLE,
      .delay = (uint16_t)(delay < 0       ? 0
                          : delay > 65535 ? 65535
                                          : delay),
  };
  LUN_TRY(lun_image_quantise(&p, at, im, err));
  frame.pLocalPalette = p.rgb[0];
  frame.numLocalPaletteEntries = (uint16_t)p.count;
  if (cgif_addframe(gif, &frame) == CGIF_OK) return LUN_OK;
  return lun_fail(err, LUN_ENOMEM, "no memory for a frame of %d x %d",
                  im->width, im->height);
}

/* All frames into the sink. */
static int encode(lun_sink *s, const lun_image *const *frames,
                  const int *delays, int count, uint8_t *at, lun_err *err) {
  CGIF_Config whole = {
      .attrFlags = CGIF_ATTR_IS_ANIMATED | CGIF_ATTR_NO_GLOBAL_TABLE,
      .width = (uint16_t)frames[0]->width,
      .height = (uint16_t)frames[0]->height,
      .numLoops = CGIF_INFINITE_LOOP,
      .pWriteFn = append,
      .pContext = s,
  };
  CGIF *gif = cgif_newgif(&whole);
  int status = LUN_OK;
  if (!gif) return lun_fail(err, LUN_ENOMEM, "no memory for a moving picture");
  for (int i = 0; i < count && status == LUN_OK; i++)
    status = put(gif, frames[i], delays[i], at, err);
  if (cgif_close(gif) != CGIF_OK && status == LUN_OK)
    status = lun_fail(err, LUN_ENOMEM, "no memory for a moving picture");
  return status;
}

int lun_gif_encode(uint8_t **out, size_t *outlen,
                   const lun_image *const *frames, const int *delays, int count,
                   lun_err *err) {
  lun_sink s = {NULL, 0, 0};
  uint8_t *at;
  int status;
  *out = NULL;
  *outlen = 0;
  LUN_TRY(check(frames, count, err));
  at = lun_malloc((size_t)frames[0]->width * (size_t)frames[0]->height);
  s = lun_sink_new(1 << 16);
  status = at && s.bytes
               ? encode(&s, frames, delays, count, at, err)
               : lun_fail(err, LUN_ENOMEM, "no memory for a moving picture");
  lun_free(at);
  if (status != LUN_OK) {
    lun_free(s.bytes);
    return status;
  }
  *out = s.bytes;
  *outlen = s.used;
  return LUN_OK;
}
