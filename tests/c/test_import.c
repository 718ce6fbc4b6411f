/*
** test_import.c - the readers of model files from the inside: conversions for
** every half-precision number, permuted copies against plain loops, pickles
** that are no state dict, and what a confined process can no longer do.
*/
#include "../../engine/import/import.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int memory_file(const void *data, size_t n) {
  int fd = memfd_create("test", 0);
  if (n && write(fd, data, n) != (ssize_t)n) abort();
  return fd;
}

/* A tensor over a file that is nothing but its elements. */
static imp_tensor plain_tensor(imp_dtype dtype, int width, int ndim,
                               const int64_t *dim) {
  imp_tensor t = {.name = "t", .dtype = dtype, .type = "?", .width = width};
  imp_shape(&t, ndim, dim, NULL);
  return t;
}

static imp_view whole(const imp_tensor *t) {
  imp_view v = {.ndim = t->ndim};
  memcpy(v.dim, t->dim, sizeof v.dim);
  memcpy(v.stride, t->stride, sizeof v.stride);
  return v;
}

/* imp_copy of data to a fresh file; its bytes are returned. */
static void *copied(const void *data, size_t n, const imp_tensor *t,
                    const imp_view *v, lun_dtype to, size_t out_bytes,
                    int *status, lun_err *err) {
  imp_file f = {.fd = memory_file(data, n), .size = (int64_t)n, .h5 = -1};
  imp_out out = {.fd = memory_file("", 0)};
  void *got = calloc(1, out_bytes + 1);
  *status = imp_copy(&f, t, v, to, &out, err);
  if (imp_end(&out, NULL) != LUN_OK && *status == LUN_OK) *status = -101;
  if (*status == LUN_OK &&
      pread(out.fd, got, out_bytes, 0) != (ssize_t)out_bytes)
    *status = -100;
  close(out.fd);
  close(f.fd);
  return got;
}

/* ---- half precision ----------------------------------------------------- */

/* The definition: sign, 5 bits of exponent, 10 of fraction. */
static double half_value(unsigned h) {
  int e = (int)(h >> 10 & 31), m = (int)(h & 1023);
  double x = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
  return h & 0x8000 ? -x : x;
}

static void test_every_half(void) {
  enum { N = 63488 }; /* all but infinities and NaN */
  static uint16_t h[N];
  const int64_t dim = N;
  imp_tensor t = plain_tensor(IMP_F16, 2, 1, &dim);
  imp_view v = whole(&t);
  int status, wrong = 0, n = 0;
  float *wide;
  uint16_t *back;
  for (unsigned i = 0; i < 65536; i++)
    if ((i >> 10 & 31) != 31) h[n++] = (uint16_t)i;
  wide = copied(h, sizeof h, &t, &v, LUN_F32, N * 4, &status, NULL);
  for (int i = 0; i < N; i++) wrong += (double)wide[i] != half_value(h[i]);
  CHECK(status == LUN_OK && wrong == 0, "%d of %d halves widened wrong", wrong,
        N);
  t = plain_tensor(IMP_F32, 4, 1, &dim);
  back = copied(wide, N * 4, &t, &v, LUN_F16, sizeof h, &status, NULL);
  CHECK(memcmp(back, h, sizeof h) == 0, "halves do not survive a round trip");
  free(wide);
  free(back);
}

/* Between two halves a float goes to the nearer, from the middle to the even:
** neighbours are consecutive codes, so the definition can be searched. */
static void test_rounding(void) {
  enum { N = 3 * 31743 };
  static float x[N];
  const int64_t dim = N;
  imp_tensor t = plain_tensor(IMP_F32, 4, 1, &dim);
  imp_view v = whole(&t);
  int status, wrong = 0;
  uint16_t *h;
  for (int c = 0; c < 31743; c++) { /* between code c and c + 1 */
    float mid =
        (float)((half_value((unsigned)c) + half_value((unsigned)c + 1)) / 2);
    x[3 * c] = nextafterf(mid, 0.0f);
    x[3 * c + 1] = mid;
    x[3 * c + 2] = nextafterf(mid, 1e6f);
  }
  h = copied(x, sizeof x, &t, &v, LUN_F16, N * 2, &status, NULL);
  for (int c = 0; c < 31743; c++)
    wrong +=
        h[3 * c] != c || h[3 * c + 1] != c + (c & 1) || h[3 * c + 2] != c + 1;
  CHECK(status == LUN_OK && wrong == 0, "%d middles rounded wrong", wrong);
  free(h);
}

static void test_refused_values(void) {
  const float huge[2] = {1.0f, 65520.0f}, good[2] = {1.0f, 65519.0f};
  float nan[2] = {1.0f, 0.0f};
  const int64_t dim = 2;
  imp_tensor t = plain_tensor(IMP_F32, 4, 1, &dim);
  imp_view v = whole(&t);
  lun_err err = {0, ""};
  int status;
  nan[1] = strtof("nan", NULL);
  free(copied(good, 8, &t, &v, LUN_F16, 4, &status, &err));
  CHECK(status == LUN_OK, "65519 rounds to 65504, but: %s", err.msg);
  free(copied(huge, 8, &t, &v, LUN_F16, 4, &status, &err));
  CHECK(status == LUN_EFORMAT && strstr(err.msg, "65504"), "%s", err.msg);
  free(copied(nan, 8, &t, &v, LUN_F32, 8, &status, &err));
  CHECK(status == LUN_EFORMAT && strstr(err.msg, "finite"), "%s", err.msg);
}

/* ---- permuted copies ---------------------------------------------------- */

/* Element by element, as the formula in copy.c says it. */
static int64_t differences(const float *in, const float *out,
                           const imp_view *v) {
  int64_t i[IMP_MAXDIM] = {0}, n = 1, wrong = 0;
  for (int k = 0; k < v->ndim; k++) n *= v->dim[k];
  for (int64_t e = 0; e < n; e++) {
    int64_t at = 0;
    for (int k = 0; k < v->ndim; k++) at += i[k] * v->stride[k];
    wrong += out[e] != in[at];
    for (int k = v->ndim - 1; k >= 0 && ++i[k] == v->dim[k]; k--) i[k] = 0;
  }
  return wrong;
}

static void check_permuted(int ndim, const int64_t *dim, const int *perm) {
  imp_tensor t = plain_tensor(IMP_F32, 4, ndim, dim);
  imp_view v = {.ndim = ndim};
  size_t bytes = (size_t)t.size * 4;
  float *in = malloc(bytes + 1), *out;
  int status;
  lun_err err = {0, ""};
  for (int64_t i = 0; i < t.size; i++) in[i] = (float)i;
  for (int k = 0; k < ndim; k++) {
    v.dim[k] = dim[perm[k]];
    v.stride[k] = t.stride[perm[k]];
  }
  out = copied(in, bytes, &t, &v, LUN_F32, bytes, &status, &err);
  CHECK(status == LUN_OK && differences(in, out, &v) == 0,
        "%d axes (%lld, %lld ...): %s", ndim, (long long)dim[0],
        (long long)dim[1], err.msg);
  free(in);
  free(out);
}

static void test_copies(void) {
  static const struct {
    int ndim;
    int64_t dim[IMP_MAXDIM];
    int perm[IMP_MAXDIM];
  } cases[] = {
      {1, {1000}, {0}},
      {2, {7, 5}, {0, 1}},
      {2, {7, 5}, {1, 0}},
      {2, {1, 9}, {1, 0}},
      {4, {3, 3, 5, 70}, {3, 2, 0, 1}},   /* HWIO -> OIHW */
      {4, {7, 7, 33, 129}, {3, 2, 0, 1}}, /* a first dense layer */
      {4, {2, 3, 4, 5}, {2, 0, 3, 1}},
      {5, {2, 3, 1, 4, 5}, {4, 1, 3, 0, 2}},
      {6, {2, 3, 2, 3, 2, 3}, {5, 3, 1, 4, 2, 0}},
      /* beyond one block of 8 Mi floats, both ways */
      {2, {3001, 2999}, {1, 0}},
      {2, {3001, 2999}, {0, 1}},
      {3, {5, 1500, 1201}, {1, 0, 2}},
      {3, {5, 1500, 1201}, {2, 0, 1}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    check_permuted(cases[i].ndim, cases[i].dim, cases[i].perm);
}

/* What lies behind the end is refused before it is read, with both numbers. */
static void test_ends_of_files(void) {
  imp_file f = {.fd = memory_file("0123456789", 10), .h5 = -1, .size = 10};
  static const struct {
    int64_t at;
    size_t n;
    const char *says;
  } bad[] = {{5, 6, "6 bytes wanted at 5, the file has 10"},
             {11, 0, "0 bytes wanted at 11, the file has 10"},
             {-1, 1, "1 bytes wanted at -1, the file has 10"},
             {0, SIZE_MAX, "wanted at 0, the file has 10"}};
  char got[16] = "";
  lun_err err = {0, ""};
  CHECK(imp_read_at(&f, got, 10, 0, &err) == LUN_OK &&
            !memcmp(got, "0123456789", 10),
        "%s", err.msg);
  CHECK(imp_read_at(&f, got, 0, 10, &err) == LUN_OK, "%s", err.msg);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECK(imp_read_at(&f, got, bad[i].n, bad[i].at, &err) == LUN_EFORMAT &&
              strstr(err.msg, bad[i].says),
          "%zu: %s", i, err.msg);
  close(f.fd);
}

/* More metadata than there is room for at first: each keeps its key and value. */
static void test_much_metadata(void) {
  imp_file f = {.fd = -1, .h5 = -1};
  lun_err err = {0, ""};
  char key[20], value[20];
  for (int i = 0; i < 100; i++) {
    snprintf(key, sizeof key, "key %d", i);
    snprintf(value, sizeof value, "value %d", i * i);
    CHECK(imp_add_meta(&f, key, value, strlen(value), &err) == LUN_OK, "%s",
          err.msg);
  }
  CHECK(f.nmeta == 100, "%d entries", f.nmeta);
  for (int i = 0; i < f.nmeta; i++) {
    snprintf(key, sizeof key, "key %d", i);
    snprintf(value, sizeof value, "value %d", i * i);
    CHECK(!strcmp(f.meta[i].key, key), "%d: %s", i, f.meta[i].key);
    CHECK(!strcmp(f.meta[i].value, value), "%d: %s", i, f.meta[i].value);
  }
  imp_close(&f);
}

/* ---- pickles ------------------------------------------------------------ */

static int run_pickle(const char *p, size_t n, imp_kind *kind, lun_err *err) {
  imp_file f = {.fd = -1, .h5 = -1};
  imp_value *top;
  imp_storage *list = NULL;
  size_t used;
  int status = imp_pickle(&f, (const uint8_t *)p, n, &used, &top, &list, err);
  if (status == LUN_OK) *kind = top->kind;
  imp_close(&f);
  return status;
}

#define PICKLE(text) text, sizeof text - 1

static void refuses(const char *p, size_t n, const char *word) {
  lun_err err = {0, ""};
  imp_kind kind;
  int status = run_pickle(p, n, &kind, &err);
  CHECK(status != LUN_OK && strstr(err.msg, word), "wanted '%s', got %d: %s",
        word, status, err.msg);
}

static void test_pickles(void) {
  imp_kind kind = IMP_NONE;
  lun_err err = {0, ""};
  CHECK(run_pickle(PICKLE("\x80\2}q\0X\1\0\0\0aK\1s."), &kind, &err) ==
                LUN_OK &&
            kind == IMP_DICT,
        "%s", err.msg);
  refuses(PICKLE("cos\nsystem\n(X\2\0\0\0lstR."), "os.system");
  refuses(PICKLE("\x80\4\x8c\2os\x8c\6system\x93."), "os.system");
  refuses(PICKLE("(ios\nsystem\n."), "os.system");
  refuses(PICKLE("cbuiltins\neval\n."), "builtins.eval");
  refuses(PICKLE("cos.path\njoin\n."), "os.path.join");
  refuses(PICKLE(")\x81."), "empty stack");
  refuses(PICKLE("ctorch\nSize\n)\x81."), "no class");
  refuses(PICKLE("(K\1o."), "no class");
  refuses(PICKLE("\x82\1."), "0x82");
  refuses(PICKLE("ctorch\nFloatStorage\n)R."), "storage type");
  refuses(PICKLE("K\1K\2R."), "no function");
#define ORDERED "ccollections\nOrderedDict\n"
  CHECK(run_pickle(PICKLE(ORDERED "](K\1K\2ta\x85R."), &kind, &err) == LUN_OK &&
            kind == IMP_DICT,
        "%s", err.msg);
  refuses(PICKLE(ORDERED "](K\1K\2K\3ta\x85R."), "of no pairs");
  refuses(PICKLE(ORDERED "](K\1ta\x85R."), "of no pairs");
  refuses(PICKLE(ORDERED "]K\1a\x85R."), "of no pairs");
  refuses(PICKLE(ORDERED "K\1\x85R."), "of no list");
  refuses(PICKLE(ORDERED "]]\x86R."), "of no list");
  refuses(PICKLE("}}b}K\1b."), "attributes");
  refuses(PICKLE("t."), "mark");
  refuses(PICKLE("."), "empty stack");
  refuses(PICKLE("s."), "no list or dict");
  refuses(PICKLE("(K\1u."), "no list or dict");
  refuses(PICKLE("}(K\1u."), "without a value");
  refuses(PICKLE("h\7."), "recalls");
  refuses(PICKLE("X\xff\xff\xff\x7f."), "cut off");
  refuses(PICKLE("\x8a\x09"
                 "12345678."),
          "cut off");
  refuses(PICKLE("cos\nsystem"), "cut off");
  refuses(PICKLE(""), "cut off");
}

/* What pickles of other classes say, however they are made and filled: nothing
** is opened, the machine goes on. */
static void test_closed_objects(void) {
  static const struct {
    const char *p;
    size_t n;
  } cases[] = {
#define CLOSED(text) {PICKLE(text)}
      CLOSED("}X\1\0\0\0acapp\nConf\n)\x81}X\1\0\0\0bK\1sbs."),
      CLOSED("}X\1\0\0\0acapp\nConf\n)R(K\1K\2es."),
      CLOSED("}X\1\0\0\0acapp\nConf\n)}\x92K\1as."),
      CLOSED("}X\1\0\0\0a(iapp\nConf\n(K\1K\2us."),
      CLOSED("}X\1\0\0\0a(capp\nConf\nK\1oK\1K\2ss."),
      CLOSED("}X\1\0\0\0acapp\nmake\n)R)R(K\1\x90s."),
      CLOSED("}X\1\0\0\0acbuiltins\nset\n)R(K\1\x90s."),
      CLOSED("}X\1\0\0\0aC\2xyB\2\0\0\0xy0s."),
      CLOSED("}X\1\0\0\0a\x8a\x09"
             "123456789s."),
      CLOSED("}X\1\0\0\0a\x8fs."),
      CLOSED("}X\1\0\0\0a(K\1K\2ls."),
      CLOSED("}X\1\0\0\0a(K\1K\2ds."),
      CLOSED("}(K\1"
             "1K\1K\2"
             "20s."),
      CLOSED("ccollections\ndefaultdict\ncbuiltins\nlist\n\x85RK\1K\2s."),
#undef CLOSED
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    lun_err err = {0, ""};
    imp_kind kind = IMP_NONE;
    int status = run_pickle(cases[i].p, cases[i].n, &kind, &err);
    CHECK(status == LUN_OK && kind == IMP_DICT, "case %zu: %d %s", i, status,
          err.msg);
  }
}

/* Programs of random opcodes, the same in every run: whatever they are, the
** machine ends.  (The sanitizer build is what this test is for.) */
static void test_random_pickles(void) {
  static const char ops[] = "\x80}](t)\x85\x86\x87"
                            "aesuqrhjKMJN\x88\x89XUcQRb."
                            "ioldCB012\x81\x92\x8f\x90\x91\x8b"
                            "\x8a\x8c\x93\x94";
  uint64_t state = 1;
  int ended = 0;
  for (int k = 0; k < 20000; k++) {
    char p[64];
    imp_kind kind;
    for (size_t i = 0; i < sizeof p; i++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      unsigned r = (unsigned)(state >> 33);
      p[i] = r & 3 ? ops[r / 4 % (sizeof ops - 1)] : (char)(r / 4 % 4);
    }
    ended += run_pickle(p, sizeof p, &kind, NULL) <= LUN_OK;
  }
  CHECK(ended == 20000, "%d of 20000", ended);
}

/* ---- the plan ----------------------------------------------------------- */

/* n bytes through a pipe in pieces of `step`, read back as a plan. */
static int plan_through_pipe(size_t n, size_t step, lun_err *err) {
  int ends[2], status, wstatus, same = 1;
  char *plan;
  size_t got;
  pid_t pid;
  if (pipe(ends) != 0 || (pid = fork()) < 0) abort();
  if (pid == 0) {
    char *p = malloc(step);
    for (size_t at = 0; at < n; at += step) {
      size_t some = n - at < step ? n - at : step;
      for (size_t i = 0; i < some; i++) p[i] = (char)((at + i) % 251);
      for (size_t done = 0; done < some;) {
        ssize_t put = write(ends[1], p + done, some - done);
        if (put <= 0) _exit(1);
        done += (size_t)put;
      }
    }
    _exit(0);
  }
  close(ends[1]);
  status = imp_read_plan(ends[0], &plan, &got, err);
  close(ends[0]);
  waitpid(pid, &wstatus, 0);
  for (size_t i = 0; status == LUN_OK && i < got; i++)
    same = same && plan[i] == (char)(i % 251);
  if (status == LUN_OK && (got != n || !same)) status = -100;
  free(plan);
  return status;
}

/* Every length about the sizes at which its buffer grows; an honest plan of
** 2600 labels has 70 kB. */
static void test_plan_of_any_length(void) {
  static const size_t edges[] = {0, 1, 1 << 16, 1 << 17, 1 << 20, 3 << 20};
  lun_err err = {0, ""};
  for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
    for (int off = -1; off <= 1; off++) {
      size_t n = edges[i] + (size_t)(edges[i] || off > 0 ? off : 0);
      int status = plan_through_pipe(n, i % 2 ? 4093 : 1 << 15, &err);
      CHECK(status == LUN_OK, "%zu bytes: %d %s", n, status, err.msg);
    }
  CHECK(plan_through_pipe(IMP_MAXPLAN - 1, 1 << 20, &err) == LUN_OK, "%s",
        err.msg);
  CHECK(plan_through_pipe(IMP_MAXPLAN + 1, 1 << 20, &err) == LUN_EARG, "%s",
        err.msg);
}

/* Plans that are wrong, each in one way. */
static int follow_plan(const char *plan, lun_err *err) {
  float data[6] = {1, 2, 3, 4, 5, 6};
  const int64_t dim[] = {2, 3};
  imp_tensor t = plain_tensor(IMP_F32, 4, 2, dim);
  imp_file f = {.fd = memory_file(data, sizeof data),
                .size = sizeof data,
                .h5 = -1,
                .tensor = &t,
                .count = 1};
  int out = memory_file("", 0);
  size_t n = strlen(plan);
  char *copy = malloc(n ? n : 1); /* exactly: reading past its end shows */
  int status;
  memcpy(copy, plan, n);
  status = imp_write(&f, copy, n, out, err);
  free(copy);
  close(out);
  close(f.fd);
  return status;
}

/* The format's reader with offsets of every extreme. */
static void test_extreme_offsets(void) {
  static const char *const at[] = {
      "0",     "1",   "-1", "4", "9223372036854775807", "-9223372036854775808",
      "1e300", "null"};
  enum { N = sizeof at / sizeof at[0] };
  lun_err err = {0, ""};
  for (int i = 0; i < N * N; i++) {
    char text[256], file[300] = {0};
    int n = snprintf(text, sizeof text,
                     "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],"
                     "\"data_offsets\":[%s,%s]}}",
                     at[i / N], at[i % N]);
    imp_file f;
    int status;
    file[0] = (char)n;
    memcpy(file + 8, text, (size_t)n);
    status = imp_open(&f, memory_file(file, (size_t)n + 12), &err);
    CHECK((status == LUN_OK) == (i == 3), "[%s,%s]: %d %s", at[i / N],
          at[i % N], status, err.msg);
    close(f.fd);
    imp_close(&f);
  }
}

/* What is no whole number is said to be that, and nothing is put in its place. */
static void test_no_whole_numbers(void) {
  static const char *const cases[][3] = {
      {"[1.5]", "[0,4]", "tensor 'a': shape: the 1. is no whole number"},
      {"[1,\"x\"]", "[0,4]", "tensor 'a': shape: the 2. is no whole number"},
      {"[1e30]", "[0,4]", "tensor 'a': shape: the 1. is no whole number"},
      {"[1]", "[0,4.0]", "tensor 'a': data_offsets: the 2. is no whole number"},
      {"[1]", "[0]", "tensor 'a': no usable data_offsets"},
      {"[1]", "[0,2,4]", "tensor 'a': no usable data_offsets"},
      {"{}", "[0,4]", "tensor 'a': no usable shape"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    lun_err err = {0, ""};
    char text[256], file[300] = {0};
    int n = snprintf(text, sizeof text,
                     "{\"a\":{\"dtype\":\"F32\",\"shape\":%s,"
                     "\"data_offsets\":%s}}",
                     cases[i][0], cases[i][1]);
    imp_file f;
    file[0] = (char)n;
    memcpy(file + 8, text, (size_t)n);
    imp_open(&f, memory_file(file, (size_t)n + 12), &err);
    CHECK(strstr(err.msg, cases[i][2]), "%s %s: %s", cases[i][0], cases[i][1],
          err.msg);
    close(f.fd);
    imp_close(&f);
  }
}

static void test_wrong_plans(void) {
  static const char *const wrong[] = {
      "",
      "end",
      "tensor 0 2,3 0,1 t\n",
      "header 4\n{}\nend\n",
      "header 18446744073709551615\n{}\nend\n",
      "header -1\n{}\nend\n",
      "tensor 1 2,3 0,1 t\nend\n",
      "tensor -1 2,3 0,1 t\nend\n",
      "tensor 99999999999999999999 2,3 0,1 t\nend\n",
      "tensor 0 2,3 0,0 t\nend\n",
      "tensor 0 2,3 0,2 t\nend\n",
      "tensor 0 3,3 0,1 t\nend\n",
      "tensor 0 0,3 0,1 t\nend\n",
      "tensor 0 2,9223372036854775807 0,1 t\nend\n",
      "tensor 0 99999999999999999999,3 0,1 t\nend\n",
      "tensor 0 4611686018427387904,4,3 0,1,2 t\nend\n",
      "tensor 0 9223372036854775807,3 0,1 t\nend\n",
      "tensor 0 2,1,9223372036854775807,2 0,1,2,3 t\nend\n",
      "tensor 0 9223372036854775807,2,3 0,1,2 t\nend\n",
      "tensor 0 2,3 0,1 u\nend\n",
      "tensor 0 2,3,1,1,1,1,1 0,1,2,3,4,5,6 t\nend\n",
      "dtype I8\nend\n",
      "sloped 2 3 0 2,3 0,1 t\nend\n",
      "sloped 1 6 0 2,3 0,1 t\n1234567\nend\n",
      "sloped 0 3 0 2,3 0,1 t\n\nend\n",
      "sloped -1 3 0 2,3 0,1 t\n12345678\nend\n",
      "sloped 1 0 0 2,3 0,1 t\n12345678\nend\n",
      "sloped 99999999999 3 0 2,3 0,1 t\n12345678\nend\n",
      "sloped 1 t\n12345678\nend\n",
      "literal 0\n\nend\n",
      "literal -1\n12345678\nend\n",
      "literal 3\n1234567\nend\n",
      "literal 12\n1234567\nend\n",
      "literal 99999999999\n12345678\nend\n",
      "same 0\n1234\nend\n",
      "same -1\n1234\nend\n",
      "same 268435457\n1234\nend\n",
      "same 3\nend\n",
  };
  lun_err err = {0, ""};
  CHECK(follow_plan("header 2\n{}\ntensor 0 2,3 1,0 t\nend\n", &err) == LUN_OK,
        "%s", err.msg);
  CHECK(follow_plan("sloped 1 6 0 2,3 1,0 t\n12345678\nend\n", &err) == LUN_OK,
        "%s", err.msg);
  CHECK(follow_plan("literal 2\n12345678\nend\n", &err) == LUN_OK, "%s",
        err.msg);
  CHECK(follow_plan("same 3\n1234\nend\n", &err) == LUN_OK, "%s", err.msg);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    err.msg[0] = '\0';
    CHECK(follow_plan(wrong[i], &err) < LUN_OK && err.msg[0], "%s", wrong[i]);
  }
}

/* ---- slopes -------------------------------------------------------------- */

/* Of a matrix (rows,columns), written as it is or turned, with slopes for its rows, so
** large that it is copied in several blocks. */
static void check_slopes(int64_t rows, int64_t columns, int turned) {
  static const float up[] = {2, -1, 0.5f}, down[] = {0, 3, -2};
  int64_t dim[] = {rows, columns}, n = rows * columns, wrong = 0;
  imp_tensor t = plain_tensor(IMP_F32, 4, 2, dim);
  imp_view v = whole(&t);
  imp_slopes s = {up, down, rows, turned ? 1 : columns};
  lun_err err = {0, ""};
  int status;
  float *x = malloc((size_t)n * 4), *got;
  for (int64_t i = 0; i < n; i++) x[i] = (float)(i % 11) - 5;
  if (turned) {
    v.dim[0] = columns, v.stride[0] = 1;
    v.dim[1] = rows, v.stride[1] = columns;
  }
  v.slopes = &s;
  got = copied(x, (size_t)n * 4, &t, &v, LUN_F32, (size_t)n * 4, &status, &err);
  CHECK(status == LUN_OK, "%d %s", status, err.msg);
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < columns; c++) {
      float in = x[r * columns + c], want = in * (in > 0 ? up[r] : down[r]);
      wrong += got[turned ? c * rows + r : r * columns + c] != want;
    }
  }
  CHECK(wrong == 0, "%lld of %lld differ", (long long)wrong, (long long)n);
  free(x);
  free(got);
}

static void test_slopes(void) {
  check_slopes(3, 5, 0);
  check_slopes(3, 5, 1);
  check_slopes(3, (4 << 20) + 1, 0);
  check_slopes(3, (4 << 20) + 1, 1);
}

/* ---- the jail ----------------------------------------------------------- */

typedef void deed(int other);

static void opens(int other) { open("/etc/passwd", O_RDONLY | (other & 0)); }
static void runs(int other) {
  char *none[] = {NULL};
  (void)other;
  execve("/bin/true", none, none);
}
static void connects(int other) { socket(AF_INET, SOCK_STREAM, other & 0); }
static void forks(int other) { _exit(fork() < 0 && other < 0); }
static void writes(int other) { _exit(write(other, "x", 1) == 1 ? 0 : 1); }
static void maps_code(int other) {
  (void)other;
  mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void spins(int other) {
  (void)other;
  for (volatile int i = 1; i;) continue;
}
static void grows(int other) {
  (void)other;
  void *volatile p = malloc((size_t)1 << 29); /* volatile: it must happen */
  _exit(p == NULL ? 33 : 0);
}
static void outgrows(int other) {
  char block[4096] = "";
  (void)other;
  for (int i = 0; i < 64; i++)
    if (write(3, block, sizeof block) < 0) _exit(34);
}
static void works(int other) {
  char c;
  void *p = malloc(1 << 20);
  free(p);
  _exit(p && pread(other, &c, 1, 0) == 1 && write(3, &c, 1) == 1 ? 35 : 0);
}

/* What becomes of a process that does `what` when it is confined: a signal, or
** 1000 + its exit code.  fd 3 may be written, `other` only read. */
static int fate(deed *what) {
  int out = memory_file("", 0), other = memory_file("x", 1), wstatus = 0;
  pid_t pid = fork();
  if (pid == 0) {
    imp_limits l = {.memory = 256 << 20,
                    .cpu_seconds = 0.2,
                    .file_bytes = 64 << 10,
                    .out = {3, -1}};
    if (other == 3) other = dup(other);
    dup2(out, 3);
    if (imp_confine(&l, NULL) != LUN_OK) _exit(99);
    what(other);
    _exit(98);
  }
  waitpid(pid, &wstatus, 0);
  close(out);
  close(other);
  return WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) : 1000 + WEXITSTATUS(wstatus);
}

static void test_jail(void) {
  CHECK(fate(spins) == SIGPROF, "%d", fate(spins));
#if !defined(__SANITIZE_ADDRESS__) /* which cannot be confined further */
  CHECK(fate(works) == 1035, "%d", fate(works));
  CHECK(fate(opens) == SIGSYS, "%d", fate(opens));
  CHECK(fate(runs) == SIGSYS, "%d", fate(runs));
  CHECK(fate(connects) == SIGSYS, "%d", fate(connects));
  CHECK(fate(forks) == SIGSYS, "%d", fate(forks));
  CHECK(fate(writes) == SIGSYS, "%d", fate(writes));
  CHECK(fate(maps_code) == SIGSYS, "%d", fate(maps_code));
  CHECK(fate(grows) == 1033, "%d", fate(grows));
  CHECK(fate(outgrows) == SIGXFSZ, "%d", fate(outgrows));
#else
  (void)works, (void)opens, (void)runs, (void)connects, (void)forks;
  (void)writes, (void)maps_code, (void)grows, (void)outgrows;
#endif
}

int main(void) {
  TESTS {
    TEST(test_every_half());
    TEST(test_rounding());
    TEST(test_refused_values());
    TEST(test_copies());
    TEST(test_ends_of_files());
    TEST(test_much_metadata());
    TEST(test_pickles());
    TEST(test_closed_objects());
    TEST(test_random_pickles());
    TEST(test_plan_of_any_length());
    TEST(test_wrong_plans());
    TEST(test_slopes());
    TEST(test_extreme_offsets());
    TEST(test_no_whole_numbers());
    TEST(test_jail());
  }
  DONE("test_import");
}
