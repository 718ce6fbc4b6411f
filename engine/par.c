/*
** par.c - spreads a loop over a pool of sleeping workers.
**
** The pool is the core's only mutable global state.  Workers are started on
** first use, spin for some microseconds after a job (the next layer usually
** follows at once), then sleep.  Work is handed out by one ticket counter:
** whoever is free takes the next job.  A worker that wakes too late finds
** the job closed and goes back to sleep; the caller never waits for sleepers.
*/
#include "lunette.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPIN = 4000 }; /* pauses before sleeping: 0.05 to 0.2 ms */

static struct {
  atomic_int threads; /* wanted; 0: not decided yet */
  int started;        /* workers that exist, ids 1 .. started */
  pthread_t thread[LUN_MAXTHREADS];
  pthread_mutex_t lock; /* guards sleeping and waking */
  pthread_cond_t wake;
  int asleep;
  atomic_int quit;

  atomic_flag busy;    /* one lun_parallel at a time; others run in line */
  atomic_uint epoch;   /* counts jobs, what sleepers watch */
  atomic_int open;     /* workers with id < open may join */
  atomic_int inside;   /* workers that may be looking at what follows */
  atomic_int cut;      /* somebody saw the interrupt and left work undone */
  atomic_llong ticket; /* next job */
  int64_t jobs;
  lun_job *fn;
  void *arg;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .busy = ATOMIC_FLAG_INIT};

static atomic_int interrupted;
static _Thread_local int in_job;     /* nested calls run in line */
static _Thread_local int own_worker; /* ... as the worker they are in */

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

/* Takes tickets until they run out or the interrupt flag is seen. */
static void take_jobs(int worker) {
  in_job = 1;
  own_worker = worker;
  for (;;) {
    int64_t job = atomic_fetch_add(&pool.ticket, 1);
    if (job >= pool.jobs) break;
    if (lun_interrupted()) {
      atomic_store(&pool.cut, 1);
      break;
    }
    pool.fn(pool.arg, job, worker);
  }
  in_job = 0;
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
  while (!atomic_load(&pool.quit)) {
    seen = wait_for_work(seen);
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
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  while (pool.started < threads - 1) {
    intptr_t id = pool.started + 1;
    if (pthread_create(&pool.thread[id], NULL, worker_main, (void *)id)) break;
    pool.started++;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void wake_workers(void) {
  atomic_fetch_add(&pool.epoch, 1);
  pthread_mutex_lock(&pool.lock);
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
  int worker = in_job ? own_worker : 0;
  for (int64_t job = 0; job < jobs; job++) {
    if (lun_interrupted()) return LUN_EINTR;
    fn(arg, job, worker);
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
  pool.jobs = jobs;
  atomic_store(&pool.cut, 0);
  atomic_store(&pool.ticket, 0);
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
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    return clamp_threads(CPU_COUNT(&set));
  }
#endif
  return 1;
}

int lun_threads(void) {
  int n = atomic_load(&pool.threads);
  if (n == 0) {
    n = default_threads();
    atomic_store(&pool.threads, n);
  }
  return n;
}

void lun_set_threads(int n) { atomic_store(&pool.threads, clamp_threads(n)); }
