/*
** deferred.c - deferred values, and nodes that are computed in one pass.
**
** A deferred node has a shape but no values yet.  When the next node is applied,
** lun_op.join says how both are computed in one pass: conv2d -> relu, batch_norm ->
** relu, or conv2d -> relu -> max_pool2d.  The pass computes the values of the last
** node; those before it stay deferred, since most networks never read the values before
** a relu.  lun_tape_value computes them when they are read.
**
** A dropped value (lun_tape_forget) is kept while a deferred node still has to be
** computed from it.
*/
#include "core.h"

/* Most nodes of one pass after the first. */
enum { MOST = 4 };

typedef struct chain {
  lun_node *first;      /* its operator has `join`; NULL: there is no chain */
  lun_node *next[MOST]; /* the nodes after it, in order */
  int count;
} chain;

static int deferred(const lun_tensor *t) { return t && !t->store && t->size; }

/* The node whose deferred output n reads; NULL: none, or more than one. */
static lun_node *deferred_maker(const lun_tape *t, const lun_node *n) {
  lun_node *maker = NULL;
  int count = 0;
  for (int i = 0; t && i < n->nin; i++) {
    if (!deferred(n->in[i])) continue;
    maker = lun_tape_node(t, n->src[i]);
    if (!maker || maker->out != n->in[i]) return NULL;
    count++;
  }
  return count == 1 && maker->op ? maker : NULL;
}

/* n and the deferred nodes before it, back to one that others can join: batch_norm
** may join a convolution, and be joined where there is none. */
static chain chain_to(const lun_tape *t, lun_node *n) {
  chain c = {NULL, {NULL}, 0};
  lun_node *back[MOST], *at = n;
  while (at && c.count < MOST) {
    int joins = !at->op->join || at->op->epilogue;
    lun_node *maker = joins ? deferred_maker(t, at) : NULL;
    if (at->op->join && !maker) break;
    back[c.count++] = at;
    at = maker;
  }
  if (!at || !at->op->join) return (chain){NULL, {NULL}, 0};
  c.first = at;
  for (int i = 0; i < c.count; i++) c.next[i] = back[c.count - 1 - i];
  return c;
}

/* How the chain is computed. */
static lun_joined join_of(const chain *c) {
  if (!c->first) return (lun_joined){NULL, 0};
  return c->first->op->join(c->first, c->next, c->count);
}

/* 1: the gradient of the chain's last node reads that node's inputs. */
static int input_is_read(const chain *c) {
  return c->count && c->next[c->count - 1]->op->rules->needs_input;
}

/* Have the inputs of n been written to since it was applied? */
static int changed(const lun_node *n) { return lun_node_changed(n, 0) >= 0; }

/* LUN_EARG: inputs were written to since, so deferred values would be others. */
static int unchanged(const lun_node *n, const chain *c, lun_err *err) {
  int any = c->first ? changed(c->first) : changed(n);
  for (int i = 0; c->first && i < c->count; i++) any |= changed(c->next[i]);
  if (!any) return LUN_OK;
  return lun_fail(err, LUN_EARG,
                  "%s: its values were put off, and what they are made from "
                  "has been changed since; read them before that",
                  lun_node_title(n));
}

/* Computes the last node of the chain, which has its tensor, in one pass. */
static int run_chain(chain *c, lun_joined how, lun_err *err) {
  int status = how.run(c->first, c->next, c->count, err);
  if (status != LUN_OK) return status;
  c->first->joined = 1;
  for (int i = 0; i + 1 < c->count; i++) c->next[i]->joined = 1;
  return LUN_OK;
}

int lun_tape_input(lun_tape *t, lun_node *n, int i, lun_err *err) {
  lun_tensor *value;
  if (!deferred(n->in[i])) return LUN_OK;
  if (!t || n->src[i] < 0)
    return lun_fail(err, LUN_EARG, "%s: input %d has no values",
                    lun_node_title(n), i + 1);
  return lun_tape_value(t, n->src[i], &value, err);
}

static int inputs_ready(lun_tape *t, lun_node *n, lun_err *err) {
  for (int i = 0; i < n->nin; i++) LUN_TRY(lun_tape_input(t, n, i, err));
  return LUN_OK;
}

int lun_node_compute(lun_tape *t, lun_node *n, unsigned flags, lun_err *err) {
  chain c = chain_to(t, n);
  lun_joined how = join_of(&c);
  if (input_is_read(&c) && !(flags & LUN_FORWARD_ONLY))
    how = (lun_joined){NULL, 0};
  if (!how.run) LUN_TRY(inputs_ready(t, n, err));
  n->defer = (flags & LUN_DEFER) && how.open;
  lun_node_applied(n);
  LUN_TRY(n->op->infer(n, err));
  if (n->defer || n->op->is_view) return LUN_OK;
  return how.run ? run_chain(&c, how, err) : n->op->forward(n, err);
}

/* Back to deferred after a failure: half-computed values are never seen. */
static void defer_again(lun_tensor *t) {
  lun_storage *s = t->store;
  t->store = NULL;
  t->data = NULL;
  if (--s->refs > 0) return;
  lun_free(s->base);
  lun_free(s);
}

/* ---- dropping ----------------------------------------------------------- */

/* 1: a deferred node has to be computed from n. */
static int needed(const lun_tape *t, const lun_node *n) {
  for (int id = n->id + 1; id < lun_tape_count(t); id++) {
    const lun_node *m = lun_tape_node(t, id);
    if (!deferred(m->out)) continue;
    for (int k = 0; k < m->nin; k++)
      if (m->src[k] == n->id) return 1;
  }
  return 0;
}

/* Drops node `id` if lun_tape_forget was called for it and no deferred node needs
** it; then the nodes that were kept only for it. */
static void drop_unneeded(lun_tape *t, int id) {
  lun_node *n = lun_tape_node(t, id);
  if (!n || !n->dropped || !n->out || needed(t, n)) return;
  for (int i = 0; i < LUN_MAXIN; i++) {
    lun_tensor_release(n->in[i]);
    n->in[i] = NULL;
  }
  lun_tensor_release(n->out);
  lun_tensor_release(n->aux);
  n->out = n->aux = NULL;
  for (int i = 0; i < n->nin; i++) drop_unneeded(t, n->src[i]);
}

void lun_tape_forget(lun_tape *t, int id) {
  lun_node *n = lun_tape_node(t, id);
  if (!n) return;
  n->dropped = 1;
  drop_unneeded(t, id);
}

/* ---- reading ------------------------------------------------------------ */

/* Computes deferred values of n. */
static int compute(lun_tape *t, lun_node *n, lun_err *err) {
  chain c = chain_to(t, n);
  lun_joined how = join_of(&c);
  int status;
  if (!how.run) c.first = NULL;
  LUN_TRY(unchanged(n, &c, err));
  if (!how.run) LUN_TRY(inputs_ready(t, n, err));
  LUN_TRY(lun_tensor_allocate(n->out, err));
  status = how.run ? run_chain(&c, how, err) : n->op->forward(n, err);
  if (status != LUN_OK) {
    defer_again(n->out);
    return status;
  }
  lun_node_protect(n);
  for (int i = 0; i < n->nin; i++) drop_unneeded(t, n->src[i]);
  return LUN_OK;
}

int lun_tape_value(lun_tape *t, int id, lun_tensor **out, lun_err *err) {
  lun_node *n = lun_tape_node(t, id);
  *out = NULL;
  if (!n) return lun_fail(err, LUN_EARG, "the tape has no node %d", id);
  if (!n->out)
    return lun_fail(err, LUN_EARG,
                    "%s: the value was dropped; run with keep = true",
                    lun_node_title(n));
  if (deferred(n->out)) LUN_TRY(compute(t, n, err));
  *out = n->out;
  return LUN_OK;
}

int lun_tape_ready(lun_tape *t, lun_node *n, const lun_rule *rule,
                   lun_err *err) {
  lun_tensor *out;
  for (int i = 0; rule->needs_input && i < n->nin; i++)
    LUN_TRY(lun_tape_input(t, n, i, err));
  /* Rules of convolutions and dense layers read no output. */
  if (n->op->join && !n->op->epilogue) return LUN_OK;
  /* Nor does the true gradient of a sum or of batch_norm. */
  lun_epilogue_kind kind = n->op->epilogue;
  if ((kind == LUN_AFFINE_EPILOGUE || kind == LUN_ADD_EPILOGUE) &&
      rule == n->op->rules)
    return LUN_OK;
  return lun_tape_value(t, n->id, &out, err);
}
