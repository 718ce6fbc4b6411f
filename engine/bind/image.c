/*
** image.c (binding) - pictures in Lua: core.image.  A picture here is a box
** around 8-bit RGB with drawing methods; networks and users see tensors
** (3,H,W) of 0..255 (planes.c).  Coordinates are pixels from 0 at the upper left
** corner, colours numbers 0xRRGGBB.
*/
#include <stdio.h>
#include <string.h>

#include "image.h"

#define FONT_T  "lunette.font"
#define BYTES_T "lunette.bytes"

/* ---- boxes -------------------------------------------------------------- */

lun_image **lunL_newimage(lua_State *L) {
  lun_image **b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = NULL;
  luaL_setmetatable(L, IMAGE_T);
  return b;
}

static lun_image *check(lua_State *L, int arg) {
  lun_image **b = lunL_checkudata(L, arg, IMAGE_T);
  lunL_argcheck(L, *b, arg, "image was released");
  return *b;
}

static int release(lua_State *L) {
  lun_image **b = lunL_checkudata(L, 1, IMAGE_T);
  lun_image_free(*b);
  *b = NULL;
  return 0;
}

/* Bytes that the core allocated, until they are a Lua string. */
static int release_bytes(lua_State *L) {
  uint8_t **b = lunL_checkudata(L, 1, BYTES_T);
  lun_free(*b);
  *b = NULL;
  return 0;
}

static int release_font(lua_State *L) {
  lun_font **f = lunL_checkudata(L, 1, FONT_T);
  lun_font_close(*f);
  *f = NULL;
  return 0;
}

uint8_t **lunL_newbytes(lua_State *L) {
  uint8_t **b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = NULL;
  luaL_setmetatable(L, BYTES_T);
  return b;
}

int lunL_pushbytes(lua_State *L, uint8_t **b, size_t n) {
  lua_pushlstring(L, (const char *)*b, n);
  lun_free(*b);
  *b = NULL;
  return 1;
}

void lunL_reserve_image(lua_State *L, int width, int height) {
  if (width > 0 && height > 0)
    lunL_reserve(L, (size_t)width * (size_t)height * 3);
}

int lunL_image_made(lua_State *L, int status, const lun_err *err) {
  return status == LUN_OK ? 1 : lunL_raise(L, err);
}

int lunL_checkpixels(lua_State *L, int arg) {
  lua_Integer v = lunL_checkinteger(L, arg);
  lunL_argcheck(L, v > -1000000 && v < 1000000, arg, "out of range");
  return (int)v;
}

static lun_rgb colour_arg(lua_State *L, int arg) {
  lua_Integer v = lunL_checkinteger(L, arg);
  lunL_argcheck(L, v >= 0 && v <= 0xFFFFFF, arg, "a colour is 0xRRGGBB");
  return (lun_rgb){(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
}

lun_filter lunL_checkfilter(lua_State *L, int arg, const char *fallback) {
  const char *name = lunL_optstring(L, arg, fallback);
  int f = lun_filter_find(name);
  if (f >= 0) return (lun_filter)f;
  luaL_error(L,
             "no resize filter '%s'; there are nearest, box, bilinear, "
             "hamming, bicubic, lanczos",
             name);
  return LUN_NEAREST;
}

/* ---- reading ------------------------------------------------------------ */

static void push_info(lua_State *L, const lun_image_info *i) {
  lua_createtable(L, 0, 8);
  lua_pushstring(L, i->format), lua_setfield(L, -2, "format");
  lua_pushinteger(L, i->width), lua_setfield(L, -2, "width");
  lua_pushinteger(L, i->height), lua_setfield(L, -2, "height");
  lua_pushinteger(L, i->channels), lua_setfield(L, -2, "channels");
  lua_pushinteger(L, i->depth), lua_setfield(L, -2, "depth");
  lua_pushinteger(L, i->orientation), lua_setfield(L, -2, "orientation");
  lua_pushboolean(L, i->alpha), lua_setfield(L, -2, "alpha");
  lua_pushboolean(L, i->cmyk), lua_setfield(L, -2, "cmyk");
}

/* core.image.load(path) -> image, info; or nil, message */
static int load(lua_State *L) {
  const char *path = lunL_checkstring(L, 1);
  lun_image **b = lunL_newimage(L);
  lun_image_info info;
  lun_err err;
  lunL_reserve(L, 1 << 20);
  if (lun_image_load(b, &info, path, &err) != LUN_OK)
    return lunL_failed(L, &err);
  push_info(L, &info);
  return 2;
}

/* core.image.decode(bytes, [name]) -> image, info; or nil, message */
static int decode(lua_State *L) {
  size_t n;
  const char *bytes = lunL_checklstring(L, 1, &n);
  const char *name = lunL_optstring(L, 2, "picture in memory");
  lun_image **b = lunL_newimage(L);
  lun_image_info info;
  lun_err err;
  if (lun_image_decode(b, &info, (const uint8_t *)bytes, n, name, &err) !=
      LUN_OK)
    return lunL_failed(L, &err);
  push_info(L, &info);
  return 2;
}

/* core.image.new(width, height, [colour]) */
static int new_image(lua_State *L) {
  int w = lunL_checkpixels(L, 1), h = lunL_checkpixels(L, 2);
  lun_rgb c = {255, 255, 255};
  lun_image **b;
  lun_err err;
  if (!lua_isnoneornil(L, 3)) c = colour_arg(L, 3);
  b = lunL_newimage(L);
  lunL_reserve_image(L, w, h);
  if (lun_image_new(b, w, h, &err) != LUN_OK) return lunL_raise(L, &err);
  lun_image_fill(*b, 0, 0, w, h, c);
  return 1;
}

/* ---- methods ------------------------------------------------------------ */

static int size(lua_State *L) {
  const lun_image *im = check(L, 1);
  lua_pushinteger(L, im->width);
  lua_pushinteger(L, im->height);
  return 2;
}

/* im:get(x, y) -> red, green, blue */
static int get(lua_State *L) {
  const lun_image *im = check(L, 1);
  int x = lunL_checkpixels(L, 2), y = lunL_checkpixels(L, 3);
  const uint8_t *p;
  lunL_argcheck(L, x >= 0 && x < im->width, 2, "outside the picture");
  lunL_argcheck(L, y >= 0 && y < im->height, 3, "outside the picture");
  p = im->px + 3 * ((size_t)y * (size_t)im->width + (size_t)x);
  for (int c = 0; c < 3; c++) lua_pushinteger(L, p[c]);
  return 3;
}

/* im:resize(width, height, [filter], [{left, top, right, bottom}]) */
static int resize(lua_State *L) {
  int w = lunL_checkpixels(L, 2), h = lunL_checkpixels(L, 3);
  lun_filter f = lunL_checkfilter(L, 4, "bilinear");
  double box[4];
  lun_image **b;
  lun_err err;
  int part = !lua_isnoneornil(L, 5);
  for (int i = 0; part && i < 4; i++) {
    lunL_checktype(L, 5, LUA_TTABLE);
    lua_geti(L, 5, i + 1);
    box[i] = lunL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  b = lunL_newimage(L);
  lunL_reserve_image(L, w, h);
  return lunL_image_made(
      L, lun_image_resize(b, check(L, 1), w, h, f, part ? box : NULL, &err),
      &err);
}

/* im:crop(x, y, width, height) */
static int crop(lua_State *L) {
  int x = lunL_checkpixels(L, 2), y = lunL_checkpixels(L, 3);
  int w = lunL_checkpixels(L, 4), h = lunL_checkpixels(L, 5);
  lun_image **b = lunL_newimage(L);
  lun_err err;
  lunL_reserve_image(L, w, h);
  return lunL_image_made(L, lun_image_crop(b, check(L, 1), x, y, w, h, &err),
                         &err);
}

/* im:fill(x, y, width, height, colour) */
static int fill(lua_State *L) {
  lun_image_fill(check(L, 1), lunL_checkpixels(L, 2), lunL_checkpixels(L, 3),
                 lunL_checkpixels(L, 4), lunL_checkpixels(L, 5),
                 colour_arg(L, 6));
  lua_settop(L, 1);
  return 1;
}

/* im:paste(src, x, y) */
static int paste(lua_State *L) {
  lun_image_paste(check(L, 1), lunL_checkpixels(L, 3), lunL_checkpixels(L, 4),
                  check(L, 2));
  lua_settop(L, 1);
  return 1;
}

/* im:blend(src, x, y, alpha) */
static int blend(lua_State *L) {
  lun_image_blend(check(L, 1), lunL_checkpixels(L, 3), lunL_checkpixels(L, 4),
                  check(L, 2), lunL_checknumber(L, 5));
  lua_settop(L, 1);
  return 1;
}

static int grey(lua_State *L) {
  lun_image_grey(check(L, 1));
  lua_settop(L, 1);
  return 1;
}

static int tostring(lua_State *L) {
  lun_image **b = lunL_checkudata(L, 1, IMAGE_T);
  if (*b)
    lua_pushfstring(L, "Image %d x %d", (*b)->width, (*b)->height);
  else
    lua_pushliteral(L, "Image (released)");
  return 1;
}

/* ---- text --------------------------------------------------------------- */

/* The font, opened once per Lua state and kept in the registry. */
static const lun_font *font(lua_State *L) {
  lun_font **f;
  lun_err err;
  if (lua_getfield(L, LUA_REGISTRYINDEX, FONT_T ".open") == LUA_TUSERDATA) {
    f = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!*f) luaL_error(L, "the font was released"); /* the state closes */
    return *f;
  }
  lua_pop(L, 1);
  f = lua_newuserdatauv(L, sizeof *f, 0);
  *f = NULL;
  luaL_setmetatable(L, FONT_T);
  if (lun_font_open(f, NULL, &err) != LUN_OK) lunL_raise(L, &err);
  lua_setfield(L, LUA_REGISTRYINDEX, FONT_T ".open");
  return *f;
}

/* core.image.text_width(size, text) -> pixels */
static int text_width(lua_State *L) {
  double pixels = lunL_checknumber(L, 1);
  const char *text = lunL_checkstring(L, 2);
  lua_pushinteger(L, lun_text_width(font(L), pixels, text));
  return 1;
}

/* core.image.text_height(size) -> above, below the base line */
static int text_height(lua_State *L) {
  int above, below;
  double pixels = lunL_checknumber(L, 1);
  lun_font_height(font(L), pixels, &above, &below);
  lua_pushinteger(L, above);
  lua_pushinteger(L, below);
  return 2;
}

/* im:text(x, y, size, colour, text, [turned]): base line starts at (x, y) */
static int text(lua_State *L) {
  int x = lunL_checkpixels(L, 2), y = lunL_checkpixels(L, 3);
  double pixels = lunL_checknumber(L, 4);
  lun_rgb c = colour_arg(L, 5);
  const char *s = lunL_checkstring(L, 6);
  const lun_font *f = font(L);
  lun_err err;
  if (lun_text_draw(check(L, 1), f, pixels, x, y, lua_toboolean(L, 7), c, s,
                    &err) != LUN_OK)
    return lunL_raise(L, &err);
  lua_settop(L, 1);
  return 1;
}

/* ---- writing ------------------------------------------------------------ */

enum { MAXMETA = 16 };

/* Texts {key, value, ...} at arg onto the stack and into meta. */
static void texts_arg(lua_State *L, int arg, const char **meta) {
  int count;
  meta[0] = NULL;
  if (lua_isnoneornil(L, arg)) return;
  lunL_checktype(L, arg, LUA_TTABLE);
  count = (int)lua_rawlen(L, arg);
  lunL_argcheck(L, count <= MAXMETA, arg, "too many texts");
  luaL_checkstack(L, count + 4, NULL);
  for (int i = 0; i < count; i++) {
    if (lua_rawgeti(L, arg, i + 1) != LUA_TSTRING)
      lunL_argerror(L, arg, "texts are strings: key, value, ...");
    meta[i] = lua_tostring(L, -1);
  }
  meta[count] = NULL;
}

/* im:encode(format, [{key, value, key, value ...}]) -> bytes of a file */
static int encode(lua_State *L) {
  const char *format = lunL_checkstring(L, 2);
  const char *meta[MAXMETA + 1];
  lun_image *im;
  uint8_t **b;
  size_t n;
  lun_err err;
  texts_arg(L, 3, meta);
  b = lunL_newbytes(L);
  im = check(L, 1); /* last: finalisers that ran above may release it */
  if (lun_image_encode(b, &n, im, format, meta, &err) != LUN_OK)
    return lunL_raise(L, &err);
  return lunL_pushbytes(L, b, n);
}

/* im:png([texts]) -> bytes of a PNG file */
static int png(lua_State *L) {
  lua_settop(L, 2);
  lua_pushliteral(L, "png");
  lua_insert(L, 2);
  return encode(L);
}

/* ---- the table ---------------------------------------------------------- */

static const lunL_reg functions[] = {
    {"load", load, 1},
    {"decode", decode, 2},
    {"new", new_image, 3},
    {"text_width", text_width, 2},
    {"text_height", text_height, 1},
    {NULL, NULL, 0},
};

static const lunL_reg methods[] = {
    {"size", size, 1},   {"get", get, 3},       {"resize", resize, 5},
    {"crop", crop, 5},   {"fill", fill, 6},     {"paste", paste, 4},
    {"blend", blend, 5}, {"grey", grey, 1},     {"text", text, 7},
    {"png", png, 2},     {"encode", encode, 3}, {"release", release, 1},
    {NULL, NULL, 0},
};

static const luaL_Reg meta_image[] = {
    {"__gc", release},
    {"__close", release},
    {"__tostring", tostring},
    {NULL, NULL},
};

static const luaL_Reg meta_bytes[] = {{"__gc", release_bytes}, {NULL, NULL}};
static const luaL_Reg meta_font[] = {{"__gc", release_font}, {NULL, NULL}};

int lunL_open_image(lua_State *L) {
  lunL_class(L, IMAGE_T, methods, meta_image);
  lunL_class(L, BYTES_T, NULL, meta_bytes);
  lunL_class(L, FONT_T, NULL, meta_font);
  lua_newtable(L);
  lunL_setfuncs(L, functions);
  lunL_open_planes(L);
  lunL_open_gif(L);
  return 1;
}
