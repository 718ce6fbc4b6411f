/*
** fuzz_text.c - text on pictures: measured, then drawn, both ways.  The first ten
** bytes are size (any double), direction and place.
*/
#include "../../engine/picture/picture.h"
#include "budget.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  static lun_font *font;
  lun_rgb grey = {90, 90, 90};
  lun_image *im;
  lun_err err = {0, ""};
  double size;
  char *text;
  int above, below;
  budget_begin();
  if (!font && lun_font_open(&font, NULL, &err) != LUN_OK) return 0;
  if (n < 10) return 0;
  memcpy(&size, p, 8);
  if (size > 60) size = 60; /* larger letters only take longer */
  text = malloc(n - 9);     /* exactly: reading past its end shows */
  memcpy(text, p + 10, n - 10);
  text[n - 10] = '\0';
  lun_font_height(font, size, &above, &below);
  if (lun_text_width(font, size, text) < 0) abort();
  if (lun_image_new(&im, 60, 20, &err) != LUN_OK) abort();
  if (lun_text_draw(im, font, size, (int)p[9] - 128, 10, p[8] & 1, grey, text,
                    &err) != LUN_OK)
    abort();
  lun_image_free(im);
  free(text);
  return 0;
}
