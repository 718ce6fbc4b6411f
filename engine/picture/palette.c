/*
** palette.c - a picture in at most 256 colours, for formats that have no more.
**
** The colours of a photograph are counted in 32^3 cells.  The box of all cells
** is cut in two where that leaves the least squared error, then the worst of
** the boxes, until there are 256 (Wu 1991, by sorting in place of moments).  A
** box's colour is its mean.  What a pixel loses goes to those after it
** (Floyd & Steinberg 1976).
*/
#include "palette.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 5, CELLS = 1 << 3 * BITS };

/* Pixels of one cell: how many, their sum a channel, and of their squares. */
typedef struct {
  double n, sum[3], squares;
  int key; /* what it is sorted by */
} cell;

static int place(const uint8_t *px) {
  const int drop = 8 - BITS;
  return (px[0] >> drop) << 2 * BITS | (px[1] >> drop) << BITS | px[2] >> drop;
}

/* ---- few colours: themselves --------------------------------------------- */

enum { SLOTS = 1024 }; /* of a hash table that 256 entries leave mostly empty */

static int few(lun_palette *p, uint8_t *at, const lun_image *im) {
  const size_t n = (size_t)im->width * (size_t)im->height;
  int32_t colour[SLOTS];
  uint8_t index[SLOTS];
  memset(colour, -1, sizeof colour);
  p->count = 0;
  for (size_t i = 0; i < n; i++) {
    const uint8_t *px = im->px + 3 * i;
    const int32_t v = px[0] << 16 | px[1] << 8 | px[2];
    uint32_t slot = ((uint32_t)v * 2654435761u) >> 22;
    while (colour[slot] >= 0 && colour[slot] != v) slot = (slot + 1) % SLOTS;
    if (colour[slot] < 0) {
      if (p->count == LUN_PALETTE) return 0;
      colour[slot] = v;
      index[slot] = (uint8_t)p->count;
      memcpy(p->rgb[p->count++], px, 3);
    }
    at[i] = index[slot];
  }
  return 1;
}

/* ---- many: boxes of cells ------------------------------------------------ */

/* Cells first .. last-1 of the list; error: squared distance from their mean. */
typedef struct {
  int first, last;
  cell all;
  double error;
} box;

static void add(cell *to, const cell *c) {
  to->n += c->n;
  to->squares += c->squares;
  for (int k = 0; k < 3; k++) to->sum[k] += c->sum[k];
}

static double error_of(const cell *c) {
  double square = 0;
  for (int k = 0; k < 3; k++) square += c->sum[k] * c->sum[k];
  return c->n > 0 ? c->squares - square / c->n : 0;
}

static box box_of(const cell *list, int first, int last) {
  box b = {.first = first, .last = last};
  for (int i = first; i < last; i++) add(&b.all, list + i);
  b.error = last - first > 1 ? error_of(&b.all) : 0;
  return b;
}

static int by_key(const void *a, const void *b) {
  const cell *x = a, *y = b;
  return (x->key > y->key) - (x->key < y->key);
}

/* Sorts the box's cells along a channel.  The key tells every cell from every
** other, so that the order never depends on the sort. */
static void sort_along(cell *list, const box *b, int channel) {
  for (int i = b->first; i < b->last; i++) {
    const cell *c = list + i;
    int at[3];
    for (int k = 0; k < 3; k++) at[k] = (int)(c->sum[k] / c->n) >> (8 - BITS);
    list[i].key = at[channel] << 2 * BITS | at[(channel + 1) % 3] << BITS |
                  at[(channel + 2) % 3];
  }
  qsort(list + b->first, (size_t)(b->last - b->first), sizeof *list, by_key);
}

/* Where to cut the sorted cells; *error: what remains on both sides. */
static int best_cut(const cell *list, const box *b, double *error) {
  cell left = {0, {0, 0, 0}, 0, 0};
  int best = b->first + 1;
  *error = HUGE_VAL;
  for (int i = b->first; i < b->last - 1; i++) {
    cell right = b->all;
    double sum;
    add(&left, list + i);
    right.n -= left.n;
    right.squares -= left.squares;
    for (int k = 0; k < 3; k++) right.sum[k] -= left.sum[k];
    sum = error_of(&left) + error_of(&right);
    if (sum >= *error) continue;
    *error = sum;
    best = i + 1;
  }
  return best;
}

/* Cuts a box along the channel that leaves least; b keeps the first part. */
static box cut(cell *list, box *b) {
  int channel = 0, at;
  double least = HUGE_VAL, error;
  for (int k = 0; k < 3; k++) {
    sort_along(list, b, k);
    best_cut(list, b, &error);
    if (error >= least) continue;
    least = error;
    channel = k;
  }
  sort_along(list, b, channel);
  at = best_cut(list, b, &error);
  {
    box rest = box_of(list, at, b->last);
    *b = box_of(list, b->first, at);
    return rest;
  }
}

/* The cells of the picture that have pixels; their number. */
static int count_cells(cell *list, const lun_image *im) {
  const size_t n = (size_t)im->width * (size_t)im->height;
  int used = 0;
  for (size_t i = 0; i < n; i++) {
    const uint8_t *px = im->px + 3 * i;
    cell *c = list + place(px);
    c->n++;
    for (int k = 0; k < 3; k++) {
      c->sum[k] += px[k];
      c->squares += px[k] * px[k];
    }
  }
  for (int i = 0; i < CELLS; i++)
    if (list[i].n > 0) list[used++] = list[i];
  return used;
}

static void choose(lun_palette *p, cell *list, const lun_image *im) {
  box boxes[LUN_PALETTE];
  int n = 1;
  boxes[0] = box_of(list, 0, count_cells(list, im));
  while (n < LUN_PALETTE) {
    box *worst = boxes;
    for (int i = 1; i < n; i++)
      if (boxes[i].error > worst->error) worst = boxes + i;
    if (worst->error <= 0) break;
    boxes[n] = cut(list, worst);
    n++;
  }
  p->count = n;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < 3; k++)
      p->rgb[i][k] = (uint8_t)(boxes[i].all.sum[k] / boxes[i].all.n + 0.5);
}

/* ---- pixels --------------------------------------------------------------- */

enum { FINE = 6, NEAR = 1 << 3 * FINE }; /* cells that share a nearest colour */

static int nearest(const lun_palette *p, const int *v) {
  int best = 0, least = 1 << 30;
  for (int i = 0; i < p->count; i++) {
    int far = 0;
    for (int k = 0; k < 3; k++)
      far += (v[k] - p->rgb[i][k]) * (v[k] - p->rgb[i][k]);
    if (far < least) {
      least = far;
      best = i;
    }
  }
  return best;
}

/* The same of the middle of the cell that v lies in, looked up in `known`. */
static int nearest_known(const lun_palette *p, int16_t *known, const int *v) {
  const int drop = 8 - FINE, half = 1 << (drop - 1);
  const int at = v[0] >> drop << 2 * FINE | v[1] >> drop << FINE | v[2] >> drop;
  if (known[at] < 0) {
    int middle[3];
    for (int k = 0; k < 3; k++) middle[k] = (v[k] >> drop << drop) + half;
    known[at] = (int16_t)nearest(p, middle);
  }
  return known[at];
}

/* One row, errors (sixteenths, three a pixel, one pixel of margin on either
** side) taken from `now` and given to it and to `next`; step -1: from the right. */
static void diffuse(const lun_palette *p, int16_t *known, uint8_t *at,
                    const uint8_t *px, int width, int step, int *now,
                    int *next) {
  for (int i = 0, x = step > 0 ? 0 : width - 1; i < width; i++, x += step) {
    int *here = now + 3 * (x + 1), *below = next + 3 * (x + 1), v[3];
    for (int k = 0; k < 3; k++) {
      v[k] = px[3 * x + k] + (here[k] + 8 * (here[k] > 0 ? 1 : -1)) / 16;
      v[k] = v[k] < 0 ? 0 : v[k] > 255 ? 255 : v[k];
    }
    at[x] = (uint8_t)nearest_known(p, known, v);
    for (int k = 0; k < 3; k++) {
      const int e = v[k] - p->rgb[at[x]][k];
      here[3 * step + k] += 7 * e;
      below[-3 * step + k] += 3 * e;
      below[k] += 5 * e;
      below[3 * step + k] += e;
    }
  }
}

int lun_image_quantise(lun_palette *p, uint8_t *at, const lun_image *im,
                       lun_err *err) {
  const size_t row = 3 * ((size_t)im->width + 2);
  cell *list;
  int16_t *known;
  int *errors;
  if (few(p, at, im)) return LUN_OK;
  list = lun_calloc(CELLS, sizeof *list);
  known = lun_malloc(NEAR * sizeof *known);
  errors = lun_calloc(2 * row, sizeof *errors);
  if (list && known && errors) {
    choose(p, list, im);
    memset(known, -1, NEAR * sizeof *known);
    for (int y = 0; y < im->height; y++) {
      int *now = errors + (y & 1 ? row : 0), *next = errors + (y & 1 ? 0 : row);
      const size_t from = (size_t)y * (size_t)im->width;
      memset(next, 0, row * sizeof *next);
      diffuse(p, known, at + from, im->px + 3 * from, im->width, y & 1 ? -1 : 1,
              now, next);
    }
  }
  lun_free(errors);
  lun_free(known);
  lun_free(list);
  if (list && known && errors) return LUN_OK;
  return lun_fail(err, LUN_ENOMEM, "no memory to choose a picture's colours");
}
