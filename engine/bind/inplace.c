/*
** inplace.c (binding) - methods that change a tensor in place: single values,
** whole tensors, optimisers' steps and pasting.  Not differentiable; nothing of
** it goes on a tape.
*/
#include <string.h>

#include "bind.h"

/* ---- values -------------------------------------------------------------- */

/* t:set(i, j, ..., value) */
static int set(lua_State *L) {
  lun_tensor *t = lunL_checkwritable(L, 1);
  int64_t at = lunL_offset(L, t, "set", 1);
  t->data[at] = (float)lunL_checknumber(L, t->ndim + 2);
  lua_settop(L, 1);
  return 1;
}

static void same_size(lua_State *L, const lun_tensor *t, const lun_tensor *s) {
  char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
  if (s->size == t->size) return;
  lun_shape_text(a, sizeof a, t->ndim, t->dim);
  lun_shape_text(b, sizeof b, s->ndim, s->dim);
  lunL_argerror(
      L, 2,
      lua_pushfstring(
          L, "the tensor is %s, this one %s: as many values are wanted", a, b));
}

/* The tensor at 1, to be written; *other: that at 2, which has as many values. */
static lun_tensor *pair(lua_State *L, const lun_tensor **other) {
  lun_tensor *t;
  lunL_ready(L, 1);
  lunL_ready(L, 2);
  t = lunL_writable(L, 1), *other = lunL_values(L, 2);
  same_size(L, t, *other);
  return t;
}

/* t:copy_(other): overwrites the values */
static int copy_(lua_State *L) {
  const lun_tensor *s;
  lun_tensor *t = pair(L, &s);
  memmove(t->data, s->data, (size_t)t->size * sizeof(float));
  lua_settop(L, 1);
  return 1;
}

static int fill_(lua_State *L) {
  lun_tensor *t = lunL_checkwritable(L, 1);
  float v = (float)lunL_checknumber(L, 2);
  for (int64_t i = 0; i < t->size; i++) t->data[i] = v;
  lua_settop(L, 1);
  return 1;
}

/* t:add_(other[, factor]): t += factor * other, in place */
static int add_(lua_State *L) {
  float f = (float)lunL_optnumber(L, 3, 1);
  const lun_tensor *s;
  lun_tensor *t = pair(L, &s);
  for (int64_t i = 0; i < t->size; i++) t->data[i] += f * s->data[i];
  lua_settop(L, 1);
  return 1;
}

static int mul_(lua_State *L) {
  lun_tensor *t = lunL_checkwritable(L, 1);
  float f = (float)lunL_checknumber(L, 2);
  for (int64_t i = 0; i < t->size; i++) t->data[i] *= f;
  lua_settop(L, 1);
  return 1;
}

/* ---- optimisers' steps --------------------------------------------------- */

/* All the same size, as the parameter at 1; `n` tensors from there on. */
static void check_sizes(lua_State *L, int n) {
  int64_t size = lunL_values(L, 1)->size;
  for (int arg = 2; arg <= n; arg++)
    if (lunL_values(L, arg)->size != size)
      luaL_error(L, "argument #%d has %d values, the parameter %d",
                 lunL_position(L, arg), (int)lunL_values(L, arg)->size,
                 (int)size);
}

static void ready(lua_State *L, int n) {
  for (int arg = 1; arg <= n; arg++) lunL_ready(L, arg);
  check_sizes(L, n);
}

static double option(lua_State *L, int table, const char *name,
                     double fallback) {
  double v;
  lua_getfield(L, table, name);
  v = lunL_optnumber(L, -1, fallback);
  lua_pop(L, 1);
  return v;
}

/* p:adam_(g, m, v, {step =, rate =, beta1 =, beta2 =, eps =, decay =,
** scale =}) */
static int adam(lua_State *L) {
  static const char *const fields[] = {"step", "rate",  "beta1", "beta2",
                                       "eps",  "decay", "scale", NULL};
  lun_adam o;
  double step;
  float *p, *m, *v;
  lunL_checktype(L, 5, LUA_TTABLE);
  lunL_known(L, 5, "adam_", fields);
  step = option(L, 5, "step", 1);
  o.rate = option(L, 5, "rate", 1e-3);
  o.beta1 = option(L, 5, "beta1", 0.9);
  o.beta2 = option(L, 5, "beta2", 0.999);
  o.eps = option(L, 5, "eps", 1e-8);
  o.decay = option(L, 5, "decay", 0);
  o.scale = option(L, 5, "scale", 1);
  lunL_argcheck(L, step >= 1 && step <= 1e15, 5, "steps count from 1");
  o.step = (int64_t)step;
  ready(L, 4);
  p = lunL_writable(L, 1)->data;
  m = lunL_writable(L, 3)->data;
  v = lunL_writable(L, 4)->data;
  lun_adam_step(lunL_values(L, 1)->size, p, lunL_values(L, 2)->data, m, v, &o);
  lua_settop(L, 1);
  return 1;
}

/* p:sgd_(g, v, {rate =, momentum =, decay =, scale =}) */
static int sgd(lua_State *L) {
  static const char *const fields[] = {"rate", "momentum", "decay", "scale",
                                       NULL};
  double rate, momentum, decay, scale;
  float *p, *v;
  lunL_checktype(L, 4, LUA_TTABLE);
  lunL_known(L, 4, "sgd_", fields);
  rate = option(L, 4, "rate", 1e-2);
  momentum = option(L, 4, "momentum", 0);
  decay = option(L, 4, "decay", 0);
  scale = option(L, 4, "scale", 1);
  ready(L, 3);
  p = lunL_writable(L, 1)->data;
  v = lunL_writable(L, 3)->data;
  lun_sgd_step(lunL_values(L, 1)->size, p, lunL_values(L, 2)->data, v, rate,
               momentum, decay, scale);
  lua_settop(L, 1);
  return 1;
}

/* ---- pasting -------------------------------------------------------------- */

/* A position counted from 1 as one counted from 0; -1 for 0 and below. */
static int64_t place(lua_State *L, int arg) {
  lua_Integer i = lunL_checkinteger(L, arg);
  return i < 1 ? -1 : i - 1;
}

/* t:paste_(part, row, column [, from_row, from_column, height, width]): part,
** or a rectangle of it, over t's last two dimensions, from there on, counted
** from 1 */
static int paste(lua_State *L) {
  int64_t row = place(L, 3), column = place(L, 4);
  int st, some = !lua_isnoneornil(L, 5);
  lun_rect from = {0, 0, 0, 0};
  lun_err err;
  if (some)
    from = (lun_rect){place(L, 5), place(L, 6), lunL_checkinteger(L, 7),
                      lunL_checkinteger(L, 8)};
  lunL_ready(L, 1);
  lunL_ready(L, 2);
  lun_tensor *t = lunL_writable(L, 1);
  const lun_tensor *part = lunL_values(L, 2);
  st = some ? lun_tensor_paste_part(t, part, from, row, column, &err)
            : lun_tensor_paste(t, part, row, column, &err);
  if (st != LUN_OK) return lunL_raise(L, &err);
  lua_settop(L, 1);
  return 1;
}

int lunL_open_inplace(lua_State *L) {
  static const lunL_reg methods[] = {
      {"set", set, LUNL_ANY}, {"copy_", copy_, 2},  {"fill_", fill_, 2},
      {"add_", add_, 3},      {"mul_", mul_, 2},    {"adam_", adam, 5},
      {"sgd_", sgd, 4},       {"paste_", paste, 8}, {NULL, NULL, 0},
  };
  luaL_getmetatable(L, TENSOR_T);
  lua_getfield(L, -1, "methods");
  lunL_setfuncs(L, methods);
  lua_pop(L, 2);
  return 0;
}
