#!/bin/sh
# Runs each fuzz target of the module for FUZZTIME, one after the other: go test
# takes one target at a time. Ends with how many ran; the first failure stops it.
set -eu
fuzztime=${FUZZTIME:-20s}
count=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# A finding writes its input, or says what panicked. Without either, "context
# deadline exceeded" is the fuzzer's own end: it now and then reports a worker
# that was busy when the time was up (golang.org/issue/75804).
only_timed_out() {
	grep -q '^ *context deadline exceeded$' "$log" && ! grep -qE 'Failing input|panic:|_test\.go:' "$log"
}

for pkg in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $target ($fuzztime)"
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" "$pkg" >"$log" 2>&1; then
			tail -n 2 "$log"
		elif only_timed_out; then
			echo "time was up while an input was being tried; no finding"
		else
			cat "$log"
			exit 1
		fi
		count=$((count + 1))
	done
done
echo "$count fuzz targets ran without a finding"
test "$count" -ge 10
