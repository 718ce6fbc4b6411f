/*
** simd_taps.h - the part of simd.c for depthwise convolutions: one row of weights times
** rows that lie where a table says.
*/

/* m[0 .. nv*VL) = sum over t of a[at[t].a] b[at[t].b ...], one chain of fused multiply-adds
** in the order of t.  Eight vectors abreast hide how long one multiply-add takes. */
INLINE void taps_block(int nv, const float *a, int taps, const float *b,
                       const lun_place *at, float *m) {
  vec s[8];
  UNROLLED(int v = 0; v < nv; v++) s[v] = (vec){0};
  for (int t = 0; t < taps; t++) {
    const float *r = b + at[t].b;
    vec w = SPLAT(a[at[t].a]);
    UNROLLED(int v = 0; v < nv; v++) s[v] += w * LOADU(r + v * VL);
  }
  UNROLLED(int v = 0; v < nv; v++) STOREU(m + v * VL, s[v]);
}

static void taps(const float *a, int taps, const float *b, const lun_place *at,
                 float *m, int n) {
  int i = 0;
  for (; i + 8 * VL <= n; i += 8 * VL) taps_block(8, a, taps, b + i, at, m + i);
  for (; i + 2 * VL <= n; i += 2 * VL) taps_block(2, a, taps, b + i, at, m + i);
  for (; i < n; i += VL) taps_block(1, a, taps, b + i, at, m + i);
}
