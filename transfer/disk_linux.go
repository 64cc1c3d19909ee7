package transfer

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// plenty is how much has to be free for room to be reserved. Where there is
// less, what is reserved for one file is missing for another.
const plenty = 1 << 30

// reserve allocates room for so many bytes from an offset on, without changing
// the length of the file.
func reserve(f *os.File, off, size int64) {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil || int64(st.Bavail)*st.Bsize < plenty {
		return
	}
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, size)
}

// datasync makes the content and length of a file durable.
func datasync(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { // which is not closed meanwhile
		for failed = unix.EINTR; errors.Is(failed, unix.EINTR); {
			failed = unix.Fdatasync(int(fd))
		}
	})
	return errors.Join(err, failed)
}

// syncDir makes the entries of a directory durable.
func syncDir(d *os.File) error { return d.Sync() }

// renameNew renames within one folder of root and never replaces anything.
func renameNew(root *os.Root, from, to string) error {
	dir, err := root.Open(path.Dir(from))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing was written through it
	fd := int(dir.Fd())
	err = unix.Renameat2(fd, path.Base(from), fd, path.Base(to), unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP):
		return renameByLink(root, from, to) // the file system cannot
	default:
		return fmt.Errorf("rename to %s: %w", to, err)
	}
}
