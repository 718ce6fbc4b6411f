/*
** planes.c (binding) - between pictures and tensors: batches that a network reads,
** maps as pictures, and the statistics of maps.  Adds to core.image.
*/
#include <string.h>

#include "image.h"

/* {mean = {,,}, std = {,,}, scale =, bgr =}; all optional. */
static lun_prep prep_arg(lua_State *L, int arg) {
  lun_prep p = {0, 1.0, {0, 0, 0}, {1, 1, 1}};
  if (lua_isnoneornil(L, arg)) return p;
  lunL_checktype(L, arg, LUA_TTABLE);
  lua_getfield(L, arg, "bgr");
  p.bgr = lua_toboolean(L, -1);
  lua_getfield(L, arg, "scale");
  p.scale = lunL_optnumber(L, -1, 1.0);
  lua_pop(L, 2);
  for (int k = 0; k < 2; k++) {
    if (lua_getfield(L, arg, k ? "std" : "mean") == LUA_TTABLE) {
      for (int c = 0; c < 3; c++) {
        lua_geti(L, -1, c + 1);
        (k ? p.std : p.mean)[c] = lunL_checknumber(L, -1);
        lua_pop(L, 1);
      }
    }
    lua_pop(L, 1);
  }
  for (int c = 0; c < 3; c++)
    if (p.std[c] == 0 || p.scale == 0)
      luaL_error(L, "preprocessing: std and scale must not be 0");
  return p;
}

lun_image *lunL_listedimage(lua_State *L, lua_Integer i, int w, int h) {
  lun_image **b;
  lua_rawgeti(L, 1, i);
  b = luaL_testudata(L, -1, IMAGE_T);
  if (!b || !*b) luaL_error(L, "list element %d is not an image", (int)i);
  if (w && ((*b)->width != w || (*b)->height != h))
    luaL_error(L, "image %d is %d x %d, the first one %d x %d", (int)i,
               (*b)->width, (*b)->height, w, h);
  lua_pop(L, 1); /* the list keeps it */
  return *b;
}

/* core.image.to_planes({image, ...}, [prep]) -> tensor (N,3,H,W) */
static int to_planes(lua_State *L) {
  lua_Integer n;
  lun_image *im;
  lun_tensor *t;
  lun_prep p = prep_arg(L, 2);
  lunL_checktype(L, 1, LUA_TTABLE);
  n = luaL_len(L, 1);
  lunL_argcheck(L, n >= 1, 1, "empty list of images");
  im = lunL_listedimage(L, 1, 0, 0);
  {
    const int64_t dim[4] = {n, 3, im->height, im->width};
    int w = im->width, h = im->height;
    t = lunL_fresh(L, 4, dim);
    for (lua_Integer i = 1; i <= n; i++)
      lun_image_to_planes(t->data + (i - 1) * 3 * h * w,
                          lunL_listedimage(L, i, w, h), &p);
  }
  return 1;
}

/* core.image.from_planes(tensor (3,H,W), [prep]) -> image */
static int from_planes(lua_State *L) {
  lun_prep p = prep_arg(L, 2);
  const lun_tensor *t = lunL_hold(L, 1);
  lun_image **b;
  lun_err err;
  lunL_argcheck(L, t->ndim == 3 && t->dim[0] == 3, 1, "(3,H,W) expected");
  lunL_argcheck(L, t->dim[1] <= LUN_IMAGE_SIDE && t->dim[2] <= LUN_IMAGE_SIDE,
                1, "too large for a picture");
  b = lunL_newimage(L);
  lunL_reserve_image(L, (int)t->dim[2], (int)t->dim[1]);
  return lunL_image_made(L,
                         lun_image_from_planes(b, t->data, (int)t->dim[2],
                                               (int)t->dim[1], &p, &err),
                         &err);
}

/* core.image.range(tensor) -> least, greatest, number of non-finite values */
static int range(lua_State *L) {
  const lun_tensor *t = lunL_checktensor(L, 1);
  lun_range r = lun_map_range(t->data, t->size);
  lua_pushnumber(L, (lua_Number)r.lo);
  lua_pushnumber(L, (lua_Number)r.hi);
  lua_pushinteger(L, r.bad);
  return 3;
}

/* core.image.percentile(tensor, p) -> the p-th percentile of |values| */
static int percentile(lua_State *L) {
  const lun_tensor *t = lunL_checktensor(L, 1);
  float v;
  lun_err err;
  if (lun_map_percentile(&v, t->data, t->size, lunL_checknumber(L, 2), &err) !=
      LUN_OK)
    return lunL_raise(L, &err);
  lua_pushnumber(L, (lua_Number)v);
  return 1;
}

/* core.image.resize_map(tensor (...,H,W), height, width, [filter]) */
static int resize_map(lua_State *L) {
  const lun_tensor *t = (lua_settop(L, 4), lunL_hold(L, 1));
  int height = lunL_checkpixels(L, 2), width = lunL_checkpixels(L, 3),
      n = t->ndim;
  lun_filter f = lunL_checkfilter(L, 4, "bilinear");
  int64_t dim[LUN_MAXDIM], w, h, planes;
  lun_tensor *out;
  lun_err err;
  lunL_argcheck(L, n >= 2 && t->size > 0, 1, "(H,W) or more expected");
  lunL_argcheck(L, width > 0 && height > 0, 2, "a positive size expected");
  memcpy(dim, t->dim, sizeof dim);
  w = dim[n - 1], h = dim[n - 2];
  lunL_argcheck(L, w <= LUN_IMAGE_SIDE && h <= LUN_IMAGE_SIDE, 1, "too large");
  planes = t->size / (w * h);
  dim[n - 1] = width, dim[n - 2] = height;
  out = lunL_fresh(L, n, dim);
  for (int64_t i = 0; i < planes; i++)
    if (lun_map_resize(out->data + i * width * height, width, height,
                       t->data + i * w * h, (int)w, (int)h, f, &err) != LUN_OK)
      return lunL_raise(L, &err);
  return 1;
}

/* core.image.colormap(tensor (H,W), table of 768 bytes, lo, hi) -> image */
static int colormap(lua_State *L) {
  const lun_tensor *t = lunL_hold(L, 1);
  size_t n;
  const char *table = lunL_checklstring(L, 2, &n);
  double lo = lunL_checknumber(L, 3), hi = lunL_checknumber(L, 4);
  lun_image **b;
  lun_err err;
  lunL_argcheck(L, t->ndim == 2, 1, "a map (H,W) expected");
  lunL_argcheck(L, t->dim[0] <= LUN_IMAGE_SIDE && t->dim[1] <= LUN_IMAGE_SIDE,
                1, "too large for a picture");
  lunL_argcheck(L, n == 768, 2, "256 RGB triples expected");
  b = lunL_newimage(L);
  lunL_reserve_image(L, (int)t->dim[1], (int)t->dim[0]);
  return lunL_image_made(
      L,
      lun_image_colormap(b, t->data, (int)t->dim[1], (int)t->dim[0],
                         (const uint8_t *)table, lo, hi, &err),
      &err);
}

/* core.image.grey16(tensor (H,W), lo, hi) -> bytes of a PNG file */
static int grey16(lua_State *L) {
  const lun_tensor *t = lunL_hold(L, 1);
  double lo = lunL_checknumber(L, 2), hi = lunL_checknumber(L, 3);
  uint8_t **b;
  size_t n;
  lun_err err;
  lunL_argcheck(L, t->ndim == 2 && t->size > 0, 1, "a map (H,W) expected");
  lunL_argcheck(L, t->dim[0] <= LUN_IMAGE_SIDE && t->dim[1] <= LUN_IMAGE_SIDE,
                1, "too large for a picture");
  b = lunL_newbytes(L);
  if (lun_grey16_encode(b, &n, t->data, (int)t->dim[1], (int)t->dim[0], lo, hi,
                        &err) != LUN_OK)
    return lunL_raise(L, &err);
  return lunL_pushbytes(L, b, n);
}

static const lunL_reg functions[] = {
    {"grey16", grey16, 3},           {"to_planes", to_planes, 2},
    {"from_planes", from_planes, 2}, {"range", range, 1},
    {"percentile", percentile, 2},   {"resize_map", resize_map, 4},
    {"colormap", colormap, 4},       {NULL, NULL, 0},
};

void lunL_open_planes(lua_State *L) { lunL_setfuncs(L, functions); }
