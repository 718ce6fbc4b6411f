/*
** fuzz_plan.c - plans: read through imp_read_plan, followed over one fixed file
** of four tensors.
*/
#include "../../engine/import/import.h"
#include "budget.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int plan_fd, out;
static imp_file f;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static const char head[] =
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[4,6],\"data_offsets\":[0,96]},"
      "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3,2,2],\"data_offsets\":[96,144]},"
      "\"c\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[144,152]},"
      "\"d\":{\"dtype\":\"BF16\",\"shape\":[0,5],\"data_offsets\":[152,152]}}";
  static char file[sizeof head + 8 + 152];
  int fd = memfd_create("m", 0);
  lun_err err;
  (void)argc, (void)argv;
  out = memfd_create("o", 0);
  plan_fd = memfd_create("p", 0);
  file[0] = (char)((sizeof head - 1) & 255);
  file[1] = (char)((sizeof head - 1) >> 8);
  memcpy(file + 8, head, sizeof head - 1);
  if (write(fd, file, sizeof file - 1) != (ssize_t)sizeof file - 1) abort();
  if (imp_open(&f, fd, &err) != LUN_OK) abort();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  lun_err err = {0, ""};
  char *plan, *copy;
  size_t got;
  budget_begin();
  if (ftruncate(plan_fd, 0) || pwrite(plan_fd, p, n, 0) != (ssize_t)n ||
      lseek(plan_fd, 0, SEEK_SET))
    abort();
  if (imp_read_plan(plan_fd, &plan, &got, &err) != LUN_OK || got != n) abort();
  copy = malloc(n ? n : 1); /* exactly n: reading past its end shows */
  if (n) memcpy(copy, plan, n);
  free(plan);
  if (imp_write(&f, copy, n, out, &err) != LUN_OK && !err.msg[0]) abort();
  if (ftruncate(out, 0) || lseek(out, 0, SEEK_SET)) abort();
  free(copy);
  return 0;
}
