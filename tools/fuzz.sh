#!/bin/sh
# Runs each fuzz target of the module for FUZZTIME, one after the other: go test
# takes one target at a time. Ends with how many ran; the first failure stops it.
set -eu
fuzztime=${FUZZTIME:-20s}
count=0
for pkg in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $target ($fuzztime)"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" "$pkg"
		count=$((count + 1))
	done
done
echo "$count fuzz targets ran without a finding"
test "$count" -ge 10
