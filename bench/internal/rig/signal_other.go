//go:build !unix

package rig

import (
	"errors"
	"os"
)

// askStats has a simulation write its stats.
func askStats(*os.Process) error {
	return errors.New("a running simulation cannot be asked for its stats on this system")
}
