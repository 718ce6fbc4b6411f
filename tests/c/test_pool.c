/*
** test_pool.c - rows of 2x2 maximum pooling in every instruction set, against
** a scalar twin: widths on both sides of every vector, ties, NaN, all gates.
** Arrays are as long as the row, so that the sanitizers see reads beyond it.
*/
#include "../../engine/kernels/simd.h"
#include "check.h"
#include "naive.h"

enum { MOST = 40 };

typedef struct row {
  int64_t len;
  float *top, *low, *y, *dy;
  uint8_t *tap;
} row;

static float *floats(int64_t n) { return malloc((size_t)n * sizeof(float)); }

/* Few different values, so that there are ties; every 13th window has NaNs. */
static row row_new(int64_t len) {
  row r = {len,         floats(2 * len), floats(2 * len),
           floats(len), floats(len),     malloc((size_t)len)};
  for (int64_t i = 0; i < 2 * len; i++) {
    r.top[i] = (float)((i * 7 + len) % 5) - 2;
    r.low[i] = (float)((i * 3 + len) % 4) - 2;
    if (i % 26 == 3) r.top[i] = NAN;
    if (i % 39 == 5) r.low[i] = NAN;
  }
  for (int64_t i = 0; i < len; i++) r.dy[i] = (float)(i % 7) - 3;
  return r;
}

static void row_free(row *r) {
  free(r->top);
  free(r->low);
  free(r->y);
  free(r->dy);
  free(r->tap);
}

/* The winner of a b / c d, read in order: the first maximum, or the last NaN
** of those that nothing larger follows. */
static int winner(const float v[4]) {
  int rows[2] = {0, 2}, best;
  for (int i = 0; i < 2; i++) {
    const float a = v[2 * i], b = v[2 * i + 1];
    if (isnan(b) || b > a) rows[i]++;
  }
  best = rows[0];
  if (isnan(v[rows[1]]) || v[rows[1]] > v[best]) best = rows[1];
  return best;
}

static float window(const row *r, int64_t i, float v[4]) {
  v[0] = r->top[2 * i], v[1] = r->top[2 * i + 1];
  v[2] = r->low[2 * i], v[3] = r->low[2 * i + 1];
  return v[winner(v)];
}

static void forward_is_naive(const lun_simd *isa, row *r) {
  int bad = 0;
  float v[4];
  isa->maxpool2x2(r->top, r->low, r->y, r->tap, r->len);
  for (int64_t i = 0; i < r->len; i++) {
    float want = window(r, i, v);
    bad += r->tap[i] != winner(v);
    bad += !(r->y[i] == want || (isnan(want) && isnan(r->y[i])));
  }
  CHECK(bad == 0, "%s, %d windows: %d wrong", isa->name, (int)r->len, bad);
}

/* kind -1: no gate */
static void backward_is_naive(const lun_simd *isa, const row *r, int kind) {
  lun_gate g = {naive_slopes[kind < 0 ? 0 : kind], r->y, r->len};
  const lun_gate *gate = kind < 0 ? NULL : &g;
  float *top = floats(2 * r->len), *low = floats(2 * r->len);
  int bad = 0;
  isa->maxpool2x2_back(gate, r->dy, r->y, r->tap, top, low, r->len);
  for (int64_t i = 0; i < r->len; i++) {
    const float got[4] = {top[2 * i], top[2 * i + 1], low[2 * i],
                          low[2 * i + 1]};
    float d = naive_gate(gate, i, r->dy[i]);
    for (int t = 0; t < 4; t++) bad += got[t] != (t == r->tap[i] ? d : 0.0f);
  }
  CHECK(bad == 0, "%s, %d windows, gate %d: %d wrong", isa->name, (int)r->len,
        kind, bad);
  free(top);
  free(low);
}

static void every_length_is_naive(void) {
  for (int64_t len = 1; len <= MOST; len++) {
    row r = row_new(len);
    forward_is_naive(lun_simd_now(), &r);
    for (int kind = -1; kind < NAIVE_SLOPES; kind++)
      backward_is_naive(lun_simd_now(), &r, kind);
    row_free(&r);
  }
}

static void every_set_is_naive(void) {
  for (int k = 0; lun_isa_name(k); k++) {
    lun_isa_set(lun_isa_name(k));
    every_length_is_naive();
  }
}

int main(void) {
  TESTS { TEST(every_set_is_naive()); }
  DONE("pool");
}
