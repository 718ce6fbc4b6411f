/*
** relevance.h - rows of relevance rules for the tables of the operators that have
** them.  Their formulas stand in relevance.c.
*/
#ifndef LUN_RELEVANCE_H
#define LUN_RELEVANCE_H

#include "ops.h"

int lun_relevance_epsilon(const lun_back *b, lun_err *err);
int lun_relevance_z_plus(const lun_back *b, lun_err *err);
int lun_relevance_w_plus(const lun_back *b, lun_err *err);
int lun_relevance_alpha_beta(const lun_back *b, lun_err *err);
int lun_relevance_gamma(const lun_back *b, lun_err *err);
int lun_relevance_gamma_captum(const lun_back *b, lun_err *err);
int lun_relevance_z_box(const lun_back *b, lun_err *err);
int lun_relevance_w_square(const lun_back *b, lun_err *err);
int lun_relevance_flat(const lun_back *b, lun_err *err);
int lun_relevance_norm(const lun_back *b, lun_err *err);
int lun_relevance_uniform(const lun_back *b, lun_err *err);
/* How much of a product's relevance its operand k gets under `uniform`. */
float lun_relevance_share(const lun_back *b, int k);

extern const lun_attrdef lun_relevance_epsilon_attrs[];
extern const lun_attrdef lun_relevance_basic_attrs[];
extern const lun_attrdef lun_relevance_alpha_beta_attrs[];
extern const lun_attrdef lun_relevance_gamma_attrs[];
extern const lun_attrdef lun_relevance_z_box_attrs[];
extern const lun_attrdef lun_relevance_uniform_attrs[];

#define RELEVANCE_RULE(id, params)                                             \
  {                                                                            \
    .name = #id, .back = lun_relevance_##id,                                   \
    .attrs = lun_relevance_##params##_attrs, .needs_input = 1                  \
  }

/* For operators with weights: inputs x, w and an optional bias. */
#define RELEVANCE_RULES                                                        \
  RELEVANCE_RULE(epsilon, epsilon), RELEVANCE_RULE(z_plus, basic),             \
      RELEVANCE_RULE(w_plus, basic), RELEVANCE_RULE(alpha_beta, alpha_beta),   \
      RELEVANCE_RULE(gamma, gamma), RELEVANCE_RULE(gamma_captum, gamma),       \
      RELEVANCE_RULE(z_box, z_box), RELEVANCE_RULE(w_square, basic),           \
      RELEVANCE_RULE(flat, basic)

/* For operators that are linear in their inputs and have no weights. */
#define RELEVANCE_NORM RELEVANCE_RULE(norm, epsilon)

/* For activations and other functions of one value at a time: it hands on what it
** gets (zennit's Pass). */
#define RELEVANCE_IDENTITY                                                     \
  { .name = "identity", .back = ops_view_back }

#endif
