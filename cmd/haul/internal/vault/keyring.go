package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	ring "github.com/zalando/go-keyring"
)

// A keyring keeps secrets by name. Errors wrap ErrKeyring, or ErrKey if a
// secret is not there.
type keyring interface {
	get(id string) (string, error)
	set(id, secret string) error
	remove(id string) error // no error if it is not there
}

// systemKeyring is that of the operating system: the Secret Service on Linux
// and BSD, the Keychain on macOS, the Credential Manager on Windows.
type systemKeyring struct{}

const (
	ringService = "haul"
	// ringPatience is how long a keyring may take, with somebody who has to
	// unlock it.
	ringPatience = time.Minute
)

func (systemKeyring) get(id string) (s string, err error) {
	var got string
	err = useRing(func() (err error) { got, err = ring.Get(ringService, id); return err })
	if errors.Is(err, ring.ErrNotFound) {
		return "", fmt.Errorf("%w: the keyring of this system does not have it", ErrKey)
	}
	if err != nil { // got may still be written to
		return "", err
	}
	return got, nil
}

func (systemKeyring) set(id, secret string) error {
	return useRing(func() error { return ring.Set(ringService, id, secret) })
}

func (systemKeyring) remove(id string) error {
	err := useRing(func() error { return ring.Delete(ringService, id) })
	if errors.Is(err, ring.ErrNotFound) {
		return nil
	}
	return err
}

// useRing runs f, which uses the keyring, for ringPatience at most. Nothing can
// interrupt the library: a goroutine that is late is left behind, and soon the process is, too.
func useRing(f func() error) error {
	if err := hasBus(); err != nil {
		return err
	}
	done := make(chan error, 1) // nobody may be there to take it
	var using sync.WaitGroup
	using.Go(func() { done <- f() })
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, ring.ErrNotFound) {
			return fmt.Errorf("%w: %w", ErrKeyring, err)
		}
		return err
	case <-time.After(ringPatience):
		return fmt.Errorf("%w: it has not answered within %v", ErrKeyring, ringPatience)
	}
}

// hasBus fails where there is no session bus: the library would start one,
// with nobody to answer on it.
func hasBus() error {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" || os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return nil
	}
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(filepath.Join("/run/user", strconv.Itoa(os.Getuid()), name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: there is no D-Bus session", ErrKeyring)
}
