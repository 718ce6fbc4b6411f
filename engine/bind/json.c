/*
** json.c (binding) - JSON in Lua: core.json, over jansson, the library that
** also reads the headers of weights files.  Numbers never see the locale:
** jansson puts the point back where "de_DE" writes a comma.  base/json.lua
** walks tables and says where an error is; here are scalars and reading.
*/
#include <jansson.h>
#include <string.h>

#include "bind.h"

#define JSON_T "lunette.json"

/* Bounds of what is read: a hostile text costs at most about 100 times
** MAXTEXT in memory, and no deep recursion. */
enum { MAXTEXT = 4 << 20, MAXDEPTH = 100 };

/* ---- the owner of a jansson value --------------------------------------- */

static int release(lua_State *L) {
  json_t **b = lunL_checkudata(L, 1, JSON_T);
  json_decref(*b);
  *b = NULL;
  return 0;
}

static json_t **newbox(lua_State *L) {
  json_t **b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = NULL;
  luaL_setmetatable(L, JSON_T);
  return b;
}

/* ---- writing ------------------------------------------------------------ */

/* Does the text give the same bits again? */
static int reads_back(double x, const char *text) {
  json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
  int same = v && json_real_value(v) == x;
  json_decref(v);
  return same;
}

/* The fewest digits, 15 to 17, that give the same bits. */
static int push_real(lua_State *L, json_t *v) {
  char text[64];
  for (size_t digits = 15; digits <= 17; digits++) {
    size_t n = json_dumpb(v, text, sizeof text - 1,
                          JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
    text[n < sizeof text ? n : 0] = '\0';
    if (reads_back(json_real_value(v), text)) break;
  }
  lua_pushstring(L, text);
  return 1;
}

static int push_dump(lua_State *L, json_t *v) {
  size_t n = json_dumpb(v, NULL, 0, JSON_ENCODE_ANY);
  luaL_Buffer b;
  char *at = luaL_buffinitsize(L, &b, n);
  luaL_pushresultsize(&b, json_dumpb(v, at, n, JSON_ENCODE_ANY));
  return 1;
}

static json_t *scalar_of(lua_State *L, int arg) {
  size_t n;
  const char *s;
  switch (lua_type(L, arg)) {
    case LUA_TBOOLEAN:
      return json_boolean(lua_toboolean(L, arg));
    case LUA_TSTRING:
      s = lua_tolstring(L, arg, &n);
      return json_stringn(s, n);
    default:
      if (lua_isinteger(L, arg)) return json_integer(lua_tointeger(L, arg));
      return json_real(lunL_checknumber(L, arg));
  }
}

/* core.json.scalar(number | string | boolean) -> JSON text, or nil, message */
static int scalar(lua_State *L) {
  json_t **b = newbox(L);
  *b = scalar_of(L, 1);
  if (*b) return json_is_real(*b) ? push_real(L, *b) : push_dump(L, *b);
  luaL_pushfail(L);
  lua_pushstring(L, lua_type(L, 1) == LUA_TSTRING ? "no UTF-8 text"
                                                  : "no finite number");
  return 2;
}

/* ---- reading ------------------------------------------------------------ */

static void push_value(lua_State *L, json_t *v, int depth);

/* Arrays bear the metatable at stack index 2, so that empty ones stay what
** they are when they are written again. */
static void push_array(lua_State *L, json_t *v, int depth) {
  size_t n = json_array_size(v);
  lua_createtable(L, n < 1 << 16 ? (int)n : 0, 0);
  for (size_t i = 0; i < n; i++) {
    push_value(L, json_array_get(v, i), depth);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  if (lua_istable(L, 2)) lua_pushvalue(L, 2), lua_setmetatable(L, -2);
}

static void push_object(lua_State *L, json_t *v, int depth) {
  const char *key;
  json_t *value;
  lua_newtable(L);
  json_object_foreach(v, key, value) {
    lua_pushstring(L, key);
    push_value(L, value, depth);
    lua_rawset(L, -3);
  }
}

static void push_value(lua_State *L, json_t *v, int depth) {
  luaL_checkstack(L, 4, NULL);
  if (depth == MAXDEPTH) luaL_error(L, "nested deeper than %d", MAXDEPTH);
  switch (json_typeof(v)) {
    case JSON_OBJECT:
      push_object(L, v, depth + 1);
      break;
    case JSON_ARRAY:
      push_array(L, v, depth + 1);
      break;
    case JSON_STRING:
      lua_pushlstring(L, json_string_value(v), json_string_length(v));
      break;
    case JSON_INTEGER:
      lua_pushinteger(L, json_integer_value(v));
      break;
    case JSON_REAL:
      lua_pushnumber(L, json_real_value(v));
      break;
    case JSON_NULL:
      lua_pushlightuserdata(L, NULL);
      break;
    default:
      lua_pushboolean(L, json_is_true(v));
  }
}

static int push_root(lua_State *L) {
  json_t **b = lunL_checkudata(L, 1, JSON_T);
  push_value(L, *b, 0);
  json_decref(*b); /* now, not at the next collection */
  *b = NULL;
  return 1;
}

/* core.json.decode(text, [metatable of arrays]) -> value, or nil, message */
static int decode(lua_State *L) {
  size_t n;
  const char *text = lunL_checklstring(L, 1, &n);
  json_error_t why;
  json_t **b;
  lua_settop(L, 2);
  lua_pushcfunction(L, push_root);
  b = newbox(L);
  lua_pushvalue(L, 2);
  if (n > MAXTEXT) {
    luaL_pushfail(L);
    lua_pushfstring(L, "JSON text has %I bytes, more than %d", (LUAI_UACINT)n,
                    MAXTEXT);
    return 2;
  }
  *b = json_loadb(
      text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
  if (!*b) {
    luaL_pushfail(L);
    lua_pushfstring(L, "JSON, line %d: %s", why.line, why.text);
    return 2;
  }
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) return 1;
  luaL_pushfail(L);
  lua_insert(L, -2);
  return 2;
}

/* ---- the table ---------------------------------------------------------- */

static const lunL_reg functions[] = {
    {"scalar", scalar, 1},
    {"decode", decode, 2},
    {NULL, NULL, 0},
};

static const luaL_Reg meta[] = {{"__gc", release}, {NULL, NULL}};

int lunL_open_json(lua_State *L) {
  lunL_class(L, JSON_T, NULL, meta);
  lua_newtable(L);
  lunL_setfuncs(L, functions);
  return 1;
}
