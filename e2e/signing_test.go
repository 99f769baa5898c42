package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// signed signs a package with the key in dir, as a person would.
func signed(t *testing.T, dir string, zip []byte) []byte {
	t.Helper()
	file := filepath.Join(dir, "package.zip")
	if err := os.WriteFile(file, zip, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), lambent(t), "sign", file, "--key", filepath.Join(dir, "signing.key"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("lambent sign: %v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Functions bound to a code signing configuration take only what its publishers signed: an altered package never, an
// unsigned one if the policy only warns. What is signed says by whom.
func TestCodeSigningDecidesWhatIsDeployed(t *testing.T) {
	const profile = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/team/v1"
	keys := t.TempDir()
	profiles := filepath.Join(keys, "profiles")
	if err := os.Mkdir(profiles, 0o755); err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(profiles, "team.pem")
	cmd := exec.CommandContext(t.Context(), lambent(t), "sign", "new-profile", profile, "--key", filepath.Join(keys, "signing.key"), "--public", public)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("lambent sign new-profile: %v\n%s", err, out)
	}
	s := serve(t, "--signing-profiles", profiles)
	config, err := s.api().CreateCodeSigningConfig(t.Context(), &lambda.CreateCodeSigningConfigInput{
		AllowedPublishers:   &types.AllowedPublishers{SigningProfileVersionArns: []string{profile}},
		CodeSigningPolicies: &types.CodeSigningPolicies{UntrustedArtifactOnDeployment: types.CodeSigningPolicyEnforce},
	})
	if err != nil {
		t.Fatal(err)
	}
	plain := pack(t, map[string]string{"handler.py": "def handler(event, context): return 'runs'"})
	good := signed(t, keys, plain)
	altered := append([]byte(nil), good...)
	altered[10]++ // the time of its first file
	try := func(zip []byte) error {
		_, err := s.api().UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("fn"), ZipFile: zip})
		if err == nil {
			s.await(t, "fn")
		}
		return err
	}
	in := function{name: "fn", runtime: python}.input(t)
	in.CodeSigningConfigArn = config.CodeSigningConfig.CodeSigningConfigArn
	in.Code = &types.FunctionCode{ZipFile: plain}
	if _, err := s.api().CreateFunction(t.Context(), in); code(err) != "CodeVerificationFailedException" {
		t.Errorf("an unsigned package under Enforce: %v", err)
	}
	in.Code = &types.FunctionCode{ZipFile: good}
	created, err := s.api().CreateFunction(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(created.SigningProfileVersionArn) != profile || created.SigningJobArn == nil {
		t.Errorf("a signed function says it was signed by %q in %q", aws.ToString(created.SigningProfileVersionArn), aws.ToString(created.SigningJobArn))
	}
	s.await(t, "fn")
	if got := s.invoke(t, "fn", "{}"); got.payload != `"runs"` {
		t.Errorf("a signed function answers %s", got.payload)
	}
	if err := try(altered); code(err) != "InvalidCodeSignatureException" {
		t.Errorf("an altered package: %v", err)
	}

	_, err = s.api().DeleteCodeSigningConfig(t.Context(), &lambda.DeleteCodeSigningConfigInput{CodeSigningConfigArn: in.CodeSigningConfigArn})
	if code(err) != "ResourceConflictException" {
		t.Errorf("a configuration in use can be deleted: %v", err)
	}
	_, err = s.api().UpdateCodeSigningConfig(t.Context(), &lambda.UpdateCodeSigningConfigInput{
		CodeSigningConfigArn: in.CodeSigningConfigArn,
		CodeSigningPolicies:  &types.CodeSigningPolicies{UntrustedArtifactOnDeployment: types.CodeSigningPolicyWarn},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := try(plain); err != nil {
		t.Errorf("an unsigned package under Warn: %v", err)
	}
	if err := try(altered); code(err) != "InvalidCodeSignatureException" {
		t.Errorf("an altered package under Warn: %v", err)
	}

	// A layer that was not signed is no better than code that was not.
	_, err = s.api().UpdateCodeSigningConfig(t.Context(), &lambda.UpdateCodeSigningConfigInput{
		CodeSigningConfigArn: in.CodeSigningConfigArn,
		CodeSigningPolicies:  &types.CodeSigningPolicies{UntrustedArtifactOnDeployment: types.CodeSigningPolicyEnforce},
	})
	if err != nil {
		t.Fatal(err)
	}
	layer := s.layer(t, "plain", map[string]string{"python/a.py": ""})
	_, err = s.api().UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("fn"), Layers: []string{layer}})
	if code(err) != "CodeVerificationFailedException" {
		t.Errorf("an unsigned layer under Enforce: %v", err)
	}

	// Revoking the profile needs no restart.
	b, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	revoked := append([]byte("-----BEGIN PUBLIC KEY-----\nRevoked: yes\n"), b[len("-----BEGIN PUBLIC KEY-----\n"):]...)
	if err := os.WriteFile(public, revoked, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := try(good); code(err) != "CodeVerificationFailedException" {
		t.Errorf("a package of a revoked profile: %v", err)
	}
}
