package namespaces

import (
	"debug/elf"
	_ "embed" // the programs
)

//go:embed holder/holder_arm64.bin
var holder []byte

const machine = elf.EM_AARCH64
