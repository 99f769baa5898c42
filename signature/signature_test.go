package signature

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"
	"time"
)

func packed(t testing.TB, name, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const profile = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/team/v1"

var signedAt = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// A package says who signed it, whatever kind of key they have, and is still a zip.
func TestSignedPackageNamesItsSigner(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{edwards, curve, old} {
		b := packed(t, "a.py", "x = 1")
		signed, err := Sign(b, key, profile, "job", signedAt, signedAt.Add(time.Hour))
		if err != nil {
			t.Fatalf("%T: %v", key, err)
		}
		who, err := Verify(bytesAt(signed), int64(len(signed)), Profiles{profile: {Key: key.Public()}}, signedAt)
		if err != nil || who.Profile != profile || who.Job != "job" {
			t.Errorf("%T: %+v, %v", key, who, err)
		}
		r, err := zip.NewReader(bytes.NewReader(signed), int64(len(signed)))
		if err != nil || len(r.File) != 1 {
			t.Errorf("%T: the signed package is no zip: %v", key, err)
		}
		if _, err := Sign(signed, key, profile, "job", signedAt, signedAt); err == nil {
			t.Errorf("%T: a package is signed twice", key)
		}
	}
}

// What is wrong with a signature is told apart, since policies treat it differently.
func TestSignaturesThatAreNoGood(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	known := Profiles{profile: {Key: pub}}
	b := packed(t, "a.py", "x = 1")
	signed, err := Sign(b, key, profile, "job", signedAt, signedAt.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(signed)
	altered[bytes.Index(altered, []byte("a.py"))] = 'b'
	// The signature of one package on another.
	other := packed(t, "a.py", "x = 2")
	_, comment, err := findComment(bytesAt(signed), int64(len(signed)))
	if err != nil {
		t.Fatal(err)
	}
	moved := append(bytes.Clone(other), comment...)
	copy(moved[len(other)-2:], []byte{byte(len(comment)), byte(len(comment) >> 8)})
	otherPub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what     string
		zip      []byte
		profiles Profiles
		now      time.Time
		want     error
	}{
		{"none", b, known, signedAt, ErrUnsigned},
		{"an altered package", altered, known, signedAt, ErrIntegrity},
		{"another package's", moved, known, signedAt, ErrIntegrity},
		{"another key's", signed, Profiles{profile: {Key: otherPub}}, signedAt, ErrIntegrity},
		{"an unknown profile's", signed, Profiles{}, signedAt, ErrUnknownProfile},
		{"an old one", signed, known, signedAt.Add(2 * time.Hour), ErrExpired},
		{"a revoked profile's", signed, Profiles{profile: {Key: pub, Revoked: true}}, signedAt, ErrRevoked},
	} {
		if _, err := Verify(bytesAt(c.zip), int64(len(c.zip)), c.profiles, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

// Whatever stands in a package's place, verifying it ends in an error or with a
// signature that the known key made.
func FuzzVerify(f *testing.F) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	signed, err := Sign(packed(f, "a.py", "x = 1"), key, profile, "job", signedAt, signedAt.Add(time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Verify(bytesAt(b), int64(len(b)), Profiles{profile: {Key: pub}}, signedAt)
		if err == nil && !bytes.Equal(b, signed) {
			// The envelope is JSON and may be written in several ways; the package may not.
			at, _, _ := findComment(bytesAt(b), int64(len(b)))
			was, _, _ := findComment(bytesAt(signed), int64(len(signed)))
			if at != was || !bytes.Equal(b[:at-2], signed[:was-2]) {
				t.Errorf("an altered package is taken for signed")
			}
		}
	})
}
