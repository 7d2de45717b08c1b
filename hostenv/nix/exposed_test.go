package nix_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestSecretsNeverReachTheStore: a flake with a secret in a file that Nix would copy
// gets no reference, so that no command evaluates it.
func TestSecretsNeverReachTheStore(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	nixKey := "hosting.example-1:" + base64.StdEncoding.EncodeToString(private) + "\n"
	pemKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	ageKey := "# created: today\nAGE-SECRET-KEY-1" + strings.Repeat("Q", 58) + "\n"
	public := "hosting.example-1:" + base64.StdEncoding.EncodeToString(private[ed25519.SeedSize:]) + "\n"

	for _, c := range []struct {
		name, path, text string
		want             string // in the error, "" for none
	}{
		{"a key of Nix", "secrets/signing/secret.key", nixKey, "secrets/signing/secret.key is a secret key of Nix"},
		{"a key of Nix elsewhere", "a/b/note", nixKey, "a/b/note is a secret key of Nix"},
		{"a key of TLS", "tls.pem", pemKey, "tls.pem is a private key"},
		{"a key of ssh", "id_ed25519", strings.ReplaceAll(pemKey, "PRIVATE", "OPENSSH PRIVATE"), "id_ed25519 is a private key"},
		{"a key within YAML", "nodes/a/keys.yaml", "key: |\n" + "  " + strings.ReplaceAll(pemKey, "\n", "\n  "), "nodes/a/keys.yaml is a private key"},
		{"a key with a passphrase", "k", strings.ReplaceAll(pemKey, "PRIVATE", "ENCRYPTED PRIVATE"), "k is a private key"},
		{"a key of age", "keys.txt", ageKey, "keys.txt is a private key of age"},
		{"a key of age in Nix", "flake-keys.nix", "{ key = \"AGE-SECRET-KEY-1" + strings.Repeat("Q", 58) + "\"; }", "flake-keys.nix is a private key of age"},
		{"a plain file of sops", "secrets/secrets.yaml", "acme:\n  backups_secret: hunter2\n", "secrets/secrets.yaml is not encrypted by sops"},

		{"an encrypted file", "secrets/secrets.yaml", "a: ENC[AES256_GCM,data:x]\nsops:\n  mac: x\n", ""},
		{"an example", "secrets/example.yaml", "acme:\n  backups_secret: ...\n", ""},
		{"a public key", "secrets/signing/public.key", public, ""},
		{"a text about keys", "README.md", "A key begins with `-----BEGIN OPENSSH PRIVATE KEY-----`.\n-----BEGIN PRIVATE KEY-----\n...\n", ""},
		{"a large file", "image", strings.Repeat("\x00", 1<<20) + pemKey, ""},
		{"data elsewhere", "data.yaml", "a: 1\n", ""},
	} {
		for _, git := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in git: %v", c.name, git), func(t *testing.T) {
				if git {
					testenv.Need(t, "git")
				}
				dir := t.TempDir()
				file(t, dir, "flake.nix", "{ outputs = _: { }; }")
				file(t, dir, c.path, c.text)
				if git {
					gitOutput(t, dir, "init", "-q")
				}
				_, err := (&hostnix.Runner{Dir: dir}).Flake(t.Context())
				switch {
				case c.want == "" && err != nil:
					t.Errorf("%v", err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
					t.Errorf("got %v, want %q", err, c.want)
				case err != nil:
					if hint := problem.Hint(err); !strings.Contains(hint, c.path) {
						t.Errorf("the hint is %q", hint)
					}
					if secret := strings.TrimSpace(c.text); strings.Contains(err.Error()+problem.Hint(err), secret) {
						t.Errorf("the error holds the secret: %v", err)
					}
				}
				if _, again := (&hostnix.Runner{Dir: dir}).Installable(t.Context(), "x"); (again == nil) != (err == nil) {
					t.Errorf("Installable says %v, Flake %v", again, err)
				}
				if git && c.want != "" {
					file(t, dir, ".gitignore", "/"+c.path+"\n")
					if _, err := (&hostnix.Runner{Dir: dir}).Flake(t.Context()); err != nil {
						t.Errorf("ignored by git: %v", err)
					}
					gitOutput(t, dir, "add", "-f", c.path)
					if _, err := (&hostnix.Runner{Dir: dir}).Flake(t.Context()); err == nil {
						t.Error("in git though git ignores it: no error")
					}
				}
			})
		}
	}
}

func file(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
