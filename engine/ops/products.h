/*
** products.h - an operator over other inputs and weights, as relevance rules want
** it: R_in = x W^T (R / stab(W x + b)) with x and W changed.  Everything that a rule
** allocates belongs to its scratch; after a failure, which stays in its status, the
** rest does nothing.
*/
#ifndef LUN_PRODUCTS_H
#define LUN_PRODUCTS_H

#include "ops.h"

/* Slots of a rule's parameters. */
enum { REL_EPSILON, REL_BIAS, REL_FIRST, REL_SECOND };

enum { OPS_SCRATCH_MOST = 16 };

/* Everything that one call allocates; the first failure stays in status. */
typedef struct ops_scratch {
  const lun_back *b;
  lun_err *err;
  lun_tensor *own[OPS_SCRATCH_MOST];
  int count, status;
} ops_scratch;

/* What a value becomes, x or one of the weights; p: a parameter. */
typedef float ops_map(float v, float p);


/* Releases everything; the status. */
int ops_scratch_free(ops_scratch *s);
/* A tensor like `like`, its first dimension `copies` times; NULL after a
** failure. */
lun_tensor *ops_fresh(ops_scratch *s, const lun_tensor *like, int copies);
/* fn over the values of t; NULL of NULL. */
lun_tensor *ops_mapped(ops_scratch *s, const lun_tensor *t, ops_map *fn,
                       float p);
/* The layer's bias, if the rule counts it. */
lun_tensor *ops_bias_of(const ops_scratch *s);
/* z = or += the operator's output for these inputs. */
void ops_forward(ops_scratch *s, lun_tensor *x, lun_tensor *w, lun_tensor *bias,
                 lun_tensor *z, int add);
/* R_in = or += factor x times the input gradient of q; x NULL: 1. */
void ops_input_back(ops_scratch *s, const lun_tensor *q, const lun_tensor *x,
                    lun_tensor *w, float factor, int add);
/* Input k's gradient times factor x, every copy. */
int ops_times(const lun_back *b, int k, const float *x, float factor);
/* R / stab(z); full: the rule has clip and norm_scale. */
lun_tensor *ops_quotient(ops_scratch *s, const lun_tensor *z, int full);
/* Adds what the bias of z = W x + bias takes, factor bias R / stab(z). */
void ops_note_bias(const ops_scratch *s, const lun_tensor *bias,
                   const lun_tensor *q, float factor);

#endif
