# make [CONFIG=release|debug|sanitize|coverage] [CC=gcc|clang] [V=1] target
# Run `make help` for the targets. V=1 shows whole commands.
CONFIG  ?= release
LUA     ?= lua5.4
PREFIX  ?= /usr/local
LUA_PC  := lua5.4
BINDIR   = $(DESTDIR)$(PREFIX)/bin
LMOD     = $(DESTDIR)$(PREFIX)/share/lua/5.4
CMOD     = $(DESTDIR)$(PREFIX)/lib/lua/5.4
SHARE    = $(DESTDIR)$(PREFIX)/share/lunette
LIBEXEC  = $(DESTDIR)$(PREFIX)/lib/lunette
LIB      = $(DESTDIR)$(PREFIX)/lib
INCLUDE  = $(DESTDIR)$(PREFIX)/include
MAN      = $(DESTDIR)$(PREFIX)/share/man/man1
DOC      = $(DESTDIR)$(PREFIX)/share/doc/lunette
WARN     = -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wwrite-strings \
           -Wcast-qual -Wpointer-arith -Wredundant-decls -Wstrict-prototypes \
           -Wmissing-prototypes -Wold-style-definition -Wdouble-promotion \
           -Wvla $(if $(CI),-Werror)

# --- nothing to change below -------------------------------------------------
# (built-in rules would try to make the .d files below from simd_%.d.o)
MAKEFLAGS    += --no-builtin-rules
BUILD        := build/$(CONFIG)
# A short line for each file, so that a warning is seen.
Q            := $(if $(V),,@)
say           = $(if $(V)$(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),,@printf '  %-8s%s\n' $(1) '$(if $(2),$(2),$@)')
OPT.release   = -O3 -DNDEBUG
OPT.debug     = -O0 -g3
UNDEFINED     = undefined,float-cast-overflow,integer-divide-by-zero
OPT.sanitize  = -O1 -g -fsanitize=address,$(UNDEFINED) -fno-sanitize-recover=$(UNDEFINED) \
                -fno-omit-frame-pointer
OPT.fuzz      = -O1 -g -fsanitize=fuzzer-no-link,address,$(UNDEFINED) \
                -fno-sanitize-recover=$(UNDEFINED)
OPT.thread    = -O1 -g -fsanitize=thread
OPT.coverage  = -O0 -g --coverage
LINK.sanitize = -Wl,-z,nodelete
LIBS         := openblas jansson zlib cgif
# (git answers in another user's checkout only when told that it may)
COMMIT       := $(shell git -c safe.directory='*' rev-parse --short HEAD 2>/dev/null || echo unknown)
ALL_CFLAGS    = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fPIC -fvisibility=hidden -pthread \
                -ffp-contract=fast -fno-math-errno -fno-trapping-math \
                $(WARN) $(OPT.$(CONFIG)) -MMD -MP $(CPPFLAGS) $(CFLAGS) \
                $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
CORE_LIBS     = $(shell pkg-config --libs $(filter-out openblas,$(LIBS))) -lm -pthread -ldl
LUA_CFLAGS    = $(shell pkg-config --cflags $(LUA_PC))
CORE    := $(BUILD)/libluncore.a
MOD     := $(BUILD)/lunette/core.so
CORE_C  := $(wildcard engine/*.c engine/ops/*.c engine/picture/*.c) \
           $(filter-out engine/kernels/simd.c,$(wildcard engine/kernels/*.c))
CORE_O  := $(CORE_C:%.c=$(BUILD)/%.o)
# The fast kernels, once per instruction set of this processor family.
ARCH    := $(shell uname -m)
ISAS    := generic $(if $(filter x86_64,$(ARCH)),avx2 avx512)
ISA.generic :=
ISA.avx2    := -mavx2 -mfma -mf16c
ISA.avx512  := -mavx512f -mavx512vl -mavx512bw -mavx512dq -mavx2 -mfma -mf16c -mprefer-vector-width=512
SIMD_O  := $(if $(wildcard engine/kernels/simd.c),$(ISAS:%=$(BUILD)/engine/kernels/simd_%.o))
BIND_O  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out engine/bind/readline.c engine/bind/main.c,$(wildcard engine/bind/*.c)))
CTEST   := $(patsubst tests/c/%.c,$(BUILD)/%,$(wildcard tests/c/test_*.c))

all:
# Another compiler or other options (warnings aside) make everything again.
FLAGS   := $(BUILD)/flags
THESE   := $(CC) $(OPT.$(CONFIG)) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
$(FLAGS): FORCE
	@mkdir -p $(@D) 2>/dev/null && test -w $(@D) || { \
	  echo "cannot write into $(@D): this checkout is read-only, or another user's." >&2; \
	  echo "Build in a folder of your own: make BUILD=FOLDER, then LUNETTE_BUILD=FOLDER ./lunette" >&2; \
	  exit 1; }
	@echo '$(THESE)' | cmp -s - $@ || echo '$(THESE)' > $@

all: $(MOD)  ## build the program ./lunette and the Lua module

$(CORE): $(CORE_O) $(SIMD_O) $(FLAGS)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $(filter %.o,$^)
$(MOD): $(BIND_O) $(CORE) $(FLAGS)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -shared $(OPT.$(CONFIG)) $(LINK.$(CONFIG)) $(LDFLAGS) -Wl,--exclude-libs,ALL -o $@ $(filter %.o %.a,$^) $(CORE_LIBS)
# The core for programs in C: what lunette.h and picture.h declare.
VERSION := $(shell sed -n 's/^.define LUN_VERSION "\(.*\)"/\1/p' engine/lunette.h)
SOLIB   := $(BUILD)/liblunette.so.$(VERSION)
SONAME  := liblunette.so.$(firstword $(subst ., ,$(VERSION)))
all: $(SOLIB)
$(SOLIB): $(CORE) $(FLAGS)
	$(call say,LD)
	$(Q)$(CC) -shared $(OPT.$(CONFIG)) $(LINK.$(CONFIG)) $(LDFLAGS) -Wl,-soname,$(SONAME) \
	  -Wl,--whole-archive $(CORE) -Wl,--no-whole-archive -o $@ $(CORE_LIBS)
# stb shifts and adds past the sign bit.
$(BUILD)/engine/picture/image.o $(BUILD)/engine/picture/write.o $(BUILD)/engine/picture/text.o: \
    OPT.$(CONFIG) += -fwrapv $(if $(filter sanitize fuzz,$(CONFIG)),-fno-sanitize=$(UNDEFINED))
$(BUILD)/engine/bind/%.o: engine/bind/%.c Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -c -o $@ $<
# The kernels read no files: instrumented for fuzzing they would take minutes to build.
$(BUILD)/engine/kernels/simd_%.o: OPT.fuzz = -O1
$(BUILD)/engine/kernels/simd_%.o: engine/kernels/simd.c Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(call say,CC,$< ($*))
	$(Q)$(CC) $(ALL_CFLAGS) -DISA=$* $(ISA.$*) -c -o $@ $<
$(BUILD)/%.o: %.c Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<
$(BUILD)/test_%: tests/c/test_%.c $(CORE) Makefile $(FLAGS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(CORE) $(CORE_LIBS)
# Times the kernels layer by layer (bench_kernels), or the machine (bench_machine):
# make build/release/bench_kernels
$(BUILD)/bench_%: tests/bench/%.c $(CORE) Makefile $(FLAGS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(CORE) $(CORE_LIBS)

# The readers of model files: a program of its own, which runs confined.
IMPORT  := $(BUILD)/lunette-import
IMP_PC  := hdf5 libseccomp libcrypto zlib jansson
IMP_C   := $(wildcard engine/import/*.c)
IMP_O   := $(IMP_C:%.c=$(BUILD)/%.o)
IMP_CORE := $(BUILD)/engine/err.o $(BUILD)/engine/half.o
# libhdf5 as an archive, where it is there: the shared one brings 27 more libraries
# (curl, LDAP, Kerberos), and loading those takes longer than most files.
HDF5_A  := $(wildcard $(patsubst -L%,%/libhdf5.a,$(shell pkg-config --libs-only-L hdf5 2>/dev/null)))
IMP_LIB  = $(if $(HDF5_A),$(HDF5_A) -lsz -ldl) \
           $(shell pkg-config --libs $(if $(HDF5_A),$(filter-out hdf5,$(IMP_PC)),$(IMP_PC))) -lm

all: $(IMPORT)
$(BUILD)/engine/import/%.o: engine/import/%.c Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(shell pkg-config --cflags $(IMP_PC)) -c -o $@ $<
$(IMPORT): $(IMP_O) $(IMP_CORE) $(FLAGS)
	$(call say,LD)
	$(Q)$(CC) $(OPT.$(CONFIG)) $(LDFLAGS) -o $@ $(filter %.o,$^) $(IMP_LIB)
$(BUILD)/test_import $(BUILD)/test_damage: $(BUILD)/%: tests/c/%.c $(IMP_O) $(IMP_CORE) Makefile $(FLAGS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(filter-out %/main.o,$(filter %.o,$^)) $(IMP_LIB)

# A program with Lua states of its own, which load and unload the module.
$(BUILD)/test_embed: tests/c/test_embed.c $(MOD) Makefile $(FLAGS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -DMODULES='"$(abspath $(BUILD))/?.so"' -o $@ $< $(shell pkg-config --libs $(LUA_PC))

# Fuzz targets: readers under libFuzzer, in the build folder of CONFIG=fuzz.
FUZZ_IMPORT := any pickle zip packed legacy safetensors hdf5 onnx
FUZZ_LUA := npy json escape metadata network layout listing keras
FUZZERS := safetensors image jpeg text plan $(FUZZ_IMPORT:%=import_%) $(FUZZ_LUA:%=lua_%)
FUZZ_O   = $(filter-out %/main.o %/jail.o,$(IMP_O)) $(IMP_CORE)
WHICH.any := 0
WHICH.pickle := 1
WHICH.zip := 2
WHICH.legacy := 3
WHICH.safetensors := 4
WHICH.hdf5 := 5
WHICH.onnx := 6
WHICH.packed := 7
FUZZ_CC  = $(CC) $(ALL_CFLAGS) -fsanitize=fuzzer
$(BUILD)/fuzz_import_%: tests/fuzz/fuzz_import.c $(FUZZ_O) $(FLAGS)
	$(Q)$(FUZZ_CC) $(shell pkg-config --cflags $(IMP_PC)) -DWHICH=$(WHICH.$*) -o $@ $< $(FUZZ_O) $(IMP_LIB)
$(BUILD)/fuzz_lua_%: tests/fuzz/fuzz_script.c $(BIND_O) $(CORE) $(FLAGS)
	$(Q)$(FUZZ_CC) $(LUA_CFLAGS) -DREADER='"$*"' -o $@ $< $(BIND_O) $(CORE) $(CORE_LIBS) $(shell pkg-config --libs $(LUA_PC))
$(BUILD)/fuzz_plan: tests/fuzz/fuzz_plan.c $(FUZZ_O) $(FLAGS)
	$(Q)$(FUZZ_CC) -o $@ $< $(FUZZ_O) $(IMP_LIB)
$(BUILD)/fuzz_jpeg: tests/fuzz/fuzz_image.c $(CORE) $(FLAGS)
	$(Q)$(FUZZ_CC) -DJPEG -o $@ $< $(CORE) $(CORE_LIBS)
$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(CORE) $(FLAGS)
	$(Q)$(FUZZ_CC) -o $@ $< $(CORE) $(CORE_LIBS)
fuzzers: $(FUZZERS:%=$(BUILD)/fuzz_%)
fuzz:  ## every reader under libFuzzer for TIME=60 seconds (8h, 10m) each, and the Lua fuzzers
	@$(MAKE) --no-print-directory CONFIG=fuzz CC=clang fuzzers
	@$(MAKE) --no-print-directory CONFIG=sanitize all
	@FUZZERS='$(FUZZERS)' tests/fuzz/run
# die_after_fork: test_par forks, and its children start workers of their own.
tsan:  ## the tests of threads under ThreadSanitizer
	@$(MAKE) --no-print-directory CONFIG=thread build/thread/test_par build/thread/test_walk build/thread/test_walk_rules
	@for t in par walk walk_rules; do TSAN_OPTIONS=die_after_fork=0 OPENBLAS_NUM_THREADS=1 build/thread/test_$$t || exit 1; done
valgrind:  ## C tests of the readers under valgrind
	@$(MAKE) --no-print-directory CONFIG=debug build/debug/test_safetensors build/debug/test_optim
	@for t in safetensors optim; do valgrind -q --error-exitcode=9 build/debug/test_$$t || exit 1; done
analyze:  ## gcc -fanalyzer and cppcheck over the readers and the binding
	@tests/analyze

# Line editing of the REPL: an object of its own, which nothing else loads.
EDITOR  := $(BUILD)/lunette/readline.so

all: $(EDITOR)
$(EDITOR): $(BUILD)/engine/bind/readline.o $(FLAGS)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -shared $(OPT.$(CONFIG)) $(LINK.$(CONFIG)) $(LDFLAGS) -o $@ $(filter %.o,$^) -lreadline

# What build this is, for `lunette --version`.
$(BUILD)/commit: FORCE | $(FLAGS)
	@echo $(COMMIT) | cmp -s - $@ || echo $(COMMIT) > $@
$(BUILD)/engine/bind/core.o: $(BUILD)/commit
$(BUILD)/engine/bind/core.o: CPPFLAGS += -DLUN_COMMIT='"$(COMMIT)"'
$(BUILD)/hash_weights: tests/c/hash_weights.c $(CORE) Makefile $(FLAGS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(CORE) $(CORE_LIBS)

help:  ## this list
	@echo "make [CONFIG=release|debug|sanitize|coverage] [CC=gcc|clang] [PREFIX=/usr/local] target"
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | sed 's/:.*## /\t/' | expand -t 16
deps:  ## install the Debian packages that building needs
	@tests/deps build
demo:  ## install what is missing, build, explain four pictures into out/
	@tests/deps build
	@$(MAKE) --no-print-directory -j$(shell nproc) all
	@./lunette demo $(if $(MODEL),--model $(MODEL))
test:  ## install what is missing, build, run every test
	@tests/deps build test
	@$(MAKE) --no-print-directory -j$(shell nproc) all testbuild
	@BUILD='$(BUILD)' CONFIG=$(CONFIG) CC='$(CC)' tests/run
arm64:  ## build for 64-bit ARM and run the C tests in an emulator
	@tests/emulated arm64
armhf:  ## build for 32-bit ARM and run the C tests in an emulator
	@tests/emulated armhf
# A system that fails when told to (faults_spec.lua).
$(BUILD)/fault.so: tests/faults/fault.c $(FLAGS)
	$(call say,LD)
	$(Q)$(CC) -shared -fPIC -O1 -Wall -Wextra -std=gnu11 -o $@ $< -ldl
testbuild: $(CTEST) $(BUILD)/hash_weights $(BUILD)/fault.so
hash_weights: $(BUILD)/hash_weights
lint:  ## luacheck, layout of C, layers
	luacheck -q .
	@clang-format --dry-run -Werror $$(git ls-files 'engine/*.[ch]' 'tests/*.[ch]')
	@$(MAKE) --no-print-directory layers
format:  ## lay out the C sources
	clang-format -i $$(git ls-files 'engine/*.[ch]' 'tests/*.[ch]')
bench: all $(BUILD)/hash_weights  ## compare speed with PyTorch (installs it)
	@tests/deps build bench
	@tests/bench/run $(BENCH)
pages: all  ## what docs/methods says of the methods' rows, written anew
	@LUA_PATH_5_4='lua/?.lua;lua/?/init.lua;;' LUA_CPATH_5_4='$(BUILD)/?.so;;' $(LUA) docs/pages.lua
figures: all  ## the pictures of docs/methods, drawn anew
	@./lunette docs/figures.lua
docs: all  ## the API reference, from the doc comments, into docs/api
	@tests/deps build test
	@LUA_PATH_5_4='lua/?.lua;lua/?/init.lua;;' LUA_CPATH_5_4='$(BUILD)/?.so;;' $(LUA) docs/reference.lua $(BUILD)/reference
	@ldoc -q -c config.ld -d docs/api $(BUILD)/reference
mutants: all testbuild  ## change the program here and there; does a test notice? (docs/testing.md)
	@COUNT='$(COUNT)' SEED='$(SEED)' FOLDER='$(FOLDER)' GOAL='$(GOAL)' ALL='$(ALL)' KEEP='$(KEEP)' \
	  SHARED='$(SHARED)' WITHOUT='$(WITHOUT)' MUTANTS='$(MUTANTS)' $(LUA) tests/mutants/run.lua
fixtures:  ## write tests/data/import anew, with h5py and torch
	@tests/deps build fixtures
	@/usr/bin/python3 tests/data/fixtures.py tests/data/import
layers:  ## check that only engine/bind includes Lua, and which folder knows which
	@! grep -rnE --include='*.[ch]' '(lua|lauxlib|lualib)\.h|lua_State' engine --exclude-dir=bind
	@$(LUA) tests/layers.lua
install: install-lua install-c  ## put the program and the library under PREFIX
# The program and what Lua needs; the rockspec installs these alone.
install-lua: all
	install -d '$(BINDIR)' '$(CMOD)/lunette' '$(LMOD)/lunette' '$(SHARE)/weights' '$(SHARE)/scripts' '$(LIBEXEC)'
	install -m 755 $(wildcard $(BUILD)/lunette/*.so) '$(CMOD)/lunette/'
	install -m 755 $(IMPORT) '$(LIBEXEC)/'
	cp -R lua/lunette/. '$(LMOD)/lunette/'
	cp -R weights/. '$(SHARE)/weights/'
	install -m 644 $(wildcard scripts/*.lua) '$(SHARE)/scripts/'
	chmod -R u=rwX,go=rX '$(LMOD)/lunette' '$(SHARE)' '$(CMOD)/lunette' '$(LIBEXEC)'
	sed 's|@LUA@|$(subst &,\&,$(LUA))|' lunette.in > '$(BINDIR)/lunette'
	chmod 755 '$(BINDIR)/lunette'
# The core for programs in C, and the documents.
install-c: all
	install -d '$(LIB)/pkgconfig' '$(INCLUDE)/lunette' '$(MAN)' '$(DOC)/examples' '$(DOC)/methods'
	install -m 644 engine/lunette.h '$(INCLUDE)/'
	install -m 644 engine/picture/picture.h '$(INCLUDE)/lunette/'
	install -m 644 $(CORE) '$(LIB)/liblunette.a'
	install -m 755 $(SOLIB) '$(LIB)/'
	ln -sf $(notdir $(SOLIB)) '$(LIB)/$(SONAME)'
	ln -sf $(SONAME) '$(LIB)/liblunette.so'
	sed 's|@VERSION@|$(VERSION)|' lunette.pc.in > '$(LIB)/pkgconfig/lunette.pc'
	chmod 644 '$(LIB)/pkgconfig/lunette.pc'
	install -m 644 docs/lunette.1 '$(MAN)/'
	install -d '$(DOC)/ru' '$(DOC)/images/methods'
	install -m 644 $(wildcard docs/ru/*.md) '$(DOC)/ru/'
	install -m 644 $(wildcard docs/images/*.*) '$(DOC)/images/'
	install -m 644 $(wildcard docs/images/methods/*) '$(DOC)/images/methods/'
	install -m 644 LICENSE CHANGELOG.md $(wildcard docs/*.md) '$(DOC)/'
	install -m 644 $(wildcard docs/methods/*.md) '$(DOC)/methods/'
	install -m 644 $(wildcard examples/*.*) '$(DOC)/examples/'
deb: all  ## Debian packages, in build/deb
	@tests/deps build packages
	@packaging/deb '$(VERSION)'
sbom:  ## bill of materials (SPDX) and the sheet for regulated users, in build/sbom
	@$(LUA) packaging/sbom.lua '$(VERSION)' '$(COMMIT)' $(patsubst %/,%,$(dir $(BUILD)))/sbom
uninstall:  ## take it away again
	rm -rf '$(CMOD)/lunette' '$(LMOD)/lunette' '$(SHARE)' '$(LIBEXEC)' '$(BINDIR)/lunette' \
	  '$(INCLUDE)/lunette.h' '$(INCLUDE)/lunette' '$(LIB)'/liblunette.* \
	  '$(LIB)/pkgconfig/lunette.pc' '$(MAN)/lunette.1' '$(DOC)'
	@cd '$(DESTDIR)$(PREFIX)' && rmdir lib/lua/5.4 share/lua/5.4 lib/lua share/lua lib/pkgconfig include \
	  share/man/man1 share/man share/doc \
	  $(if $(filter / /usr /usr/local,$(PREFIX)),,lib share bin "$$PWD") 2>/dev/null || true
clean:  ## remove what was built
	rm -rf build
# (nothing makes them: fuzz_lua_% and fuzz_import_% would, of their targets' names)
DEPEND := $(shell find $(BUILD) -name '*.d' 2>/dev/null)
$(DEPEND): ;
-include $(DEPEND)
FORCE:
.PHONY: install-lua install-c deb sbom all pages figures fuzzers fuzz tsan valgrind analyze arm64 armhf docs help deps demo test testbuild lint format bench layers mutants fixtures install uninstall clean FORCE
