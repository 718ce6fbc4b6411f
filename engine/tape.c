/*
** tape.c - define by run: applying an operator to a variable that is on the
** tape computes at once (or later, deferred.c) and appends a node.
*/
#include <stdio.h>
#include <string.h>

#include "core.h"

struct lun_tape {
  int refs;
  int n, room;
  lun_node **node;
};

int lun_tape_new(lun_tape **out, lun_err *err) {
  *out = lun_calloc(1, sizeof **out);
  if (!*out) return lun_fail(err, LUN_ENOMEM, "no memory for a tape");
  (*out)->refs = 1;
  return LUN_OK;
}

lun_tape *lun_tape_retain(lun_tape *t) {
  if (t) t->refs++;
  return t;
}

static void node_free(lun_node *n) {
  if (!n) return;
  for (int i = 0; i < LUN_MAXIN; i++) lun_tensor_release(n->in[i]);
  lun_tensor_release(n->out);
  lun_tensor_release(n->aux);
  lun_free(n->name);
  lun_free(n);
}

void lun_tape_release(lun_tape *t) {
  if (!t || --t->refs > 0) return;
  while (t->n > 0) node_free(t->node[--t->n]); /* users before makers */
  lun_free(t->node);
  lun_free(t);
}

int lun_tape_count(const lun_tape *t) { return t->n; }

lun_node *lun_tape_node(const lun_tape *t, int id) {
  return id >= 0 && id < t->n ? t->node[id] : NULL;
}

/* Room for one more node, so that appending cannot fail later. */
static int reserve(lun_tape *t, lun_err *err) {
  int room = t->room ? 2 * t->room : 64;
  lun_node **node;
  if (t->n < t->room) return LUN_OK;
  node = lun_malloc((size_t)room * sizeof *node);
  if (!node) return lun_fail(err, LUN_ENOMEM, "no memory for the tape");
  if (t->n) memcpy(node, t->node, (size_t)t->n * sizeof *node);
  lun_free(t->node);
  t->node = node;
  t->room = room;
  return LUN_OK;
}

static int append(lun_tape *t, lun_node *n) {
  n->id = t->n;
  t->node[t->n++] = n;
  return n->id;
}

int lun_tape_watch(lun_tape *t, lun_tensor *x, int *node, lun_err *err) {
  lun_node *n;
  *node = -1;
  LUN_TRY(reserve(t, err));
  n = lun_calloc(1, sizeof *n);
  if (!n) return lun_fail(err, LUN_ENOMEM, "no memory for a leaf");
  n->out = lun_tensor_retain(x);
  *node = append(t, n);
  return LUN_OK;
}

/* How often input i of n has been written to. */
static unsigned version(const lun_node *n, int i) {
  return n->in[i] && n->in[i]->store ? n->in[i]->store->changes : 0;
}

void lun_node_applied(lun_node *n) {
  for (int i = 0; i < n->nin; i++) n->changes[i] = version(n, i);
}

int lun_node_changed(const lun_node *n, int from) {
  for (int i = from; i < n->nin; i++)
    if (n->changes[i] != version(n, i)) return i;
  return -1;
}

int lun_tape_unchanged(const lun_node *n, lun_err *err) {
  const char *at = "";
  int i = lun_node_changed(n, 0);
  if (i < 0) return LUN_OK;
  for (; i >= 0 && !*at; i = lun_node_changed(n, i + 1))
    at = n->in[i]->store->changed_at;
  return lun_fail(err, LUN_EARG,
                  "%s: its input or its parameters have been changed since the "
                  "run%s%s; run again, or change a clone()",
                  lun_node_title(n), *at ? ", at " : "", at);
}

/* Later gradients of the run read n's values, so they are read-only from now on
** (unless n is a view of others), and writes to its inputs are noted. */
void lun_node_protect(const lun_node *n) {
  lun_storage *s = n->out->store;
  if (s && !n->op->is_view)
    snprintf(s->owner, sizeof s->owner, "layer '%s' of a run",
             lun_node_title(n));
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] && n->in[i]->store) n->in[i]->store->watched = 1;
}

static char *copy_name(const char *s) {
  char *p = lun_malloc(strlen(s) + 1);
  return p ? strcpy(p, s) : NULL;
}

static int node_new(lun_node **out, const lun_op *op, const lun_var *in,
                    int nin, const double *attr, const char *name,
                    lun_err *err) {
  lun_node *n = lun_calloc(1, sizeof *n);
  *out = NULL;
  if (!n) return lun_fail(err, LUN_ENOMEM, "no memory for a node");
  n->op = op;
  n->id = -1;
  n->nin = nin;
  for (int i = 0; i < LUN_MAXIN; i++) n->src[i] = -1;
  for (int i = 0; i < nin; i++) {
    n->in[i] = lun_tensor_retain(in[i].t);
    n->src[i] = in[i].t ? in[i].node : -1;
  }
  if (attr)
    memcpy(n->attr, attr, sizeof n->attr);
  else
    lun_attr_defaults(op, n->attr);
  if (name && !(n->name = copy_name(name))) {
    node_free(n);
    return lun_fail(err, LUN_ENOMEM, "no memory for a node's name");
  }
  *out = n;
  return LUN_OK;
}

static int check_inputs(const lun_op *op, const lun_var *in, int nin,
                        const char *name, lun_err *err) {
  const char *title = name ? name : op->name;
  if (nin < op->min_in || nin > op->max_in)
    return lun_fail(err, LUN_EARG, "%s '%s': takes %d to %d inputs, got %d",
                    op->name, title, op->min_in, op->max_in, nin);
  for (int i = 0; i < op->min_in; i++)
    if (!in[i].t)
      return lun_fail(err, LUN_EARG, "%s '%s': input %d is missing", op->name,
                      title, i + 1);
  return LUN_OK;
}

int lun_apply(lun_tape *tape, const lun_op *op, const lun_var *in, int nin,
              const double *attr, const char *name, unsigned flags,
              lun_var *out, lun_err *err) {
  lun_node *n;
  int status, taped = 0;
  *out = (lun_var){NULL, -1};
  LUN_TRY(check_inputs(op, in, nin, name, err));
  for (int i = 0; tape && i < nin; i++) taped |= in[i].t && in[i].node >= 0;
  if (taped) LUN_TRY(reserve(tape, err));
  LUN_TRY(node_new(&n, op, in, nin, attr, name, err));
  status = lun_node_compute(tape, n, taped ? flags : 0, err);
  if (status != LUN_OK) {
    node_free(n);
    return status == LUN_EINTR ? lun_fail(err, status, "interrupted") : status;
  }
  out->t = lun_tensor_retain(n->out);
  if (taped) lun_node_protect(n);
  if (taped)
    out->node = append(tape, n);
  else
    node_free(n);
  return LUN_OK;
}

int lun_op_shape(const lun_op *op, const lun_var *in, int nin,
                 const double *attr, const char *name, int *ndim, int64_t *dim,
                 lun_err *err) {
  lun_node *n;
  int status;
  LUN_TRY(check_inputs(op, in, nin, name, err));
  LUN_TRY(node_new(&n, op, in, nin, attr, name, err));
  n->defer = 1;
  status = op->infer(n, err);
  if (status == LUN_OK) {
    *ndim = n->out->ndim;
    memcpy(dim, n->out->dim, sizeof n->out->dim);
  }
  node_free(n);
  return status;
}
