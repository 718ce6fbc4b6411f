/*
** op.c - the table of operators, and what their infer functions share.
*/
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"

static const struct {
  const lun_op *op;
  const char *is;
} table[] = {
#define OP(name, is) {&lun_op_##name, is},
#include "ops.def"
#undef OP
};

enum { COUNT = sizeof table / sizeof *table };

/* ---- the table ---------------------------------------------------------- */

/*
** The operator of that name; NULL when there is none.
*/
const lun_op *lun_op_find(const char *name) {
  for (int i = 0; i < COUNT; i++)
    if (strcmp(table[i].op->name, name) == 0) return table[i].op;
  return NULL;
}

/*
** The i-th operator, from 0; NULL past the end.
*/
const lun_op *lun_op_at(int i) {
  return i >= 0 && i < COUNT ? table[i].op : NULL;
}

/*
** What a layer of that operator is, in the words of ops.def: "activation
** probability".
*/
const char *lun_op_is(const lun_op *op) {
  for (int i = 0; i < COUNT; i++)
    if (table[i].op == op) return table[i].is;
  return "";
}

/*
** A backward rule of `op` by name; NULL (LUN_ENAME, and a message that lists
** the rules there are) when it has no such rule.
*/
const lun_rule *lun_op_rule(const lun_op *op, const char *name, lun_err *err) {
  char list[256] = "";
  size_t used = 0;
  for (const lun_rule *r = op->rules; r && r->name; r++) {
    if (strcmp(r->name, name) == 0) return r;
    int put = snprintf(list + used, sizeof list - used, "%s%s",
                       used ? ", " : "", r->name);
    if (put > 0 && used + (size_t)put < sizeof list) used += (size_t)put;
  }
  lun_fail(err, LUN_ENAME, "op '%s' has no rule '%s'; it has %s", op->name,
           name, used ? list : "none");
  return NULL;
}

static void fill_defaults(const lun_attrdef *defs, double *attr, int slots) {
  for (int i = 0; i < slots; i++) attr[i] = LUN_UNSET;
  for (const lun_attrdef *a = defs; a && a->name; a++)
    for (int i = 0; i < a->count; i++) attr[a->at + i] = a->fallback;
}

/*
** Fills attr[LUN_MAXATTR] with the operator's defaults.
*/
void lun_attr_defaults(const lun_op *op, double *attr) {
  fill_defaults(op->attrs, attr, LUN_MAXATTR);
}

/*
** The parameters of `rule` where none are given; LUN_UNSET in other slots.
*/
void lun_rule_defaults(const lun_rule *rule, double *attr) {
  fill_defaults(rule->attrs, attr, LUN_MAXPARAM);
}

/*
** Sets all slots of the attribute `name` of op to that value.
*/
int lun_attr_set(const lun_op *op, double *attr, const char *name, double value,
                 lun_err *err) {
  for (const lun_attrdef *a = op->attrs; a && a->name; a++) {
    if (strcmp(a->name, name) != 0) continue;
    for (int i = 0; i < a->count; i++) attr[a->at + i] = value;
    return LUN_OK;
  }
  return lun_fail(err, LUN_ENAME, "op '%s' has no attribute '%s'", op->name,
                  name);
}

/* ---- for infer ---------------------------------------------------------- */

/*
** Makes n->out, uninitialised, of that shape; without values when the node is
** deferred.
*/
int lun_node_shape(lun_node *n, int ndim, const int64_t *dim, lun_err *err) {
  if (n->defer) return lun_tensor_deferred(&n->out, ndim, dim, err);
  return lun_tensor_new(&n->out, ndim, dim, err);
}

/*
** Makes n->out a view of n->in[0] with another shape of the same size.
*/
int lun_node_view(lun_node *n, int ndim, const int64_t *dim, lun_err *err) {
  return lun_tensor_view(&n->out, n->in[0], 0, ndim, dim, err);
}

/*
** The node's layer name, or its operator's; a leaf is "input".
*/
const char *lun_node_title(const lun_node *n) {
  if (n->name) return n->name;
  return n->op ? n->op->name : "input";
}

int ops_fail(const lun_node *n, lun_err *err, int code, const char *fmt, ...) {
  char text[256];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (n->name)
    return lun_fail(err, code, "%s '%s': %s", n->op->name, n->name, text);
  return lun_fail(err, code, "%s: %s", n->op->name, text);
}

/* The name under which scripts know slot `at`. */
static const char *slot_name(const lun_node *n, int at) {
  for (const lun_attrdef *a = n->op->attrs; a && a->name; a++)
    if (at >= a->at && at < a->at + a->count) return a->name;
  return "attribute";
}

int ops_int(const lun_node *n, int at, int64_t lo, int64_t hi, int64_t *out,
            lun_err *err) {
  double v = n->attr[at];
  const char *name = slot_name(n, at);
  if (v == LUN_UNSET)
    return ops_fail(n, err, LUN_EARG, "'%s' is missing: %s { %s = ... }", name,
                    n->op->name, name);
  if (!(v >= (double)lo && v <= (double)hi))
    return ops_fail(n, err, LUN_EARG, "'%s' is %g, must be %lld to %lld", name,
                    v, (long long)lo, (long long)hi);
  if (v != floor(v))
    return ops_fail(n, err, LUN_EARG, "'%s' is %g, must be a whole number",
                    name, v);
  *out = (int64_t)v;
  return LUN_OK;
}

int ops_axis(const lun_node *n, int at, int ndim, int *out, lun_err *err) {
  int64_t v = 0;
  LUN_TRY(ops_int(n, at, -ndim, ndim, &v, err));
  if (v == 0)
    return ops_fail(n, err, LUN_EARG, "'%s' is 0; dimensions count from 1",
                    slot_name(n, at));
  *out = (int)(v > 0 ? v - 1 : v + ndim);
  return LUN_OK;
}

int ops_axes(const lun_node *n, int at, int ndim, int flag[LUN_MAXDIM],
             int *given, lun_err *err) {
  memset(flag, 0, LUN_MAXDIM * sizeof *flag);
  *given = 0;
  for (int i = 0; i < LUN_MAXDIM; i++) {
    int axis = 0;
    if (!ops_given(n, at + i)) continue;
    LUN_TRY(ops_axis(n, at + i, ndim, &axis, err));
    flag[axis] = 1;
    ++*given;
  }
  return LUN_OK;
}

int ops_ndim(const lun_node *n, int i, int lo, int hi, lun_err *err) {
  char text[LUN_SHAPETEXT];
  const lun_tensor *t = n->in[i];
  if (t->ndim >= lo && t->ndim <= hi) return LUN_OK;
  lun_shape_text(text, sizeof text, t->ndim, t->dim);
  if (lo == hi)
    return ops_fail(n, err, LUN_ESHAPE, "input %d has shape %s, needs %d dims",
                    i + 1, text, lo);
  return ops_fail(n, err, LUN_ESHAPE,
                  "input %d has shape %s, needs %d to %d dims", i + 1, text, lo,
                  hi);
}

int ops_index(const lun_node *n, int i, int64_t most, lun_err *err) {
  const lun_tensor *t = n->in[i];
  for (int64_t k = 0; t->data && k < t->size; k++) { /* deferred: later */
    float v = t->data[k];
    if (v >= 1 && v <= (float)most && v == floorf(v)) continue;
    return ops_fail(n, err, LUN_EARG,
                    "index %g at position %lld, must be 1 to %lld", (double)v,
                    (long long)k + 1, (long long)most);
  }
  return LUN_OK;
}

int ops_same(lun_node *n, lun_err *err) {
  return lun_node_shape(n, n->in[0]->ndim, n->in[0]->dim, err);
}

void ops_strides(int ndim, const int64_t *dim, int64_t *step) {
  int64_t s = 1;
  for (int d = ndim - 1; d >= 0; d--) {
    step[d] = s;
    s *= dim[d];
  }
}

/* ---- loops -------------------------------------------------------------- */

typedef struct group {
  int64_t units, batch;
  lun_job *fn;
  void *arg;
} group;

/* One job: the units job*batch .. of the group. */
static void run_group(void *arg, int64_t job) {
  const group *g = arg;
  int64_t lo = job * g->batch, hi = lo + g->batch;
  if (hi > g->units) hi = g->units;
  for (int64_t u = lo; u < hi; u++) g->fn(g->arg, u);
}

int ops_units(const lun_node *n, int64_t units, int64_t work, lun_job *fn,
              void *arg, lun_err *err) {
  group g = {.units = units, .batch = 1, .fn = fn, .arg = arg};
  if (units <= 0) return LUN_OK;
  if (work < 1) work = 1;
  if (work < OPS_CHUNK) g.batch = OPS_CHUNK / work;
  int64_t jobs = (units - 1) / g.batch + 1;
  if (jobs == 1) { /* too little to share */
    run_group(&g, 0);
    return LUN_OK;
  }
  int code = lun_parallel(jobs, run_group, &g);
  return code == LUN_OK ? code : ops_fail(n, err, code, "interrupted");
}

typedef struct each {
  int64_t size, parts;
  ops_span *fn;
  void *arg;
} each;

/* One chunk of one copy. */
static void run_span(void *arg, int64_t unit) {
  const each *e = arg;
  int64_t copy = unit / e->parts, lo = unit % e->parts * OPS_CHUNK;
  int64_t hi = lo + OPS_CHUNK < e->size ? lo + OPS_CHUNK : e->size;
  e->fn(e->arg, copy * e->size, lo, hi);
}

int ops_each(const lun_node *n, int copies, int64_t size, ops_span *fn,
             void *arg, lun_err *err) {
  if (size == 0) return LUN_OK;
  each e = {.size = size, .fn = fn, .arg = arg};
  e.parts = (size - 1) / OPS_CHUNK + 1;
  int64_t work = size < OPS_CHUNK ? size : OPS_CHUNK;
  return ops_units(n, copies * e.parts, work, run_span, &e, err);
}

void ops_zero(const lun_back *b, int i) {
  const lun_tensor *x = b->node->in[i];
  if (b->dx[i])
    memset(b->dx[i], 0, (size_t)b->copies * (size_t)x->size * sizeof(float));
}

int ops_view_back(const lun_back *b, lun_err *err) {
  size_t size = (size_t)b->copies * (size_t)b->node->out->size;
  (void)err;
  if (b->dx[0] && b->dx[0] != b->dy)
    memcpy(b->dx[0], b->dy, size * sizeof(float));
  return LUN_OK;
}

const lun_rule ops_view_rules[] = {
    {.name = "plain", .back = ops_view_back},
    {.name = NULL},
};
