/*
** tape.c (binding) - tapes, nodes as modifiers see them, and backward.
**
** core.backward drives the core's walk; where a Lua rule is due the walk comes
** back here and the rule is called from this frame, so an error in it unwinds
** nothing but this binding, and the walk's box frees the rest.
*/
#include <string.h>

#include "bind.h"

/* A node of a tape, handed to Lua; copies: seeds of the walk it is part of. */
typedef struct node_box {
  lun_tape *tape;
  int id, copies;
} node_box;

/* ---- tape ---- */

static lun_tape *check(lua_State *L, int arg) {
  lun_tape **b = luaL_checkudata(L, arg, TAPE_T);
  luaL_argcheck(L, *b != NULL, arg, "run was released");
  return *b;
}

static int tape_new(lua_State *L) {
  lun_tape **b = lua_newuserdatauv(L, sizeof *b, 0);
  lun_err err;
  *b = NULL;
  luaL_setmetatable(L, TAPE_T);
  if (lun_tape_new(b, &err) != LUN_OK) return lunL_raise(L, &err);
  return 1;
}

/* tape:watch(tensor) -> the tensor as a leaf of the tape */
static int watch(lua_State *L) {
  lun_tape *tape = check(L, 1);
  lun_tensor *t = lunL_checktensor(L, 2);
  lunL_tensor *b = lunL_newtensor(L);
  lun_err err;
  int id;
  if (lun_tape_watch(tape, t, &id, &err) != LUN_OK) return lunL_raise(L, &err);
  b->t = lun_tensor_retain(t);
  b->tape = lun_tape_retain(tape);
  b->node = id;
  return 1;
}

static int forget(lua_State *L) {
  lun_tape_forget(check(L, 1), (int)luaL_checkinteger(L, 2));
  return 0;
}

static int count(lua_State *L) {
  lua_pushinteger(L, lun_tape_count(check(L, 1)));
  return 1;
}

static int tape_gc(lua_State *L) {
  lun_tape **b = luaL_checkudata(L, 1, TAPE_T);
  lun_tape_release(*b);
  *b = NULL;
  return 0;
}

/* ---- node ---- */

static void push_node(lua_State *L, lun_tape *tape, int id, int copies) {
  node_box *n = lua_newuserdatauv(L, sizeof *n, 0);
  *n = (node_box){NULL, id, copies};
  luaL_setmetatable(L, NODE_T);
  n->tape = lun_tape_retain(tape);
}

static const node_box *check_node(lua_State *L, int arg) {
  const node_box *b = luaL_checkudata(L, arg, NODE_T);
  luaL_argcheck(L, b->tape != NULL, arg, "node was released");
  return b;
}

/* tape:node(id) */
static int node_of(lua_State *L) {
  lun_tape *tape = check(L, 1);
  int id = (int)luaL_checkinteger(L, 2);
  luaL_argcheck(L, lun_tape_node(tape, id), 2, "no such node");
  push_node(L, tape, id, 1);
  return 1;
}

/* tape:box(id) -> the node's output as a tensor on the tape */
static int box_of(lua_State *L) {
  lun_tape *tape = check(L, 1);
  int id = (int)luaL_checkinteger(L, 2);
  lun_node *n = lun_tape_node(tape, id);
  luaL_argcheck(L, n && n->out, 2, "no such node, or its value was dropped");
  lunL_pushtensor(L, n->out, tape, id);
  return 1;
}

/* The value of node `id`, once per seed, so that it lines up with dy. */
static int push_value(lua_State *L, const node_box *b, int id,
                      lun_tensor *constant) {
  lunL_tensor *box = lunL_newtensor(L);
  lun_tensor *t = constant;
  int64_t dim[LUN_MAXDIM];
  lun_err err;
  if (id >= 0 && lun_tape_value(b->tape, id, &t, &err) != LUN_OK)
    return lunL_raise(L, &err);
  if (b->copies == 1 || id < 0) {
    box->t = lun_tensor_retain(t);
    return 1;
  }
  memcpy(dim, t->dim, sizeof dim);
  dim[0] *= b->copies;
  if (lun_tensor_new(&box->t, t->ndim, dim, &err) != LUN_OK)
    return lunL_raise(L, &err);
  for (int k = 0; k < b->copies; k++)
    memcpy(box->t->data + k * t->size, t->data,
           (size_t)t->size * sizeof(float));
  return 1;
}

/* Attributes as a table by name. */
static int push_attrs(lua_State *L, const lun_node *n) {
  lua_newtable(L);
  for (const lun_attrdef *a = n->op->attrs; a && a->name; a++) {
    if (a->count == 1) {
      lua_pushnumber(L, n->attr[a->at]);
    } else {
      lua_newtable(L);
      for (int i = 0; i < a->count && n->attr[a->at + i] > LUN_UNSET; i++) {
        lua_pushnumber(L, n->attr[a->at + i]);
        lua_seti(L, -2, i + 1);
      }
    }
    lua_setfield(L, -2, a->name);
  }
  return 1;
}

static int push_inputs(lua_State *L, const node_box *b, const lun_node *n) {
  lua_newtable(L);
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i]) continue;
    push_value(L, b, n->src[i], n->in[i]);
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

static int node_backward(lua_State *L);

/* A shape as a list, the first dimension times `copies`. */
static int push_shape(lua_State *L, const lun_tensor *t, int copies) {
  if (!t) return 0;
  lua_createtable(L, t->ndim, 0);
  for (int i = 0; i < t->ndim; i++) {
    lua_pushinteger(L, t->dim[i] * (i ? 1 : copies));
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

/* node.name .kind .id .copies .input .output .inputs .weight .bias .attrs
** .shape (of the output) .input_shape (of what backward has to return)
** :backward() */
static int node_index(lua_State *L) {
  const node_box *b = check_node(L, 1);
  const char *key = luaL_checkstring(L, 2);
  const lun_node *n = lun_tape_node(b->tape, b->id);
  if (strcmp(key, "name") == 0) return lua_pushstring(L, n->name), 1;
  if (strcmp(key, "id") == 0) return lua_pushinteger(L, b->id), 1;
  if (strcmp(key, "copies") == 0) return lua_pushinteger(L, b->copies), 1;
  if (strcmp(key, "shape") == 0) return push_shape(L, n->out, 1);
  if (strcmp(key, "kind") == 0)
    return lua_pushstring(L, n->op ? n->op->name : "input"), 1;
  if (strcmp(key, "output") == 0) return push_value(L, b, b->id, NULL);
  if (!n->op) return 0;
  if (strcmp(key, "input") == 0) return push_value(L, b, n->src[0], n->in[0]);
  if (strcmp(key, "input_shape") == 0)
    return push_shape(L, n->in[0], b->copies);
  if (strcmp(key, "inputs") == 0) return push_inputs(L, b, n);
  if (strcmp(key, "attrs") == 0) return push_attrs(L, n);
  if (strcmp(key, "backward") == 0)
    return lua_pushcfunction(L, node_backward), 1;
  if (strcmp(key, "weight") == 0 && n->nin > 1 && n->in[1])
    return push_value(L, b, n->src[1], n->in[1]);
  if (strcmp(key, "bias") == 0 && n->nin > 2 && n->in[2])
    return push_value(L, b, n->src[2], n->in[2]);
  return 0;
}

/* node:backward(dy[, rule[, param]]) -> gradient of the first input by one of
** the operator's own rules (default: the true gradient) */
static int node_backward(lua_State *L) {
  const node_box *b = check_node(L, 1);
  lun_node *n = lun_tape_node(b->tape, b->id);
  const lun_tensor *dy = lunL_checktensor(L, 2);
  const char *name = luaL_optstring(L, 3, NULL);
  lunL_tensor *box;
  lun_back back = {.node = n};
  lun_err err;
  int64_t dim[LUN_MAXDIM];
  const lun_rule *rule;
  if (!n->op || !n->out || !n->out->size || !dy->size ||
      dy->size % n->out->size)
    return luaL_error(L, "backward: the gradient does not fit %s",
                      lun_node_title(n));
  rule = name ? lun_op_rule(n->op, name, &err) : n->op->rules;
  if (!rule) return lunL_raise(L, &err);
  back.copies = (int)(dy->size / n->out->size);
  back.rule = rule;
  lun_rule_defaults(rule, back.attr);
  if (rule->attrs) back.attr[0] = luaL_optnumber(L, 4, back.attr[0]);
  if (lun_tape_ready(b->tape, n, rule, &err) != LUN_OK)
    return lunL_raise(L, &err);
  box = lunL_newtensor(L);
  memcpy(dim, n->in[0]->dim, sizeof dim);
  dim[0] *= back.copies;
  if (lun_tensor_new(&box->t, n->in[0]->ndim, dim, &err) != LUN_OK)
    return lunL_raise(L, &err);
  if (n->op->pass && !name) {
    memcpy(box->t->data, dy->data, (size_t)dy->size * sizeof(float));
    return 1;
  }
  back.dy = dy->data;
  back.dx[0] = box->t->data;
  if (rule->back(&back, &err) != LUN_OK) return lunL_raise(L, &err);
  return 1;
}

static int node_gc(lua_State *L) {
  node_box *b = luaL_checkudata(L, 1, NODE_T);
  lun_tape_release(b->tape);
  b->tape = NULL;
  return 0;
}

static int node_tostring(lua_State *L) {
  const node_box *b = luaL_checkudata(L, 1, NODE_T);
  const lun_node *n;
  if (!b->tape) return lua_pushliteral(L, "node (released)"), 1;
  n = lun_tape_node(b->tape, b->id);
  lua_pushfstring(L, "node %d: %s '%s'", b->id, n->op ? n->op->name : "input",
                  n->name ? n->name : "");
  return 1;
}

/* ---- backward ---- */

static int walk_gc(lua_State *L) {
  lun_walk **w = luaL_checkudata(L, 1, WALK_T);
  lun_walk_free(*w);
  *w = NULL;
  return 0;
}

/* One entry of the rules table: id = "name" | {"name", param} | function. */
static void set_rule(lua_State *L, lun_walk *w, lun_tape *tape, int id) {
  const lun_node *n = lun_tape_node(tape, id);
  lun_err err;
  const lun_rule *rule;
  double param = LUN_UNSET, attr[LUN_MAXPARAM];
  if (!n || !n->op) luaL_error(L, "backward: node %d takes no rule", id);
  if (lua_isfunction(L, -1)) {
    if (lun_walk_hook(w, id, &err) != LUN_OK) lunL_raise(L, &err);
    return;
  }
  if (lua_istable(L, -1)) {
    lua_geti(L, -1, 2);
    param = luaL_optnumber(L, -1, LUN_UNSET);
    lua_pop(L, 1);
    lua_geti(L, -1, 1);
  } else {
    lua_pushvalue(L, -1);
  }
  rule = lun_op_rule(n->op, luaL_checkstring(L, -1), &err);
  if (!rule) lunL_raise(L, &err);
  lun_rule_defaults(rule, attr);
  if (param > LUN_UNSET) attr[0] = param;
  lua_pop(L, 1);
  if (lun_walk_rule(w, id, rule, attr, &err) != LUN_OK) lunL_raise(L, &err);
}

/* Calls the Lua rule of node `id`; its answer goes to the walk. */
static void call_hook(lua_State *L, lun_walk *w, lun_tape *tape, int id,
                      int rules) {
  const lun_node *n = lun_tape_node(tape, id);
  lun_err err;
  int several;
  lua_geti(L, rules, id);
  push_node(L, tape, id, lun_walk_copies(w));
  lunL_pushtensor(L, lun_walk_dy(w), NULL, -1);
  lua_call(L, 2, 1);
  several = lua_istable(L, -1);
  if (!several && !luaL_testudata(L, -1, TENSOR_T))
    luaL_error(L,
               "backward rule of layer '%s' (%s) returned %s, expected a "
               "tensor: the gradient of its input",
               n->name ? n->name : "?", n->op->name, luaL_typename(L, -1));
  for (int i = 0; i < (several ? n->nin : 1); i++) {
    lun_tensor *dx;
    if (several) lua_geti(L, -1, i + 1);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      continue;
    }
    if (!luaL_testudata(L, -1, TENSOR_T))
      luaL_error(L, "backward rule of layer '%s' (%s): gradient %d is a %s",
                 n->name ? n->name : "?", n->op->name, i + 1,
                 luaL_typename(L, -1));
    dx = lunL_checktensor(L, -1);
    if (lun_walk_put(w, i, dx, &err) != LUN_OK) lunL_raise(L, &err);
    if (several) lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void run_walk(lua_State *L, lun_walk *w, lun_tape *tape, int rules) {
  lun_err err;
  int id;
  for (;;) {
    lunL_reserve(L, 0);
    id = lun_walk_next(w, &err);
    if (id == 0) return;
    if (id < 0) lunL_raise(L, &err);
    call_hook(L, w, tape, id - 1, rules);
  }
}

static void push_gradients(lua_State *L, lun_walk *w, int wants) {
  int n = (int)luaL_len(L, wants);
  lua_createtable(L, n, 0);
  for (int i = 1; i <= n; i++) {
    lun_tensor *g;
    lua_geti(L, wants, i);
    g = lun_walk_gradient(w, (int)lua_tointeger(L, -1));
    lua_pop(L, 1);
    if (g)
      lunL_pushtensor(L, g, NULL, -1);
    else
      lua_pushboolean(L, 0); /* no path: zero everywhere */
    lua_seti(L, -2, i);
  }
}

/*
** core.backward(output, seed, wants, rules) -> list of gradients
**   output  tensor on a tape        seed  (copies * its shape)
**   wants   list of node ids        rules {[node id] = rule}
** A wanted node that no path leads to gives false.
*/
static int backward(lua_State *L) {
  lunL_tensor *out = lunL_checkbox(L, 1);
  lun_tensor *seed = lunL_checktensor(L, 2);
  lun_tape *tape = out->tape;
  lun_walk **w;
  lun_err err;
  luaL_argcheck(L, out->node >= 0, 1, "the output is not on a tape");
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 4);
  w = lua_newuserdatauv(L, sizeof *w, 0);
  *w = NULL;
  luaL_setmetatable(L, WALK_T);
  if (lun_walk_new(w, tape, out->node, seed, &err) != LUN_OK)
    return lunL_raise(L, &err);
  for (int i = 1; i <= (int)luaL_len(L, 3); i++) {
    lua_geti(L, 3, i);
    if (lun_walk_want(*w, (int)luaL_checkinteger(L, -1), &err) != LUN_OK)
      return lunL_raise(L, &err);
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_istable(L, 4) && lua_next(L, 4)) {
    int id = (int)lua_tointeger(L, -2);
    luaL_argcheck(L, lua_isinteger(L, -2), 4, "rules are by node id");
    if (id <= out->node) set_rule(L, *w, tape, id);
    lua_pop(L, 1);
  }
  run_walk(L, *w, tape, 4);
  push_gradients(L, *w, 3);
  lun_walk_free(*w);
  *w = NULL;
  return 1;
}

static const luaL_Reg tape_methods[] = {
    {"watch", watch}, {"forget", forget},   {"count", count}, {"node", node_of},
    {"box", box_of},  {"release", tape_gc}, {NULL, NULL},
};
static const luaL_Reg tape_meta[] = {
    {"__gc", tape_gc},
    {"__close", tape_gc},
    {NULL, NULL},
};
static const luaL_Reg node_meta[] = {
    {"__index", node_index},
    {"__gc", node_gc},
    {"__tostring", node_tostring},
    {NULL, NULL},
};
static const luaL_Reg walk_meta[] = {
    {"__gc", walk_gc},
    {NULL, NULL},
};

int lunL_open_tape(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  lunL_class(L, TAPE_T, tape_methods, tape_meta);
  luaL_newmetatable(L, NODE_T);
  luaL_setfuncs(L, node_meta, 0);
  lua_pop(L, 1);
  lunL_class(L, WALK_T, none, walk_meta);
  lua_pushcfunction(L, tape_new);
  lua_setfield(L, -2, "tape");
  lua_pushcfunction(L, backward);
  lua_setfield(L, -2, "backward");
  return 0;
}
