//go:build !race

package virtual

const underRace = false
