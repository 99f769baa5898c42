// Package signature is how packages of functions and layers are signed, and how
// their signatures are checked.
//
// A signed package carries its signature as the comment at the end of the zip,
// which every zip tool leaves alone and which no second file can get lost from:
// a mark, then a DSSE envelope in JSON (github.com/secure-systems-lab/dsse) whose
// payload is a vow. What is signed is the SHA-256 of the zip as it was without a
// comment. docs/code-signing.md is the description for users.
//
// Package control checks what is deployed, the command line signs. It keeps no
// state; profiles are files in a directory of the operator's.
package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

const (
	mark        = "lambent-signature:"
	payloadType = "application/vnd.lambent.package+json"
	endRecord   = 22     // bytes of the end of central directory without its comment (APPNOTE.TXT 4.3.16)
	maxComment  = 0xffff // bytes
)

// vow is what a signer says of a package.
type vow struct {
	SHA256  string    `json:"sha256"`  // lower-case hex
	Profile string    `json:"profile"` // ARN of the signing profile's version
	Job     string    `json:"job"`     // ARN of the signing
	Signed  time.Time `json:"signed"`
	Expires time.Time `json:"expires"`
}

type envelope struct {
	PayloadType string              `json:"payloadType"`
	Payload     []byte              `json:"payload"` // base64 in JSON
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	Sig []byte `json:"sig"`
}

// preauth is what DSSE signs: the type and the payload, with their lengths.
func preauth(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// What can be wrong with the signature of a package.
var (
	// ErrUnsigned: the package carries no signature.
	ErrUnsigned = errors.New("the package is not signed")
	// ErrIntegrity: the package or its signature was altered.
	ErrIntegrity = errors.New("the package does not match its signature")
	// ErrUnknownProfile: whoever signed it is not known here.
	ErrUnknownProfile = errors.New("the signing profile is not known")
	// ErrExpired: the signature was good until a time that has passed.
	ErrExpired = errors.New("the signature has expired")
	// ErrRevoked: the profile's signatures are no longer accepted.
	ErrRevoked = errors.New("the signing profile has been revoked")
)

// Sign returns the zip with a signature of key, in the name of a signing
// profile's version (its ARN), good until expires. A zip that has a comment
// already is refused.
func Sign(zip []byte, key crypto.Signer, profile, job string, now, expires time.Time) ([]byte, error) {
	at, comment, err := findComment(bytesAt(zip), int64(len(zip)))
	if err != nil {
		return nil, err
	}
	if len(comment) > 0 {
		return nil, errors.New("the zip has a comment already, perhaps a signature")
	}
	sum := sha256.Sum256(zip)
	payload, err := json.Marshal(vow{hex.EncodeToString(sum[:]), profile, job, now.UTC(), expires.UTC()})
	if err != nil {
		return nil, err
	}
	message, opts := preauth(payload), crypto.SignerOpts(crypto.Hash(0))
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		hash := sha256.Sum256(message)
		message, opts = hash[:], crypto.SHA256
	}
	sig, err := key.Sign(rand.Reader, message, opts)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	e, err := json.Marshal(envelope{payloadType, payload, []envelopeSignature{{sig}}})
	if err != nil {
		return nil, err
	}
	comment = append([]byte(mark), e...)
	signed := append([]byte(nil), zip[:at]...)
	binary.LittleEndian.PutUint16(signed[at-2:], uint16(len(comment)))
	return append(signed, comment...), nil
}

type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, b[min(off, int64(len(b))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// findComment returns the comment of a zip and where it begins.
func findComment(r io.ReaderAt, size int64) (at int64, comment []byte, err error) {
	from := max(size-endRecord-maxComment, 0)
	tail := make([]byte, size-from)
	if _, err := r.ReadAt(tail, from); err != nil && err != io.EOF {
		return 0, nil, fmt.Errorf("read the zip: %w", err)
	}
	for i := len(tail) - endRecord; i >= 0; i-- {
		if string(tail[i:i+4]) == "PK\x05\x06" && int(binary.LittleEndian.Uint16(tail[i+20:])) == len(tail)-i-endRecord {
			return from + int64(i) + endRecord, tail[i+endRecord:], nil
		}
	}
	return 0, nil, errors.New("not a zip: it has no end record")
}

// Profile is the version of a signing profile that is known here.
type Profile struct {
	Key     crypto.PublicKey
	Revoked bool
}

// Profiles are the known ones by their ARN.
type Profiles map[string]Profile

// LoadProfiles reads the signing profiles of a directory: every file *.pem is a
// public key ("PUBLIC KEY", PKIX: Ed25519, ECDSA or RSA) with the header
// Profile, its ARN, and perhaps the header Revoked with any value.
func LoadProfiles(dir string) (Profiles, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil {
		return nil, fmt.Errorf("signing profiles: %w", err)
	}
	profiles := Profiles{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("signing profiles: %w", err)
		}
		block, _ := pem.Decode(b)
		if block == nil || block.Type != "PUBLIC KEY" || block.Headers["Profile"] == "" {
			return nil, fmt.Errorf("signing profiles: %s is no PEM PUBLIC KEY with a header Profile", file)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("signing profiles: %s: %w", file, err)
		}
		_, revoked := block.Headers["Revoked"]
		profiles[block.Headers["Profile"]] = Profile{key, revoked}
	}
	return profiles, nil
}

// Verify checks the signature of a package. It returns who signed it, or one of
// the errors above, or the error of reading it.
func Verify(zip io.ReaderAt, size int64, profiles Profiles, now time.Time) (*lambda.Signature, error) {
	at, comment, err := findComment(zip, size)
	if err != nil {
		return nil, err
	}
	text, ok := strings.CutPrefix(string(comment), mark)
	if !ok {
		return nil, ErrUnsigned
	}
	var e envelope
	var v vow
	if json.Unmarshal([]byte(text), &e) != nil || e.PayloadType != payloadType || len(e.Signatures) == 0 || json.Unmarshal(e.Payload, &v) != nil {
		return nil, ErrIntegrity
	}
	p, ok := profiles[v.Profile]
	if !ok {
		return nil, ErrUnknownProfile
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(zip, 0, at-2)); err != nil {
		return nil, fmt.Errorf("verify the package: %w", err)
	}
	h.Write([]byte{0, 0}) // the comment's length, before there was one
	if hex.EncodeToString(h.Sum(nil)) != v.SHA256 || !good(p.Key, preauth(e.Payload), e.Signatures[0].Sig) {
		return nil, ErrIntegrity
	}
	switch {
	case p.Revoked:
		return nil, ErrRevoked
	case now.After(v.Expires):
		return nil, ErrExpired
	}
	return &lambda.Signature{Profile: v.Profile, Job: v.Job}, nil
}

// good tells whether sig is key's signature of message.
func good(key crypto.PublicKey, message, sig []byte) bool {
	hash := sha256.Sum256(message)
	switch key := key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, sig)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, hash[:], sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], sig) == nil
	}
	return false
}
