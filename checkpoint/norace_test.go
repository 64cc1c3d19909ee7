//go:build !race

package checkpoint_test

const underRace = false
