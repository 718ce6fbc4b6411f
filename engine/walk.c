/*
** walk.c - backward over a tape, as a cursor.
**
** The walk goes through the nodes that lie between the seed and what is
** wanted, last first.  Each is handled by the rule chosen for this walk, or,
** when the caller hooked it, handed out by lun_walk_next and answered by
** lun_walk_put.  Gradients that nobody wants are released on the way.
**
** Where the input of a convolution, dense layer or pooling was made by a unit
** whose rule is a gate, and nobody else reads that input, the gate is applied in
** the pass that computes the layer's input gradient (lun_gate).
*/
#include <stdio.h>
#include <string.h>

#include "core.h"
#include "kernels/gate.h"

/* Floats; smaller gradients get blocks of their own size. */
enum { SHARED_BLOCK = 1 << 16 };

/* What the walk knows of one node. */
typedef struct step {
  lun_tensor *grad;     /* gradient of the node's output, NULL: none yet */
  const lun_rule *rule; /* NULL: the true gradient */
  double attr[LUN_MAXPARAM];
  int users; /* nodes on the way that read this one's output */
  unsigned want : 1, hook : 1;
  unsigned reach : 1; /* leads back to a wanted node */
  unsigned live : 1;  /* reach, and the seed depends on it */
} step;

struct lun_walk {
  lun_tape *tape;
  int n, copies, seed_at;
  int at;           /* next node to handle; -1: done */
  int waiting;      /* lun_walk_next handed out node `at` */
  int marked;       /* reach, live and users are known */
  int64_t largest;  /* floats of the largest gradient on the way */
  lun_tensor *lent; /* the gradient that the caller may read and not write */
  lun_flow *flows;  /* by node, or NULL */
  step s[];
};

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
      }
  }
}

int lun_walk_reached(const lun_walk *w, int node) {
  if (node < 0 || node >= w->n) return 0;
  if (!w->marked) mark_paths((lun_walk *)(uintptr_t)w);
  return w->s[node].live;
}

/* Shape of a gradient for `like`: copies of it along the first dimension. */
static void grad_shape(const lun_walk *w, const lun_tensor *like,
                       int64_t *dim) {
  memcpy(dim, like->dim, sizeof like->dim);
  dim[0] *= w->copies;
}

/*
** A new gradient of `like`; keep: it outlives the next steps.  On the way back
** through a network the size of the gradients changes every few layers; if each
** had a block of its own size, the pool would keep all of them.  So gradients
** that are not kept get blocks as large as the largest of the walk: the pool then
** holds two, used in turn, and only the part that is used is touched.
*/
static int grad_new(const lun_walk *w, lun_tensor **out, const lun_tensor *like,
                    int keep, lun_err *err) {
  int64_t dim[LUN_MAXDIM];
  int64_t size = like->size * w->copies;
  lun_tensor *room;
  int status;
  grad_shape(w, like, dim);
  if (keep || size < SHARED_BLOCK || size < w->largest / 32 ||
      size >= w->largest)
    return lun_tensor_new(out, like->ndim, dim, err);
  LUN_TRY(lun_tensor_new(&room, 1, &w->largest, err));
  status = lun_tensor_view(out, room, 0, like->ndim, dim, err);
  lun_tensor_release(room);
  return status;
}

typedef struct addition {
  float *dst;
  const float *src;
  int64_t n;
} addition;

enum { CHUNK = 1 << 16 };

static void add_chunk(void *arg, int64_t job) {
  const addition *a = arg;
  int64_t from = job * CHUNK, to = from + CHUNK < a->n ? from + CHUNK : a->n;
  for (int64_t i = from; i < to; i++) a->dst[i] += a->src[i];
}

/* dst += src, n floats. */
static int accumulate(float *dst, const float *src, int64_t n) {
  addition a = {dst, src, n};
  return lun_parallel((n + CHUNK - 1) / CHUNK, add_chunk, &a);
}

/* Adds dx (one reference, taken over) to the gradient of node `to`. */
static int deposit(lun_walk *w, int to, lun_tensor *dx, lun_err *err) {
  step *s = &w->s[to];
  int status = LUN_OK;
  if (!s->grad) {
    s->grad = dx;
    return LUN_OK;
  }
  if (s->grad->refs > 1 || s->grad->store->refs > 1) { /* shared */
    lun_tensor *own;
    status = lun_tensor_copy(&own, s->grad, err);
    if (status == LUN_OK) {
      lun_tensor_release(s->grad);
      s->grad = own;
    }
  }
  if (status == LUN_OK) status = accumulate(s->grad->data, dx->data, dx->size);
  lun_tensor_release(dx);
  return status;
}

/* What node n hands on to its input k. */
static int hand_on(lun_walk *w, const lun_node *n, int k, int to,
                   lun_tensor *dx, lun_err *err) {
  if (w->flows) w->flows[n->id].in[k] += lun_sum(dx->data, dx->size);
  return deposit(w, to, dx, err);
}

/* The rule that node n goes back by. */
static const lun_rule *rule_of(const lun_walk *w, const lun_node *n) {
  const lun_rule *r = w->s[n->id].rule;
  return r ? r : n->op->rules;
}

/* 1: only the rule of node id reads its gradient; no want, no hook. */
static int grad_is_private(const lun_walk *w, int id) {
  return !w->s[id].want && !w->s[id].hook;
}

/* Node `id`, and its gate in *g, when its rule is a gate that the pass of another
** node may apply. */
static lun_node *gate_of(const lun_walk *w, int id, lun_gate *g) {
  lun_node *n = lun_tape_node(w->tape, id);
  const lun_rule *r;
  if (!n || !n->op || !grad_is_private(w, id)) return NULL;
  if (!n->out) return NULL; /* dropped: the walk says so when it gets there */
  r = rule_of(w, n);
  if (!r->gate) return NULL;
  /* y is NULL when a pooling computed n's output in its own pass: the gate is
  ** then applied by that pooling, which has y's maxima */
  *g = (lun_gate){r->gate(w->s[id].attr), n->out->data, n->out->size};
  return n;
}

/* The unit that made n's input, when its gate can be applied in n's own pass. */
static lun_node *gated_unit(const lun_walk *w, const lun_node *n, lun_gate *g) {
  int from = n->src[0];
  if (!n->op->gated || from < 0 || w->flows) return NULL;
  if (w->s[from].users != 1 || w->s[from].grad) return NULL;
  return gate_of(w, from, g);
}

/*
** Looks for a gate further back that makes n's input gradient 0 wherever y <= 0:
** the gate of a unit whose values n reads through views, or as the maxima of a
** pooling.  For example relu -> max_pool2d -> flatten -> linear: y is then the
** pooling's output.  The nodes between must hand the gradient on unchanged and
** without being read by others.
*/
static int dead_gate(const lun_walk *w, const lun_node *n, lun_gate *g) {
  const lun_tensor *maxima = NULL;
  for (int id = n->src[0]; id >= 0 && grad_is_private(w, id);) {
    const lun_node *p = lun_tape_node(w->tape, id);
    if (gate_of(w, id, g)) {
      if (maxima) g->y = maxima->data, g->size = maxima->size;
      return lun_gate_shuts(&g->slope);
    }
    if (!p->op || !p->out || w->s[id].rule || maxima) return 0;
    if (p->op->selects_input) maxima = p->out;
    if (!p->op->is_view && !p->op->selects_input) return 0;
    id = p->src[0];
  }
  return 0;
}

/* dx[0] may be dy when this step holds the only reference to the values. */
static int may_overwrite(const lun_walk *w, int id) {
  const step *s = &w->s[id];
  return !s->want && s->grad->refs == 1 && s->grad->store->refs == 1;
}

/* Makes dx[k] for every input that leads on.  unit: the node that is handled
** together with n, or NULL; dx[0] is then the gradient of the unit's input. */
static int allocate(lun_walk *w, const lun_node *n, const lun_node *unit,
                    lun_tensor **dx, lun_back *b, lun_err *err) {
  for (int k = 0; k < n->nin; k++) {
    int to = unit && k == 0 ? unit->src[0] : n->src[k];
    int keep = to < 0 || w->s[to].want || w->s[to].hook;
    if (n->src[k] < 0 || !w->s[n->src[k]].reach) continue;
    if (k == 0 && n->op->inplace && !keep && may_overwrite(w, n->id))
      dx[k] = lun_tensor_retain(w->s[n->id].grad);
    else
      LUN_TRY(grad_new(w, &dx[k], n->in[k], keep, err));
    b->dx[k] = dx[k]->data;
  }
  return LUN_OK;
}

/* A view's gradient is a view of the gradient. */
static int pass_on(lun_walk *w, const lun_node *n, lun_err *err) {
  const lun_tensor *like = n->in[0];
  lun_tensor *dx;
  int64_t dim[LUN_MAXDIM];
  grad_shape(w, like, dim);
  LUN_TRY(lun_tensor_view(&dx, w->s[n->id].grad, 0, like->ndim, dim, err));
  return hand_on(w, n, 0, n->src[0], dx, err);
}

/* Hands dx[0 ..] to the nodes whose gradients they are. */
static int deposit_all(lun_walk *w, const lun_node *n, const lun_node *unit,
                       lun_tensor **dx, lun_err *err) {
  step *s = &w->s[n->id];
  int status = LUN_OK;
  for (int k = 0; k < n->nin; k++) {
    int to = unit && k == 0 ? unit->src[0] : n->src[k];
    if (!dx[k]) continue;
    if (s->grad == dx[k]) { /* computed in place: the tensor moves on */
      lun_tensor_release(s->grad);
      s->grad = NULL;
    }
    if (status == LUN_OK && to >= 0 && w->s[to].reach)
      status = hand_on(w, n, k, to, dx[k], err);
    else
      lun_tensor_release(dx[k]);
  }
  return status;
}

/* One backward step by a C rule. */
static int apply_rule(lun_walk *w, lun_node *n, lun_err *err) {
  step *s = &w->s[n->id];
  const lun_rule *rule = rule_of(w, n);
  lun_tensor *dx[LUN_MAXIN] = {NULL};
  lun_gate gate, dead;
  lun_node *unit = NULL;
  lun_back b = {.node = n, .copies = w->copies, .rule = rule};
  int status;
  if (n->op->is_view && !s->rule) return pass_on(w, n, err);
  LUN_TRY(lun_tape_ready(w->tape, n, rule, err));
  memcpy(b.attr, s->attr, sizeof b.attr);
  if (rule == n->op->rules) unit = gated_unit(w, n, &gate);
  if (unit) b.gate = &gate;
  if (!unit && n->op->skips_dead && !w->flows && dead_gate(w, n, &dead))
    b.dead_inputs = &dead;
  b.dy = s->grad->data;
  if (w->flows) b.bias = &w->flows[n->id].bias;
  status = allocate(w, n, unit, dx, &b, err);
  if (status == LUN_OK) status = rule->back(&b, err);
  if (status == LUN_OK)
    status = deposit_all(w, n, unit, dx, err);
  else
    for (int k = 0; k < n->nin; k++) lun_tensor_release(dx[k]);
  return status == LUN_EINTR ? lun_fail(err, status, "interrupted") : status;
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
    if (leads_on(w, n)) LUN_TRY(apply_rule(w, n, err));
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
  grad_shape(w, n->in[i], want.dim);
  if (!lun_tensor_same_shape(dx, &want) || (dx->size && !dx->data))
    return lun_fail(
        err, LUN_ESHAPE,
        "%s: backward returned a gradient of shape %s%s, expected %s",
        lun_node_title(n), lun_shape_text(a, sizeof a, dx->ndim, dx->dim),
        dx->size && !dx->data ? " without values" : "",
        lun_shape_text(b, sizeof b, want.ndim, want.dim));
  if (n->src[i] < 0 || !w->s[n->src[i]].reach) return LUN_OK;
  return hand_on(w, n, i, n->src[i], lun_tensor_retain(dx), err);
}

/* The caller may have dropped values while it had its say. */
int lun_walk_skip(lun_walk *w, lun_err *err) {
  lun_node *n = w->waiting ? lun_tape_node(w->tape, w->at) : NULL;
  if (!n || !n->out)
    return lun_fail(err, LUN_EARG, "backward: no node waits for a rule");
  return apply_rule(w, n, err);
}

lun_tensor *lun_walk_gradient(const lun_walk *w, int node) {
  return node >= 0 && node < w->n ? w->s[node].grad : NULL;
}
