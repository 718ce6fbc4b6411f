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

/* 1: nobody but the holder of t reads or writes its values. */
static int is_alone(const lun_tensor *t) {
  return t->refs == 1 && t->store->refs == 1;
}

/* Adds dx (one reference, taken over) to the gradient of node `to`. */
static int deposit(lun_walk *w, int to, lun_tensor *dx, lun_err *err) {
  step *s = &w->s[to];
  int status = LUN_OK;
  if (!s->grad) {
    s->grad = dx;
    s->part = 0;
    return LUN_OK;
  }
  if (!s->part && !is_alone(s->grad)) {
    lun_tensor *sum = s->grad, *own = NULL;
    if (is_alone(dx)) {
      own = dx;
      dx = sum;
    } else {
      status = lun_tensor_copy(&own, sum, err);
      if (status == LUN_OK) lun_tensor_release(sum);
    }
    if (own) s->grad = own;
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

/* Is one gate due on the whole gradient of node `id`?  Then it is in *g: the node's
** own, or, if it is a concat, that of its inputs, which must all have the same slopes.
** For example relu, relu -> concat -> conv2d: conv2d applies the gate of both. */
static int gate_over(const lun_walk *w, int id, lun_gate *g) {
  const lun_node *n = lun_tape_node(w->tape, id);
  int found = 0;
  if (gate_of(w, id, g)) return 1;
  if (!n->op || !n->op->holds_inputs || !grad_is_private(w, id)) return 0;
  if (w->s[id].rule || !n->out || !n->out->data) return 0;
  for (int k = 0; k < n->nin; k++) {
    int from = n->src[k];
    lun_gate one;
    if (from < 0 || !w->s[from].reach) continue; /* no gradient wanted there */
    if (w->s[from].users != 1 || !gate_over(w, from, &one)) return 0;
    if (found && memcmp(&one.slope, &g->slope, sizeof one.slope)) return 0;
    g->slope = one.slope;
    found = 1;
  }
  g->y = n->out->data;
  g->size = n->out->size;
  return found;
}

/* Marks the units whose gate was applied to the gradient of node `id` (gate_over). */
static void mark_gated(lun_walk *w, int id) {
  const lun_node *n = lun_tape_node(w->tape, id);
  lun_gate g;
  if (gate_of(w, id, &g)) {
    w->s[id].gated = 1;
    return;
  }
  for (int k = 0; k < n->nin; k++)
    if (n->src[k] >= 0 && w->s[n->src[k]].reach) mark_gated(w, n->src[k]);
}

/* Is what n hands to its first input the last summand of the gradient of the node
** that made it? */
static int completes(const lun_walk *w, const lun_node *n) {
  int count = 0;
  for (int k = 0; k < n->nin; k++) count += n->src[k] == n->src[0];
  return count == 1 && w->s[n->src[0]].last == n->id;
}

/* Chooses what the pass that computes n's input gradient does besides: add what other
** readers of the input handed to it (b->add), then the gate of the units that made the
** input (b->gate). */
static void join_input(lun_walk *w, const lun_node *n, lun_gate *g,
                       lun_back *b) {
  int from = n->src[0];
  if (w->flows || from < 0 || !w->s[from].reach || !n->out->size) return;
  if (n->op->adds && w->s[from].grad) b->add = w->s[from].grad->data;
  if (!n->op->gated || !completes(w, n)) return;
  if (w->s[from].grad && !b->add) return;
  if (!gate_over(w, from, g)) return;
  b->gate = g;
  mark_gated(w, from);
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

/* dx[0] may be dy when this step alone reads the values. */
static int may_overwrite(const lun_walk *w, int id) {
  const step *s = &w->s[id];
  return !s->want && (s->part || is_alone(s->grad));
}

/* Will a gradient for node `to` outlive the next steps?  Units whose gate has been
** applied hand theirs on. */
static int is_kept(const lun_walk *w, int to) {
  while (to >= 0 && w->s[to].gated) to = lun_tape_node(w->tape, to)->src[0];
  return to < 0 || w->s[to].want || w->s[to].hook;
}

/* Is the gradient of n's input k needed for what is wanted? */
static int leads(const lun_walk *w, const lun_node *n, int k) {
  return n->src[k] >= 0 && w->s[n->src[k]].reach;
}

/* Makes dx[k] for every input whose gradient is needed, but for those in the bits of
** `served`, which have theirs. */
static int allocate(lun_walk *w, const lun_node *n, unsigned served,
                    lun_tensor **dx, lun_back *b, lun_err *err) {
  for (int k = 0; k < n->nin; k++) {
    int keep = is_kept(w, n->src[k]);
    if (!leads(w, n, k) || (served >> k & 1)) continue;
    if (k == 0 && n->op->inplace && !keep && may_overwrite(w, n->id))
      dx[k] = lun_tensor_retain(w->s[n->id].grad);
    else
      LUN_TRY(grad_new(w, &dx[k], n->in[k], keep, err));
    b->dx[k] = dx[k]->data;
  }
  return LUN_OK;
}

/* Hands a view of n's gradient, from float `at` on, to input k as its gradient.
** part: its storage is shared only with views of other inputs' gradients. */
static int hand_view(lun_walk *w, const lun_node *n, int k, int64_t at,
                     int part, lun_err *err) {
  const lun_tensor *like = n->in[k];
  step *to = &w->s[n->src[k]];
  int first = !to->grad;
  lun_tensor *dx;
  int64_t dim[LUN_MAXDIM];
  lun_walk_shape(w, like, dim);
  LUN_TRY(lun_tensor_view(&dx, w->s[n->id].grad, at, like->ndim, dim, err));
  LUN_TRY(lun_walk_hand_on(w, n, k, n->src[k], dx, err));
  if (first) to->part = part != 0;
  return LUN_OK;
}

/* n's gradient is its first input's too, perhaps in another shape: a view of it. */
static int pass_on(lun_walk *w, const lun_node *n, lun_err *err) {
  const step *s = &w->s[n->id];
  return hand_view(w, n, 0, 0, s->part && !s->want, err);
}

/* Inputs whose gradient is a part of n's own (lun_op.part_of_dy) get a view of it,
** unless it must be kept; sets their bits in *served. */
static int hand_parts(lun_walk *w, const lun_node *n, unsigned *served,
                      lun_err *err) {
  int part = n->op->holds_inputs && may_overwrite(w, n->id);
  for (int k = 0; n->op->part_of_dy && k < n->nin; k++) {
    int whole = n->in[k] && n->in[k]->size == n->out->size;
    int64_t at;
    if (!leads(w, n, k) || is_kept(w, n->src[k])) continue;
    if (w->copies > 1 && !whole) continue; /* the copies' parts lie apart */
    if ((at = n->op->part_of_dy(n, k)) < 0) continue;
    LUN_TRY(hand_view(w, n, k, at, part, err));
    *served |= 1u << k;
  }
  return LUN_OK;
}

/* Hands dx[0 ..] to the nodes whose gradients they are. */
static int deposit_all(lun_walk *w, const lun_node *n, int added,
                       lun_tensor **dx, lun_err *err) {
  step *s = &w->s[n->id];
  int status = LUN_OK;
  if (added) { /* dx[0] is the sum: the input's earlier gradient goes */
    lun_tensor_release(w->s[n->src[0]].grad);
    w->s[n->src[0]].grad = NULL;
  }
  for (int k = 0; k < n->nin; k++) {
    int part = s->part;
    if (!dx[k]) continue;
    if (s->grad == dx[k]) { /* computed in place: the tensor moves on */
      lun_tensor_release(s->grad);
      s->grad = NULL;
    } else {
      part = 0;
    }
    int first = !w->s[n->src[k]].grad;
    if (status == LUN_OK)
      status = lun_walk_hand_on(w, n, k, n->src[k], dx[k], err);
    else
      lun_tensor_release(dx[k]);
    if (first) w->s[n->src[k]].part = part != 0;
  }
  return status;
}

/* Is a gradient of n's parameters needed whose rule reads n's first input? */
static int params_wanted(const lun_walk *w, const lun_node *n) {
  for (int k = 1; n->op->params_read_input && k < n->nin; k++)
    if (n->src[k] >= 0 && w->s[n->src[k]].reach) return 1;
  return 0;
}

/* Computes the gradients of the inputs that are not in `served`, by the rule b.rule. */
static int by_rule(lun_walk *w, lun_node *n, unsigned served, lun_back b,
                   lun_err *err) {
  lun_tensor *dx[LUN_MAXIN] = {NULL};
  lun_gate gate, dead;
  int status;
  b.dy = w->s[n->id].grad->data;
  if (b.rule == n->op->rules) join_input(w, n, &gate, &b);
  if (!b.gate && n->op->skips_dead && !w->flows && dead_gate(w, n, &dead))
    b.dead_inputs = &dead;
  status = allocate(w, n, served, dx, &b, err);
  if (status == LUN_OK) status = b.rule->back(&b, err);
  if (status == LUN_OK) return deposit_all(w, n, b.add != NULL, dx, err);
  for (int k = 0; k < n->nin; k++) lun_tensor_release(dx[k]);
  return status == LUN_EINTR ? lun_fail(err, status, "interrupted") : status;
}

int lun_walk_step(lun_walk *w, lun_node *n, lun_err *err) {
  step *s = &w->s[n->id];
  lun_back b = {.node = n, .copies = w->copies, .rule = rule_of(w, n)};
  unsigned served = 0;
  int more = 0;
  if ((n->op->is_view && !s->rule) || s->gated) return pass_on(w, n, err);
  LUN_TRY(lun_tape_ready(w->tape, n, b.rule, err));
  if (params_wanted(w, n)) LUN_TRY(lun_tape_input(w->tape, n, 0, err));
  memcpy(b.attr, s->attr, sizeof b.attr);
  if (w->flows) b.bias = &w->flows[n->id].bias;
  if (b.rule == n->op->rules) LUN_TRY(hand_parts(w, n, &served, err));
  for (int k = 0; k < n->nin; k++) more |= leads(w, n, k) && !(served >> k & 1);
  return more ? by_rule(w, n, served, b, err) : LUN_OK;
}
