package code

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Unzipped returns the bytes of a package's files.
func (s *Store) Unzipped(ctx context.Context, digest string) (size int64, err error) {
	dir, err := s.Unpack(ctx, digest)
	if err != nil {
		return 0, err
	}
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure package: %w", err)
	}
	return size, nil
}
