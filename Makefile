# Thin front to meson: sets up what is missing, configures once, builds, and goes.
#   make run | test | bench | install | clean     BUILD=build  CC=gcc|clang  SANITIZE=address,undefined  TESTS='step handler'
#   make test-hardened                            as Debian builds packages
#   make test-long                                SHARD=I/N  STATES=10000  LOADS=10000000
#   make test-machines                            MACHINES='no-xsave max'
BUILD ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
SANITIZE ?= none
PREFIX ?= /usr/local
SHARD ?= 0/1
STATES ?= 10000
LOADS ?= 10000000

.PHONY: all deps configure run test test-hardened test-long test-machines bench install clean
all: configure
	ninja -C $(BUILD)

deps:
	@./tools/deps.sh

configure: deps
	@test -f $(BUILD)/build.ninja || \
	    CC=$(CC) meson setup $(BUILD) --werror --prefix $(PREFIX) -Db_sanitize=$(SANITIZE) \
	    $(if $(filter none,$(SANITIZE)),,-Db_lundef=false)

run: all
	$(BUILD)/tools/segue demo weak-table
	$(BUILD)/tools/segue demo lua
	$(BUILD)/tools/segue demo sqlite
	./examples/taken_away.sh $(BUILD)/tools/segue

test: all
	./tests/support/run.sh $(BUILD) $(TESTS)

# As Debian builds its packages: hardened, fortified, link-time optimised. Without the two longest tests, of every row of the
# corpus: they run the library's own objects, which are compiled with the same flags but for these in every build.
test-hardened: deps
	@test -f build-hardened/build.ninja || CC=$(CC) ./tools/build/hardened.sh build-hardened
	ninja -C build-hardened
	WITHOUT="differential_rows_of_code differential_rows_generated" ./tests/support/run.sh build-hardened $(TESTS)

# Every row of the corpus, stepped and run by the processor from so many states. What is killed goes on where it was;
# shards may run anywhere. Before that the tests that are too long for `make test`.
test-long: all
	$(BUILD)/tests/long_strings
	SEGUE_TEST_LOADS=$(LOADS) $(BUILD)/tests/test_verdicts
	$(BUILD)/tests/differential --rows corpus/data/debian.hex.xz --rows corpus/data/generated.hex.xz --per-row $(STATES) \
	    --shard $(SHARD) --progress $(BUILD)/test-long-$(STATES)-$(subst /,-of-,$(SHARD))

# The tests on other kernels and processors, emulated (tests/machines).
test-machines: all
	@./tools/deps.sh tests/machines/deps.txt
	./tests/machines/machines.sh $(BUILD) $(MACHINES)

bench: all
	./bench/run.sh $(BUILD)

# A prefix that is asked for holds, also when the build was configured with another; the command has it built in.
install: configure
	@$(if $(filter-out file default undefined,$(origin PREFIX)),meson configure $(BUILD) -Dprefix=$(PREFIX),:)
	ninja -C $(BUILD)
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD)
