/*
** optim.c (binding) - methods that change a tensor in place: optimisers'
** steps and pasting.  Not differentiable; nothing of it goes on a tape.
*/
#include "bind.h"

/* A tensor of as many values as p. */
static lun_tensor *like(lua_State *L, int arg, const lun_tensor *p) {
  lun_tensor *t = lunL_checktensor(L, arg);
  if (t->size != p->size)
    luaL_error(L, "argument #%d has %d values, the parameter %d", arg,
               (int)t->size, (int)p->size);
  return t;
}

static double option(lua_State *L, int table, const char *name,
                     double fallback) {
  double v;
  lua_getfield(L, table, name);
  v = luaL_optnumber(L, -1, fallback);
  lua_pop(L, 1);
  return v;
}

/* p:adam_(g, m, v, {step =, rate =, beta1 =, beta2 =, eps =, decay =,
** scale =}) */
static int adam(lua_State *L) {
  lun_tensor *p = lunL_checkwritable(L, 1), *g = like(L, 2, p);
  lun_tensor *m = like(L, 3, p), *v = like(L, 4, p);
  lun_adam o;
  luaL_checktype(L, 5, LUA_TTABLE);
  o.step = (int64_t)option(L, 5, "step", 1);
  o.rate = option(L, 5, "rate", 1e-3);
  o.beta1 = option(L, 5, "beta1", 0.9);
  o.beta2 = option(L, 5, "beta2", 0.999);
  o.eps = option(L, 5, "eps", 1e-8);
  o.decay = option(L, 5, "decay", 0);
  o.scale = option(L, 5, "scale", 1);
  luaL_argcheck(L, o.step >= 1, 5, "steps count from 1");
  lun_adam_step(p->size, p->data, g->data, m->data, v->data, &o);
  lua_settop(L, 1);
  return 1;
}

/* p:sgd_(g, v, {rate =, momentum =, decay =, scale =}) */
static int sgd(lua_State *L) {
  lun_tensor *p = lunL_checkwritable(L, 1), *g = like(L, 2, p),
             *v = like(L, 3, p);
  luaL_checktype(L, 4, LUA_TTABLE);
  lun_sgd_step(p->size, p->data, g->data, v->data, option(L, 4, "rate", 1e-2),
               option(L, 4, "momentum", 0), option(L, 4, "decay", 0),
               option(L, 4, "scale", 1));
  lua_settop(L, 1);
  return 1;
}

/* t:paste_(part, row, column): part over t's last two dimensions, from there
** on, counted from 1 */
static int paste(lua_State *L) {
  lun_tensor *t = lunL_checkwritable(L, 1);
  const lun_tensor *part = lunL_checktensor(L, 2);
  lun_err err;
  if (lun_tensor_paste(t, part, luaL_checkinteger(L, 3) - 1,
                       luaL_checkinteger(L, 4) - 1, &err) != LUN_OK)
    return lunL_raise(L, &err);
  lua_settop(L, 1);
  return 1;
}

int lunL_open_optim(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"adam_", adam},
      {"sgd_", sgd},
      {"paste_", paste},
      {NULL, NULL},
  };
  luaL_getmetatable(L, TENSOR_T);
  lua_getfield(L, -1, "methods");
  luaL_setfuncs(L, methods, 0);
  lua_pop(L, 2);
  return 0;
}
