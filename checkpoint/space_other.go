//go:build unix && !linux && !darwin

package checkpoint

import "math"

// freeSpace is unknown here; the store trusts that there is room.
func freeSpace(string) (int64, error) { return math.MaxInt64, nil }
