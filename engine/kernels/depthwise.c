/*
** depthwise.c - plans depthwise convolutions and their gradients: a job is some
** channels, one after the other.
*/
#include "simd.h"

enum {
  STRIP =
      6144, /* floats of a band with its borders, about: in the first cache */
  OUTPUTS = 8192, /* least outputs of a job, if there are enough jobs */
  SLACK = 32,     /* floats that vectors may reach over, and keep lines apart */
};

typedef struct depthwise_job {
  const lun_conv *s;
  const lun_simd *isa;
  lun_depthwise plane; /* all but what differs between planes */
  const float *in, *w;
  float *scratch;
  size_t each; /* floats of scratch a worker */
  int back;
  int64_t planes, batch; /* planes of all, of a job */
} depthwise_job;

static int mini(int a, int b) { return a < b ? a : b; }

static int maxi(int a, int b) { return a > b ? a : b; }

int lun_depthwise_fits(const lun_conv *s) {
  return s->groups == s->c && s->k == s->c && s->c > 1 && s->kh == s->kw &&
         (s->kh == 3 || s->kh == 5 || s->kh == 7) && s->sh == s->sw &&
         s->sh <= 2 && s->dh == 1 && s->dw == 1 && s->pt < s->kh &&
         s->pl < s->kw;
}

/* Weights in the order of the sums: the gradient's kernel is rotated. */
static void weights_of(const depthwise_job *j, int64_t channel, float *to) {
  int n = j->s->kh * j->s->kw;
  const float *w = j->w + channel * n;
  for (int i = 0; i < n; i++) to[i] = j->back ? w[n - 1 - i] : w[i];
}

static void run_planes(void *arg, int64_t job) {
  const depthwise_job *j = arg;
  lun_depthwise d = j->plane;
  float w[49];
  int64_t in = (int64_t)d.h * d.w, out = (int64_t)d.oh * d.ow;
  int64_t end = (job + 1) * j->batch;
  d.weights = w;
  d.scratch = j->scratch + (size_t)lun_worker() * j->each;
  for (int64_t p = job * j->batch; p < end && p < j->planes; p++) {
    int64_t channel = p % j->s->c;
    weights_of(j, channel, w);
    d.in = j->in + p * in;
    d.left = (j->planes - p) * in;
    d.at = p * out;
    d.channel = (int)channel;
    j->isa->depthwise(&d);
  }
}

/* Bands of as many rows as STRIP holds; a last vector may begin anywhere in a row. */
static void plan(depthwise_job *j) {
  lun_depthwise *d = &j->plane;
  int wide = (d->ow - 1) * d->stride + d->k;
  d->pitch = (wide + 2 * SLACK) / SLACK * SLACK;
  int rows = (STRIP / d->pitch - d->k) / d->stride + 1;
  d->band = mini(d->oh, maxi(2, rows / 2 * 2));
  int need = (d->band - 1) * d->stride + d->k;
  d->strip = need * d->pitch + SLACK;
  d->sums = (d->band * d->ow + 2 * SLACK) / 16 * 16;
  j->each = (size_t)(d->strip + d->sums + 2 * d->pitch + 2 * SLACK);
  j->each = (j->each + 15) / 16 * 16;
  int64_t outputs = (int64_t)d->oh * d->ow, jobs = 4 * (int64_t)lun_threads();
  j->batch = (OUTPUTS + outputs - 1) / outputs;
  if (j->batch * jobs > j->planes) j->batch = (j->planes + jobs - 1) / jobs;
}

int lun_depthwise_run(const lun_conv *s, int back, const float *in,
                      const float *w, float *out, const lun_epilogue *epilogue,
                      lun_err *err) {
  depthwise_job j = {.s = s,
                     .isa = lun_simd_now(),
                     .in = in,
                     .w = w,
                     .back = back,
                     .planes = (int64_t)s->n * s->c};
  j.plane = (lun_depthwise){.k = s->kh,
                            .stride = back ? 1 : s->sh,
                            .spread = back ? s->sh : 1,
                            .h = back ? s->oh : s->h,
                            .w = back ? s->ow : s->w,
                            .oh = back ? s->h : s->oh,
                            .ow = back ? s->w : s->ow,
                            .above = back ? s->kh - 1 - s->pt : s->pt,
                            .before = back ? s->kw - 1 - s->pl : s->pl,
                            .out = out,
                            .epilogue = epilogue};
  if (j.planes <= 0 || j.plane.oh <= 0 || j.plane.ow <= 0) return LUN_OK;
  plan(&j);
  j.scratch = lun_malloc(j.each * (size_t)lun_threads() * sizeof(float));
  if (!j.scratch)
    return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  int st = lun_parallel((j.planes + j.batch - 1) / j.batch, run_planes, &j);
  lun_free(j.scratch);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}
