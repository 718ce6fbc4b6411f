/*
** plan.c - what to write, as the Lua side decided it (lua/lunette/weights/import/init.lua):
**
**   dtype F32                     or F16
**   header N                      then N bytes of JSON and a newline
**   tensor INDEX VIEW PERM NAME   one for every tensor, in the file's order
**   sloped COUNT RUN INDEX VIEW PERM NAME   instead: up x where x > 0, else down x,
**                                 then COUNT float32 up, as many down, and a newline;
**                                 each is for RUN elements, then from the first again
**   literal N                     instead: N float32 that follow, and a newline
**   same N                        instead: N times the float32 that follows
**   end
**
** INDEX and NAME are those of the listing.  VIEW splits the tensor's axes
** (7,7,512,4096 of 25088,4096), PERM says which of them comes where (from 0).
*/
#include "import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct text {
  const char *p, *end;
} text;

int imp_read_plan(int fd, char **plan, size_t *n, lun_err *err) {
  size_t room = 0;
  *plan = NULL;
  *n = 0;
  for (;;) {
    ssize_t got;
    if (*n == room) {
      char *more;
      if (room == IMP_MAXPLAN)
        return lun_fail(err, LUN_EARG, "the plan is longer than %d bytes",
                        IMP_MAXPLAN);
      room = room ? 2 * room : 1 << 16;
      more = realloc(*plan, room);
      if (more == NULL)
        return lun_fail(err, LUN_ENOMEM, "no memory for the plan");
      *plan = more;
    }
    got = read(fd, *plan + *n, room - *n);
    if (got == 0) return LUN_OK;
    if (got > 0)
      *n += (size_t)got;
    else if (errno != EINTR)
      return lun_fail(err, LUN_EIO, "the plan: %s", strerror(errno));
  }
}

static int bad(const char *what, lun_err *err) {
  return lun_fail(err, LUN_EARG, "plan: %s", what);
}

/* The next line without its newline, copied into buf. */
static int line(text *s, char *buf, size_t room, lun_err *err) {
  const char *nl = memchr(s->p, '\n', (size_t)(s->end - s->p));
  size_t n = nl ? (size_t)(nl - s->p) : 0;
  if (nl == NULL || n >= room) return bad("no line, or one too long", err);
  memcpy(buf, s->p, n);
  buf[n] = '\0';
  s->p = nl + 1;
  return LUN_OK;
}

/* "7,7,512" -> numbers; returns how many, or -1. */
static int numbers(const char *s, int64_t *x) {
  int n = 0;
  char *end;
  if (strcmp(s, "-") == 0) return 0; /* a scalar has no axes */
  for (;;) {
    if (n == IMP_MAXDIM || *s < '0' || *s > '9') return -1;
    x[n++] = strtoll(s, &end, 10);
    if (*end == '\0') return n;
    if (*end != ',') return -1;
    s = end + 1;
  }
}

/* Strides of the view: every axis of the tensor is a product of some of the
** view's, which are consumed from the right. */
static int split(const imp_tensor *t, imp_view *v, lun_err *err) {
  int k = v->ndim - 1;
  for (int i = t->ndim - 1; i >= 0; i--) {
    int64_t have = 1;
    while (k >= 0 && (have < t->dim[i] || (v->dim[k] == 1 && i == 0))) {
      if (v->dim[k] < 1) return bad("an axis of 0", err);
      if (v->dim[k] > t->dim[i] / have) /* and nothing overflows */
        return bad("a view does not fit its tensor", err);
      v->stride[k] = t->stride[i] * have;
      have *= v->dim[k--];
    }
    if (have != t->dim[i]) return bad("a view does not fit its tensor", err);
  }
  return k < 0 ? LUN_OK : bad("a view has too many axes", err);
}

static int permute(imp_view *v, const int64_t *perm, lun_err *err) {
  imp_view old = *v;
  unsigned seen = 0;
  for (int i = 0; i < v->ndim; i++) {
    if (perm[i] < 0 || perm[i] >= v->ndim || seen >> perm[i] & 1)
      return bad("no permutation", err);
    seen |= 1u << perm[i];
    v->dim[i] = old.dim[perm[i]];
    v->stride[i] = old.stride[perm[i]];
  }
  return LUN_OK;
}

static int one_tensor(const imp_file *f, const char *args,
                      const imp_slopes *slopes, lun_dtype dtype, imp_out *out,
                      lun_err *err) {
  char view[128], perm[64];
  int64_t order[IMP_MAXDIM];
  int index, name = 0;
  const imp_tensor *t;
  imp_view v = {.slopes = slopes};
  if (sscanf(args, "%d %127s %63s %n", &index, view, perm, &name) < 3 ||
      name == 0 || index < 0 || index >= f->count)
    return bad("a tensor line is malformed", err);
  t = &f->tensor[index];
  if (strcmp(t->name, args + name) != 0)
    return lun_fail(err, LUN_EIO, "the file changed while it was imported");
  v.ndim = numbers(view, v.dim);
  if (v.ndim < 0 || numbers(perm, order) != v.ndim)
    return bad("a view or permutation is malformed", err);
  LUN_TRY(split(t, &v, err));
  LUN_TRY(permute(&v, order, err));
  return imp_copy(f, t, &v, dtype, out, err);
}

/* Most slopes of an axis. */
#define MOST_SLOPES 65536

static int sloped(const imp_file *f, text *s, const char *args, lun_dtype dtype,
                  imp_out *out, lun_err *err) {
  long long count, run;
  int at = 0, status;
  float *both;
  if (sscanf(args, "%lld %lld %n", &count, &run, &at) < 2 || at == 0 ||
      count < 1 || count > MOST_SLOPES || run < 1 || s->end - s->p <= 8 * count)
    return bad("slopes are wanted", err);
  both = malloc((size_t)count * 8); /* the plan's are not aligned */
  if (both == NULL) return lun_fail(err, LUN_ENOMEM, "no memory for slopes");
  memcpy(both, s->p, (size_t)count * 8);
  s->p += 8 * count + 1; /* and the newline */
  imp_slopes slopes = {both, both + count, count, run};
  status = one_tensor(f, args + at, &slopes, dtype, out, err);
  free(both);
  return status;
}

/* u64 length and the JSON. */
static int header(text *s, const char *count, imp_out *out, lun_err *err) {
  unsigned long long n = strtoull(count, NULL, 10);
  uint8_t le[8];
  if (n >= (unsigned long long)(s->end - s->p)) return bad("no header", err);
  for (int i = 0; i < 8; i++) le[i] = (uint8_t)(n >> (8 * i));
  LUN_TRY(imp_put(out, le, 8, err));
  LUN_TRY(imp_put(out, s->p, (size_t)n, err));
  s->p += n + 1; /* and the newline */
  return LUN_OK;
}

/* Most numbers that are one: 1 GiB of them, as the plan's writer has it. */
#define MOST_SAME (1ull << 28)

/* n float32 in memory: a tensor of no file. */
static int in_memory(const imp_file *f, const void *p, size_t n,
                     lun_dtype dtype, imp_out *out, lun_err *err) {
  imp_tensor t = {.name = "of the plan", .dtype = IMP_F32, .type = "F32"};
  imp_view v = {.ndim = 1};
  t.width = 4;
  t.size = v.dim[0] = (int64_t)n;
  t.ndim = 1;
  t.dim[0] = t.size;
  t.stride[0] = v.stride[0] = 1;
  t.memory = p;
  return imp_copy(f, &t, &v, dtype, out, err);
}

/* Numbers that the plan brings itself. */
static int literal(const imp_file *f, text *s, const char *count,
                   lun_dtype dtype, imp_out *out, lun_err *err) {
  unsigned long long n = strtoull(count, NULL, 10);
  const char *p = s->p;
  if (n == 0 || n >= (unsigned long long)(s->end - s->p) / 4)
    return bad("no numbers", err);
  s->p += 4 * n + 1; /* and the newline */
  return in_memory(f, p, (size_t)n, dtype, out, err);
}

static int same(const imp_file *f, text *s, const char *count, lun_dtype dtype,
                imp_out *out, lun_err *err) {
  enum { PART = 16384 };
  float part[PART];
  unsigned long long n = strtoull(count, NULL, 10);
  if (n == 0 || n > MOST_SAME || s->end - s->p < 5)
    return bad("no numbers", err);
  for (int i = 0; i < PART; i++) memcpy(part + i, s->p, 4);
  s->p += 4 + 1;
  for (size_t k; n > 0; n -= k) {
    k = n < PART ? (size_t)n : PART;
    LUN_TRY(in_memory(f, part, k, dtype, out, err));
  }
  return LUN_OK;
}

static int follow(const imp_file *f, text *s, imp_out *out, lun_err *err) {
  char buf[IMP_MAXNAME + 256];
  lun_dtype dtype = LUN_F32;
  for (;;) {
    LUN_TRY(line(s, buf, sizeof buf, err));
    if (strcmp(buf, "end") == 0) return LUN_OK;
    if (strcmp(buf, "dtype F16") == 0)
      dtype = LUN_F16;
    else if (strncmp(buf, "header ", 7) == 0)
      LUN_TRY(header(s, buf + 7, out, err));
    else if (strncmp(buf, "tensor ", 7) == 0)
      LUN_TRY(one_tensor(f, buf + 7, NULL, dtype, out, err));
    else if (strncmp(buf, "sloped ", 7) == 0)
      LUN_TRY(sloped(f, s, buf + 7, dtype, out, err));
    else if (strncmp(buf, "literal ", 8) == 0)
      LUN_TRY(literal(f, s, buf + 8, dtype, out, err));
    else if (strncmp(buf, "same ", 5) == 0)
      LUN_TRY(same(f, s, buf + 5, dtype, out, err));
    else if (strcmp(buf, "dtype F32") != 0)
      return bad("an unknown line", err);
  }
}

int imp_write(const imp_file *f, const char *plan, size_t n, int fd,
              lun_err *err) {
  text s = {plan, plan + n};
  imp_out out = {.fd = fd};
  int status = follow(f, &s, &out, err);
  if (status != LUN_OK) out.used = 0; /* nobody will read it */
  return imp_end(&out, err) == LUN_OK ? status : LUN_EIO;
}
