# Thin front to meson: sets up what is missing, configures once, builds, and goes.
#   make run | check | test | bench | install | clean   BUILD=build  CC=gcc|clang  SANITIZE=address,undefined
#                                                 TESTS='step handler'  SUITES='decode emulate'
#   make lint                                     clang-tidy
#   make test-hardened                            as Debian builds packages
#   make test-long                                SHARD=I/N  STATES=10000  LOADS=10000000
#   make test-torture                             SHARD=I/N
#   make test-collector                           SHARD=I/N
#   make test-runtimes                            RUNTIMES='ruby node'
#   make test-machines                            MACHINES='no-xsave max'
#   make corpus-report                            decoders by kinds of errors
#   make sweep-local                              states as array tasks of Slurm; sweep-fuzzers for its fuzzers
#   make docs                                     the site
#   make dist | package | test-package            the release; Debian's packages; the same in a new system
#   make test-seam                                TARGETS='x86_64-windows x86-windows x86-linux'
#   DEPS: the sets of packages that are installed first (tools/deps); `none` installs nothing
BUILD ?= build
DEPS ?= test
# Where the set test is installed nothing may be missing; otherwise what is missing leaves out the tests that need it.
FULL = $(if $(filter test,$(DEPS)),true,false)
ifeq ($(origin CC),default)
CC := gcc
endif
SANITIZE ?= none
PREFIX ?= /usr/local
SHARD ?= 0/1
STATES ?= 10000
LOADS ?= 10000000

.PHONY: all deps configure run check test lint test-hardened test-sanitize test-long \
    test-torture test-machines test-seam test-i386 test-i386-kernel test-windows test-windows-i386 bench-windows \
    test-darwin test-freebsd bench docs sweep-local install dist package test-package clean
all: configure
	ninja -C $(BUILD)

# Installs these sets.
install-sets = $(if $(filter none,$(DEPS)),:,./tools/deps.sh $(1))

deps:
	@$(call install-sets,$(DEPS))

configure: deps
	@test -f $(BUILD)/build.ninja || \
	    CC=$(CC) meson setup $(BUILD) --werror --prefix $(PREFIX) -Dfull=$(FULL) -Db_sanitize=$(SANITIZE) \
	    $(if $(filter none,$(SANITIZE)),,-Db_lundef=false)

run: all
	$(BUILD)/tools/segue demo weak-table
	$(BUILD)/tools/segue demo lua
	$(BUILD)/tools/segue demo sqlite
	if [ -x $(BUILD)/examples/python_heap ]; then $(BUILD)/tools/segue demo python; fi
	./examples/taken_away.sh $(BUILD)/tools/segue

# The fast loop: under a minute on two processors.
check: all
	./tests/support/run.sh $(BUILD) --suite quick

test: all
	./tests/support/run.sh $(BUILD) $(SUITES:%=--suite %) $(TESTS)

# clang-tidy over all C files, as clang compiles them: no finding.
lint:
	$(MAKE) all BUILD=build-clang CC=clang
	./tools/build/lint.sh build-clang

# As Debian builds its packages: hardened, fortified, link-time optimised.
test-hardened: deps
	@test -f build-hardened/build.ninja || CC=$(CC) ./tools/build/hardened.sh build-hardened -Dfull=$(FULL)
	ninja -C build-hardened
	./tests/support/run.sh build-hardened $(if $(TESTS),$(TESTS),--suite hardened)

# What shows something of its own under sanitizers.
test-sanitize:
	$(MAKE) test BUILD=build-sanitize SANITIZE=address,undefined SUITES=sanitize

# Every row of the corpus, stepped and run by the processor from so many states. What is killed goes on where it was;
# shards may run anywhere. Before that the tests that are too long for `make test`.
test-long: all
	$(BUILD)/tests/emulate/long_strings
	SEGUE_TEST_LOADS=$(LOADS) $(BUILD)/tests/signals/policy/test_verdicts
	./tests/tools/watch/programs.sh $(BUILD)/tools/segue tests/programs $(BUILD)/tests/tools/watch/counter_static long
	$(BUILD)/tests/differential/differential --rows corpus/data/debian.hex.xz \
	    --rows corpus/data/generated.hex.xz --per-row $(STATES) \
	    --shard $(SHARD) --progress $(BUILD)/test-long-$(STATES)-$(subst /,-of-,$(SHARD))

# Hot sites under threads, signals, suspensions, forks and exchanged code: an hour of it.
test-torture: all
	./tests/signals/hot/torture/torture.sh $(BUILD) $(SHARD)

# The stress of examples/collector: ten minutes of it.
.PHONY: test-collector
test-collector: all
	./tests/clients/collector_long.sh $(BUILD)/examples/collector $(SHARD)

# Runtimes with fault handlers of their own, with a library that uses Segue in them (docs/runtimes.md).
.PHONY: test-runtimes
test-runtimes: all
	@$(call install-sets,test-runtimes)
	./tests/runtimes/runtimes.sh $(BUILD) $(RUNTIMES)

# The tests on other kernels and processors, emulated (tests/machines).
test-machines: all
	@$(call install-sets,machines)
	./tests/machines/machines.sh $(BUILD) $(MACHINES)

# The tests of i386 on a kernel for i386, emulated.
test-i386-kernel:
	@$(call install-sets,machines)
	./tests/machines/machines.sh $(BUILD) i386 i386-no-xsave

# The library for Windows on i386, and its tests, in a Debian for i386 with Wine; only root can make one.
test-windows-i386:
	@$(call install-sets,wine32)
	./tests/platform/seam/wine32.sh make $(CURDIR)/build-deps/wine32
	WINE32=$(CURDIR)/build-deps/wine32 ./tests/platform/windows/windows.sh $(BUILD) i386 $(TESTS)

# What is above the platform seam, for Windows and for i386: compiled, and the tests of decode run.
test-seam:
	@$(call install-sets,mingw i386)
	./tests/platform/seam/seam.sh $(BUILD) $(TARGETS)

# The library for Linux on i386, and its tests, on this system's kernel.
test-i386:
	@$(call install-sets,i386)
	./tests/platform/i386/i386.sh $(BUILD) $(TESTS)

# The library for Windows on x86-64, and its tests, under Wine.
test-windows:
	@$(call install-sets,mingw)
	./tests/platform/windows/windows.sh $(BUILD) x86_64 $(TESTS)

# What a fault costs on Windows on x86-64, under Wine.
bench-windows:
	@$(call install-sets,mingw)
	./tests/platform/windows/bench.sh $(BUILD)

# The library for macOS on x86-64, and its tests, on Linux under a loader.
test-darwin:
	@$(call install-sets,darwin)
	./tests/platform/darwin/darwin.sh $(BUILD) $(TESTS)

# The library for FreeBSD on x86-64 and on i386, and its tests, on Linux under a loader.
test-freebsd:
	@$(call install-sets,freebsd)
	./tests/platform/freebsd/freebsd.sh $(BUILD) x86_64 $(TESTS)
	./tests/platform/freebsd/freebsd.sh $(BUILD) i386 $(TESTS)

bench: all
	./bench/run.sh $(BUILD)

# A prefix that is asked for holds, also when the build was configured with another; the command has it built in.
install: configure
	@$(if $(filter-out file default undefined,$(origin PREFIX)),meson configure $(BUILD) -Dprefix=$(PREFIX),:)
	ninja -C $(BUILD)
	meson install -C $(BUILD) --no-rebuild

# All decoders of x86 that can be had, by kinds of errors (docs/corpus.md). A library that was not there when the build
# was configured is looked for again.
.PHONY: corpus-report
corpus-report: all
	@$(call install-sets,decoders)
	@[ -e $(BUILD)/corpus/libopcodes-decoder ] || \
	    { meson configure --clearcache $(BUILD) && meson setup --reconfigure $(BUILD); } >/dev/null
	ninja -C $(BUILD)
	ICED_X86=$(CURDIR)/build-deps/decoders $(BUILD)/tools/segue corpus report --html $(BUILD)/corpus-report.html \
	    --json $(BUILD)/corpus-report.json debian $(wildcard ../shared/corpus/*.hex)

# A bounded sweep in a Slurm of one node (docs/sweep.md); only root can start one.
sweep-local: all
	@$(call install-sets,sweep)
	./tools/sweep/local.sh $(BUILD)

# The fuzzers' targets, for sweeps (docs/sweep.md).
.PHONY: sweep-fuzzers
sweep-fuzzers: all
	./tools/sweep/fuzzers.sh $(BUILD)

# The site, in $(BUILD)/site: all documents, the programs of examples, the reference.
docs:
	@$(call install-sets,site)
	./tools/pages/site/site.py . $(shell sed -n "s/^  version: '\(.*\)',/\1/p" meson.build) $(BUILD)/site
	./tools/pages/site/links.py $(BUILD)/site

# The release of the commit that is checked out. URL=... where it will be: for the wrap file.
dist:
	./tools/package/dist.sh . $(BUILD)/dist $(URL)

# Debian's packages of it, judged by lintian. DEB_BUILD_OPTIONS=nocheck leaves out their tests.
package:
	@$(call install-sets,package)
	./tools/package/deb.sh . $(BUILD)/package

# Those packages in a new system, and programs against them there; only root can make one.
test-package: package
	./tools/package/test.sh . $(BUILD)/package

clean:
	rm -rf $(BUILD)
