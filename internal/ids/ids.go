// Package ids makes the identifiers the platform hands out: request ids and
// trace roots. They need to be unique and hard to guess across environments,
// not secret, and they are made on the path of every invocation, so they come
// from the runtime's per-thread generator (seeded from the system's) and cost
// no system call.
package ids

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"
)

// UUID returns a random UUID, version 4.
func UUID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	s[8] = '-'
	hex.Encode(s[9:13], b[4:6])
	s[13] = '-'
	hex.Encode(s[14:18], b[6:8])
	s[18] = '-'
	hex.Encode(s[19:23], b[8:10])
	s[23] = '-'
	hex.Encode(s[24:], b[10:])
	return string(s[:])
}

// IsUUID tells whether s has the form of a UUID, in either case.
func IsUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// Trace returns a new trace root, "1-<seconds>-<24 hex digits>" (X-Ray's form).
func Trace() string {
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint32(b[8:], rand.Uint32())
	s := make([]byte, 0, 35)
	s = append(s, "1-"...)
	s = strconv.AppendInt(s, time.Now().Unix(), 16)
	s = append(s, '-')
	return string(hex.AppendEncode(s, b[:]))
}
