/*
** pickle.c - a stack machine for the pickles that hold a state dict, and for
** no others.  A pickle is a program: Python's reader would import any module
** and call any function that it names.  This one knows the opcodes of plain
** data, a table of nine kinds of globals that it turns into values itself, and
** refuses everything else by name.  It calls nothing.
**
** Values live in the file's arena, whose cap bounds memory; every opcode costs
** at least one byte of input, which bounds time.
*/
#include "import.h"

#include <stdio.h>
#include <string.h>

enum { MAX_STACK = 1 << 16, MAX_MEMO = 1 << 20, MAX_ITEMS = 1 << 20 };

/* ---- globals that a state dict may name -------------------------------- */

typedef enum role { ORDERED_DICT, TENSOR, PARAMETER, STORAGE, SIZE } role;

static const struct {
  const char *module, *name;
  role what;
  imp_dtype dtype;
  const char *type;
  int width;
} globals[] = {
    {"collections", "OrderedDict", ORDERED_DICT, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_tensor", TENSOR, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_tensor_v2", TENSOR, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_parameter", PARAMETER, IMP_OTHER, "", 0},
    {"torch.nn.parameter", "Parameter", PARAMETER, IMP_OTHER, "", 0},
    {"torch", "Size", SIZE, IMP_OTHER, "", 0},
    {"torch", "FloatStorage", STORAGE, IMP_F32, "F32", 4},
    {"torch", "HalfStorage", STORAGE, IMP_F16, "F16", 2},
    {"torch", "BFloat16Storage", STORAGE, IMP_BF16, "BF16", 2},
    {"torch", "DoubleStorage", STORAGE, IMP_F64, "F64", 8},
    {"torch", "LongStorage", STORAGE, IMP_OTHER, "I64", 8},
    {"torch", "IntStorage", STORAGE, IMP_OTHER, "I32", 4},
    {"torch", "ShortStorage", STORAGE, IMP_OTHER, "I16", 2},
    {"torch", "CharStorage", STORAGE, IMP_OTHER, "I8", 1},
    {"torch", "ByteStorage", STORAGE, IMP_OTHER, "U8", 1},
    {"torch", "BoolStorage", STORAGE, IMP_OTHER, "BOOL", 1},
};

/* ---- the machine ------------------------------------------------------- */

typedef struct machine {
  imp_file *f;
  lun_err *err;
  const uint8_t *p, *end;
  imp_value **stack;
  int top;
  imp_value **memo;
  int memo_room, memo_next;
  imp_storage **storages;
} machine;

static int bad(machine *m, const char *what) {
  return lun_fail(m->err, LUN_EFORMAT, "pickle: %s", what);
}

static int take(machine *m, size_t n, const uint8_t **p) {
  *p = NULL;
  if ((size_t)(m->end - m->p) < n) return bad(m, "it is cut off");
  *p = m->p;
  m->p += n;
  return LUN_OK;
}

/* A little-endian operand. */
static int number(machine *m, int bytes, uint64_t *x) {
  const uint8_t *p;
  *x = 0;
  LUN_TRY(take(m, (size_t)bytes, &p));
  *x = imp_le(p, bytes);
  return LUN_OK;
}

static int push(machine *m, imp_value *v) {
  if (m->top >= MAX_STACK) return bad(m, "its stack is too deep");
  m->stack[m->top++] = v;
  return LUN_OK;
}

static int push_new(machine *m, imp_kind kind, imp_value **out) {
  imp_value *v = imp_alloc(m->f, sizeof *v);
  if (out) *out = v;
  if (v == NULL) return bad(m, "it needs too much memory");
  v->kind = kind;
  return push(m, v);
}

static int push_int(machine *m, imp_kind kind, int64_t i) {
  imp_value *v;
  LUN_TRY(push_new(m, kind, &v));
  v->i = i;
  return LUN_OK;
}

static int pop(machine *m, imp_value **v) {
  *v = NULL;
  if (m->top == 0) return bad(m, "it takes from an empty stack");
  *v = m->stack[--m->top];
  return LUN_OK;
}

static int append(machine *m, imp_value *list, imp_value *v) {
  if (list->n == list->room) {
    int room = list->room ? 2 * list->room : 8;
    imp_value **item = imp_alloc(m->f, (size_t)room * sizeof *item);
    if (item == NULL || room > MAX_ITEMS) return bad(m, "a list is too long");
    if (list->n) memcpy(item, list->item, (size_t)list->n * sizeof *item);
    list->item = item;
    list->room = room;
  }
  list->item[list->n++] = v;
  return LUN_OK;
}

/* Moves what lies above place `from` of the stack to the end of v. */
static int gather(machine *m, imp_value *v, int from) {
  for (int i = from; i < m->top; i++) LUN_TRY(append(m, v, m->stack[i]));
  m->top = from;
  return LUN_OK;
}

static int find_mark(machine *m, int *at) {
  *at = 0;
  for (int i = m->top - 1; i >= 0; i--)
    if (m->stack[i]->kind == IMP_MARK) return *at = i, LUN_OK;
  return bad(m, "it looks for a mark that is not there");
}

/* TUPLE: everything above the mark, and the mark itself, becomes one value. */
static int tuple_from_mark(machine *m) {
  int at;
  imp_value *v;
  LUN_TRY(find_mark(m, &at));
  v = imp_alloc(m->f, sizeof *v);
  if (v == NULL) return bad(m, "it needs too much memory");
  v->kind = IMP_SEQ;
  LUN_TRY(gather(m, v, at + 1));
  m->top = at;
  return push(m, v);
}

static int tuple_of(machine *m, int n) {
  imp_value *v;
  if (m->top < n) return bad(m, "it takes from an empty stack");
  v = imp_alloc(m->f, sizeof *v);
  if (v == NULL) return bad(m, "it needs too much memory");
  v->kind = IMP_SEQ;
  LUN_TRY(gather(m, v, m->top - n));
  return push(m, v);
}

/* Items above the mark go into the container under it. */
static int fill_from_mark(machine *m, imp_kind kind) {
  int at;
  LUN_TRY(find_mark(m, &at));
  if (at == 0 || m->stack[at - 1]->kind != kind)
    return bad(m, "it fills something that is no list or dict");
  if (kind == IMP_DICT && (m->top - at - 1) % 2)
    return bad(m, "a dict has a key without a value");
  LUN_TRY(gather(m, m->stack[at - 1], at + 1));
  m->top = at;
  return LUN_OK;
}

static int fill_one(machine *m, imp_kind kind) {
  int n = kind == IMP_DICT ? 2 : 1;
  if (m->top <= n || m->stack[m->top - n - 1]->kind != kind)
    return bad(m, "it fills something that is no list or dict");
  return gather(m, m->stack[m->top - n - 1], m->top - n);
}

static int remember(machine *m, uint64_t slot) {
  if (m->top == 0) return bad(m, "it remembers an empty stack");
  if (slot >= MAX_MEMO) return bad(m, "it remembers too much");
  if ((int)slot >= m->memo_room) {
    int room = 2 * (int)slot + 256;
    imp_value **memo = imp_alloc(m->f, (size_t)room * sizeof *memo);
    if (memo == NULL) return bad(m, "it remembers too much");
    if (m->memo_room)
      memcpy(memo, m->memo, (size_t)m->memo_room * sizeof *memo);
    m->memo = memo;
    m->memo_room = room;
  }
  m->memo[slot] = m->stack[m->top - 1];
  return LUN_OK;
}

static int recall(machine *m, uint64_t slot) {
  if (slot >= (uint64_t)m->memo_room || m->memo[slot] == NULL)
    return bad(m, "it recalls what it never stored");
  return push(m, m->memo[slot]);
}

static int text(machine *m, int bytes) {
  uint64_t n;
  const uint8_t *p;
  imp_value *v;
  LUN_TRY(number(m, bytes, &n));
  if (n > (uint64_t)(m->end - m->p)) return bad(m, "a string is cut off");
  LUN_TRY(take(m, n, &p));
  LUN_TRY(push_new(m, IMP_STR, &v));
  v->s = (const char *)p;
  v->n = (int)n;
  return LUN_OK;
}

/* ---- globals and calls ------------------------------------------------- */

static int same(const char *name, const char *s, size_t n) {
  return strlen(name) == n && memcmp(name, s, n) == 0;
}

static int push_global(machine *m, const char *mod, size_t nmod,
                       const char *name, size_t nname) {
  char a[IMP_SHOWN], b[IMP_SHOWN];
  for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++)
    if (same(globals[i].module, mod, nmod) &&
        same(globals[i].name, name, nname))
      return push_int(m, IMP_GLOBAL, (int64_t)i);
  return lun_fail(m->err, LUN_EFORMAT,
                  "pickle: refused, it asks for '%s.%s'; only a state dict is "
                  "read (torch.save(model.state_dict(), file))",
                  imp_shown(a, mod, nmod), imp_shown(b, name, nname));
}

/* GLOBAL: module and name, a line each. */
static int global_lines(machine *m) {
  const uint8_t *mod = m->p, *name, *end;
  name = memchr(mod, '\n', (size_t)(m->end - mod));
  if (name == NULL) return bad(m, "it is cut off");
  name++;
  end = memchr(name, '\n', (size_t)(m->end - name));
  if (end == NULL) return bad(m, "it is cut off");
  m->p = end + 1;
  return push_global(m, (const char *)mod, (size_t)(name - 1 - mod),
                     (const char *)name, (size_t)(end - name));
}

static int global_stack(machine *m) {
  imp_value *mod, *name;
  LUN_TRY(pop(m, &name));
  LUN_TRY(pop(m, &mod));
  if (mod->kind != IMP_STR || name->kind != IMP_STR)
    return bad(m, "a global's name is no string");
  return push_global(m, mod->s, (size_t)mod->n, name->s, (size_t)name->n);
}

/* Persistent id ('storage', TYPE, key, place, count[, view]). */
static int storage(machine *m) {
  imp_value *id, *v, **x;
  imp_storage *s;
  LUN_TRY(pop(m, &id));
  x = id->item;
  if (id->kind != IMP_SEQ || id->n < 5 || x[0]->kind != IMP_STR ||
      !same("storage", x[0]->s, (size_t)x[0]->n) || x[1]->kind != IMP_GLOBAL ||
      globals[x[1]->i].what != STORAGE || x[2]->kind != IMP_STR ||
      x[4]->kind != IMP_INT || x[4]->i < 0 || x[4]->i > (int64_t)1 << 40)
    return bad(m, "a storage is not described as torch.save does");
  if (id->n > 5 && x[5]->kind != IMP_NONE)
    return bad(m, "a storage is a view of another (torch before 0.4)");
  s = imp_alloc(m->f, sizeof *s);
  if (s == NULL) return bad(m, "it needs too much memory");
  s->key = x[2]->s;
  s->len = (size_t)x[2]->n;
  s->dtype = globals[x[1]->i].dtype;
  s->type = globals[x[1]->i].type;
  s->width = globals[x[1]->i].width;
  s->count = x[4]->i;
  s->at = -1;
  s->next = *m->storages;
  *m->storages = s;
  LUN_TRY(push_new(m, IMP_STORAGE, &v));
  v->storage = s;
  return LUN_OK;
}

/* OrderedDict() or, from Python 2, OrderedDict([[key, value], ...]). */
static int ordered_dict(machine *m, imp_value *args) {
  imp_value *d, *list;
  LUN_TRY(push_new(m, IMP_DICT, &d));
  if (args->n == 0) return LUN_OK;
  list = args->item[0];
  if (args->n > 1 || list->kind != IMP_SEQ)
    return bad(m, "an OrderedDict is made of no list");
  for (int i = 0; i < list->n; i++) {
    imp_value *pair = list->item[i];
    if (pair->kind != IMP_SEQ || pair->n != 2)
      return bad(m, "an OrderedDict is made of no pairs");
    LUN_TRY(append(m, d, pair->item[0]));
    LUN_TRY(append(m, d, pair->item[1]));
  }
  return LUN_OK;
}

/* _rebuild_tensor(storage, offset, size, stride, ...): kept as it is. */
static int tensor(machine *m, imp_value *args) {
  imp_value *v, **x = args->item;
  if (args->n < 4 || x[0]->kind != IMP_STORAGE || x[1]->kind != IMP_INT ||
      x[2]->kind != IMP_SEQ || x[3]->kind != IMP_SEQ || x[2]->n != x[3]->n)
    return bad(m, "a tensor is not described as torch.save does");
  for (int i = 0; i < x[2]->n; i++)
    if (x[2]->item[i]->kind != IMP_INT || x[3]->item[i]->kind != IMP_INT)
      return bad(m, "a tensor's shape is no list of numbers");
  LUN_TRY(push_new(m, IMP_TENSOR, &v));
  v->item = x;
  v->n = 4;
  v->storage = x[0]->storage;
  return LUN_OK;
}

/* REDUCE would call a function; here it is one of four constructions. */
static int reduce(machine *m) {
  imp_value *args, *fn;
  LUN_TRY(pop(m, &args));
  LUN_TRY(pop(m, &fn));
  if (fn->kind != IMP_GLOBAL || args->kind != IMP_SEQ)
    return bad(m, "it calls something that is no function");
  switch (globals[fn->i].what) {
    case ORDERED_DICT:
      return ordered_dict(m, args);
    case TENSOR:
      return tensor(m, args);
    case PARAMETER: /* a tensor that learns: the tensor itself will do */
      if (args->n < 1 || args->item[0]->kind != IMP_TENSOR)
        return bad(m, "a Parameter is made of no tensor");
      return push(m, args->item[0]);
    case SIZE:
      if (args->n != 1) return bad(m, "a Size is made of no tuple");
      return push(m, args->item[0]);
    default:
      return bad(m, "it calls a storage type");
  }
}

/* BUILD sets attributes.  A state dict has _metadata, which is not needed. */
static int build(machine *m) {
  imp_value *state;
  LUN_TRY(pop(m, &state));
  if (m->top == 0 || m->stack[m->top - 1]->kind != IMP_DICT ||
      state->kind != IMP_DICT)
    return bad(m, "it sets attributes of something that is no dict");
  return LUN_OK;
}

/* ---- opcodes ----------------------------------------------------------- */

static const char *op_name(int op) {
  switch (op) {
    case 'i':
      return "INST";
    case 'o':
      return "OBJ";
    case 'P':
      return "PERSID";
    case 0x81:
      return "NEWOBJ";
    case 0x92:
      return "NEWOBJ_EX";
    case 0x82:
      return "EXT1";
    case 0x83:
      return "EXT2";
    case 0x84:
      return "EXT4";
    case 0x97:
      return "NEXT_BUFFER";
    default:
      return "not one of a state dict's";
  }
}

static int long_int(machine *m) {
  uint64_t n, x;
  LUN_TRY(number(m, 1, &n));
  if (n > 8) return bad(m, "a number has more than 64 bits");
  LUN_TRY(number(m, (int)n, &x));
  if (n > 0 && n < 8 && x >> (8 * n - 1)) x |= ~(uint64_t)0 << (8 * n);
  return push_int(m, IMP_INT, (int64_t)x);
}

/* Numbers and strings. */
static int scalar(machine *m, int op) {
  uint64_t x;
  switch (op) {
    case 'N':
      return push_new(m, IMP_NONE, NULL);
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
      return push_new(m, IMP_FLOAT, NULL);
    case 0x8a:
      return long_int(m);
    case 'X':
      return text(m, 4);
    case 'T':
      return text(m, 4);
    case 'U':
      return text(m, 1);
    case 0x8c:
      return text(m, 1);
    default:
      return lun_fail(m->err, LUN_EFORMAT,
                      "pickle: refused, opcode 0x%02x (%s)", (unsigned)op,
                      op_name(op));
  }
}

/* Containers, memory and globals; the rest is scalar's. */
static int step(machine *m, int op) {
  uint64_t x;
  switch (op) {
    case 0x80:
      return number(m, 1, &x); /* PROTO */
    case 0x95:
      return number(m, 8, &x); /* FRAME */
    case '}':
      return push_new(m, IMP_DICT, NULL);
    case ']':
      return push_new(m, IMP_SEQ, NULL);
    case ')':
      return push_new(m, IMP_SEQ, NULL);
    case '(':
      return push_new(m, IMP_MARK, NULL);
    case 't':
      return tuple_from_mark(m);
    case 0x85:
      return tuple_of(m, 1);
    case 0x86:
      return tuple_of(m, 2);
    case 0x87:
      return tuple_of(m, 3);
    case 'a':
      return fill_one(m, IMP_SEQ);
    case 'e':
      return fill_from_mark(m, IMP_SEQ);
    case 's':
      return fill_one(m, IMP_DICT);
    case 'u':
      return fill_from_mark(m, IMP_DICT);
    case 'q':
      LUN_TRY(number(m, 1, &x));
      return remember(m, x);
    case 'r':
      LUN_TRY(number(m, 4, &x));
      return remember(m, x);
    case 0x94:
      return remember(m, (uint64_t)m->memo_next++);
    case 'h':
      LUN_TRY(number(m, 1, &x));
      return recall(m, x);
    case 'j':
      LUN_TRY(number(m, 4, &x));
      return recall(m, x);
    case 'c':
      return global_lines(m);
    case 0x93:
      return global_stack(m);
    case 'Q':
      return storage(m);
    case 'R':
      return reduce(m);
    case 'b':
      return build(m);
    default:
      return scalar(m, op);
  }
}

int imp_pickle(imp_file *f, const uint8_t *p, size_t n, size_t *used,
               imp_value **top, imp_storage **list, lun_err *err) {
  machine m = {.f = f, .err = err, .p = p, .end = p + n, .storages = list};
  const uint8_t *op;
  m.stack = imp_alloc(f, MAX_STACK * sizeof *m.stack);
  if (m.stack == NULL) return bad(&m, "it needs too much memory");
  for (;;) {
    LUN_TRY(take(&m, 1, &op));
    if (*op == '.') break; /* STOP */
    LUN_TRY(step(&m, *op));
  }
  LUN_TRY(pop(&m, top));
  *used = (size_t)(m.p - p);
  return LUN_OK;
}
