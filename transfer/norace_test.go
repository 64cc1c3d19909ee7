//go:build !race

package transfer

const UnderRace = false
