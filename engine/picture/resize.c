/*
** resize.c - resizing as Pillow 9.4 does it, bit for bit on 8-bit pictures.
**
** Output pixel i looks at the input around c = x0 + (i + 1/2) s, where s is
** input pixels per output pixel.  The filter f has a support of r pixels at
** scale 1; when shrinking it is stretched by s, so that every input pixel
** counts (antialiasing):
**
**   weight(j) = f((j - c + 1/2) / max(s, 1)), normalised to sum 1,
**   j from floor(c - r max(s,1) + 1/2) to floor(c + r max(s,1) + 1/2) - 1
**
** 8-bit pictures use weights of 22 fractional bits, rows first, columns
** second, each result rounded and clamped to a byte.  Float planes keep
** double weights and sums (Pillow's mode "F").
*/
#include <math.h>
#include <string.h>

#include "picture.h"

enum { BITS = 32 - 8 - 2 }; /* fraction of a weight: 8 for the pixel, 2 spare */

/* ---- filters ------------------------------------------------------------ */

static const double pi = 3.14159265358979323846;

static double sinc(double x) { return x == 0.0 ? 1.0 : sin(pi * x) / (pi * x); }

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear(double x) { /* a triangle */
  x = fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x) {
  x = fabs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= pi;
  return sin(x) / x * (0.54 + 0.46 * cos(x));
}

static double bicubic(double x) { /* Keys 1981, a = -1/2 */
  const double a = -0.5;
  x = fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

static double lanczos(double x) { /* sinc windowed by a sinc of 3 lobes */
  return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static const struct {
  const char *name;
  double (*at)(double x);
  double support;
} filters[] = {
    [LUN_NEAREST] = {"nearest", NULL, 0},
    [LUN_BOX] = {"box", box, 0.5},
    [LUN_BILINEAR] = {"bilinear", bilinear, 1.0},
    [LUN_HAMMING] = {"hamming", hamming, 1.0},
    [LUN_BICUBIC] = {"bicubic", bicubic, 2.0},
    [LUN_LANCZOS] = {"lanczos", lanczos, 3.0},
};
enum { FILTERS = sizeof filters / sizeof *filters };

int lun_filter_find(const char *name) {
  for (int i = 0; i < FILTERS; i++)
    if (strcmp(filters[i].name, name) == 0) return i;
  return -1;
}

const char *lun_filter_name(int filter) {
  return filter >= 0 && filter < FILTERS ? filters[filter].name : NULL;
}

/* ---- weights of one axis ------------------------------------------------ */

/* Output i is the sum over k < count[i] of w[i * most + k] times input
** first[i] + k. */
typedef struct axis {
  int n;    /* outputs */
  int most; /* weights kept per output */
  int *first, *count;
  double *w;
  int32_t *fixed; /* w in fixed point */
} axis;

static void axis_free(axis *a) {
  lun_free(a->first);
  lun_free(a->w);
  memset(a, 0, sizeof *a);
}

/* One allocation for the integers (first, count, fixed), one for the rest. */
static int axis_room(axis *a, int n, int most, lun_err *err) {
  size_t cells = (size_t)n * (size_t)most;
  memset(a, 0, sizeof *a);
  a->n = n;
  a->most = most;
  a->first = lun_malloc((2 * (size_t)n + cells) * sizeof(int32_t));
  a->w = lun_malloc(cells * sizeof(double));
  if (!a->first || !a->w) {
    axis_free(a);
    return lun_fail(err, LUN_ENOMEM, "no memory for %zu resize weights", cells);
  }
  a->count = a->first + n;
  a->fixed = a->count + n;
  return LUN_OK;
}

/* Weights of one output pixel, around `center`. */
static void axis_fill(axis *a, int i, int in, double center, double widen,
                      lun_filter filter) {
  double support = filters[filter].support * widen;
  double *w = a->w + (size_t)i * (size_t)a->most, sum = 0.0;
  double inverse = 1.0 / widen;
  int from = (int)(center - support + 0.5);
  int to = (int)(center + support + 0.5);
  if (from < 0) from = 0;
  if (to > in) to = in;
  for (int k = 0; k < to - from; k++) {
    w[k] = filters[filter].at((k + from - center + 0.5) * inverse);
    sum += w[k];
  }
  for (int k = 0; k < to - from && sum != 0.0; k++) w[k] /= sum;
  a->first[i] = from;
  a->count[i] = to - from;
}

static void axis_fix(axis *a) {
  for (int i = 0; i < a->n; i++) {
    for (int k = 0; k < a->count[i]; k++) {
      size_t at = (size_t)i * (size_t)a->most + (size_t)k;
      double w = a->w[at] * (1 << BITS);
      a->fixed[at] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
  }
}

/* `out` outputs over the inputs from x0 to x1 of a line of `in`. */
static int axis_new(axis *a, int in, double x0, double x1, int out,
                    lun_filter filter, lun_err *err) {
  double scale = (x1 - x0) / out;
  double widen = scale < 1.0 ? 1.0 : scale;
  int most = (int)ceil(filters[filter].support * widen) * 2 + 1;
  LUN_TRY(axis_room(a, out, most, err));
  for (int i = 0; i < out; i++)
    axis_fill(a, i, in, x0 + (i + 0.5) * scale, widen, filter);
  axis_fix(a);
  return LUN_OK;
}

/* ---- 8-bit pictures ----------------------------------------------------- */

static uint8_t to_byte(int32_t sum) {
  sum >>= BITS; /* arithmetic shift: rounds down, as the reference does */
  return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* Row `in` (RGB) to row `out` (RGB). */
static void across(uint8_t *out, const uint8_t *in, const axis *a) {
  for (int i = 0; i < a->n; i++, out += 3) {
    const int32_t *w = a->fixed + (size_t)i * (size_t)a->most;
    const uint8_t *p = in + 3 * (size_t)a->first[i];
    int32_t r = 1 << (BITS - 1), g = r, b = r;
    for (int k = 0; k < a->count[i]; k++, p += 3) {
      r += p[0] * w[k];
      g += p[1] * w[k];
      b += p[2] * w[k];
    }
    out[0] = to_byte(r);
    out[1] = to_byte(g);
    out[2] = to_byte(b);
  }
}

/* Rows of `im` to row i of the output; `sum` has room for one row. */
static void down(uint8_t *out, const lun_image *im, const axis *a, int i,
                 int32_t *sum) {
  size_t n = 3 * (size_t)im->width;
  const int32_t *w = a->fixed + (size_t)i * (size_t)a->most;
  for (size_t x = 0; x < n; x++) sum[x] = 1 << (BITS - 1);
  for (int k = 0; k < a->count[i]; k++) {
    const uint8_t *p = im->px + n * (size_t)(a->first[i] + k);
    for (size_t x = 0; x < n; x++) sum[x] += p[x] * w[k];
  }
  for (size_t x = 0; x < n; x++) out[x] = to_byte(sum[x]);
}

/* im with every row resampled; height stays. */
static int resize_rows(lun_image **out, const lun_image *im, const axis *a,
                       lun_err *err) {
  LUN_TRY(lun_image_new(out, a->n, im->height, err));
  for (int y = 0; y < im->height; y++)
    across((*out)->px + 3 * (size_t)y * (size_t)a->n,
           im->px + 3 * (size_t)y * (size_t)im->width, a);
  return LUN_OK;
}

static int resize_columns(lun_image **out, const lun_image *im, const axis *a,
                          lun_err *err) {
  size_t n = 3 * (size_t)im->width;
  int32_t *sum = lun_malloc(n * sizeof *sum);
  int st = sum ? lun_image_new(out, im->width, a->n, err)
               : lun_fail(err, LUN_ENOMEM, "no memory for a row of %zu", n);
  for (int i = 0; i < a->n && st == LUN_OK; i++)
    down((*out)->px + n * (size_t)i, im, a, i, sum);
  lun_free(sum);
  return st;
}

static int resize_smooth(lun_image **out, const lun_image *im, int width,
                         int height, lun_filter filter, const double *b,
                         lun_err *err) {
  int wide = width != im->width || b[0] != 0 || b[2] != width;
  int tall = height != im->height || b[1] != 0 || b[3] != height;
  lun_image *middle = NULL;
  axis a = {0};
  int st = LUN_OK;
  if (!wide && !tall) return lun_image_crop(out, im, 0, 0, width, height, err);
  if (wide) {
    LUN_TRY(axis_new(&a, im->width, b[0], b[2], width, filter, err));
    st = resize_rows(tall ? &middle : out, im, &a, err);
    axis_free(&a);
  }
  if (st == LUN_OK && tall) {
    st = axis_new(&a, im->height, b[1], b[3], height, filter, err);
    if (st == LUN_OK) st = resize_columns(out, wide ? middle : im, &a, err);
    axis_free(&a);
  }
  lun_image_free(middle);
  return st;
}

/* Input index for each output; the position is summed up step by step, as
** the reference does, since the rounding decides ties. */
static void nearest_table(int *table, int n, int in, double x0, double x1) {
  double step = (x1 - x0) / n, at = x0 + step * 0.5;
  for (int i = 0; i < n; i++, at += step) {
    int x = (int)at;
    table[i] = x < 0 ? 0 : x >= in ? in - 1 : x;
  }
}

static int resize_nearest(lun_image **out, const lun_image *im, int width,
                          int height, const double *b, lun_err *err) {
  int *xs = lun_malloc((size_t)(width + height) * sizeof *xs);
  int *ys = xs + width;
  int st;
  if (!xs) return lun_fail(err, LUN_ENOMEM, "no memory to resize a picture");
  nearest_table(xs, width, im->width, b[0], b[2]);
  nearest_table(ys, height, im->height, b[1], b[3]);
  st = lun_image_new(out, width, height, err);
  for (int y = 0; y < height && st == LUN_OK; y++) {
    const uint8_t *row = im->px + 3 * (size_t)ys[y] * (size_t)im->width;
    uint8_t *to = (*out)->px + 3 * (size_t)y * (size_t)width;
    for (int x = 0; x < width; x++) memcpy(to + 3 * x, row + 3 * xs[x], 3);
  }
  lun_free(xs);
  return st;
}

static int check_target(int width, int height, int filter, lun_err *err) {
  if (filter < 0 || filter >= FILTERS)
    return lun_fail(err, LUN_EARG, "resize: no filter %d", filter);
  if (width < 1 || height < 1 || width > LUN_IMAGE_SIDE ||
      height > LUN_IMAGE_SIDE)
    return lun_fail(err, LUN_EARG,
                    "resize to %d x %d pixels: 1 to %d a side are allowed",
                    width, height, LUN_IMAGE_SIDE);
  return LUN_OK;
}

int lun_image_resize(lun_image **out, const lun_image *im, int width,
                     int height, lun_filter filter, const double *part,
                     lun_err *err) {
  double all[4] = {0, 0, im->width, im->height};
  const double *b = part ? part : all;
  *out = NULL;
  LUN_TRY(check_target(width, height, (int)filter, err));
  if (!(b[0] >= 0 && b[1] >= 0 && b[2] <= im->width && b[3] <= im->height &&
        b[0] < b[2] && b[1] < b[3]))
    return lun_fail(err, LUN_EARG,
                    "resize: box (%g, %g, %g, %g) is empty or leaves the "
                    "picture of %d x %d",
                    b[0], b[1], b[2], b[3], im->width, im->height);
  return filter == LUN_NEAREST
             ? resize_nearest(out, im, width, height, b, err)
             : resize_smooth(out, im, width, height, filter, b, err);
}

int lun_image_crop(lun_image **out, const lun_image *im, int x, int y,
                   int width, int height, lun_err *err) {
  *out = NULL;
  if (x < 0 || y < 0 || width < 1 || height < 1 || width > im->width - x ||
      height > im->height - y)
    return lun_fail(err, LUN_EARG,
                    "crop: %d x %d pixels from (%d, %d) leave the picture of "
                    "%d x %d",
                    width, height, x, y, im->width, im->height);
  LUN_TRY(lun_image_new(out, width, height, err));
  for (int i = 0; i < height; i++)
    memcpy((*out)->px + 3 * (size_t)i * (size_t)width,
           im->px + 3 * ((size_t)(y + i) * (size_t)im->width + (size_t)x),
           3 * (size_t)width);
  return LUN_OK;
}

/* ---- float planes ------------------------------------------------------- */

/* Line `in` (elements `step` apart) to line `out` (likewise `ostep`). */
static void line(float *out, size_t ostep, const float *in, size_t step,
                 const axis *a) {
  for (int i = 0; i < a->n; i++) {
    const double *w = a->w + (size_t)i * (size_t)a->most;
    double sum = 0.0;
    for (int k = 0; k < a->count[i]; k++)
      sum += (double)in[(size_t)(a->first[i] + k) * step] * w[k];
    out[(size_t)i * ostep] = (float)sum;
  }
}

static int map_nearest(float *out, int width, int height, const float *map,
                       int w, int h, lun_err *err) {
  int *xs = lun_malloc((size_t)(width + height) * sizeof *xs);
  if (!xs) return lun_fail(err, LUN_ENOMEM, "no memory to resize a map");
  nearest_table(xs, width, w, 0, w);
  nearest_table(xs + width, height, h, 0, h);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      *out++ = map[(size_t)xs[width + y] * (size_t)w + (size_t)xs[x]];
  lun_free(xs);
  return LUN_OK;
}

int lun_map_resize(float *out, int width, int height, const float *map, int w,
                   int h, lun_filter filter, lun_err *err) {
  axis ax = {0}, ay = {0};
  float *middle;
  int st;
  LUN_TRY(check_target(width, height, (int)filter, err));
  if (w < 1 || h < 1)
    return lun_fail(err, LUN_EARG, "resize: a map of %d x %d", w, h);
  if (filter == LUN_NEAREST)
    return map_nearest(out, width, height, map, w, h, err);
  middle = lun_malloc((size_t)width * (size_t)h * sizeof *middle);
  st = middle ? LUN_OK : lun_fail(err, LUN_ENOMEM, "no memory to resize a map");
  if (st == LUN_OK) st = axis_new(&ax, w, 0, w, width, filter, err);
  if (st == LUN_OK) st = axis_new(&ay, h, 0, h, height, filter, err);
  for (int y = 0; y < h && st == LUN_OK; y++)
    line(middle + (size_t)y * (size_t)width, 1, map + (size_t)y * (size_t)w, 1,
         &ax);
  for (int x = 0; x < width && st == LUN_OK; x++)
    line(out + x, (size_t)width, middle + x, (size_t)width, &ay);
  axis_free(&ax);
  axis_free(&ay);
  lun_free(middle);
  return st;
}
