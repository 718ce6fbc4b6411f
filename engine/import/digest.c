/*
** digest.c - checksums of whole files: SHA-256 and MD5 (by which Keras names
** its files) from libcrypto, which uses the processor's instructions for them.
*/
#include "import.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int feed(EVP_MD_CTX *c, int fd, lun_err *err) {
  enum { STEP = 1 << 18 };
  char *buf = malloc(STEP);
  ssize_t n = 0;
  int64_t at = 0;
  int ok = buf != NULL;
  while (ok && (n = pread(fd, buf, STEP, at)) > 0) {
    ok = EVP_DigestUpdate(c, buf, (size_t)n);
    at += n;
  }
  free(buf);
  return ok && n == 0 ? LUN_OK : lun_fail(err, LUN_EIO, "cannot read the file");
}

int imp_digest(int fd, const char *algo, char *hex, lun_err *err) {
  const EVP_MD *md = EVP_get_digestbyname(algo);
  EVP_MD_CTX *c = EVP_MD_CTX_new();
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  int status;
  hex[0] = '\0';
  if (md == NULL || c == NULL || !EVP_DigestInit_ex(c, md, NULL))
    status = lun_fail(err, LUN_ENAME, "no checksum '%s' in libcrypto", algo);
  else
    status = feed(c, fd, err);
  if (status == LUN_OK && EVP_DigestFinal_ex(c, sum, &n) && n <= 32)
    for (unsigned i = 0; i < n; i++) sprintf(hex + 2 * i, "%02x", sum[i]);
  EVP_MD_CTX_free(c);
  return status;
}
