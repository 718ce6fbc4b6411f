/*
** node.h - what node.c (the class) and own_node.c (its operator with other
** values) share.
*/
#ifndef LUN_BIND_NODE_H
#define LUN_BIND_NODE_H

#include "bind.h"

/* copies: seeds of the walk it is part of. */
typedef struct lunL_node {
  lun_tape *tape;
  int id, copies;
} lunL_node;

/* The node at arg, whose tape a box on the stack keeps for as long as this call
** lasts, whatever Lua does meanwhile: all of its nodes and inputs stay. */
lunL_node lunL_holdnode(lua_State *L, int arg);
/* Pushes t as many times as there are copies, along the first dimension. */
void lunL_pushcopies(lua_State *L, lun_tensor *t, int copies);
/* The value of node `id`, once per seed, so that it lines up with dy; or of a
** constant, once. */
int lunL_pushvalue(lua_State *L, const lunL_node *b, int id,
                   lun_tensor *constant);
/* node:forward{...} and node:backward(dy, ...), as methods. */
int lunL_node_forward(lua_State *L);
int lunL_node_backward(lua_State *L);
/* The class of nodes beside a tape. */
void lunL_open_own_node(lua_State *L);

#endif
