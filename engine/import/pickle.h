/*
** pickle.h - what the stack machine (pickle.c) and the objects it makes
** (objects.c) share.
*/
#ifndef LUN_IMPORT_PICKLE_H
#define LUN_IMPORT_PICKLE_H

#include "import.h"

typedef struct imp_machine {
  imp_file *f;
  lun_err *err;
  const uint8_t *p, *end;
  imp_value **stack;
  int top;
  imp_value **memo;
  int memo_room, memo_next;
  imp_storage **storages;
} imp_machine;

/* ---- pickle.c ----------------------------------------------------------- */

int imp_bad(imp_machine *m, const char *what);
int imp_push(imp_machine *m, imp_value *v);
int imp_push_new(imp_machine *m, imp_kind kind, imp_value **out);
int imp_pop(imp_machine *m, imp_value **v);
int imp_append(imp_machine *m, imp_value *list, imp_value *v);
/* TUPLE: what is above the last mark becomes one value in its place. */
int imp_tuple(imp_machine *m);

/* ---- objects.c: opcodes that name or make objects ----------------------- */

int imp_global_lines(imp_machine *m); /* GLOBAL */
int imp_global_stack(imp_machine *m); /* STACK_GLOBAL */
int imp_persistent(imp_machine *m);   /* BINPERSID */
int imp_reduce(imp_machine *m);       /* REDUCE */
int imp_newobj(imp_machine *m);       /* NEWOBJ */
int imp_newobj_ex(imp_machine *m);    /* NEWOBJ_EX */
int imp_inst(imp_machine *m);         /* INST */
int imp_obj(imp_machine *m);          /* OBJ */
int imp_build(imp_machine *m);        /* BUILD */

#endif
