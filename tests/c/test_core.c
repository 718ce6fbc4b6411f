/*
** test_core.c - memory, tensors, and the tape: what it keeps,
** and that nothing is left when an allocation is refused anywhere.
*/
#include "tapecase.h"

/* ---- memory ------------------------------------------------------------- */

static void blocks_are_aligned(void) {
  static const size_t sizes[] = {0,    1,    63,      64,           4095,
                                 4096, 4097, 1 << 20, (5 << 20) + 3};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    unsigned char *p = lun_malloc(sizes[i]);
    CHECK(p && (uintptr_t)p % 64 == 0, "%zu bytes at %p", sizes[i], (void *)p);
    if (p) memset(p, 7, sizes[i]); /* all of it is ours */
    lun_free(p);
  }
  lun_free(NULL);
}

static void counts_follow(void) {
  lun_mem_stats a = lun_mem(), b;
  void *p = lun_malloc(10000), *q;
  b = lun_mem();
  CHECK(b.blocks == a.blocks + 1, "%zu", b.blocks);
  CHECK(b.live >= a.live + 10000 && b.live <= a.live + 12000, "%zu", b.live);
  CHECK(b.peak >= b.live, "%zu < %zu", b.peak, b.live);
  lun_free(p);
  CHECK(lun_mem().live == a.live, "%zu", lun_mem().live);
  CHECK(lun_mem().cached >= 10000, "%zu", lun_mem().cached);
  q = lun_malloc(10000); /* the cached block: nothing from the system */
  CHECK(q == p && lun_mem().system == b.system, "%p, %p", q, p);
  lun_free(q);
  lun_mem_reset_peak();
  CHECK(lun_mem().peak == lun_mem().live, "%zu", lun_mem().peak);
  lun_mem_trim();
  CHECK(lun_mem().cached == 0, "%zu", lun_mem().cached);
}

/* Huge pages, of `n`, whose byte there is 7. */
static inline size_t marked(const char *p, size_t n) {
  size_t found = 0;
  for (size_t i = 0; i < n; i++) found += p[i << 21] == 7;
  return found;
}

/* 288 MB were live (145 pages, with a header), so an eighth more may be held, 326 MB: of
** 192 MB (97 pages) beside 288 that are free 158 MB, 79 pages, are moved there, all but
** one of which were written before; then 288 MB again, of such pages alone. */
static void freed_pages_serve_other_sizes(void) {
  const size_t mb = 1 << 20;
  char *a = lun_malloc(288 * mb);
  CHECK(a, "288 MB");
#if !defined(__SANITIZE_ADDRESS__) /* where no block is a mapping */
  size_t asked;
  char *b;
  for (size_t i = 0; a && i < 144; i++) a[i << 21] = 7;
  lun_free(a);
  b = lun_malloc(192 * mb);
  CHECK(b && marked(b, 96) >= 75, "%zu pages moved", b ? marked(b, 96) : 0);
  CHECK(lun_mem().live + lun_mem().cached <= 330 * mb, "%zu held",
        lun_mem().cached);
  for (size_t i = 0; b && i < 96; i++) b[i << 21] = 7;
  lun_free(b);
  asked = lun_mem().system;
  a = lun_malloc(288 * mb);
  CHECK(a && lun_mem().system == asked, "%zu times", lun_mem().system - asked);
  CHECK(a && marked(a, 144) >= 140, "%zu pages", a ? marked(a, 144) : 0);
#endif
  lun_free(a);
  lun_mem_trim();
}

static void impossible_sizes_are_refused(void) {
  CHECK(lun_malloc(SIZE_MAX) == NULL, "SIZE_MAX");
  CHECK(lun_malloc((size_t)PTRDIFF_MAX) == NULL, "PTRDIFF_MAX");
  CHECK(lun_calloc(SIZE_MAX / 2, 4) == NULL, "a product that overflows");
  CHECK(lun_calloc(SIZE_MAX / 16, SIZE_MAX / 16) == NULL, "almost its square");
}

static void the_soft_limit_is_told(void) {
  size_t before = lun_mem_limit(), live = lun_mem().live;
  lun_mem_set_limit(live + 1000);
  CHECK(lun_mem_limit() == live + 1000, "%zu", lun_mem_limit());
  CHECK(!lun_mem_over(1000) && lun_mem_over(1001), "limit %zu", live + 1000);
  lun_mem_set_limit(0);
  CHECK(!lun_mem_over(SIZE_MAX / 2), "no limit");
  lun_mem_set_limit(before);
}

static void the_nth_allocation_fails(void) {
  void *p, *q, *r;
  lun_mem_fail_at(2);
  p = lun_malloc(10);
  q = lun_malloc(10);
  r = lun_malloc(10);
  CHECK(p && !q && r, "%p %p %p", p, q, r);
  lun_mem_fail_at(0);
  lun_free(p);
  lun_free(r);
}

/* ---- tensors ------------------------------------------------------------ */

static void shapes_are_checked(void) {
  lun_err err;
  lun_tensor *t;
  int64_t huge[3] = {1 << 30, 1 << 30, 1 << 30}, minus[1] = {-1},
          empty[2] = {3, 0}, seven[7] = {1, 1, 1, 1, 1, 1, 1};
  char text[LUN_SHAPETEXT], tiny[6];
  CHECK(lun_tensor_new(&t, 0, seven, &err) == LUN_ESHAPE && !t, "0 dims");
  CHECK(lun_tensor_new(&t, 7, seven, &err) == LUN_ESHAPE && !t, "7 dims");
  CHECK(lun_tensor_new(&t, 3, huge, &err) == LUN_ESHAPE && !t, "2^90");
  CHECK(strstr(err.msg, "1073741824") != NULL, "%s", err.msg);
  CHECK(lun_tensor_new(&t, 1, minus, &err) == LUN_ESHAPE && !t, "-1");
  CHECK(lun_tensor_zeros(&t, 2, empty, &err) == LUN_OK, "%s", err.msg);
  CHECK(t->size == 0 && t->data, "an empty tensor");
  lun_tensor_release(t);
  lun_shape_text(text, sizeof text, 2, empty);
  CHECK(strcmp(text, "(3, 0)") == 0, "%s", text);
  lun_shape_text(tiny, sizeof tiny, 3, huge); /* cut, ended, in bounds */
  CHECK(strlen(tiny) == 5, "%s", tiny);
}

static void views_share(void) {
  int64_t rows[2] = {1, 4}, flat[1] = {12}, wide[1] = {13};
  lun_err err;
  lun_tensor *t = noise("3,4", 1), *v, *f, *bad;
  CHECK(lun_tensor_view(&v, t, 4, 2, rows, &err) == LUN_OK, "%s", err.msg);
  CHECK(lun_tensor_view(&f, t, 0, 1, flat, &err) == LUN_OK, "%s", err.msg);
  v->data[1] = 42;
  CHECK(f->data[5] >= 42 && f->data[5] <= 42, "the same storage");
  CHECK(lun_tensor_view(&bad, t, 0, 1, wide, &err) == LUN_ESHAPE && !bad,
        "13 of 12");
  CHECK(lun_tensor_view(&bad, t, 9, 2, rows, &err) == LUN_ESHAPE && !bad,
        "past the end");
  CHECK(lun_tensor_view(&bad, t, -1, 2, rows, &err) == LUN_ESHAPE && !bad,
        "before the start");
  lun_tensor_release(t); /* the views keep the storage */
  lun_tensor_release(f);
  CHECK(v->data[1] >= 42, "the last view reads on");
  lun_tensor_release(v);
}

/* A tensor never reaches beyond its storage of 4 floats, wherever it begins. */
static void tensors_stay_inside_their_storage(void) {
  static const struct {
    size_t offset;
    int64_t dim[2];
    int fits;
  } rows[] = {
      {0, {2, 2}, 1},
      {0, {1, 5}, 0},
      {4, {1, 3}, 1},
      {4, {2, 2}, 0},
      {8, {1, 2}, 1},
      {8, {3, 1}, 0},
      {12, {1, 1}, 1},
      {12, {2, 1}, 0},
      {16, {1, 0}, 1},
      {16, {1, 1}, 0},
      {17, {1, 0}, 0},
      {SIZE_MAX - 3, {1, 1}, 0},
      {0, {1, INT64_C(1) << 60}, 0},
      {15, {1, 1}, 0},
      {0, {INT32_MAX, INT32_MAX}, 0},
  };
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    lun_storage *s = lun_calloc(1, sizeof *s);
    lun_tensor *t = NULL;
    lun_err err = {0, ""};
    *s = (lun_storage){.refs = 1, .base = lun_calloc(4, 4), .bytes = 16};
    int status = lun_tensor_over(&t, s, rows[r].offset, 2, rows[r].dim, &err);
    CHECK(status == (rows[r].fits ? LUN_OK : LUN_ESHAPE), "row %d: %d %s",
          (int)r, status, err.msg);
    CHECK((t != NULL) == rows[r].fits, "row %d", (int)r);
    lun_tensor_release(t);
  }
}

static int released;
static void on_release(void *ctx) {
  released++;
  free(ctx);
}

static void foreign_storage_is_released_once(void) {
  int64_t two[1] = {2}, five[1] = {5};
  lun_err err;
  for (int fits = 0; fits <= 1; fits++) {
    lun_storage *s = lun_calloc(1, sizeof *s);
    float *base = malloc(4 * sizeof *base);
    lun_tensor *t;
    *s = (lun_storage){.refs = 1,
                       .base = base,
                       .bytes = 4 * sizeof *base,
                       .release = on_release,
                       .ctx = base};
    released = 0;
    if (fits) {
      CHECK(lun_tensor_over(&t, s, 8, 1, two, &err) == LUN_OK, "%s", err.msg);
      CHECK(t->data == base + 2 && released == 0, "offset");
      lun_tensor_release(t);
    } else {
      CHECK(lun_tensor_over(&t, s, 0, 1, five, &err) == LUN_ESHAPE, "5 of 4");
    }
    CHECK(released == 1, "%d", released);
  }
}

static void random_numbers_are_counted(void) {
  enum { N = 20001 };
  static float a[N], b[N];
  double mean = 0, square = 0;
  lun_random_normal(a, N, 7, 1);
  lun_random_normal(b, 100, 7, 1);
  CHECK(memcmp(a, b, 100 * sizeof *a) == 0, "the length changes nothing");
  lun_random_normal(b, N, 7, 2);
  CHECK(memcmp(a, b, sizeof a) != 0, "streams differ");
  for (int i = 0; i < N; i++) mean += (double)a[i] / N;
  for (int i = 0; i < N; i++) square += (double)a[i] * (double)a[i] / N;
  /* deviations of the estimates: 1/sqrt(N) = 0.007 and sqrt(2/N) = 0.01;
  ** five of them */
  CHECK(fabs(mean) < 0.035 && fabs(square - 1) < 0.05, "%g %g", mean, square);
  lun_random_uniform(a, N, 7, 1);
  mean = 0;
  for (int i = 0; i < N; i++) {
    mean += (double)a[i] / N;
    if (a[i] < 0 || a[i] >= 1) mean = 9;
  }
  CHECK(fabs(mean - 0.5) < 0.0105, "%g", mean); /* 5 / sqrt(12 N) */
}

/* ---- tape --------------------------------------------------------------- */

/* Large shapes: every value block comes from the pool the second time. */
static void large_blocks_come_from_the_pool(void) {
  size_t small = 0;
  for (int round = 0; round < 3; round++) {
    size_t before = lun_mem().system;
    lun_tape *tape;
    lun_tensor *w = noise("8,3,3,3", 2);
    lun_var x, y;
    CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
    x = leaf(tape, "1,3,64,64", 1);
    y = put(tape, "conv2d", x, (lun_var){w, -1}, none);
    for (int i = 0; i < 4; i++) y = put(tape, "tanh", y, none, none);
    lun_tape_release(tape);
    lun_tensor_release(w);
    if (round == 1) small = lun_mem().system - before;
    if (round == 2)
      CHECK(lun_mem().system - before == small, "%zu, %zu",
            lun_mem().system - before, small);
  }
  CHECK(lun_mem().cached >= 4 * 8 * 62 * 62 * sizeof(float), "%zu",
        lun_mem().cached);
}

static void misuse_is_told(void) {
  lun_tape *tape;
  lun_tensor *v, *small = noise("2", 1);
  lun_var x, out, in[2];
  lun_err err;
  CHECK(lun_tape_new(&tape, NULL) == LUN_OK, "tape");
  x = leaf(tape, "2,3", 1);
  in[0] = x;
  in[1] = (lun_var){small, -1};
  CHECK(lun_apply(tape, lun_op_find("conv2d"), in, 2, NULL, "c1", 0, &out,
                  &err) != LUN_OK,
        "a vector is no picture");
  CHECK(strstr(err.msg, "c1") != NULL, "%s", err.msg);
  CHECK(!out.t && lun_tape_count(tape) == 1, "nothing was appended");
  CHECK(lun_apply(tape, lun_op_find("relu"), in, 2, NULL, NULL, 0, &out,
                  &err) == LUN_EARG,
        "two inputs for relu");
  in[0] = none;
  CHECK(lun_apply(tape, lun_op_find("relu"), in, 1, NULL, NULL, 0, &out,
                  &err) == LUN_EARG,
        "no input");
  CHECK(lun_tape_value(tape, 5, &v, &err) == LUN_EARG && !v, "no node 5");
  lun_tape_forget(tape, x.node);
  lun_tape_forget(tape, 99);
  CHECK(lun_tape_value(tape, x.node, &v, &err) == LUN_EARG, "dropped");
  CHECK(strstr(err.msg, "keep") != NULL, "%s", err.msg);
  lun_tape_release(tape);
  lun_tensor_release(small);
}

/* ---- refusals ----------------------------------------------------------- */

/* Forward and backward of a net of every kind of step; fused: the convolution
** waits for the relu, 2: and both for the pooling.  0: done. */
static int whole(int fused) {
  static const char *const chain[] = {"relu", "max_pool2d", "relu", "flatten"};
  lun_tape *tape = NULL;
  lun_walk *walk = NULL;
  lun_tensor *x = noise("2,3,9,9", 1), *w = noise("4,3,3,3", 2), *seed = NULL;
  lun_var v = {x, -1}, in[3];
  double attr[LUN_MAXATTR];
  int status = x && w ? lun_tape_new(&tape, NULL) : LUN_ENOMEM, leaf_id = -1;
  if (status == LUN_OK) status = lun_tape_watch(tape, x, &v.node, NULL);
  leaf_id = v.node;
  if (status == LUN_OK) {
    in[0] = v, in[1] = (lun_var){w, -1};
    status = lun_apply(tape, lun_op_find("conv2d"), in, 2, NULL, "conv",
                       fused ? LUN_DEFER : 0, &v, NULL);
    lun_tensor_release(v.t);
  }
  for (size_t i = 0; status == LUN_OK && i < 4; i++) {
    const lun_op *op = lun_op_find(chain[i]);
    lun_attr_defaults(op, attr);
    if (i == 1) attr[0] = attr[1] = 2; /* kernel */
    in[0] = v;
    status = lun_apply(tape, op, in, 1, attr, NULL,
                       fused == 2 && i == 0 ? LUN_DEFER : 0, &v, NULL);
    lun_tensor_release(v.t);
  }
  if (status == LUN_OK) {
    seed = noise("6,36", 3); /* three copies of (2, 36) */
    status = seed ? lun_walk_new(&walk, tape, v.node, seed, NULL) : LUN_ENOMEM;
  }
  if (status == LUN_OK) status = lun_walk_want(walk, leaf_id, NULL);
  if (status == LUN_OK) status = lun_walk_next(walk, NULL);
  lun_walk_free(walk);
  lun_tape_release(tape);
  lun_tensor_release(seed);
  lun_tensor_release(w);
  lun_tensor_release(x);
  return status;
}

static void no_refusal_leaks(int fused) {
  size_t base = lun_mem().blocks;
  long n = 1;
  int status = LUN_ENOMEM;
  for (; n < 1000 && status != LUN_OK; n++) {
    lun_mem_fail_at(n);
    status = whole(fused);
    lun_mem_fail_at(0);
    CHECK(status == LUN_OK || status == LUN_ENOMEM, "allocation %ld: %d", n,
          status);
    CHECK(lun_mem().blocks == base, "allocation %ld: %zu blocks left", n,
          lun_mem().blocks - base);
  }
  CHECK(status == LUN_OK && n > 20, "%ld allocations", n);
}

static void an_interrupt_unwinds(void) {
  size_t base = lun_mem().blocks;
  int status;
  for (int fused = 0; fused < 3; fused++) {
    lun_interrupt(1);
    status = whole(fused);
    lun_interrupt(0);
    CHECK(status == LUN_EINTR, "%d", status);
    CHECK(lun_mem().blocks == base, "%zu", lun_mem().blocks);
    CHECK(whole(fused) == LUN_OK, "afterwards all is well");
  }
}

static void nothing_is_left(void) {
  size_t base;
  whole(0); /* scratch of the kernels is kept from here on */
  base = lun_mem().blocks;
  no_refusal_leaks(0);
  no_refusal_leaks(1);
  no_refusal_leaks(2);
  an_interrupt_unwinds();
  CHECK(lun_mem().blocks == base, "%zu blocks left", lun_mem().blocks - base);
}

int main(void) {
  TESTS {
    TEST(blocks_are_aligned());
    TEST(counts_follow());
    TEST(freed_pages_serve_other_sizes());
    TEST(impossible_sizes_are_refused());
    TEST(the_soft_limit_is_told());
    TEST(the_nth_allocation_fails());
    TEST(shapes_are_checked());
    TEST(views_share());
    TEST(tensors_stay_inside_their_storage());
    TEST(foreign_storage_is_released_once());
    TEST(random_numbers_are_counted());
    TEST(large_blocks_come_from_the_pool());
    TEST(misuse_is_told());
    TEST(nothing_is_left());
    lun_set_threads(1);
  }
  DONE("core");
}
