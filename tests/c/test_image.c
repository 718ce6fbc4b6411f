/*
** test_image.c - reading, drawing, text and PNG.  The pictures and what they
** hold come from Pillow (pictures.h); damaged files are made here, from every
** truncation and from flipped bits.
*/
#include "../../engine/picture/picture.h"
#include <zlib.h>

#include "check.h"

/* Only the pictures of the header: the resize tables are test_resize.c's. */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-const-variable"
#endif
#include "pictures.h"

static size_t bytes_of(const lun_image *im) {
  return (size_t)im->width * (size_t)im->height * 3;
}

/* Largest difference to the expected pixels; 999 when it did not decode. */
static int worst(const uint8_t *file, size_t n, const uint8_t *want, size_t m,
                 lun_image_info *info) {
  lun_image *im = NULL;
  lun_err err = {0, ""};
  int most = 0;
  if (lun_image_decode(&im, info, file, n, "test", &err) != LUN_OK) {
    printf("%s\n", err.msg);
    return 999;
  }
  if (bytes_of(im) != m) most = 998;
  for (size_t i = 0; i < m && most < 998; i++) {
    int d = abs(im->px[i] - want[i]);
    if (d > most) most = d;
  }
  lun_image_free(im);
  return most;
}

#define WORST(name, info)                                                      \
  worst(name, sizeof name, name##_rgb, sizeof name##_rgb, info)

/* All exactly: of JPEG, libjpeg's roundings are part of what is read. */
static void reads_what_pillow_wrote(void) {
  lun_image_info i;
  CHECK(WORST(png, &i) == 0 && i.channels == 3 && i.depth == 8, "png");
  CHECK(strcmp(i.format, "PNG") == 0 && i.width == 5 && i.height == 4, "info");
  CHECK(WORST(png_grey, &i) == 0 && i.channels == 1, "grey png");
  CHECK(WORST(png_palette, &i) == 0, "palette");
  CHECK(WORST(png_deep, &i) == 0 && i.depth == 16, "16 bits keep the upper 8");
  CHECK(WORST(png_alpha, &i) == 0 && i.alpha == 1, "alpha over white");
  CHECK(WORST(bmp, &i) == 0 && strcmp(i.format, "BMP") == 0, "bmp");
  CHECK(WORST(jpeg, &i) == 0 && i.orientation == 1 && !i.cmyk, "jpeg");
  CHECK(WORST(jpeg_progressive, &i) == 0, "progressive");
  CHECK(WORST(jpeg_grey, &i) == 0 && i.channels == 1, "grey jpeg");
  CHECK(WORST(jpeg_cmyk, &i) == 0 && i.cmyk && i.adobe, "CMYK");
  CHECK(worst(jpeg_cmyk_bare, sizeof jpeg_cmyk_bare, jpeg_cmyk_rgb,
              sizeof jpeg_cmyk_rgb, &i) == 0 &&
            i.cmyk && !i.adobe,
        "CMYK without Adobe's marker");
}

static void tells_the_rotation(void) {
  lun_image_info i;
  CHECK(lun_image_probe(&i, jpeg_turned, sizeof jpeg_turned, "t", NULL) ==
                LUN_OK &&
            i.orientation == 6,
        "orientation %d", i.orientation);
}

/* Restart markers belong to the picture's data, whichever of the eight it is. */
static void steps_over_restarts(void) {
  enum { N = sizeof jpeg };
  uint8_t with[N + 3];
  lun_image_info i;
  memcpy(with, jpeg, N - 2);
  memcpy(with + N + 1, jpeg + N - 2, 2); /* the end of the image */
  with[N - 2] = 0xFF;
  with[N] = 0x55; /* data again */
  for (int k = 0xD0; k <= 0xD7; k++) {
    with[N - 1] = (uint8_t)k;
    CHECK(lun_image_probe(&i, with, sizeof with, "t", NULL) == LUN_OK &&
              i.channels == 3,
          "marker %x", k);
  }
  with[N - 1] = 0xD8; /* not one of them */
  CHECK(lun_image_probe(&i, with, sizeof with, "t", NULL) != LUN_OK, "d8");
}

/* A copy of exactly n bytes, so that reading behind it is an ASan error. */
static int decode_copy(const uint8_t *file, size_t n, lun_err *err) {
  uint8_t *copy = malloc(n ? n : 1);
  lun_image *im = NULL;
  int st;
  memcpy(copy, file, n);
  st = lun_image_decode(&im, NULL, copy, n, "copy", err);
  lun_image_free(im);
  free(copy);
  return st;
}

static void every_truncation_is_refused(const uint8_t *file, size_t n,
                                        const char *what) {
  for (size_t k = 0; k < n; k++) {
    lun_err err = {0, ""};
    int st = decode_copy(file, k, &err);
    CHECK(st == LUN_EFORMAT && err.msg[0], "%s cut after %zu: %d", what, k, st);
    if (k >= 30)
      CHECK(strstr(err.msg, "truncated") || strstr(err.msg, "BMP"), "%s: %s",
            what, err.msg);
  }
  CHECK(decode_copy(file, n, NULL) == LUN_OK, "%s whole", what);
}

/* Any byte, any change: decodes or is refused, and never more than that. */
static void flipped_bytes_do_no_harm(const uint8_t *file, size_t n) {
  uint8_t *copy = malloc(n);
  uint32_t state = 1;
  size_t live = lun_mem().blocks;
  for (int round = 0; round < 3000; round++) {
    memcpy(copy, file, n);
    for (int k = 0; k < 1 + round % 4; k++) {
      state = state * 1664525u + 1013904223u;
      copy[(state >> 8) % n] ^= (uint8_t)(1u << (state >> 5 & 7));
    }
    decode_copy(copy, n, NULL);
  }
  CHECK(lun_mem().blocks == live, "blocks left behind");
  free(copy);
}

static int refused(const void *bytes, size_t n, const char *word) {
  lun_err err = {0, ""};
  int st = decode_copy(bytes, n, &err);
  if (st == LUN_EFORMAT && strstr(err.msg, word)) return 1;
  printf("%d %s\n", st, err.msg);
  return 0;
}

/* A PNG header with a size and a right checksum, and nothing behind it. */
static void giant(uint8_t *out, uint32_t w, uint32_t h) {
  static const uint8_t start[16] = {0x89, 'P', 'N', 'G', '\r', '\n', 26,  '\n',
                                    0,    0,   0,   13,  'I',  'H',  'D', 'R'};
  uint32_t sum;
  memcpy(out, start, 16);
  for (int k = 0; k < 4; k++) {
    out[16 + k] = (uint8_t)(w >> (24 - 8 * k));
    out[20 + k] = (uint8_t)(h >> (24 - 8 * k));
  }
  memcpy(out + 24, "\10\2\0\0\0", 5);
  sum = (uint32_t)crc32(0, out + 12, 17);
  for (int k = 0; k < 4; k++) out[29 + k] = (uint8_t)(sum >> (24 - 8 * k));
}

static void refuses_what_is_no_picture(void) {
  static const char text[] = "This is a text, not a picture.";
  uint8_t header[33];
  lun_image *im = NULL;
  lun_err err = {0, ""};
  CHECK(refused("", 0, "empty"), "empty");
  CHECK(refused(text, sizeof text - 1, "This is a text"), "text");
  CHECK(refused("GIF89a..........", 16, "a GIF"), "gif");
  giant(header, 20000, 20000);
  CHECK(refused(header, 33, "20000 x 20000"), "giant header");
  giant(header, 16000, 16000);
  CHECK(refused(header, 33, "in all"), "too many pixels");
  giant(header, 0xFFFFFFFF, 1);
  CHECK(refused(header, 33, "a side"), "width over INT_MAX");
  giant(header, 0, 5);
  CHECK(refused(header, 33, "no pixels"), "width 0");
  CHECK(lun_image_load(&im, NULL, "/no/such/file.png", &err) == LUN_EIO &&
            !im && strstr(err.msg, "No such file"),
        "missing: %s", err.msg);
  CHECK(lun_image_load(&im, NULL, "/", &err) == LUN_EIO &&
            strstr(err.msg, "folder"),
        "folder: %s", err.msg);
}

/* PNG: what we write, our reader gives back; texts are found in the file. */
static void png_round_trip(int w, int h, uint32_t noise) {
  static const char *const meta[] = {"Title",
                                     "Gr\xC3\xBC\xC3\x9F"
                                     "e",
                                     "Software", "Lunette", NULL};
  lun_image *im = NULL, *back = NULL;
  uint8_t *file = NULL;
  size_t n = 0;
  uint32_t state = 7;
  CHECK(lun_image_new(&im, w, h, NULL) == LUN_OK, "new");
  for (size_t i = 0; i < bytes_of(im); i++) {
    state = state * 1664525u + 1013904223u;
    im->px[i] = (uint8_t)(i / 97 + (state >> 24) % noise);
  }
  CHECK(lun_image_encode(&file, &n, im, "png", meta, NULL) == LUN_OK, "encode");
  CHECK(lun_image_decode(&back, NULL, file, n, "own", NULL) == LUN_OK &&
            back->width == w && memcmp(back->px, im->px, bytes_of(im)) == 0,
        "%d x %d, noise %u", w, h, (unsigned)noise);
  CHECK(memcmp(file + 37, "iTXtTitle\0\0\0\0\0Gr", 16) == 0, "title as iTXt");
  lun_free(file);
  lun_image_free(im);
  lun_image_free(back);
}

/* A soft picture in each format: BMP to the bit, JPEG within a few levels. */
static void formats_round_trip(void) {
  static const char *const format[] = {"bmp", "BMP", "jpg", "jpeg", "Png"};
  lun_image *im = NULL, *back = NULL;
  uint8_t *file = NULL;
  lun_image_info i;
  lun_err err;
  size_t n;
  lun_image_new(&im, 61, 43, NULL);
  for (int y = 0; y < 43; y++)
    for (int x = 0; x < 61; x++) {
      uint8_t *p = im->px + 3 * (y * 61 + x);
      p[0] = (uint8_t)(4 * x), p[1] = (uint8_t)(5 * y);
      p[2] = (uint8_t)(255 - 2 * x - 2 * y);
    }
  for (int k = 0; k < 5; k++) {
    int worst = 0, most = k == 2 || k == 3 ? 8 : 0;
    CHECK(lun_image_encode(&file, &n, im, format[k], NULL, NULL) == LUN_OK,
          "%s", format[k]);
    CHECK(lun_image_decode(&back, &i, file, n, "own", NULL) == LUN_OK, "%s",
          format[k]);
    for (size_t j = 0; j < bytes_of(im); j++)
      if (abs(im->px[j] - back->px[j]) > worst)
        worst = abs(im->px[j] - back->px[j]);
    CHECK(worst <= most && (most == 0 || worst > 0), "%s: off by %d", format[k],
          worst);
    CHECK(strcmp(i.format, k < 2   ? "BMP"
                           : k < 4 ? "JPEG"
                                   : "PNG") == 0,
          "%s", i.format);
    lun_free(file);
    lun_image_free(back);
  }
  CHECK(lun_image_encode(&file, &n, im, "gif", NULL, &err) == LUN_EARG &&
            !file && strstr(err.msg, "'gif'"),
        "%s", err.msg);
  lun_image_free(im);
}

/* What a filter of the PNG specification leaves of a byte: a left, b above, c both. */
static int left_over(int filter, int v, int a, int b, int c) {
  int p = a + b - c, best = a;
  if (abs(p - b) < abs(p - best)) best = b;
  if (abs(p - c) < abs(p - best)) best = c;
  int by[5] = {0, a, b, (a + b) / 2, best};
  return (v - by[filter]) & 255;
}

enum { GREY_W = 23, GREY_H = 40, GREY_ROW = 2 * GREY_W };

/* A map's rows as 16-bit grey, each of another character: noise, slopes, steps. */
static void grey_rows(float *map, uint8_t *want) {
  uint32_t state = 3;
  for (int y = 0; y < GREY_H; y++)
    for (int x = 0; x < GREY_W; x++) {
      int v = 0;
      state = state * 1664525u + 1013904223u;
      if (y % 5 == 1) v = 257 * x * y % 65536;
      if (y % 5 == 2) v = (int)(state >> 16);
      if (y % 5 == 3) v = 600 * x + 900 * y;
      if (y % 5 == 4) v = x * x * 90 + y * y * 10;
      if (y == 0 && x < 2) v = x * 65535; /* the whole range is there */
      map[y * GREY_W + x] = (float)v;
      want[y * GREY_ROW + 2 * x] = (uint8_t)(v >> 8);
      want[y * GREY_ROW + 2 * x + 1] = (uint8_t)v;
    }
}

/* Maps of 16-bit grey: the values themselves, each row by the first of the filters that
** leave the smallest sum. */
static void grey_maps_take_the_best_filter(void) {
  static float map[GREY_W * GREY_H];
  static uint8_t want[GREY_ROW * GREY_H], rows[(GREY_ROW + 1) * GREY_H];
  static const uint8_t zeros[GREY_ROW];
  uint8_t *file = NULL;
  size_t n = 0;
  uLongf got = sizeof rows;
  int kinds = 0;
  grey_rows(map, want);
  CHECK(lun_grey16_encode(&file, &n, map, GREY_W, GREY_H, 0, 65535, NULL) ==
            LUN_OK,
        "encode");
  CHECK(uncompress(rows, &got, file + 41, (uLong)(n - 41 - 16)) == Z_OK &&
            got == sizeof rows,
        "%lu bytes", (unsigned long)got);
  for (int y = 0; y < GREY_H; y++) {
    const uint8_t *out = rows + y * (GREY_ROW + 1), *row = want + y * GREY_ROW;
    const uint8_t *above = y ? row - GREY_ROW : zeros;
    long sum[5] = {0}, least = 0;
    int same = 1;
    for (int f = 0; f < 5; f++) {
      for (int i = 0; i < GREY_ROW; i++) {
        int a = i < 2 ? 0 : row[i - 2], c = i < 2 ? 0 : above[i - 2];
        int v = left_over(f, row[i], a, above[i], c);
        sum[f] += v < 128 ? v : 256 - v;
        if (f == out[0]) same &= out[1 + i] == v;
      }
      if (sum[f] < sum[least]) least = f;
    }
    CHECK(same, "row %d has other values", y);
    CHECK(out[0] == least, "row %d: filter %d leaves %ld, %ld leaves %ld", y,
          out[0], sum[out[0]], least, sum[least]);
    kinds |= 1 << out[0];
  }
  CHECK(kinds == 31, "filters %x", (unsigned)kinds);
  lun_free(file);
}

static void writing_survives_a_refusing_allocator(const char *format) {
  lun_image *im = NULL;
  uint8_t *file = NULL;
  size_t n, blocks;
  int st = LUN_ENOMEM;
  lun_image_new(&im, 300, 200, NULL);
  for (size_t i = 0; i < bytes_of(im); i++)
    im->px[i] = (uint8_t)((i * 2654435761u) >> 13);
  blocks = lun_mem().blocks;
  for (long nth = 1; st != LUN_OK && nth < 50; nth++) {
    lun_mem_fail_at(nth);
    st = lun_image_encode(&file, &n, im, format, NULL, NULL);
    lun_mem_fail_at(0);
    CHECK(st == LUN_OK || (st == LUN_ENOMEM && !file), "code %d", st);
    CHECK(st == LUN_OK || lun_mem().blocks == blocks, "leak at %ld", nth);
  }
  CHECK(st == LUN_OK, "succeeds when nothing fails");
  lun_free(file);
  lun_image_free(im);
}

static void reading_survives_a_refusing_allocator(const uint8_t *file,
                                                  size_t n) {
  lun_image *im = NULL;
  size_t blocks = lun_mem().blocks;
  int st = LUN_ENOMEM;
  for (long nth = 1; st != LUN_OK && nth < 50; nth++) {
    lun_mem_fail_at(nth);
    st = lun_image_decode(&im, NULL, file, n, "test", NULL);
    lun_mem_fail_at(0);
    CHECK((st == LUN_OK) == (im != NULL), "code %d", st);
    CHECK(st == LUN_OK || lun_mem().blocks == blocks, "leak at %ld", nth);
  }
  CHECK(st == LUN_OK, "succeeds when nothing fails");
  lun_image_free(im);
}

static int pixel(const lun_image *im, int x, int y, int r, int g, int b) {
  const uint8_t *p = im->px + 3 * (y * im->width + x);
  if (p[0] == r && p[1] == g && p[2] == b) return 1;
  printf("(%d,%d) is %d %d %d\n", x, y, p[0], p[1], p[2]);
  return 0;
}

static void drawing_is_cut_at_the_edges(void) {
  lun_image *im = NULL, *src = NULL;
  lun_image_new(&im, 8, 6, NULL);
  lun_image_new(&src, 4, 4, NULL);
  lun_image_fill(im, -5, -5, 100, 100, (lun_rgb){255, 255, 255});
  lun_image_fill(src, 0, 0, 4, 4, (lun_rgb){100, 0, 200});
  lun_image_paste(im, 6, 4, src);
  CHECK(pixel(im, 7, 5, 100, 0, 200) && pixel(im, 5, 4, 255, 255, 255),
        "pasted over the lower right corner");
  lun_image_paste(im, -3, -3, src);
  CHECK(pixel(im, 0, 0, 100, 0, 200) && pixel(im, 1, 0, 255, 255, 255),
        "pasted over the upper left corner");
  lun_image_paste(im, 50, 50, src);
  lun_image_fill(im, 3, 3, -2, 1, (lun_rgb){0, 0, 0});
  lun_image_blend(im, 2, 1, src, 0.5);
  CHECK(pixel(im, 2, 1, 178, 128, 228), "half and half");
  lun_image_blend(im, 2, 1, src, 1.0);
  CHECK(pixel(im, 3, 3, 100, 0, 200), "alpha 1 is the source");
  lun_image_grey(src); /* 0.299 * 100 + 0.114 * 200 = 52.7 */
  CHECK(pixel(src, 0, 0, 53, 53, 53), "luma");
  lun_image_free(im);
  lun_image_free(src);
}

static void colours_take_256_equal_steps(void) {
  uint8_t table[768];
  const float map[6] = {-1, 0, 0.5f, 0.999f, 1, (float)NAN};
  lun_image *im = NULL;
  for (int i = 0; i < 768; i++) table[i] = (uint8_t)(i / 3);
  lun_image_colormap(&im, map, 6, 1, table, 0, 1, NULL);
  CHECK(pixel(im, 0, 0, 0, 0, 0) && pixel(im, 1, 0, 0, 0, 0), "low end");
  CHECK(pixel(im, 2, 0, 128, 128, 128) && pixel(im, 3, 0, 255, 255, 255) &&
            pixel(im, 4, 0, 255, 255, 255),
        "middle and high end");
  CHECK(pixel(im, 5, 0, 128, 128, 128), "NaN is grey");
  lun_image_free(im);
  lun_image_colormap(&im, map, 6, 1, table, 3, 3, NULL);
  CHECK(pixel(im, 0, 0, 128, 128, 128), "a flat range is drawn flat");
  lun_image_free(im);
}

/* There and back again is the identity for every byte. */
static void planes_and_back(void) {
  const lun_prep caffe = {1, 1, {103.939, 116.779, 123.68}, {1, 1, 1}};
  const lun_prep torch = {0, 1 / 255.0, {.485, .456, .406}, {.229, .224, .225}};
  const lun_prep both[2] = {caffe, torch};
  lun_image *im = NULL, *back = NULL;
  float planes[3 * 256];
  lun_image_new(&im, 256, 1, NULL);
  for (int i = 0; i < 768; i++) im->px[i] = (uint8_t)(i / 3 + 80 * (i % 3));
  for (int k = 0; k < 2; k++) {
    lun_image_to_planes(planes, im, both + k);
    lun_image_from_planes(&back, planes, 256, 1, both + k, NULL);
    CHECK(memcmp(im->px, back->px, 768) == 0, "prep %d", k);
    lun_image_free(back);
  }
  lun_image_to_planes(planes, im, &caffe); /* blue first: pixel 0 is 0 80 160 */
  CHECK(fabsf(planes[0] - (160 - 103.939f)) < 1e-5f &&
            fabsf(planes[512] - (0 - 123.68f)) < 1e-5f,
        "BGR minus the mean");
  lun_image_free(im);
}

static void ranges(void) {
  const float map[6] = {-2, 5, (float)NAN, 1, (float)INFINITY, -4};
  const float odd[5] = {4, -1, 2, -3, 0};
  lun_range r = lun_map_range(map, 6);
  float p;
  CHECK(r.lo == -4 && r.hi == 5 && r.bad == 2, "%g %g", (double)r.lo,
        (double)r.hi);
  lun_map_percentile(&p, odd, 5, 50, NULL);
  CHECK(p == 2, "median of |x| is %g", (double)p);
  lun_map_percentile(&p, odd, 5, 100, NULL);
  CHECK(p == 4, "greatest |x|");
  lun_map_percentile(&p, odd, 5, 62.5, NULL);
  CHECK(p == 2.5f, "between ranks: %g", (double)p);
  CHECK(lun_map_percentile(&p, odd, 5, 101, NULL) == LUN_EARG, "over 100");
}

/* Sum of darkness: how much ink a text leaves, and its box. */
static long ink(const lun_image *im, int *left, int *right) {
  long sum = 0;
  *left = im->width;
  *right = -1;
  for (int y = 0; y < im->height; y++)
    for (int x = 0; x < im->width; x++) {
      int d = 255 - im->px[3 * (y * im->width + x)];
      sum += d;
      if (d && x < *left) *left = x;
      if (d && x > *right) *right = x;
    }
  return sum;
}

static long drawn(const lun_font *f, const char *text, int turned) {
  lun_image *im = NULL;
  int l, r;
  long sum;
  lun_image_new(&im, 200, 200, NULL);
  lun_image_fill(im, 0, 0, 200, 200, (lun_rgb){255, 255, 255});
  lun_text_draw(im, f, 20, turned ? 100 : 10, turned ? 190 : 100, turned,
                (lun_rgb){0, 0, 0}, text, NULL);
  sum = ink(im, &l, &r);
  lun_image_free(im);
  return sum;
}

/* Letters over and under 64 pixels, whose scan lines lie elsewhere: no memory is
** an error, never a text without a letter. */
static void text_survives_a_refusing_allocator(void) {
  lun_font *f = NULL;
  lun_image *whole = NULL, *im = NULL;
  lun_rgb black = {0, 0, 0};
  int st = LUN_ENOMEM;
  long nth = 0;
  size_t blocks;
  if (lun_font_open(&f, NULL, NULL) != LUN_OK) return;
  lun_image_new(&whole, 300, 150, NULL);
  lun_image_new(&im, 300, 150, NULL);
  lun_image_fill(whole, 0, 0, 300, 150, (lun_rgb){255, 255, 255});
  lun_text_draw(whole, f, 120, 0, 120, 0, black, "e\xC3\xA4 M", NULL);
  blocks = lun_mem().blocks;
  while (st == LUN_ENOMEM && ++nth < 200) {
    lun_image_fill(im, 0, 0, 300, 150, (lun_rgb){255, 255, 255});
    lun_mem_fail_at(nth);
    st = lun_text_draw(im, f, 120, 0, 120, 0, black, "e\xC3\xA4 M", NULL);
    lun_mem_fail_at(0);
    CHECK(lun_mem().blocks == blocks, "leak at %ld", nth);
  }
  CHECK(st == LUN_OK && nth > 20, "code %d at %ld", st, nth);
  CHECK(memcmp(im->px, whole->px, bytes_of(im)) == 0, "the same at the end");
  lun_image_free(im);
  lun_image_free(whole);
  lun_font_close(f);
}

static void text(void) {
  lun_font *f = NULL, *none = NULL;
  lun_err err = {0, ""};
  CHECK(lun_font_open(&none, "/no/such/font.ttf", &err) == LUN_EIO && !none &&
            strstr(err.msg, "fonts-dejavu-core"),
        "missing font: %s", err.msg);
  if (lun_font_open(&f, NULL, &err) != LUN_OK) {
    printf("test_image: text skipped: %s\n", err.msg);
    return;
  }
  CHECK(lun_text_width(f, 20, "") == 0, "nothing is 0 wide");
  CHECK(lun_text_width(f, 20, "mm") > lun_text_width(f, 20, "ii"), "widths");
  CHECK(abs(lun_text_width(f, 40, "Lunette") -
            2 * lun_text_width(f, 20, "Lunette")) <= 2,
        "width goes with size");
  CHECK(drawn(f, "", 0) == 0 && drawn(f, "A", 0) > 1000, "ink");
  CHECK(drawn(f,
              "Gr\xC3\xBC\xC3\x9F"
              "e",
              0) > drawn(f, "Gru", 0),
        "umlauts");
  CHECK(labs(drawn(f, "turned", 1) - drawn(f, "turned", 0)) < 600,
        "turned text has the same ink");
  /* U+4E2D is not in DejaVu Sans: a box, not nothing; broken bytes likewise */
  CHECK(drawn(f, "\xE4\xB8\xAD", 0) > 1000, "missing letter shows");
  CHECK(drawn(f, "\xFF", 0) > 500 && drawn(f, "\xE4\xB8", 0) > 500 &&
            drawn(f, "\x01", 0) > 500,
        "broken UTF-8 and control characters show");
  lun_font_close(f);
}

int main(void) {
  TESTS {
    TEST(reads_what_pillow_wrote());
    TEST(tells_the_rotation());
    TEST(steps_over_restarts());
    TEST(every_truncation_is_refused(jpeg, sizeof jpeg, "jpeg"));
    TEST(every_truncation_is_refused(jpeg_progressive, sizeof jpeg_progressive,
                                     "prog"));
    TEST(every_truncation_is_refused(jpeg_cmyk, sizeof jpeg_cmyk, "cmyk"));
    TEST(every_truncation_is_refused(png, sizeof png, "png"));
    TEST(every_truncation_is_refused(png_deep, sizeof png_deep, "deep"));
    TEST(every_truncation_is_refused(bmp, sizeof bmp, "bmp"));
    TEST(flipped_bytes_do_no_harm(jpeg, sizeof jpeg));
    TEST(flipped_bytes_do_no_harm(jpeg_progressive, sizeof jpeg_progressive));
    TEST(flipped_bytes_do_no_harm(jpeg_turned, sizeof jpeg_turned));
    TEST(flipped_bytes_do_no_harm(png_palette, sizeof png_palette));
    TEST(flipped_bytes_do_no_harm(bmp, sizeof bmp));
    TEST(refuses_what_is_no_picture());
    for (int w = 1; w < 300; w = w * 3 + 1)
      for (uint32_t noise = 1; noise <= 256; noise *= 4)
        TEST(png_round_trip(w, 500 - w, noise));
    TEST(formats_round_trip());
    TEST(grey_maps_take_the_best_filter());
    TEST(writing_survives_a_refusing_allocator("png"));
    TEST(writing_survives_a_refusing_allocator("jpg"));
    TEST(writing_survives_a_refusing_allocator("bmp"));
    TEST(reading_survives_a_refusing_allocator(jpeg_progressive,
                                               sizeof jpeg_progressive));
    TEST(reading_survives_a_refusing_allocator(png_alpha, sizeof png_alpha));
    TEST(reading_survives_a_refusing_allocator(jpeg_cmyk_bare,
                                               sizeof jpeg_cmyk_bare));
    TEST(drawing_is_cut_at_the_edges());
    TEST(colours_take_256_equal_steps());
    TEST(planes_and_back());
    TEST(ranges());
    TEST(text());
    TEST(text_survives_a_refusing_allocator());
    lun_mem_trim();
  }
  DONE("test_image");
}
