package dctest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxScenario bounds a scenario file. One with everything in it has some KiB.
const maxScenario = 1 << 20

// LoadScenario reads a scenario, which is a Config as JSON, and checks it.
// A field that it does not know is an error: a misspelt one would be silently
// without effect. Errors wrap ErrConfig; those about the syntax name the line.
func LoadScenario(r io.Reader) (Config, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxScenario+1))
	switch {
	case err != nil:
		return Config{}, fmt.Errorf("dctest: scenario: %w", err)
	case len(b) > maxScenario:
		return Config{}, fmt.Errorf("%w: larger than %d bytes", ErrConfig, maxScenario)
	}
	var c Config
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%w: line %d: %w", ErrConfig, errorLine(b, err, d.InputOffset()), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%w: line %d: something follows the object", ErrConfig, lineAt(b, d.InputOffset()))
	}
	full := c.withDefaults()
	if err := full.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// errorLine is the line that a decoding error is about.
func errorLine(b []byte, err error, offset int64) int {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	}
	return lineAt(b, offset)
}

func lineAt(b []byte, offset int64) int {
	return 1 + bytes.Count(b[:min(max(offset, 0), int64(len(b)))], []byte("\n"))
}
