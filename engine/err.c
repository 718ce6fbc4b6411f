/*
** err.c - the one way that the core reports a failure.
*/
#include <stdarg.h>
#include <stdio.h>

#include "lunette.h"

/* What a terminal acts on, in a name that the message quotes, becomes "?":
** control characters but line ends and tabs, C1 controls in UTF-8. */
static void make_plain(char *s) {
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];
    int c1 = c == 0xc2 && next >= 0x80 && next <= 0x9f;
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || c1) *s = '?';
    if (c1) *++s = '?';
  }
}

int lun_fail(lun_err *err, int code, const char *fmt, ...) {
  if (err) {
    va_list ap;
    err->code = code;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    make_plain(err->msg);
  }
  return code;
}
