# Inner Universe. `make help` lists the targets.
#
# Sources are found by name: core/*/*.c become the library, tests/c/*_test.c one program each; nothing is listed by hand.
# Three variants, each in its own folder: release (what is installed), test (-DIU_ERRINJ, faults can be injected) and
# asan (AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer, -DIU_ERRINJ).
# Objects depend on their headers, on this file and on the flags they were compiled with.

SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

VERSION := 0.1.0
BUILD := build
SONAME := libinner_universe.so.0
SHARED := libinner_universe.so.$(VERSION)
, := ,
# What scripts compute for the compiler.
GENERATED := $(BUILD)/generated

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
WASM_LD ?= wasm-ld
LUA ?= lua5.4
PKG_CONFIG ?= pkg-config
LUA_PACKAGE ?= lua5.4
PACKAGES := libuv libwebsockets sqlite3 openssl libxxhash zlib libbrotlidec
# V=1 shows the commands.
Q := $(if $(V),,@)
JOBS ?= $(shell nproc 2>/dev/null || echo 1)

CSTD := -std=c11 -D_GNU_SOURCE
WARNINGS := -Wall -Wextra -Wshadow -Werror
OPTIMIZE ?= -O2 -g
CFLAGS ?=
LDFLAGS ?=

# Asked once, and only by the targets that compile. LUA_INCDIR (what luarocks passes) or LUA_CFLAGS replace pkg-config's answer.
once = $(eval $1 := $2)$($1)
ifdef LUA_INCDIR
LUA_CFLAGS ?= -I$(LUA_INCDIR)
endif
LUA_CFLAGS ?= $(call once,LUA_CFLAGS,$(shell $(PKG_CONFIG) --cflags $(LUA_PACKAGE)))
LUA_LIBS ?= $(call once,LUA_LIBS,$(shell $(PKG_CONFIG) --libs $(LUA_PACKAGE)))
LIB_CFLAGS ?= $(call once,LIB_CFLAGS,$(shell $(PKG_CONFIG) --cflags $(PACKAGES)))
LIB_LIBS ?= $(call once,LIB_LIBS,$(shell $(PKG_CONFIG) --libs $(PACKAGES)) -lm)
BROTLIENC_LIBS ?= $(call once,BROTLIENC_LIBS,$(shell $(PKG_CONFIG) --libs libbrotlienc))
CMOCKA_CFLAGS ?= $(call once,CMOCKA_CFLAGS,$(shell $(PKG_CONFIG) --cflags cmocka))
CMOCKA_LIBS ?= $(call once,CMOCKA_LIBS,$(shell $(PKG_CONFIG) --libs cmocka))

BASE_FLAGS = $(CSTD) $(WARNINGS) $(OPTIMIZE) -fvisibility=hidden -fPIC -pthread $(LIB_CFLAGS) -I$(GENERATED) $(CFLAGS)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

FLAGS_release :=
FLAGS_test := -DIU_ERRINJ
FLAGS_asan := -DIU_ERRINJ $(SANITIZE) -O1
LINK_release :=
LINK_test :=
LINK_asan := $(SANITIZE) -Wl,-z,nodelete # stays loaded, so that a leak found at exit can be named

# Where each variant's results go: $(BUILD) for the release, $(BUILD)/<variant> for the others.
OUT_release := $(BUILD)
OUT_test := $(BUILD)/test
OUT_asan := $(BUILD)/asan

SOURCES := $(sort $(wildcard core/*.c core/*/*.c))
BIND_SOURCES := $(filter core/bind/%,$(SOURCES))
LIB_SOURCES := $(filter-out core/bind/%,$(SOURCES))
TEST_SOURCES := $(sort $(wildcard tests/c/*_test.c))
# Programs that specs in tests/lua start.
PEER_SOURCES := $(sort $(wildcard tests/node/*.c))
# A server to test clients against: one program of several files.
DOUBLE_SOURCES := $(sort $(wildcard tests/peer/*.c))

# Programs against the public header alone, to learn from.
EXAMPLE_SOURCES := $(sort $(wildcard scripts/examples/*.c))

# Each is compiled whole with the sources below the layers that know an operating system, and with those of the folder it is named after (a client_*
# one with the replica) and what they stand on.
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))
FUZZ_SOURCES := $(sort $(wildcard core/base/*.c core/sats/*.c core/protocol/*.c))
FUZZ_SOURCES_document := $(sort $(wildcard core/document/*.c))
FUZZ_SOURCES_client := $(sort $(wildcard core/store/*.c core/query/*.c core/client/replica*.c core/client/counts.c))
FUZZ_SOURCES_query := $(sort $(wildcard core/store/*.c core/query/*.c) core/rows.c)
FUZZ_SOURCES_journal := $(sort $(wildcard core/store/*.c core/journal/*.c))
FUZZ_SOURCES_net := core/net/http_head.c
FUZZ_FLAGS_client := -DIU_REPLICA_STRIDE=2u

# The part of the core that also compiles freestanding to wasm32.
MODULE_SOURCES ?= $(sort $(wildcard core/module/*.c) $(wildcard core/base/text*.c))
WASM_CFLAGS := --target=wasm32-unknown-unknown -std=c11 -O2 -ffreestanding -nostdlib -fvisibility=hidden $(WARNINGS) -I$(GENERATED)
WASM_LDFLAGS := --no-entry --strip-all

# --- targets for people ---------------------------------------------------------------------------------------------

.PHONY: all examples demo test test-c test-lua check asan fuzz bench soak module spacetimedb install install-lua install-c uninstall clean help \
  build-peers build-tests build-asan build-fuzz module-where-possible deps-run deps-test deps-bench FORCE

all: $(BUILD)/libinner_universe.a $(BUILD)/$(SHARED) $(BUILD)/libinner_universe_lua.a $(BUILD)/lua/inner_universe/core.so ## build the libraries and the Lua module into build/

demo: deps-run ## install what is missing, build, import a real catalogue and prove that it comes back
	@$(MAKE) --no-print-directory -j$(JOBS) all
	scripts/iu demo

# $(call run_tests,OPTIONS): the runner, told which SpacetimeDB server to use (none given: the one of `make spacetimedb`, when it is there).
run_tests = SPACETIMEDB_SERVER='$(SPACETIMEDB_SERVER)' $(LUA) tests/run.lua $1 $(if $(T),--match '$(T)')

test: deps-test ## every test, ends with `N passed, N failed`; T=name runs those whose path contains name; SPACETIMEDB_SERVER=program
	@$(MAKE) --no-print-directory -j$(JOBS) all build-tests module-where-possible
	@$(call run_tests)

test-c: build-tests module-where-possible ## the C tests only
	@$(call run_tests,--c)

test-lua: all build-peers module-where-possible ## the Lua tests only
	@$(call run_tests,--lua)

check: all ## the rules that are programs: layers, symbols, luacheck, READMEs, stubs, wasm imports
	@$(LUA) scripts/check/all.lua

asan: deps-test ## the C tests and the short Lua tests under the sanitizers; T=name as with test
	@$(MAKE) --no-print-directory -j$(JOBS) build-asan module-where-possible
	@$(call run_tests,--asan)

SECONDS ?= 60
build-fuzz: $(FUZZERS)

fuzz: build-fuzz ## the libFuzzer targets of tests/fuzz, each for SECONDS (60); needs clang
	@set -e -o pipefail; for program in $(FUZZERS); do \
	  echo "$$program"; mkdir -p $$program.corpus && name=$${program##*/} && $(LUA) tests/fuzz/seeds.lua $${name%_fuzz} $$program.corpus; \
	  $$program -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 -artifact_prefix=$$program. $$program.corpus 2>&1 \
	    | sed '/^###### Recommended/,/^###### End/d; /NEW_FUNC/d'; \
	done

# What takes long and has no aim in the table runs by name: BENCH=frames, BENCH=server, BENCH=universe (ROWS=100000).
BENCH_JOBS := $(filter-out batch_create_server diff_growth draft_commit frames server universe version_size,$(patsubst scripts/bench/%.lua,%,$(sort $(wildcard scripts/bench/*.lua))))
bench: deps-bench ## the table of speeds beside Tarantool, Redis and SQLite, and build/bench.json; BENCH=name runs one job of scripts/bench, BENCH_RUNS=5
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@set -e; mkdir -p $(BUILD)/bench; export BENCH_FOLDER=$$(mktemp -d); trap 'rm -rf "$$BENCH_FOLDER"' EXIT; trap 'exit 130' INT TERM; \
	$(if $(BENCH),,rm -f $(BUILD)/bench.json;) failed=0; \
	for job in $(or $(BENCH),$(BENCH_JOBS)); do scripts/iu run scripts/bench/$$job.lua $(ROWS) || failed=1; done; \
	[ ! -f $(BUILD)/bench.json ] || scripts/iu run scripts/bench/harness/table.lua; exit $$failed

MINUTES ?= 10
soak: all build-tests module-where-possible ## every test again and again for MINUTES (10), until one fails
	@$(call run_tests,--soak $(MINUTES))

spacetimedb: ## the SpacetimeDB server that the tests use, into the user's cache (15 minutes, once; needs a current Rust)
	@scripts/install-spacetimedb

module: ## build/inner_universe.wasm, and prove what it imports (needs clang and lld)
	@CI=1 $(LUA) scripts/check/all.lua wasm

clean: ## remove build/
	rm -rf $(BUILD)

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@echo
	@echo "  Variables: V=1 CC CFLAGS LDFLAGS OPTIMIZE LUA LUA_INCDIR BUILD SPACETIMEDB_SERVER; install: PREFIX DESTDIR LUADIR LIBDIR BINDIR INCLUDEDIR CLIBDIR PKGCONFIGDIR"

deps-run:
	@scripts/install-deps run
deps-test:
	@scripts/install-deps test
deps-bench:
	@scripts/install-deps bench

# --- install --------------------------------------------------------------------------------------------------------

PREFIX ?= /usr/local
LUADIR ?= $(PREFIX)/share/lua/5.4
LIBDIR ?= $(PREFIX)/lib/lua/5.4
BINDIR ?= $(PREFIX)/bin
# For C: LIBDIR is Lua's.
INCLUDEDIR ?= $(PREFIX)/include
CLIBDIR ?= $(PREFIX)/lib
PKGCONFIGDIR ?= $(CLIBDIR)/pkgconfig
INSTALL ?= install
put = put() { $(INSTALL) -d "$$(dirname "$$3")"; $(INSTALL) -m "$$1" "$$2" "$$3"; };

# Lua modules keep their folder names; a plugin becomes inner_universe/plugins/<name>/, where the plugin host looks; the annotations for
# editors (lua/library, never loaded) become inner_universe/library/; the module for servers, where it was built, inner_universe/module/.
install: install-lua install-c ## install under PREFIX (/usr/local), below DESTDIR when given
install-lua: all
	@set -e; $(put) \
	put 755 $(BUILD)/lua/inner_universe/core.so "$(DESTDIR)$(LIBDIR)/inner_universe/core.so"; \
	put_all() { (cd "$$1" && find . $$3 -name '*.lua' -printf '%P\n') | while read -r file; do put 644 "$$1/$$file" "$$2/$$file"; done; }; \
	put_all lua "$(DESTDIR)$(LUADIR)" '-path ./library -prune -o'; \
	if [ -d lua/library ]; then put_all lua/library "$(DESTDIR)$(LUADIR)/inner_universe/library"; fi; \
	put_all plugins "$(DESTDIR)$(LUADIR)/inner_universe/plugins"; \
	if [ -f $(BUILD)/inner_universe.wasm ]; then put 644 $(BUILD)/inner_universe.wasm "$(DESTDIR)$(LUADIR)/inner_universe/module/inner_universe.wasm"; fi; \
	put 755 scripts/iu "$(DESTDIR)$(BINDIR)/iu"
	@echo "installed Lua modules in $(DESTDIR)$(LUADIR), core.so in $(DESTDIR)$(LIBDIR), iu in $(DESTDIR)$(BINDIR)"

# $(call pkg_config_text,NAME,WORDS,REQUIRES,LIBS)
define pkg_config_text
prefix=$(PREFIX)
includedir=$(INCLUDEDIR)
libdir=$(CLIBDIR)

Name: $1
Description: an embedded reactive database, and a client of SpacetimeDB servers; $2
Version: $(VERSION)
$3
Cflags: -I$${includedir}
Libs: -L$${libdir} $4
endef

# Whoever links the static library links what it needs, too; the shared one has that with it.
install-c: $(BUILD)/libinner_universe.a $(BUILD)/$(SHARED) $(BUILD)/libinner_universe_lua.a ## the C part alone: header, static and shared library, pkg-config files
	$(file >$(BUILD)/inner_universe.pc,$(call pkg_config_text,inner_universe,static,Requires: $(PACKAGES),-l:libinner_universe.a -lm -pthread))
	$(file >$(BUILD)/inner_universe-shared.pc,$(call pkg_config_text,inner_universe-shared,shared,Requires.private: $(PACKAGES),-linner_universe))
	$(file >$(BUILD)/inner_universe-lua.pc,$(call pkg_config_text,inner_universe-lua,static$(,) with luaopen_inner_universe_core,Requires: $(PACKAGES) $(LUA_PACKAGE),-l:libinner_universe_lua.a -l:libinner_universe.a -lm -pthread))
	@set -e; $(put) \
	put 644 core/include/inner_universe.h "$(DESTDIR)$(INCLUDEDIR)/inner_universe.h"; \
	for library in libinner_universe.a libinner_universe_lua.a $(SHARED); do put 644 $(BUILD)/$$library "$(DESTDIR)$(CLIBDIR)/$$library"; done; \
	ln -sf $(SHARED) "$(DESTDIR)$(CLIBDIR)/$(SONAME)"; ln -sf $(SHARED) "$(DESTDIR)$(CLIBDIR)/libinner_universe.so"; \
	for pc in inner_universe inner_universe-shared inner_universe-lua; do put 644 $(BUILD)/$$pc.pc "$(DESTDIR)$(PKGCONFIGDIR)/$$pc.pc"; done
	@echo "installed inner_universe.h in $(DESTDIR)$(INCLUDEDIR), libinner_universe.a, .so and _lua.a in $(DESTDIR)$(CLIBDIR), pkg-config files in $(DESTDIR)$(PKGCONFIGDIR)"

uninstall: ## remove what install put there
	rm -f "$(DESTDIR)$(INCLUDEDIR)/inner_universe.h" "$(DESTDIR)$(CLIBDIR)"/libinner_universe{.a,_lua.a,.so,.so.0} "$(DESTDIR)$(CLIBDIR)/$(SHARED)" \
	  "$(DESTDIR)$(PKGCONFIGDIR)"/inner_universe{,-shared,-lua}.pc
	rm -rf "$(DESTDIR)$(LUADIR)/inner_universe" "$(DESTDIR)$(LUADIR)/inner_universe.lua" "$(DESTDIR)$(LIBDIR)/inner_universe" "$(DESTDIR)$(BINDIR)/iu"

# --- what is computed -----------------------------------------------------------------------------------------------

$(GENERATED)/pow10_rows.h: scripts/generate/pow10.lua core/base/text_internal.h
	@mkdir -p $(@D)
	@echo "  GEN   $@"
	$(Q)$(LUA) scripts/generate/pow10.lua $$(awk '/define IU__POW10_(MIN|MAX)/ { gsub(/[()]/, ""); print $$3 }' core/base/text_internal.h) > $@

# --- how things are built -------------------------------------------------------------------------------------------

# $(call stamp,FILE,TEXT): a file that is rewritten only when its text changes; what depends on it is then rebuilt.
define stamp
@mkdir -p $(dir $1)
@printf '%s\n' '$(subst ','\'',$2)' | cmp -s - $1 || printf '%s\n' '$(subst ','\'',$2)' > $1
endef

# $(call need,PACKAGES): a plain message instead of a missing header.
need = @for p in $1; do $(PKG_CONFIG) --exists $$p || { echo "error: $$p is not installed; scripts/install-deps gets everything" >&2; exit 1; }; done

define variant
OBJ_$1 := $(BUILD)/obj/$1
LIB_OBJECTS_$1 := $$(LIB_SOURCES:%.c=$(BUILD)/obj/$1/%.o)
BIND_OBJECTS_$1 := $$(BIND_SOURCES:%.c=$(BUILD)/obj/$1/%.o)
TESTS_$1 := $$(TEST_SOURCES:tests/c/%.c=$$(OUT_$1)/tests/c/%)
PEERS_$1 := $$(PEER_SOURCES:tests/node/%.c=$$(OUT_$1)/tests/node/%) $$(OUT_$1)/tests/peer/peer
EXAMPLES_$1 := $$(EXAMPLE_SOURCES:scripts/examples/%.c=$$(OUT_$1)/examples/%) $$(OUT_$1)/examples/simulation
DOUBLE_OBJECTS_$1 := $$(DOUBLE_SOURCES:%.c=$(BUILD)/obj/$1/%.o)

$(BUILD)/obj/$1/flags: FORCE
	$$(call need,$$(PACKAGES))
	$$(call stamp,$$@,$$(CC) $$(BASE_FLAGS) $$(FLAGS_$1) $$(LDFLAGS))
$(BUILD)/obj/$1/lua_flags: FORCE
	$$(call stamp,$$@,$$(LUA_CFLAGS))
$(BUILD)/obj/$1/members: FORCE
	$$(call stamp,$$@,$$(LIB_OBJECTS_$1) $$(BIND_OBJECTS_$1))

$(BUILD)/obj/$1/core/bind/%.o: core/bind/%.c $(BUILD)/obj/$1/flags $(BUILD)/obj/$1/lua_flags Makefile
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(FLAGS_$1) $$(LUA_CFLAGS) -MMD -MP -c -o $$@ $$<
$(BUILD)/obj/$1/core/%.o: core/%.c $(BUILD)/obj/$1/flags Makefile
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(FLAGS_$1) -MMD -MP -c -o $$@ $$<
$(BUILD)/obj/$1/tests/c/bind_%.o: tests/c/bind_%.c $(BUILD)/obj/$1/flags Makefile
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(FLAGS_$1) $$(LUA_CFLAGS) $$(CMOCKA_CFLAGS) -MMD -MP -c -o $$@ $$<
$(BUILD)/obj/$1/tests/c/%.o: tests/c/%.c $(BUILD)/obj/$1/flags Makefile
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(FLAGS_$1) $$(CMOCKA_CFLAGS) -MMD -MP -c -o $$@ $$<
$(BUILD)/obj/$1/tests/node/%.o: tests/node/%.c $(BUILD)/obj/$1/flags Makefile
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(FLAGS_$1) -MMD -MP -c -o $$@ $$<

$(BUILD)/obj/$1/tests/peer/%.o: tests/peer/%.c $(BUILD)/obj/$1/flags Makefile
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(FLAGS_$1) -MMD -MP -c -o $$@ $$<

$(BUILD)/obj/$1/core/base/text_pow10.o: $(GENERATED)/pow10_rows.h

# Written anew: an archive keeps members whose source is gone. `q`, because two folders may hold files of one name.
$$(OUT_$1)/libinner_universe.a: $$(LIB_OBJECTS_$1) $(BUILD)/obj/$1/members
	@mkdir -p $$(@D)
	@rm -f $$@
	@echo "  AR    $$@"
	$$(Q)ar qcs $$@ $$(LIB_OBJECTS_$1)

$$(OUT_$1)/lua/inner_universe/core.so: $$(BIND_OBJECTS_$1) $$(OUT_$1)/libinner_universe.a $(BUILD)/obj/$1/members
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) -shared -pthread -Wl,--as-needed $$(LINK_$1) $$(LDFLAGS) -o $$@ $$(BIND_OBJECTS_$1) $$(OUT_$1)/libinner_universe.a $$(LIB_LIBS)

# For hosts in C: only what the public header names is visible in it.
$$(OUT_$1)/$(SHARED): $$(LIB_OBJECTS_$1) $(BUILD)/obj/$1/members
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) -shared -pthread -Wl,-soname,$(SONAME) -Wl,-z,defs -Wl,--as-needed $$(LINK_$1) $$(LDFLAGS) -o $$@ $$(LIB_OBJECTS_$1) $$(LIB_LIBS)
# The Lua border alone, for hosts that link it and Lua into themselves.
$$(OUT_$1)/libinner_universe_lua.a: $$(BIND_OBJECTS_$1) $(BUILD)/obj/$1/members
	@mkdir -p $$(@D)
	@rm -f $$@
	@echo "  AR    $$@"
	$$(Q)ar qcs $$@ $$(BIND_OBJECTS_$1)

# A test of the Lua border links the border itself and Lua; all others see the library without either.
$$(OUT_$1)/tests/c/bind_%_test: $(BUILD)/obj/$1/tests/c/bind_%_test.o $$(BIND_OBJECTS_$1) $$(OUT_$1)/libinner_universe.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) -pthread -rdynamic $$(LINK_$1) $$(LDFLAGS) -Wl,--as-needed -o $$@ $$^ $$(LIB_LIBS) $$(LUA_LIBS) $$(CMOCKA_LIBS)
# A test of the peer's bytes links its codec.
$$(OUT_$1)/tests/c/peer_%_test: $(BUILD)/obj/$1/tests/c/peer_%_test.o $(BUILD)/obj/$1/tests/peer/encode.o $(BUILD)/obj/$1/tests/peer/decode.o \
  $$(OUT_$1)/libinner_universe.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) -pthread $$(LINK_$1) $$(LDFLAGS) -Wl,--as-needed -o $$@ $$^ $$(LIB_LIBS) $$(CMOCKA_LIBS)
$$(OUT_$1)/tests/c/%_test: $(BUILD)/obj/$1/tests/c/%_test.o $$(OUT_$1)/libinner_universe.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) -pthread $$(LINK_$1) $$(LDFLAGS) -Wl,--as-needed -o $$@ $$^ $$(LIB_LIBS) $$(CMOCKA_LIBS)
$$(OUT_$1)/tests/node/%: $(BUILD)/obj/$1/tests/node/%.o $$(OUT_$1)/libinner_universe.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) -pthread $$(LINK_$1) $$(LDFLAGS) -Wl,--as-needed -o $$@ $$^ $$(LIB_LIBS)
# As a stranger would: strict C99 that sees the public header and nothing else of the tree.
$(BUILD)/obj/$1/scripts/examples/%.o: scripts/examples/%.c core/include/inner_universe.h $(BUILD)/obj/$1/flags Makefile
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	$$(Q)$$(CC) -std=c99 -pedantic $$(WARNINGS) $$(OPTIMIZE) -Icore/include $$(FLAGS_$1) $$(CFLAGS) -c -o $$@ $$<
$$(OUT_$1)/examples/%: $(BUILD)/obj/$1/scripts/examples/%.o $$(OUT_$1)/libinner_universe.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) -pthread $$(LINK_$1) $$(LDFLAGS) -Wl,--as-needed -o $$@ $$^ $$(LIB_LIBS)
# The host with a Lua state of its own.
$$(OUT_$1)/examples/simulation: scripts/examples/host/simulation.c core/include/inner_universe.h $$(OUT_$1)/libinner_universe.a $(BUILD)/obj/$1/lua_flags Makefile
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) -std=c99 -pedantic $$(WARNINGS) $$(OPTIMIZE) -Icore/include $$(FLAGS_$1) $$(LUA_CFLAGS) $$(CFLAGS) -pthread $$(LINK_$1) $$(LDFLAGS) \
	  -Wl,--as-needed -o $$@ $$< $$(OUT_$1)/libinner_universe.a $$(LIB_LIBS) $$(LUA_LIBS)
$$(OUT_$1)/tests/peer/peer: $$(DOUBLE_OBJECTS_$1) $$(OUT_$1)/libinner_universe.a
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) -pthread $$(LINK_$1) $$(LDFLAGS) -Wl,--as-needed -o $$@ $$^ $$(LIB_LIBS) $$(BROTLIENC_LIBS)

-include $$(LIB_OBJECTS_$1:.o=.d) $$(BIND_OBJECTS_$1:.o=.d) $$(TEST_SOURCES:%.c=$(BUILD)/obj/$1/%.d) $$(PEER_SOURCES:%.c=$(BUILD)/obj/$1/%.d) \
  $$(DOUBLE_OBJECTS_$1:.o=.d)
endef
$(foreach v,release test asan,$(eval $(call variant,$v)))
.SECONDARY:

examples: $(EXAMPLES_release) ## the C examples of scripts/examples into build/examples/
build-peers: $(PEERS_test) $(EXAMPLES_test)
build-tests: $(TESTS_test) build-peers
build-asan: $(TESTS_asan) $(PEERS_asan) $(EXAMPLES_asan) $(OUT_asan)/lua/inner_universe/core.so

# The sources and flags of the folder that a target is named after.
fuzz_sources = $(FUZZ_SOURCES) $(FUZZ_SOURCES_$(firstword $(subst _, ,$1)))
.SECONDEXPANSION:
$(BUILD)/fuzz/%: tests/fuzz/%.c $$(call fuzz_sources,$$*) $(wildcard core/*/*.h tests/c/*.h) $(GENERATED)/pow10_rows.h
	@mkdir -p $(@D)
	@echo "  FUZZ  $@"
	$(Q)$(CLANG) $(BASE_FLAGS) $(FUZZ_FLAGS_$(firstword $(subst _, ,$*))) $(CMOCKA_CFLAGS) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	  -o $@ $< $(call fuzz_sources,$*) $(LIB_LIBS) $(CMOCKA_LIBS)

WASM_OBJECTS := $(MODULE_SOURCES:%.c=$(BUILD)/obj/wasm/%.o)
$(BUILD)/obj/wasm/flags: FORCE
	$(call stamp,$@,$(CLANG) $(WASM_CFLAGS) $(WASM_LDFLAGS) $(MODULE_SOURCES))
$(BUILD)/obj/wasm/%.o: %.c $(BUILD)/obj/wasm/flags Makefile
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CLANG) $(WASM_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/obj/wasm/core/base/text_pow10.o: $(GENERATED)/pow10_rows.h
$(BUILD)/inner_universe.wasm: $(WASM_OBJECTS)
	@echo "  LINK  $@"
	$(Q)$(WASM_LD) $(WASM_LDFLAGS) -o $@ $(WASM_OBJECTS)
-include $(WASM_OBJECTS:.o=.d)

# For the tests on a server, which are left out without it.
module-where-possible:
	@if command -v $(CLANG) >/dev/null && command -v $(WASM_LD) >/dev/null; then $(MAKE) --no-print-directory $(BUILD)/inner_universe.wasm; fi

FORCE:
