/*
** fuzz_script.c - readers that are written in Lua: -DREADER=name is a function of
** readers.lua, which gets the input as a string.  What it raises is a finding.
** Which lines of the library an input reaches counts as coverage (a line hook into
** libFuzzer's extra counters), so that the mutator is led through Lua, too.
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "budget.h"

enum { LINES = 1 << 14 };
__attribute__((
    section("__libfuzzer_extra_counters"))) static uint8_t reached[LINES];

static lua_State *state;
static int reader;

int luaopen_lunette_core(lua_State *L);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A source's text stays where it is while its function lives. */
static void count_line(lua_State *L, lua_Debug *ar) {
  size_t at;
  lua_getinfo(L, "Sl", ar);
  at = (size_t)ar->source / 16 * 31 + (size_t)ar->currentline * 7;
  if (reached[at % LINES] < 255) reached[at % LINES]++;
}

static void give_up(const char *what) {
  fprintf(stderr, "finding: %s: %s\n", what, lua_tostring(state, -1));
  abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  state = luaL_newstate();
  luaL_openlibs(state);
  luaL_requiref(state, "lunette.core", luaopen_lunette_core, 0);
  if (luaL_dofile(state, "tests/fuzz/readers.lua")) give_up("readers.lua");
  lua_getfield(state, -1, READER);
  reader = luaL_ref(state, LUA_REGISTRYINDEX);
  lua_settop(state, 0);
  lua_sethook(state, count_line, LUA_MASKLINE, 0);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  budget_begin();
  lua_rawgeti(state, LUA_REGISTRYINDEX, reader);
  lua_pushlstring(state, (const char *)p, n);
  if (lua_pcall(state, 1, 0, 0) != LUA_OK) give_up(READER);
  lua_gc(state, LUA_GCSTEP, 0);
  return 0;
}
