/*
** jpeg.h - what a JPEG decoder computes once the coefficients are read, with the
** roundings of libjpeg (its accurate integer transform, smooth upsampling), so
** that a photograph has here the very values that Pillow, torchvision and Keras
** train and evaluate with.
*/
#ifndef LUN_JPEG_H
#define LUN_JPEG_H

#include <stdint.h>

/* A component: h rows of w samples, one for hs x vs pixels. */
typedef struct lun_plane {
  const uint8_t *data;
  int stride, w, h, hs, vs;
} lun_plane;

/* 8x8 coefficients into samples, `stride` apart. */
void lun_jpeg_block(uint8_t *out, int stride, const int16_t coef[64]);

/* Row y of the picture, of at least its width: in the plane itself where it has a
** sample a pixel, else in `room` of hs * w bytes. */
const uint8_t *lun_jpeg_row(const lun_plane *p, int y, uint8_t *room);

/* n pixels RGB, of luminance and two chrominances. */
void lun_jpeg_rgb(uint8_t *rgb, const uint8_t *y, const uint8_t *cb,
                  const uint8_t *cr, int n);

#endif
