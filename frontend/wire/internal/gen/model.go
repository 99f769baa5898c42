package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// The release of the public API model. It is the first that knows every
// operation and every request shape of the SDK in go.mod.
const (
	modelRelease = "botocore 1.44.8"
	modelWheel   = "botocore-1.44.8-py3-none-any.whl"
	modelDigest  = "76342a76c338701db80dcb8afe1c9bd079283d6fffbb9d881442abb02a215043" // SHA-256
	modelPath    = "botocore/data/lambda/2015-03-31/service-2.json.gz"
)

// fetchModel downloads the pinned release and returns its model of Lambda.
func fetchModel() ([]byte, error) {
	dir, err := os.MkdirTemp("", "model")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	pip := exec.Command("python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
		"--dest", dir, "botocore==1.44.8")
	pip.Stderr = os.Stderr
	if err := pip.Run(); err != nil {
		return nil, fmt.Errorf("download %s: %w", modelRelease, err)
	}
	wheel, err := os.ReadFile(filepath.Join(dir, modelWheel))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(wheel); hex.EncodeToString(sum[:]) != modelDigest {
		return nil, fmt.Errorf("%s has digest %x, not the pinned one", modelWheel, sum)
	}
	archive, err := zip.NewReader(bytes.NewReader(wheel), int64(len(wheel)))
	if err != nil {
		return nil, err
	}
	file, err := archive.Open(modelPath)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unpacked)
}
