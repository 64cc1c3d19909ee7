package archive

import (
	"os"
	"syscall"
)

// WithoutLinks has a pool find that no hard links can be made.
func (p *Pool) WithoutLinks() {
	p.link = func(old, name string) error {
		return &os.LinkError{Op: "link", Old: old, New: name, Err: syscall.EPERM}
	}
}
