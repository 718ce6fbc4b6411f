/*
** simd_epilogue.h - the part of simd.c for epilogues: what is applied to an output
** before it is written: a factor, a bias and a function, or a gate.
*/

/* BIAS: scale z + bias.  RELU, RELU6, SILU, HARD_SWISH: a function of it.  SLOPES: any
** gate.  PLAIN, GUIDED and RECTIFIED: the gates used most, whose slopes are 0 or 1,
** without a product; BAND: plain with a top. */
enum mode {
  BIAS,
  RELU,
  PLAIN,
  GUIDED,
  RECTIFIED,
  SLOPES,
  BAND,
  RELU6,
  SILU,
  HARD_SWISH
};

static enum mode any_mode_of(const lun_epilogue *e) {
  static const enum mode functions[] = {[LUN_NO_EPILOGUE] = BIAS,
                                        [LUN_RELU_EPILOGUE] = RELU,
                                        [LUN_RELU6_EPILOGUE] = RELU6,
                                        [LUN_SILU_EPILOGUE] = SILU,
                                        [LUN_HARD_SWISH_EPILOGUE] = HARD_SWISH};
  static const struct {
    enum mode mode;
    lun_slopes slope;
  } special[] = {{PLAIN, {1, 1, 0, 0, 0}},
                 {GUIDED, {1, 0, 0, 0, 0}},
                 {RECTIFIED, {1, 0, 1, 0, 0}}};
  if (!e->gate) return functions[e->function];
  lun_slopes s = e->gate->slope;
  for (int i = 0; i < 3; i++)
    if (memcmp(&special[i].slope, &s, sizeof s) == 0) return special[i].mode;
  s.top = 0;
  return memcmp(&special[0].slope, &s, sizeof s) == 0 ? BAND : SLOPES;
}

/* The same among those that FOR_MODE knows: for kernels of Winograd's method and
** poolings, which are given no other functions. */
static enum mode mode_of(const lun_epilogue *e) {
  enum mode mode = any_mode_of(e);
  return mode == BAND ? SLOPES : mode;
}

/* fn(mode, ...) with the mode as a constant, so that each has a loop of its own. */
#define CASE(mode, fn, ...)                                                    \
  case mode:                                                                   \
    fn(mode, __VA_ARGS__);                                                     \
    break;
#define CASES(fn, ...)                                                         \
  CASE(BIAS, fn, __VA_ARGS__)                                                  \
  CASE(RELU, fn, __VA_ARGS__)                                                  \
  CASE(PLAIN, fn, __VA_ARGS__)                                                 \
  CASE(GUIDED, fn, __VA_ARGS__)                                                \
  CASE(RECTIFIED, fn, __VA_ARGS__)                                             \
  CASE(SLOPES, fn, __VA_ARGS__)
#define FOR_MODE(mode, fn, ...)                                                \
  switch (mode) {                                                              \
    CASES(fn, __VA_ARGS__)                                                     \
    default:                                                                   \
      break;                                                                   \
  }
#define FOR_ANY_MODE(mode, fn, ...)                                            \
  switch (mode) {                                                              \
    CASES(fn, __VA_ARGS__)                                                     \
    CASE(BAND, fn, __VA_ARGS__)                                                \
    CASE(RELU6, fn, __VA_ARGS__)                                               \
    CASE(SILU, fn, __VA_ARGS__)                                                \
    CASE(HARD_SWISH, fn, __VA_ARGS__)                                          \
  }

static lun_slopes slopes_of(const lun_gate *g) {
  return g ? g->slope : (lun_slopes){0};
}

/* The units that are open, of those that put out y. */
INLINE ivec open_units(vec y, float top) {
  return (y > 0) & (y < (top == 0 ? __builtin_inff() : top));
}

/* slope * z as lun_gate_value has it. */
INLINE vec sloped(vec z, vec y, lun_slopes s) {
  ivec open = s.top == 0 ? y > 0 : open_units(y, s.top);
  vec up = choose(open, SPLAT(s.open_up), SPLAT(s.shut_up));
  vec down = choose(open, SPLAT(s.open_down), SPLAT(s.shut_down));
  vec slope = choose(z < 0, down, up);
  return keep(slope * z, slope != 0);
}

/* A function or a gate (gate.h) of z.  NaN stays, as in the operators. */
INLINE vec function_of(enum mode mode, vec z, vec y, lun_slopes s) {
  switch (mode) {
    case PLAIN:
      return keep(z, y > 0);
    case BAND:
      return keep(z, open_units(y, s.top));
    case GUIDED:
      return keep(z, (y > 0) & ~(z < 0));
    case RECTIFIED:
    case RELU:
      return keep(z, ~(z < 0));
    case SLOPES:
      return sloped(z, y, s);
    case RELU6:
      return at_most(keep(z, ~(z < 0)), 6.0f);
    case SILU:
      return z * sigmoid_of(z);
    case HARD_SWISH:
      return z * at_most(at_least(z / 6.0f + 0.5f, 0.0f), 1.0f);
    default:
      return z;
  }
}

/* The modes that read the values of the gated unit; those of gates. */
INLINE int is_gate(enum mode m) {
  return m == PLAIN || m == GUIDED || m == SLOPES || m == BAND;
}
INLINE int of_gradient(enum mode m) { return is_gate(m) || m == RECTIFIED; }

/* The epilogue of z: a bias, then a summand if there is one, then a function; or a
** gate of z and the summand. */
INLINE vec epilogue(enum mode mode, vec z, vec y, float bias, const vec *add,
                    lun_slopes s) {
  if (!of_gradient(mode)) z += bias;
  if (add) z += *add;
  return function_of(mode, z, y, s);
}

/* What an epilogue does to one channel. */
typedef struct finish {
  float scale, bias;
  lun_slopes slope;
  int adds;
} finish;

static finish finish_of(const lun_epilogue *e, int k) {
  return (finish){.scale = e->scale ? e->scale[k] : 1.0f,
                  .bias = e->bias ? e->bias[k] : 0.0f,
                  .slope = slopes_of(e->gate),
                  .adds = e->add != NULL};
}

/* The whole epilogue of z; y: what the gate compares, add: what is added. */
INLINE vec finished(enum mode mode, const finish *f, vec z, vec y, vec add) {
  if (!of_gradient(mode)) z *= f->scale;
  return epilogue(mode, z, y, f->bias, f->adds ? &add : NULL, f->slope);
}

/* out[p] = the epilogue of m[p], p < np. */
INLINE void epilogue_span(enum mode mode, const finish *f, const float *y,
                          const float *add, int np, const float *m,
                          float *out) {
  int p = 0;
  for (; p + VL <= np; p += VL) {
    vec v = is_gate(mode) ? LOADU(y + p) : (vec){0};
    vec a = f->adds ? LOADU(add + p) : (vec){0};
    STOREU(out + p, finished(mode, f, LOADU(m + p), v, a));
  }
  if (p < np) {
    vec v = is_gate(mode) ? load_part(y + p, np - p) : (vec){0};
    vec a = f->adds ? load_part(add + p, np - p) : (vec){0};
    v = finished(mode, f, load_part(m + p, np - p), v, a);
    store_part(out + p, v, np - p);
  }
}

static void epilogue_row(const lun_epilogue *e, float *out, int64_t at, int np,
                         const float *m, int k) {
  const float *y = e->gate ? e->gate->y + at % e->gate->size : NULL;
  const float *add = e->add ? e->add + at : NULL;
  finish f = finish_of(e, k);
  FOR_ANY_MODE(any_mode_of(e), epilogue_span, &f, y, add, np, m, out + at)
}
