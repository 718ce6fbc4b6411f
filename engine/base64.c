/*
** base64.c - bytes as text (RFC 4648), for pictures that travel in text.
*/
#include "core.h"

static const char letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t lun_base64_size(size_t n) { return (n + 2) / 3 * 4; }

void lun_base64(char *out, const uint8_t *bytes, size_t n) {
  for (size_t i = 0; i < n; i += 3, out += 4) {
    size_t left = n - i;
    uint32_t v = (uint32_t)bytes[i] << 16;
    if (left > 1) v |= (uint32_t)bytes[i + 1] << 8;
    if (left > 2) v |= bytes[i + 2];
    out[0] = letters[v >> 18];
    out[1] = letters[v >> 12 & 63];
    out[2] = left > 1 ? letters[v >> 6 & 63] : '=';
    out[3] = left > 2 ? letters[v & 63] : '=';
  }
}
