/*
** onnx.h - what onnx.c (the graph) needs of onnx_tensor.c.
*/
#ifndef LUN_ONNX_H
#define LUN_ONNX_H

#include "wire.h"

/* Adds the tensor of a message to the list; *index is its place there.  named: it
** must have a name, else it is called "constant INDEX". */
int imp_onnx_tensor(imp_file *f, imp_wire in, int named, int *index,
                    lun_err *err);
/* The name of a data type: "F32", "STRING", "OTHER". */
const char *imp_onnx_type(uint64_t code);
/* The message {1 key, 2 value}; what is missing is "". */
int imp_onnx_pair(imp_wire in, const char **key, const char **value,
                  lun_err *err);
/* A formatted text of at most 63 bytes, kept in the arena. */
int imp_onnx_text(imp_file *f, const char **out, lun_err *err, const char *fmt,
                  ...) LUN_PRINTF(4, 5);

#endif
