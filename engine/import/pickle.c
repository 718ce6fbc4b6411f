/*
** pickle.c - a stack machine for the pickles that hold a state dict.  A pickle
** is a program: Python's reader would import any module and call any function
** that it names.  This one knows the opcodes of data, and calls nothing: what
** torch's own names mean is in objects.c, and an object of any other class
** stays unopened.
**
** Values live in the file's arena, whose cap bounds memory; every opcode costs
** at least one byte of input, which bounds time.
*/
#include "pickle.h"

#include <string.h>

enum { MAX_STACK = 1 << 16, MAX_MEMO = 1 << 20, MAX_ITEMS = 1 << 20 };

/* ---- the machine -------------------------------------------------------- */

int imp_bad(imp_machine *m, const char *what) {
  return lun_fail(m->err, LUN_EFORMAT, "pickle: %s", what);
}

static int take(imp_machine *m, size_t n, const uint8_t **p) {
  *p = NULL;
  if ((size_t)(m->end - m->p) < n) {
    imp_bad(m, "it is cut off");
    return LUN_EFORMAT;
  }
  *p = m->p;
  m->p += n;
  return LUN_OK;
}

/* A little-endian operand. */
static int number(imp_machine *m, int bytes, uint64_t *x) {
  const uint8_t *p;
  *x = 0;
  LUN_TRY(take(m, (size_t)bytes, &p));
  *x = imp_le(p, bytes);
  return LUN_OK;
}

int imp_push(imp_machine *m, imp_value *v) {
  if (m->top >= MAX_STACK) return imp_bad(m, "its stack is too deep");
  m->stack[m->top++] = v;
  return LUN_OK;
}

int imp_push_new(imp_machine *m, imp_kind kind, imp_value **out) {
  imp_value *v = imp_alloc(m->f, sizeof *v);
  if (out) *out = v;
  if (v == NULL) return imp_bad(m, "it needs too much memory");
  v->kind = kind;
  return imp_push(m, v);
}

static int push_int(imp_machine *m, imp_kind kind, int64_t i) {
  imp_value *v;
  LUN_TRY(imp_push_new(m, kind, &v));
  v->i = i;
  return LUN_OK;
}

int imp_pop(imp_machine *m, imp_value **v) {
  *v = NULL;
  if (m->top == 0) return imp_bad(m, "it takes from an empty stack");
  *v = m->stack[--m->top];
  return LUN_OK;
}

int imp_append(imp_machine *m, imp_value *list, imp_value *v) {
  if (list->n == list->room) {
    int room = list->room ? 2 * list->room : 8;
    imp_value **item = imp_alloc(m->f, (size_t)room * sizeof *item);
    if (item == NULL || room > MAX_ITEMS)
      return imp_bad(m, "a list is too long");
    if (list->n) memcpy(item, list->item, (size_t)list->n * sizeof *item);
    list->item = item;
    list->room = room;
  }
  list->item[list->n++] = v;
  return LUN_OK;
}

/* Moves what lies above place `from` of the stack to the end of v. */
static int gather(imp_machine *m, imp_value *v, int from) {
  for (int i = from; i < m->top; i++) LUN_TRY(imp_append(m, v, m->stack[i]));
  m->top = from;
  return LUN_OK;
}

static int find_mark(imp_machine *m, int *at) {
  *at = 0;
  for (int i = m->top - 1; i >= 0; i--)
    if (m->stack[i]->kind == IMP_MARK) return *at = i, LUN_OK;
  return imp_bad(m, "it looks for a mark that is not there");
}

/* TUPLE: everything above the mark, and the mark itself, becomes one value. */
int imp_tuple(imp_machine *m) {
  int at;
  imp_value *v;
  LUN_TRY(find_mark(m, &at));
  v = imp_alloc(m->f, sizeof *v);
  if (v == NULL) return imp_bad(m, "it needs too much memory");
  v->kind = IMP_SEQ;
  LUN_TRY(gather(m, v, at + 1));
  m->top = at;
  return imp_push(m, v);
}

static int tuple_of(imp_machine *m, int n) {
  imp_value *v;
  if (m->top < n) return imp_bad(m, "it takes from an empty stack");
  v = imp_alloc(m->f, sizeof *v);
  if (v == NULL) return imp_bad(m, "it needs too much memory");
  v->kind = IMP_SEQ;
  LUN_TRY(gather(m, v, m->top - n));
  return imp_push(m, v);
}

/* Items above the mark go into the container under it; an object that stays
** closed takes none. */
static int fill_from_mark(imp_machine *m, imp_kind kind) {
  int at;
  LUN_TRY(find_mark(m, &at));
  if (at > 0 && m->stack[at - 1]->kind == IMP_OPAQUE)
    return m->top = at, LUN_OK;
  if (at == 0 || m->stack[at - 1]->kind != kind)
    return imp_bad(m, "it fills something that is no list or dict");
  if (kind == IMP_DICT && (m->top - at - 1) % 2)
    return imp_bad(m, "a dict has a key without a value");
  LUN_TRY(gather(m, m->stack[at - 1], at + 1));
  m->top = at;
  return LUN_OK;
}

static int fill_one(imp_machine *m, imp_kind kind) {
  int n = kind == IMP_DICT ? 2 : 1;
  if (m->top > n && m->stack[m->top - n - 1]->kind == IMP_OPAQUE)
    return m->top -= n, LUN_OK;
  if (m->top <= n || m->stack[m->top - n - 1]->kind != kind)
    return imp_bad(m, "it fills something that is no list or dict");
  return gather(m, m->stack[m->top - n - 1], m->top - n);
}

static int remember(imp_machine *m, uint64_t slot) {
  if (m->top == 0) return imp_bad(m, "it remembers an empty stack");
  if (slot >= MAX_MEMO) return imp_bad(m, "it remembers too much");
  if ((int)slot >= m->memo_room) {
    int room = 2 * (int)slot + 256;
    imp_value **memo = imp_alloc(m->f, (size_t)room * sizeof *memo);
    if (memo == NULL) return imp_bad(m, "it remembers too much");
    if (m->memo_room)
      memcpy(memo, m->memo, (size_t)m->memo_room * sizeof *memo);
    m->memo = memo;
    m->memo_room = room;
  }
  m->memo[slot] = m->stack[m->top - 1];
  return LUN_OK;
}

static int recall(imp_machine *m, uint64_t slot) {
  if (slot >= (uint64_t)m->memo_room || m->memo[slot] == NULL)
    return imp_bad(m, "it recalls what it never stored");
  return imp_push(m, m->memo[slot]);
}

/* A string, or bytes, behind its length.  Of bytes nothing is kept (IMP_OPAQUE: no
** key, no name): they are no class's object and have no attributes. */
static int text(imp_machine *m, int bytes, imp_kind kind) {
  uint64_t n;
  const uint8_t *p;
  imp_value *v;
  LUN_TRY(number(m, bytes, &n));
  if (n > (uint64_t)(m->end - m->p)) return imp_bad(m, "a string is cut off");
  LUN_TRY(take(m, n, &p));
  LUN_TRY(imp_push_new(m, kind, &v));
  if (kind == IMP_STR) v->s = (const char *)p, v->n = (int)n;
  return LUN_OK;
}

/* ---- opcodes ------------------------------------------------------------ */

/* Python's DICT: keys and values above the mark. */
static int dict_from_mark(imp_machine *m) {
  LUN_TRY(imp_tuple(m));
  m->stack[m->top - 1]->kind = IMP_DICT;
  if (m->stack[m->top - 1]->n % 2)
    return imp_bad(m, "a dict has a key without a value");
  return LUN_OK;
}

static int pop_mark(imp_machine *m) {
  int at;
  LUN_TRY(find_mark(m, &at));
  m->top = at;
  return LUN_OK;
}

static int duplicate(imp_machine *m) {
  if (m->top == 0) return imp_bad(m, "it takes from an empty stack");
  return imp_push(m, m->stack[m->top - 1]);
}

/* A number of more than 64 bits, as random generators keep, is never needed. */
static int long_int(imp_machine *m, int bytes) {
  uint64_t n, x;
  const uint8_t *p;
  LUN_TRY(number(m, bytes, &n));
  if (n > 8) {
    if (n > (uint64_t)(m->end - m->p)) return imp_bad(m, "a number is cut off");
    LUN_TRY(take(m, n, &p));
    return imp_push_new(m, IMP_OPAQUE, NULL);
  }
  LUN_TRY(number(m, (int)n, &x));
  if (n > 0 && n < 8 && x >> (8 * n - 1)) x |= ~(uint64_t)0 << (8 * n);
  return push_int(m, IMP_INT, (int64_t)x);
}

/* Numbers and strings. */
static int scalar(imp_machine *m, int op) {
  uint64_t x;
  switch (op) {
    case 'N':
      return imp_push_new(m, IMP_NONE, NULL);
    case 0x88:
      return push_int(m, IMP_BOOL, 1);
    case 0x89:
      return push_int(m, IMP_BOOL, 0);
    case 'K':
      LUN_TRY(number(m, 1, &x));
      return push_int(m, IMP_INT, (int64_t)x);
    case 'M':
      LUN_TRY(number(m, 2, &x));
      return push_int(m, IMP_INT, (int64_t)x);
    case 'J':
      LUN_TRY(number(m, 4, &x));
      return push_int(m, IMP_INT, (int32_t)x);
    case 'G':
      LUN_TRY(number(m, 8, &x));
      return imp_push_new(m, IMP_FLOAT, NULL);
    case 0x8a:
      return long_int(m, 1);
    case 0x8b:
      return long_int(m, 4);
    case 'X':
    case 'T':
      return text(m, 4, IMP_STR);
    case 'U':
    case 0x8c:
      return text(m, 1, IMP_STR);
    case 0x8d:
      return text(m, 8, IMP_STR);
    case 'C':
      return text(m, 1, IMP_OPAQUE);
    case 'B':
      return text(m, 4, IMP_OPAQUE);
    case 0x8e:
    case 0x96:
      return text(m, 8, IMP_OPAQUE);
    default:
      return lun_fail(m->err, LUN_EFORMAT,
                      "pickle: refused, opcode 0x%02x is not one of a state "
                      "dict's",
                      (unsigned)op);
  }
}

/* Opcodes that name or make objects; the rest is scalar's. */
static int object(imp_machine *m, int op) {
  switch (op) {
    case 'c':
      return imp_global_lines(m);
    case 0x93:
      return imp_global_stack(m);
    case 'Q':
      return imp_persistent(m);
    case 'R':
      return imp_reduce(m);
    case 0x81:
      return imp_newobj(m);
    case 0x92:
      return imp_newobj_ex(m);
    case 'i':
      return imp_inst(m);
    case 'o':
      return imp_obj(m);
    case 'b':
      return imp_build(m);
    default:
      return scalar(m, op);
  }
}

/* What is remembered and recalled, and the frame around it all. */
static int memory(imp_machine *m, int op) {
  int recalls = op == 'h' || op == 'j';
  uint64_t x;
  switch (op) {
    case 0x80:
      return number(m, 1, &x); /* PROTO */
    case 0x95:
      return number(m, 8, &x); /* FRAME */
    case 'q':
    case 'h':
      LUN_TRY(number(m, 1, &x));
      return recalls ? recall(m, x) : remember(m, x);
    case 'r':
    case 'j':
      LUN_TRY(number(m, 4, &x));
      return recalls ? recall(m, x) : remember(m, x);
    case 0x94:
      return remember(m, (uint64_t)m->memo_next++);
    default:
      return object(m, op);
  }
}

/* Containers. */
static int step(imp_machine *m, int op) {
  imp_value *v;
  switch (op) {
    case '}':
      return imp_push_new(m, IMP_DICT, NULL);
    case ']':
    case ')':
    case 0x8f: /* EMPTY_SET */
      return imp_push_new(m, IMP_SEQ, NULL);
    case '(':
      return imp_push_new(m, IMP_MARK, NULL);
    case 't':
    case 'l':
    case 0x91: /* FROZENSET */
      return imp_tuple(m);
    case 'd':
      return dict_from_mark(m);
    case 0x85:
    case 0x86:
    case 0x87:
      return tuple_of(m, op - 0x84);
    case 'a':
      return fill_one(m, IMP_SEQ);
    case 'e':
    case 0x90: /* ADDITEMS */
      return fill_from_mark(m, IMP_SEQ);
    case 's':
      return fill_one(m, IMP_DICT);
    case 'u':
      return fill_from_mark(m, IMP_DICT);
    case '0':
      return imp_pop(m, &v);
    case '1':
      return pop_mark(m);
    case '2':
      return duplicate(m);
    default:
      return memory(m, op);
  }
}

int imp_pickle(imp_file *f, const uint8_t *p, size_t n, size_t *used,
               imp_value **top, imp_storage **list, lun_err *err) {
  imp_machine m = {.f = f, .err = err, .p = p, .end = p + n, .storages = list};
  const uint8_t *op;
  m.stack = imp_alloc(f, MAX_STACK * sizeof *m.stack);
  if (m.stack == NULL) return imp_bad(&m, "it needs too much memory");
  for (;;) {
    LUN_TRY(take(&m, 1, &op));
    if (*op == '.') break; /* STOP */
    LUN_TRY(step(&m, *op));
  }
  LUN_TRY(imp_pop(&m, top));
  *used = (size_t)(m.p - p);
  return LUN_OK;
}
