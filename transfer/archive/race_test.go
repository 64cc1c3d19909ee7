//go:build race

package archive_test

// hostilePlaces is how many files each template is tried with: placing only
// computes, which takes twenty times as long under the race detector.
const hostilePlaces = 1000
