package nodes_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// checkNginx runs the check of a system's build on a configuration, with Debian's nginx
// and as if `store` were the Nix store. It returns what the build prints if it fails.
func checkNginx(t *testing.T, config, store string) (problem string) {
	t.Helper()
	text, err := os.ReadFile("../../modules/nginx-check.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := strings.NewReplacer("@path@", os.Getenv("PATH"), "@nginx@", testenv.Need(t, "nginx"),
		"@config@", write(t, "nginx.conf", config), "@store@", store).Replace(string(text))
	cmd := exec.CommandContext(t.Context(), "bash", write(t, "nginx-check", script))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out)
	}
	return ""
}

// oneHash returns names of 109 letters that have one hash in nginx.
func oneHash(n int) string {
	names := make([]string, n)
	for i := range names {
		name := strings.Repeat("a", 40) + "." + strings.Repeat("b", 43) + "."
		for bit := range 10 {
			name += []string{"an", "c0"}[i>>bit&1]
		}
		names[i] = name + ".test"
	}
	return strings.Join(names, "\n")
}

// TestNginxCheck checks which configurations fail the build of a system, as NixOS
// renders them.
func TestNginxCheck(t *testing.T) {
	frame := func(http string) string {
		return "pid /run/nginx/nginx.pid;\nerror_log stderr;\nuser nginx;\nevents {\n}\nhttp {\n" + http + "\n}\n"
	}
	server := func(text string) string { return frame("server {\n  listen 0.0.0.0:80 ;\n" + text + "\n}") }
	store := t.TempDir()
	for name, test := range map[string]struct{ config, says string }{
		"a node's": {frame(`access_log /var/log/nginx/access.log combined;
client_body_temp_path /var/cache/nginx/body;
proxy_cache_path /var/cache/nginx/a levels=1:2 keys_zone=a:1m;
server {
  listen 0.0.0.0:80 default_server reuseport ;
  listen [::0]:80 default_server ipv6only=on;
  listen 0.0.0.0:443 quic default_server ;
  listen 0.0.0.0:443 http2 ssl default_server ;
  listen 0.0.0.0:1 proxy_protocol ;
  server_name _;
  ssl_reject_handshake on;
}
upstream a_upstream {
  server unix:/run/hostenv/nginx/a/in.sock ;
}
server {
  listen 0.0.0.0:80 ;
  listen 0.0.0.0:443 ssl ;
  server_name www.acme.test;
  ssl_certificate /var/lib/acme/www.acme.test/fullchain.pem;
  ssl_certificate_key /var/lib/acme/www.acme.test/key.pem;
  ssl_trusted_certificate /var/lib/acme/www.acme.test/chain.pem;
  location / {
    proxy_pass http://a_upstream;
  }
  location /basic {
    auth_basic secured;
    auth_basic_user_file /run/secrets/htpasswd;
  }
}
server {
  listen unix:/run/x.sock;
  error_log /var/log/nginx/x.log warn;
  include /run/secrets/more.conf;
  location / { proxy_pass https://backend.invalid.:8443/x; }
}
upstream named { server other.invalid.:8080; }
`), ""},

		"an unknown directive":    {server("  nonsense on;"), "nonsense"},
		"a location twice":        {server("  location /a {\n  }\n  location /a {\n  }"), "duplicate location"},
		"a bad regex":             {server("  location ~ ( {\n  }"), "pcre"},
		"a status":                {server("  location / {\n    return 9999;\n  }"), "invalid return code"},
		"an unknown upstream":     {server("  location / {\n    proxy_pass http://$nothing;\n  }"), "unknown"},
		"a long name":             {server("  server_name " + strings.Repeat("a.", 100) + "test;\n}\nserver {\n  listen 0.0.0.0:80;"), "server_names_hash"},
		"names of one hash":       {server("  server_name " + oneHash(600) + ";\n}\nserver {\n  listen 0.0.0.0:80;"), "server_names_hash"},
		"a file of the store":     {server("  include " + store + "/missing;"), "No such file"},
		"two of one socket":       {frame("server { listen 80 default_server; }\nserver {\n  listen *:80 default_server;\n}\nserver {\n  listen 0.0.0.0:80 default_server;\n}"), "a duplicate default server"},
		"another key":             {server("  listen 443 ssl;\n  ssl_certificate /x;\n"), "ssl_certificate_key"},
		"a brace too many":        {server("}"), "unexpected \"}\""},
		"a brace that is missing": {server("  location / {"), "unexpected end of file"},
	} {
		t.Run(name, func(t *testing.T) {
			said := checkNginx(t, test.config, store)
			if test.says == "" && said != "" || !strings.Contains(said, test.says) {
				t.Errorf("the build says %q, and should say %q", said, test.says)
			}
			if said != "" && !strings.HasPrefix(said, "error: nginx does not take") {
				t.Errorf("the build says\n%s", said)
			}
		})
	}
	said := checkNginx(t, server("  server_name www.acme.test;\n  location /a {\n    return 9999;\n  }"), store)
	if !strings.Contains(said, "server_name www.acme.test") || !strings.Contains(said, "return 9999;") {
		t.Errorf("the build does not name the virtual host:\n%s", said)
	}
}
