/*
** simd_fft.h - the part of simd.c for discrete Fourier transforms, of many columns
** side by side: every value of a transform is `lanes` neighbours in memory, and what
** happens to one happens to all, a vector at a time.
**
** Stockham's form: a step takes x[q + S(p + m k)], k < r, of r transforms of length
** m, and puts y[q + S(r p + k)] = w^(pk) * (the transform of those r values)_k, with
** w = exp(-2 pi i / (m r)), into the other buffer; after it m is m / r, S is S r.
** Nothing is reordered before or after.
*/

typedef struct complex_vec {
  vec re, im;
} complex_vec;

/* z exp(-i t), c and s the cosine and sine of t. */
INLINE complex_vec rotated(complex_vec z, float c, float s) {
  return (complex_vec){z.re * c + z.im * s, z.im * c - z.re * s};
}

INLINE void transform_2(complex_vec *z) {
  complex_vec a = z[0], b = z[1];
  z[0] = (complex_vec){a.re + b.re, a.im + b.im};
  z[1] = (complex_vec){a.re - b.re, a.im - b.im};
}

INLINE void transform_4(complex_vec *z) {
  complex_vec a = {z[0].re + z[2].re, z[0].im + z[2].im};
  complex_vec b = {z[0].re - z[2].re, z[0].im - z[2].im};
  complex_vec c = {z[1].re + z[3].re, z[1].im + z[3].im};
  complex_vec d = {z[1].re - z[3].re, z[1].im - z[3].im};
  z[0] = (complex_vec){a.re + c.re, a.im + c.im};
  z[1] = (complex_vec){b.re + d.im, b.im - d.re};
  z[2] = (complex_vec){a.re - c.re, a.im - c.im};
  z[3] = (complex_vec){b.re - d.im, b.im + d.re};
}

/*
** An odd number r of values: with a_j = z_j + z_(r-j) and d_j = z_j - z_(r-j), j from
** 1 to (r-1)/2,
**   Z_k = E - i O,  Z_(r-k) = E + i O,
**   E = z_0 + sum a_j cos(2 pi jk/r),  O = sum d_j sin(2 pi jk/r)
** sum and difference stand in a and d; cos and sin are those of 2 pi t/n, every
** (n/r)-th of which is wanted.
*/
INLINE void pairs_of(int r, const complex_vec *z, complex_vec *a,
                     complex_vec *d) {
  for (int j = 1; 2 * j < r; j++) {
    a[j] = (complex_vec){z[j].re + z[r - j].re, z[j].im + z[r - j].im};
    d[j] = (complex_vec){z[j].re - z[r - j].re, z[j].im - z[r - j].im};
  }
}

/* count values of k from k0 on together: the sums of one alone would wait for each
** other. */
INLINE void odd_pairs(int r, const complex_vec *a, const complex_vec *d, int k0,
                      int count, const lun_fft *f, complex_vec *z) {
  complex_vec e[2] = {z[0], z[0]}, o[2] = {{{0}, {0}}, {{0}, {0}}};
  int at[2] = {0, 0}, step = f->n / r;
  for (int j = 1; 2 * j < r; j++) UNROLLED(int i = 0; i < count; i++) {
      at[i] += k0 + i;
      at[i] -= at[i] < r ? 0 : r;
      float c = f->cos[at[i] * step], s = f->sin[at[i] * step];
      e[i].re += a[j].re * c, e[i].im += a[j].im * c;
      o[i].re += d[j].re * s, o[i].im += d[j].im * s;
    }
  UNROLLED(int i = 0; i < count; i++) {
    z[k0 + i] = (complex_vec){e[i].re + o[i].im, e[i].im - o[i].re};
    z[r - k0 - i] = (complex_vec){e[i].re - o[i].im, e[i].im + o[i].re};
  }
}

INLINE void transform_odd(int r, complex_vec *z, complex_vec *a, complex_vec *d,
                          const lun_fft *f) {
  complex_vec sum = z[0];
  pairs_of(r, z, a, d);
  int k = 1;
  for (; 2 * (k + 1) < r; k += 2) odd_pairs(r, a, d, k, 2, f, z);
  if (2 * k < r) odd_pairs(r, a, d, k, 1, f, z);
  for (int j = 1; 2 * j < r; j++) sum.re += a[j].re, sum.im += a[j].im;
  z[0] = sum;
}

/* One step: r values at a time, z, a and d being room for r of them. */
INLINE void fft_step(const lun_fft *f, int r, int m, int64_t s, int64_t lanes,
                     lun_complex x, lun_complex y, complex_vec *z,
                     complex_vec *a, complex_vec *d) {
  int64_t S = s * lanes, turn = f->n / (m * r);
  for (int p = 0; p < m; p++)
    for (int64_t q = 0; q < S; q += VL) {
      for (int k = 0; k < r; k++) {
        int64_t at = q + S * (p + (int64_t)m * k);
        z[k] = (complex_vec){LOAD(x.re + at), LOAD(x.im + at)};
      }
      if (r == 2) {
        transform_2(z);
      } else if (r == 4) {
        transform_4(z);
      } else {
        transform_odd(r, z, a, d, f);
      }
      for (int k = 0; k < r; k++) {
        int64_t at = q + S * ((int64_t)r * p + k), t = turn * p * k;
        complex_vec v = k && p ? rotated(z[k], f->cos[t], f->sin[t]) : z[k];
        STORE(y.re + at, v.re);
        STORE(y.im + at, v.im);
      }
    }
}

/* A step of a small number of values, which the registers hold. */
#define FFT_STEP(r)                                                            \
  static void fft_step_##r(const lun_fft *f, int m, int64_t s, int64_t lanes,  \
                           lun_complex x, lun_complex y) {                     \
    complex_vec z[r], a[(r + 1) / 2], d[(r + 1) / 2];                          \
    fft_step(f, r, m, s, lanes, x, y, z, a, d);                                \
  }
FFT_STEP(2)
FFT_STEP(3)
FFT_STEP(4)
FFT_STEP(5)
FFT_STEP(7)

static void fft(const lun_fft *f, int64_t lanes, lun_complex *x, lun_complex *y,
                float *room) {
  int m = f->n;
  int64_t s = 1;
  for (int i = 0; i < f->steps; i++) {
    int r = f->radix[i];
    m /= r;
    if (r == 2) {
      fft_step_2(f, m, s, lanes, *x, *y);
    } else if (r == 3) {
      fft_step_3(f, m, s, lanes, *x, *y);
    } else if (r == 4) {
      fft_step_4(f, m, s, lanes, *x, *y);
    } else if (r == 5) {
      fft_step_5(f, m, s, lanes, *x, *y);
    } else if (r == 7) {
      fft_step_7(f, m, s, lanes, *x, *y);
    } else {
      complex_vec *z = (complex_vec *)(void *)room;
      fft_step(f, r, m, s, lanes, *x, *y, z, z + r, z + r + (r + 1) / 2);
    }
    s *= r;
    lun_complex t = *x;
    *x = *y, *y = t;
  }
}
