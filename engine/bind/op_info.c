/*
** op_info.c (binding) - what scripts are told of an operator: its signature, its
** attributes and their values, its backward rules.
*/
#include "bind.h"

int lunL_pushattrs(lua_State *L, const lun_op *op, const double *attr) {
  lua_newtable(L);
  for (const lun_attrdef *a = op->attrs; a && a->name; a++) {
    if (a->words) {
      lua_pushstring(L, a->words[(int)attr[a->at]]);
    } else if (a->count == 1) {
      if (attr[a->at] == LUN_UNSET) continue;
      lua_pushnumber(L, attr[a->at]);
    } else {
      lua_newtable(L);
      for (int i = 0; i < a->count && attr[a->at + i] > LUN_UNSET; i++) {
        lua_pushnumber(L, attr[a->at + i]);
        lua_seti(L, -2, i + 1);
      }
    }
    lua_setfield(L, -2, a->name);
  }
  return 1;
}

/* Pushes {attribute = {its words}} of the attributes that are words. */
static void push_words(lua_State *L, const lun_op *op) {
  lua_newtable(L);
  for (const lun_attrdef *a = op->attrs; a && a->name; a++) {
    if (!a->words) continue;
    lua_newtable(L);
    for (int i = 0; a->words[i]; i++) {
      lua_pushstring(L, a->words[i]);
      lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, a->name);
  }
}

/* The parameters of a rule, in order: {{name, default} ...}. */
static void push_parameters(lua_State *L, const lun_rule *r) {
  int n = 0;
  lua_newtable(L);
  for (const lun_attrdef *a = r->attrs; a && a->name; a++) {
    lua_createtable(L, 2, 0);
    lua_pushstring(L, a->name);
    lua_seti(L, -2, 1);
    if (a->fallback > LUN_UNSET) {
      lua_pushnumber(L, a->fallback);
      lua_seti(L, -2, 2);
    }
    lua_seti(L, -2, ++n);
  }
}

/* core.op_info(name) -> {doc =, is =, inputs = {least, most}, attrs = {names},
** words = {attribute = {words}}, rules = {names},
** parameters = {[rule] = {{name, default} ...}}} */
static int op_info(lua_State *L) {
  const lun_op *op = lun_op_find(lunL_checkstring(L, 1));
  int n = 0;
  if (!op) return 0;
  lua_createtable(L, 0, 7);
  lua_pushstring(L, op->doc);
  lua_setfield(L, -2, "doc");
  lua_pushstring(L, lun_op_is(op));
  lua_setfield(L, -2, "is");
  lua_createtable(L, 2, 0);
  lua_pushinteger(L, op->min_in);
  lua_seti(L, -2, 1);
  lua_pushinteger(L, op->max_in);
  lua_seti(L, -2, 2);
  lua_setfield(L, -2, "inputs");
  lua_newtable(L);
  for (const lun_attrdef *a = op->attrs; a && a->name; a++) {
    lua_pushstring(L, a->name);
    lua_seti(L, -2, ++n);
  }
  lua_setfield(L, -2, "attrs");
  push_words(L, op);
  lua_setfield(L, -2, "words");
  lua_newtable(L);
  n = 0;
  for (const lun_rule *r = op->rules; r && r->name; r++) {
    lua_pushstring(L, r->name);
    lua_seti(L, -2, ++n);
  }
  lua_setfield(L, -2, "rules");
  lua_newtable(L);
  for (const lun_rule *r = op->rules; r && r->name; r++) {
    push_parameters(L, r);
    lua_setfield(L, -2, r->name);
  }
  lua_setfield(L, -2, "parameters");
  return 1;
}

/* Adds to core. */
int lunL_open_op_info(lua_State *L) {
  static const lunL_reg functions[] = {{"op_info", op_info, 1},
                                       {NULL, NULL, 0}};
  lunL_setfuncs(L, functions);
  return 0;
}
