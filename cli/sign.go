package cli

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lambent-run/lambent/internal/ids"
	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/signature"
)

// NewSign is `lambent sign`.
func NewSign() *cobra.Command {
	var key, out string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "sign PACKAGE.zip",
		Short: "Sign a function's package or a layer",
		Long: `Sign a package in the name of a signing profile, so that functions bound to a
code signing configuration that allows the profile accept it.

The signature is in the comment of the zip: any tool still reads the package.
Make a profile first: lambent sign new-profile.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return sign(args[0], first(out, args[0]), key, time.Now(), valid)
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "file with the profile's private key (required)")
	f.StringVar(&out, "out", "", "where to write the signed package (default: in place)")
	f.DurationVar(&valid, "valid-for", 135*30*24*time.Hour, "how long the signature is good")
	_ = cmd.MarkFlagRequired("key") // it exists
	cmd.AddCommand(newProfile())
	return cmd
}

func newProfile() *cobra.Command {
	var key, public string
	cmd := &cobra.Command{
		Use:   "new-profile ARN",
		Short: "Make the keys of a signing profile",
		Long: `Make a key pair for a signing profile's version, named by its ARN, such as
arn:aws:signer:us-east-1:000000000000:/signing-profiles/team/v1.

The private key stays with whoever signs. The public one goes into the server's
directory of signing profiles (--signing-profiles). To revoke the profile, add
a line "Revoked: yes" below "Profile:" in that file.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return makeProfile(cmd.OutOrStdout(), args[0], key, public)
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "signing.key", "where to write the private key")
	f.StringVar(&public, "public", "signing-profile.pem", "where to write the public key")
	return cmd
}

var profileForm = regexp.MustCompile(`^arn:(aws[a-zA-Z-]*):signer:([a-z0-9-]+):(\d{12}):/signing-profiles/[a-zA-Z0-9_./-]+$`)

func makeProfile(w io.Writer, arn, key, public string) error {
	if !profileForm.MatchString(arn) {
		return fmt.Errorf("%s is not the ARN of a signing profile: arn:aws:signer:REGION:ACCOUNT:/signing-profiles/NAME/VERSION", arn)
	}
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	known, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	headers := map[string]string{"Profile": arn}
	if err := writeNew(key, 0o600, &pem.Block{Type: "PRIVATE KEY", Headers: headers, Bytes: secret}); err != nil {
		return err
	}
	if err := writeNew(public, 0o644, &pem.Block{Type: "PUBLIC KEY", Headers: headers, Bytes: known}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: sign with it; keep it secret\n%s: put it into the server's directory of signing profiles\n", key, public)
	return err
}

// writeNew writes a file that must not exist.
func writeNew(path string, mode os.FileMode, block *pem.Block) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, block), f.Close())
}

func sign(in, out, key string, now time.Time, valid time.Duration) error {
	b, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || block.Headers["Profile"] == "" {
		return fmt.Errorf("%s is no PEM PRIVATE KEY with a header Profile", key)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return fmt.Errorf("%s cannot sign", key)
	}
	zip, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	if len(zip) > lambda.MaxUnzippedSize {
		return fmt.Errorf("%s is larger than a package may be", in)
	}
	profile := block.Headers["Profile"]
	at, _, _ := strings.Cut(profile, ":/signing-profiles/")
	signed, err := signature.Sign(zip, signer, profile, at+":/signing-jobs/"+ids.UUID(), now, now.Add(valid))
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if err := os.WriteFile(out, signed, 0o644); err != nil {
		return err
	}
	return nil
}
