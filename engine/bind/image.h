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
/* Adds to the table on top. */
void lunL_open_planes(lua_State *L);

#endif
