/*
** simd_epilogue.h - the part of simd.c for epilogues: what is applied to an output
** before it is written, bias and relu or a gate.
*/

/* BIAS: z + bias.  RELU: max(z + bias, 0).  SLOPES: any gate.  PLAIN, GUIDED and
** RECTIFIED: the gates used most, whose slopes are 0 or 1, without a product. */
enum mode { BIAS, RELU, PLAIN, GUIDED, RECTIFIED, SLOPES };

static enum mode mode_of(const lun_epilogue *e) {
  static const struct {
    enum mode mode;
    lun_slopes slope;
  } special[] = {
      {PLAIN, {1, 1, 0, 0}}, {GUIDED, {1, 0, 0, 0}}, {RECTIFIED, {1, 0, 1, 0}}};
  if (!e->gate) return e->relu ? RELU : BIAS;
  for (int i = 0; i < 3; i++)
    if (memcmp(&special[i].slope, &e->gate->slope, sizeof(lun_slopes)) == 0)
      return special[i].mode;
  return SLOPES;
}

/* fn(mode, ...) with the mode as a constant, so that each has a loop of its own. */
#define FOR_MODE(mode, fn, ...)                                                \
  switch (mode) {                                                              \
    case BIAS:                                                                 \
      fn(BIAS, __VA_ARGS__);                                                   \
      break;                                                                   \
    case RELU:                                                                 \
      fn(RELU, __VA_ARGS__);                                                   \
      break;                                                                   \
    case PLAIN:                                                                \
      fn(PLAIN, __VA_ARGS__);                                                  \
      break;                                                                   \
    case GUIDED:                                                               \
      fn(GUIDED, __VA_ARGS__);                                                 \
      break;                                                                   \
    case RECTIFIED:                                                            \
      fn(RECTIFIED, __VA_ARGS__);                                              \
      break;                                                                   \
    case SLOPES:                                                               \
      fn(SLOPES, __VA_ARGS__);                                                 \
      break;                                                                   \
  }

static lun_slopes slopes_of(const lun_gate *g) {
  return g ? g->slope : (lun_slopes){0};
}

INLINE vec choose(ivec c, vec yes, vec no) {
  return (vec)(((ivec)yes & c) | ((ivec)no & ~c));
}

/* slope * z as lun_gate_value has it. */
INLINE vec sloped(vec z, vec y, lun_slopes s) {
  ivec open = y > 0;
  vec up = choose(open, SPLAT(s.open_up), SPLAT(s.shut_up));
  vec down = choose(open, SPLAT(s.open_down), SPLAT(s.shut_down));
  vec slope = choose(z < 0, down, up);
  return keep(slope * z, slope != 0);
}

/* The epilogue of z: a gate (gate.h), or bias and relu. */
INLINE vec epilogue(enum mode mode, vec z, vec y, float bias, lun_slopes s) {
  switch (mode) {
    case PLAIN:
      return keep(z, y > 0);
    case GUIDED:
      return keep(z, (y > 0) & ~(z < 0));
    case RECTIFIED:
      return keep(z, ~(z < 0));
    case SLOPES:
      return sloped(z, y, s);
    case RELU:
      z += bias;
      return keep(z, ~(z < 0)); /* NaN stays, as in the plain relu */
    default:
      return z + bias;
  }
}

INLINE int is_gate(enum mode m) {
  return m == PLAIN || m == GUIDED || m == SLOPES;
}

/* out[p] = the epilogue of m[p], p < np; y: what the gate compares. */
INLINE void epilogue_span(enum mode mode, const float *y, lun_slopes s,
                          float bias, int np, const float *m, float *out) {
  int p = 0;
  for (; p + VL <= np; p += VL) {
    vec v = is_gate(mode) ? LOADU(y + p) : (vec){0};
    STOREU(out + p, epilogue(mode, LOADU(m + p), v, bias, s));
  }
  if (p < np) {
    vec v = is_gate(mode) ? load_part(y + p, np - p) : (vec){0};
    v = epilogue(mode, load_part(m + p, np - p), v, bias, s);
    store_part(out + p, v, np - p);
  }
}

static void epilogue_row(const lun_epilogue *e, float *out, int64_t at, int np,
                         const float *m, float bias) {
  const float *y = e->gate ? e->gate->y + at % e->gate->size : NULL;
  lun_slopes s = slopes_of(e->gate);
  FOR_MODE(mode_of(e), epilogue_span, y, s, bias, np, m, out + at)
}
