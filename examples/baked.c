/*
** baked.c - a file of `lunette bake` run by Lunette's own engine in a C program: says
** the class, and where the map is greatest, and writes the map as PNG.
**   cc baked.c -o baked $(pkg-config --cflags --libs lua5.4)
**   lunette bake gradcam glyphs -o cam.onnx && ./baked cam.onnx picture.png map.png
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

/* The map as a list, its width, the class; the picture is drawn here, too. */
static const char explain[] =
    "local file, picture, out = ...\n"
    "local lu = require 'lunette'\n"
    "local net = assert(lu.load(file))\n"
    "local run = net:run(assert(net:images { picture }))\n"
    "local map = run.map[1]\n"
    "local most = math.max(map:max():item(), 1e-30)\n"
    "assert(lu.image.save(out, map * (255 / most)))\n"
    "local class = run.class and math.tointeger(run.class[1][1]) or 0\n"
    "local name = (net.labels or {})[class + 1] or ''\n"
    "return map:view(map:size()):totable(), map:dim(2), class, name\n";

static float *numbers(lua_State *L, int list, size_t *n) {
  float *x = malloc((*n = lua_rawlen(L, list)) * sizeof *x);
  for (size_t i = 0; x && i < *n; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    x[i] = (float)lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  return x;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  size_t n = 0, best = 0, width;
  float *map;
  if (argc != 4 || L == NULL) return puts("baked FILE.onnx PICTURE MAP.png"), 2;
  luaL_openlibs(L);
  if (luaL_loadstring(L, explain) != LUA_OK) return puts("no memory"), 1;
  for (int i = 1; i < 4; i++) lua_pushstring(L, argv[i]);
  if (lua_pcall(L, 3, 4, 0) != LUA_OK)
    return fprintf(stderr, "%s\n", lua_tostring(L, -1)), 1;
  map = numbers(L, -4, &n);
  width = (size_t)lua_tointeger(L, -3);
  for (size_t i = 1; map && i < n; i++)
    if (map[i] > map[best]) best = i;
  printf("class %lld %s\n", (long long)lua_tointeger(L, -2),
         lua_tostring(L, -1));
  if (map)
    printf("greatest at %zu, %zu: %g\n", best % width, best / width, map[best]);
  free(map);
  lua_close(L);
}
