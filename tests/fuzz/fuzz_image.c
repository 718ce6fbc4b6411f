/*
** fuzz_image.c - pictures: probing, stb_image, resizing, encoding.  The last four
** bytes choose filter, target size and box, and whether the picture is decoded once
** more: the same bytes give the same picture.  -DJPEG: files of that format alone,
** of all samplings.
*/
#include "../../engine/picture/picture.h"
#include "budget.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  lun_image *im, *out;
  lun_image_info info;
  lun_err err = {0, ""};
  const uint8_t *c;
  budget_begin();
  if (n < 8) return 0;
  n -= 4, c = p + n;
#ifdef JPEG
  if (memcmp(p, "\xFF\xD8\xFF", 3)) return 0;
#endif
  if (lun_image_probe(&info, p, n, "x", &err) == LUN_OK &&
      (int64_t)info.width * info.height > 1 << 20)
    return 0; /* keep executions fast; large ones have tests of their own */
  if (lun_image_decode(&im, &info, p, n, "x", &err) != LUN_OK) {
    if (!err.msg[0]) abort();
    if (lun_mem().blocks) abort();
    return 0;
  }
  if ((c[3] & 48) == 16) {
    lun_image *again;
    if (lun_image_decode(&again, &info, p, n, "x", &err) != LUN_OK ||
        again->width != im->width || again->height != im->height ||
        memcmp(again->px, im->px, (size_t)im->width * (size_t)im->height * 3))
      abort();
    lun_image_free(again);
  }
  {
    double box[4] = {c[2] % (im->width + 1) * 0.5, 0, im->width, im->height};
    lun_image_resize(&out, im, 1 + c[1] % 96, 1 + c[2] % 96,
                     (lun_filter)(c[0] % 6), c[3] & 1 ? box : NULL, &err);
    lun_image_free(out);
  }
  if (!(c[3] & 14)) {
    static const char *const format[] = {"png", "jpg", "bmp"};
    uint8_t *bytes;
    size_t count;
    if (lun_image_encode(&bytes, &count, im, format[c[0] % 3], NULL, &err) !=
        LUN_OK)
      abort();
    lun_free(bytes);
  }
  lun_image_free(im);
  if (lun_mem().blocks) abort();
  return 0;
}
