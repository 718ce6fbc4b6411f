/*
** rule.c (binding) - backward rules as Lua writes them: a name, or a table with a
** name and parameters.
*/
#include <string.h>

#include "bind.h"

static void push_names(lua_State *L, const lun_attrdef *defs) {
  lua_pushliteral(L, "");
  for (const lun_attrdef *a = defs; a && a->name; a++) {
    lua_pushfstring(L, "%s%s%s", lua_tostring(L, -1), a == defs ? "" : ", ",
                    a->name);
    lua_remove(L, -2);
  }
}

/* The parameter at the top of the stack into its slots: a number, or a list. */
static void set_param(lua_State *L, const char *rule, const lun_attrdef *a,
                      double *attr) {
  int list = lua_istable(L, -1);
  int given = list ? (int)luaL_len(L, -1) : 1;
  if (given > a->count || (!list && !lua_isnumber(L, -1)))
    luaL_error(L, "rule '%s': '%s' wants %s, got %s", rule, a->name,
               a->count > 1 ? "a list of numbers" : "a number",
               luaL_typename(L, -1));
  for (int i = 0; i < given; i++) {
    if (list) lua_geti(L, -1, i + 1);
    if (!lua_isnumber(L, -1))
      luaL_error(L, "rule '%s': '%s' is of numbers", rule, a->name);
    attr[a->at + i] = lua_tonumber(L, -1);
    if (list) lua_pop(L, 1);
  }
}

void lunL_ruleparams(lua_State *L, int idx, const lun_rule *rule,
                     const char *const *others, double *attr) {
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    const lun_attrdef *a = rule->attrs;
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    int mine = lua_type(L, -2) == LUA_TSTRING;
    for (const char *const *o = others; *o; o++) mine &= strcmp(*o, key) != 0;
    while (a && a->name && strcmp(a->name, key) != 0) a++;
    if (mine && (!a || !a->name)) {
      key = lunL_quoted(L, key);
      push_names(L, rule->attrs);
      luaL_error(L, "rule '%s' has no parameter '%s' (it has: %s)", rule->name,
                 key, *lua_tostring(L, -1) ? lua_tostring(L, -1) : "none");
    }
    if (mine) set_param(L, rule->name, a, attr);
    lua_pop(L, 1);
  }
}

const lun_rule *lunL_checkrule(lua_State *L, int idx, const lun_op *op,
                               double *attr) {
  static const char *const no_others[] = {NULL};
  const lun_rule *rule;
  const lun_attrdef *a;
  lun_err err;
  int table = lua_istable(L, idx);
  if (table)
    lua_geti(L, idx, 1);
  else
    lua_pushvalue(L, idx);
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "%s: a rule is a name or { name, parameters }, got %s",
               op->name, luaL_typename(L, -1));
  rule = lun_op_rule(op, lua_tostring(L, -1), &err);
  lua_pop(L, 1);
  if (!rule) lunL_raise(L, &err);
  lun_rule_defaults(rule, attr);
  if (!table) return rule;
  a = rule->attrs;
  for (int i = 2; lua_geti(L, idx, i) != LUA_TNIL; i++) {
    if (!a || !a->name)
      luaL_error(L, "rule '%s' takes fewer parameters", rule->name);
    set_param(L, rule->name, a++, attr);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  lunL_ruleparams(L, idx, rule, no_others, attr);
  return rule;
}
