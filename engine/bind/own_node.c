/*
** own_node.c - node:forward and node:backward: a node's operator with values of
** one's own, beside the tape.
*/
#include <string.h>

#include "node.h"

static const char *const own[] = {"input", "weight", "bias",
                                  "rule",  "flow",   NULL};

/* A node beside the tape: the operator of n over other inputs, with references
** of its own to all of them. */
typedef struct own_node {
  lun_node n;
} own_node;

static int own_gc(lua_State *L) {
  own_node *o = lunL_checkudata(L, 1, OWN_NODE_T);
  for (int i = 0; i < LUN_MAXIN; i++) {
    lun_tensor_release(o->n.in[i]);
    o->n.in[i] = NULL;
  }
  lun_tensor_release(o->n.out);
  lun_tensor_release(o->n.aux);
  o->n.out = o->n.aux = NULL;
  return 0;
}

static void wrong_shape(lua_State *L, const lun_node *n, const char *what,
                        const lun_tensor *got, const lun_tensor *want,
                        const char *note) {
  char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
  luaL_error(L, "the %s at %s '%s' has shape %s, the layer's is %s%s", what,
             n->op->name, lun_node_title(n),
             lun_shape_text(a, sizeof a, got->ndim, got->dim),
             lun_shape_text(b, sizeof b, want->ndim, want->dim), note);
}

/* Do the shapes agree but for the first dimension? */
static int same_rows(const lun_tensor *a, const lun_tensor *b) {
  int same = a->ndim == b->ndim;
  for (int i = 1; same && i < a->ndim; i++) same = a->dim[i] == b->dim[i];
  return same;
}

/* The tensor under `key` of the table at arg; NULL when there is none, or
** `false`, which is then at the top of the stack. */
static lun_tensor *own_value(lua_State *L, int arg, const char *key) {
  int type = lua_getfield(L, arg, key);
  if (type == LUA_TNIL || type == LUA_TBOOLEAN) return NULL;
  if (!luaL_testudata(L, -1, TENSOR_T))
    luaL_error(L, "%s: a tensor expected, got %s", key, luaL_typename(L, -1));
  return lunL_checktensor(L, lua_gettop(L));
}

/* Replaces input i of o->n by the value under `key` of the caller's table, if any. */
static int replace_input(lua_State *L, own_node *o, const lun_node *n, int i,
                         const char *key, int arg) {
  lun_tensor *t = own_value(L, arg, key);
  const lun_tensor *old = i < n->nin ? o->n.in[i] : NULL;
  if (!t && !lua_isboolean(L, -1)) return 0;
  if (!old && !t && !lua_toboolean(L, -1))
    return 0; /* is not there: nothing to leave out */
  if (!old && i >= n->op->max_in)
    luaL_error(L, "%s '%s' has no %s", n->op->name, lun_node_title(n), key);
  if (!t && (i < n->op->min_in || lua_toboolean(L, -1)))
    luaL_error(L, "%s '%s': the %s cannot be left out", n->op->name,
               lun_node_title(n), key);
  if (t && i == 0 && old && !same_rows(t, old))
    wrong_shape(L, n, key, t, old, " (any number of rows)");
  if (t && i > 0 && old && !lun_tensor_same_shape(t, old))
    wrong_shape(L, n, key, t, old, "");
  lun_tensor_release(o->n.in[i]);
  o->n.in[i] = t ? lun_tensor_retain(t) : NULL;
  if (t && i >= o->n.nin) { /* an optional one that the layer does without */
    o->n.nin = i + 1;
    o->n.src[i] = -1;
  }
  lua_pop(L, 1);
  return 1;
}

static const lun_node *node_at(lua_State *L, const lunL_node *b) {
  const lun_node *n = lun_tape_node(b->tape, b->id);
  if (!n->op) luaL_error(L, "the input of a run has no operator");
  if (!n->out || !n->in[0])
    luaL_error(L, "%s: its values were dropped; run with keep = true",
               lun_node_title(n));
  return n;
}

/* Computes the deferred inputs of o->n that are the run's own. */
static void ready_inputs(lua_State *L, const lunL_node *b, const own_node *o) {
  const lun_node *n = lun_tape_node(b->tape, b->id);
  lun_tensor *value;
  lun_err err;
  for (int i = 0; i < n->nin; i++)
    if (o->n.in[i] && o->n.in[i] == n->in[i] && n->src[i] >= 0 &&
        lun_tape_value(b->tape, n->src[i], &value, &err) != LUN_OK)
      lunL_raise(L, &err);
}

/* Shapes of o->n; values too where `values`. */
static void compute(lua_State *L, own_node *o, int values) {
  lun_err err;
  int status;
  o->n.defer = !values;
  lunL_reserve(L, 0);
  status = o->n.op->infer(&o->n, &err);
  if (status == LUN_OK && values && !o->n.op->is_view)
    status = o->n.op->forward(&o->n, &err);
  if (status != LUN_OK) lunL_raise(L, &err);
}

/* Pushes a copy of n with the inputs that the table at arg has; NULL when it has
** none. */
static own_node *own_inputs(lua_State *L, const lun_node *n, int arg) {
  own_node *o = lua_newuserdatauv(L, sizeof *o, 0);
  int changed = 0;
  *o = (own_node){*n};
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]) lun_tensor_retain(n->in[i]);
  o->n.out = o->n.aux = NULL;
  o->n.id = -1;
  luaL_setmetatable(L, OWN_NODE_T);
  if (lua_istable(L, arg)) {
    luaL_checkstack(L, 8, "rule");
    changed |= replace_input(L, o, n, 0, "input", arg);
    changed |= replace_input(L, o, n, 1, "weight", arg);
    changed |= replace_input(L, o, n, 2, "bias", arg);
  }
  return changed ? o : NULL;
}

/* node:forward{ input =, weight =, bias = } -> the operator's output, off the
** tape; what is not given is the node's own, `bias = false` leaves it out. */
int lunL_node_forward(lua_State *L) {
  lunL_node held, *b = &held;
  const lun_node *n;
  own_node *o;
  static const char *const fields[] = {"input", "weight", "bias", NULL};
  int given;
  lunL_most(L, "forward", 2);
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) {
    lunL_checktype(L, 2, LUA_TTABLE);
    lunL_known(L, 2, "forward", fields);
  }
  held = lunL_holdnode(L, 1);
  n = node_at(L, b);
  if (lua_isnil(L, 2)) lua_newtable(L), lua_replace(L, 2);
  lua_getfield(L, 2, "input");
  given = !lua_isnil(L, -1);
  o = own_inputs(L, n, 2);
  if (!o) return lunL_pushvalue(L, b, b->id, NULL);
  ready_inputs(L, b, o);
  compute(L, o, 1);
  lunL_pushcopies(L, o->n.out, given ? 1 : b->copies);
  return 1;
}

/* How many copies of n's output dy has. */
static int copies_of(lua_State *L, const lun_node *n, const lun_tensor *dy) {
  const lun_tensor *out = n->out;
  if (!same_rows(dy, out) || !dy->size || !out->size || dy->size % out->size)
    wrong_shape(L, n, "gradient", dy, out, " (one or more copies of it)");
  return (int)(dy->size / out->size);
}

static void fresh_gradient(lua_State *L, const lun_node *n, int copies) {
  int64_t dim[LUN_MAXDIM];
  memcpy(dim, n->in[0]->dim, sizeof dim);
  dim[0] *= copies;
  lunL_fresh(L, n->in[0]->ndim, dim);
}

/* The rule that node_backward's arguments name, parameters into attr. */
static const lun_rule *rule_arg(lua_State *L, const lun_node *n, double *attr) {
  const lun_rule *rule = n->op->rules;
  lun_rule_defaults(rule, attr);
  if (lua_isstring(L, 3)) return lunL_checkrule(L, 3, n->op, attr);
  if (lua_isnoneornil(L, 3)) return rule;
  lunL_checktype(L, 3, LUA_TTABLE);
  if (lua_getfield(L, 3, "rule") != LUA_TNIL)
    rule = lunL_checkrule(L, lua_gettop(L), n->op, attr);
  lua_pop(L, 1);
  lunL_ruleparams(L, 3, rule, own, attr);
  return rule;
}

/* Computes what the rule reads of n itself, or of o instead. */
static void ready_node(lua_State *L, const lunL_node *b, own_node *o,
                       const lun_rule *rule) {
  lun_node *n = lun_tape_node(b->tape, b->id);
  int reads_output = n->op->join == NULL;
  lun_err err;
  if (!o) {
    if (lun_tape_ready(b->tape, n, rule, &err) != LUN_OK) lunL_raise(L, &err);
    return;
  }
  if (reads_output || rule->needs_input) ready_inputs(L, b, o);
  compute(L, o, reads_output);
}

/* Has the table at arg a table `flow`?  What the bias takes goes there. */
static int wants_bias(lua_State *L, int arg) {
  int wants;
  if (!lua_istable(L, arg)) return 0;
  wants = lua_getfield(L, arg, "flow") == LUA_TTABLE;
  lua_pop(L, 1);
  return wants;
}

static void tell_bias(lua_State *L, int arg, double bias) {
  lua_getfield(L, arg, "flow");
  lua_pushnumber(L, bias);
  lua_setfield(L, -2, "bias");
  lua_pop(L, 1);
}

/* node:backward(dy[, rule]) or node:backward(dy, { rule =, weight =, input =,
** bias =, flow =, the rule's parameters }) -> gradient of the first input by one of the
** operator's own rules (default: the true gradient) */
int lunL_node_backward(lua_State *L) {
  lunL_node held, *b = &held;
  const lun_node *n;
  const lun_tensor *dy;
  lun_back back = {0};
  double bias = 0;
  own_node *o;
  lun_err err;
  lunL_most(L, "backward", 3);
  lua_settop(L, 3);
  held = lunL_holdnode(L, 1);
  lunL_ready(L, 2);
  back.node = n = node_at(L, b);
  back.rule = rule_arg(L, n, back.attr);
  if (wants_bias(L, 3)) back.bias = &bias;
  o = own_inputs(L, n, 3);
  ready_node(L, b, o, back.rule);
  if (o) back.node = &o->n;
  node_at(L, b); /* a rule's table may have made the run forget it */
  back.copies = copies_of(L, back.node, lunL_values(L, 2));
  fresh_gradient(L, back.node, back.copies);
  /* the collector may have run until here: what follows is in order again */
  if (!o) node_at(L, b);
  dy = lunL_values(L, 2);
  back.dy = dy->data;
  back.dx[0] = lunL_values(L, -1)->data;
  if (n->op->is_view && back.rule == n->op->rules)
    memcpy(back.dx[0], dy->data, (size_t)dy->size * sizeof(float));
  else if (back.rule->back(&back, &err) != LUN_OK)
    return lunL_raise(L, &err);
  if (back.bias) tell_bias(L, 3, bias);
  return 1;
}

void lunL_open_own_node(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", own_gc}, {NULL, NULL}};
  luaL_newmetatable(L, OWN_NODE_T);
  luaL_setfuncs(L, meta, 0);
  lua_pop(L, 1);
}
