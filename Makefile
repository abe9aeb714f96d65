# topicfs: the one Makefile. `make help` lists the targets.
#
# What may be set: VARIANT=release|asan|tsan|coverage|fuzz, CC=gcc|clang, WERROR=1, BUILD=DIR,
# PREFIX, DESTDIR, CFLAGS, LDFLAGS, V=1 (show commands), TOPICFS_SCALE=N (tests N times larger).

MAKEFLAGS += --no-builtin-rules $(if $(filter 0,$(MAKELEVEL)),-j$(shell nproc))
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

VARIANT ?= release
BUILD ?= build
PREFIX ?= /usr/local
TOPICFS_SCALE ?= 1
ifeq ($(origin CC),default)
CC := gcc
endif

# A clang build has a directory of its own beside gcc's.
B := $(BUILD)/$(VARIANT)$(if $(findstring clang,$(notdir $(firstword $(CC)))),-clang)
O := $(B)/obj

# ---- Flags
FLAGS_release  := -O2 -g
FLAGS_asan     := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
                  -fno-sanitize-recover=all
FLAGS_tsan     := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
FLAGS_coverage := -O0 -g --coverage
FLAGS_fuzz     := $(FLAGS_asan) -fsanitize=fuzzer-no-link
ifndef FLAGS_$(VARIANT)
$(error VARIANT=$(VARIANT) is unknown: release, asan, tsan, coverage or fuzz)
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
            -Wconversion $(if $(filter 1,$(WERROR)),-Werror)
STD_FLAGS := -std=c17 -D_GNU_SOURCE -I.
FUSE_FLAGS := -DFUSE_USE_VERSION=314 \
              $(patsubst -I%,-isystem %,$(shell pkg-config --cflags fuse3 2>/dev/null))
FUSE_LIBS := $(shell pkg-config --libs fuse3 2>/dev/null || echo -lfuse3)
ALL_CFLAGS := $(STD_FLAGS) $(WARNINGS) $(FLAGS_$(VARIANT)) -pthread $(CFLAGS)
ALL_LDFLAGS := $(FLAGS_$(VARIANT)) -pthread $(LDFLAGS)
LIBS := $(FUSE_LIBS) -lisal
CHECK_LIBS := $(shell pkg-config --libs check 2>/dev/null || echo -lcheck)
# Only fs/ sees libfuse.
fuse_flags = $(if $(filter fs/%,$<),$(FUSE_FLAGS))

# ---- Files
FOLDERS := base store fs daemon
SOURCES := $(wildcard $(FOLDERS:%=%/*.c))
LIB_OBJS := $(patsubst %.c,$(O)/%.o,$(filter-out daemon/main.c,$(SOURCES)))
SUPPORT_OBJS := $(patsubst %.c,$(O)/%.o,$(wildcard tests/support/*.c))
CRASH_OBJS := $(patsubst %.c,$(O)/%.o,$(wildcard tests/crash/*.c))
CUTS_OBJS := $(patsubst %.c,$(O)/%.o,$(wildcard tests/cuts/*.c))
programs_of = $(patsubst %.c,$(B)/%,$(wildcard $(1)))

PROGRAM := $(B)/topicfs
# Fuzz targets run over their corpora as unit tests do; with libFuzzer where VARIANT=fuzz.
FUZZ := $(call programs_of,tests/fuzz/fuzz_*.c)
FUZZ_ALONE := tests/fuzz/fuzz_%.c tests/fuzz/seeds.c $(if $(filter fuzz,$(VARIANT)),%/replay.c)
FUZZ_OBJS := $(patsubst %.c,$(O)/%.o,$(filter-out $(FUZZ_ALONE),$(wildcard tests/fuzz/*.c)))
SEEDS := $(B)/tests/fuzz/seeds
UNIT := $(call programs_of,tests/unit/check_*.c) $(FUZZ)
CRASH := $(B)/tests/crash
CUTS := $(B)/tests/cuts
KILL_PROGRAMS := $(call programs_of,tests/kill/*.c)
BENCH_PROGRAMS := $(call programs_of,tests/bench/*.c)
TOOLS := $(patsubst tests/tools/%.c,$(B)/tools/%,$(wildcard tests/tools/*.c))
E2E := $(wildcard tests/e2e/t_*.sh)
C_FILES := $(wildcard $(FOLDERS:%=%/*.c) tests/*/*.c)
H_FILES := $(wildcard $(FOLDERS:%=%/*.h) tests/*/*.h)

.PHONY: all check check-all check-unit check-e2e check-suites crash kill cuts fuzz fuzz-programs asan \
        tsan bench coverage lint tidy format install uninstall clean help FORCE

# ---- Building
all: $(PROGRAM) $(if $(filter $(BUILD)/release,$(B)),$(BUILD)/bin/topicfs)

say = $(if $(V),,@echo "  $(1)  $@")
Q := $(if $(V),,@)

# A change of compiler, flags or list of files rebuilds what it concerns.
$(B)/flags: NOTE = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)
$(B)/files: NOTE = $(LIB_OBJS) $(SUPPORT_OBJS) $(CRASH_OBJS) $(CUTS_OBJS)
$(B)/flags $(B)/files: FORCE
	@mkdir -p $(@D); echo '$(NOTE)' | cmp -s - $@ || echo '$(NOTE)' > $@

$(O)/%.o: %.c $(B)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(fuse_flags) -MMD -MP -c -o $@ $<

$(B)/libtopicfs.a: $(LIB_OBJS)
$(B)/libsupport.a: $(SUPPORT_OBJS)
$(B)/lib%.a: $(B)/files
	@rm -f $@; ar rcs $@ $(filter %.o,$^)

link = $(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)
ARCHIVES := $(B)/libsupport.a $(B)/libtopicfs.a

$(B)/topicfs: $(O)/daemon/main.o $(B)/libtopicfs.a
	$(call say,LD)
	$(Q)$(link)

$(UNIT): LIBS += $(CHECK_LIBS)
$(UNIT) $(KILL_PROGRAMS) $(BENCH_PROGRAMS) $(SEEDS): $(B)/%: $(O)/%.o
$(FUZZ): $(FUZZ_OBJS)
$(SEEDS): $(filter-out %/replay.o,$(FUZZ_OBJS))
$(FUZZ): ALL_LDFLAGS += $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer)
$(TOOLS): $(B)/tools/%: $(O)/tests/tools/%.o
$(B)/tests/crash: $(CRASH_OBJS)
$(B)/tests/cuts: $(CUTS_OBJS) $(filter-out %/main.o,$(CRASH_OBJS))
$(UNIT) $(KILL_PROGRAMS) $(BENCH_PROGRAMS) $(SEEDS) $(TOOLS) $(B)/tests/crash $(CUTS): $(ARCHIVES)
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(link)

$(BUILD)/bin/topicfs: $(B)/topicfs
	@mkdir -p $(@D); ln -sfn ../$(notdir $(B))/topicfs $@

.SECONDARY:
-include $(patsubst %.c,$(O)/%.d,$(C_FILES))

# ---- Testing. One run of tests/run.sh a recipe: it ends with one line `N passed, N failed`.
ALONE = TOPICFS_BIN=$(abspath $(B))/topicfs TOPICFS_TOOLS=$(abspath $(B))/tools \
      TOPICFS_TESTS=$(abspath $(B))/tests TOPICFS_SCALE=$(TOPICFS_SCALE) \
      $(if $(filter asan tsan,$(VARIANT)),TOPICFS_SANITIZER=$(VARIANT))
RUN = $(ALONE) tests/run.sh
RUN_UNIT = --limit 300 $(UNIT)
RUN_E2E = --limit 300 $(E2E)
# More than ten million states; where coverage is what counts, a quarter.
CRASH_TIMES = $(shell echo $$(($(if $(filter coverage,$(VARIANT)),1,4) * $(TOPICFS_SCALE))))
RUN_CRASH = --limit 3600 '$(CRASH) $(CRASH_TIMES)'
RUN_KILL = --limit 900 tests/kill/kill.sh
# Workers that a cut ends leave no coverage.
RUN_CUTS = $(if $(filter coverage,$(VARIANT)),,--limit 900 'tests/cuts/cuts.sh ext4' 'tests/cuts/cuts.sh xfs' \
    'tests/cuts/cuts.sh kill' tests/cuts/disks.sh)

check: $(PROGRAM) $(UNIT) $(CRASH) $(CUTS) $(KILL_PROGRAMS) $(TOOLS)
	@$(RUN) $(if $(CI),--limit 900 scripts/lint scripts/fuzz) $(RUN_CRASH) $(RUN_KILL) $(RUN_CUTS) \
	    $(RUN_UNIT) $(RUN_E2E)
check-all: ; @$(MAKE) --no-print-directory check TOPICFS_SCALE=10
check-unit: $(UNIT) ; @$(RUN) $(RUN_UNIT)
check-e2e: $(PROGRAM) $(TOOLS) ; @$(RUN) $(RUN_E2E)
check-suites: $(PROGRAM) $(UNIT) $(TOOLS) ; @$(RUN) $(RUN_UNIT) $(RUN_E2E)
crash: $(CRASH) ; @$(CRASH) $(CRASH_TIMES)
cuts: $(PROGRAM) $(KILL_PROGRAMS) $(CUTS)
	@$(ALONE) tests/cuts/disks.sh && $(ALONE) tests/cuts/cuts.sh
kill: $(PROGRAM) $(KILL_PROGRAMS) $(TOOLS) ; @$(ALONE) tests/kill/kill.sh
fuzz-programs: $(FUZZ)
fuzz: ; @scripts/fuzz
asan tsan:
	@$(MAKE) --no-print-directory check-suites VARIANT=$@
bench: $(PROGRAM) $(BENCH_PROGRAMS) $(TOOLS)
	@$(ALONE) tests/bench/bench.sh
coverage:
	@find $(BUILD)/coverage -name '*.gcda' -delete 2>/dev/null || true
	@-$(MAKE) --no-print-directory check VARIANT=coverage CI=
	@scripts/coverage $(BUILD)/coverage

# ---- Lint: scripts/lint says what it consists of; clang-tidy leaves a stamp per file it liked.
TIDY := $(C_FILES:%.c=$(BUILD)/lint/%.tidy)
$(BUILD)/lint/%.tidy: %.c .clang-tidy tests/.clang-tidy
	@mkdir -p $(@D)
	@$(CC) $(STD_FLAGS) $(fuse_flags) -MM -MP -MT $@ -MF $(@:.tidy=.d) $<
	@clang-tidy --quiet $< -- $(STD_FLAGS) $(fuse_flags) 2> >(grep -v ' warnings\? generated' >&2)
	@touch $@
-include $(TIDY:.tidy=.d)
tidy: $(TIDY)
lint: ; @scripts/lint
format: ; clang-format -i $(C_FILES) $(H_FILES)

# ---- Installing
install: $(B)/topicfs
	install -D -m 755 $(B)/topicfs $(DESTDIR)$(PREFIX)/bin/topicfs
	install -D -m 644 docs/topicfs.1 $(DESTDIR)$(PREFIX)/share/man/man1/topicfs.1
	sed 's,@BINDIR@,$(PREFIX)/bin,g' scripts/topicfs@.service | install -D -m 644 /dev/stdin \
	    $(DESTDIR)$(PREFIX)/lib/systemd/system/topicfs@.service
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/topicfs $(DESTDIR)$(PREFIX)/share/man/man1/topicfs.1 \
	    $(DESTDIR)$(PREFIX)/lib/systemd/system/topicfs@.service
clean: ; rm -rf $(BUILD)

help:
	@sed -n 's/^# \(Targets\|  \)/\1/p' $(firstword $(MAKEFILE_LIST))
# Targets:
#   all          build/bin/topicfs (the default)
#   check        everything that fits in CI: unit, crash states, end to end, kill, cuts; lint and fuzz
#                where CI is set
#   check-all    the same with every number ten times larger
#   check-unit   check-e2e   one of them
#   crash  kill  cuts  fuzz  crash states, kill -9 cycles, power cuts of real disks, libFuzzer; each
#                ends with its own line
#   asan   tsan  the unit and end-to-end suites under the sanitizer
#   bench        the table of measured ratios
#   coverage     line and branch coverage, by folder
#   lint  format clang-format, clang-tidy, cppcheck, shellcheck, and the house's own checks
#   install  uninstall   into $(DESTDIR)$(PREFIX)
#   clean        removes the build directory
