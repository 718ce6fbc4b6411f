/*
** palette.h - a picture in at most 256 colours.
*/
#ifndef LUN_PALETTE_H
#define LUN_PALETTE_H

#include "picture.h"

enum { LUN_PALETTE = 256 };

typedef struct lun_palette {
  int count;
  uint8_t rgb[LUN_PALETTE][3];
} lun_palette;

/*
** The picture's own colours where there are at most 256 of them, else 256 that
** stand for them; at[i] is the colour of pixel i (width * height bytes), with
** errors spread over neighbours.  LUN_ENOMEM.
*/
int lun_image_quantise(lun_palette *p, uint8_t *at, const lun_image *im,
                       lun_err *err);

#endif
