package nix_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// config is the last NIX_CONFIG of an environment, and how often there is one.
func config(env []string) (text string, times int) {
	for _, variable := range env {
		if value, found := strings.CutPrefix(variable, "NIX_CONFIG="); found {
			text, times = value, times+1
		}
	}
	return text, times
}

func TestUseTokens(t *testing.T) {
	tests := []struct{ name, text, want, wrong string }{
		{"as words", "github.com=ghp_1 gitlab.example=PAT:2\n", "a = b\nextra-access-tokens = github.com=ghp_1 gitlab.example=PAT:2", ""},
		{"as nix.conf has them", "access-tokens = github.com=ghp_1 # ours\n\n# and no more\n", "a = b\nextra-access-tokens = github.com=ghp_1", ""},
		{"added to others", "extra-access-tokens =\tgithub.com=ghp_1 gitlab.example=OAuth2:x==", "a = b\nextra-access-tokens = github.com=ghp_1 gitlab.example=OAuth2:x==", ""},
		{"several lines", "github.com=ghp_1\ngitlab.example=PAT:hunter2", "", "line 2 is not empty, and all tokens must be on the first: in a node's nix.conf they are one line"},
		{"the second line alone", "# ours\ngithub.com=ghp_hunter2", "", "line 2 is not empty, and all tokens must be on the first: in a node's nix.conf they are one line"},
		{"a setting without spaces", "access-tokens=github.com=ghp_hunter2", "", "line 1 has a word that is not HOST=TOKEN"},
		{"a setting with half of them", "extra-access-tokens =github.com=ghp_hunter2", "", "line 1 has a word that is not HOST=TOKEN"},
		{"a token alone", "github.com=ghp_1 ghp_hunter2", "", "line 1 has a word that is not HOST=TOKEN"},
		{"another setting", "netrc-file = /hunter2", "", "line 1 has a word that is not HOST=TOKEN"},
		{"nothing", " \n# none\n", "", "there is no HOST=TOKEN in it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &hostnix.Runner{Env: []string{"NIX_CONFIG=other", "HOME=/h", "NIX_CONFIG=a = b"}}
			err := r.UseTokens(test.text)
			if test.wrong != "" {
				if err == nil || err.Error() != test.wrong {
					t.Fatalf("got the error %v, want %q", err, test.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, times := config(r.Env); got != test.want || times != 1 {
				t.Errorf("NIX_CONFIG is %q, %d times, want %q", got, times, test.want)
			}
		})
	}
}

// ReadTokens adds the tokens of a key to Nix's configuration, and passes them in no
// argument of a program.
func TestReadTokens(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" >>\"$ARGV\"\ncase $4 in */secrets.yaml) ;; *) echo none here >&2; exit 100 ;; esac\necho 'access-tokens = github.com=ghp_hunter2'\n"
	if err := os.WriteFile(filepath.Join(dir, "sops"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	each(t, func(t *testing.T, n nix) {
		argv := filepath.Join(t.TempDir(), "argv")
		env := append(os.Environ(), "ARGV="+argv)
		r := n.runner(dir)
		if err := r.ReadTokens(t.Context(), hostnix.SecretKey{Secret: "access_tokens", File: "secrets.yaml"}, env); err != nil {
			t.Fatal(err)
		}
		// The command has another name before 2.20.
		out, err := r.Run(t.Context(), hostnix.Command{Args: []string{"show-config"}})
		if err != nil {
			out, err = r.Run(t.Context(), hostnix.Command{Args: []string{"config", "show"}})
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), "github.com=ghp_hunter2") {
			t.Error("Nix does not have the token")
		}
		ran, err := os.ReadFile(argv)
		if err != nil {
			t.Fatal(err)
		}
		if want := "--decrypt\n--extract\n[\"access_tokens\"]\n" + dir + "/secrets.yaml\n"; string(ran) != want {
			t.Errorf("sops was run with %q, want %q", ran, want)
		}

		err = n.runner(dir).ReadTokens(t.Context(), hostnix.SecretKey{Secret: "access_tokens", File: "other.yaml"}, env)
		if undecrypted := (*hostnix.UndecryptedError)(nil); !errors.As(err, &undecrypted) || !strings.Contains(undecrypted.Problem, "none here") {
			t.Errorf("got the error %v, want that of sops", err)
		}
	})
}
