/*
** walk.h - what walk.c (the cursor) and walk_step.c (one step) share.
*/
#ifndef LUN_WALK_H
#define LUN_WALK_H

#include "core.h"

/* What the walk knows of one node. */
typedef struct step {
  lun_tensor *grad;     /* gradient of the node's output, NULL: none yet */
  const lun_rule *rule; /* NULL: the true gradient */
  double attr[LUN_MAXPARAM];
  int users; /* inputs of nodes on the way that are this one's output */
  int last;  /* of these nodes, the one that the walk comes to last */
  unsigned want : 1, hook : 1;
  unsigned reach : 1; /* leads back to a wanted node */
  unsigned live : 1;  /* reach, and the seed depends on it */
  unsigned gated : 1; /* its rule was applied where its gradient was made */
  unsigned
      part : 1; /* grad is a view of a storage that only disjoint views share */
} step;

struct lun_walk {
  lun_tape *tape;
  int n, copies, seed_at;
  int at;           /* next node to handle; -1: done */
  int waiting;      /* lun_walk_next handed out node `at` */
  int marked;       /* reach, live and users are known */
  int64_t largest;  /* floats of the largest gradient on the way */
  lun_tensor *lent; /* the gradient that the caller may read and not write */
  lun_flow *flows;  /* by node, or NULL */
  step s[];
};

/* Shape of a gradient for `like`: copies of it along the first dimension. */
void lun_walk_shape(const lun_walk *w, const lun_tensor *like, int64_t *dim);
/* Adds dx (one reference, taken over), which is what node n hands on to its input
** k, to the gradient of node `to`. */
int lun_walk_hand_on(lun_walk *w, const lun_node *n, int k, int to,
                     lun_tensor *dx, lun_err *err);
/* The backward step of node n by its rule, which is one of C's. */
int lun_walk_step(lun_walk *w, lun_node *n, lun_err *err);

#endif
