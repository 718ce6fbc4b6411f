/*
** par.c - spreads a loop over a pool of sleeping workers.
**
** The pool is the core's only mutable global state.  Workers are started on
** first use, spin for some microseconds after a loop (the next layer usually
** follows at once), then sleep.  A worker that wakes too late finds the loop
** closed and goes back to sleep; the caller never waits for sleepers.
**
** The jobs of a loop are cut into one range a thread.  A worker takes its own
** range in order, then helps with the others.  So a worker computes the same part
** of a picture in layer after layer and finds it in its caches: between processors
** that share no cache, fetching a line that the other one wrote costs more than
** fetching it from memory.
*/
#include "lunette.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPIN = 4000 }; /* pauses before sleeping: 0.05 to 0.2 ms */

/* ---- which processor ---------------------------------------------------- */

/*
** Two workers may run on one processor while another idles: a thread that starts
** or wakes runs where it ran last, or where its parent runs, and a scheduler that
** sees no common cache leaves it there for a while.  So workers report their
** processor, and at the start of a loop the caller excludes, by affinity masks,
** workers that collide from the processors that are taken.
*/
#ifdef __linux__
typedef struct placement {
  atomic_int cpu;   /* the processor it was seen on; < 0: none yet */
  atomic_int moved; /* the mask below is to be restored */
  pid_t tid;
  cpu_set_t allowed;
} placement;

static void placement_start(placement *s) { s->tid = gettid(); }

/* Called by the worker itself, before and after it waits. */
static void placement_report(placement *s) {
  atomic_store(&s->cpu, sched_getcpu());
  if (!atomic_load(&s->moved)) return;
  sched_setaffinity(0, sizeof s->allowed, &s->allowed);
  atomic_store(&s->moved, 0);
}

static void move_from(placement *s, const cpu_set_t *taken) {
  cpu_set_t rest;
  if (sched_getaffinity(s->tid, sizeof s->allowed, &s->allowed) != 0) return;
  CPU_AND(&rest, &s->allowed, taken);
  CPU_XOR(&rest, &s->allowed, &rest);
  if (CPU_COUNT(&rest) == 0) return;
  atomic_store(&s->moved, sched_setaffinity(s->tid, sizeof rest, &rest) == 0);
}

/* Where there are more threads than processors, collisions are left alone. */
static void spread(placement *s, int n, int places) {
  cpu_set_t taken;
  int cpu = sched_getcpu();
  if (cpu < 0 || n >= places) return;
  CPU_ZERO(&taken);
  CPU_SET(cpu, &taken);
  for (; n > 0; n--, s++) {
    cpu = atomic_load(&s->cpu);
    if (cpu < 0 || atomic_load(&s->moved)) continue;
    if (CPU_ISSET(cpu, &taken)) {
      move_from(s, &taken);
    } else {
      CPU_SET(cpu, &taken);
    }
  }
}

/* Processors this process may use. */
static int processors(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
#else
typedef struct placement {
  int cpu;
} placement;
static void placement_start(placement *s) { s->cpu = 0; }
static void placement_report(placement *s) { (void)s; }
static void spread(placement *s, int n, int places) {
  (void)s, (void)n, (void)places;
}
static int processors(void) { return 1; }
#endif

/* ---- the pool ----------------------------------------------------------- */

/* Jobs next .. end-1 are still to be taken. */
typedef struct job_range {
  _Alignas(64) atomic_llong next;
  int64_t end;
} job_range;

static struct {
  atomic_int threads; /* wanted; 0: not decided yet */
  int started;        /* workers that exist, ids 1 .. started */
  pthread_t thread[LUN_MAXTHREADS];
  placement placements[LUN_MAXTHREADS]; /* where workers are */
  int places;           /* processors there were when they began */
  pthread_mutex_t lock; /* guards sleeping and waking */
  pthread_cond_t wake;
  int asleep;
  atomic_int quit;

  atomic_flag busy;  /* one lun_parallel at a time; others run in line */
  atomic_uint epoch; /* counts loops, what sleepers watch */
  atomic_int open;   /* workers with id < open may join */
  atomic_int inside; /* workers that may be looking at what follows */
  atomic_int cut;    /* 1: a worker saw the interrupt and left work undone */
  job_range range[LUN_MAXTHREADS];
  int ranges;
  lun_job *fn;
  void *arg;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .busy = ATOMIC_FLAG_INIT};

static atomic_int interrupted;
static _Thread_local int in_job;     /* nested calls run in line */
static _Thread_local int own_worker; /* 0 for a thread outside the pool */

void lun_interrupt(int on) { atomic_store(&interrupted, on != 0); }

int lun_interrupted(void) {
  return atomic_load_explicit(&interrupted, memory_order_relaxed);
}

static void pause_cpu(void) {
#if defined __x86_64__ || defined __i386__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("yield");
#endif
}

/* Takes jobs of a range until none is left; 0 when interrupted. */
static int take_range(job_range *s) {
  for (;;) {
    int64_t job = atomic_fetch_add(&s->next, 1);
    if (job >= s->end) return 1;
    if (lun_interrupted()) {
      atomic_store(&pool.cut, 1);
      return 0;
    }
    pool.fn(pool.arg, job);
  }
}

static void take_jobs(int worker) {
  int n = pool.ranges;
  in_job = 1;
  own_worker = worker;
  for (int i = 0; i < n; i++) {
    if (!take_range(&pool.range[(worker + i) % n])) break;
  }
  in_job = 0;
}

static void deal(int64_t jobs, int n) {
  for (int i = 0; i < n; i++) {
    atomic_store(&pool.range[i].next, jobs * i / n);
    pool.range[i].end = jobs * (i + 1) / n;
  }
  pool.ranges = n;
}

static unsigned wait_for_work(unsigned seen) {
  for (int i = 0; i < SPIN && atomic_load(&pool.epoch) == seen; i++) {
    pause_cpu();
  }
  if (atomic_load(&pool.epoch) == seen) {
    pthread_mutex_lock(&pool.lock);
    pool.asleep++;
    while (atomic_load(&pool.epoch) == seen) {
      pthread_cond_wait(&pool.wake, &pool.lock);
    }
    pool.asleep--;
    pthread_mutex_unlock(&pool.lock);
  }
  return atomic_load(&pool.epoch);
}

/* `inside` is raised before `open` is read, and the caller closes before it
** reads `inside`: so either the worker sees a closed job, or is waited for. */
static void *worker_main(void *arg) {
  int id = (int)(intptr_t)arg;
  unsigned seen = 0;
  placement_start(&pool.placements[id]);
  while (!atomic_load(&pool.quit)) {
    placement_report(&pool.placements[id]);
    seen = wait_for_work(seen);
    placement_report(&pool.placements[id]);
    atomic_fetch_add(&pool.inside, 1);
    if (id < atomic_load(&pool.open)) take_jobs(id);
    atomic_fetch_sub(&pool.inside, 1);
  }
  return NULL;
}

static void before_fork(void) { pthread_mutex_lock(&pool.lock); }

static void parent_after_fork(void) { pthread_mutex_unlock(&pool.lock); }

/* Threads do not survive a fork: the child starts with none. */
static void child_after_fork(void) {
  pthread_mutex_init(&pool.lock, NULL);
  pthread_cond_init(&pool.wake, NULL);
  pool.started = 0;
  pool.asleep = 0;
  atomic_store(&pool.inside, 0);
  atomic_store(&pool.open, 0);
  atomic_flag_clear(&pool.busy);
}

static void register_fork(void) {
  pthread_atfork(before_fork, parent_after_fork, child_after_fork);
}

/* Starts what is missing; fewer workers than wanted is no error. Signals
** stay with the threads of the host program. */
static void start_workers(int threads) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  sigset_t all, old;
  if (pool.started >= threads - 1) return;
  pthread_once(&once, register_fork);
  pool.places = processors();
  sigfillset(&all);
  sigdelset(&all, SIGBUS); /* a worker's own: a file that was cut (mapping.c) */
  sigdelset(&all, SIGSEGV);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  while (pool.started < threads - 1) {
    intptr_t id = pool.started + 1;
    pool.placements[id] = (placement){.cpu = -1};
    if (pthread_create(&pool.thread[id], NULL, worker_main, (void *)id)) break;
    pool.started++;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void wake_workers(void) {
  atomic_fetch_add(&pool.epoch, 1);
  pthread_mutex_lock(&pool.lock);
  int workers = atomic_load(&pool.open) - 1;
  if (workers > pool.started) workers = pool.started;
  spread(pool.placements + 1, workers, pool.places);
  if (pool.asleep) pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.lock);
}

/* The library may be unloaded (dlclose by lua_close): no thread of ours may
** be left in its code. */
__attribute__((destructor)) static void stop_workers(void) {
  if (atomic_load(&pool.open)) return; /* exit() amid a job: let it be */
  atomic_store(&pool.quit, 1);
  wake_workers();
  for (int id = 1; id <= pool.started; id++)
    pthread_join(pool.thread[id], NULL);
  pool.started = 0;
}

static int run_inline(int64_t jobs, lun_job *fn, void *arg) {
  for (int64_t job = 0; job < jobs; job++) {
    if (lun_interrupted()) return LUN_EINTR;
    fn(arg, job);
  }
  return LUN_OK;
}

int lun_parallel(int64_t jobs, lun_job *fn, void *arg) {
  int threads = lun_threads();
  if (in_job || jobs <= 1 || threads == 1) return run_inline(jobs, fn, arg);
  if (atomic_flag_test_and_set(&pool.busy)) return run_inline(jobs, fn, arg);
  start_workers(threads);
  pool.fn = fn;
  pool.arg = arg;
  deal(jobs, threads);
  atomic_store(&pool.cut, 0);
  atomic_store(&pool.open, threads);
  wake_workers();
  take_jobs(0);
  atomic_store(&pool.open, 0);
  for (int i = 0; atomic_load(&pool.inside) > 0; i++) {
    if (i < SPIN) {
      pause_cpu();
    } else {
      sched_yield();
    }
  }
  int cut = atomic_load(&pool.cut);
  atomic_flag_clear(&pool.busy);
  return cut ? LUN_EINTR : LUN_OK;
}

static int clamp_threads(long n) {
  return n < 1 ? 1 : n > LUN_MAXTHREADS ? LUN_MAXTHREADS : (int)n;
}

/* LUNETTE_THREADS, or the cores this process may use. */
static int default_threads(void) {
  const char *env = getenv("LUNETTE_THREADS");
  if (env) {
    char *end;
    long n = strtol(env, &end, 10);
    if (end != env && *end == 0 && n > 0) return clamp_threads(n);
  }
  return clamp_threads(processors());
}

int lun_worker(void) { return own_worker; }

int lun_threads(void) {
  int n = atomic_load(&pool.threads);
  if (n == 0) {
    n = default_threads();
    atomic_store(&pool.threads, n);
  }
  return n;
}

void lun_set_threads(int n) { atomic_store(&pool.threads, clamp_threads(n)); }
