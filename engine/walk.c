/*
** walk.c - backward over a tape, as a cursor.
**
** The walk goes through the nodes that lie between the seed and what is
** wanted, last first.  Each is handled by the rule chosen for this walk, or,
** when the caller hooked it, handed out by lun_walk_next and answered by
** lun_walk_put.  Gradients that nobody wants are released on the way.  One
** step by a rule is in walk_step.c.
*/
#include <stdio.h>
#include <string.h>

#include "walk.h"

int lun_walk_new(lun_walk **out, lun_tape *tape, int node,
                 const lun_tensor *seed, lun_err *err) {
  lun_node *top = lun_tape_node(tape, node);
  int n = node + 1;
  lun_walk *w;
  char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
  *out = NULL;
  if (!top || !top->out)
    return lun_fail(err, LUN_EARG, "backward: the tape has no node %d", node);
  if (seed->size == 0 || !top->out->size || seed->size % top->out->size)
    return lun_fail(
        err, LUN_ESHAPE,
        "backward: seed %s does not fit output %s (one or more copies of it)",
        lun_shape_text(a, sizeof a, seed->ndim, seed->dim),
        lun_shape_text(b, sizeof b, top->out->ndim, top->out->dim));
  w = lun_calloc(1, sizeof *w + (size_t)n * sizeof *w->s);
  if (!w) return lun_fail(err, LUN_ENOMEM, "no memory for a backward walk");
  w->tape = lun_tape_retain(tape);
  w->n = n;
  w->seed_at = w->at = node;
  w->copies = (int)(seed->size / top->out->size);
  /* the seed's values are never written: a rule that works in place gets
  ** its own copy, see may_overwrite */
  w->s[node].grad = lun_tensor_retain((lun_tensor *)(uintptr_t)seed);
  *out = w;
  return LUN_OK;
}

/* Hands a hooked node's gradient to the caller, read-only: it may be the seed, a
** view of another gradient, or wanted by the caller. */
static void lend(lun_walk *w, const lun_node *n) {
  lun_tensor *dy = w->s[n->id].grad;
  if (dy->store->owner[0]) return; /* of a run, or lent by another walk */
  snprintf(dy->store->owner, sizeof dy->store->owner,
           "the backward pass at layer '%s'", lun_node_title(n));
  w->lent = lun_tensor_retain(dy);
  w->s[n->id].part = 0; /* the caller may keep it */
}

static void take_back(lun_walk *w) {
  if (!w->lent) return;
  w->lent->store->owner[0] = 0;
  lun_tensor_release(w->lent);
  w->lent = NULL;
}

void lun_walk_free(lun_walk *w) {
  if (!w) return;
  take_back(w);
  for (int i = 0; i < w->n; i++) lun_tensor_release(w->s[i].grad);
  lun_tape_release(w->tape);
  lun_free(w);
}

/* Wants, rules and hooks are set before the walk begins, at nodes before the seed. */
static int open_to(const lun_walk *w, int node, lun_err *err) {
  if (w->marked)
    return lun_fail(err, LUN_EARG,
                    "backward: ask for node %d before the walk begins", node);
  if (node >= 0 && node < w->n) return LUN_OK;
  return lun_fail(err, LUN_EARG,
                  "backward: node %d is not before the scored node %d", node,
                  w->n - 1);
}

int lun_walk_want(lun_walk *w, int node, lun_err *err) {
  LUN_TRY(open_to(w, node, err));
  w->s[node].want = 1;
  return LUN_OK;
}

int lun_walk_rule(lun_walk *w, int node, const lun_rule *rule,
                  const double *attr, lun_err *err) {
  step *s;
  LUN_TRY(open_to(w, node, err));
  if (!rule || !rule->back || !lun_tape_node(w->tape, node)->op)
    return lun_fail(err, LUN_EARG, "%s: node %d takes no such rule",
                    lun_node_title(lun_tape_node(w->tape, node)), node);
  s = &w->s[node];
  s->rule = rule;
  if (attr)
    memcpy(s->attr, attr, sizeof s->attr);
  else
    lun_rule_defaults(rule, s->attr);
  return LUN_OK;
}

int lun_walk_hook(lun_walk *w, int node, lun_err *err) {
  LUN_TRY(open_to(w, node, err));
  w->s[node].hook = 1;
  return LUN_OK;
}

int lun_walk_flows(lun_walk *w, lun_flow *flows, lun_err *err) {
  LUN_TRY(open_to(w, 0, err));
  w->flows = flows;
  return LUN_OK;
}

/* Marks which nodes lie between the seed and the wanted nodes. */
static void mark_paths(lun_walk *w) {
  w->marked = 1;
  for (int i = 0; i < w->n; i++) {
    const lun_node *n = lun_tape_node(w->tape, i);
    w->s[i].reach = w->s[i].want;
    for (int k = 0; k < n->nin; k++)
      if (n->src[k] >= 0 && w->s[n->src[k]].reach) w->s[i].reach = 1;
  }
  w->s[w->seed_at].live = w->s[w->seed_at].reach;
  for (int i = w->n - 1; i >= 0; i--) {
    const lun_node *n = lun_tape_node(w->tape, i);
    if (!w->s[i].live) continue;
    if (n->op && n->out && n->out->size * w->copies > w->largest)
      w->largest = n->out->size * w->copies;
    for (int k = 0; k < n->nin; k++)
      if (n->src[k] >= 0 && w->s[n->src[k]].reach) {
        w->s[n->src[k]].live = 1;
        w->s[n->src[k]].users++;
        w->s[n->src[k]].last = i;
      }
  }
}

int lun_walk_reached(const lun_walk *w, int node) {
  if (node < 0 || node >= w->n) return 0;
  if (!w->marked) mark_paths((lun_walk *)(uintptr_t)w);
  return w->s[node].live;
}

/* Is a gradient of one of n's inputs on the way to what is wanted? */
static int leads_on(const lun_walk *w, const lun_node *n) {
  for (int k = 0; k < n->nin; k++)
    if (n->src[k] >= 0 && w->s[n->src[k]].reach) return 1;
  return 0;
}

static void leave(lun_walk *w) {
  step *s = &w->s[w->at];
  take_back(w);
  if (!s->want) {
    lun_tensor_release(s->grad);
    s->grad = NULL;
  }
  w->at--;
  w->waiting = 0;
}

int lun_walk_next(lun_walk *w, lun_err *err) {
  if (!w->marked) mark_paths(w);
  if (w->waiting) leave(w); /* the caller has answered */
  for (; w->at >= 0; leave(w)) {
    step *s = &w->s[w->at];
    lun_node *n = lun_tape_node(w->tape, w->at);
    if (!s->grad || !s->live || !n->op) continue;
    if (!n->out)
      return lun_fail(err, LUN_EARG,
                      "%s: its values were dropped; run with keep = true",
                      lun_node_title(n));
    LUN_TRY(lun_tape_unchanged(n, err));
    if (s->hook) {
      w->waiting = 1;
      lend(w, n);
      return w->at + 1;
    }
    if (leads_on(w, n)) LUN_TRY(lun_walk_step(w, n, err));
  }
  return LUN_OK;
}

lun_tensor *lun_walk_dy(const lun_walk *w) {
  return w->waiting ? w->s[w->at].grad : NULL;
}

int lun_walk_copies(const lun_walk *w) { return w->copies; }

int lun_walk_put(lun_walk *w, int i, lun_tensor *dx, lun_err *err) {
  lun_node *n = w->waiting ? lun_tape_node(w->tape, w->at) : NULL;
  char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
  lun_tensor want;
  if (!n || i < 0 || i >= n->nin || !n->in[i])
    return lun_fail(err, LUN_EARG, "backward: no node waits for input %d",
                    i + 1);
  want = *n->in[i];
  lun_walk_shape(w, n->in[i], want.dim);
  if (!lun_tensor_same_shape(dx, &want) || (dx->size && !dx->data))
    return lun_fail(
        err, LUN_ESHAPE,
        "%s: backward returned a gradient of shape %s%s, expected %s",
        lun_node_title(n), lun_shape_text(a, sizeof a, dx->ndim, dx->dim),
        dx->size && !dx->data ? " without values" : "",
        lun_shape_text(b, sizeof b, want.ndim, want.dim));
  if (n->src[i] < 0 || !w->s[n->src[i]].reach) return LUN_OK;
  return lun_walk_hand_on(w, n, i, n->src[i], lun_tensor_retain(dx), err);
}

/* The caller may have dropped values while it had its say. */
int lun_walk_skip(lun_walk *w, lun_err *err) {
  lun_node *n = w->waiting ? lun_tape_node(w->tape, w->at) : NULL;
  if (!n || !n->out)
    return lun_fail(err, LUN_EARG, "backward: no node waits for a rule");
  return lun_walk_step(w, n, err);
}

lun_tensor *lun_walk_gradient(const lun_walk *w, int node) {
  return node >= 0 && node < w->n ? w->s[node].grad : NULL;
}
