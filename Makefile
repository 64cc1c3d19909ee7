# What a developer types. `make test` needs nothing but Go; `make check` builds its linter first.

GO       ?= go
BIN      := bin
# How long each fuzz target runs; CI takes a short time, `make fuzz FUZZTIME=8m` a long one.
FUZZTIME ?= 20s
# How many clients `make kill` kills.
RUNS     ?= 200
# How many crash images `make crash` takes.
IMAGES   ?= 2000
# How many virtual days the scheduler is put through.
DAYS     ?= 200
# How long `make soak` goes on.
SOAKTIME ?= 60m

.PHONY: demo build test test-full test-browser test-purego test-arm64 check vet-systems lint generate generate-asm generate-check fuzz interop interop-telethon clean \
	bench bench-crypto bench-peers bench-grow profile bench-flood plots bench-wan bench-small bench-references bench-memory bench-channel kill survive crash days soak mixed

demo: ## archive a channel from a simulated Telegram: no account, no network
	$(GO) run ./cmd/haul demo

build: ## the binary, in bin/haul
	$(GO) build -o $(BIN)/haul ./cmd/haul

# A program with the race detector sleeps for a second before it exits, each test program too. And it maps the shadow of
# each large allocation anew, page fault by page fault, where to clear it costs a quarter: so clear it.
test: export GORACE ?= atexit_sleep_ms=10 clear_shadow_mmap_threshold=1073741824
test: ## the whole test suite, with the race detector
	$(GO) test -race -shuffle=on -timeout 10m $(LONGEST) ./...

# The packages whose tests take longest, and wait for disks and processes most. They begin first, and the others fill the gaps.
LONGEST := ./cmd/haul ./transfer

test-full: ## the packages whose tests are cut short with the race detector, without it
	$(GO) test -shuffle=on ./transfer ./checkpoint ./bench/internal/virtual

test-browser: ## the gallery in headless Chromium, which must be installed
	cd transfer/archive/gallery/browser && $(GO) test -timeout 10m ./...

check: lint ## everything that CI checks and that runs no test
	$(GO) vet ./...
	cd bench/peers && $(GO) vet ./...
	$(GO) mod verify >/dev/null
	git diff --exit-code -- go.mod go.sum

# Compiles everything once for each system: a minute or two the first time, seconds later.
vet-systems: ## the code and tests of the other systems
	for os in windows darwin freebsd; do echo $$os; GOOS=$$os $(GO) vet ./... || exit 1; done

lint: $(BIN)/golangci-lint
	$(BIN)/golangci-lint run ./...
	$(BIN)/golangci-lint fmt --diff

$(BIN)/golangci-lint: tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

generate: ## Go types and the schema table, from the pinned schema
	cd tl/internal/gen && $(GO) run .

generate-asm: ## the assembly of AES-IGE, SHA-256 and AES-CTR
	cd mtproto/internal/ige/_asm && $(GO) run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg ige
	cd mtproto/internal/ige/_asm && $(GO) run ./arm64 -out ../kernels_arm64.s
	cd mtproto/internal/ige/_asm && $(GO) run ./ctr -out ../../ctr/kernels_amd64.s -stubs ../../ctr/kernels_amd64.go -pkg ctr

GENERATED := tl mtproto/internal/ige mtproto/internal/ctr

generate-check: ## fails if the committed output is not what the generators write
	find tl -name '*_gen.go' -delete
	rm -f mtproto/internal/ige/kernels_* mtproto/internal/ctr/kernels_*
	$(MAKE) generate generate-asm
	git diff --exit-code -- $(GENERATED)
	@test -z "$$(git ls-files --others --exclude-standard $(GENERATED))" || { git ls-files --others --exclude-standard $(GENERATED); echo "generated files that are not committed"; exit 1; }

test-purego: ## the cryptography without assembly, as CPUs run it that we have no assembly for
	$(GO) test -race -shuffle=on -tags purego ./mtproto/crypto ./mtproto/internal/ige ./mtproto/internal/ctr

# An emulator of Linux programs for arm64, with a CPU that has the cryptographic extension.
QEMU_ARM64 ?= qemu-aarch64 -cpu max

test-arm64: ## the cryptography as arm64 runs it, with assembly and without, emulated; needs qemu-user
	GOARCH=arm64 HAUL_IGE_PATH=armv8 $(GO) test -exec '$(QEMU_ARM64)' ./mtproto/crypto ./mtproto/internal/ige
	GOARCH=arm64 HAUL_IGE_PATH=portable $(GO) test -exec '$(QEMU_ARM64)' -tags purego ./mtproto/crypto ./mtproto/internal/ige

fuzz: ## every fuzz target, FUZZTIME each
	FUZZTIME=$(FUZZTIME) sh tools/fuzz.sh

interop: ## our client and cluster against implementations that we did not write
	cd mtproto/interop && $(GO) test -timeout 10m ./...

interop-telethon: ## the import of sessions written by Telethon's own code; needs python3 with Telethon
	cd mtproto/interop && HAUL_TELETHON=1 $(GO) test -timeout 10m -run TestImportTheirs -v ./...

bench: ## 1 GiB over loopback, the cluster in a process of its own; then the micro benchmarks
	$(GO) run ./bench loopback
	$(GO) test -run '^$$' -bench . -benchtime 200ms ./tl/... ./mtproto/... ./telegram/dctest/content/

bench-crypto: ## decryption and encryption of messages beside gotd's, in turns on one core; Linux
	cd mtproto/interop && $(GO) run ./benchcrypto

bench-peers: ## haul beside gotd/td and mtcute (needs node): table, data, and the tables and pictures of docs/benchmarks.md
	$(GO) run ./bench peers

profile: ## what the client's CPU time goes into: crypto, system calls, and the rest
	$(GO) run ./bench profile

bench-grow: ## what a part costs the scheduler and the checkpoint with 1 to 100,000 files queued; the start of the program
	$(GO) run ./bench grow

bench-flood: ## five kinds of flood rules that the scheduler does not know, in virtual time, beside a pool of workers
	$(GO) run ./bench flood

plots: ## the pictures in docs/img, from runs in virtual time
	$(GO) run ./bench plot

bench-wan: ## 1 GiB over a line with 80 ms round trip, 4 MiB/s a connection and 32 MiB/s a DC
	$(GO) run ./bench wan

bench-small: ## 10,000 small files over the same line, then fewer under a flood rule
	$(GO) run ./bench small

bench-references: ## 10,000 files whose references all expire at once
	$(GO) run ./bench references

bench-memory: ## an archive of 100,000 files: how large the client gets
	$(GO) run ./bench memory

bench-channel: ## a channel of 1,000,000 messages and 50,000 files: dry run, archive of a part, second run, watch
	$(GO) run ./bench channel

days: ## DAYS virtual days of the scheduler with every sort of fault, the same trace from the same seed
	$(GO) test ./scheduler -run 'TestDays|TestSameSeedSameTrace' -v -days $(DAYS) -timeout 2h

mixed: ## a folder of 500 files of all sorts: upload, kill, resume, verify, download, compare
	$(GO) test -race ./cmd/haul -run 'TestMixedFolder$$' -mixed 500

kill: ## kill -9 of clients at RUNS random moments, each resumed
	$(GO) run ./bench kill -runs $(RUNS)

survive: ## 1 GiB each way while keys are replaced, addresses change, the proxy restarts and the guest is revoked
	$(GO) run ./bench survive

crash: ## the power lost after each operation on a disk, IMAGES times, each resumed
	$(GO) test ./transfer -run 'TestCrashImages$$' -v -images $(IMAGES) -timeout 0

soak: ## files moved through faults of every kind for SOAKTIME; nothing may be wrong, lost, doubled or left open
	$(GO) run ./bench soak -for $(SOAKTIME)

clean:
	rm -rf $(BIN)
