/*
** test_gif.c - moving pictures, read back by a decoder of the test's own: frames of
** few colours to the bit, photographs' within what 256 colours and spread errors
** allow, delays, refusals, and no memory.
*/
#include "../../engine/picture/palette.h"
#include "check.h"

/* ---- a decoder ----------------------------------------------------------- */

typedef struct {
  const uint8_t *p, *end;
  uint32_t bits;
  int have;
  int block; /* bytes left of the block that is read */
} stream;

static int code_of(stream *s, int width) {
  while (s->have < width) {
    if (s->block == 0) s->block = s->p < s->end ? *s->p++ : 0;
    if (s->block == 0 || s->p >= s->end) return -1;
    s->bits |= (uint32_t)*s->p++ << s->have;
    s->have += 8;
    s->block--;
  }
  {
    int code = (int)(s->bits & ((1u << width) - 1));
    s->bits >>= width;
    s->have -= width;
    return code;
  }
}

/* LZW as the GIF 89a specification tells it; the number of values, -1: broken. */
static long unpack(stream *s, int least, uint8_t *out, long room) {
  static int before[4096];
  static uint8_t last[4096], line[4097];
  const int clear = 1 << least;
  int width = least + 1, next = clear + 2, old = -1;
  long n = 0;
  for (int code; (code = code_of(s, width)) != clear + 1;) {
    int at = code, length = 0;
    if (code < 0 || code > next) return -1;
    if (code == clear) {
      width = least + 1, next = clear + 2, old = -1;
      continue;
    }
    if (code == next) { /* the last one and its own first value */
      if (old < 0) return -1;
      at = old, length = 1;
    }
    for (; at >= clear; at = before[at]) line[length++] = last[at];
    line[length++] = (uint8_t)at;
    if (code == next) line[0] = (uint8_t)at;
    if (n + length > room) return -1;
    for (int i = length; i > 0; i--) out[n++] = line[i - 1];
    if (old >= 0 && next < 4096) {
      before[next] = old;
      last[next] = (uint8_t)at;
      next++;
      if (next == 1 << width && width < 12) width++;
    }
    old = code;
  }
  return n;
}

typedef struct {
  int width, height, frames, delay[8], loops;
  uint8_t *px[8];
} movie;

static int word(const uint8_t *p) { return p[0] | p[1] << 8; }

static const uint8_t *skip_blocks(const uint8_t *p, const uint8_t *end) {
  while (p < end && *p) p += *p + 1;
  return p + 1;
}

/* Frames over the ones before them; 0: no GIF that this knows. */
static int read_movie(movie *m, const uint8_t *p, size_t n) {
  const uint8_t *end = p + n;
  int delay = -1;
  memset(m, 0, sizeof *m);
  m->loops = -1;
  if (n < 13 || memcmp(p, "GIF89a", 6) != 0) return 0;
  m->width = word(p + 6), m->height = word(p + 8);
  if (p[10] & 0x80) return 0; /* a table for all frames: not ours */
  p += 13;
  while (p < end && *p != 0x3B) {
    if (*p == 0x21) {
      if (p[1] == 0xF9) delay = word(p + 4);
      if (p[1] == 0xFF && memcmp(p + 3, "NETSCAPE2.0", 11) == 0)
        m->loops = word(p + 16);
      p = skip_blocks(p + 2, end);
    } else if (*p == 0x2C) {
      int x = word(p + 1), y = word(p + 3), w = word(p + 5), h = word(p + 7);
      const int colours = 2 << (p[9] & 7);
      const uint8_t *table = p + 10;
      const size_t all = (size_t)m->width * (size_t)m->height * 3;
      uint8_t *values = malloc((size_t)w * (size_t)h), *px = malloc(all);
      stream s = {.p = table + 3 * colours + 1, .end = end};
      if (!(p[9] & 0x80) || m->frames == 8 ||
          unpack(&s, s.p[-1], values, (long)w * h) != (long)w * h)
        return 0;
      if (m->frames) memcpy(px, m->px[m->frames - 1], all);
      for (int i = 0; i < w * h; i++)
        memcpy(px + 3 * ((y + i / w) * m->width + x + i % w),
               table + 3 * values[i], 3);
      free(values);
      m->delay[m->frames] = delay;
      m->px[m->frames++] = px;
      p = skip_blocks(table + 3 * colours + 1, end);
    } else {
      return 0;
    }
  }
  return p < end;
}

static void forget(movie *m) {
  for (int i = 0; i < m->frames; i++) free(m->px[i]);
}

/* ---- pictures ------------------------------------------------------------ */

static lun_image *flat(int w, int h, int step) {
  lun_image *im = NULL;
  lun_image_new(&im, w, h, NULL);
  lun_image_fill(im, 0, 0, w, h, (lun_rgb){255, 255, 255});
  lun_image_fill(im, step, 2, 5, 7, (lun_rgb){200, 30, (uint8_t)(40 * step)});
  return im;
}

/* Colours that change everywhere, brighter from frame to frame. */
static lun_image *soft(int w, int h, int step) {
  lun_image *im = NULL;
  lun_image_new(&im, w, h, NULL);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      uint8_t *p = im->px + 3 * (y * w + x);
      p[0] = (uint8_t)(255 * x / w), p[1] = (uint8_t)(255 * y / h);
      p[2] = (uint8_t)((x * y / 40 + 20 * step) % 256);
    }
  return im;
}

/* Mean difference of a channel, and that of means over 8 x 8 pixels. */
static double off(const lun_image *im, const uint8_t *px, double *blurred) {
  const int w = im->width, h = im->height;
  double sum = 0, coarse = 0;
  long squares = 0;
  for (int i = 0; i < 3 * w * h; i++) sum += abs(im->px[i] - px[i]);
  for (int y = 0; y + 8 <= h; y += 8)
    for (int x = 0; x + 8 <= w; x += 8)
      for (int k = 0; k < 3; k++, squares++) {
        int d = 0;
        for (int i = 0; i < 64; i++) {
          const int at = 3 * ((y + i / 8) * w + x + i % 8) + k;
          d += im->px[at] - px[at];
        }
        coarse += abs(d) / 64.0;
      }
  *blurred = coarse / (double)squares;
  return sum / (3.0 * w * h);
}

/* ---- tests --------------------------------------------------------------- */

static void few_colours_are_kept(void) {
  lun_image *f[3] = {flat(31, 17, 1), flat(31, 17, 3), flat(31, 17, 6)};
  const lun_image *list[3] = {f[0], f[1], f[2]};
  const int delays[3] = {20, 5, 150};
  uint8_t *file = NULL;
  size_t n = 0;
  movie m;
  CHECK(lun_gif_encode(&file, &n, list, delays, 3, NULL) == LUN_OK, "encode");
  CHECK(read_movie(&m, file, n) && m.frames == 3 && m.loops == 0, "%d frames",
        m.frames);
  CHECK(m.width == 31 && m.height == 17, "%d x %d", m.width, m.height);
  for (int i = 0; i < m.frames; i++) {
    CHECK(memcmp(m.px[i], f[i]->px, 31 * 17 * 3) == 0, "frame %d", i);
    CHECK(m.delay[i] == delays[i], "delay %d", m.delay[i]);
  }
  forget(&m);
  lun_free(file);
  for (int i = 0; i < 3; i++) lun_image_free(f[i]);
}

/* 256 colours of a picture that has thousands lie about 8 levels apart; spread
** errors keep the mean of a few pixels. */
/* A palette that is just full: every pixel another colour. */
static void as_many_colours_as_there_are_places_are_kept(void) {
  lun_image *f = flat(16, 16, 1);
  const lun_image *list[1] = {f};
  const int delays[1] = {7};
  uint8_t *file = NULL;
  size_t n = 0;
  movie m;
  for (int i = 0; i < 256; i++) {
    f->px[3 * i] = (uint8_t)(i & 15) * 17;
    f->px[3 * i + 1] = (uint8_t)(i >> 4) * 17;
    f->px[3 * i + 2] = (uint8_t)(255 - i);
  }
  CHECK(lun_gif_encode(&file, &n, list, delays, 1, NULL) == LUN_OK, "encode");
  CHECK(read_movie(&m, file, n) && m.frames == 1, "%d frames", m.frames);
  CHECK(memcmp(m.px[0], f->px, 256 * 3) == 0, "256 colours");
  forget(&m);
  lun_free(file);
  lun_image_free(f);
}

static void many_colours_are_near(int w, int h) {
  lun_image *f[2] = {soft(w, h, 0), soft(w, h, 5)};
  const lun_image *list[2] = {f[0], f[1]};
  const int delays[2] = {10, 10};
  uint8_t *file = NULL;
  size_t n = 0;
  movie m;
  CHECK(lun_gif_encode(&file, &n, list, delays, 2, NULL) == LUN_OK, "encode");
  CHECK(read_movie(&m, file, n) && m.frames == 2, "%d frames", m.frames);
  for (int i = 0; i < m.frames; i++) {
    double blurred, each = off(f[i], m.px[i], &blurred);
    CHECK(each < 16 && blurred < 2, "frame %d: %.1f, of squares %.2f", i, each,
          blurred);
  }
  forget(&m);
  lun_free(file);
  for (int i = 0; i < 2; i++) lun_image_free(f[i]);
}

/* The mean squared distance of a picture's pixels from the nearest colours of its
** palette. */
static double palette_error(const lun_image *im, const lun_palette *p) {
  const int n = im->width * im->height;
  double sum = 0;
  for (int i = 0; i < n; i++) {
    int least = 1 << 30;
    for (int k = 0; k < p->count; k++) {
      int d = 0;
      for (int c = 0; c < 3; c++)
        d += (im->px[3 * i + c] - p->rgb[k][c]) *
             (im->px[3 * i + c] - p->rgb[k][c]);
      if (d < least) least = d;
    }
    sum += least;
  }
  return sum / n;
}

/* Boxes are cut where that leaves the least: a cut at another place or along another
** channel, or another box first, leaves more. (As measured, and one per cent.) */
static void a_palette_leaves_little(int which, int colours, double most) {
  lun_image *im = which ? flat(96, 96, 1) : soft(160, 120, 0);
  const int n = im->width * im->height;
  uint8_t *at = malloc((size_t)n);
  lun_palette p;
  double error;
  for (int i = 0; which && i < n; i++) { /* a few far colours, many near ones */
    const int x = i % 96, y = i / 96;
    im->px[3 * i] = (uint8_t)(x < 8 ? 30 * x : 120 + x / 8);
    im->px[3 * i + 1] = (uint8_t)(y < 6 ? 40 * y : 60 + y / 12);
    im->px[3 * i + 2] = (uint8_t)(which == 1 ? 200 - (x + y) / 3 : 2 * y);
  }
  CHECK(lun_image_quantise(&p, at, im, NULL) == LUN_OK, "quantise");
  error = palette_error(im, &p);
  CHECK(p.count == colours && error < 1.01 * most && error > 0.9 * most,
        "%d colours, %.4f", p.count, error);
  free(at);
  lun_image_free(im);
}

static void refuses(void) {
  lun_image *a = flat(9, 9, 1), *b = flat(9, 8, 1);
  const lun_image *list[2] = {a, b};
  const int delays[2] = {1, 1};
  uint8_t *file = NULL;
  size_t n;
  lun_err err;
  CHECK(lun_gif_encode(&file, &n, list, delays, 2, &err) == LUN_ESHAPE &&
            !file && strstr(err.msg, "frame 2 is 9 x 8"),
        "%s", err.msg);
  CHECK(lun_gif_encode(&file, &n, list, delays, 0, &err) == LUN_EARG && !file,
        "%s", err.msg);
  lun_image_free(a);
  lun_image_free(b);
}

static void survives_a_refusing_allocator(void) {
  lun_image *im = soft(300, 200, 0);
  const lun_image *list[1] = {im};
  const int delay = 10;
  uint8_t *file = NULL;
  size_t n, blocks = lun_mem().blocks;
  int st = LUN_ENOMEM;
  for (long nth = 1; st != LUN_OK && nth < 50; nth++) {
    lun_mem_fail_at(nth);
    st = lun_gif_encode(&file, &n, list, &delay, 1, NULL);
    lun_mem_fail_at(0);
    CHECK(st == LUN_OK || (st == LUN_ENOMEM && !file), "code %d", st);
    CHECK(st == LUN_OK || lun_mem().blocks == blocks, "leak at %ld", nth);
  }
  CHECK(st == LUN_OK, "succeeds when nothing fails");
  lun_free(file);
  lun_image_free(im);
}

int main(void) {
  TESTS {
    TEST(few_colours_are_kept());
    TEST(as_many_colours_as_there_are_places_are_kept());
    TEST(many_colours_are_near(160, 120));
    TEST(many_colours_are_near(64, 300));
    TEST(a_palette_leaves_little(0, 256, 80.42));
    TEST(a_palette_leaves_little(1, 129, 5.1844));
    TEST(a_palette_leaves_little(2, 256, 7.6302));
    TEST(refuses());
    TEST(survives_a_refusing_allocator());
  }
  DONE("gif");
}
