/*
** optim.c - steps of optimisers, fused so that a parameter is read and written
** once.
*/
#include <math.h>

#include "lunette.h"

/*
** Adam (Kingma & Ba 2015, algorithm 1), with the bias corrections folded
** into the step, and decoupled weight decay (Loshchilov & Hutter 2019):
**   m = b1 m + (1-b1) g        v = b2 v + (1-b2) g^2
**   p = p - rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps) - rate decay p
*/
void lun_adam_step(int64_t n, float *p, const float *g, float *m, float *v,
                   const lun_adam *o) {
  const float b1 = (float)o->beta1, b2 = (float)o->beta2;
  /* Subtracted in double: 1 - 0.999f is wrong by 1e-5 of its value. */
  const float d1 = (float)(1 - o->beta1), d2 = (float)(1 - o->beta2);
  const float c1 = (float)(1 / (1 - pow(o->beta1, (double)o->step)));
  const float c2 = (float)(1 / (1 - pow(o->beta2, (double)o->step)));
  const float rate = (float)o->rate, eps = (float)o->eps;
  const float keep = (float)(1 - o->rate * o->decay);
  const float scale = (float)o->scale;
  for (int64_t i = 0; i < n; i++) {
    float gi = g[i] * scale;
    m[i] = b1 * m[i] + d1 * gi;
    v[i] = b2 * v[i] + d2 * gi * gi;
    p[i] = keep * p[i] - rate * (m[i] * c1) / (sqrtf(v[i] * c2) + eps);
  }
}

/*
** Gradient descent with momentum, velocity in units of the gradient:
**   v = momentum v + g + decay p        p = p - rate v
*/
void lun_sgd_step(int64_t n, float *p, const float *g, float *v, double rate,
                  double momentum, double decay, double scale) {
  const float r = (float)rate, mu = (float)momentum, d = (float)decay;
  const float s = (float)scale;
  for (int64_t i = 0; i < n; i++) {
    v[i] = mu * v[i] + s * g[i] + d * p[i];
    p[i] -= r * v[i];
  }
}
