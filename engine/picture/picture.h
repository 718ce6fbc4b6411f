/*
** picture.h - pictures: reading JPEG, PNG and BMP, resizing as Pillow does,
** drawing (fill, paste, blend, colour maps, text), writing PNG, JPEG, BMP and
** moving GIF.
**
** A lun_image holds 8-bit RGB, rows from the top, three bytes a pixel, no
** padding.  The conventions of lunette.h hold here too: codes and a
** caller-owned lun_err, outputs NULL on failure.  An operation that is too
** small to fail returns nothing; what falls outside the picture is cut off.
*/
#ifndef LUN_IMAGE_H
#define LUN_IMAGE_H

#include "../lunette.h"

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

typedef struct lun_image {
  int width, height;
  uint8_t *px; /* 3 * width * height bytes */
} lun_image;

/* Limits, checked before anything is decoded or allocated. */
enum {
  LUN_IMAGE_SIDE = 16384,                /* most pixels a side */
  LUN_IMAGE_PIXELS = 64 << 20,           /* most pixels of a picture read */
  LUN_CANVAS_PIXELS = 100 * 1000 * 1000, /* ... and of one made */
  LUN_IMAGE_BYTES = 64 << 20,            /* most bytes of a file */
};

/* Uninitialised pixels; 1 <= width, height <= LUN_IMAGE_SIDE. */
int lun_image_new(lun_image **out, int width, int height, lun_err *err);
void lun_image_free(lun_image *im); /* NULL is fine */

/* ---- reading (probe.c, image.c) ----------------------------------------- */

typedef struct lun_image_info {
  const char *format; /* "JPEG", "PNG", "BMP": by content, not by name */
  int width, height;
  int channels;    /* as stored: 1 grey, 2 +alpha, 3 RGB, 4 RGBA or CMYK */
  int depth;       /* bits a channel, as stored */
  int alpha;       /* 1: has transparency (composited on white) */
  int cmyk;        /* 1: CMYK or YCCK (converted) */
  int adobe;       /* 1: a JPEG with Adobe's marker, which tells colours */
  int orientation; /* EXIF 1 .. 8; 1 is upright, and the default */
} lun_image_info;

/*
** Looks at the bytes without decoding: what they are, how large, whether the
** file is whole.  LUN_EFORMAT: no picture, of an unsupported kind, over the
** limits, truncated or damaged; the message names `name` and the reason.
*/
int lun_image_probe(lun_image_info *info, const uint8_t *bytes, size_t n,
                    const char *name, lun_err *err);
/*
** Decodes a picture in memory or in a file to RGB: grey is repeated, CMYK
** converted, 16 bits keep the upper 8, transparency lies on white.  EXIF
** rotation is reported, not applied (as Pillow and Keras do).  `info` may be
** NULL.
*/
int lun_image_decode(lun_image **out, lun_image_info *info,
                     const uint8_t *bytes, size_t n, const char *name,
                     lun_err *err);
int lun_image_load(lun_image **out, lun_image_info *info, const char *path,
                   lun_err *err);

/* ---- resizing (resize.c) ------------------------------------------------ */

typedef enum lun_filter {
  LUN_NEAREST,
  LUN_BOX,
  LUN_BILINEAR,
  LUN_HAMMING,
  LUN_BICUBIC,
  LUN_LANCZOS,
} lun_filter;

/* -1 when there is no filter of that name. */
int lun_filter_find(const char *name);
const char *lun_filter_name(int filter); /* NULL past the end */

/*
** Image.resize of Pillow 9.4, bit for bit: filters widen with the scale when
** shrinking (antialiasing), 22-bit fixed point, horizontal pass first.
** box: left, top, right, bottom of the part to use, in pixels; NULL: all.
*/
int lun_image_resize(lun_image **out, const lun_image *im, int width,
                     int height, lun_filter filter, const double *box,
                     lun_err *err);
/* The same on one float plane (Pillow's mode "F"): out has width * height
** floats, map has w * h. */
int lun_map_resize(float *out, int width, int height, const float *map, int w,
                   int h, lun_filter filter, lun_err *err);
int lun_image_crop(lun_image **out, const lun_image *im, int x, int y,
                   int width, int height, lun_err *err);

/* ---- between pictures and networks (plane.c) ---------------------------- */

/*
** value = (byte * scale - mean[c]) / std[c] for output channel c, which reads
** red first, or blue first when bgr is set.  out: (3, height, width) floats.
*/
typedef struct lun_prep {
  int bgr;
  double scale;
  double mean[3], std[3]; /* in the network's channel order */
} lun_prep;
void lun_image_to_planes(float *out, const lun_image *im, const lun_prep *p);
/* The inverse, rounded to the nearest byte and clamped (NaN gives 0). */
int lun_image_from_planes(lun_image **out, const float *planes, int width,
                          int height, const lun_prep *p, lun_err *err);

/* What a map's values span; infinities and NaN are counted, not used. */
typedef struct lun_range {
  float lo, hi;
  int64_t bad; /* values that are not finite */
} lun_range;
lun_range lun_map_range(const float *map, int64_t n);
/* The p-th percentile (0 .. 100, linear between ranks) of |map|. */
int lun_map_percentile(float *out, const float *map, int64_t n, double p,
                       lun_err *err);

/* ---- drawing (draw.c) --------------------------------------------------- */

typedef struct lun_rgb {
  uint8_t r, g, b;
} lun_rgb;

void lun_image_fill(lun_image *im, int x, int y, int width, int height,
                    lun_rgb colour);
void lun_image_paste(lun_image *im, int x, int y, const lun_image *src);
/* im = (1 - alpha) * im + alpha * src, where src lies at (x, y). */
void lun_image_blend(lun_image *im, int x, int y, const lun_image *src,
                     double alpha);
/* Luma of ITU-R 601, in place: what Pillow's convert("L") gives. */
void lun_image_grey(lun_image *im);
/*
** Colours a map: value v takes entry 256 (v - lo) / (hi - lo), cut to
** 0 .. 255, of a table of 256 RGB triples; hi == lo gives the middle entry
** (a flat picture), NaN grey.
*/
int lun_image_colormap(lun_image **out, const float *map, int width, int height,
                       const uint8_t *table, double lo, double hi,
                       lun_err *err);

/* ---- text (text.c) ------------------------------------------------------ */

typedef struct lun_font lun_font;

/*
** The font of all pictures, DejaVu Sans; NULL as path: where Debian's
** fonts-dejavu-core has it.  Only for fonts that the system installed:
** stb_truetype trusts its input.
*/
int lun_font_open(lun_font **out, const char *path, lun_err *err);
void lun_font_close(lun_font *f); /* NULL is fine */

/* Height above and below the base line of any text at `size` pixels a em. */
void lun_font_height(const lun_font *f, double size, int *above, int *below);
/* Width in pixels, rounded up.  text is UTF-8; broken bytes count as U+FFFD. */
int lun_text_width(const lun_font *f, double size, const char *text);
/*
** Draws antialiased text whose base line starts at (x, y).  turned: the line
** runs upwards (for titles at the left side).  A letter that the font lacks
** shows as a box.
*/
int lun_text_draw(lun_image *im, const lun_font *f, double size, int x, int y,
                  int turned, lun_rgb colour, const char *text, lun_err *err);

/* ---- writing (write.c) -------------------------------------------------- */

/*
** The bytes of a picture file; the caller frees *out with lun_free.  format:
** "png", "jpg", "jpeg" or "bmp", in any case of letters.  meta: key, value,
** key, value ..., NULL, or NULL; a PNG file gets them as texts (tEXt, or iTXt
** where a value is not ASCII), the others have no room for them.
** LUN_EARG: no such format.
*/
int lun_image_encode(uint8_t **out, size_t *outlen, const lun_image *im,
                     const char *format, const char *const *meta, lun_err *err);
/* The same into a file of the format that its suffix says, which appears whole or
** not at all. */
int lun_image_save(const lun_image *im, const char *path,
                   const char *const *meta, lun_err *err);

/*
** A map's values as a PNG file of 16-bit grey (grey16.c): lo is 0, hi 65535; the
** caller frees *out with lun_free.  A NaN is 0.
*/
int lun_grey16_encode(uint8_t **out, size_t *outlen, const float *map,
                      int width, int height, double lo, double hi,
                      lun_err *err);

/* ---- moving pictures (gif.c) -------------------------------------------- */

/*
** The bytes of a GIF file that shows frames of one size one after the other, for
** ever; the caller frees *out with lun_free.  delays: how long each stands, in
** hundredths of a second (0 .. 65535).  A frame has 256 colours of its own, chosen
** for it, and errors spread over neighbours; one with no more keeps them exactly.
** LUN_EARG: no frames; LUN_ESHAPE: of several sizes.
*/
int lun_gif_encode(uint8_t **out, size_t *outlen,
                   const lun_image *const *frames, const int *delays, int count,
                   lun_err *err);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
