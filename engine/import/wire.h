/*
** wire.h - protobuf's wire format (wire.c), for onnx.c and onnx_tensor.c.
*/
#ifndef LUN_WIRE_H
#define LUN_WIRE_H

#include "import.h"

enum { IMP_MAXTEXT = 1 << 20 };

/* A message that is being read: bytes at .. end-1 of the file. */
typedef struct imp_wire {
  imp_file *f;
  int64_t at, end;
  const char *what; /* "a tensor": for messages */
} imp_wire;

typedef struct imp_field {
  int number, type;
  uint64_t value;  /* types 0, 1, 5 */
  int64_t at, len; /* type 2: where its bytes lie */
} imp_field;

imp_wire imp_wire_all(imp_file *f);
imp_wire imp_wire_in(const imp_wire *w, const imp_field *p, const char *what);
/* 1: a field; 0: the end; below 0: an error. */
int imp_next(imp_wire *w, imp_field *p, lun_err *err);
int imp_varint(imp_wire *w, uint64_t *out, lun_err *err);
int imp_fixed(imp_wire *w, int bytes, uint64_t *out, lun_err *err);
/* The field has that wire type, or an error. */
int imp_want(const imp_wire *w, const imp_field *p, int type, lun_err *err);
/* A string, kept in the arena. */
int imp_text(imp_wire *w, const imp_field *p, const char **out, lun_err *err);

#endif
