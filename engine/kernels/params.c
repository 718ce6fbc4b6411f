/*
** params.c - gradients of a convolution's weights and biases.
*/
#include "gather.h"

#include <string.h>

typedef struct param_job {
  const lun_conv *s;
  const lun_gather *g;
  const float *x, *dy;
  float *dw, *db;
} param_job;

/* One output channel: the sum over batch and places of dy times what each
** kernel element met. */
static void channel(void *arg, int64_t job, int worker) {
  const param_job *j = arg;
  const lun_conv *s = j->s;
  const lun_gather *g = j->g;
  int64_t places = (int64_t)s->oh * s->ow, k = job;
  int group = (int)(k / g->k);
  (void)worker;
  double db = 0;
  if (j->dw)
    memset(j->dw + k * g->c * g->taps, 0,
           (size_t)g->c * g->taps * sizeof(float));
  for (int n = 0; n < s->n; n++) {
    const float *dy = j->dy + (n * (int64_t)s->k + k) * places;
    for (int64_t p = 0; p < places; p++) db += (double)dy[p];
    for (int ct = 0; j->dw && ct < g->c * g->taps; ct++) {
      int t = ct % g->taps;
      int64_t chan = (int64_t)n * s->c + group * g->c + ct / g->taps;
      const float *plane = j->x + chan * s->h * s->w;
      double sum = 0;
      for (int v = 0; v < s->oh; v++) {
        int y = v * s->sh + g->ty[t];
        if (y < 0 || y >= s->h) continue;
        float part = 0.0f;
        for (int u = 0; u < s->ow; u++) {
          int xx = u * s->sw + g->tx[t];
          if (xx < 0 || xx >= s->w) continue;
          part += dy[(int64_t)v * s->ow + u] * plane[(int64_t)y * s->w + xx];
        }
        sum += (double)part;
      }
      j->dw[k * g->c * g->taps + ct] += (float)sum;
    }
  }
  if (j->db) j->db[k] = (float)db;
}

int lun_conv_backward_params(const lun_conv *s, const float *x, const float *dy,
                             float *dw, float *db, lun_err *err) {
  lun_gather g;
  LUN_TRY(lun_gather_forward(&g, s, err));
  param_job j = {s, &g, x, dy, dw, db};
  int st = lun_parallel(s->k, channel, &j);
  lun_gather_free(&g);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}
