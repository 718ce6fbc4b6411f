/*
** reader.c - opens a file with the reader of its format, which is told by what
** the file holds, never by what it is called.
*/
#include "import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int is_other(const char *what, lun_err *err) {
  return lun_fail(err, LUN_EFORMAT,
                  "no model file (HDF5, .pth, safetensors, ONNX): it is %s",
                  what);
}

/* What else people hand in, and what would do instead: bytes at a place. */
static const struct {
  size_t at, len;
  const char *bytes, *what;
} known[] = {
    {257, 5, "ustar", "a tar archive (torch before 0.2, or a packed model)"},
    {0, 2, "\x1f\x8b", "gzip data: unpack it first"},
    {0, 3, "BZh", "bzip2 data: unpack it first"},
    {0, 6,
     "\xfd"
     "7zXZ",
     "xz data: unpack it first"},
    {0, 4, "\x28\xb5\x2f\xfd", "zstd data: unpack it first"},
    {0, 4, "7z\xbc\xaf", "a 7z archive: unpack it first"},
    {0, 4, "Rar!", "a RAR archive: unpack it first"},
    {0, 2, "\xff\xd8", "a JPEG picture"},
    {0, 4, "\x89PNG", "a PNG picture"},
    {0, 4, "%PDF", "a PDF document"},
    {0, 4,
     "\x7f"
     "ELF",
     "a program"},
    {0, 6, "\x93NUMPY", "a NumPy array, without names: take the model's file"},
    {0, 6, "MATLAB", "a MATLAB file"},
    {0, 4, "GGUF", "a GGUF file"},
    {4, 4, "TFL3",
     "a TensorFlow Lite file: take the Keras model that it was made of"},
    {0, 22, "model_checkpoint_path:",
     "the list of a TensorFlow checkpoint: build the model, load its "
     "weights, "
     "model.save('x.keras')"},
    {0, 2, "\x80\x02", "a pickle, but not one that torch.save wrote"},
    {0, 2, "\x80\x03", "a pickle, but not one that torch.save wrote"},
    {0, 2, "\x80\x04", "a pickle, but not one that torch.save wrote"},
    {0, 2, "\x80\x05", "a pickle, but not one that torch.save wrote"},
    {0, 4, "ORTM", "onnxruntime's own format: take the .onnx it was made of"},
    {4, 4, "ORTM", "onnxruntime's own format: take the .onnx it was made of"},
    {0, 15, "version https:/",
     "a Git LFS pointer, not the file itself: `git lfs pull` fetches it"},
};

/* The same of texts, by how they begin and what they hold. */
static const struct {
  const char *begins, *holds, *what;
} texts[] = {
    {"<", "",
     "a web page, perhaps of a failed download: download the file again"},
    {"{", "\"weight_map\"",
     "the list of a model in several files: join them into one safetensors"},
    {"{", "\"modelTopology\"",
     "a model of TensorFlow.js: take the Keras model that it was made of"},
    {"{", "", "JSON text, perhaps a server's answer: download the file again"},
};

/* What a text is, behind a byte order mark and blanks; NULL where none is known. */
static const char *text_of(const uint8_t *head, size_t n) {
  size_t at = n >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  while (at < n && strchr(" \t\r\n", head[at]) && head[at]) at++;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    if (at < n && head[at] == (uint8_t)texts[i].begins[0] &&
        memmem(head + at, n - at, texts[i].holds, strlen(texts[i].holds)))
      return texts[i].what;
  return NULL;
}

/* Says what a file is that is no model, and what would do. */
static int refuse(const uint8_t *head, size_t n, lun_err *err) {
  const char *text = text_of(head, n);
  if (text) return is_other(text, err);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (known[i].at + known[i].len <= n &&
        memcmp(head + known[i].at, known[i].bytes, known[i].len) == 0)
      return is_other(known[i].what, err);
  return lun_fail(
      err, LUN_EFORMAT,
      "no model file: neither HDF5 (Keras), .pth, safetensors nor ONNX");
}

static int detect(imp_file *f, lun_err *err) {
  uint8_t head[512];
  size_t n = f->size < 512 ? (size_t)f->size : 512;
  LUN_TRY(imp_read_at(f, head, n, 0, err));
  if (n >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0)
    return imp_read_hdf5(f, 0, f->size, err);
  if (n >= 4 && memcmp(head, "PK\3\4", 4) == 0) return imp_read_zip(f, err);
  if (imp_is_legacy(head, n)) return imp_read_legacy(f, err);
  if (n >= 10 && head[8] == '{') return imp_read_safetensors(f, err);
  if (imp_is_onnx(f)) return imp_read_onnx(f, err);
  return refuse(head, n, err);
}

int imp_open(imp_file *f, int fd, lun_err *err) {
  return imp_open_with(f, fd, -1, err);
}

int imp_open_with(imp_file *f, int fd, int scratch, lun_err *err) {
  struct stat st;
  memset(f, 0, sizeof *f);
  f->fd = fd;
  f->h5 = -1;
  f->outside = -1;
  f->scratch = scratch;
  if (fstat(fd, &st) != 0)
    return lun_fail(err, LUN_EIO, "stat: %s", strerror(errno));
  if (!S_ISREG(st.st_mode)) return lun_fail(err, LUN_EIO, "not a regular file");
  f->size = st.st_size;
  if (f->size == 0) return lun_fail(err, LUN_EFORMAT, "the file is empty");
  return detect(f, err);
}

void imp_close(imp_file *f) {
  imp_hdf5_close(f);
  while (f->arena) {
    imp_block *next = f->arena->next;
    free(f->arena);
    f->arena = next;
  }
  f->count = f->nmeta = f->meta_room = 0;
}
