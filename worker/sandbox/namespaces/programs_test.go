//go:build linux && (amd64 || arm64)

package namespaces

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What is embedded was made of the source beside it.
func TestProgramsAreThoseOfTheSource(t *testing.T) {
	for arch, tools := range map[string]string{"amd64": "x86_64-linux-gnu-", "arm64": "aarch64-linux-gnu-"} {
		t.Run(arch, func(t *testing.T) {
			if _, err := exec.LookPath(tools + "as"); err != nil {
				t.Skip("there is no assembler for it here")
			}
			dir := t.TempDir()
			object, program := filepath.Join(dir, "o"), filepath.Join(dir, "bin")
			for _, args := range [][]string{
				{tools + "as", "-o", object, "holder/holder_" + arch + ".s"},
				{tools + "objcopy", "-O", "binary", "-j", ".text", object, program},
			} {
				if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
			}
			want, err := os.ReadFile(program)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile("holder/holder_" + arch + ".bin")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("holder_%s.bin is not what make would make of holder_%s.s", arch, arch)
			}
		})
	}
}
