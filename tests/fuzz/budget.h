/*
** budget.h - an input that takes more than 20 s of processor time is a finding.
** libFuzzer's own limit (-timeout) counts the clock, which at the lowest priority
** of a busy machine says nothing about the input.
*/
#ifndef BUDGET_H
#define BUDGET_H

#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

enum { BUDGET_SECONDS = 20 };

static void over_budget(int sig) {
  static const char text[] = "finding: an input of more than 20 s\n";
  (void)sig;
  if (write(2, text, sizeof text - 1) < 0) _exit(1);
  abort();
}

/* First thing for each input: the time of the one before is given back. */
static void budget_begin(void) {
  struct itimerval t = {.it_value = {BUDGET_SECONDS, 0}};
  signal(SIGPROF, over_budget);
  setitimer(ITIMER_PROF, &t, NULL);
}

#endif
