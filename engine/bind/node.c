/*
** node.c (binding) - a node of a tape as backward rules see it: its values, and
** in own_node.c its operator forwards and backwards.
*/
#include <string.h>

#include "node.h"

void lunL_pushnode(lua_State *L, lun_tape *tape, int id, int copies) {
  lunL_node *n = lua_newuserdatauv(L, sizeof *n, 0);
  *n = (lunL_node){NULL, id, copies};
  luaL_setmetatable(L, NODE_T);
  n->tape = lun_tape_retain(tape);
}

static const lunL_node *check_node(lua_State *L, int arg) {
  const lunL_node *b = lunL_checkudata(L, arg, NODE_T);
  lunL_argcheck(L, b->tape != NULL, arg, "node was released");
  return b;
}

lunL_node lunL_holdnode(lua_State *L, int arg) {
  lun_tape **held = lunL_newtape(L);
  const lunL_node *b = check_node(L, arg);
  *held = lun_tape_retain(b->tape);
  return *b;
}

/* ---- values ------------------------------------------------------------- */

void lunL_pushcopies(lua_State *L, lun_tensor *t, int copies) {
  int64_t dim[LUN_MAXDIM];
  lun_tensor *all;
  if (copies == 1) {
    lunL_pushtensor(L, t, NULL, -1);
    return;
  }
  memcpy(dim, t->dim, sizeof dim);
  dim[0] *= copies;
  lunL_pushtensor(L, t, NULL, -1); /* holds t while room is made */
  all = lunL_fresh(L, t->ndim, dim);
  for (int k = 0; k < copies; k++)
    memcpy(all->data + k * t->size, t->data, (size_t)t->size * sizeof(float));
  lua_remove(L, -2);
}

int lunL_pushvalue(lua_State *L, const lunL_node *b, int id,
                   lun_tensor *constant) {
  lunL_tensor *box = lunL_newtensor(L); /* first: it may forget values */
  lun_tensor *t = constant;
  lun_err err;
  if (id >= 0 && lun_tape_value(b->tape, id, &t, &err) != LUN_OK)
    return lunL_raise(L, &err);
  box->t = lun_tensor_retain(t);
  if (id >= 0 && b->copies > 1) {
    lunL_pushcopies(L, t, b->copies);
    lua_remove(L, -2);
  }
  return 1;
}

static int push_inputs(lua_State *L, const lunL_node *b, const lun_node *n) {
  lua_newtable(L);
  for (int i = 0; i < n->nin; i++) {
    if (!n->in[i]) continue;
    lunL_pushvalue(L, b, n->src[i], n->in[i]);
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

/* A shape as a list, the first dimension times `copies`. */
static int push_shape(lua_State *L, const lun_tensor *t, int copies) {
  int64_t dim[LUN_MAXDIM];
  if (!t) return 0;
  memcpy(dim, t->dim, sizeof dim);
  dim[0] *= copies;
  lunL_pushshape(L, t->ndim, dim);
  return 1;
}

/* ---- the class ---------------------------------------------------------- */

static int index_operator(lua_State *L, const lunL_node *b, const lun_node *n,
                          const char *key) {
  if (strcmp(key, "input") == 0)
    return lunL_pushvalue(L, b, n->src[0], n->in[0]);
  if (strcmp(key, "input_shape") == 0)
    return push_shape(L, n->in[0], b->copies);
  if (strcmp(key, "inputs") == 0) return push_inputs(L, b, n);
  if (strcmp(key, "attrs") == 0) return lunL_pushattrs(L, n->op, n->attr);
  if (strcmp(key, "forward") == 0)
    return lua_pushcfunction(L, lunL_node_forward), 1;
  if (strcmp(key, "backward") == 0)
    return lua_pushcfunction(L, lunL_node_backward), 1;
  if (strcmp(key, "weight") == 0 && n->nin > 1 && n->in[1])
    return lunL_pushvalue(L, b, n->src[1], n->in[1]);
  if (strcmp(key, "bias") == 0 && n->nin > 2 && n->in[2])
    return lunL_pushvalue(L, b, n->src[2], n->in[2]);
  return 0;
}

/* node.name .kind .id .copies .joined .input .output .inputs .weight .bias .attrs
** .shape (of the output) .input_shape (of what backward has to return)
** :forward() :backward() */
static int node_index(lua_State *L) {
  lunL_node held = lunL_holdnode(L, 1), *b = &held;
  const char *key = lunL_checkstring(L, 2);
  const lun_node *n = lun_tape_node(b->tape, b->id);
  if (strcmp(key, "name") == 0) return lua_pushstring(L, n->name), 1;
  if (strcmp(key, "id") == 0) return lua_pushinteger(L, b->id), 1;
  if (strcmp(key, "copies") == 0) return lua_pushinteger(L, b->copies), 1;
  if (strcmp(key, "joined") == 0) return lua_pushboolean(L, n->joined), 1;
  if (strcmp(key, "shape") == 0) return push_shape(L, n->out, 1);
  if (strcmp(key, "kind") == 0)
    return lua_pushstring(L, n->op ? n->op->name : "input"), 1;
  if (strcmp(key, "output") == 0) return lunL_pushvalue(L, b, b->id, NULL);
  return n->op ? index_operator(L, b, n, key) : 0;
}

static int node_gc(lua_State *L) {
  lunL_node *b = lunL_checkudata(L, 1, NODE_T);
  lun_tape_release(b->tape);
  b->tape = NULL;
  return 0;
}

static int node_tostring(lua_State *L) {
  const lunL_node *b = lunL_checkudata(L, 1, NODE_T);
  const lun_node *n;
  if (!b->tape) return lua_pushliteral(L, "node (released)"), 1;
  n = lun_tape_node(b->tape, b->id);
  lua_pushfstring(L, "node %d: %s '%s'", b->id, n->op ? n->op->name : "input",
                  n->name ? n->name : "");
  return 1;
}

static const luaL_Reg node_meta[] = {
    {"__index", node_index},
    {"__gc", node_gc},
    {"__tostring", node_tostring},
    {NULL, NULL},
};

void lunL_open_node(lua_State *L) {
  luaL_newmetatable(L, NODE_T);
  luaL_setfuncs(L, node_meta, 0);
  lua_pop(L, 1);
  lunL_open_own_node(L);
}
