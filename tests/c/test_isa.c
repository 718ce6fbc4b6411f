/*
** test_isa.c - which kernels run: the best instruction set of this processor,
** the one that was named, and that each table is what its name says.
*/
#include "check.h"

#include "../../engine/kernels/simd.h"

#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __x86_64__
/* Does the system say that the processor has all of these?  -1: unknown. */
static int has(const char *const *flags) {
  static char line[1 << 16];
  FILE *f = fopen("/proc/cpuinfo", "r");
  int found = -1;
  while (f && found < 0 && fgets(line, sizeof line, f)) {
    if (strncmp(line, "flags", 5) != 0) continue;
    line[strcspn(line, "\n")] = ' ';
    line[strlen(line) - 1] = ' ';
    found = 1;
    for (; *flags; flags++) {
      char word[32];
      snprintf(word, sizeof word, " %s ", *flags);
      if (!strstr(line, word)) found = 0;
    }
  }
  if (f) fclose(f);
  return found;
}

static int index_of(const char *name) {
  for (int i = 0; lun_isa_name(i); i++)
    if (strcmp(lun_isa_name(i), name) == 0) return i;
  return -1;
}

/* The sets in the order of what they can do, each where the processor has it:
** against the kernel's own list of flags. */
static void sets_of_x86(void) {
  static const char *const avx512[] = {"avx512f", "avx512vl", "avx512bw",
                                       "avx512dq", NULL},
                           *const avx2[] = {"avx2", "fma", NULL};
  int wide = has(avx512), half = has(avx2), at = 0;
  if (wide < 0) return; /* a system that lists no flags */
  if (wide) CHECK(index_of("avx512") == at++, "avx512");
  if (half) CHECK(index_of("avx2") == at++, "avx2");
  if (!wide) CHECK(index_of("avx512") == -1, "avx512 is not here");
  if (!half) CHECK(index_of("avx2") == -1, "avx2 is not here");
  CHECK(index_of("sse2") == at, "sse2 after %d others", at);
  CHECK(lun_isa_name(at + 1) == NULL, "and nothing after it");
}
#endif

static void the_best_set_comes_first(void) {
#if defined __x86_64__
  sets_of_x86();
#endif
  lun_isa_set(NULL);
  CHECK(strcmp(lun_isa(), lun_isa_name(0)) == 0, "%s by itself", lun_isa());
}

static void what_is_named_runs(void) {
  for (int i = 0; lun_isa_name(i); i++) {
    CHECK(lun_isa_set(lun_isa_name(i)) == 1, "%s", lun_isa_name(i));
    CHECK(strcmp(lun_isa(), lun_isa_name(i)) == 0, "%s, not %s", lun_isa(),
          lun_isa_name(i));
    CHECK(strcmp(lun_simd_now()->name, lun_isa_name(i)) == 0, "%s",
          lun_simd_now()->name);
  }
  CHECK(!lun_isa_set("avx1024") && !lun_isa_set(""), "unknown ones");
  CHECK(lun_isa_set(NULL) == 1 && strcmp(lun_isa(), lun_isa_name(0)) == 0,
        "back to the best");
}

/* Every table has every function, and no two share one: a set that was built
** from another's flags, or not at all, would show. */
static void tables_are_their_own(void) {
  const lun_simd *first = NULL;
  for (int i = 0; lun_isa_name(i); i++) {
    const lun_simd *s;
    lun_isa_set(lun_isa_name(i));
    s = lun_simd_now();
    CHECK(s->panel == 16 || s->panel == 32, "panel of %d", s->panel);
    CHECK((s->panel == 32) == (strcmp(s->name, "avx512") == 0), "%s: %d",
          s->name, s->panel);
    CHECK(s->wino_in && s->wino_weights && s->wino_mul && s->wino_out &&
              s->direct3x3 && s->mul && s->taps && s->exp && s->sigmoid &&
              s->normal_cdf && s->epilogue && s->transpose && s->dense_rows &&
              s->dense_cols && s->maxpool2x2 && s->maxpool2x2_back,
          "%s: a function is missing", s->name);
    if (first)
      CHECK(s->wino_mul != first->wino_mul && s->mul != first->mul &&
                s->dense_rows != first->dense_rows &&
                s->dense_cols != first->dense_cols &&
                s->direct3x3 != first->direct3x3,
            "%s and %s share kernels", s->name, first->name);
    first = s;
  }
  lun_isa_set(NULL);
}

/* Which way a convolution is computed: Winograd's for 3x3 kernels of stride 1,
** summed directly where there are at most three channels on one side or eight on both; a gather
** else.  Results are the same, so only this notices a slower choice. */
static void layers_get_their_kernels(void) {
  static const struct {
    int c, k, kh, kw, stride, dilation, groups;
    int wino, direct, pools;
  } rows[] = {
      {3, 64, 3, 3, 1, 1, 1, 1, 1, 0},    {64, 64, 3, 3, 1, 1, 1, 1, 0, 1},
      {8, 8, 3, 3, 1, 1, 1, 1, 1, 0},     {64, 3, 3, 3, 1, 1, 1, 1, 1, 0},
      {8, 9, 3, 3, 1, 1, 1, 1, 0, 1},     {9, 8, 3, 3, 1, 1, 1, 1, 0, 1},
      {512, 512, 3, 3, 1, 1, 1, 1, 0, 1}, {64, 64, 1, 1, 1, 1, 1, 0, 0, 0},
      {64, 64, 3, 1, 1, 1, 1, 0, 0, 0},   {64, 64, 1, 3, 1, 1, 1, 0, 0, 0},
      {64, 64, 3, 3, 2, 1, 1, 0, 0, 0},   {64, 64, 3, 3, 1, 2, 1, 0, 0, 0},
      {64, 64, 3, 3, 1, 1, 2, 0, 0, 0},   {64, 64, 5, 5, 1, 1, 1, 0, 0, 0},
  };
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    lun_conv s = {.n = 1,
                  .c = rows[r].c,
                  .h = 16,
                  .w = 16,
                  .k = rows[r].k,
                  .kh = rows[r].kh,
                  .kw = rows[r].kw,
                  .oh = 16,
                  .ow = 16,
                  .sh = rows[r].stride,
                  .sw = rows[r].stride,
                  .dh = rows[r].dilation,
                  .dw = rows[r].dilation,
                  .pt = 1,
                  .pl = 1,
                  .groups = rows[r].groups};
    CHECK(lun_wino_fits(&s) == rows[r].wino, "row %d: Winograd", (int)r);
    if (rows[r].wino)
      CHECK(lun_direct3x3_fits(s.c, s.k) == rows[r].direct, "row %d: direct",
            (int)r);
    CHECK(lun_conv_pools(&s) == rows[r].pools, "row %d: pooling", (int)r);
  }
}

/* Functions of values against the C library's in double precision.  Absolute and
** relative: float32 keeps 1.2e-7 of a value; exp loses as much again to its argument. */
static void functions_of_values(void) {
  enum { COUNT = 1003, ODD = 7 };
  static float x[COUNT], y[3][COUNT];
  float edge[ODD] = {NAN, -HUGE_VALF, HUGE_VALF, -1e30f, 1e30f, -88.5f, 0},
        e[3][ODD];
  for (int i = 0; i < COUNT; i++) x[i] = (float)(i - 501) * 0.03f;
  for (int k = 0; lun_isa_name(k); k++) {
    double off[3] = {0};
    lun_isa_set(lun_isa_name(k));
    const lun_simd *s = lun_simd_now();
    s->exp(x, y[0], COUNT), s->sigmoid(x, y[1], COUNT),
        s->normal_cdf(x, y[2], COUNT);
    for (int i = 0; i < COUNT; i++) {
      double v = (double)x[i],
             want[3] = {exp(v), 1 / (1 + exp(-v)), erfc(-v / sqrt(2)) / 2};
      for (int f = 0; f < 3; f++) {
        double d = fabs((double)y[f][i] - want[f]);
        if (f < 2) d /= want[f];
        if (d > off[f]) off[f] = d;
      }
    }
    CHECK(off[0] < 4e-7 && off[1] < 4e-7 && off[2] < 4e-7,
          "%s: off by %g %g %g", s->name, off[0], off[1], off[2]);
    s->exp(edge, e[0], ODD), s->sigmoid(edge, e[1], ODD);
    s->normal_cdf(edge, e[2], ODD);
    for (int f = 0; f < 3; f++) {
      CHECK(isnan(e[f][0]), "%s: NaN became %g", s->name, (double)e[f][0]);
      CHECK(e[f][1] < 1e-37f && e[f][1] >= 0, "%s: %d of -inf", s->name, f);
      CHECK(e[f][3] < 1e-37f && e[f][5] < 1e-37f, "%s: %d far below", s->name,
            f);
      CHECK(f == 0 ? e[f][2] > 1e38f : e[f][2] == 1, "%s: %d of inf", s->name,
            f);
      CHECK(f == 0 ? e[f][6] == 1 : e[f][6] == 0.5f, "%s: %d of 0", s->name, f);
    }
    /* a value has the same bits wherever it stands, and in place */
    s->normal_cdf(x + 5, y[0], 3), s->exp(x, x, COUNT);
    CHECK(memcmp(y[0], y[2] + 5, 3 * sizeof(float)) == 0, "%s: bits", s->name);
    for (int i = 0; i < COUNT; i++) x[i] = (float)(i - 501) * 0.03f;
  }
  lun_isa_set(NULL);
}

/* LUNETTE_ISA is read where the first kernel runs: in a process of its own. */
static int in_a_child(const char *value, const char *expected) {
  int status = -1;
  pid_t pid;
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    if (value)
      setenv("LUNETTE_ISA", value, 1);
    else
      unsetenv("LUNETTE_ISA");
    execl("/proc/self/exe", "test_isa", expected, (char *)NULL);
    _exit(2);
  }
  waitpid(pid, &status, 0);
  return status == 0;
}

static void the_environment_names_one(void) {
  const char *best = lun_isa_name(0), *least = best;
  for (int i = 0; lun_isa_name(i); i++) {
    least = lun_isa_name(i);
    CHECK(in_a_child(least, least), "LUNETTE_ISA=%s", least);
  }
  CHECK(in_a_child("generic", least), "generic is the last of them, %s", least);
  CHECK(in_a_child(NULL, best), "none");
  CHECK(in_a_child("", best), "an empty one");
  CHECK(in_a_child("abacus", best), "an unknown one");
}

int main(int argc, char **argv) {
  if (argc > 1) return strcmp(lun_isa(), argv[1]) != 0; /* in_a_child */
  TESTS {
    TEST(the_environment_names_one());
    TEST(the_best_set_comes_first());
    TEST(what_is_named_runs());
    TEST(tables_are_their_own());
    TEST(layers_get_their_kernels());
    TEST(functions_of_values());
  }
  DONE("isa");
}
