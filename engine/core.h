/*
** core.h - what the core's own files share and users need not see.
*/
#ifndef LUN_CORE_H
#define LUN_CORE_H

#include "lunette.h"

/* A file mapped read-only (mapping.c). */
typedef struct lun_mapping {
  unsigned char *at;
  size_t bytes;
  int slot; /* its place in the table of mappings; -1: not mapped */
} lun_mapping;
int lun_mapping_open(lun_mapping *m, const char *path, lun_err *err);
void lun_mapping_close(lun_mapping *m);
/* LUN_EIO when the file is no longer what was mapped. */
int lun_mapping_unchanged(const lun_mapping *m, lun_err *err);

/* SHA-256 of n bytes as 64 hexadecimal digits (sha256.c). */
void lun_sha256(const void *bytes, size_t n, char hex[65]);

/* n bytes as text of lun_base64_size(n) letters, without a 0 (base64.c). */
size_t lun_base64_size(size_t n);
void lun_base64(char *out, const uint8_t *bytes, size_t n);

/* Gives a deferred tensor its (uninitialised) values. */
int lun_tensor_allocate(lun_tensor *t, lun_err *err);
/* The sum of n floats, in double: eight sums side by side, so that additions need not
** wait for one another. */
double lun_sum(const float *v, int64_t n);
/* LUN_EARG when an input of n was written to since n was applied: its gradient
** would be that of other values. */
int lun_tape_unchanged(const lun_node *n, lun_err *err);
/* Shapes, memory and values of a node that is about to be appended: everything
** that may fail (deferred.c). */
int lun_node_compute(lun_tape *t, lun_node *n, unsigned flags, lun_err *err);
/* n is applied to its inputs as they are now. */
void lun_node_applied(lun_node *n);
/* The first of n's inputs from `from` on that was written to since n was applied; -1:
** none. */
int lun_node_changed(const lun_node *n, int from);
/* n's values are read-only from now on, and its inputs are watched. */
void lun_node_protect(const lun_node *n);
/* A node's input ready to read; computes a deferred one. */
int lun_tape_input(lun_tape *t, lun_node *n, int i, lun_err *err);

#endif
