/*
** ops.c (binding) - every operator of the core as a Lua function.
**
** core.ops.NAME(inputs..., attributes...): tensors first (a number where a
** second operand is due becomes a one-element tensor; nil leaves an optional
** input out), then attributes by position, then by name in a table:
**   ops.clamp(x, 0, 1)   ops.conv2d(x, w, b, {stride = 2, padding = 1})
** The same functions are methods of tensors: x:clamp(0, 1).
*/
#include <string.h>

#include "bind.h"

/* The arguments of one call as stack indices; pointers are taken when the core is
** called. */
typedef struct call {
  const lun_op *op;
  int arg[LUN_MAXIN]; /* stack index of every input; 0: left out */
  int nin;
  double attr[LUN_MAXATTR];
  int name;   /* stack slot of the layer's name, or of nil */
  int tracer; /* stack slot of who takes the call over (traced.lua), or 0 */
  unsigned flags;
} call;

static int is_list(const lun_attrdef *a) {
  return a->count == LUN_MAXDIM; /* dims, shapes: any number of values */
}

/* The word at idx as attribute a's number; lists the words that there are. */
static double word(lua_State *L, call *c, const lun_attrdef *a, int idx) {
  luaL_Buffer b;
  const char *given = luaL_tolstring(L, idx, NULL);
  for (int i = 0; a->words[i]; i++)
    if (strcmp(a->words[i], given) == 0) return lua_pop(L, 1), i;
  given = lunL_quoted(L, given);
  luaL_buffinit(L, &b);
  for (int i = 0; a->words[i]; i++) {
    luaL_addstring(&b, i ? "', '" : "");
    luaL_addstring(&b, a->words[i]);
  }
  luaL_pushresult(&b);
  return luaL_error(L, "%s: '%s' is one of '%s', got '%s'", c->op->name,
                    a->name, lua_tostring(L, -1), given);
}

/* The value at idx into attribute a: a number fills all its slots, a list
** gives them one by one. */
static void set_attr(lua_State *L, call *c, const lun_attrdef *a, int idx) {
  int isnum;
  lua_Integer n;
  double v = lua_tonumberx(L, idx, &isnum);
  if (lua_isboolean(L, idx)) v = lua_toboolean(L, idx), isnum = 1;
  if (a->words) v = word(L, c, a, idx), isnum = 1;
  if (isnum) {
    for (int i = 0; i < (is_list(a) ? 1 : a->count); i++)
      c->attr[a->at + i] = v;
    return;
  }
  n = lua_istable(L, idx) ? luaL_len(L, idx) : -1; /* once: __len may lie */
  if (n < 0 || n > a->count)
    luaL_error(L, "%s: '%s' wants a number or a list of at most %d",
               c->op->name, a->name, a->count);
  for (int i = 0; i < (int)n; i++) {
    lua_geti(L, idx, i + 1);
    if (!lua_isnumber(L, -1))
      luaL_error(L, "%s: '%s' is a list of numbers", c->op->name, a->name);
    c->attr[a->at + i] = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
}

static const lun_attrdef *find_attr(const lun_op *op, const char *name) {
  const lun_attrdef *a = op->attrs;
  for (; a && a->name; a++)
    if (strcmp(a->name, name) == 0) return a;
  return NULL;
}

/* Names an operator's attributes: for the message about an unknown one. */
static void push_choices(lua_State *L, const lun_op *op) {
  luaL_Buffer b;
  const lun_attrdef *a = op->attrs;
  luaL_buffinit(L, &b);
  for (; a && a->name; a++) {
    luaL_addstring(&b, a == op->attrs ? "" : ", ");
    luaL_addstring(&b, a->name);
  }
  luaL_pushresult(&b);
}

/* What to write instead of an argument too many: x:sum { dims = ..., keepdims = ... } */
static const char *too_many(lua_State *L, const lun_op *op) {
  const lun_attrdef *a = op->attrs;
  if (!a || !a->name)
    return lua_pushfstring(L, "%s takes %d tensor%s, and nothing else",
                           op->name, op->max_in, op->max_in == 1 ? "" : "s");
  push_choices(L, op);
  return lua_pushfstring(L, "%s takes no more; its attributes by name are %s",
                         op->name, lua_tostring(L, -1));
}

/* A value that is neither a tensor that the operator takes nor an attribute. */
static void not_an_attribute(lua_State *L, const lun_op *op, int arg) {
  const lun_attrdef *a = op->attrs;
  if (!a || !a->name) lunL_argerror(L, arg, too_many(L, op));
  push_choices(L, op);
  lunL_wanted(L, arg,
              lua_pushfstring(L, "a number or a table of attributes (%s)",
                              lua_tostring(L, -1)));
}

static void named_attrs(lua_State *L, call *c, int idx) {
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    const lun_attrdef *a = find_attr(c->op, key);
    if (strcmp(key, "name") == 0) {
      if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s: 'name' is a string", c->op->name);
      lua_copy(L, -1, c->name);
    } else if (strcmp(key, "defer") == 0) {
      if (lua_toboolean(L, -1)) c->flags |= LUN_DEFER;
    } else if (strcmp(key, "forward_only") == 0) {
      if (lua_toboolean(L, -1)) c->flags |= LUN_FORWARD_ONLY;
    } else if (a) {
      set_attr(L, c, a, lua_gettop(L));
    } else {
      const lun_attrdef *some = c->op->attrs;
      if (lua_getmetatable(L, idx)) not_an_attribute(L, c->op, idx);
      key = lunL_quoted(L, key);
      if (!some || !some->name)
        luaL_error(L, "%s: unknown attribute '%s': %s", c->op->name, key,
                   too_many(L, c->op));
      push_choices(L, c->op);
      luaL_error(L, "%s: unknown attribute '%s' (it has: %s)", c->op->name, key,
                 lua_tostring(L, -1));
    }
    lua_pop(L, 1);
  }
}

/* A number as a one-element tensor; the box replaces the number. */
static void box_number(lua_State *L, int arg) {
  lunL_tensor *b = lunL_newtensor(L);
  int64_t one = 1;
  lun_err err;
  if (lun_tensor_new(&b->t, 1, &one, &err) != LUN_OK) lunL_raise(L, &err);
  b->t->data[0] = (float)lua_tonumber(L, arg);
  lua_replace(L, arg);
}

/* Is the value a tracing tensor?  Pushes what takes calls with it over, if so. */
static int push_tracer(lua_State *L, int arg) {
  return lua_type(L, arg) == LUA_TTABLE &&
         luaL_getmetafield(L, arg, "__operator") != LUA_TNIL;
}

static int is_traced(lua_State *L, const call *c, int arg) {
  if (!c->tracer || !push_tracer(L, arg)) return 0;
  lua_pop(L, 1);
  return 1;
}

/* Inputs from the stack; returns the first argument after them. */
static int take_inputs(lua_State *L, call *c, int top) {
  int arg = 1;
  for (; arg <= top && c->nin < c->op->max_in; arg++) {
    int number = c->nin < c->op->min_in && lua_type(L, arg) == LUA_TNUMBER;
    if (number && !c->tracer) box_number(L, arg);
    if (lua_isnil(L, arg) && c->nin >= c->op->min_in)
      c->arg[c->nin++] = 0;
    else if (lunL_testbox(L, arg) || number || is_traced(L, c, arg))
      c->arg[c->nin++] = arg;
    else
      break;
  }
  while (c->nin > 0 && !c->arg[c->nin - 1]) c->nin--;
  if (c->nin < c->op->min_in)
    lunL_wanted(L, arg, arg == 1 ? "a tensor" : "a tensor or a number");
  return arg;
}

static void take_attrs(lua_State *L, call *c, int arg, int top) {
  const lun_attrdef *a = c->op->attrs;
  lun_attr_defaults(c->op, c->attr);
  while (arg <= top && (lua_isnumber(L, arg) || lua_isboolean(L, arg) ||
                        lua_type(L, arg) == LUA_TSTRING ||
                        (lua_istable(L, arg) && luaL_len(L, arg) > 0))) {
    if (!a || !a->name) lunL_argerror(L, arg, too_many(L, c->op));
    if (is_list(a) && lua_isnumber(L, arg)) {
      for (int i = 0; arg <= top && lua_isnumber(L, arg); i++, arg++) {
        if (i >= a->count) lunL_argerror(L, arg, too_many(L, c->op));
        c->attr[a->at + i] = lua_tonumber(L, arg);
      }
    } else {
      set_attr(L, c, a, arg++);
    }
    a++;
  }
  if (arg <= top && lua_istable(L, arg)) named_attrs(L, c, arg++);
  for (; arg <= top; arg++)
    if (!lua_isnil(L, arg)) not_an_attribute(L, c->op, arg);
}

/* The inputs and the one tape that they are on. */
static lun_tape *inputs(lua_State *L, const call *c, lun_var *in) {
  lun_tape *tape = NULL;
  for (int i = 0; i < c->nin; i++) {
    const lunL_tensor *b = c->arg[i] ? lunL_checkbox(L, c->arg[i]) : NULL;
    in[i] = b ? (lun_var){b->t, b->node} : (lun_var){NULL, -1};
    if (!b || b->node < 0) continue;
    if (tape && tape != b->tape)
      luaL_error(L, "%s: its inputs belong to different runs", c->op->name);
    tape = b->tape;
  }
  return tape;
}

/* Calls the core; what it makes goes into b. */
static int compute(lua_State *L, const call *c, lunL_tensor *b, lun_err *err) {
  lun_var in[LUN_MAXIN], out;
  lun_tape *tape = inputs(L, c, in);
  const char *name = lua_tostring(L, c->name);
  LUN_TRY(
      lun_apply(tape, c->op, in, c->nin, c->attr, name, c->flags, &out, err));
  b->t = out.t;
  b->node = out.node;
  b->tape = out.node >= 0 ? lun_tape_retain(tape) : NULL;
  return LUN_OK;
}

/* Finds the tracing tensor among the operands, if there is one. */
static void find_tracer(lua_State *L, call *c, int top) {
  for (int arg = 1; arg <= top && arg <= c->op->max_in && !c->tracer; arg++)
    if (push_tracer(L, arg)) c->tracer = lua_gettop(L);
}

/* tracer(operator, inputs, attributes, name) -> what it answers.  Numbers are
** inputs as they are, one that is left out is false. */
static int trace(lua_State *L, const call *c) {
  luaL_checkstack(L, 8, "a traced call");
  lua_pushvalue(L, c->tracer);
  lua_pushstring(L, c->op->name);
  lua_createtable(L, c->nin, 0);
  for (int i = 0; i < c->nin; i++) {
    if (c->arg[i])
      lua_pushvalue(L, c->arg[i]);
    else
      lua_pushboolean(L, 0);
    lua_rawseti(L, -2, i + 1);
  }
  lunL_pushattrs(L, c->op, c->attr);
  lua_pushvalue(L, c->name);
  lua_call(L, 4, 1);
  return 1;
}

static int apply(lua_State *L) {
  call c;
  int top = lua_gettop(L), arg;
  lunL_tensor *b;
  lun_err err;
  int status;
  memset(&c, 0, sizeof c);
  c.op = lua_touserdata(L, lua_upvalueindex(1));
  find_tracer(L, &c, top);
  arg = take_inputs(L, &c, top);
  lua_pushnil(L);
  c.name = lua_gettop(L);
  take_attrs(L, &c, arg, top);
  if (c.tracer) return trace(L, &c);
  b = lunL_newtensor(L);
  lunL_reserve(L, 0);
  status = compute(L, &c, b, &err);
  if (status == LUN_ENOMEM) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    status = compute(L, &c, b, &err);
  }
  lunL_check_files(L);
  return status == LUN_OK ? 1 : lunL_raise(L, &err);
}

/* Tensors without values from the list of shapes at `arg`; `false` leaves an
** optional input out.  Each replaces its shape's place on the stack. */
static void take_shapes(lua_State *L, call *c, int arg) {
  int64_t dim[LUN_MAXDIM];
  lun_err err;
  lua_Integer count = luaL_len(L, arg);
  lunL_argcheck(L, count >= 0 && count <= c->op->max_in, arg,
                "too many shapes");
  luaL_checkstack(L, (int)count + 8, "shapes");
  for (int i = 1; i <= (int)count; i++) {
    lunL_tensor *b;
    if (lua_geti(L, arg, i) == LUA_TBOOLEAN) {
      c->arg[c->nin++] = 0;
      continue;
    }
    int ndim = lunL_checkshape(L, lua_gettop(L), dim);
    b = lunL_newtensor(L);
    if (lun_tensor_deferred(&b->t, ndim, dim, &err) != LUN_OK)
      lunL_raise(L, &err);
    c->arg[c->nin++] = lua_gettop(L);
  }
}

/* core.shape(name, shapes, attributes) -> shape, or nil and a message */
static int op_shape(lua_State *L) {
  call c;
  lun_var in[LUN_MAXIN];
  int64_t dim[LUN_MAXDIM];
  int ndim;
  lun_err err;
  memset(&c, 0, sizeof c);
  c.op = lun_op_find(lunL_checkstring(L, 1));
  lunL_argcheck(L, c.op, 1, "no such operator");
  lunL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 4); /* the last for the name */
  c.name = 4;
  lun_attr_defaults(c.op, c.attr);
  if (!lua_isnil(L, 3)) {
    lunL_checktype(L, 3, LUA_TTABLE);
    named_attrs(L, &c, 3);
  }
  take_shapes(L, &c, 2);
  inputs(L, &c, in);
  if (lun_op_shape(c.op, in, c.nin, c.attr, lua_tostring(L, c.name), &ndim, dim,
                   &err) != LUN_OK)
    return lunL_failed(L, &err);
  lunL_pushshape(L, ndim, dim);
  return 1;
}

static const struct {
  const char *event, *op;
} events[] = {
    {"__add", "add"}, {"__sub", "sub"}, {"__mul", "mul"}, {"__div", "div"},
    {"__pow", "pow"}, {"__unm", "neg"}, {NULL, NULL},
};

/* Unary minus passes its operand twice. */
static int negate(lua_State *L) {
  lua_settop(L, 1);
  return apply(L);
}

const char *lunL_op_name(lua_State *L, int f) {
  lua_CFunction of = lua_tocfunction(L, f);
  const lun_op *op;
  if ((of != apply && of != negate) || !lua_getupvalue(L, f, 1)) return NULL;
  op = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return op->name;
}

static const lunL_reg functions[] = {{"shape", op_shape, 3}, {NULL, NULL, 0}};

int lunL_open_ops(lua_State *L) {
  const lun_op *op;
  luaL_getmetatable(L, TENSOR_T);
  lua_getfield(L, -1, "methods");
  lua_newtable(L); /* core, metatable, methods, ops */
  for (int i = 0; (op = lun_op_at(i)) != NULL; i++) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)op);
    lua_pushcclosure(L, apply, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, op->name);
    lua_setfield(L, -3, op->name);
  }
  for (int i = 0; events[i].event; i++) {
    op = lun_op_find(events[i].op);
    if (!op) continue;
    lua_pushlightuserdata(L, (void *)(uintptr_t)op);
    lua_pushcclosure(L, op->max_in == 1 ? negate : apply, 1);
    lua_setfield(L, -4, events[i].event);
  }
  lua_setfield(L, -4, "ops");
  lua_pop(L, 2);
  lunL_setfuncs(L, functions);
  return 0;
}
