/*
** args.c (binding) - arguments of functions in C: what one should be, what was given,
** and what to do about it.  Every check of a type is made here; Lua's own would say
** "bad argument #-1 to 'newindex' (lunette.tensor expected, got no value)".
*/
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bind.h"

/* Operations that a metamethod stands for, as people write them. */
static const char *const operations[][2] = {
    {"add", "x + y"},  {"sub", "x - y"}, {"mul", "x * y"},
    {"div", "x / y"},  {"pow", "x ^ y"}, {"unm", "-x"},
    {"index", "x[i]"}, {"len", "#x"},    {"newindex", "x[i] = y"},
    {NULL, NULL},
};

/* The operation that the running function was called for, or NULL. */
static const char *operation(const lua_Debug *ar) {
  if (!ar->name || strcmp(ar->namewhat, "metamethod") != 0) return NULL;
  for (int i = 0; operations[i][0]; i++)
    if (strcmp(operations[i][0], ar->name) == 0) return operations[i][1];
  return NULL;
}

/* Pushes the name of the function that runs, as people write it. */
static const char *push_name(lua_State *L) {
  lua_Debug ar;
  const char *own;
  if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "nf", &ar))
    return lua_pushstring(L, "call");
  own = operation(&ar);
  if (!own) own = lunL_own_name(L, -1);
  if (!own) own = lunL_op_name(L, -1);
  if (!own) own = ar.name ? ar.name : "call";
  lua_pop(L, 1);
  return lua_pushstring(L, own);
}

static int is_operation(lua_State *L) {
  lua_Debug ar;
  return lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) && operation(&ar);
}

/* Pushes "mul: argument 2", or what else stands at that place. */
static const char *push_place(lua_State *L, int arg) {
  const char *name = push_name(L);
  if (is_operation(L))
    return lua_pushfstring(L, "%s: %c", name,
                           arg == 1                     ? 'x'
                           : arg == 2 && name[1] == '[' ? 'i'
                                                        : 'y');
  if (arg < 0) return lua_pushfstring(L, "%s: a value of the list", name);
  if (lunL_position(L, arg) <= 0)
    return lua_pushfstring(L, "%s: its object", name);
  return lua_pushfstring(L, "%s: argument %d", name, lunL_position(L, arg));
}

/* Pushes a class as people say it: "lunette.Net" is a network. */
static const char *push_class(lua_State *L, const char *class) {
  const char *word = strncmp(class, "lunette.", 8) == 0 ? class + 8 : class;
  char low[40];
  if (strcmp(word, "Net") == 0) return lua_pushstring(L, "a network");
  if (strcmp(word, "Images") == 0)
    return lua_pushstring(L, "a batch of pictures");
  if (strcmp(class, LUA_FILEHANDLE) == 0) return lua_pushstring(L, "a file");
  snprintf(low, sizeof low, "%s", word);
  if (low[0] >= 'A' && low[0] <= 'Z') low[0] = (char)(low[0] - 'A' + 'a');
  return lua_pushfstring(L, "%s %s", strchr("aeiou", low[0]) ? "an" : "a", low);
}

/* Pushes what was given: "'hen.jpg'", "5", "a network", "nil". */
static const char *push_given(lua_State *L, int arg) {
  const char *class = NULL, *given;
  int kind = lua_type(L, arg);
  if (kind == LUA_TSTRING) {
    given = lunL_quoted(L, lua_tostring(L, arg));
    if (strlen(given) > 60)
      given = lua_pushfstring(L, "%s...", lua_pushlstring(L, given, 50));
    return lua_pushfstring(L, "'%s'", given);
  }
  if (kind == LUA_TNUMBER || kind == LUA_TBOOLEAN || kind == LUA_TNIL)
    return luaL_tolstring(L, arg, NULL);
  if (luaL_getmetafield(L, arg, "__name") == LUA_TSTRING)
    class = lua_tostring(L, -1);
  if (class) return push_class(L, class);
  return lua_pushfstring(L, "a %s", luaL_typename(L, arg));
}

/* What makes of the value what is wanted. */
static const char *remedy(lua_State *L, int arg, const char *wanted) {
  int number =
      strcmp(wanted, "a number") == 0 || strcmp(wanted, "a whole number") == 0;
  if (number && luaL_testudata(L, arg, TENSOR_T))
    return "; x:item() is the number of a tensor that has one";
  if (strncmp(wanted, "a tensor", 8) == 0 && lua_type(L, arg) == LUA_TTABLE &&
      !lua_getmetatable(L, arg))
    return "; lu.tensor(list) makes one of a list";
  return "";
}

/* Raises the message on top with the innermost line of Lua: between it and this
** function there may be one in C, as that of texts for 'a' * x. */
static int raise_here(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    lua_insert(L, -2);
    lua_concat(L, 2);
    break;
  }
  return lua_error(L);
}

/* Is an operation asked of a text and a tensor, 'a' * x?  Lua's own asks ours. */
static int is_of_text(lua_State *L, int arg) {
  lua_Debug ar;
  return arg == 1 && lua_type(L, 1) == LUA_TSTRING && lua_getstack(L, 1, &ar) &&
         lua_getinfo(L, "Sn", &ar) && *ar.what == 'C' && operation(&ar);
}

/* Raises; `object`: a method may have been called with a dot. */
static int raise(lua_State *L, int arg, const char *wanted, int object) {
  const char *place, *given;
  int at = arg < 0 ? lua_absindex(L, arg) : arg;
  int of_text = is_of_text(L, arg);
  if (at > lua_gettop(L)) lua_settop(L, at);
  given = push_given(L, at);
  place = push_place(L, arg);
  if (of_text)
    lua_pushfstring(
        L, "%s of a text, %s, and a tensor; tonumber(text) is its number",
        push_name(L), given);
  else if (object && arg == 1 && !is_operation(L))
    lua_pushfstring(L,
                    "%s should be %s, got %s; a method is called with a "
                    "colon: x:%s(...)",
                    place, wanted, given, push_name(L));
  else
    lua_pushfstring(L, "%s should be %s, got %s%s", place, wanted, given,
                    remedy(L, at, wanted));
  return raise_here(L);
}

int lunL_wanted(lua_State *L, int arg, const char *wanted) {
  return raise(L, arg, wanted, strcmp(wanted, "a tensor") == 0);
}

lua_Number lunL_checknumber(lua_State *L, int arg) {
  int ok;
  lua_Number v = lua_tonumberx(L, arg, &ok);
  if (!ok) lunL_wanted(L, arg, "a number");
  return v;
}

lua_Integer lunL_checkinteger(lua_State *L, int arg) {
  int ok;
  lua_Integer v = lua_tointegerx(L, arg, &ok);
  if (!ok) lunL_wanted(L, arg, "a whole number");
  return v;
}

lua_Number lunL_optnumber(lua_State *L, int arg, lua_Number fallback) {
  return lua_isnoneornil(L, arg) ? fallback : lunL_checknumber(L, arg);
}

lua_Integer lunL_optinteger(lua_State *L, int arg, lua_Integer fallback) {
  return lua_isnoneornil(L, arg) ? fallback : lunL_checkinteger(L, arg);
}

const char *lunL_checklstring(lua_State *L, int arg, size_t *n) {
  const char *s = lua_tolstring(L, arg, n);
  if (!s) lunL_wanted(L, arg, "a text");
  return s;
}

const char *lunL_checkstring(lua_State *L, int arg) {
  return lunL_checklstring(L, arg, NULL);
}

const char *lunL_optlstring(lua_State *L, int arg, const char *fallback,
                            size_t *n) {
  if (!lua_isnoneornil(L, arg)) return lunL_checklstring(L, arg, n);
  *n = fallback ? strlen(fallback) : 0;
  return fallback;
}

const char *lunL_optstring(lua_State *L, int arg, const char *fallback) {
  return lua_isnoneornil(L, arg) ? fallback : lunL_checkstring(L, arg);
}

void lunL_checktype(lua_State *L, int arg, int type) {
  char wanted[32];
  if (lua_type(L, arg) == type) return;
  snprintf(wanted, sizeof wanted, "a %s", lua_typename(L, type));
  if (arg > lua_gettop(L)) lua_settop(L, arg);
  lunL_wanted(L, arg, wanted);
}

void *lunL_checkudata(lua_State *L, int arg, const char *class) {
  void *p = luaL_testudata(L, arg, class);
  if (p) return p;
  arg = lua_absindex(L, arg);
  if (arg > lua_gettop(L)) lua_settop(L, arg);
  raise(L, arg, push_class(L, class), 1);
  return NULL;
}

int lunL_checkoption(lua_State *L, int arg, const char *fallback,
                     const char *const *words) {
  const char *given =
      fallback ? lunL_optstring(L, arg, fallback) : lunL_checkstring(L, arg);
  luaL_Buffer b;
  for (int i = 0; words[i]; i++)
    if (strcmp(words[i], given) == 0) return i;
  luaL_buffinit(L, &b);
  for (int i = 0; words[i]; i++) {
    luaL_addstring(&b, i ? ", " : "one of ");
    luaL_addstring(&b, words[i]);
  }
  luaL_pushresult(&b);
  return lunL_wanted(L, arg, lua_tostring(L, -1));
}

int lunL_argerror(lua_State *L, int arg, const char *message) {
  if (lunL_position(L, arg) > 0)
    return luaL_error(L, "%s: %s", push_place(L, arg), message);
  return luaL_error(L, "%s: %s", push_name(L), message);
}
