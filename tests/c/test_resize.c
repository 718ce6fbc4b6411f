/*
** test_resize.c - resizing against Pillow 9.4: the same bytes.
*/
#include "../../engine/picture/picture.h"
#include <zlib.h>

#include "check.h"
#include "pictures.h"

/* The bytes of pictures.py's pattern(). */
static lun_image *pattern(int w, int h) {
  lun_image *im = NULL;
  uint32_t state = 12345;
  lun_image_new(&im, w, h, NULL);
  for (int i = 0; im && i < 3 * w * h; i++) {
    state = state * 1103515245u + 12345u;
    im->px[i] = (uint8_t)(state >> 24);
  }
  return im;
}

static uint32_t crc(const lun_image *im) {
  return (uint32_t)crc32(0, im->px, (uInt)(im->width * im->height * 3));
}

/* Every filter, growing and shrinking, gives Pillow's bytes: no tolerance,
** since both round the same fixed-point sums. */
static void matches_pillow(void) {
  for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
    const struct golden *g = golden + i;
    lun_image *im = pattern(g->w, g->h), *out = NULL;
    lun_err err = {0, ""};
    int st =
        lun_image_resize(&out, im, g->to_w, g->to_h,
                         (lun_filter)lun_filter_find(g->filter), NULL, &err);
    CHECK(st == LUN_OK && crc(out) == g->crc, "%s %dx%d to %dx%d %s", g->filter,
          g->w, g->h, g->to_w, g->to_h, err.msg);
    lun_image_free(out);
    lun_image_free(im);
  }
}

static void part_of_a_picture(void) {
  static const double box[4] = {3.5, 2.25, 30.75, 29};
  static const double outside[4] = {0, 0, 41, 31}, empty[4] = {5, 5, 5, 9};
  lun_image *im = pattern(40, 31), *out = NULL;
  CHECK(lun_image_resize(&out, im, 13, 10, LUN_BICUBIC, box, NULL) == LUN_OK &&
            crc(out) == boxed_crc,
        "part of a picture");
  lun_image_free(out);
  CHECK(lun_image_resize(&out, im, 5, 5, LUN_BOX, outside, NULL) == LUN_EARG &&
            !out,
        "box outside");
  CHECK(lun_image_resize(&out, im, 5, 5, LUN_BOX, empty, NULL) == LUN_EARG,
        "empty box");
  CHECK(lun_image_resize(&out, im, 0, 5, LUN_BOX, NULL, NULL) == LUN_EARG,
        "width 0");
  CHECK(lun_image_resize(&out, im, 5, 16385, LUN_BOX, NULL, NULL) == LUN_EARG,
        "too tall");
  lun_image_free(im);
}

/* Float planes keep double sums as Pillow's mode F: 1 ulp of 255. */
static void float_planes(void) {
  lun_image *im = pattern(7, 5);
  float map[35], out[36], worst = 0;
  for (int i = 0; i < 35; i++) map[i] = im->px[3 * i];
  CHECK(lun_map_resize(out, 4, 9, map, 7, 5, LUN_BILINEAR, NULL) == LUN_OK,
        "resize");
  for (int i = 0; i < 36; i++)
    worst = fmaxf(worst, fabsf(out[i] - float_golden[i]));
  CHECK(worst <= 2e-5f, "worst difference %g", (double)worst);
  CHECK(lun_map_resize(out, 2, 2, map, 7, 5, LUN_NEAREST, NULL) == LUN_OK &&
            out[0] == map[7 + 1] && out[3] == map[3 * 7 + 5],
        "nearest takes the middle of each part");
  lun_image_free(im);
}

static void crops(void) {
  lun_image *im = pattern(7, 5), *out = NULL;
  CHECK(lun_image_crop(&out, im, 2, 1, 3, 4, NULL) == LUN_OK &&
            memcmp(out->px, im->px + 3 * (7 + 2), 9) == 0 &&
            memcmp(out->px + 27, im->px + 3 * (4 * 7 + 2), 9) == 0,
        "rows of the crop");
  lun_image_free(out);
  CHECK(lun_image_crop(&out, im, 5, 0, 3, 1, NULL) == LUN_EARG, "too wide");
  CHECK(lun_image_crop(&out, im, -1, 0, 3, 1, NULL) == LUN_EARG, "negative");
  lun_image_free(im);
}

/* Every allocation that can fail does; nothing is left behind. */
static void failing_allocations(void) {
  lun_image *im = pattern(40, 31), *out = NULL;
  size_t blocks = lun_mem().blocks;
  int st = LUN_ENOMEM;
  for (long nth = 1; st != LUN_OK && nth < 100; nth++) {
    lun_mem_fail_at(nth);
    st = lun_image_resize(&out, im, 13, 10, LUN_LANCZOS, NULL, NULL);
    lun_mem_fail_at(0);
    CHECK((st == LUN_OK) == (out != NULL), "result and code agree");
    CHECK(st == LUN_OK || lun_mem().blocks == blocks, "leak at %ld", nth);
  }
  CHECK(st == LUN_OK, "succeeds when nothing fails");
  lun_image_free(out);
  lun_image_free(im);
}

int main(void) {
  TESTS {
    TEST(matches_pillow());
    TEST(part_of_a_picture());
    TEST(float_planes());
    TEST(crops());
    TEST(failing_allocations());
    TEST(CHECK(lun_filter_find("nope") == -1 && lun_filter_name(99) == NULL,
               "names"));
  }
  DONE("test_resize");
}
