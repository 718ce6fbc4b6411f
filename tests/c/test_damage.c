/*
** test_damage.c - the readers of model files on cut and flipped files of every
** layout, each in a confined process of its own: a cut file is refused with a
** message, a flipped one is refused or is still a list of tensors; nothing
** crashes or takes long.  (tests/lua/import_spec.lua sees some of them through
** the whole program.)
*/
#include "../../engine/import/import.h"
#include "check.h"

#include <jansson.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CUTS = 16, FLIPS = 20, HEADER = 3000, MOST = 1 << 16 };

/* What a process may find: all tensors, or a reason why not. */
enum { READ = 1000, REFUSED, SILENT, NO_JAIL };

static const char *const layout[] = {
    "keras.h5",         "keras_model.h5",      "keras3.weights.h5",
    "zip.pth",          "legacy.pth",          "torchvision.safetensors",
    "timm.safetensors", "lunette.safetensors", "archive.keras",
};
enum { LAYOUTS = sizeof layout / sizeof *layout };

typedef struct bytes {
  unsigned char at[MOST];
  size_t n;
} bytes;

static bytes whole_file(const char *name) {
  static bytes b;
  char path[100];
  FILE *f;
  snprintf(path, sizeof path, "tests/data/import/%s", name);
  f = fopen(path, "rb");
  CHECK(f != NULL, "%s is missing", path);
  b.n = f ? fread(b.at, 1, MOST, f) : 0;
  CHECK(b.n > 0 && b.n < MOST, "%s: %zu bytes", path, b.n);
  if (f) fclose(f);
  return b;
}

static int read_tensors(int fd, int out, lun_err *err) {
  imp_file f;
  imp_out o = {.fd = out};
  int status = imp_open(&f, fd, err);
  for (int i = 0; status == LUN_OK && i < f.count; i++) {
    const imp_tensor *t = &f.tensor[i];
    imp_view v = {.ndim = t->ndim};
    memcpy(v.dim, t->dim, sizeof v.dim);
    memcpy(v.stride, t->stride, sizeof v.stride);
    status = imp_copy(&f, t, &v, LUN_F32, &o, err);
  }
  imp_end(&o, NULL);
  imp_close(&f);
  return status;
}

/* READ, REFUSED ..., or the signal that ended the process. */
static int fate(const bytes *b) {
  int fd = memfd_create("in", 0), out = memfd_create("out", 0), wstatus;
  pid_t pid;
  if (write(fd, b->at, b->n) != (ssize_t)b->n) abort();
  pid = fork();
  if (pid == 0) {
    lun_err err = {0, ""};
    imp_limits l = {.memory = 256 << 20, .cpu_seconds = 0.7};
    l.file_bytes = 1 << 20;
    l.out[0] = out;
    l.out[1] = -1;
    if (imp_confine(&l, NULL) != LUN_OK) _exit(NO_JAIL - READ);
    if (read_tensors(fd, out, &err) == LUN_OK) _exit(0);
    _exit((err.msg[0] ? REFUSED : SILENT) - READ);
  }
  waitpid(pid, &wstatus, 0);
  close(fd);
  close(out);
  return WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) : READ + WEXITSTATUS(wstatus);
}

static void whole_files_are_read(void) {
  for (int i = 0; i < LAYOUTS; i++) {
    bytes b = whole_file(layout[i]);
    CHECK(fate(&b) == READ, "%s: %d", layout[i], fate(&b));
  }
}

/* Half of the cuts are in the first 4 KB, where headers are; the last lacks
** one byte. */
static void cut_files_are_refused(void) {
  for (int i = 0; i < LAYOUTS; i++) {
    bytes b = whole_file(layout[i]);
    size_t all = b.n;
    for (size_t cut = 0; cut <= CUTS; cut++) {
      b.n = cut < 8 ? cut * 511 : all * (2 * cut - 14) / 17;
      if (cut == CUTS || b.n >= all) b.n = all - 1;
      CHECK(fate(&b) == REFUSED, "%s cut to %zu of %zu bytes: %d", layout[i],
            b.n, all, fate(&b));
    }
  }
}

/* A flip may hit padding or a weight: then the file is still a list. */
static void flipped_files_do_no_harm(void) {
  unsigned state = 1;
  int refused = 0;
  for (int i = 0; i < LAYOUTS; i++) {
    bytes b = whole_file(layout[i]);
    for (int flip = 0; flip < FLIPS; flip++) {
      unsigned char bit;
      size_t at;
      int end;
      state = state * 1103515245u + 12345u;
      at = (state >> 16) % (b.n < HEADER ? b.n : HEADER);
      bit = (unsigned char)(1 << (state >> 8 & 7));
      b.at[at] ^= bit;
      end = fate(&b);
      CHECK(end == READ || end == REFUSED, "%s, byte %zu ^ %d: %d", layout[i],
            at, bit, end);
      refused += end == REFUSED;
      b.at[at] ^= bit;
    }
  }
  CHECK(refused > LAYOUTS * FLIPS / 4, "only %d are refused", refused);
}

int main(void) {
  /* what the program does before it is confined (main.c) */
  CHECK(imp_hdf5_start(NULL) == LUN_OK, "libhdf5 does not start");
  json_object_seed(0);
  TESTS {
    TEST(whole_files_are_read());
    TEST(cut_files_are_refused());
    TEST(flipped_files_do_no_harm());
  }
  DONE("test_damage");
}
