/*
** contracts.h - for analysers (tests/analyze), included before every file: what the
** code that they do not see promises.
*/
#include "../engine/lunette.h"

/* They return the code that they are given, which is never LUN_OK. */
#define lun_fail(err, code, ...) (lun_fail(err, code, __VA_ARGS__), (code))
#ifndef OPS_FAIL_IS_HERE
#include "../engine/ops/ops.h"
#define ops_fail(n, err, code, ...)                                            \
  (ops_fail(n, err, code, __VA_ARGS__), (code))
#endif

/* They raise. */
#include <lauxlib.h>
__attribute__((noreturn)) int lua_error(lua_State *);
__attribute__((noreturn)) int luaL_error(lua_State *, const char *, ...);
__attribute__((noreturn)) int luaL_argerror(lua_State *, int, const char *);
__attribute__((noreturn)) int luaL_typeerror(lua_State *, int, const char *);
__attribute__((noreturn)) int lunL_raise(lua_State *, const lun_err *);
