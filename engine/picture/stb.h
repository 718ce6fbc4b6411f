/*
** stb.h - what stands around the inclusion of an stb library: its warnings are
** not ours.  STB_FILE first (for what is found at the end of the file or in
** inlined code), STB_BEGIN and STB_END before and after the #include.
*/
#ifndef LUN_STB_H
#define LUN_STB_H

#define STB_IGNORE(warning) _Pragma(STB_TEXT(GCC diagnostic ignored warning))
#define STB_TEXT(x)         #x

#ifdef __clang__
#define STB_MAYBE
#else
#define STB_MAYBE STB_IGNORE("-Wmaybe-uninitialized")
#endif

#define STB_FILE STB_IGNORE("-Wunused-function") STB_MAYBE
#define STB_BEGIN                                                              \
  _Pragma("GCC diagnostic push") STB_IGNORE("-Wcast-qual")                     \
      STB_IGNORE("-Wsign-compare") STB_IGNORE("-Wdouble-promotion")            \
          STB_IGNORE("-Wshadow") STB_IGNORE("-Wunused-but-set-variable")       \
              STB_IGNORE("-Wundef") STB_IGNORE("-Wpedantic")                   \
                  STB_IGNORE("-Wimplicit-fallthrough")                         \
                      STB_IGNORE("-Wmissing-field-initializers")
#define STB_END _Pragma("GCC diagnostic pop")

#endif
