/*
** test_ops_gradients.c - every operator's true gradient against central
** differences of its forward, in every input that is differentiable, with two
** gradient copies at once.
**
** With the loss L = sum dy y: (L(x + h) - L(x - h)) / 2h, summed in double; h = 0.004 is below a third of the smallest gap between
** input values (see opcase.h), so no kink lies within it.  The forward is
** float32: its rounding, about 1e-7 L / h, and the third derivative's h^2 / 6
** stay under 2e-3 of the largest gradient; a wrong factor, sign or index does
** not.
*/
#include "opcase.h"
#include "oprows.h"

static const double STEP = 0.004, TOLERANCE = 2e-3;
enum { COPIES = 2 };

static double loss(const opcase *c, const float *dy) {
  double sum = 0;
  for (int64_t i = 0; i < c->n.out->size; i++)
    sum += (double)dy[i] * (double)c->n.out->data[i];
  return sum;
}

/* Central difference in element e of input i, for each copy of dy. */
static void difference(opcase *c, int i, int64_t e, const float *dy,
                       double *out) {
  float *x = &c->n.in[i]->data[e], keep = *x;
  float up = keep + (float)STEP, down = keep - (float)STEP;
  double high[COPIES];
  *x = up;
  c->n.op->forward(&c->n, &c->err);
  for (int k = 0; k < COPIES; k++) high[k] = loss(c, dy + k * c->n.out->size);
  *x = down;
  c->n.op->forward(&c->n, &c->err);
  for (int k = 0; k < COPIES; k++)
    out[k] = (high[k] - loss(c, dy + k * c->n.out->size)) /
             ((double)up - (double)down);
  *x = keep;
}

/* Largest error of input i's gradient g, relative to the largest gradient. */
static double worst(opcase *c, int i, const float *g, const float *dy) {
  int64_t size = c->n.in[i]->size;
  double off = 0, top = 1;
  for (int64_t e = 0; e < size; e++) {
    double d[COPIES];
    difference(c, i, e, dy, d);
    for (int k = 0; k < COPIES; k++) {
      double away = fabs(d[k] - (double)g[k * size + e]);
      if (fabs(d[k]) > top) top = fabs(d[k]);
      if (!(away <= off)) off = away;
    }
  }
  c->n.op->forward(&c->n, &c->err);
  return off / top;
}

/* Positions and conditions have no gradient: it must be 0 throughout. */
static int all_zero(const float *g, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (g[i] != 0) return 0;
  return 1;
}

/* Asked for alone, an input's gradient has the bits that it has beside the
** others'. */
static void each_alone(opcase *c, const char *what, float *const *all,
                       const float *dy) {
  for (int i = 0; i < c->n.nin; i++) {
    float *dx[LUN_MAXIN] = {NULL};
    size_t count = all[i] ? COPIES * (size_t)c->n.in[i]->size : 0;
    if (!all[i]) continue;
    dx[i] = lun_malloc(count * sizeof(float));
    for (size_t k = 0; k < count; k++) dx[i][k] = 7.5f;
    CHECK(opcase_back(c, "plain", 0, COPIES, dy, dx) == LUN_OK, "%s: %s", what,
          c->err.msg);
    CHECK(memcmp(dx[i], all[i], count * sizeof(float)) == 0,
          "%s: input %d alone has another gradient", what, i + 1);
    lun_free(dx[i]);
  }
}

static void run(const char *op, const char *attrs, const char *inputs) {
  opcase c;
  float *dx[LUN_MAXIN] = {NULL}, *dy = NULL;
  int ok = opcase_open(&c, op, attrs, inputs);
  CHECK(ok, "%s {%s} on %s: %s", op, attrs, inputs, c.err.msg);
  if (!ok) {
    opcase_close(&c);
    return;
  }
  dy = lun_malloc(COPIES * (size_t)c.n.out->size * sizeof *dy);
  opcase_fill(dy, COPIES * c.n.out->size, ' ', 0, 99);
  for (int i = 0; i < c.n.nin; i++) {
    if (!c.n.in[i]) continue;
    size_t count = COPIES * (size_t)c.n.in[i]->size;
    dx[i] = lun_malloc(count * sizeof(float));
    for (size_t k = 0; k < count; k++)
      dx[i][k] = 7.5f; /* must be overwritten */
  }
  CHECK(opcase_back(&c, "plain", 0, COPIES, dy, dx) == LUN_OK, "%s: %s", op,
        c.err.msg);
  each_alone(&c, op, dx, dy);
  for (int i = 0; i < c.n.nin; i++) {
    if (!dx[i]) continue;
    if (c.kind[i] == 'b' || c.kind[i] == 'i') {
      CHECK(all_zero(dx[i], COPIES * c.n.in[i]->size),
            "%s {%s} on %s: input %d", op, attrs, inputs, i + 1);
    } else {
      double off = worst(&c, i, dx[i], dy);
      CHECK(off < TOLERANCE, "%s {%s} on %s: input %d is off by %g", op, attrs,
            inputs, i + 1, off);
    }
    lun_free(dx[i]);
  }
  lun_free(dy);
  opcase_close(&c);
}

/* lun_op_shape says what lun_apply makes, and reads no value: positions too may
** still be unknown. */
static void shape_without_values(const oprow *r) {
  opcase c;
  lun_var in[LUN_MAXIN] = {{NULL, -1}};
  int64_t dim[LUN_MAXDIM] = {0};
  int nd = 0, same;
  if (!opcase_open(&c, r->op, r->attrs, r->inputs)) return;
  for (int i = 0; i < c.n.nin; i++) {
    const lun_tensor *t = c.n.in[i];
    in[i] = (lun_var){NULL, -1};
    if (t) lun_tensor_deferred(&in[i].t, t->ndim, t->dim, &c.err);
  }
  CHECK(lun_op_shape(c.n.op, in, c.n.nin, c.n.attr, NULL, &nd, dim, &c.err) ==
            LUN_OK,
        "%s {%s}: %s", r->op, r->attrs, c.err.msg);
  same = nd == c.n.out->ndim;
  for (int d = 0; d < nd && same; d++) same = dim[d] == c.n.out->dim[d];
  CHECK(same, "%s {%s} on %s: another shape", r->op, r->attrs, r->inputs);
  for (int i = 0; i < c.n.nin; i++) lun_tensor_release(in[i].t);
  opcase_close(&c);
}

/* Layers of no picture: nothing comes to what they read, and that
** is written. */
static void gradients_of_nothing_are_zero(const char *op, const char *inputs) {
  enum { ROOM = 256 };
  opcase c;
  float room[3][ROOM], nothing[1] = {NAN}, *dx[3] = {room[0], room[1], room[2]};
  for (int i = 0; i < 3 * ROOM; i++) room[i / ROOM][i % ROOM] = NAN;
  if (!opcase_open(&c, op, "", inputs) || c.n.out->size) {
    CHECK(0, "%s on %s: %s", op, inputs, c.err.msg);
    opcase_close(&c);
    return;
  }
  CHECK(opcase_back(&c, "plain", 0, 1, nothing, dx) == LUN_OK, "%s: %s", op,
        c.err.msg);
  for (int k = 0; k < 3; k++) {
    const int64_t n = c.n.in[k]->size;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs((double)dx[k][i]);
    CHECK(n < ROOM && sum == 0, "%s, input %d: %g", op, k + 1, sum);
    CHECK(isnan(dx[k][n]), "%s, input %d: one too many", op, k + 1);
  }
  opcase_close(&c);
}

/* The table leaves nobody out. */
static void every_operator_is_tested(void) {
  for (int i = 0; lun_op_at(i); i++) {
    int seen = 0;
    for (int r = 0; r < OPROWS; r++)
      seen |= strcmp(oprows[r].op, lun_op_at(i)->name) == 0;
    CHECK(seen, "%s has no gradient test", lun_op_at(i)->name);
  }
}

int main(void) {
  TESTS {
    for (int r = 0; r < OPROWS; r++)
      TEST(run(oprows[r].op, oprows[r].attrs, oprows[r].inputs));
    for (int r = 0; r < OPROWS; r++) TEST(shape_without_values(&oprows[r]));
    TEST(gradients_of_nothing_are_zero("conv2d", "0,3,5,5|4,3,2,2|4"));
    TEST(
        gradients_of_nothing_are_zero("conv_transpose2d", "0,3,5,5|3,4,2,2|4"));
    TEST(gradients_of_nothing_are_zero("linear", "0,6|4,6|4"));
    TEST(every_operator_is_tested());
  }
  DONE("ops: gradients");
}
