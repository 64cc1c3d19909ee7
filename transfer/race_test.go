//go:build race

package transfer

// UnderRace says that the race detector is on, which makes tests ten times slower.
const UnderRace = true
