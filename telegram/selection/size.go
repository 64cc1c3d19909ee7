package selection

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseSize reads bytes: 500, 10k, 1.5M, 2G, 1T, also 10MB or 10MiB, all by
// powers of 1024 as rclone has it. "" is 0.
func ParseSize(text string) (int64, error) {
	number := strings.TrimSpace(text)
	if number == "" {
		return 0, nil
	}
	i := strings.LastIndexAny(number, "0123456789.") + 1
	unit := strings.ToUpper(number[i:])
	shift, known := map[string]int{
		"": 0, "B": 0, "K": 10, "KB": 10, "KIB": 10, "M": 20, "MB": 20, "MIB": 20,
		"G": 30, "GB": 30, "GIB": 30, "T": 40, "TB": 40, "TIB": 40,
	}[unit]
	whole, fraction, _ := strings.Cut(number[:i], ".")
	if !known || whole == "" && fraction == "" || !digits(whole) || !digits(fraction) {
		return 0, fmt.Errorf("%q is no size: want bytes, such as 500k, 10M or 1.5G", clip(text))
	}
	if fraction == "" {
		n, err := strconv.ParseInt(whole, 10, 64)
		if err != nil || n > math.MaxInt64>>shift {
			return 0, fmt.Errorf("%q is too large", clip(text))
		}
		return n << shift, nil
	}
	n, err := strconv.ParseFloat(number[:i], 64)
	if n = math.Round(n * float64(int64(1)<<shift)); err != nil || n > 1<<62 {
		return 0, fmt.Errorf("%q is too large", clip(text))
	}
	return int64(n), nil
}

// digits reports whether s has nothing but digits; also if it is empty.
func digits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
