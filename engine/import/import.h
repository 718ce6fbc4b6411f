/*
** import.h - readers of other people's model files, for the program
** lunette-import.  Every reader turns a file into one list of tensors: name,
** type, shape, strides, and where the bytes lie.  Nothing in the file is
** trusted; the program runs the readers in a confined process (jail.c).
**
** What is where:
**   file.c      the list of tensors        bytes.c    arena and plain reading
**   reader.c    which format it is         safetensors.c
**   hdf5.c      Keras files                keras.c    ... their model's config
**   zip.c       archives                   unpack.c   ... zipped again
**   torch.c     .pth
**   pickle.c    the stack machine          objects.c  the values it makes
**   onnx.c      the graph                  onnx_tensor.c
**   wire.c      protobuf                   copy.c     permuted copies
**   plan.c      what to write              out.c      writing
**   part.c      the file that appears at the end
**   digest.c    checksums                  jail.c     the confined process
**   main.c      the program
*/
#ifndef LUN_IMPORT_H
#define LUN_IMPORT_H

#include "../lunette.h"

enum {
  IMP_MAXDIM = 6,
  IMP_MAXNAME = 512,       /* bytes of a tensor's name */
  IMP_MAXTENSORS = 16384,  /* a file with more is no network of ours */
  IMP_MAXARENA = 64 << 20, /* bytes a listing may occupy */
};

/* How an element is stored.  IMP_OTHER is listed but cannot be copied. */
typedef enum imp_dtype {
  IMP_F32 = LUN_F32,
  IMP_F16 = LUN_F16,
  IMP_BF16 = LUN_BF16,
  IMP_F64 = LUN_F64,
  IMP_OTHER,
} imp_dtype;

typedef struct imp_tensor {
  const char *name;
  imp_dtype dtype;
  const char *type; /* for people: "F32", "I64" ... */
  int width;        /* bytes an element */
  int ndim;
  int64_t dim[IMP_MAXDIM];
  int64_t stride[IMP_MAXDIM]; /* in elements; dense, in any order */
  int64_t size;               /* elements */
  int64_t at;                 /* byte offset in the file; -1: ask libhdf5 */
  const void *memory;  /* its numbers, where they are not so in the file */
  const char *outside; /* they are in that file, which must be named */
} imp_tensor;

/* A line of the listing beyond tensors: its fields. */
typedef struct imp_line {
  struct imp_line *next;
  const char **field;
  int n;
} imp_line;

/* The bytes of the file that were read last (wire.c). */
typedef struct imp_window {
  int64_t at, n;
  uint8_t byte[1 << 14];
} imp_window;

typedef struct imp_meta {
  const char *key, *value;
} imp_meta;

typedef struct imp_block { /* the arena: freed together */
  struct imp_block *next;
  size_t used, size;
  /* the bytes follow */
} imp_block;

typedef struct imp_file {
  int fd;
  int64_t size;       /* bytes of the file */
  const char *format; /* "HDF5", "PyTorch zip" ... */
  imp_tensor *tensor;
  int count, room;
  imp_meta *meta;
  int nmeta, meta_room;
  imp_line *line, *last_line;
  imp_window window;
  int scratch;          /* an empty file to unpack into; -1: none */
  int outside;          /* the file that tensors are outside in; -1: none */
  int64_t outside_size; /* its bytes */
  const char *location; /* its name, as the tensors call it */
  int64_t h5;           /* libhdf5's file id; -1: none */
  int64_t h5_base;      /* where the HDF5 file begins (inside a .keras zip) */
  int64_t h5_size;
  imp_block *arena;
  size_t arena_bytes;
} imp_file;

/* ---- reader.c ----------------------------------------------------------- */

/* Finds the format by content and lists every tensor.  Close also after a
** failure.  fd stays the caller's. */
int imp_open(imp_file *f, int fd, lun_err *err);
/* The same with a file, empty and open for writing, that packed archives may be
** unpacked into; f->fd is that one then. */
int imp_open_with(imp_file *f, int fd, int scratch, lun_err *err);
void imp_close(imp_file *f);

/* ---- bytes.c ------------------------------------------------------------ */

/* Cleared memory that lives until imp_close; NULL when the cap is reached. */
void *imp_alloc(imp_file *f, size_t bytes);
/* n bytes at `at`, all of them, or an error that says the file is too short. */
int imp_read_at(const imp_file *f, void *buf, size_t n, int64_t at,
                lun_err *err);
int imp_read_fd(int fd, int64_t size, void *buf, size_t n, int64_t at,
                lun_err *err);
/* Name shortened and stripped of control bytes, for messages. */
enum { IMP_SHOWN = 100 };
const char *imp_shown(char buf[IMP_SHOWN], const char *s, size_t n);
uint64_t imp_le(const uint8_t *p, int bytes); /* little-endian number */

/* ---- file.c ------------------------------------------------------------- */

/* A new tensor in the list with a copy of its name; shape still empty. */
int imp_add(imp_file *f, imp_tensor **out, const char *name, size_t len,
            lun_err *err);
/* Row-major shape: fills dim, stride and size, overflow checked. */
int imp_shape(imp_tensor *t, int ndim, const int64_t *dim, lun_err *err);
/* A line of metadata: a copy of n bytes of value. */
int imp_add_meta(imp_file *f, const char *key, const char *value, size_t n,
                 lun_err *err);
/* Starts a line of the listing with room for n more fields. */
int imp_say(imp_file *f, const char *head, int n, imp_line **out, lun_err *err);
/* The line "head TEXT", once; of 64 such lines the rest is left out. */
int imp_note(imp_file *f, const char *head, const char *text, lun_err *err);
/* at .. at + size * width must lie inside the file. */
int imp_inside(const imp_file *f, const imp_tensor *t, lun_err *err);

/* ---- the formats -------------------------------------------------------- */

int imp_read_safetensors(imp_file *f, lun_err *err);
int imp_read_hdf5(imp_file *f, int64_t base, int64_t size, lun_err *err);
int imp_read_zip(imp_file *f, lun_err *err);
int imp_read_legacy(imp_file *f, lun_err *err);
int imp_is_legacy(const uint8_t *head, size_t n);
int imp_read_onnx(imp_file *f, lun_err *err);
int imp_is_onnx(imp_file *f);
/* Values of rows first .. first+n-1 along `axis`, all other axes whole, as
** float32, row-major: for data that libhdf5 must decode. */
int imp_hdf5_values(const imp_file *f, const imp_tensor *t, int axis,
                    int64_t first, int64_t n, float *out, lun_err *err);
void imp_hdf5_close(imp_file *f);
/* Attributes of an HDF5 object (a hid_t) that tell of the model (keras.c). */
int imp_keras_attributes(imp_file *f, int64_t object, const char *group,
                         lun_err *err);
/* Text of an archive, size bytes at `at`, as the metadata `key`. */
int imp_keras_json(imp_file *f, const char *key, int64_t at, int64_t size,
                   lun_err *err);
/* libhdf5 reads its settings now, before the process is confined. */
int imp_hdf5_start(lun_err *err);

/* ---- zip.c -------------------------------------------------------------- */

typedef struct imp_entry { /* one stored member of an archive */
  const char *name;
  int64_t at, size; /* where its bytes lie */
  int64_t full;     /* its bytes when unpacked */
  uint32_t crc;
  int method; /* 0: stored, 8: deflated */
} imp_entry;
typedef struct imp_zip {
  imp_entry *entry;
  int count;
} imp_zip;
int imp_zip_list(imp_file *f, imp_zip *z, lun_err *err);
/* Reads the entry through and compares its CRC-32. */
int imp_zip_check(const imp_file *f, const imp_entry *e, lun_err *err);

/* ---- unpack.c ----------------------------------------------------------- */

/* Unpacks and checks the members into `scratch`; from then on f reads from there. */
int imp_zip_unpack(imp_file *f, imp_zip *z, int scratch, lun_err *err);

/* ---- pickle.c ----------------------------------------------------------- */

typedef enum imp_kind {
  IMP_NONE,
  IMP_BOOL,
  IMP_INT,
  IMP_FLOAT,
  IMP_STR,
  IMP_SEQ,  /* tuple or list */
  IMP_DICT, /* key, value, key, value ... in the same array */
  IMP_GLOBAL,
  IMP_STORAGE,
  IMP_TENSOR,
  IMP_MARK,
  IMP_FOREIGN, /* a class or function that is not known here */
  IMP_OPAQUE,  /* an object that stays unopened */
} imp_kind;

/* What an IMP_OPAQUE is (its `i`): of the last two, a tensor. */
enum { IMP_CLOSED, IMP_SPARSE, IMP_QUANTIZED };

/* A flat array of numbers that tensors look into. */
typedef struct imp_storage {
  const char *key;
  size_t len;
  imp_dtype dtype;
  const char *type;
  int width;
  int64_t count; /* elements */
  int64_t at;    /* byte offset in the file; -1: not found yet */
  struct imp_storage *next;
} imp_storage;

typedef struct imp_value {
  imp_kind kind;
  int n, room;             /* IMP_SEQ, IMP_DICT: how many items; IMP_OPAQUE:
                           ** its attributes, as a dict's */
  struct imp_value **item; /* IMP_TENSOR: storage, offset, size, stride */
  const char *s;           /* IMP_STR: n bytes; IMP_FOREIGN, IMP_OPAQUE: of
                           ** which class, may be NULL */
  int64_t i;               /* IMP_INT, IMP_BOOL; IMP_GLOBAL: index in table */
  imp_storage *storage;
} imp_value;

/* Runs one pickle; *used is where it stopped.  Storages it names are put in
** front of *list. */
int imp_pickle(imp_file *f, const uint8_t *p, size_t n, size_t *used,
               imp_value **top, imp_storage **list, lun_err *err);

/* ---- what the program does with a listing ------------------------------- */

/* ---- out.c -------------------------------------------------------------- */

typedef struct imp_out { /* {.fd = ...}, written from its beginning */
  int fd;
  char *piece; /* collected, not yet written */
  size_t used;
} imp_out;
int imp_put(imp_out *o, const void *data, size_t n, lun_err *err);
/* Writes the rest and frees; the file stays open. */
int imp_end(imp_out *o, lun_err *err);

/* ---- plan.c ------------------------------------------------------------- */

enum {
  IMP_MAXPLAN = 32 << 20
}; /* bytes: 16384 tensors with the longest names */
/* All that fd gives, into *plan (free it), also after a failure. */
int imp_read_plan(int fd, char **plan, size_t *n, lun_err *err);
/* Follows a plan (docs/formats.md): header and tensors to fd. */
int imp_write(const imp_file *f, const char *plan, size_t n, int fd,
              lun_err *err);

/* What is written of x: up x where x > 0, else down x, where 0 gives 0. The slopes are
** those of an axis as it is written: `count` of each, of `run` elements one by one, and
** from the first again. */
typedef struct imp_slopes {
  const float *up, *down;
  int64_t count, run;
} imp_slopes;

typedef struct imp_view { /* a tensor's axes in the order to be written */
  int ndim;
  int64_t dim[IMP_MAXDIM];
  int64_t stride[IMP_MAXDIM]; /* in elements of the source */
  const imp_slopes *slopes;   /* or NULL */
} imp_view;
/* Writes t, seen as `view`, to out as F32 or F16.  Values that are not finite
** or do not fit are errors. */
int imp_copy(const imp_file *f, const imp_tensor *t, const imp_view *view,
             lun_dtype dtype, imp_out *out, lun_err *err);
/* A number of 16 bits, F16 or BF16, as float32. */
float imp_widen(imp_dtype dtype, uint16_t h);

/* algo "sha256" or "md5"; hex holds 65 bytes. */
int imp_digest(int fd, const char *algo, char *hex, lun_err *err);

/* ---- part.c ------------------------------------------------------------- */

#define IMP_PART_SUFFIX ".lunette-part"
typedef struct imp_part {
  int fd;    /* written here; -1: none */
  int named; /* it has its temporary name already */
  char out[4096], path[4096];
} imp_part;
int imp_part_open(imp_part *p, const char *out, lun_err *err);
/* Puts the whole file in the place of `out`. */
int imp_part_keep(imp_part *p, lun_err *err);
/* Closes it; what was not kept is gone. */
void imp_part_drop(imp_part *p);

/* ---- jail.c ------------------------------------------------------------- */

typedef struct imp_limits {
  size_t memory;      /* bytes of address space */
  double cpu_seconds; /* then SIGPROF ends the process */
  int64_t file_bytes; /* largest file that may be written */
  int out[2];         /* fds that may be written beside stdout; -1: none */
} imp_limits;
/* No way back: limits, then a list of allowed system calls. */
int imp_confine(const imp_limits *l, lun_err *err);

#endif
