/*
** err.c - the one way that the core reports a failure.
*/
#include <stdarg.h>
#include <stdio.h>

#include "lunette.h"

int lun_fail(lun_err *err, int code, const char *fmt, ...) {
  if (err) {
    va_list ap;
    err->code = code;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
  }
  return code;
}
