/*
** walk_step.c - one step of a walk: a node's gradient becomes those of its inputs.
**
** Where the input of a convolution, dense layer or pooling was made by a unit
** whose rule is a gate, and nobody else reads that input, the gate is applied in
** the pass that computes the layer's input gradient (lun_gate).
*/
#include <string.h>

#include "kernels/gate.h"
#include "walk.h"

/* ---- gradients ---------------------------------------------------------- */

/* Floats; smaller gradients get blocks of their own size. */
enum { SHARED_BLOCK = 1 << 16 };

void lun_walk_shape(const lun_walk *w, const lun_tensor *like, int64_t *dim) {
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
  lun_walk_shape(w, like, dim);
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

int lun_walk_hand_on(lun_walk *w, const lun_node *n, int k, int to,
                     lun_tensor *dx, lun_err *err) {
  if (w->flows) w->flows[n->id].in[k] += lun_sum(dx->data, dx->size);
  return deposit(w, to, dx, err);
}

/* ---- gates -------------------------------------------------------------- */

/* The rule that node n goes back by. */
static const lun_rule *rule_of(const lun_walk *w, const lun_node *n) {
  const lun_rule *r = w->s[n->id].rule;
  return r ? r : n->op->rules;
}

/* 1: only the rule of node id reads its gradient; no want, no hook. */
static int grad_is_private(const lun_walk *w, int id) {
  return !w->s[id].want && !w->s[id].hook;
}

/* Node `id`, with its gate in *g, if its rule is a gate and nobody but that rule
** reads its gradient; else NULL. */
static lun_node *gate_of(const lun_walk *w, int id, lun_gate *g) {
  lun_node *n = lun_tape_node(w->tape, id);
  const lun_rule *r;
  if (!n || !n->op || !grad_is_private(w, id)) return NULL;
  if (!n->out) return NULL; /* dropped: the walk says so when it gets there */
  r = rule_of(w, n);
  if (!r->gate) return NULL;
  /* y is NULL when n's output was computed in one pass with the pooling after it:
  ** that pooling applies the gate, whose y are then the maxima */
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

/* ---- the step ----------------------------------------------------------- */

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
  lun_walk_shape(w, like, dim);
  LUN_TRY(lun_tensor_view(&dx, w->s[n->id].grad, 0, like->ndim, dim, err));
  return lun_walk_hand_on(w, n, 0, n->src[0], dx, err);
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
      status = lun_walk_hand_on(w, n, k, to, dx[k], err);
    else
      lun_tensor_release(dx[k]);
  }
  return status;
}

/* Are there gradients of parameters on the way for which n reads its input? */
static int params_wanted(const lun_walk *w, const lun_node *n) {
  for (int k = 1; n->op->params_read_input && k < n->nin; k++)
    if (n->src[k] >= 0 && w->s[n->src[k]].reach) return 1;
  return 0;
}

int lun_walk_step(lun_walk *w, lun_node *n, lun_err *err) {
  step *s = &w->s[n->id];
  const lun_rule *rule = rule_of(w, n);
  lun_tensor *dx[LUN_MAXIN] = {NULL};
  lun_gate gate, dead;
  lun_node *unit = NULL;
  lun_back b = {.node = n, .copies = w->copies, .rule = rule};
  int status;
  if (n->op->is_view && !s->rule) return pass_on(w, n, err);
  LUN_TRY(lun_tape_ready(w->tape, n, rule, err));
  if (params_wanted(w, n)) LUN_TRY(lun_tape_input(w->tape, n, 0, err));
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
