/*
** image.h (binding) - what image.c and planes.c share: boxes of pictures, and
** arguments.
*/
#ifndef LUN_BIND_IMAGE_H
#define LUN_BIND_IMAGE_H

#include "../picture/picture.h"
#include "bind.h"

#define IMAGE_T "lunette.image"

/* Pushes an empty box for a picture. */
lun_image **lunL_newimage(lua_State *L);
/* Room for a picture of that size: lunL_reserve. */
void lunL_reserve_image(lua_State *L, int width, int height);
/* The result, for Lua, of a core call that filled the box on top of the stack. */
int lunL_image_made(lua_State *L, int status, const lun_err *err);
/* A position or a length in pixels; the core checks it against the picture. */
int lunL_checkpixels(lua_State *L, int arg);
/* A resize filter by name; raises with the choices. */
lun_filter lunL_checkfilter(lua_State *L, int arg, const char *fallback);
/* Element i of the list at 1, which must be an image; of w x h, unless w is 0. */
lun_image *lunL_listedimage(lua_State *L, lua_Integer i, int w, int h);
/* Pushes an empty box for bytes of the core. */
uint8_t **lunL_newbytes(lua_State *L);
/* Those bytes as a Lua string; they are let go now, not at the next collection. */
int lunL_pushbytes(lua_State *L, uint8_t **b, size_t n);
/* Each adds to the table on top. */
void lunL_open_planes(lua_State *L);
void lunL_open_gif(lua_State *L);

#endif
