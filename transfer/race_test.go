//go:build race

package transfer

// underRace says that the race detector is on, which makes tests ten times slower.
const underRace = true
