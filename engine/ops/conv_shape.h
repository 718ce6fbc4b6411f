/*
** conv_shape.h - attributes and shapes of conv2d and of conv_transpose2d, which is
** described by the convolution whose input gradient it is.
*/
#ifndef LUN_CONV_SHAPE_H
#define LUN_CONV_SHAPE_H

#include "weighted.h"

/* Slots of the attributes; all but groups have one for each axis. */
typedef struct lun_conv_at {
  int stride, pad, pad_end, dilation, groups;
} lun_conv_at;

/* Fills s with what the attributes say, N and the kernel's sides; x and w get the
** dimensions of the input and the weight. */
int ops_conv_read(const lun_node *n, const lun_conv_at *at, lun_conv *s,
                  int x[4], int w[4], lun_err *err);
/* Padding below or to the right: its own where given, else that before. */
int ops_conv_end(const lun_node *n, const lun_conv_at *at, int axis, int before,
                 int *out, lun_err *err);
/* Do channels, groups and bias agree?  `wants`: input channels that the weight has
** in all groups; `grouped`: "input" or "output", which s->k counts. */
int ops_conv_channels(const lun_node *n, const lun_conv *s, int64_t wants,
                      int inputs, int outputs, const char *grouped,
                      lun_err *err);

#endif
