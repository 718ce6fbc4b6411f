/*
** check.h - the C tests' harness.  CHECK counts what holds; TEST runs one test,
** which passes when everything in it holds and something was looked at; TESTS
** goes through them, in an order of its own when TEST_SEED says so; DONE ends
** main with the one line `N passed, N failed`.
**
**   int main(void) {
**     TESTS {
**       TEST(views_share());
**     }
**     DONE("core");
**   }
**
** What stands in TESTS outside a TEST runs before each of them.  TEST_ONLY=text
** runs those whose name has that text.  A main without TESTS is one test.
*/
#ifndef CHECK_H
#define CHECK_H
#if defined(__has_feature) &&                                                  \
    !defined(__SANITIZE_ADDRESS__) /* clang's name of it */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_passed, check_failed;

#define CHECK(cond, ...)                                                       \
  do {                                                                         \
    if (cond) {                                                                \
      check_passed++;                                                          \
    } else {                                                                   \
      check_failed++;                                                          \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #cond);                        \
      printf(__VA_ARGS__);                                                     \
      printf("\n");                                                            \
    }                                                                          \
  } while (0)

/* One round counts the tests, then each has a round of its own. */
static struct {
  int round, at, count, passed, failed, seen;
  int *order;
} check_run = {.round = -2};

/* The tests' order: as written, or shuffled by TEST_SEED. */
static void check_shuffle(void) {
  const char *text = getenv("TEST_SEED");
  uint64_t state = text ? strtoull(text, NULL, 10) : 0;
  check_run.order = malloc((size_t)check_run.count * sizeof(int) + 1);
  if (!check_run.order) abort();
  for (int i = 0; i < check_run.count; i++) check_run.order[i] = i;
  for (int i = check_run.count - 1; state && i > 0; i--) {
    int k, other;
    state = state * 6364136223846793005u + 1442695040888963407u;
    k = (int)((state >> 33) % (uint64_t)(i + 1));
    other = check_run.order[k];
    check_run.order[k] = check_run.order[i];
    check_run.order[i] = other;
  }
}

static int check_next(void) {
  if (check_run.round == -1) {
    check_run.count = check_run.at;
    check_shuffle();
  }
  check_run.at = 0;
  return ++check_run.round < check_run.count;
}

/* Is the test at hand the one of this round? */
static int check_turn(const char *name) {
  const char *only = getenv("TEST_ONLY");
  int at = check_run.at++;
  if (check_run.round < 0 || check_run.order[check_run.round] != at) return 0;
  check_run.seen = check_passed + check_failed;
  return !only || strstr(name, only) != NULL;
}

static void check_end(const char *name, int failed_before) {
  if (check_failed == failed_before &&
      check_passed + check_failed > check_run.seen) {
    check_run.passed++;
    return;
  }
  check_run.failed++;
  printf("FAILED %s%s\n", name,
         check_failed > failed_before ? "" : ": it checked nothing");
}

static int check_report(const char *name) {
  if (check_run.round == -2) check_run.passed = !check_failed; /* no TESTS */
  if (check_failed && !check_run.failed) check_run.failed = 1;
  printf("%-40s %d passed, %d failed  (%d checks)\n", name, check_run.passed,
         check_run.failed, check_passed + check_failed);
  return check_run.failed != 0 || check_run.passed == 0;
}

#define TESTS while (check_next())

#define TEST(...)                                                              \
  do {                                                                         \
    int before_ = check_failed;                                                \
    if (check_turn(#__VA_ARGS__)) {                                            \
      __VA_ARGS__;                                                             \
      check_end(#__VA_ARGS__, before_);                                        \
    }                                                                          \
  } while (0)

#define DONE(name) return check_report(name)
#endif
