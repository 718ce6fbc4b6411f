/*
** opcase.h - running one operator from a line of text: no tape, no walk.
**
**   opcase c;
**   if (opcase_open(&c, "conv2d", "stride=2,1 groups=2", "2,4,7,6|6,2,3,3|6"))
**     ... c.n.out, opcase_back(&c, "plain", 0, 1, dy, dx) ...
**   opcase_close(&c);
**
** Inputs are shapes parted by |.  A shape may be led by + (positive values),
** b (0 or 1), i and a number (whole numbers from 1 to it), or - (a missing
** optional input).  Other values are distinct multiples of a gap, none
** nearer to 0 than half of it, shuffled: no kink is ever close.
*/
#ifndef OPCASE_H
#define OPCASE_H
#include "../../engine/lunette.h"
#include "check.h"

#define OPCASE __attribute__((unused)) static

typedef struct opcase {
  lun_node n;
  char kind[LUN_MAXIN]; /* of each input: ' ', '+', 'b', 'i' */
  lun_err err;
  int status;
} opcase;

/* A small generator, so that values do not depend on the code under test. */
OPCASE unsigned opcase_next(unsigned *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

/* kind ' ': (k + 1/2 + shift) gap around 0, shuffled; '+': 0.4 .. 2.4. */
OPCASE void opcase_fill(float *x, int64_t n, char kind, int top,
                        unsigned seed) {
  unsigned state = seed * 7919u + 17u;
  double gap = n > 40 ? 4.0 / (double)n : 0.1;
  for (int64_t i = 0; i < n; i++) {
    double k = (double)(i - n / 2) + 0.5 + 0.2 * (double)(seed % 2);
    x[i] = (float)(kind == '+' ? 0.4 + 2.0 * ((double)i + 0.5) / (double)n
                               : k * gap);
    if (kind == 'b') x[i] = (float)(opcase_next(&state) & 1);
    if (kind == 'i') x[i] = (float)(1 + opcase_next(&state) % (unsigned)top);
  }
  for (int64_t i = n - 1; i > 0 && (kind == ' ' || kind == '+'); i--) {
    int64_t j = opcase_next(&state) % (i + 1);
    float t = x[i];
    x[i] = x[j];
    x[j] = t;
  }
}

/* One input from its text; returns the text after it. */
OPCASE const char *opcase_input(opcase *c, const char *s) {
  int64_t dim[LUN_MAXDIM];
  int nd = 0, i = c->n.nin++, top = 0;
  char *end;
  c->kind[i] = ' ';
  if (*s == '-') return s[1] == '|' ? s + 2 : s + 1;
  if (*s == '+' || *s == 'b' || *s == 'i') c->kind[i] = *s++;
  if (c->kind[i] == 'i') {
    top = (int)strtol(s, &end, 10);
    s = end + 1;
  }
  for (;; s++) {
    dim[nd++] = strtoll(s, &end, 10);
    s = end;
    if (*s != ',') break;
  }
  c->status = lun_tensor_new(&c->n.in[i], nd, dim, &c->err);
  if (c->status == LUN_OK)
    opcase_fill(c->n.in[i]->data, c->n.in[i]->size, c->kind[i], top,
                (unsigned)i + 1);
  return *s == '|' ? s + 1 : s;
}

/* name=1,2 name=3 */
OPCASE void opcase_attrs(opcase *c, const char *s) {
  lun_attr_defaults(c->n.op, c->n.attr);
  while (*s) {
    size_t len = strcspn(s, "=");
    const lun_attrdef *a = c->n.op->attrs;
    while (a && a->name && (strlen(a->name) != len || strncmp(a->name, s, len)))
      a++;
    if (!a || !a->name) { /* a mistake in the test itself */
      printf("no attribute in '%s'\n", s);
      abort();
    }
    s += len + 1;
    for (int i = 0; i < a->count && *s; i++) {
      char *end;
      c->n.attr[a->at + i] = strtod(s, &end);
      s = end;
      if (*s != ',') break;
      s++;
    }
    if (*s == ' ') s++;
  }
}

/* Makes the inputs only. */
OPCASE int opcase_make(opcase *c, const char *op, const char *attrs,
                       const char *inputs) {
  memset(c, 0, sizeof *c);
  c->n.id = -1;
  c->n.op = lun_op_find(op);
  if (!c->n.op) {
    printf("no operator '%s'\n", op);
    abort();
  }
  opcase_attrs(c, attrs);
  while (*inputs && c->status == LUN_OK) inputs = opcase_input(c, inputs);
  return c->status == LUN_OK;
}

OPCASE int opcase_run(opcase *c) {
  c->status = c->n.op->infer(&c->n, &c->err);
  if (c->status == LUN_OK) c->status = c->n.op->forward(&c->n, &c->err);
  return c->status == LUN_OK;
}

/* Inputs, shapes, values.  The case must be closed in either case. */
OPCASE int opcase_open(opcase *c, const char *op, const char *attrs,
                       const char *inputs) {
  return opcase_make(c, op, attrs, inputs) && opcase_run(c);
}

OPCASE void opcase_close(opcase *c) {
  for (int i = 0; i < LUN_MAXIN; i++) lun_tensor_release(c->n.in[i]);
  lun_tensor_release(c->n.out);
  lun_tensor_release(c->n.aux);
  memset(&c->n, 0, sizeof c->n);
}

OPCASE int opcase_back(opcase *c, const char *rule, double param, int copies,
                       const float *dy, float *const *dx) {
  const lun_rule *r = lun_op_rule(c->n.op, rule, &c->err);
  lun_back b = {.node = &c->n, .copies = copies, .dy = dy, .rule = r};
  if (!r) return LUN_ENAME;
  lun_rule_defaults(r, b.attr);
  if (r->attrs) b.attr[0] = param;
  for (int i = 0; i < c->n.nin; i++) b.dx[i] = dx[i];
  return r->back(&b, &c->err);
}

/* Overwrites input i with literal values. */
OPCASE void opcase_set(opcase *c, int i, const float *v) {
  memcpy(c->n.in[i]->data, v, (size_t)c->n.in[i]->size * sizeof *v);
}

/* Largest difference from literal values; NaN equals NaN. */
OPCASE double opcase_off(const float *got, const float *want, int64_t n) {
  double most = 0;
  for (int64_t i = 0; i < n; i++) {
    double d = fabs((double)got[i] - (double)want[i]);
    if (got[i] != got[i] && want[i] != want[i]) continue;
    if (got[i] == want[i]) continue; /* infinities */
    if (!(d <= most)) most = d != d ? HUGE_VAL : d;
  }
  return most;
}

#endif
