/*
** bind.h - what the binding's files share.  Only files in this folder include
** Lua.
**
** The order in every constructor: check all arguments (may raise, nothing
** acquired yet), make the owner (an empty box with its metatable), let the
** core fill it, then raise if the core failed.
**
** While a pointer out of a box is held no Lua may run.  Metamethods run in
** lua_geti, lua_getfield, luaL_len, luaL_tolstring on tables of the caller; the
** collector, and with it finalisers, in everything that makes a Lua value
** (lua_new*, lua_push*string, luaL_Buffer) and in lunL_reserve; either may
** release any box.  So every entry point works in this order:
**   1. arguments that are no boxes become C values; strings stay on the stack
**   2. lunL_ready for every tensor, the result's box, lunL_reserve
**   3. pointers: lunL_values, lunL_writable, lunL_checkbox
**   4. the core works; it calls no Lua
**   5. answers are pushed from C values, or from boxes read again
** An index into the stack may be kept as long as one likes, and so may a new box
** that Lua has not seen; what has to be read while Lua runs is held (lunL_hold).
*/
#ifndef LUN_BIND_H
#define LUN_BIND_H

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>

#include "../lunette.h"

#define TENSOR_T   "lunette.tensor"
#define TAPE_T     "lunette.tape"
#define NODE_T     "lunette.node"
#define OWN_NODE_T "lunette.own_node"
#define WALK_T     "lunette.walk"
#define WEIGHTS_T  "lunette.weights"

/* A tensor as Lua sees it: values, and its place on a tape if it has one. */
typedef struct lunL_tensor {
  lun_tensor *t; /* NULL: released */
  lun_tape *tape;
  int node;
} lunL_tensor;

/* Pushes an empty box; fill it, then it is a tensor. */
lunL_tensor *lunL_newtensor(lua_State *L);
/* Pushes a tensor of that shape, values not set; raises when it cannot. */
lun_tensor *lunL_fresh(lua_State *L, int ndim, const int64_t *dim);
/* Pushes a box with a reference of its own to t (and the tape), both of which
** something keeps that Lua cannot release. */
void lunL_pushtensor(lua_State *L, lun_tensor *t, lun_tape *tape, int node);
/* The box at arg; raises when it is none or was released. */
lunL_tensor *lunL_checkbox(lua_State *L, int arg);
/* Computes a deferred tensor.  The collector may run here. */
void lunL_ready(lua_State *L, int arg);
/* The tensor, which is ready; nothing of Lua runs but a raise. */
lun_tensor *lunL_values(lua_State *L, int arg);
/* The same to be written: raises when it is a file's or a run's.  Every tensor that a
** method writes comes from here. */
lun_tensor *lunL_writable(lua_State *L, int arg);
/* ready, then values, which a box of their own on top of the stack keeps until the
** function returns: Lua may run while they are read. */
lun_tensor *lunL_hold(lua_State *L, int arg);
/* ready, then values or writable: for the last thing before the core works. */
lun_tensor *lunL_checktensor(lua_State *L, int arg);
lun_tensor *lunL_checkwritable(lua_State *L, int arg);
/* Pushes a list of numbers. */
void lunL_pushshape(lua_State *L, int ndim, const int64_t *dim);
/* NULL when the value is no tensor. */
lunL_tensor *lunL_testbox(lua_State *L, int arg);
/* Pushes an empty box for a tape. */
lun_tape **lunL_newtape(lua_State *L);
/* Pushes a node as rules see it, in a walk of so many copies. */
void lunL_pushnode(lua_State *L, lun_tape *tape, int id, int copies);
/* The rule of op that stands at idx, its parameters into attr (LUN_MAXPARAM
** numbers): "leak", { "leak", 0.1 } or { "leak", leak = 0.1 }.  Raises when op has
** no such rule, or the rule no such parameter. */
const lun_rule *lunL_checkrule(lua_State *L, int idx, const lun_op *op,
                               double *attr);
/* The rule's parameters by name from the table at idx into attr.  `others`, a list
** that ends with NULL, are keys of the table that are no parameters. */
void lunL_ruleparams(lua_State *L, int idx, const lun_rule *rule,
                     const char *const *others, double *attr);
/* Offset in floats of an element of the tensor at 1: its indices, from 1, follow it on
** the stack, then `more` other arguments.  `name` is the method, for messages. */
int64_t lunL_offset(lua_State *L, const lun_tensor *t, const char *name,
                    int more);
/* Reads a shape: numbers from arg on, or one list at arg. Returns ndim. */
int lunL_checkshape(lua_State *L, int arg, int64_t *dim);

/* Pushes an operator's attributes by name; those that are not set are left out. */
int lunL_pushattrs(lua_State *L, const lun_op *op, const double *attr);

/* Collects garbage when the core's soft limit is crossed. */
void lunL_reserve(lua_State *L, size_t bytes);
/* 1: the function that `ar` describes (lua_getinfo with "S") is the library's own.
** Makes no string. */
int lunL_inner(lua_State *L, const lua_Debug *ar);
/* An interruption is about to be raised: interrupt.c's part of lunL_raise. */
void lunL_interrupted(lua_State *L);
/* Raises err's message; LUN_EINTR as "interrupted". */
int lunL_raise(lua_State *L, const lun_err *err);
/* Pushes what the caller wrote as a message may quote it: at most a message's length,
** without what a terminal acts on. */
const char *lunL_quoted(lua_State *L, const char *s);
/* Raises when a mapped file could not be read since this was last asked. */
void lunL_check_files(lua_State *L);
/* Returns nil, message. */
int lunL_failed(lua_State *L, const lun_err *err);
/* A function that Lua calls, and how many arguments it takes, its object counted:
** more are an error.  LUNL_ANY: it counts them itself. */
typedef struct lunL_reg {
  const char *name;
  lua_CFunction f;
  int most;
} lunL_reg;
#define LUNL_ANY INT_MAX
/* Adds functions to the table on top, as luaL_setfuncs does, and counts their
** arguments in every call.  The list, which {NULL} ends, stays where it is. */
void lunL_setfuncs(lua_State *L, const lunL_reg *list);
/* The number of an argument as who called the running function counts: a method's
** object is none. */
int lunL_position(lua_State *L, int arg);
/* The name in its list of the function at f, which lunL_setfuncs added; NULL: of
** another. */
const char *lunL_own_name(lua_State *L, int f);
/* The same of an operator. */
const char *lunL_op_name(lua_State *L, int f);

/* Lua's luaL_check..., whose messages say what the value should be, what was given and
** what to do: "mul: argument 1 should be a tensor, got a table; ...".  An index below 0
** is a value that was read from a list. */
lua_Number lunL_checknumber(lua_State *L, int arg);
lua_Integer lunL_checkinteger(lua_State *L, int arg);
lua_Number lunL_optnumber(lua_State *L, int arg, lua_Number fallback);
lua_Integer lunL_optinteger(lua_State *L, int arg, lua_Integer fallback);
const char *lunL_checklstring(lua_State *L, int arg, size_t *n);
const char *lunL_checkstring(lua_State *L, int arg);
const char *lunL_optstring(lua_State *L, int arg, const char *fallback);
const char *lunL_optlstring(lua_State *L, int arg, const char *fallback,
                            size_t *n);
void lunL_checktype(lua_State *L, int arg, int type);
void *lunL_checkudata(lua_State *L, int arg, const char *class);
int lunL_checkoption(lua_State *L, int arg, const char *fallback,
                     const char *const *words);
/* Raises: the argument should be `wanted`, "a number". */
int lunL_wanted(lua_State *L, int arg, const char *wanted);
/* Raises: "zeros: argument 1: MESSAGE"; of a method's object "item: MESSAGE". */
int lunL_argerror(lua_State *L, int arg, const char *message);
#define lunL_argcheck(L, cond, arg, message)                                   \
  ((void)((cond) || lunL_argerror(L, arg, message)))
/* Raises when the function that runs was given more than `most` arguments. */
void lunL_most(lua_State *L, const char *name, int most);
/* Raises when the table at idx has a field that is not in `known`, which ends with
** NULL. */
void lunL_known(lua_State *L, int idx, const char *name,
                const char *const *known);
/* Makes a class: methods (NULL: it has none) as __index, metamethods beside it. */
void lunL_class(lua_State *L, const char *name, const lunL_reg *methods,
                const luaL_Reg *meta);

/* Each pushes one table of functions (or adds to core). */
int lunL_open_interrupt(lua_State *L);
int lunL_open_tensor(lua_State *L);  /* core.methods */
int lunL_open_make(lua_State *L);    /* core.tensor, core.zeros ... */
int lunL_open_order(lua_State *L);   /* core.argmax, core.argsort */
int lunL_open_ops(lua_State *L);     /* core.ops, and methods of tensors */
int lunL_open_op_info(lua_State *L); /* core.op_info */
int lunL_open_algebra(lua_State *L); /* decompositions */
int lunL_open_inplace(lua_State *L); /* methods that change in place */
int lunL_open_tape(lua_State *L);
void lunL_open_node(lua_State *L); /* the class of nodes */
int lunL_open_weights(lua_State *L);
int lunL_open_term(lua_State *L);
int lunL_open_files(lua_State *L);
int lunL_open_spawn(lua_State *L);
int lunL_open_image(lua_State *L); /* pushes core.image */
int lunL_open_json(lua_State *L);  /* pushes core.json */

#endif
