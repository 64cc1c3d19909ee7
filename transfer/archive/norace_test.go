//go:build !race

package archive_test

// hostilePlaces is how many files each template is tried with.
const hostilePlaces = 20_000
