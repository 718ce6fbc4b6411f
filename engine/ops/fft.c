/*
** fft.c - Fourier transforms of the last two dimensions, between real maps (.., H, W)
** and the half of their spectrum that says all, (.., 2H, W/2+1): real parts above
** imaginary parts.
**
** Both are linear, and each is the other's gradient but for factors: a column of the
** half spectrum that stands for two of the whole one counts twice in the inverse,
** once in the transform.
*/
#include "../kernels/kernels.h"
#include "relevance.h"

enum {
  WIDTH = 0,
  LARGEST = 1 << 20 /* a side: its tables are floats of angles */
};

/* What a transform of these maps needs: factor 1. */
static lun_spectrum spectrum_of(const lun_tensor *map) {
  int64_t h = map->dim[map->ndim - 2], w = map->dim[map->ndim - 1];
  return (lun_spectrum){
      .planes = map->size / (h * w), .h = (int)h, .w = (int)w, .scale = 1};
}

/* ... of copies of them, with an inverse's factors. */
static lun_spectrum inverse_of(const lun_tensor *map, int64_t copies) {
  lun_spectrum s = spectrum_of(map);
  s.planes *= copies;
  s.scale = 1.0f / ((float)s.h * (float)s.w);
  s.twice = 1;
  return s;
}

static int infer_sides(lun_node *n, int64_t h, int64_t w, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t dim[LUN_MAXDIM];
  if (h < 1 || w < 1 || h > 2 * (int64_t)LARGEST || w > LARGEST)
    return ops_fail(n, err, LUN_ESHAPE,
                    "the last two dimensions may be 1 to %d, not %lld and %lld",
                    (int)LARGEST, (long long)x->dim[x->ndim - 2],
                    (long long)x->dim[x->ndim - 1]);
  for (int d = 0; d < x->ndim - 2; d++) dim[d] = x->dim[d];
  dim[x->ndim - 2] = h, dim[x->ndim - 1] = w;
  return lun_node_shape(n, x->ndim, dim, err);
}

/* ---- rfft2 -------------------------------------------------------------- */

static int rfft2_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  LUN_TRY(ops_ndim(n, 0, 2, LUN_MAXDIM, err));
  int64_t w = x->dim[x->ndim - 1];
  return infer_sides(n, 2 * x->dim[x->ndim - 2], w < 1 ? 0 : w / 2 + 1, err);
}

static int rfft2_forward(lun_node *n, lun_err *err) {
  if (n->out->size == 0) return LUN_OK;
  lun_spectrum s = spectrum_of(n->in[0]);
  return lun_rfft2(&s, n->in[0]->data, n->out->data, err);
}

static int rfft2_back(const lun_back *b, lun_err *err) {
  if (!b->dx[0] || b->node->out->size == 0) return LUN_OK;
  lun_spectrum s = spectrum_of(b->node->in[0]);
  s.planes *= b->copies;
  return lun_irfft2(&s, b->dy, b->dx[0], err);
}

OPS_RULES(rfft2, RELEVANCE_NORM);
OPS_OPERATOR(
    rfft2,
    "rfft2(x (..,H,W)): half of the Fourier transform, (..,2H,W//2+1), "
    "real parts above imaginary parts",
    1, 1, .infer = rfft2_infer);

/* ---- irfft2 ------------------------------------------------------------- */

static const lun_attrdef attrs[] = {
    {.name = "width", .at = WIDTH, .count = 1, .fallback = LUN_UNSET},
    {.name = NULL},
};

static int irfft2_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t half, w;
  LUN_TRY(ops_ndim(n, 0, 2, LUN_MAXDIM, err));
  if (x->dim[x->ndim - 2] % 2)
    return ops_fail(n, err, LUN_ESHAPE,
                    "a spectrum has as many rows of imaginary as of real "
                    "parts, an even number, not %lld",
                    (long long)x->dim[x->ndim - 2]);
  half = x->dim[x->ndim - 1];
  w = 2 * (half - 1);
  if (ops_given(n, WIDTH))
    LUN_TRY(ops_int(n, WIDTH, half > 1 ? w : 1, 2 * half - 1, &w, err));
  return infer_sides(n, x->dim[x->ndim - 2] / 2, w, err);
}

static int irfft2_forward(lun_node *n, lun_err *err) {
  if (n->out->size == 0) return LUN_OK;
  lun_spectrum s = inverse_of(n->out, 1);
  return lun_irfft2(&s, n->in[0]->data, n->out->data, err);
}

static int irfft2_back(const lun_back *b, lun_err *err) {
  if (!b->dx[0] || b->node->out->size == 0) return LUN_OK;
  lun_spectrum s = inverse_of(b->node->out, b->copies);
  return lun_rfft2(&s, b->dy, b->dx[0], err);
}

OPS_RULES(irfft2, RELEVANCE_NORM);
OPS_OPERATOR(irfft2,
             "irfft2(s (..,2H,W//2+1), width): what rfft2 made s of; width: W, "
             "unless it is even",
             1, 1, .attrs = attrs, .infer = irfft2_infer);
