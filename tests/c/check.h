/*
** check.h - the C tests' harness: CHECK counts and prints failures, DONE ends
** main with the one line `N passed, N failed`.
*/
#ifndef CHECK_H
#define CHECK_H
#include <math.h>
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

#define DONE(name)                                                             \
  do {                                                                         \
    printf("%-24s %d passed, %d failed\n", name, check_passed, check_failed);  \
    return check_failed != 0;                                                  \
  } while (0)
#endif
