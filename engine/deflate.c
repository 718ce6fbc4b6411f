/*
** deflate.c - a zlib stream (RFC 1950, 1951) for PNG files.
**
** LZ77 over a window of 32 KiB: three bytes are hashed to the place where
** they last stood, chains link earlier places, and a match is held back one
** step in case the next byte begins a longer one.  Every block has its own
** Huffman codes, at most 15 bits long.
**
** Why not stb_image_write: it has fixed codes only (photographs come out a
** third larger) and does not survive an allocator that refuses.
*/
#include <stdlib.h>
#include <string.h>

#include "image.h"

enum {
  WINDOW = 32768,
  HASHBITS = 15,
  MINMATCH = 3,
  MAXMATCH = 258,
  CHAIN = 24,     /* places looked at per match */
  ENOUGH = 96,    /* a match this long is taken at once */
  TOKENS = 32768, /* per block */
  LITERALS = 288, /* symbols 0..255 bytes, 256 end, 257.. lengths */
  DISTANCES = 30,
  LENGTHS = 19, /* symbols of the code for the code lengths */
  MAXBITS = 15,
};

typedef struct packer {
  const uint8_t *in;
  size_t n;
  int32_t head[1 << HASHBITS]; /* last place of a hash, -1: none */
  int32_t prev[WINDOW];        /* the place before, by place % WINDOW */
  /* one token: literal byte, or length << 16 | distance (length > 0) */
  uint32_t token[TOKENS];
  int tokens;
  uint32_t lit_count[LITERALS], dist_count[DISTANCES];
  uint8_t *out;
  size_t len, cap;
  uint64_t bits; /* waiting to be written, lowest first */
  int nbits;
  int refused; /* an allocation failed: write nothing more */
} packer;

/* ---- bits --------------------------------------------------------------- */

static void put_byte(packer *p, uint8_t byte) {
  if (p->len == p->cap && !p->refused) {
    size_t cap = p->cap ? p->cap * 2 : 65536;
    uint8_t *bigger = lun_malloc(cap);
    if (bigger && p->out) memcpy(bigger, p->out, p->len);
    p->refused = !bigger;
    if (bigger) {
      lun_free(p->out);
      p->out = bigger;
      p->cap = cap;
    }
  }
  if (!p->refused) p->out[p->len++] = byte;
}

static void put(packer *p, uint32_t value, int count) {
  p->bits |= (uint64_t)value << p->nbits;
  p->nbits += count;
  while (p->nbits >= 8) {
    put_byte(p, (uint8_t)p->bits);
    p->bits >>= 8;
    p->nbits -= 8;
  }
}

/* ---- Huffman codes ------------------------------------------------------ */

typedef struct symbol {
  uint32_t count;
  int id;
} symbol;

static int rarer(const void *a, const void *b) {
  const symbol *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? -1 : 1;
  return x->id - y->id; /* the same code for the same input everywhere */
}

/* How many codes of each length an unlimited Huffman code over the n sorted
** counts has; lengths over MAXBITS are put down as MAXBITS. */
static void tree_lengths(const symbol *sorted, int n, int *per_length,
                         int most) {
  uint32_t weight[2 * LITERALS];
  int parent[2 * LITERALS], depth[2 * LITERALS];
  int leaf = 0, node = n, made = n;
  for (int i = 0; i < n; i++) weight[i] = sorted[i].count;
  for (; made < 2 * n - 1; made++) {
    weight[made] = 0;
    for (int k = 0; k < 2; k++) { /* the two lightest, leaves first */
      int take = node >= made || (leaf < n && weight[leaf] <= weight[node])
                     ? leaf++
                     : node++;
      weight[made] += weight[take];
      parent[take] = made;
    }
  }
  depth[2 * n - 2] = 0;
  for (int i = 2 * n - 3; i >= 0; i--) {
    depth[i] = depth[parent[i]] + 1;
    if (i < n) per_length[depth[i] < most ? depth[i] : most]++;
  }
}

/* Cutting long codes oversubscribes the code space; lengthen shorter codes
** until sum 2^-length fits 1 again. */
static void fit_lengths(int *per_length, int most) {
  uint32_t used = 0;
  for (int l = 1; l <= most; l++) used += (uint32_t)per_length[l] << (most - l);
  while (used > 1u << most) {
    int l = most - 1;
    while (!per_length[l]) l--;
    per_length[l]--; /* one code of l bits makes room for two of l + 1, */
    per_length[l + 1] += 2; /* of which one comes from the longest */
    per_length[most]--;
    used--;
  }
}

/* Code lengths for counts[0 .. n-1], at most `most` bits; 0: unused. */
static void code_lengths(uint8_t *length, const uint32_t *counts, int n,
                         int most) {
  symbol sorted[LITERALS];
  int used = 0, per_length[MAXBITS + 1] = {0};
  memset(length, 0, (size_t)n);
  for (int i = 0; i < n; i++)
    if (counts[i]) sorted[used++] = (symbol){counts[i], i};
  if (used < 2) { /* a code needs a bit even for one symbol */
    if (used) length[sorted[0].id] = 1;
    return;
  }
  qsort(sorted, (size_t)used, sizeof *sorted, rarer);
  tree_lengths(sorted, used, per_length, most);
  fit_lengths(per_length, most);
  for (int l = most, i = 0; l >= 1; l--) /* the rarest get the longest */
    for (int k = 0; k < per_length[l]; k++) length[sorted[i++].id] = (uint8_t)l;
}

/* Canonical codes of the lengths, bits reversed as the stream wants them. */
static void codes_of(uint16_t *code, const uint8_t *length, int n) {
  uint32_t next[MAXBITS + 2] = {0}, count[MAXBITS + 1] = {0};
  for (int i = 0; i < n; i++) count[length[i]]++;
  count[0] = 0;
  for (int l = 1; l <= MAXBITS; l++) next[l + 1] = (next[l] + count[l]) << 1;
  for (int i = 0; i < n; i++) {
    uint32_t c = length[i] ? next[length[i]]++ : 0, reversed = 0;
    for (int b = 0; b < length[i]; b++)
      reversed |= (c >> b & 1) << (length[i] - 1 - b);
    code[i] = (uint16_t)reversed;
  }
}

/* ---- lengths and distances as symbols (RFC 1951, 3.2.5) ----------------- */

static const uint16_t len_base[29] = {
    3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
    31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint16_t dist_base[DISTANCES] = {
    1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
    33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
    1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};

static int len_extra(int s) { return s < 8 || s == 28 ? 0 : s / 4 - 1; }
static int dist_extra(int s) { return s < 2 ? 0 : s / 2 - 1; }

/* Last entry of an ascending table that is not above v. */
static int slot(const uint16_t *base, int n, uint32_t v) {
  int lo = 0, hi = n;
  while (hi - lo > 1) {
    int mid = (lo + hi) / 2;
    if (base[mid] <= v)
      lo = mid;
    else
      hi = mid;
  }
  return lo;
}

/* ---- a block ------------------------------------------------------------ */

typedef struct tables {
  uint8_t length[LITERALS + DISTANCES]; /* literals, then distances */
  uint16_t lit[LITERALS], dist[DISTANCES];
  int nlit, ndist;
} tables;

/* Code lengths, run-length coded: 16 repeats the last, 17 and 18 zeros. */
typedef struct run {
  uint8_t symbol, extra, bits;
} run;

static int run_lengths(run *r, const uint8_t *length, int n) {
  int made = 0;
  for (int i = 0; i < n;) {
    int same = 1, v = length[i];
    while (i + same < n && length[i + same] == v) same++;
    if (v == 0 && same >= 3) {
      if (same > 138) same = 138;
      r[made++] = same < 11 ? (run){17, (uint8_t)(same - 3), 3}
                            : (run){18, (uint8_t)(same - 11), 7};
    } else if (i > 0 && length[i - 1] == v && same >= 3) {
      if (same > 6) same = 6;
      r[made++] = (run){16, (uint8_t)(same - 3), 2};
    } else {
      same = 1;
      r[made++] = (run){(uint8_t)v, 0, 0};
    }
    i += same;
  }
  return made;
}

/* The block's header: both codes, described by a third. */
static void put_tables(packer *p, const tables *t) {
  static const uint8_t order[LENGTHS] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                         11, 4,  12, 3, 13, 2, 14, 1, 15};
  run r[LITERALS + DISTANCES];
  uint32_t count[LENGTHS] = {0};
  uint8_t length[LENGTHS];
  uint16_t code[LENGTHS];
  int kept = LENGTHS, n = run_lengths(r, t->length, t->nlit + t->ndist);
  for (int i = 0; i < n; i++) count[r[i].symbol]++;
  code_lengths(length, count, LENGTHS, 7);
  codes_of(code, length, LENGTHS);
  while (kept > 4 && !length[order[kept - 1]]) kept--;
  put(p, (uint32_t)t->nlit - 257, 5);
  put(p, (uint32_t)t->ndist - 1, 5);
  put(p, (uint32_t)kept - 4, 4);
  for (int i = 0; i < kept; i++) put(p, length[order[i]], 3);
  for (int i = 0; i < n; i++) {
    put(p, code[r[i].symbol], length[r[i].symbol]);
    put(p, r[i].extra, r[i].bits);
  }
}

static void put_tokens(packer *p, const tables *t) {
  const uint8_t *dist_length = t->length + t->nlit;
  for (int i = 0; i < p->tokens; i++) {
    uint32_t length = p->token[i] >> 16, d = p->token[i] & 0xFFFF;
    int s;
    if (!length) {
      put(p, t->lit[d], t->length[d]);
      continue;
    }
    s = slot(len_base, 29, length);
    put(p, t->lit[257 + s], t->length[257 + s]);
    put(p, length - len_base[s], len_extra(s));
    s = slot(dist_base, DISTANCES, d);
    put(p, t->dist[s], dist_length[s]);
    put(p, d - dist_base[s], dist_extra(s));
  }
  put(p, t->lit[256], t->length[256]);
}

static void flush_block(packer *p, int last) {
  tables t;
  uint8_t dist_length[DISTANCES];
  p->lit_count[256] = 1;
  code_lengths(t.length, p->lit_count, LITERALS, MAXBITS);
  code_lengths(dist_length, p->dist_count, DISTANCES, MAXBITS);
  t.nlit = 286;
  while (t.nlit > 257 && !t.length[t.nlit - 1]) t.nlit--;
  t.ndist = DISTANCES;
  while (t.ndist > 1 && !dist_length[t.ndist - 1]) t.ndist--;
  codes_of(t.lit, t.length, LITERALS);
  codes_of(t.dist, dist_length, DISTANCES);
  memcpy(t.length + t.nlit, dist_length, (size_t)t.ndist);
  put(p, (uint32_t)last, 1);
  put(p, 2, 2); /* own codes */
  put_tables(p, &t);
  put_tokens(p, &t);
  p->tokens = 0;
  memset(p->lit_count, 0, sizeof p->lit_count);
  memset(p->dist_count, 0, sizeof p->dist_count);
}

/* ---- matches ------------------------------------------------------------ */

static void add_token(packer *p, uint32_t length, uint32_t value) {
  if (p->tokens == TOKENS) flush_block(p, 0);
  p->token[p->tokens++] = length << 16 | value;
  if (!length) {
    p->lit_count[value]++;
  } else {
    p->lit_count[257 + slot(len_base, 29, length)]++;
    p->dist_count[slot(dist_base, DISTANCES, value)]++;
  }
}

static uint32_t hash(const uint8_t *s) {
  uint32_t v = (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16;
  return v * 2654435761u >> (32 - HASHBITS); /* Knuth's golden ratio */
}

/* Enters the place `at` into its chain. */
static void enter(packer *p, size_t at) {
  uint32_t h;
  if (at + MINMATCH > p->n) return;
  h = hash(p->in + at);
  p->prev[at % WINDOW] = p->head[h];
  p->head[h] = (int32_t)at;
}

static int same_bytes(const uint8_t *a, const uint8_t *b, int most) {
  int n = 0;
  while (n < most && a[n] == b[n]) n++;
  return n;
}

/* Longest earlier match of the bytes at `at`, longer than `least`: its
** length (0: none) and distance. */
static int find(const packer *p, size_t at, int least, uint32_t *distance) {
  int most = p->n - at < MAXMATCH ? (int)(p->n - at) : MAXMATCH;
  int best = least, found = 0;
  int32_t place;
  if (most < MINMATCH || most <= best) return 0;
  place = p->head[hash(p->in + at)];
  for (int i = 0; i < CHAIN && place >= 0; i++) {
    const uint8_t *q = p->in + place;
    if (at - (size_t)place >= WINDOW) break;
    if (q[best] == p->in[at + (size_t)best]) {
      int n = same_bytes(q, p->in + at, most);
      if (n > best && n >= MINMATCH) {
        best = found = n;
        *distance = (uint32_t)(at - (size_t)place);
        if (n == most) break;
      }
    }
    place = p->prev[(size_t)place % WINDOW];
  }
  return found;
}

static void pack(packer *p) {
  size_t at = 0;
  uint32_t d = 0, later_d = 0;
  int length = find(p, at, MINMATCH - 1, &d);
  while (at < p->n) {
    int later = 0;
    enter(p, at);
    if (length < ENOUGH && at + 1 < p->n)
      later = find(p, at + 1, length ? length : MINMATCH - 1, &later_d);
    if (length && !later) {
      add_token(p, (uint32_t)length, d);
      while (--length) enter(p, ++at);
      at++;
      length = find(p, at, MINMATCH - 1, &d);
    } else { /* nothing here, or better from the next byte on */
      add_token(p, 0, p->in[at++]);
      length = later;
      d = later_d;
    }
  }
  flush_block(p, 1);
}

static uint32_t adler32(const uint8_t *in, size_t n) {
  uint32_t a = 1, b = 0;
  for (size_t i = 0; i < n;) {
    size_t stop = n - i < 5552 ? n : i + 5552; /* no overflow within */
    for (; i < stop; i++) {
      a += in[i];
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return b << 16 | a;
}

int lun_zlib_pack(uint8_t **out, size_t *outlen, const uint8_t *in, size_t n,
                  lun_err *err) {
  packer *p = NULL;
  uint32_t sum = adler32(in, n);
  *out = NULL;
  *outlen = 0;
  if (n <= INT32_MAX) p = lun_calloc(1, sizeof *p);
  if (!p) return lun_fail(err, LUN_ENOMEM, "no memory to pack %zu bytes", n);
  memset(p->head, 0xFF, sizeof p->head); /* all -1 */
  p->in = in;
  p->n = n;
  put(p, 0x78, 8); /* deflate, window of 32 KiB */
  put(p, 0x9C, 8);
  pack(p);
  put(p, 0, p->nbits ? 8 - p->nbits : 0);
  for (int i = 24; i >= 0; i -= 8) put(p, sum >> i & 255, 8);
  if (p->refused) {
    lun_free(p->out);
    lun_free(p);
    return lun_fail(err, LUN_ENOMEM, "no memory to pack %zu bytes", n);
  }
  *out = p->out;
  *outlen = p->len;
  lun_free(p);
  return LUN_OK;
}
