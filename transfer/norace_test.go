//go:build !race

package transfer

const underRace = false
