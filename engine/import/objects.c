/*
** objects.c - the objects of a pickle.  Torch's own (tensors, parameters,
** storages, ordered dicts) are turned into values here.  An object of any
** other class (argparse.Namespace, a numpy scalar, a path) stays unopened: its
** class is never imported, its constructor never called, what is put into it
** is dropped; the listing names the class.  A name that only an attack has a
** use for ends the reading.
*/
#include "pickle.h"

#include <stdio.h>
#include <string.h>

typedef enum role {
  ORDERED_DICT,
  DEFAULT_DICT,
  TENSOR,
  PARAMETER,
  SUBCLASS,
  SPARSE,
  QUANTIZED,
  STORAGE,
  SIZE,
  SET
} role;

static const struct {
  const char *module, *name;
  role what;
  imp_dtype dtype;
  const char *type;
  int width;
} globals[] = {
    {"collections", "OrderedDict", ORDERED_DICT, IMP_OTHER, "", 0},
    {"collections", "defaultdict", DEFAULT_DICT, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_tensor", TENSOR, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_tensor_v2", TENSOR, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_parameter", PARAMETER, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_parameter_with_state", PARAMETER, IMP_OTHER, "",
     0},
    {"torch.nn.parameter", "Parameter", PARAMETER, IMP_OTHER, "", 0},
    {"torch._tensor", "_rebuild_from_type_v2", SUBCLASS, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_sparse_tensor", SPARSE, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_sparse_csr_tensor", SPARSE, IMP_OTHER, "", 0},
    {"torch._utils", "_rebuild_qtensor", QUANTIZED, IMP_OTHER, "", 0},
    {"torch", "Size", SIZE, IMP_OTHER, "", 0},
    {"__builtin__", "set", SET, IMP_OTHER, "", 0},
    {"builtins", "set", SET, IMP_OTHER, "", 0},
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
    {"torch", "QInt8Storage", STORAGE, IMP_OTHER, "QI8", 1},
    {"torch", "QUInt8Storage", STORAGE, IMP_OTHER, "QU8", 1},
    {"torch", "QInt32Storage", STORAGE, IMP_OTHER, "QI32", 4},
    {"torch", "ComplexFloatStorage", STORAGE, IMP_OTHER, "C64", 8},
    {"torch", "ComplexDoubleStorage", STORAGE, IMP_OTHER, "C128", 16},
    {"torch.storage", "UntypedStorage", STORAGE, IMP_OTHER, "U8", 1},
};

/* ---- names -------------------------------------------------------------- */

static int same(const char *name, const char *s, size_t n) {
  return strlen(name) == n && memcmp(name, s, n) == 0;
}

/* Python's own modules whose functions run code or reach files; of `builtins`
** the plain types are fine. */
static int is_attack(const char *mod, size_t nmod, const char *name,
                     size_t nname) {
  static const char *const modules[] = {
      "os",         "posix", "nt",     "subprocess", "sys",       "pty",
      "shutil",     "io",    "socket", "runpy",      "importlib", "ctypes",
      "webbrowser", "code",  "pickle", "commands",   "operator",  "asyncio"};
  static const char *const types[] = {
      "set",   "frozenset", "list",  "dict",   "tuple",     "int",
      "float", "complex",   "bytes", "object", "bytearray", "str",
      "slice", "range",     "bool",  "unicode"};
  const char *dot = memchr(mod, '.', nmod);
  size_t top = dot ? (size_t)(dot - mod) : nmod;
  for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
    if (same(modules[i], mod, top)) return 1;
  if (!same("builtins", mod, nmod) && !same("__builtin__", mod, nmod)) return 0;
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (same(types[i], name, nname)) return 0;
  return 1;
}

/* A class that nobody here knows: its name, said once in the listing, unless it
** is one of Python's own types. */
static int push_foreign(imp_machine *m, const char *mod, const char *name) {
  int plain = strstr(mod, "builtin") != NULL || strcmp(mod, "_codecs") == 0;
  char full[2 * IMP_SHOWN + 1], *copy;
  imp_value *v;
  snprintf(full, sizeof full, "%s.%s", mod, name);
  copy = imp_alloc(m->f, strlen(full) + 1);
  if (copy == NULL) return imp_bad(m, "it needs too much memory");
  memcpy(copy, full, strlen(full) + 1);
  LUN_TRY(imp_push_new(m, IMP_FOREIGN, &v));
  v->s = copy;
  return plain ? LUN_OK : imp_note(m->f, "skipped", copy, m->err);
}

static int push_global(imp_machine *m, const char *mod, size_t nmod,
                       const char *name, size_t nname) {
  char a[IMP_SHOWN], b[IMP_SHOWN];
  imp_value *v;
  for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++)
    if (same(globals[i].module, mod, nmod) &&
        same(globals[i].name, name, nname)) {
      LUN_TRY(imp_push_new(m, IMP_GLOBAL, &v));
      v->i = (int64_t)i;
      return LUN_OK;
    }
  imp_shown(a, mod, nmod);
  imp_shown(b, name, nname);
  if (!is_attack(mod, nmod, name, nname)) return push_foreign(m, a, b);
  return lun_fail(m->err, LUN_EFORMAT,
                  "pickle: refused, it asks for '%s.%s', which no model needs: "
                  "do not open this file with anything else",
                  a, b);
}

/* Module and name, a line each. */
int imp_global_lines(imp_machine *m) {
  const uint8_t *mod = m->p, *name, *end;
  name = memchr(mod, '\n', (size_t)(m->end - mod));
  if (name == NULL) return imp_bad(m, "it is cut off");
  name++;
  end = memchr(name, '\n', (size_t)(m->end - name));
  if (end == NULL) return imp_bad(m, "it is cut off");
  m->p = end + 1;
  return push_global(m, (const char *)mod, (size_t)(name - 1 - mod),
                     (const char *)name, (size_t)(end - name));
}

int imp_global_stack(imp_machine *m) {
  imp_value *mod, *name;
  LUN_TRY(imp_pop(m, &name));
  LUN_TRY(imp_pop(m, &mod));
  if (mod->kind != IMP_STR || name->kind != IMP_STR)
    return imp_bad(m, "a global's name is no string");
  return push_global(m, mod->s, (size_t)mod->n, name->s, (size_t)name->n);
}

/* ---- storages and tensors ----------------------------------------------- */

/* ('storage', TYPE, key, place, count[, view]) */
static int storage(imp_machine *m, const imp_value *id) {
  imp_value *v, **x = id->item;
  imp_storage *s;
  if (id->n < 5 || x[1]->kind != IMP_GLOBAL ||
      globals[x[1]->i].what != STORAGE || x[2]->kind != IMP_STR ||
      x[4]->kind != IMP_INT || x[4]->i < 0 || x[4]->i > (int64_t)1 << 40)
    return imp_bad(m, "a storage is not described as torch.save does");
  if (id->n > 5 && x[5]->kind != IMP_NONE)
    return imp_bad(m, "a storage is a view of another (torch before 0.4)");
  s = imp_alloc(m->f, sizeof *s);
  if (s == NULL) return imp_bad(m, "it needs too much memory");
  s->key = x[2]->s;
  s->len = (size_t)x[2]->n;
  s->dtype = globals[x[1]->i].dtype;
  s->type = globals[x[1]->i].type;
  s->width = globals[x[1]->i].width;
  s->count = x[4]->i;
  s->at = -1;
  s->next = *m->storages;
  *m->storages = s;
  LUN_TRY(imp_push_new(m, IMP_STORAGE, &v));
  v->storage = s;
  return LUN_OK;
}

/* A storage, or ('module', CLASS, file, source) of a whole model. */
int imp_persistent(imp_machine *m) {
  imp_value *id;
  const imp_value *word;
  LUN_TRY(imp_pop(m, &id));
  word = id->kind == IMP_SEQ && id->n >= 2 ? id->item[0] : NULL;
  if (word && word->kind == IMP_STR) {
    if (same("storage", word->s, (size_t)word->n)) return storage(m, id);
    if (same("module", word->s, (size_t)word->n) &&
        id->item[1]->kind == IMP_FOREIGN)
      return imp_push(m, id->item[1]);
  }
  return imp_bad(m, "a storage is not described as torch.save does");
}

/* _rebuild_tensor(storage, offset, size, stride, ...): kept as it is. */
static int tensor(imp_machine *m, imp_value *args) {
  imp_value *v, **x = args->item;
  if (args->n < 4 || x[0]->kind != IMP_STORAGE || x[1]->kind != IMP_INT ||
      x[2]->kind != IMP_SEQ || x[3]->kind != IMP_SEQ || x[2]->n != x[3]->n)
    return imp_bad(m, "a tensor is not described as torch.save does");
  for (int i = 0; i < x[2]->n; i++)
    if (x[2]->item[i]->kind != IMP_INT || x[3]->item[i]->kind != IMP_INT)
      return imp_bad(m, "a tensor's shape is no list of numbers");
  LUN_TRY(imp_push_new(m, IMP_TENSOR, &v));
  v->item = x;
  v->n = 4;
  v->storage = x[0]->storage;
  return LUN_OK;
}

/* torch.nn.Parameter: the tensor that it wraps. */
static int parameter(imp_machine *m, imp_value *args) {
  if (args->n < 1 ||
      (args->item[0]->kind != IMP_TENSOR && args->item[0]->kind != IMP_OPAQUE))
    return imp_bad(m, "a Parameter is made of no tensor");
  return imp_push(m, args->item[0]);
}

/* ---- calls -------------------------------------------------------------- */

/* OrderedDict() or, from Python 2, OrderedDict([[key, value], ...]). */
static int ordered_dict(imp_machine *m, imp_value *args) {
  imp_value *d, *list;
  LUN_TRY(imp_push_new(m, IMP_DICT, &d));
  if (args->n == 0) return LUN_OK;
  list = args->item[0];
  if (args->n > 1 || list->kind != IMP_SEQ)
    return imp_bad(m, "an OrderedDict is made of no list");
  for (int i = 0; i < list->n; i++) {
    imp_value *pair = list->item[i];
    if (pair->kind != IMP_SEQ || pair->n != 2)
      return imp_bad(m, "an OrderedDict is made of no pairs");
    LUN_TRY(imp_append(m, d, pair->item[0]));
    LUN_TRY(imp_append(m, d, pair->item[1]));
  }
  return LUN_OK;
}

/* Pushes a value of which only the class is known: an object of a class that is
** not read, or a tensor that cannot be. */
static int opaque(imp_machine *m, const char *class, int what) {
  imp_value *v;
  LUN_TRY(imp_push_new(m, IMP_OPAQUE, &v));
  v->s = class;
  v->i = what;
  return LUN_OK;
}

static int call(imp_machine *m, const imp_value *fn, imp_value *args);

/* _rebuild_from_type_v2(function, class, its arguments, state): a tensor of a
** class of somebody's own is a tensor. */
static int subclass(imp_machine *m, imp_value *args) {
  const imp_value *fn = args->n >= 3 ? args->item[0] : NULL;
  if (fn == NULL || fn->kind != IMP_GLOBAL || globals[fn->i].what > PARAMETER ||
      args->item[2]->kind != IMP_SEQ)
    return imp_bad(m, "a tensor is not described as torch.save does");
  return call(m, fn, args->item[2]);
}

static int call(imp_machine *m, const imp_value *fn, imp_value *args) {
  switch (globals[fn->i].what) {
    case ORDERED_DICT:
      return ordered_dict(m, args);
    case DEFAULT_DICT:
      return imp_push_new(m, IMP_DICT, NULL);
    case TENSOR:
      return tensor(m, args);
    case PARAMETER:
      return parameter(m, args);
    case SUBCLASS:
      return subclass(m, args);
    case SPARSE:
      return opaque(m, "torch.Tensor", IMP_SPARSE);
    case QUANTIZED:
      return opaque(m, "torch.Tensor", IMP_QUANTIZED);
    case SIZE:
      if (args->n != 1) return imp_bad(m, "a Size is made of no tuple");
      return imp_push(m, args->item[0]);
    case SET: /* of a list, or empty */
      if (args->n == 0) return imp_push_new(m, IMP_SEQ, NULL);
      return imp_push(m, args->item[0]);
    default:
      return imp_bad(m, "it calls a storage type");
  }
}

/* REDUCE would call a function; here it is one of a few constructions, or what
** it gives is not read. */
int imp_reduce(imp_machine *m) {
  imp_value *args, *fn;
  LUN_TRY(imp_pop(m, &args));
  LUN_TRY(imp_pop(m, &fn));
  if (fn->kind == IMP_FOREIGN || fn->kind == IMP_OPAQUE)
    return opaque(m, fn->s, IMP_CLOSED);
  if (fn->kind != IMP_GLOBAL || args->kind != IMP_SEQ)
    return imp_bad(m, "it calls something that is no function");
  return call(m, fn, args);
}

/* class.__new__(class, *args) */
int imp_newobj(imp_machine *m) {
  imp_value *args, *class;
  LUN_TRY(imp_pop(m, &args));
  LUN_TRY(imp_pop(m, &class));
  if (class->kind == IMP_FOREIGN) return opaque(m, class->s, IMP_CLOSED);
  if (class->kind == IMP_GLOBAL && globals[class->i].what <= DEFAULT_DICT)
    return imp_push_new(m, IMP_DICT, NULL);
  return imp_bad(m, "it makes an object of something that is no class");
}

int imp_newobj_ex(imp_machine *m) {
  imp_value *keywords;
  LUN_TRY(imp_pop(m, &keywords));
  return imp_newobj(m);
}

/* INST: arguments above a mark, the class on two lines. */
int imp_inst(imp_machine *m) {
  imp_value *args, *class;
  LUN_TRY(imp_global_lines(m));
  LUN_TRY(imp_pop(m, &class));
  LUN_TRY(imp_tuple(m));
  LUN_TRY(imp_pop(m, &args));
  if (class->kind != IMP_FOREIGN)
    return imp_bad(m, "it makes an object of something that is no class");
  return opaque(m, class->s, IMP_CLOSED);
}

/* OBJ: the class and its arguments above a mark. */
int imp_obj(imp_machine *m) {
  imp_value *all;
  LUN_TRY(imp_tuple(m));
  LUN_TRY(imp_pop(m, &all));
  if (all->n == 0 || all->item[0]->kind != IMP_FOREIGN)
    return imp_bad(m, "it makes an object of something that is no class");
  return opaque(m, all->item[0]->s, IMP_CLOSED);
}

/* BUILD sets attributes, from a dict, or from one for those with slots beside
** it.  A state dict has _metadata, which is not needed, nor is what tensors
** have; a closed object keeps its names and values. */
int imp_build(imp_machine *m) {
  imp_value *state, *of;
  LUN_TRY(imp_pop(m, &state));
  of = m->top ? m->stack[m->top - 1] : NULL;
  if (of && of->kind == IMP_TENSOR) return LUN_OK;
  if (of && of->kind == IMP_OPAQUE) {
    if (state->kind == IMP_SEQ && state->n == 2) state = state->item[0];
    if (state->kind != IMP_DICT || of->s == NULL) return LUN_OK;
    of->item = state->item;
    of->n = state->n;
    return LUN_OK;
  }
  if (of && of->kind == IMP_DICT && state->kind == IMP_DICT) return LUN_OK;
  return imp_bad(m, "it sets attributes of something that is no dict");
}
