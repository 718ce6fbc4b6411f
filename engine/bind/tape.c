/*
** tape.c (binding) - tapes and backward.
**
** core.backward drives the core's walk; where a Lua rule is due the walk comes
** back here and the rule is called from this frame, so an error in it unwinds
** nothing but this binding, and the walk's box frees the rest.
*/
#include <limits.h>
#include <string.h>

#include "bind.h"

/* ---- tape --------------------------------------------------------------- */

static lun_tape *check(lua_State *L, int arg) {
  lun_tape **b = lunL_checkudata(L, arg, TAPE_T);
  lunL_argcheck(L, *b != NULL, arg, "run was released");
  return *b;
}

lun_tape **lunL_newtape(lua_State *L) {
  lun_tape **b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = NULL;
  luaL_setmetatable(L, TAPE_T);
  return b;
}

static int tape_new(lua_State *L) {
  lun_tape **b = lunL_newtape(L);
  lun_err err;
  if (lun_tape_new(b, &err) != LUN_OK) return lunL_raise(L, &err);
  return 1;
}

/* tape:watch(tensor) -> the tensor as a leaf of the tape */
static int watch(lua_State *L) {
  lun_tensor *t = lunL_hold(L, 2);
  lunL_tensor *b = lunL_newtensor(L);
  lun_tape *tape = check(L, 1);
  lun_err err;
  int id;
  if (lun_tape_watch(tape, t, &id, &err) != LUN_OK) return lunL_raise(L, &err);
  b->t = lun_tensor_retain(t);
  b->tape = lun_tape_retain(tape);
  b->node = id;
  return 1;
}

/* The id of a node; -1 where the number is no id. */
static int node_arg(lua_State *L, int arg) {
  lua_Integer id = lunL_checkinteger(L, arg);
  return id >= 0 && id <= INT_MAX ? (int)id : -1;
}

static int forget(lua_State *L) {
  lun_tape_forget(check(L, 1), node_arg(L, 2));
  return 0;
}

static int count(lua_State *L) {
  lua_pushinteger(L, lun_tape_count(check(L, 1)));
  return 1;
}

/* tape:has(tensor) -> was it computed on this tape? */
static int has(lua_State *L) {
  lun_tape *tape = check(L, 1);
  const lunL_tensor *b = luaL_testudata(L, 2, TENSOR_T);
  lua_pushboolean(L, b != NULL && b->tape == tape);
  return 1;
}

static int tape_gc(lua_State *L) {
  lun_tape **b = lunL_checkudata(L, 1, TAPE_T);
  lun_tape_release(*b);
  *b = NULL;
  return 0;
}

/* tape:node(id) */
static int node_of(lua_State *L) {
  int id = node_arg(L, 2);
  lun_tape **held = lunL_newtape(L), *tape = check(L, 1);
  lunL_argcheck(L, lun_tape_node(tape, id), 2, "no such node");
  *held = lun_tape_retain(tape);
  lunL_pushnode(L, tape, id, 1);
  return 1;
}

/* tape:box(id) -> the node's output as a tensor on the tape */
static int box_of(lua_State *L) {
  int id = node_arg(L, 2);
  lunL_tensor *b = lunL_newtensor(L);
  lun_tape *tape = check(L, 1);
  lun_node *n = lun_tape_node(tape, id);
  lunL_argcheck(L, n && n->out, 2, "no such node, or its value was dropped");
  *b = (lunL_tensor){lun_tensor_retain(n->out), lun_tape_retain(tape), id};
  return 1;
}

/* ---- backward ----------------------------------------------------------- */

static int walk_gc(lua_State *L) {
  lun_walk **w = lunL_checkudata(L, 1, WALK_T);
  lun_walk_free(*w);
  *w = NULL;
  return 0;
}

/* One entry of the rules table: a rule as lunL_checkrule reads it, or a
** function. */
static void set_rule(lua_State *L, lun_walk *w, lun_tape *tape, int id) {
  const lun_node *n = lun_tape_node(tape, id);
  double attr[LUN_MAXPARAM];
  const lun_rule *rule;
  lun_err err;
  if (!n || !n->op) luaL_error(L, "backward: node %d takes no rule", id);
  if (lua_isfunction(L, -1)) {
    if (lun_walk_hook(w, id, &err) != LUN_OK) lunL_raise(L, &err);
    return;
  }
  rule = lunL_checkrule(L, lua_gettop(L), n->op, attr);
  if (lun_walk_rule(w, id, rule, attr, &err) != LUN_OK) lunL_raise(L, &err);
}

/* Calls the Lua rule of node `id`; its answer goes to the walk. */
static void call_hook(lua_State *L, lun_walk *w, lun_tape *tape, int id,
                      int rules) {
  const lun_node *n = lun_tape_node(tape, id);
  lun_err err;
  int several;
  lua_geti(L, rules, id);
  lunL_pushnode(L, tape, id, lun_walk_copies(w));
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

/* flows[id + 1] = { into its inputs, bias = into its bias }, where anything is. */
static void fill_flows(lua_State *L, int to, const lun_flow *flows,
                       const lun_tape *tape, int count) {
  for (int id = 0; id < count; id++) {
    const lun_node *n = lun_tape_node(tape, id);
    lua_createtable(L, n->nin, 1);
    for (int k = 0; k < n->nin; k++) {
      lua_pushnumber(L, flows[id].in[k]);
      lua_seti(L, -2, k + 1);
    }
    lua_pushnumber(L, flows[id].bias);
    lua_setfield(L, -2, "bias");
    lua_seti(L, to, id);
  }
}

/* Room for the flows of `count` nodes, which the caller wants in the table at
** `to`; left on the stack. */
static lun_flow *want_flows(lua_State *L, lun_walk *w, int to, int count) {
  lun_flow *flows;
  lun_err err;
  if (lua_isnoneornil(L, to)) return NULL;
  lunL_checktype(L, to, LUA_TTABLE);
  flows = lua_newuserdatauv(L, (size_t)count * sizeof *flows, 0);
  memset(flows, 0, (size_t)count * sizeof *flows);
  if (lun_walk_flows(w, flows, &err) != LUN_OK) lunL_raise(L, &err);
  return flows;
}

/*
** core.backward(output, seed, wants, rules, flows) -> list of gradients
**   output  tensor on a tape        seed  (copies * its shape)
**   wants   list of node ids        rules {[node id] = rule}
**   flows   a table that gets, by node id, what went into the node's inputs and
**           its bias: { sum, sum ..., bias = sum }
** A wanted node that no path leads to gives false.
*/
static int backward(lua_State *L) {
  lun_tape *tape; /* the walk keeps it */
  lun_walk **w;
  lun_flow *flows;
  lun_err err;
  int output;
  lunL_argcheck(L, lunL_checkbox(L, 1)->node >= 0, 1,
                "the output is not on a tape");
  lunL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 5);
  lunL_ready(L, 2);
  w = lua_newuserdatauv(L, sizeof *w, 0);
  *w = NULL;
  luaL_setmetatable(L, WALK_T);
  tape = lunL_checkbox(L, 1)->tape;
  output = lunL_checkbox(L, 1)->node;
  if (lun_walk_new(w, tape, output, lunL_values(L, 2), &err) != LUN_OK)
    return lunL_raise(L, &err);
  for (int i = 1; i <= (int)luaL_len(L, 3); i++) {
    lua_geti(L, 3, i);
    if (lun_walk_want(*w, (int)lunL_checkinteger(L, -1), &err) != LUN_OK)
      return lunL_raise(L, &err);
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_istable(L, 4) && lua_next(L, 4)) {
    int id = (int)lua_tointeger(L, -2);
    lunL_argcheck(L, lua_isinteger(L, -2), 4, "rules are by node id");
    if (id <= output) set_rule(L, *w, tape, id);
    lua_pop(L, 1);
  }
  flows = want_flows(L, *w, 5, output + 1);
  run_walk(L, *w, tape, 4);
  if (flows) fill_flows(L, 5, flows, tape, output + 1);
  lunL_check_files(L);
  push_gradients(L, *w, 3);
  lun_walk_free(*w);
  *w = NULL;
  return 1;
}

static const lunL_reg functions[] = {
    {"tape", tape_new, 0},
    {"backward", backward, 5},
    {NULL, NULL, 0},
};
static const lunL_reg tape_methods[] = {
    {"watch", watch, 2},     {"forget", forget, 2}, {"count", count, 1},
    {"node", node_of, 2},    {"has", has, 2},       {"box", box_of, 2},
    {"release", tape_gc, 1}, {NULL, NULL, 0},
};
static const luaL_Reg tape_meta[] = {
    {"__gc", tape_gc},
    {"__close", tape_gc},
    {NULL, NULL},
};
static const luaL_Reg walk_meta[] = {
    {"__gc", walk_gc},
    {NULL, NULL},
};

int lunL_open_tape(lua_State *L) {
  lunL_class(L, TAPE_T, tape_methods, tape_meta);
  lunL_open_node(L);
  lunL_class(L, WALK_T, NULL, walk_meta);
  lunL_setfuncs(L, functions);
  return 0;
}
