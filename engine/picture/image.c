/*
** image.c - pictures in: the only includer of stb_image.  Limits and
** completeness are checked by probe.c before the decoder sees a byte; its
** memory comes from lun_malloc and is held to what the header promised.
*/
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jpeg.h"
#include "picture.h"
#include "stb.h"

/* ---- the decoder -------------------------------------------------------- */

/* Most bytes of one block that stb_image may ask for: set from the header
** before each decode.  A small PNG can unpack to gigabytes otherwise.  Of
** the thread, since stb's allocation macros take no context. */
static _Thread_local size_t budget;
static _Thread_local int beyond; /* was there a block above that? */

/* Cleared: the decoder uses tables and coefficients that a damaged file never
** set, and the same bytes must always give the same picture. */
static void *stb_take(size_t n) {
  if (n > budget) beyond = 1;
  return n > budget ? NULL : lun_calloc(1, n);
}

static void *stb_grow(void *p, size_t old, size_t n) {
  void *q = stb_take(n);
  if (!q) return NULL;
  if (p) memcpy(q, p, old < n ? old : n);
  lun_free(p);
  return q;
}

#define STBI_MALLOC(n)              stb_take(n)
#define STBI_FREE(p)                lun_free(p)
#define STBI_REALLOC_SIZED(p, o, n) stb_grow(p, o, n)
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_FAILURE_USERMSG
#define STBI_MAX_DIMENSIONS LUN_IMAGE_SIDE
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
STB_FILE
STB_BEGIN
#include <stb/stb_image.h>
STB_END

/* ---- JPEG --------------------------------------------------------------- */

/* stb_image reads the file; samples and colours are ours (jpeg.h). */
static void block(stbi_uc *out, int stride, short coef[64]) {
  lun_jpeg_block(out, stride, coef);
}

/* a * b / 255, rounded: how bright colour a is under black ink b (255: none). */
static uint8_t times(uint8_t a, uint8_t b) {
  unsigned t = a * b + 128U;
  return (uint8_t)((t + (t >> 8)) >> 8);
}

/* n pixels of CMYK (inverted, as Adobe writes it) or of its YCCK. */
static void from_cmyk(uint8_t *rgb, const uint8_t *const c[4], int ycck,
                      int n) {
  if (ycck) lun_jpeg_rgb(rgb, c[0], c[1], c[2], n);
  for (int i = 0; i < n; i++, rgb += 3)
    for (int k = 0; k < 3; k++)
      rgb[k] = times(ycck ? (uint8_t)(255 - rgb[k]) : c[k][i], c[3][i]);
}

static void interleave(uint8_t *rgb, const uint8_t *const c[4], int grey,
                       int n) {
  for (int i = 0; i < n; i++, rgb += 3)
    for (int k = 0; k < 3; k++) rgb[k] = c[grey ? 0 : k][i];
}

/* Converts a row of n pixels to RGB; c[k][i] is component k of pixel i. */
static void to_rgb(uint8_t *rgb, const stbi__jpeg *j, const uint8_t *const c[4],
                   int n) {
  int parts = j->s->img_n, plain = j->app14_color_transform == 0;
  if (parts < 3 || (parts == 3 && (j->rgb == 3 || (plain && !j->jfif))))
    interleave(rgb, c, parts < 3, n);
  else if (parts == 4 && (plain || j->app14_color_transform == 2))
    from_cmyk(rgb, c, !plain, n);
  else
    lun_jpeg_rgb(rgb, c[0], c[1], c[2], n);
}

/* All rows; NULL where there is no memory for them. */
static uint8_t *jpeg_rows(stbi__jpeg *j) {
  int w = (int)j->s->img_x, h = (int)j->s->img_y, parts = j->s->img_n;
  size_t room = (size_t)w + 4;
  uint8_t *line = stb_take(4 * room),
          *out = stb_take((size_t)w * (size_t)h * 3);
  const uint8_t *c[4];
  lun_plane plane[4];
  for (int k = 0; k < parts; k++) {
    int hs = j->img_h_max / j->img_comp[k].h,
        vs = j->img_v_max / j->img_comp[k].v;
    plane[k] = (lun_plane){j->img_comp[k].data,
                           j->img_comp[k].w2,
                           (w + hs - 1) / hs,
                           j->img_comp[k].y,
                           hs,
                           vs};
  }
  for (int y = 0; out && line && y < h; y++) {
    for (int k = 0; k < parts; k++)
      c[k] = lun_jpeg_row(&plane[k], y, line + (size_t)k * room);
    to_rgb(out + (size_t)y * (size_t)w * 3, j, c, w);
  }
  if (!line) lun_free(out), out = NULL;
  lun_free(line);
  return out;
}

/* width x height x 3 bytes; NULL, and stb's reason. */
static uint8_t *jpeg_pixels(const uint8_t *bytes, size_t n, int *w, int *h) {
  stbi__context s;
  stbi__jpeg *j = stb_take(sizeof *j);
  uint8_t *out = NULL;
  if (!j) return stbi__errpuc("outofmem", "Out of memory");
  stbi__start_mem(&s, bytes, (int)n);
  j->s = &s;
  s.img_n = 0; /* what is to be freed, where the header is wrong */
  stbi__setup_jpeg(j);
  j->idct_block_kernel = block;
  if (stbi__decode_jpeg_image(j)) {
    out = jpeg_rows(j);
    if (!out) stbi__err("outofmem", "Out of memory");
    *w = (int)s.img_x, *h = (int)s.img_y;
  }
  stbi__cleanup_jpeg(j);
  lun_free(j);
  return out;
}

/* ---- pictures ----------------------------------------------------------- */

static int check_size(int width, int height, lun_err *err) {
  if (width < 1 || height < 1 || width > LUN_IMAGE_SIDE ||
      height > LUN_IMAGE_SIDE || (int64_t)width * height > LUN_CANVAS_PIXELS)
    return lun_fail(err, LUN_EARG,
                    "a picture of %d x %d pixels: 1 to %d a side and %d in all "
                    "are allowed",
                    width, height, LUN_IMAGE_SIDE, LUN_CANVAS_PIXELS);
  return LUN_OK;
}

int lun_image_new(lun_image **out, int width, int height, lun_err *err) {
  lun_image *im;
  *out = NULL;
  LUN_TRY(check_size(width, height, err));
  im = lun_malloc(sizeof *im);
  if (im) im->px = lun_malloc((size_t)width * (size_t)height * 3);
  if (!im || !im->px) {
    lun_free(im);
    return lun_fail(err, LUN_ENOMEM, "no memory for a picture of %d x %d",
                    width, height);
  }
  im->width = width;
  im->height = height;
  *out = im;
  return LUN_OK;
}

void lun_image_free(lun_image *im) {
  if (!im) return;
  lun_free(im->px);
  lun_free(im);
}

/* RGBA over white: (c a + 255 (255 - a)) / 255, rounded. */
static void over_white(uint8_t *rgb, const uint8_t *rgba, int64_t n) {
  for (int64_t i = 0; i < n; i++, rgb += 3, rgba += 4) {
    int a = rgba[3];
    for (int c = 0; c < 3; c++)
      rgb[c] = (uint8_t)((rgba[c] * a + 255 * (255 - a) + 127) / 255);
  }
}

/*
** stb_image takes four components without Adobe's marker for YCbCr and
** something; they are CMYK (as libjpeg reads them).  A copy with the marker
** behind the start-of-image says so.
*/
static uint8_t *with_adobe_marker(const uint8_t *bytes, size_t n) {
  static const uint8_t marker[16] = {0xFF, 0xEE, 0,   14, 'A', 'd', 'o', 'b',
                                     'e',  0,    100, 0,  0,   0,   0,   0};
  uint8_t *copy = lun_malloc(n + sizeof marker);
  if (!copy) return NULL;
  memcpy(copy, bytes, 2);
  memcpy(copy + 2, marker, sizeof marker);
  memcpy(copy + 2 + sizeof marker, bytes + 2, n - 2);
  return copy;
}

/* Decodes to width x height x (4 with alpha, else 3) bytes. */
static int unpack(uint8_t **out, const lun_image_info *i, const uint8_t *bytes,
                  size_t n, const char *name, lun_err *err) {
  int w = 0, h = 0, c = 0, want = i->alpha ? 4 : 3;
  *out = NULL;
  /* decoders keep at most 8 bytes a pixel in one block (16 bits of RGBA),
  ** progressive JPEG 6; twice that, for buffers that grow by doubling, and
  ** the compressed bytes themselves */
  budget = (size_t)i->width * (size_t)i->height * 16 + 2 * n + (1 << 20);
  beyond = 0;
  *out = strcmp(i->format, "JPEG") == 0
             ? jpeg_pixels(bytes, n, &w, &h)
             : stbi_load_from_memory(bytes, (int)n, &w, &h, &c, want);
  if (!*out) {
    const char *why = beyond ? "it would unpack to more than its size says"
                             : stbi_failure_reason();
    return lun_fail(err, strstr(why, "memory") ? LUN_ENOMEM : LUN_EFORMAT,
                    "picture '%.180s' cannot be decoded: %s", name, why);
  }
  if (w != i->width || h != i->height) {
    lun_free(*out);
    *out = NULL;
    return lun_fail(err, LUN_EFORMAT,
                    "picture '%.180s' decodes to %d x %d, its header says "
                    "%d x %d",
                    name, w, h, i->width, i->height);
  }
  return LUN_OK;
}

int lun_image_decode(lun_image **out, lun_image_info *info,
                     const uint8_t *bytes, size_t n, const char *name,
                     lun_err *err) {
  lun_image_info mine, *i = info ? info : &mine;
  uint8_t *px, *marked = NULL;
  int st;
  *out = NULL;
  LUN_TRY(lun_image_probe(i, bytes, n, name, err));
  if (i->cmyk && !i->adobe) {
    marked = with_adobe_marker(bytes, n);
    if (!marked) return lun_fail(err, LUN_ENOMEM, "no memory for '%s'", name);
    st = unpack(&px, i, marked, n + 16, name, err);
    lun_free(marked);
  } else {
    st = unpack(&px, i, bytes, n, name, err);
  }
  if (st != LUN_OK) return st;
  st = lun_image_new(out, i->width, i->height, err);
  if (st == LUN_OK && i->alpha)
    over_white((*out)->px, px, (int64_t)i->width * i->height);
  else if (st == LUN_OK)
    memcpy((*out)->px, px, (size_t)i->width * (size_t)i->height * 3);
  lun_free(px);
  return st;
}

/* ---- files -------------------------------------------------------------- */

/* Whole file into memory, at most LUN_IMAGE_BYTES. */
static int slurp(uint8_t **out, size_t *n, const char *path, lun_err *err) {
  struct stat st;
  FILE *f;
  if (stat(path, &st) != 0) /* before opening: that could wait on a pipe */
    return lun_fail(err, LUN_EIO, "cannot open picture '%.180s': %s", path,
                    strerror(errno));
  if (!S_ISREG(st.st_mode))
    return lun_fail(err, LUN_EIO, "picture '%.180s' is %s", path,
                    S_ISDIR(st.st_mode) ? "a folder" : "not a plain file");
  if (st.st_size > LUN_IMAGE_BYTES)
    return lun_fail(err, LUN_EFORMAT,
                    "picture '%.180s' has %lld bytes; the limit is %d", path,
                    (long long)st.st_size, LUN_IMAGE_BYTES);
  f = fopen(path, "rb");
  if (!f)
    return lun_fail(err, LUN_EIO, "cannot open picture '%.180s': %s", path,
                    strerror(errno));
  *out = lun_malloc((size_t)st.st_size);
  *n = *out ? fread(*out, 1, (size_t)st.st_size, f) : 0;
  fclose(f);
  if (!*out) return lun_fail(err, LUN_ENOMEM, "no memory for '%.180s'", path);
  if (*n == (size_t)st.st_size) return LUN_OK;
  lun_free(*out);
  *out = NULL;
  return lun_fail(err, LUN_EIO, "picture '%.180s': read %zu of %lld bytes",
                  path, *n, (long long)st.st_size);
}

int lun_image_load(lun_image **out, lun_image_info *info, const char *path,
                   lun_err *err) {
  uint8_t *bytes = NULL;
  size_t n = 0;
  int st;
  *out = NULL;
  st = slurp(&bytes, &n, path, err);
  if (st == LUN_OK) st = lun_image_decode(out, info, bytes, n, path, err);
  lun_free(bytes);
  return st;
}
