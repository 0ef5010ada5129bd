# Thin front to meson: sets up what is missing, configures once, builds, and goes.
#   make run | test | bench | install | clean     BUILD=build  CC=gcc|clang  SANITIZE=address,undefined  TESTS='step handler'
BUILD ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
SANITIZE ?= none
PREFIX ?= /usr/local

.PHONY: all deps configure run test bench install clean
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

test: all
	./tests/run.sh $(BUILD) $(TESTS)

bench: all
	./bench/run.sh $(BUILD)

# A prefix that is asked for holds, also when the build was configured with another; the command has it built in.
install: configure
	@$(if $(filter-out file default undefined,$(origin PREFIX)),meson configure $(BUILD) -Dprefix=$(PREFIX),:)
	ninja -C $(BUILD)
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD)
