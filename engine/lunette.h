/*
** lunette.h - the C core of Lunette: tensors, a define-by-run tape whose
** backward can be changed call by call, operators, weights files, pictures.
** It knows no Lua.  This header is the manual.
**
** What it has is everything up to the operator: tensors, operators with their
** gradients and other ways back, the tape and its walk, the tensors of a weights
** file, pictures.  examples/explain.c loads VGG's weights, explains a picture by a
** rule of its own and writes a PNG in 79 lines.  Networks as graphs of named layers,
** scores and methods are the Lua library's; a program that wants those without Lua
** takes a file of `lunette bake`, an ONNX network with the map among its outputs.
**
** Conventions
** - Fallible functions return LUN_OK (0) or a negative lun_status, take a
**   caller-owned `lun_err *err` last (may be NULL), write results through
**   pointers that are NULL on failure, and leave the world as it was.
** - Nothing prints, exits or jumps.  Objects belong to one thread; the core
**   spreads its own loops over a pool of workers (lun_parallel).
** - Tensors are float32, contiguous, row-major; images are NCHW.
*/
#ifndef LUNETTE_H
#define LUNETTE_H

#include <stddef.h>
#include <stdint.h>

#define LUN_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* ---- errors (err.c) ----------------------------------------------------- */

typedef enum lun_status {
  LUN_OK = 0,
  LUN_ENOMEM = -1,  /* the allocator refused */
  LUN_ESHAPE = -2,  /* shapes do not fit each other */
  LUN_EARG = -3,    /* a value outside its range */
  LUN_ENAME = -4,   /* no operator, rule, tensor ... of that name */
  LUN_EIO = -5,     /* the system could not read or write */
  LUN_EFORMAT = -6, /* a file that is not what it should be */
  LUN_EINTR = -7,   /* lun_interrupt() was called; work was abandoned */
} lun_status;

typedef struct lun_err {
  int code;
  char msg[320]; /* names the thing, the place and both numbers */
} lun_err;

#if defined(__GNUC__)
#define LUN_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define LUN_PRINTF(f, a)
#endif

/* Fills `err` (when not NULL) and returns `code`. */
int lun_fail(lun_err *err, int code, const char *fmt, ...) LUN_PRINTF(3, 4);

#define LUN_TRY(e)                                                             \
  do {                                                                         \
    int lun_status_ = (e);                                                     \
    if (lun_status_ != LUN_OK) return lun_status_;                             \
  } while (0)

/* ---- memory (mem.c) ----------------------------------------------------- */

/*
** All memory of the core comes from here: 64-byte aligned blocks, not
** cleared.  Freed blocks are cached by size class, so that a second run of the
** same shapes allocates nothing from the system.
*/
void *lun_malloc(size_t bytes);          /* NULL when refused */
void *lun_calloc(size_t n, size_t size); /* cleared; overflow checked */
void lun_free(void *p);                  /* NULL is fine */

typedef struct lun_mem_stats {
  size_t live;   /* bytes handed out now */
  size_t peak;   /* most bytes ever handed out since the last reset */
  size_t cached; /* bytes in the pool, free */
  size_t blocks; /* blocks handed out now */
  size_t system; /* allocations asked from the system so far */
} lun_mem_stats;

lun_mem_stats lun_mem(void);
void lun_mem_reset_peak(void);
void lun_mem_trim(void); /* give cached blocks back to the system */
/* Soft limit in bytes: lun_mem_over() says whether `more` would cross it.
** The binding answers by a garbage collection.  0: no limit. */
void lun_mem_set_limit(size_t bytes);
size_t lun_mem_limit(void);
/* Ceiling in bytes for live and cached blocks together: a freed block that would
** exceed it goes back to the system.  Live blocks alone may exceed it.  Returns the
** ceiling that was set before; 0: none. */
size_t lun_mem_set_ceiling(size_t bytes);
int lun_mem_over(size_t more);
/* Tests: the nth allocation from now on (1 = the next) fails; 0: never.  Returns
** how many were still to come before the one that was asked for last. */
long lun_mem_fail_at(long nth);

/* ---- threads and interruption (par.c) ----------------------------------- */

/*
** Calls fn(arg, job) for job = 0 .. jobs-1, each job once, in no promised order,
** on up to lun_threads() workers.  A job must not depend on which worker takes it: then
** results have the same bits for any number of threads.  Between jobs the
** interrupt flag is polled; when it is set the rest is skipped and LUN_EINTR
** comes back.  Keep a job under about 50 ms.  Nested calls run in line.
*/
typedef void lun_job(void *arg, int64_t job);
int lun_parallel(int64_t jobs, lun_job *fn, void *arg);
/* Which worker runs the job that asks: 0 .. lun_threads()-1; the caller of
** lun_parallel is worker 0.  For scratch memory of a worker's own. */
int lun_worker(void);
int lun_threads(void);
void lun_set_threads(int n); /* 1 .. 64; default: cores this process may use */
enum { LUN_MAXTHREADS = 64 };

void lun_interrupt(int on); /* async-signal-safe; 0 clears the flag */
int lun_interrupted(void);

/* ---- tensors (tensor.c) ------------------------------------------------- */

enum { LUN_MAXDIM = 6 };

/* Bytes with an owner: pool memory, or a foreign block (mmap) with a
** release function. */
typedef struct lun_storage {
  int refs;
  void *base;
  size_t bytes;
  void (*release)(void *ctx); /* NULL: base is lun_malloc'ed */
  void *ctx;
  /* Not "": the values are read-only, and belong to this, for messages: "layer
  ** 'fc1' of a run". */
  char owner[64];
  unsigned changes;    /* version: counts writes to its values */
  unsigned watched;    /* 1: a tape node reads it, so changed_at is kept */
  char changed_at[64]; /* where it was last written: "script.lua:12", or "" */
} lun_storage;

typedef struct lun_tensor {
  int refs;
  int ndim;
  int64_t dim[LUN_MAXDIM];
  int64_t size;       /* product of dim */
  lun_storage *store; /* NULL: deferred, has a shape but no values yet */
  float *data;        /* NULL when deferred */
  int readonly;       /* weights straight from a file */
} lun_tensor;

/* Uninitialised tensor; ndim 1 .. LUN_MAXDIM, every dim >= 0 (empty is
** allowed).  One reference belongs to the caller. */
int lun_tensor_new(lun_tensor **out, int ndim, const int64_t *dim,
                   lun_err *err);
int lun_tensor_zeros(lun_tensor **out, int ndim, const int64_t *dim,
                     lun_err *err);
/* Shape without values. */
int lun_tensor_deferred(lun_tensor **out, int ndim, const int64_t *dim,
                        lun_err *err);
/* Takes over one reference of `store`, also on failure. */
int lun_tensor_over(lun_tensor **out, lun_storage *store, size_t byte_offset,
                    int ndim, const int64_t *dim, lun_err *err);
/* Same storage, another shape of the same size, starting `offset` floats in. */
int lun_tensor_view(lun_tensor **out, const lun_tensor *t, int64_t offset,
                    int ndim, const int64_t *dim, lun_err *err);
int lun_tensor_copy(lun_tensor **out, const lun_tensor *t, lun_err *err);
lun_tensor *lun_tensor_retain(lun_tensor *t);
void lun_tensor_release(lun_tensor *t); /* NULL is fine */
int lun_tensor_same_shape(const lun_tensor *a, const lun_tensor *b);
/* "(1, 3, 224, 224)" into buf; returns buf. */
char *lun_shape_text(char *buf, size_t n, int ndim, const int64_t *dim);
enum { LUN_SHAPETEXT = 96 };
/* Product of dims, or -1 when it overflows what memory could hold. */
int64_t lun_shape_size(int ndim, const int64_t *dim);

/* Overwrites rows and columns of t's last two dimensions, from (row, column),
** counted from 0, by `part`, whose other dimensions are t's. */
int lun_tensor_paste(lun_tensor *t, const lun_tensor *part, int64_t row,
                     int64_t column, lun_err *err);
/* The same of a rectangle of `part` alone. */
typedef struct lun_rect {
  int64_t row, column, height, width;
} lun_rect;
int lun_tensor_paste_part(lun_tensor *t, const lun_tensor *part, lun_rect from,
                          int64_t row, int64_t column, lun_err *err);

/* ---- random numbers (random.c) ------------------------------------------ */

/* Counter-based random numbers: element i depends on (seed, stream, i) only.
** uniform in [0,1); normal by Box-Muller, mean 0 and deviation 1. */
void lun_random_uniform(float *out, int64_t n, uint64_t seed, uint64_t stream);
void lun_random_normal(float *out, int64_t n, uint64_t seed, uint64_t stream);

/* ---- optimisers (optim.c) ----------------------------------------------- */

/* One step of Adam over n parameters p with gradients g and moments m, v
** (zero before step 1; `step` counts from 1).  g is multiplied by `scale`. */
typedef struct lun_adam {
  double rate, beta1, beta2, eps;
  double decay; /* decoupled weight decay: p shrinks by rate * decay */
  double scale;
  int64_t step;
} lun_adam;
void lun_adam_step(int64_t n, float *p, const float *g, float *m, float *v,
                   const lun_adam *o);
/* One step of gradient descent: v = momentum v + scale g + decay p,
** p = p - rate v. */
void lun_sgd_step(int64_t n, float *p, const float *g, float *v, double rate,
                  double momentum, double decay, double scale);

/* ---- operators (ops/) --------------------------------------------------- */

/* Attributes of an operator: numbers in a fixed array; op->attrs names
** them.  LUN_UNSET marks one that was not given. */
enum { LUN_MAXATTR = 16, LUN_MAXIN = 16 };
#define LUN_UNSET (-1e300)

typedef struct lun_attrdef {
  const char *name;         /* as scripts say it: "stride" */
  int at, count;            /* slots attr[at .. at+count-1] */
  double fallback;          /* default; LUN_UNSET: none */
  const char *const *words; /* its values 0, 1 ... as scripts say them, ended
                               by NULL; NULL: it is a number */
} lun_attrdef;

struct lun_op;

/* One application of an operator. */
typedef struct lun_node {
  const struct lun_op *op;
  int id;                    /* place on the tape, from 0; -1: no tape */
  int nin;                   /* number of inputs, trailing NULLs not counted */
  lun_tensor *in[LUN_MAXIN]; /* an optional input may be NULL (no bias) */
  int src[LUN_MAXIN];        /* node that made in[i]; -1: a constant */
  lun_tensor *out;
  lun_tensor *aux; /* what backward needs besides in and out */
  double attr[LUN_MAXATTR];
  int defer;                   /* lun_node_shape makes a deferred output */
  unsigned changes[LUN_MAXIN]; /* its inputs' versions when it was applied */
  int joined; /* computed in one pass with the node after it: this node's values
                  may still be deferred */
  int dropped; /* lun_tape_forget was asked for it */
  char *name;  /* layer name, NULL when it has none */
} lun_node;

/*
** A gate is a backward rule that reads nothing but the signs of the unit's
** output y and of the gradient dy:  dx = slope * dy,  the slope being
**
**                 open        else          (open: y > 0, and y < top
**     dy >= 0     open_up     shut_up       unless top is 0;
**     dy <  0     open_down   shut_down     a NaN counts as up)
**
** and dx = 0 where the slope is 0, even for an infinite dy.  For example
** {1, 1, 0, 0} is relu's gradient and {1, 0, 0, 0} guided backpropagation.
** kernels/gate.h computes it.
*/
typedef struct lun_slopes {
  float open_up, open_down, shut_up, shut_down, top;
} lun_slopes;

/* What the input gradient of a convolution, dense layer or maximum pooling
** does in the same pass: the gate of the unit that made the layer's input.  y
** is that unit's output (N rows; gradients may have copies x N). */
typedef struct lun_gate {
  lun_slopes slope;
  const float *y;
  int64_t size; /* floats in y: gradient element e meets y[e % size] */
} lun_gate;

enum { LUN_MAXPARAM = 8 }; /* parameters of a backward rule */

struct lun_rule;

/*
** One backward step.  The gradient has `copies` independent copies of the
** output, one after the other: dy holds copies * out->size floats, dx[i]
** copies * in[i]->size, which the rule overwrites completely.  dx[i] is NULL
** where no gradient is wanted.  dx[0] may be dy when op->inplace is set.
*/
typedef struct lun_back {
  const lun_node *node;
  int copies;
  const float *dy;
  float *dx[LUN_MAXIN];
  const struct lun_rule *rule;
  double attr[LUN_MAXPARAM]; /* the rule's parameters, as rule->attrs says */
  const lun_gate *gate;      /* only when op->gated; NULL: none */
  /* Only when op->adds: dx[0] = the gate of the gradient plus this, laid out as dx[0]
  ** is; not dx[0] itself.  NULL: nothing. */
  const float *add;
  /* Only when op->skips_dead.  A gate further back multiplies dx[0] by 0 wherever
  ** this gate's y <= 0, so dx[0] need not be computed there.  NULL: all of dx[0]
  ** is needed. */
  const lun_gate *dead_inputs;
  double
      *bias; /* a relevance rule adds the layer's bias' share; NULL: unasked */
} lun_back;

/*
** A backward rule: one row of its operator's table, or one of the caller's own.
** A rule with a gate is applied in the pass of the layer that reads the unit's
** output wherever that layer can (op->gated); `back` is the same rule by itself.
*/
typedef struct lun_rule {
  const char *name;
  int (*back)(const lun_back *b, lun_err *err);
  const lun_attrdef *attrs; /* parameters: names, places, defaults; or NULL */
  /* The slopes under these parameters; NULL: the rule is no gate. */
  lun_slopes (*gate)(const double *attr);
  unsigned needs_input : 1; /* reads inputs, which may have to be computed */
} lun_rule;

/*
** How nodes n -> next[0] -> ... -> next[count-1], each the input of the next, are
** computed in one pass (lun_op.join).  run computes the values of the last node
** (and its aux) and leaves the others deferred; NULL: there is no such pass.
*/
typedef struct lun_joined {
  int (*run)(lun_node *n, lun_node *const *next, int count, lun_err *err);
  int open; /* one more node might join: the last node may be deferred too */
} lun_joined;

/* An elementwise operator that the layer before it can apply to its own output
** before writing it: relu after conv2d. */
typedef enum lun_epilogue_kind {
  LUN_NO_EPILOGUE,
  LUN_RELU_EPILOGUE,  /* max(x, 0); a NaN stays one */
  LUN_RELU6_EPILOGUE, /* min(max(x, 0), 6) */
  LUN_SILU_EPILOGUE,  /* x sigmoid(x) */
  LUN_HARD_SWISH_EPILOGUE,
  LUN_AFFINE_EPILOGUE, /* a factor and a summand for each channel: batch_norm */
  LUN_ADD_EPILOGUE,    /* plus the other input */
} lun_epilogue_kind;

typedef struct lun_op {
  const char *name;
  const char *doc;          /* one line: signature and formula */
  int min_in, max_in;       /* how many inputs */
  const lun_attrdef *attrs; /* ends with a NULL name; may be NULL */
  /* Checks everything and sets the output's shape by lun_node_shape (which
  ** makes n->out) and n->aux when needed. */
  int (*infer)(lun_node *n, lun_err *err);
  /* Computes n->out from n->in.  Fails only by LUN_EINTR or LUN_ENOMEM of
  ** scratch. */
  int (*forward)(lun_node *n, lun_err *err);
  /* Optional: how n and the nodes that follow it can be computed in one pass. */
  lun_joined (*join)(const lun_node *n, lun_node *const *next, int count);
  const lun_rule *rules;   /* [0] is the true gradient, without parameters; NULL
                            name ends it */
  unsigned inplace : 1;    /* back may have dx[0] == dy */
  unsigned gated : 1;      /* back honours b->gate */
  unsigned adds : 1;       /* back honours b->add */
  unsigned skips_dead : 1; /* back reads b->dead_inputs */
  /* The gradients of in[1], in[2] ... read in[0]; that of in[0] reads no values. */
  unsigned params_read_input : 1;
  lun_epilogue_kind epilogue; /* what this operator is to the one before it */
  /* An output is one of the inputs (a maximum): its gradient goes to that input
  ** alone. */
  unsigned selects_input : 1;
  /* The output is the inputs' values side by side (concat). */
  unsigned holds_inputs : 1;
  /* Optional, for operators whose true gradient of input k is a contiguous part of
  ** dy (concat, add): the index in dy at which it begins; -1: it must be computed. */
  int64_t (*part_of_dy)(const lun_node *n, int k);
  /* The same values in another shape: infer makes a view (lun_node_view), and
  ** backward hands dy on. */
  unsigned is_view : 1;
} lun_op;

const lun_op *lun_op_find(const char *name);
const lun_op *lun_op_at(int i);          /* NULL past the end */
const char *lun_op_is(const lun_op *op); /* "activation": see ops/ops.def */
const lun_rule *lun_op_rule(const lun_op *op, const char *name, lun_err *err);
/* The default parameters of a rule, LUN_MAXPARAM numbers. */
void lun_rule_defaults(const lun_rule *rule, double *attr);
/* For infer: makes n->out (uninitialised) of that shape. */
int lun_node_shape(lun_node *n, int ndim, const int64_t *dim, lun_err *err);
/* For infer of an operator with is_view: n->out is a view of n->in[0]. */
int lun_node_view(lun_node *n, int ndim, const int64_t *dim, lun_err *err);
/* The node's layer name, or its op's: for messages. */
const char *lun_node_title(const lun_node *n);

/* ---- tape (tape.c) and backward (walk.c) -------------------------------- */

typedef struct lun_tape lun_tape;

typedef struct lun_var {
  lun_tensor *t;
  int node; /* -1: a constant */
} lun_var;

int lun_tape_new(lun_tape **out, lun_err *err);
lun_tape *lun_tape_retain(lun_tape *t);
void lun_tape_release(lun_tape *t);
int lun_tape_count(const lun_tape *t);
lun_node *lun_tape_node(const lun_tape *t, int id); /* NULL out of range */
/* A leaf: gradients with respect to it can be asked for. */
int lun_tape_watch(lun_tape *t, lun_tensor *x, int *node, lun_err *err);
/* The node's value; a deferred one is computed now and kept, unless what it is
** made from was changed since (LUN_EARG).  The reference stays with the node. */
int lun_tape_value(lun_tape *t, int id, lun_tensor **out, lun_err *err);
/* Computes the deferred values that `rule` of n reads: its inputs if the rule says
** needs_input, and n->out unless the operator can join (the rules of convolutions
** and dense layers read no output). */
int lun_tape_ready(lun_tape *t, lun_node *n, const lun_rule *rule,
                   lun_err *err);
/* Drops the node's value (forward-only runs); it cannot be read again.  A value
** that a deferred node is computed from is dropped after that. */
void lun_tape_forget(lun_tape *t, int id);

/* The next node applied is the only reader of this one's values, so they may be
** deferred and computed together with it (lun_op.join). */
enum { LUN_DEFER = 1 };
/* No gradient will be asked for: values that only its rules read need not be kept. */
enum { LUN_FORWARD_ONLY = 2 };

/*
** Applies an operator.  With a tape and at least one input that has a node,
** a node is appended and out->node is its id; otherwise just computes.
** attr: LUN_MAXATTR numbers, or NULL for the defaults.  out->t is a new
** reference for the caller.  `name` labels errors and the node (may be NULL).
*/
int lun_apply(lun_tape *tape, const lun_op *op, const lun_var *in, int nin,
              const double *attr, const char *name, unsigned flags,
              lun_var *out, lun_err *err);
void lun_attr_defaults(const lun_op *op, double *attr);
/* Sets all slots of the attribute of that name; LUN_ENAME: op has none such. */
int lun_attr_set(const lun_op *op, double *attr, const char *name, double value,
                 lun_err *err);
/* The shape that lun_apply would give: into *ndim and dim[LUN_MAXDIM].  Values
** of the inputs are not read, so they may be deferred. */
int lun_op_shape(const lun_op *op, const lun_var *in, int nin,
                 const double *attr, const char *name, int *ndim, int64_t *dim,
                 lun_err *err);

/*
** Backward is a cursor: the rule of every node is an argument of the walk,
** and nodes with a hook are handed to the caller, so the core calls nobody.
**
**   lun_walk_new(&w, tape, node, seed, &err)   seed: copies x out->size floats
**   lun_walk_want(w, leaf)                      ... for every gradient wanted
**   lun_walk_rule(w, id, rule, attr, &err)      ... C rules
**   lun_walk_hook(w, id, &err)                  ... caller's rules
**   while ((r = lun_walk_next(w, &err)) > 0) {  hooked node r-1 is due
**     dy = lun_walk_dy(w);  lun_walk_put(w, dx, &err);   (gradient of in[0])
**   }
**   g = lun_walk_gradient(w, leaf)
*/
typedef struct lun_walk lun_walk;
int lun_walk_new(lun_walk **out, lun_tape *tape, int node,
                 const lun_tensor *seed, lun_err *err);
void lun_walk_free(lun_walk *w);
int lun_walk_want(lun_walk *w, int node, lun_err *err);
/* attr: LUN_MAXPARAM numbers, or NULL for the rule's defaults.  Wants, rules and
** hooks come before the first lun_walk_next. */
int lun_walk_rule(lun_walk *w, int node, const lun_rule *rule,
                  const double *attr, lun_err *err);
int lun_walk_hook(lun_walk *w, int node, lun_err *err);
/* 0: done; id+1: node `id` is hooked and its gradient complete; <0: error. */
int lun_walk_next(lun_walk *w, lun_err *err);
/* Gradient of the hooked node's output: (copies*N, ...), borrowed. */
lun_tensor *lun_walk_dy(const lun_walk *w);
int lun_walk_copies(const lun_walk *w);
/* The hooked node's gradient with respect to in[i], kept by reference. */
int lun_walk_put(lun_walk *w, int i, lun_tensor *dx, lun_err *err);
/* Let the hooked node use its C rule after all (hook only looked). */
int lun_walk_skip(lun_walk *w, lun_err *err);
/* Totals of what one backward step of a node hands to each input and, for a
** relevance rule, to its bias: sums over all elements and copies. */
typedef struct lun_flow {
  double in[LUN_MAXIN], bias;
} lun_flow;
/* From now on adds what every node hands on to flows[id], id = 0 .. the seed's node.
** The array is the caller's, holds zeros at first, and must outlive the walk.  No gate
** is then joined with another layer's pass. */
int lun_walk_flows(lun_walk *w, lun_flow *flows, lun_err *err);
/* The gradient of a wanted node, borrowed; NULL when no path led there (it is zero). */
lun_tensor *lun_walk_gradient(const lun_walk *w, int node);
int lun_walk_reached(const lun_walk *w, int node); /* is on a path to a want */

/* ---- numbers of 16 bits (half.c) ---------------------------------------- */

float lun_half_to_float(uint16_t h);
/* Nearest, ties to even; infinity from 65520 on. */
uint16_t lun_float_to_half(float x);
float lun_bfloat_to_float(uint16_t h);

/* ---- weights files (safetensors.c) -------------------------------------- */

/* LUN_OTHER: integers and the like, listed but not loadable. */
typedef enum lun_dtype {
  LUN_F32,
  LUN_F16,
  LUN_BF16,
  LUN_F64,
  LUN_OTHER,
} lun_dtype;

typedef struct lun_weights lun_weights;
typedef struct lun_entry {
  const char *name;
  lun_dtype dtype;
  int ndim;
  int64_t dim[LUN_MAXDIM];
} lun_entry;

/* Maps the file read-only and checks all that the format demands. */
int lun_weights_open(lun_weights **out, const char *path, lun_err *err);
void lun_weights_release(lun_weights *w);
/* LUN_EIO when the file was cut or overwritten since; to be asked before its
** values are used. */
int lun_weights_unchanged(const lun_weights *w, lun_err *err);
/* Counts failed reads of mapped files so far; *path: the last such file.  Values
** computed while the count rises are wrong. */
unsigned lun_file_faults(const char **path);
int lun_weights_count(const lun_weights *w);
const lun_entry *lun_weights_entry(const lun_weights *w, int i);
/* float32 tensor: over the mapping where the file has aligned F32, widened
** otherwise. */
int lun_weights_tensor(lun_weights *w, int i, lun_tensor **out, lun_err *err);
/* i-th pair of __metadata__; returns 0 past the end. */
int lun_weights_meta(const lun_weights *w, int i, const char **key,
                     const char **value);
/* Writes path atomically (temporary file, then rename).  meta: key, value,
** key, value ..., NULL. */
int lun_weights_write(const char *path, int n, const char *const *names,
                      lun_tensor *const *tensors, lun_dtype dtype,
                      const char *const *meta, lun_err *err);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
