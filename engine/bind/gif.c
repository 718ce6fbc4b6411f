/*
** gif.c (binding) - moving pictures: adds to core.image.
*/
#include "image.h"

/* core.image.gif({image, ...}, {hundredths of a second, ...}) -> bytes */
static int gif(lua_State *L) {
  lua_Integer n;
  const lun_image **frames;
  int *delays;
  uint8_t **b;
  size_t bytes;
  lun_err err;
  lunL_checktype(L, 1, LUA_TTABLE);
  lunL_checktype(L, 2, LUA_TTABLE);
  n = luaL_len(L, 1);
  lunL_argcheck(L, n >= 1 && n <= 100000, 1, "1 to 100000 frames expected");
  frames = lua_newuserdatauv(L, (size_t)n * sizeof *frames, 0);
  delays = lua_newuserdatauv(L, (size_t)n * sizeof *delays, 0);
  for (int i = 0; i < (int)n; i++) {
    lua_geti(L, 2, i + 1);
    delays[i] = lunL_checkpixels(L, -1);
    lua_pop(L, 1);
  }
  b = lunL_newbytes(L);
  for (int i = 0; i < (int)n;
       i++) /* last: nothing releases them from here on */
    frames[i] = lunL_listedimage(L, i + 1, 0, 0);
  if (lun_gif_encode(b, &bytes, frames, delays, (int)n, &err) != LUN_OK)
    return lunL_raise(L, &err);
  return lunL_pushbytes(L, b, bytes);
}

static const lunL_reg functions[] = {{"gif", gif, 2}, {NULL, NULL, 0}};

void lunL_open_gif(lua_State *L) { lunL_setfuncs(L, functions); }
