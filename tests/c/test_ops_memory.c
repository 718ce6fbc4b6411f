/*
** test_ops_memory.c - every operator, forward and backward, with an allocator
** that refuses the first, the second, the third ... request: LUN_ENOMEM with a
** message, and afterwards not a block more than before.  And: results have the
** same bits for any number of threads.
*/
#include "opcase.h"
#include "oprows.h"

/* Everything of one case; memory may run out anywhere. */
static int attempt(const oprow *r, lun_err *err) {
  opcase c;
  float *dx[LUN_MAXIN] = {NULL}, *dy = NULL;
  int status, ok = opcase_open(&c, r->op, r->attrs, r->inputs);
  status = c.status;
  if (ok) dy = lun_calloc(2 * (size_t)c.n.out->size + 1, sizeof *dy);
  if (ok && !dy) status = LUN_ENOMEM;
  for (int i = 0; i < c.n.nin && status == LUN_OK; i++) {
    if (!c.n.in[i]) continue;
    dx[i] = lun_malloc(2 * (size_t)c.n.in[i]->size * sizeof(float) + 1);
    if (!dx[i]) status = LUN_ENOMEM;
  }
  if (status == LUN_OK) status = opcase_back(&c, "plain", 0, 2, dy, dx);
  for (int i = 0; i < LUN_MAXIN; i++) lun_free(dx[i]);
  lun_free(dy);
  *err = c.err;
  opcase_close(&c);
  return status;
}

static void no_refusal_leaks(const oprow *r) {
  size_t base = lun_mem().blocks;
  lun_err err;
  int status = LUN_ENOMEM;
  long n = 0;
  while (status != LUN_OK && n < 200) {
    lun_mem_fail_at(++n);
    status = attempt(r, &err);
    lun_mem_fail_at(0);
    if (status != LUN_OK)
      CHECK(status == LUN_ENOMEM, "%s {%s} at %ld: %d %s", r->op, r->attrs, n,
            status, err.msg);
    CHECK(lun_mem().blocks == base, "%s {%s} at %ld: %zu blocks, were %zu",
          r->op, r->attrs, n, lun_mem().blocks, base);
  }
  CHECK(status == LUN_OK && n > 1, "%s {%s}: %s", r->op, r->attrs, err.msg);
}

/* ---- threads ------------------------------------------------------------ */

/* Larger than one job, so that the pool has something to share. */
static const oprow large[] = {
    {"conv2d", "padding=1,1", "2,16,40,40|24,16,3,3|24"},
    {"conv2d", "stride=2,2 groups=2", "2,8,41,37|6,4,5,5|6"},
    {"linear", "", "3,900|700,900|700"},
    {"linear", "weight_layout=1", "3,900|900,700|700"},
    {"relu", "", "3,200,201"},
    {"gelu", "", "3,200,201"},
    {"add", "", "3,200,201|200,1"},
    {"mul", "", "3,200,201|1"},
    {"sum", "", "3,200,201"},
    {"mean", "dims=2", "3,400,201"},
    {"sum", "dims=2,3", "9,200,201"},
    {"max", "", "3,200,201"},
    {"max_pool2d", "kernel=2,2", "2,7,101,99"},
    {"max_pool2d", "kernel=3,3 stride=2,2 padding=1,1", "2,7,101,99"},
    {"avg_pool2d", "kernel=3,3 stride=2,2 padding=1,1", "2,7,101,99"},
    {"batch_norm", "", "2,9,90,91|9|+9|9|9"},
    {"lrn", "", "2,9,90,91"},
    {"softmax", "", "300,400"},
    {"permute", "dims=3,1,2", "9,90,91"},
    {"concat", "", "2,9,90,91|2,3,90,91"},
    {"pad", "before=0,0,2,2 after=0,0,3,3 mode=1", "2,9,90,91"},
    {"roll", "shift=1,2,3,4", "2,9,90,91"},
    {"interpolate", "size=200,210", "2,5,30,31"},
};

/* Output and gradients, one after the other. */
static float *results(const oprow *r, int64_t *count) {
  opcase c;
  float *dx[LUN_MAXIN] = {NULL}, *all, *dy;
  int64_t n = 0;
  CHECK(opcase_open(&c, r->op, r->attrs, r->inputs), "%s", c.err.msg);
  for (int i = 0; i < c.n.nin; i++) n += 2 * c.n.in[i]->size;
  *count = n + c.n.out->size;
  all = lun_malloc((size_t)*count * sizeof *all);
  dy = lun_malloc(2 * (size_t)c.n.out->size * sizeof *dy);
  lun_random_normal(dy, 2 * c.n.out->size, 5, 0);
  memcpy(all, c.n.out->data, (size_t)c.n.out->size * sizeof *all);
  n = c.n.out->size;
  for (int i = 0; i < c.n.nin; n += 2 * c.n.in[i++]->size) dx[i] = all + n;
  CHECK(opcase_back(&c, "plain", 0, 2, dy, dx) == LUN_OK, "%s", c.err.msg);
  lun_free(dy);
  opcase_close(&c);
  return all;
}

static void bits_do_not_depend_on_threads(const oprow *r) {
  int64_t n = 0, m = 0;
  int before = lun_threads();
  lun_set_threads(1);
  float *one = results(r, &n);
  for (int threads = 2; threads <= 5; threads += 3) {
    lun_set_threads(threads);
    float *many = results(r, &m);
    CHECK(n == m && memcmp(one, many, (size_t)n * sizeof *one) == 0,
          "%s {%s} with %d threads", r->op, r->attrs, threads);
    lun_free(many);
  }
  lun_free(one);
  lun_set_threads(before);
}

/* ---- interruption ------------------------------------------------------- */

static void an_interrupt_stops_a_large_operator(void) {
  opcase c;
  size_t base = lun_mem().blocks;
  opcase_make(&c, "gelu", "", "3,200,201");
  lun_interrupt(1);
  opcase_run(&c);
  lun_interrupt(0);
  CHECK(c.status == LUN_EINTR, "%d", c.status);
  opcase_close(&c);
  CHECK(lun_mem().blocks == base, "%zu", lun_mem().blocks);
}

int main(void) {
  TESTS {
    for (int r = 0; r < OPROWS; r++) TEST(no_refusal_leaks(&oprows[r]));
    for (size_t r = 0; r < sizeof large / sizeof *large; r++)
      TEST(bits_do_not_depend_on_threads(&large[r]));
    TEST(an_interrupt_stops_a_large_operator());
    lun_set_threads(1);
  }
  DONE("ops: memory and threads");
}
