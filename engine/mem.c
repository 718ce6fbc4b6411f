/*
** mem.c - the allocator: 64-byte aligned blocks, a pool of freed ones by size
** class, byte counts, a soft limit, and a switch that makes the nth
** allocation fail (tests).
**
** A run allocates the same sizes every time, so a freed block waits in a list
** of its class and the next run finds it: first touch of fresh memory costs
** more than the arithmetic on it (docs/performance.md).
*/
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lunette.h"

/* AddressSanitizer knows nothing of the pool: it is told which bytes are not
** handed out, and fresh ones are filled with NaNs, so that reading either
** shows. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(POISONING)
#include <sanitizer/asan_interface.h>
#define SANITIZED
#define HIDE(p, n)  ASAN_POISON_MEMORY_REGION(p, n)
#define SHOW(p, n)  ASAN_UNPOISON_MEMORY_REGION(p, n)
#define SPOIL(p, n) memset(p, 0xFF, n)
#else
#define HIDE(p, n)  ((void)(p), (void)(n))
#define SHOW(p, n)  ((void)(p), (void)(n))
#define SPOIL(p, n) ((void)(p), (void)(n))
#endif

enum {
  ALIGN = 64, /* a cache line, and the widest vector */
  LEAST = 64, /* smallest class: headers of tensors, nodes, names */
  STEPS = 8,  /* size classes per power of two */
  CLASSES = 64 * STEPS,
};
/* No block is larger: rounding up to a class (an eighth more), to whole huge
** pages and adding the header then cannot overflow, nor class_of. */
#define MOST       ((size_t)PTRDIFF_MAX / 4 * 3)
#define HUGE_PAGE  ((size_t)2 << 20)
#define HUGE_BLOCK (HUGE_PAGE / 2) /* from here on ask for whole huge pages */
#define LITTLE     ((size_t)256 << 20) /* so many may always be held */

/* Stands before every block; its size keeps the block aligned. */
typedef struct head {
  size_t bytes; /* room behind the header */
  int klass;    /* of the free list it goes to */
  struct head *next;
} head;

static struct {
  pthread_mutex_t lock;
  lun_mem_stats n;
  _Atomic size_t limit; /* read without the lock */
  size_t ceiling;       /* of live and cached bytes together; 0: none */
  size_t most;          /* bytes that were live at a time, ever */
  long fail_at;
  head *free_list[CLASSES];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Class of a size and the size it stands for: 2^e * (1 + s/8). */
static int class_of(size_t bytes, size_t *rounded) {
  int e = 63 - __builtin_clzll((unsigned long long)bytes);
  size_t step = ((size_t)1 << e) / STEPS;
  size_t s = (bytes - ((size_t)1 << e) + step - 1) / step;
  *rounded = ((size_t)1 << e) + s * step;
  return e * STEPS + (int)s; /* s == 8 is the next power's 0 */
}

/* Bytes that a block takes with its header: whole huge pages from HUGE_BLOCK on. */
static size_t whole(size_t bytes) {
  size_t unit = bytes >= HUGE_BLOCK ? HUGE_PAGE : ALIGN;
  return (bytes + ALIGN + unit - 1) / unit * unit;
}

/* Large blocks are mappings of their own, so that what is given back is given back:
** malloc keeps freed ones of up to 32 MB.  (LeakSanitizer looks into malloc's blocks
** alone, so there all are of malloc.) */
#ifdef SANITIZED
static int is_mapped(size_t bytes) { return (void)bytes, 0; }
#else
static int is_mapped(size_t bytes) { return bytes >= HUGE_BLOCK; }
#endif

/* `all` bytes at a multiple of a huge page; NULL: none. */
static void *map(size_t all) {
  char *p = mmap(NULL, all + HUGE_PAGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  size_t before;
  if (p == MAP_FAILED) return NULL;
  before = -(uintptr_t)p % HUGE_PAGE;
  if (before) munmap(p, before);
  munmap(p + before + all, HUGE_PAGE - before);
  madvise(p + before, all, MADV_HUGEPAGE);
  return p + before;
}

static head *from_system(size_t bytes) {
  void *p = NULL;
  if (is_mapped(bytes))
    p = map(whole(bytes));
  else if (posix_memalign(&p, ALIGN, whole(bytes)))
    p = NULL;
  if (p) pool.n.system++;
  return p;
}

static char *room_of(head *h) { return (char *)h + ALIGN; }

static void give_back(head *h) {
  SHOW(room_of(h), h->bytes);
  if (is_mapped(h->bytes))
    munmap(h, whole(h->bytes));
  else
    free(h);
}

static void cache(head *h) {
  h->next = pool.free_list[h->klass];
  pool.free_list[h->klass] = h;
  pool.n.cached += h->bytes;
}

/* The first block of a free list, taken off it. */
static head *uncached(head *h) {
  pool.free_list[h->klass] = h->next;
  pool.n.cached -= h->bytes;
  return h;
}

static void trim(void) {
  for (int i = 0; i < CLASSES; i++)
    while (pool.free_list[i]) give_back(uncached(pool.free_list[i]));
}

/* Takes the last `n` huge pages off the cached block `h`, a mapping: they go back to the
** system, or with `to` they move there, in place of what is mapped.  The block is
** smaller then, or gone.  1: done. */
static int cut(head *h, size_t n, char *to) {
  size_t all = whole(h->bytes), rounded;
  char *end = (char *)h + all - n * HUGE_PAGE;
  head left = *uncached(h);
  left.bytes = all - n * HUGE_PAGE - ALIGN;
  if (to ? mremap(end, n * HUGE_PAGE, n * HUGE_PAGE,
                  MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED
         : munmap(end, n * HUGE_PAGE)) {
    cache(h);
    return 0;
  }
  if (end == (char *)h) return 1;
  left.klass = class_of(left.bytes, &rounded);
  if (rounded > left.bytes) left.klass--; /* the largest that it has room for */
  *h = left;
  cache(h);
  return 1;
}

/* The largest cached block that is not of class `klass`; NULL: none. */
static head *largest(int klass) {
  for (int i = CLASSES - 1; i >= 0; i--)
    if (i != klass && pool.free_list[i]) return pool.free_list[i];
  return NULL;
}

/* Gives back what is cached, of the largest blocks first and of none of class `klass`,
** until with `bytes` more no more than `held` are held. */
static void drop_to(size_t held, size_t bytes, int klass) {
  head *h;
  while (pool.n.live + pool.n.cached + bytes > held &&
         (h = largest(klass)) != NULL) {
    size_t over = pool.n.live + pool.n.cached + bytes - held;
    size_t pages = (over + HUGE_PAGE - 1) / HUGE_PAGE;
    if (!is_mapped(h->bytes) || whole(h->bytes) <= pages * HUGE_PAGE ||
        !cut(h, pages, NULL))
      give_back(uncached(h));
  }
}

/* Bytes that may be held, live and cached, with `bytes` more to come: an eighth more than
** was ever live, since blocks come by size classes; what batches of other sizes left
** behind goes.  And no more than the ceiling. */
static size_t enough(size_t bytes) {
  size_t live = pool.n.live + bytes;
  size_t most = live > pool.most ? live : pool.most;
  size_t held = most + most / 8 < LITTLE ? LITTLE : most + most / 8;
  return pool.ceiling && pool.ceiling < held ? pool.ceiling : held;
}

/* Gives `all` bytes at p back but for the page at `done`, where a move failed: what was
** mapped there may be gone already, and the place another's. */
static void drop_pages(char *p, size_t done, size_t all) {
  size_t after = done + HUGE_PAGE;
  if (done) munmap(p, done);
  if (after < all) munmap(p + after, all - after);
}

/* A new block of `bytes` takes the pages of cached ones while more than `held` would be
** held otherwise: moving a page costs microseconds, clearing a fresh one a hundred
** times as much.  The largest go first, from their ends. */
static head *from_cached(size_t held, size_t bytes) {
  size_t all = whole(bytes), done = 0;
  char *p = NULL;
  head *h;
  while (done < all && pool.n.live + pool.n.cached + all > held &&
         (h = largest(-1)) != NULL && is_mapped(h->bytes)) {
    if (!p && !(p = map(all))) return NULL;
    /* (one at a time: mremap takes no two mappings) */
    if (!cut(h, 1, p + done)) return drop_pages(p, done, all), NULL;
    done += HUGE_PAGE;
  }
  if (p && done < all) pool.n.system++;
  return (head *)(void *)p;
}

static head *take(size_t bytes) {
  size_t rounded;
  int klass = class_of(bytes < LEAST ? LEAST : bytes, &rounded);
  head *h = pool.free_list[klass];
  if (h) return uncached(h);
  if (is_mapped(rounded)) rounded = whole(rounded) - ALIGN;
  h = is_mapped(rounded) ? from_cached(enough(rounded), rounded) : NULL;
  drop_to(enough(rounded), rounded, -1);
  if (!h) h = from_system(rounded);
  if (!h && pool.n.cached) { /* the pool may hold what is missing */
    trim();
    h = from_system(rounded);
  }
  if (!h) return NULL;
  h->bytes = rounded;
  h->klass = klass;
  return h;
}

void *lun_malloc(size_t bytes) {
  head *h = NULL;
  if (bytes > MOST) return NULL;
  pthread_mutex_lock(&pool.lock);
  /* 1 counts down to 0: this one fails, the following succeed again */
  if (pool.fail_at == 0 || --pool.fail_at > 0) h = take(bytes);
  if (h) {
    pool.n.live += h->bytes;
    pool.n.blocks++;
    if (pool.n.live > pool.n.peak) pool.n.peak = pool.n.live;
    if (pool.n.live > pool.most) pool.most = pool.n.live;
  }
  pthread_mutex_unlock(&pool.lock);
  if (!h) return NULL;
  SHOW(room_of(h), bytes);
  HIDE(room_of(h) + bytes, h->bytes - bytes);
  SPOIL(room_of(h), bytes);
  return room_of(h);
}

void *lun_calloc(size_t n, size_t size) {
  void *p;
  if (size && n > PTRDIFF_MAX / size) return NULL;
  p = lun_malloc(n * size);
  if (p) memset(p, 0, n * size);
  return p;
}

void lun_free(void *p) {
  head *h;
  if (!p) return;
  h = (head *)(void *)((char *)p - ALIGN);
  HIDE(p, h->bytes);
  pthread_mutex_lock(&pool.lock);
  pool.n.live -= h->bytes;
  pool.n.blocks--;
  /* the block was in use just now: blocks of other classes go */
  drop_to(enough(0), h->bytes, h->klass);
  if (pool.n.live + pool.n.cached + h->bytes <= enough(0)) {
    cache(h);
    h = NULL;
  }
  pthread_mutex_unlock(&pool.lock);
  if (h) give_back(h);
}

lun_mem_stats lun_mem(void) {
  lun_mem_stats n;
  pthread_mutex_lock(&pool.lock);
  n = pool.n;
  pthread_mutex_unlock(&pool.lock);
  return n;
}

void lun_mem_reset_peak(void) {
  pthread_mutex_lock(&pool.lock);
  pool.n.peak = pool.n.live;
  pthread_mutex_unlock(&pool.lock);
}

void lun_mem_trim(void) {
  pthread_mutex_lock(&pool.lock);
  trim();
  pthread_mutex_unlock(&pool.lock);
}

/* The library may be unloaded (dlclose by lua_close): its pool goes with it. */
__attribute__((destructor)) static void give_back_all(void) { lun_mem_trim(); }

size_t lun_mem_set_ceiling(size_t bytes) {
  size_t before;
  pthread_mutex_lock(&pool.lock);
  before = pool.ceiling;
  pool.ceiling = bytes;
  drop_to(enough(0), 0, -1);
  pthread_mutex_unlock(&pool.lock);
  return before;
}

void lun_mem_set_limit(size_t bytes) { pool.limit = bytes; }
size_t lun_mem_limit(void) { return pool.limit; }

int lun_mem_over(size_t more) {
  return pool.limit && lun_mem().live + more > pool.limit;
}

long lun_mem_fail_at(long nth) {
  long left;
  pthread_mutex_lock(&pool.lock);
  left = pool.fail_at;
  pool.fail_at = nth;
  pthread_mutex_unlock(&pool.lock);
  return left;
}
