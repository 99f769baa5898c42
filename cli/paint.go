package cli

import (
	"io"
	"os"
	"strings"
)

// paint makes words stand out on a terminal and leaves them alone elsewhere.
type paint bool

// terminal tells whether w is one that takes colours (no-color.org).
func terminal(w io.Writer) paint {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return paint(err == nil && st.Mode()&os.ModeCharDevice != 0)
}

func (p paint) bold(s string) string { return p.in("1", s) }
func (p paint) dim(s string) string  { return p.in("2", s) }
func (p paint) red(s string) string  { return p.in("31", s) }

func (p paint) in(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// text is what a function wrote, fit for showing: on a terminal, control
// characters but tabs would let the function act as the reader's keyboard.
func (p paint) text(s string) string {
	if !p {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}
