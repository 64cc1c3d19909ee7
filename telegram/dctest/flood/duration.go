package flood

import (
	"fmt"
	"time"
)

// A Duration is a time.Duration written as "1m30s".
type Duration time.Duration

// UnmarshalText reads the duration. A negative one is an error.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err == nil && v < 0 {
		err = fmt.Errorf("time: negative duration %q", b)
	}
	*d = Duration(v)
	return err
}

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
