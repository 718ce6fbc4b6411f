/*
** test_safetensors.c - weights files: every check of the format, widening
** against literals, writing.  Files are made here, byte by byte.
*/
#include "../../engine/lunette.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char path[64], folder[] = "/dev/shm/lunette_XXXXXX"; /* else /tmp */

/* ---- files by hand ------------------------------------------------------ */

static void write_bytes(const void *p, size_t n) {
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(p, 1, n, f) != n) abort();
  fclose(f);
}

/* length, header, data; returns the size. */
static size_t build(unsigned char *to, const char *header, const void *data,
                    size_t bytes) {
  size_t n = strlen(header);
  for (int i = 0; i < 8; i++) to[i] = (unsigned char)((uint64_t)n >> (8 * i));
  memcpy(to + 8, header, n);
  if (bytes) memcpy(to + 8 + n, data, bytes);
  return 8 + n + bytes;
}

static int try_bytes(const void *p, size_t n, lun_err *err) {
  lun_weights *w;
  int status;
  err->msg[0] = 0;
  write_bytes(p, n);
  status = lun_weights_open(&w, path, err);
  CHECK((status == LUN_OK) == (w != NULL), "status %d", status);
  if (w) {
    for (int i = 0; i < lun_weights_count(w); i++) {
      lun_tensor *t;
      lun_err e;
      if (lun_weights_tensor(w, i, &t, &e) != LUN_OK) continue;
      double s = 0; /* read all of it, for AddressSanitizer */
      for (int64_t k = 0; k < t->size; k++) s += (double)t->data[k];
      CHECK(s < HUGE_VAL || s != s || s >= HUGE_VAL, "%g", s);
      lun_tensor_release(t);
    }
    lun_weights_release(w);
  } else {
    CHECK(strstr(err->msg, path) && strlen(err->msg) > strlen(path) + 5, "%s",
          err->msg);
  }
  return status;
}

static int try_header(const char *header, const void *data, size_t bytes,
                      lun_err *err) {
  unsigned char file[4096];
  return try_bytes(file, build(file, header, data, bytes), err);
}

static const float six[6] = {1, 2, 3, 4, 5, 6};
static const char good[] =
    "{\"__metadata__\":{\"name\":\"two\"},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}}";

static void a_good_file_is_read(void) {
  unsigned char file[1024];
  const char *key, *value;
  lun_weights *w;
  lun_tensor *t;
  lun_err err;
  write_bytes(file, build(file, good, six, sizeof six));
  CHECK(lun_weights_open(&w, path, &err) == LUN_OK, "%s", err.msg);
  CHECK(lun_weights_count(w) == 2, "%d", lun_weights_count(w));
  CHECK(strcmp(lun_weights_entry(w, 0)->name, "b") == 0, "order of the data");
  CHECK(lun_weights_entry(w, 0)->ndim == 2, "ndim");
  CHECK(!lun_weights_entry(w, 2) && !lun_weights_entry(w, -1), "no third");
  CHECK(lun_weights_meta(w, 0, &key, &value) && strcmp(value, "two") == 0,
        "metadata");
  CHECK(!lun_weights_meta(w, 1, &key, &value), "one pair");
  CHECK(lun_weights_tensor(w, 2, &t, &err) == LUN_EARG && !t, "tensor 2");
  CHECK(lun_weights_tensor(w, 1, &t, &err) == LUN_OK, "%s", err.msg);
  lun_weights_release(w); /* the tensor keeps the mapping, or its values */
  CHECK(t->size == 2 && t->data[0] > 4.5f && t->data[1] > 5.5f, "5, 6");
  lun_tensor_release(t);
}

static void every_truncation_is_refused(void) {
  unsigned char file[1024];
  size_t n = build(file, good, six, sizeof six);
  lun_err err;
  for (size_t i = 0; i < n; i++)
    CHECK(try_bytes(file, i, &err) != LUN_OK, "cut to %zu of %zu bytes", i, n);
  CHECK(try_bytes(file, n, &err) == LUN_OK, "%s", err.msg);
  file[n] = 0;
  CHECK(try_bytes(file, n + 1, &err) == LUN_EFORMAT, "one byte more");
}

/* Any answer is right but a crash, a read outside, or a wrong total. */
static void flipped_bits_do_no_harm(void) {
  unsigned char file[1024];
  size_t n = build(file, good, six, sizeof six);
  lun_err err;
  for (size_t i = 0; i < n - sizeof six; i++)
    for (int bit = 0; bit < 8; bit++) {
      file[i] ^= (unsigned char)(1 << bit);
      try_bytes(file, n, &err);
      file[i] ^= (unsigned char)(1 << bit);
    }
}

/* ---- what the format forbids -------------------------------------------- */

#define T(shape, from, to)                                                     \
  "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static const struct {
  const char *what, *header, *says; /* 24 bytes of data follow */
} refused[] = {
    {"overlap", "{\"a\":" T("[4]", "0", "16") ",\"b\":" T("[4]", "8", "24") "}",
     "overlaps"},
    {"same bytes twice",
     "{\"a\":" T("[6]", "0", "24") ",\"b\":" T("[6]", "0", "24") "}",
     "overlaps"},
    {"hole", "{\"a\":" T("[2]", "0", "8") ",\"b\":" T("[2]", "16", "24") "}",
     "hole"},
    {"hole in front", "{\"a\":" T("[4]", "8", "24") "}", "hole"},
    {"nothing at the end", "{\"a\":" T("[4]", "0", "16") "}", "end at byte 16"},
    {"past the end", "{\"a\":" T("[8]", "0", "32") "}", "ends at byte 32"},
    {"far past the end", "{\"a\":" T("[6]", "0", "9223372036854775807") "}",
     "ends at byte 9223372036854775807"},
    {"too large for json", "{\"a\":" T("[6]", "0", "92233720368547758070") "}",
     "header"},
    {"backwards", "{\"a\":" T("[6]", "24", "0") "}", "range"},
    {"negative", "{\"a\":" T("[6]", "-24", "0") "}", "range"},
    {"one offset",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0]}}", "range"},
    {"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[6]}}", "range"},
    {"offsets of text",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[\"0\",24]}}",
     "range"},
    {"shape does not fit", "{\"a\":" T("[5]", "0", "24") "}", "(5)"},
    {"product overflows",
     "{\"a\":" T("[4294967296,4294967296,6]", "0", "24") "}", "does not fill"},
    {"product wraps to 6",
     "{\"a\":" T("[4611686018427387905,4,6]", "0", "24") "}", "does not fill"},
    {"negative shape", "{\"a\":" T("[-2,-3]", "0", "24") "}", "sizes"},
    {"shape of fractions", "{\"a\":" T("[6.0]", "0", "24") "}", "sizes"},
    {"shape is a number", "{\"a\":" T("6", "0", "24") "}", "shape"},
    {"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,24]}}",
     "shape"},
    {"seven dimensions", "{\"a\":" T("[1,1,1,1,1,1,6]", "0", "24") "}",
     "7 dimensions"},
    {"unknown dtype",
     "{\"a\":{\"dtype\":\"F99\",\"shape\":[6],\"data_offsets\":[0,24]}}",
     "'F99'"},
    {"dtype of another width",
     "{\"a\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,24]}}",
     "F16"},
    {"dtype is a number",
     "{\"a\":{\"dtype\":32,\"shape\":[6],\"data_offsets\":[0,24]}}", "dtype"},
    {"no dtype", "{\"a\":{\"shape\":[6],\"data_offsets\":[0,24]}}", "dtype"},
    {"an entry that is a list", "{\"a\":[]}", "dtype"},
    {"two of a name",
     "{\"a\":" T("[3]", "0", "12") ",\"a\":" T("[3]", "12", "24") "}",
     "header"},
    {"metadata of numbers",
     "{\"__metadata__\":{\"n\":1},\"a\":" T("[6]", "0", "24") "}",
     "__metadata__"},
    {"metadata is a list",
     "{\"__metadata__\":[],\"a\":" T("[6]", "0", "24") "}", "__metadata__"},
    {"no object", "[1,2,3]", "object"},
    {"no json", "{nonsense}", "header"},
    {"two objects", "{\"a\":" T("[6]", "0", "24") "}{}", "header"},
    {"no utf-8", "{\"\xff\xfe\":" T("[6]", "0", "24") "}", "header"},
    {"nothing in the header", "{}", "end at byte 0"},
};

static void the_format_is_kept(void) {
  lun_err err;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    int s = try_header(refused[i].header, six, sizeof six, &err);
    CHECK(s == LUN_EFORMAT, "%s: %d", refused[i].what, s);
    CHECK(strstr(err.msg, refused[i].says), "%s: %s", refused[i].what, err.msg);
  }
}

/* Eight bytes say what should follow, seven do not even do that. */
static void a_length_and_nothing_else(void) {
  static const unsigned char file[8] = {24};
  lun_err err;
  CHECK(try_bytes(file, 8, &err) == LUN_EFORMAT &&
            strstr(err.msg, "a header of 24 bytes in a file of 8"),
        "%s", err.msg);
  CHECK(try_bytes(file, 7, &err) == LUN_EFORMAT &&
            strstr(err.msg, "shorter than its 8-byte length"),
        "%s", err.msg);
}

static void odd_but_allowed(void) {
  lun_err err;
  CHECK(try_header("{\"s\":" T("[]", "0", "4") "}", six, 4, &err) == LUN_OK,
        "a scalar: %s", err.msg);
  CHECK(try_header("{\"z\":" T("[0,3]", "0", "0") "}", six, 0, &err) == LUN_OK,
        "no values: %s", err.msg);
  CHECK(try_header("{\"a\":" T("[6]", "0", "24") "}   ", six, 24, &err) ==
            LUN_OK,
        "padding: %s", err.msg);
  CHECK(try_header("{\"a\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":"
                   "[0,24]}}",
                   six, 24, &err) == LUN_OK,
        "integers are listed: %s", err.msg);
  CHECK(try_header("{}", NULL, 0, &err) == LUN_OK, "no tensors: %s", err.msg);
  CHECK(try_header("{\"c\":" T("[2]", "16", "24") ",\"a\":" T(
                       "[1]", "0", "4") ",\"b\":" T("[3]", "4", "16") "}",
                   six, 24, &err) == LUN_OK,
        "in any order: %s", err.msg);
}

/* A header as deep as the parser goes, and deeper. */
static void deep_nesting_is_refused(void) {
  static unsigned char file[100100];
  size_t n = 100000;
  lun_err err;
  for (int i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)n >> (8 * i));
  file[8] = '{';
  memcpy(file + 9, "\"a\":", 4);
  memset(file + 13, '[', n - 5);
  CHECK(try_bytes(file, n + 8, &err) == LUN_EFORMAT, "%s", err.msg);
}

static void lying_lengths_are_refused(void) {
  unsigned char file[64] = {0};
  lun_err err;
  file[8] = '{', file[9] = '}';
  for (int byte = 0; byte < 8; byte++) {
    memset(file, 0, 8);
    file[byte] = 0xFF;
    CHECK(try_bytes(file, sizeof file, &err) == LUN_EFORMAT, "byte %d", byte);
  }
  memset(file, 0, 8);
  CHECK(try_bytes(file, sizeof file, &err) == LUN_EFORMAT, "length 0");
}

static void what_is_no_file(void) {
  lun_weights *w;
  lun_err err;
  char fifo[80];
  snprintf(fifo, sizeof fifo, "%s/fifo", folder);
  CHECK(lun_weights_open(&w, "/nonexistent/x", &err) == LUN_EIO && !w, "%s",
        err.msg);
  CHECK(strstr(err.msg, "/nonexistent/x"), "%s", err.msg);
  CHECK(lun_weights_open(&w, folder, &err) == LUN_EFORMAT && !w, "%s", err.msg);
  write_bytes("", 0);
  CHECK(lun_weights_open(&w, path, &err) == LUN_EFORMAT && !w, "%s", err.msg);
  CHECK(strstr(err.msg, "empty"), "%s", err.msg);
  CHECK(mkfifo(fifo, 0600) == 0, "mkfifo"); /* must not wait for a writer */
  CHECK(lun_weights_open(&w, fifo, &err) == LUN_EFORMAT && !w, "%s", err.msg);
  unlink(fifo);
}

/* ---- values ------------------------------------------------------------- */

static uint32_t bits(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

/* IEEE 754 binary16, from the standard's table. */
static const struct {
  uint16_t h;
  uint32_t f;
} halves[] = {
    {0x0000, 0x00000000}, {0x8000, 0x80000000}, /* zeros */
    {0x0001, 0x33800000},                       /* 2^-24 */
    {0x03FF, 0x387FC000},                       /* largest subnormal */
    {0x0400, 0x38800000},                       /* 2^-14 */
    {0x3555, 0x3EAAA000},                       /* 0.333251953125 */
    {0x3C00, 0x3F800000}, {0xC000, 0xC0000000}, /* 1, -2 */
    {0x3C01, 0x3F802000}, {0x7BFF, 0x477FE000}, /* 1 + 2^-10, 65504 */
    {0x7C00, 0x7F800000}, {0xFC00, 0xFF800000}, /* infinities */
};

static void halves_convert(void) {
  for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
    float x;
    memcpy(&x, &halves[i].f, sizeof x);
    CHECK(bits(lun_half_to_float(halves[i].h)) == halves[i].f, "%04x -> %08x",
          halves[i].h, bits(lun_half_to_float(halves[i].h)));
    CHECK(lun_float_to_half(x) == halves[i].h, "%08x -> %04x", halves[i].f,
          lun_float_to_half(x));
  }
  for (unsigned h = 0; h < 0x10000; h++) { /* there and back, all of them */
    float x = lun_half_to_float((uint16_t)h);
    if (x == x)
      CHECK(lun_float_to_half(x) == h, "%04x -> %04x", h, lun_float_to_half(x));
    else
      CHECK((lun_float_to_half(x) & 0x7C00) == 0x7C00, "%04x", h);
  }
}

static void halves_round_to_even(void) {
  static const struct {
    float x;
    uint16_t h;
  } r[] = {
      {1.00048828125f, 0x3C00},  /* half way between 1 and 1 + 2^-10 */
      {1.00146484375f, 0x3C02},  /* half way, the upper one is even */
      {1.000488758f, 0x3C01},    /* a little above half way */
      {65519.996f, 0x7BFF},      /* below half way to 65536 */
      {65520.0f, 0x7C00},        /* half way: to infinity */
      {1e30f, 0x7C00},           /* far out */
      {2.98023224e-8f, 0x0000},  /* 2^-25, half way between 0 and 2^-24 */
      {2.98023259e-8f, 0x0001},  /* a little above */
      {8.94069672e-8f, 0x0002},  /* 1.5 * 2^-24: to the even 2 */
      {6.10053539e-5f, 0x0400},  /* subnormal that rounds up to normal */
      {-1.00048828125f, 0xBC00}, /* signs */
      {1e-45f, 0x0000},          /* a subnormal float */
  };
  for (size_t i = 0; i < sizeof r / sizeof *r; i++)
    CHECK(lun_float_to_half(r[i].x) == r[i].h, "%.9g -> %04x, expected %04x",
          (double)r[i].x, lun_float_to_half(r[i].x), r[i].h);
}

/* Every dtype behind a byte that spoils the alignment. */
static void dtypes_are_widened(void) {
  static const char *const type[] = {"F32", "F16", "BF16", "F64"};
  static const unsigned char f32[] = {0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0};
  static const unsigned char f16[] = {0, 0x3E, 0, 0xC0};
  static const unsigned char bf16[] = {0xC0, 0x3F, 0, 0xC0};
  static const unsigned char f64[] = {0, 0, 0, 0, 0, 0, 0xF8, 0x3F,
                                      0, 0, 0, 0, 0, 0, 0,    0xC0};
  static const unsigned char *const data[] = {f32, f16, bf16, f64};
  static const size_t bytes[] = {sizeof f32, sizeof f16, sizeof bf16,
                                 sizeof f64};
  for (int k = 0; k < 4; k++)
    for (int pad = 0; pad < 5; pad++) {
      unsigned char file[512], values[32] = {9};
      char header[256], spaces[8] = "       ";
      lun_weights *w;
      lun_tensor *t = NULL;
      lun_err err = {0, ""};
      memcpy(values + 1, data[k], bytes[k]);
      spaces[pad] = 0;
      snprintf(header, sizeof header,
               "{\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
               "\"v\":{\"dtype\":\"%s\",\"shape\":[2],\"data_offsets\":[1,%zu]"
               "}}%s",
               type[k], bytes[k] + 1, spaces);
      write_bytes(file, build(file, header, values, bytes[k] + 1));
      CHECK(lun_weights_open(&w, path, &err) == LUN_OK, "%s", err.msg);
      if (!w) continue;
      CHECK(lun_weights_tensor(w, 0, &t, &err) == LUN_EFORMAT && !t, "U8");
      CHECK(strstr(err.msg, "U8"), "%s", err.msg);
      CHECK(lun_weights_tensor(w, 1, &t, &err) == LUN_OK, "%s", err.msg);
      CHECK(bits(t->data[0]) == 0x3FC00000 && bits(t->data[1]) == 0xC0000000,
            "%s: %g %g", type[k], (double)t->data[0], (double)t->data[1]);
      CHECK((uintptr_t)t->data % sizeof(float) == 0, "aligned");
      lun_tensor_release(t);
      lun_weights_release(w);
    }
}

/* ---- writing ------------------------------------------------------------ */

static lun_tensor *filled(int ndim, const int64_t *dim, float step) {
  lun_tensor *t;
  if (lun_tensor_new(&t, ndim, dim, NULL) != LUN_OK) abort();
  for (int64_t i = 0; i < t->size; i++) t->data[i] = (float)i * step - 1;
  return t;
}

static void what_is_written_is_read(void) {
  static const char *const names[] = {"conv.weight", "b", "empty"};
  static const char *const meta[] = {"model", "tiny \"x\" \xC3\xA9", NULL};
  int64_t four[4] = {2, 3, 5, 7}, one[1] = {2000}, none[2] = {0, 4};
  lun_tensor *t[3] = {filled(4, four, 0.25f), filled(1, one, 0.5f),
                      filled(2, none, 1)};
  for (int half = 0; half <= 1; half++) {
    lun_weights *w;
    lun_err err = {0, ""};
    const char *key, *value;
    CHECK(lun_weights_write(path, 3, names, t, half ? LUN_F16 : LUN_F32, meta,
                            &err) == LUN_OK,
          "%s", err.msg);
    CHECK(lun_weights_open(&w, path, &err) == LUN_OK, "%s", err.msg);
    if (!w) continue;
    CHECK(lun_weights_count(w) == 3, "%d", lun_weights_count(w));
    CHECK(lun_weights_meta(w, 0, &key, &value) && strcmp(value, meta[1]) == 0,
          "metadata");
    for (int i = 0; i < 3; i++) {
      int k = 0;
      lun_tensor *got;
      while (strcmp(lun_weights_entry(w, i)->name, names[k]) != 0) k++;
      CHECK(lun_weights_tensor(w, i, &got, &err) == LUN_OK, "%s", err.msg);
      CHECK(lun_tensor_same_shape(got, t[k]), "%s", names[k]);
      CHECK(memcmp(got->data, t[k]->data, (size_t)got->size * 4) == 0,
            "%s: quarters and halves up to 1000 are exact in F16 too",
            names[k]);
      CHECK(half || !got->size || got->readonly, "mapped");
      lun_tensor_release(got);
    }
    lun_weights_release(w);
  }
  for (int i = 0; i < 3; i++) lun_tensor_release(t[i]);
}

static void bad_writes_change_nothing(void) {
  static const char *const twice[] = {"a", "a"}, *const odd[] = {"a", "\xff"};
  static const char *const bad_meta[] = {"k", "\xff", NULL};
  int64_t one[1] = {3};
  lun_tensor *t[2] = {filled(1, one, 1), filled(1, one, 2)};
  lun_err err;
  struct stat st;
  char where[128];
  write_bytes("old", 3);
  CHECK(lun_weights_write(path, 2, twice, t, LUN_F32, NULL, &err) == LUN_EARG,
        "two of a name");
  CHECK(strstr(err.msg, "'a'"), "%s", err.msg);
  CHECK(lun_weights_write(path, 2, odd, t, LUN_F32, NULL, &err) == LUN_EARG,
        "a name that is no UTF-8");
  CHECK(lun_weights_write(path, 1, odd, t, LUN_F32, bad_meta, &err) == LUN_EARG,
        "metadata that is no UTF-8");
  CHECK(stat(path, &st) == 0 && st.st_size == 3, "the old file is there");
  snprintf(where, sizeof where, "%s/no/such/folder", folder);
  CHECK(lun_weights_write(where, 1, twice, t, LUN_F32, NULL, &err) == LUN_EIO,
        "%s", err.msg);
  CHECK(strstr(err.msg, "No such file"), "%s", err.msg);
  CHECK(lun_weights_write(folder, 1, twice, t, LUN_F32, NULL, &err) == LUN_EIO,
        "a folder of that name: %s", err.msg);
  lun_tensor_release(t[0]);
  lun_tensor_release(t[1]);
}

/* Opening and reading with every allocation refused once. */
static void no_refusal_leaks(void) {
  unsigned char file[1024];
  size_t base = lun_mem().blocks;
  lun_err err;
  write_bytes(file, build(file, good, six, sizeof six));
  for (long n = 1; n < 12; n++) {
    lun_weights *w;
    lun_tensor *t = NULL;
    lun_mem_fail_at(n);
    if (lun_weights_open(&w, path, &err) == LUN_OK)
      lun_weights_tensor(w, 0, &t, &err);
    lun_mem_fail_at(0);
    lun_tensor_release(t);
    lun_weights_release(w);
    CHECK(lun_mem().blocks == base, "allocation %ld", n);
  }
}

/* ---- whatever comes ----------------------------------------------------- */

static void leave_no_files(void) {
  unlink(path);
  CHECK(rmdir(folder) == 0, "temporary files are left in %s", folder);
}

int main(void) {
  if (!mkdtemp(folder)) {
    strcpy(folder, "/tmp/lunette_XXXXXX");
    if (!mkdtemp(folder)) abort();
  }
  snprintf(path, sizeof path, "%s/f.safetensors", folder);
  TESTS {
    TEST(a_good_file_is_read());
    TEST(every_truncation_is_refused());
    TEST(flipped_bits_do_no_harm());
    TEST(the_format_is_kept());
    TEST(a_length_and_nothing_else());
    TEST(odd_but_allowed());
    TEST(deep_nesting_is_refused());
    TEST(lying_lengths_are_refused());
    TEST(what_is_no_file());
    TEST(halves_convert());
    TEST(halves_round_to_even());
    TEST(dtypes_are_widened());
    TEST(what_is_written_is_read());
    TEST(bad_writes_change_nothing());
    TEST(no_refusal_leaks());
  }
  leave_no_files();
  DONE("safetensors");
}
