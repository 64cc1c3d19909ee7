//go:build race

package virtual

// underRace says that the race detector is on, which makes tests ten times slower.
const underRace = true
