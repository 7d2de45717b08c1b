package nodes_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// The node that the plans of these tests break: node-a of scenario 001, and its
// one environment.
const (
	nodeName = "node-a"
	user     = "site-main-b7ea262"
)

// A breakage is a change after which a plan or a provider makes no system.
type breakage struct {
	name   string
	change func(t *testing.T, plan map[string]any, n *node)
	// Regular expressions that the error must match: the file, the option.
	says []string
}

// inPlan sets the value at a path of the plan's node.
func inPlan(value any, names ...string) func(*testing.T, map[string]any, *node) {
	return func(_ *testing.T, plan map[string]any, _ *node) {
		last := len(names) - 1
		path(plan, append([]string{"nodes", nodeName}, names[:last]...)...)[names[last]] = value
	}
}

// inEnvironment sets the value at a path of the plan's environment.
func inEnvironment(value any, names ...string) func(*testing.T, map[string]any, *node) {
	return func(_ *testing.T, plan map[string]any, _ *node) {
		last := len(names) - 1
		path(plan, append([]string{"environments", user}, names[:last]...)...)[names[last]] = value
	}
}

// withModule adds a module of the provider.
func withModule(text string) func(*testing.T, map[string]any, *node) {
	return func(t *testing.T, _ map[string]any, n *node) {
		n.Modules = append(n.Modules, write(t, "own.nix", text))
	}
}

// connected sets a value of the node's connection in the plan.
func connected(option string, value any) func(*testing.T, map[string]any, *node) {
	return func(_ *testing.T, plan map[string]any, _ *node) {
		path(plan, "nodeConnections", nodeName)[option] = value
	}
}

// ofProvider sets one of the provider's options.
func ofProvider(option string, value any) func(*testing.T, map[string]any, *node) {
	return func(_ *testing.T, _ map[string]any, n *node) { n.Provider[option] = value }
}

var breakages = []breakage{
	// Types and options, which NixOS knows.
	{"uid is text", inPlan("1003", "users", "users", user, "uid"),
		[]string{`option .users\.users\.site-main-b7ea262\.uid. is not of type`, `In .generated/plan\.json.: "1003"`}},
	{"gid is null in a list", inPlan([]any{nil}, "users", "groups", user, "gid"),
		[]string{`option .users\.groups\.site-main-b7ea262\.gid. is not of type`, `generated/plan\.json`}},
	{"keys are text", inPlan("ssh-ed25519 A", "users", "users", user, "openssh", "authorizedKeys", "keys"),
		[]string{`option .users\.users\.site-main-b7ea262\.openssh\.authorizedKeys\.keys. is not of type`, `generated/plan\.json`}},
	{"unknown option", inPlan(true, "services", "nginx", "virtualHosts", "www.acme.test", "allowIndexing"),
		[]string{`option .services\.nginx\.virtualHosts\."www\.acme\.test"\.allowIndexing. does not exist`, `generated/plan\.json`}},
	{"unknown service", inPlan(map[string]any{"enable": true}, "services", "nginxx"),
		[]string{`option .services\.nginxx. does not exist`, `generated/plan\.json`}},
	{"proxyPass is a number", inPlan(80, "services", "nginx", "virtualHosts", "www.acme.test", "locations", "/", "proxyPass"),
		[]string{`option .services\.nginx\.virtualHosts\."www\.acme\.test"\.locations\."/"\.proxyPass. is not of type`, `generated/plan\.json`}},
	{"forceSSL is text", inPlan("yes", "services", "nginx", "virtualHosts", "www.acme.test", "forceSSL"),
		[]string{`option .services\.nginx\.virtualHosts\."www\.acme\.test"\.forceSSL. is not of type .boolean`, `generated/plan\.json`}},
	{"limit is a set", inPlan(map[string]any{"max": "1G"}, "systemd", "slices", "user-acme-site", "sliceConfig", "MemoryMax"),
		[]string{`systemd\.slices\.user-acme-site\.sliceConfig\.MemoryMax is a set, .*: correct provider\.limits and run .mage plan`, `generated/plan\.json`}},
	{"limit that systemd ignores", inPlan("12 gigabytes", "systemd", "slices", "user-acme-site", "sliceConfig", "MemoryMax"),
		[]string{`systemd\.slices\.user-acme-site\.sliceConfig\.MemoryMax is "12 gigabytes", .*"12G"`}},
	{"quota that systemd ignores", inPlan("2", "systemd", "slices", "user-acme-site", "sliceConfig", "CPUQuota"),
		[]string{`systemd\.slices\.user-acme-site\.sliceConfig\.CPUQuota is "2", .*"200%"`}},
	{"no slice", func(_ *testing.T, plan map[string]any, _ *node) {
		path(plan, "nodes", nodeName, "systemd")["services"] = map[string]any{}
	},
		[]string{`systemd\.services\."user@1003"\.serviceConfig\.Slice is not set, and site-main-b7ea262 would run without limits: .*generated/plan\.json`}},
	{"sessions without PAM", withModule(`{ services.openssh.settings.UsePAM = false; }`),
		[]string{`services\.openssh\.settings\.UsePAM is false, and ssh sessions of environments would run without limits: .*configuration of node-a`}},
	{"mail address is a list", inPlan([]any{"a"}, "security", "acme", "defaults", "email"),
		[]string{`option .security\.acme\.defaults\.email. is not of type`, `generated/plan\.json`}},
	{"another's limit", withModule(`{ systemd.slices.user-acme-site.sliceConfig.MemoryMax = "20G"; }`),
		[]string{`option .systemd\.slices\.user-acme-site\.sliceConfig\.MemoryMax. has conflicting definition values`, `In .generated/plan\.json.: "12G"`, `own\.nix`}},

	// hostenv's values of an environment.
	{"environment's uid is text", inEnvironment("1003", "uid"),
		[]string{`generated/plan\.json: hostenv\.environments\.site-main-b7ea262\.uid: expected a UID above 0, got "1003"`}},
	{"policy of two lines", inEnvironment("a\nadd_header X y;", "virtualHosts", "www.acme.test", "security", "csp"),
		[]string{`generated/plan\.json: hostenv\.environments\.site-main-b7ea262\.virtualHosts\."www\.acme\.test"\.security\.csp: expected text without control characters`}},
	{"policy that nginx cannot take", inEnvironment(strings.Repeat("$", 300), "virtualHosts", "www.acme.test", "security", "csp"),
		[]string{`generated/plan\.json: hostenv\.environments\..*\.security\.csp: expected text .*at most 3800 bytes`}},
	{"policy mode", inEnvironment(map[string]any{"csp": "a", "cspMode": "perhaps"}, "virtualHosts", "www.acme.test", "security"),
		[]string{`generated/plan\.json: hostenv\.environments\..*\.security\.cspMode: expected "enforce" or "report-only", got "perhaps"`}},
	{"another user name", inEnvironment("site-main-0000000", "hostenv", "userName"),
		[]string{`generated/plan\.json: environments\.site-main-b7ea262\.hostenv\.userName is site-main-0000000`, "mage plan"}},
	{"a module in place of headers", inEnvironment("/tmp/evil.nix", "virtualHosts", "www.acme.test", "security"),
		[]string{`generated/plan\.json: hostenv\.environments\.site-main-b7ea262\.virtualHosts\."www\.acme\.test"\.security: expected a set, got "/tmp/evil.nix"`}},
	{"a user of the machine", withModule(`{ users.users.site-main-b7ea262.openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAA" ]; }`),
		[]string{`users\.users\.site-main-b7ea262 belongs to generated/plan\.json, and .*own\.nix defines it too`}},
	{"a group of the environment", withModule(`{ users.groups.wheel.members = [ "site-main-b7ea262" ]; }`),
		[]string{`the environment site-main-b7ea262 is in the group wheel`}},
	{"another group in the plan", inPlan([]any{"wheel"}, "users", "users", user, "extraGroups"),
		[]string{`the environment site-main-b7ea262 is in the group wheel`}},

	// The owner of a virtual host.
	{"a host of the node's own", withModule(`{ services.nginx.virtualHosts."www.acme.test".locations."/admin".root = "/srv"; }`),
		[]string{`services\.nginx\.virtualHosts\."www\.acme\.test" belongs to the environment site-main-b7ea262 by generated/plan\.json, and .*own\.nix defines it too: give`}},
	{"a host of the node's own, by priority", withModule(`{ lib, ... }: { services.nginx.virtualHosts."www.acme.test" = lib.mkIf true { root = lib.mkForce "/srv"; }; }`),
		[]string{`virtualHosts\."www\.acme\.test" belongs to the environment site-main-b7ea262 .*own\.nix defines it too`}},
	{"the name of a host of the node's own", withModule(`{ services.nginx.virtualHosts.panel.serverName = "WWW.acme.test"; }`),
		[]string{`virtualHosts\."www\.acme\.test" belongs to the environment site-main-b7ea262 .*own\.nix \(services\.nginx\.virtualHosts\."panel"\) defines it too`}},
	{"an alias of a host of the node's own", withModule(`{ services.nginx.virtualHosts."panel.test".serverAliases = [ "www.acme.test" ]; }`),
		[]string{`own\.nix \(services\.nginx\.virtualHosts\."panel\.test"\) defines it too`}},

	// The owner of a UID.
	{"uid of another environment", func(t *testing.T, plan map[string]any, _ *node) {
		other := map[string]any{"isNormalUser": true, "group": "site-foo-bee8c4c", "uid": 1003}
		path(plan, "nodes", nodeName, "users", "users")["site-foo-bee8c4c"] = other
		path(plan, "nodes", nodeName, "users", "groups")["site-foo-bee8c4c"] = map[string]any{"gid": 1004}
	}, []string{`users\.users: the UID 1003 belongs to the environment site-main-b7ea262 by generated/plan\.json, and site-foo-bee8c4c has it too`}},
	{"uid of an administrator", withModule(`{ users.users.alice = { isNormalUser = true; uid = 1003; }; }`),
		[]string{`users\.users: the UID 1003 belongs to the environment site-main-b7ea262 by generated/plan\.json, and alice has it too: set another in the configuration of node-a`}},
	{"gid of a group", withModule(`{ users.groups.staff.gid = 1003; }`),
		[]string{`users\.groups: the GID 1003 belongs to the environment site-main-b7ea262 .*and staff has it too`}},
	{"uid overridden", withModule(`{ lib, ... }: { users.users.site-main-b7ea262.uid = lib.mkForce 5000; }`),
		[]string{`users\.users\.site-main-b7ea262\.uid is 5000, and generated/plan\.json has the UID 1003`}},
	{"no user for an environment", func(_ *testing.T, plan map[string]any, _ *node) {
		delete(path(plan, "nodes", nodeName, "users", "groups"), user)
		delete(path(plan, "nodes", nodeName, "users", "users"), user)
	}, []string{`users\.users\.site-main-b7ea262\.uid is not set, and generated/plan\.json has the UID 1003`}},

	// Certificates.
	{"terms not accepted", inPlan(false, "security", "acme", "acceptTerms"),
		[]string{`security\.acme\.acceptTerms`}},
	{"no self-signed certificates", withModule(`{ security.acme.preliminarySelfsigned = false; }`),
		[]string{`hostenv\.certificates: without security\.acme\.preliminarySelfsigned .*outsideOfSwitches = false`}},
	{"two certificates", inPlan("acme.test", "services", "nginx", "virtualHosts", "www.acme.test", "useACMEHost"),
		[]string{`virtualHosts\.<name>\.enableACME and\s+services\.nginx\.virtualHosts\.<name>\.useACMEHost are mutually exclusive`}},

	// Secrets.
	{"keys missing", func(t *testing.T, _ map[string]any, n *node) {
		file := sopsFile(t, "beta", "acme_shop")
		n.SecretsPath = &file
	}, []string{`/secrets\.yaml has no secrets for the backups of environments on node-a: add`,
		`- site-main-b7ea262: site-main-b7ea262/backups_env or acme_site/backups_env or acme/backups_env`,
		`- site-main-b7ea262: site-main-b7ea262/backups_secret or acme_site/backups_secret or acme/backups_secret`}},
	{"keys missing of environments and cache and tokens", func(t *testing.T, plan map[string]any, n *node) {
		n.Node = "node-b"
		file := sopsFile(t, "beta")
		n.SecretsPath = &file
		n.Provider["accessTokensSecret"] = "access_tokens"
		n.Provider["cache"] = map[string]any{"url": "https://cache.hosting.test", "publicKey": "cache-1:VpyN", "passwordSecret": "cache/password"}
	}, []string{`/secrets\.yaml has no secrets for the backups of environments on node-b: add`,
		`- site-foo-bee8c4c: site-foo-bee8c4c/backups_env or acme_site/backups_env or acme/backups_env`,
		`- site-staging-d6e4934: site-staging-d6e4934/backups_secret or acme_site/backups_secret or acme/backups_secret`,
		"has no secrets for provider[.]accessTokensSecret: add .* the keys\n- access_tokens",
		"has no secrets for provider[.]cache: add .* the keys\n- cache/password"}},
	{"a cache without a key", ofProvider("cache", map[string]any{"url": "https://cache.hosting.test"}),
		[]string{`provider\.cache\.publicKey is not set, and without it Nix refuses the packages of https://cache\.hosting\.test`}},
	{"a password in the URL of a cache", ofProvider("cache", map[string]any{"url": "https://nodes:hunter2@cache.hosting.test/x", "passwordSecret": "acme/backups_env"}),
		[]string{`provider\.cache\.url holds a password, and all users of node-a can read it in the store`}},
	{"a cache without a URL", ofProvider("cache", map[string]any{"publicKey": "cache-1:VpyN"}),
		[]string{`provider\.cache\.url is not set`}},
	{"a cache with two secrets", ofProvider("cache", map[string]any{"url": "https://cache.hosting.test", "publicKey": "cache-1:VpyN", "passwordSecret": "acme/backups_env", "netrcSecret": "acme/backups_env"}),
		[]string{`passwordSecret and provider\.cache\.netrcSecret are both set`}},
	{"a password for a bucket", ofProvider("cache", map[string]any{"url": "s3://cache", "publicKey": "cache-1:VpyN", "passwordSecret": "acme/backups_env"}),
		[]string{`provider\.cache\.url is s3://cache, and provider\.cache\.passwordSecret is for a cache over HTTP`}},
	{"tokens and no secretsPath", func(_ *testing.T, plan map[string]any, n *node) {
		path(plan, "environments", user, "hostenv")["backupsRepoHost"] = nil
		n.SecretsPath = nil
		n.Provider["accessTokensSecret"] = "access_tokens"
	}, []string{`provider\.secretsPath is not set, and node-a has access tokens \(provider\.accessTokensSecret\)`}},
	{"a wildcard certificate and no token", func(_ *testing.T, plan map[string]any, _ *node) { withWildcard(plan) },
		[]string{"has no secrets for provider[.]wildcard: add .* the keys\n- cloudflare/acme_token"}},
	{"a wildcard of a customer and no token", func(_ *testing.T, plan map[string]any, _ *node) { withZone(plan) },
		[]string{"has no secrets for provider[.]wildcard: add .* the keys\n- zone_acme/token"}},
	{"no secrets file", func(t *testing.T, _ map[string]any, n *node) {
		file := filepath.Join(t.TempDir(), "secrets.yaml")
		n.SecretsPath = &file
	}, []string{`provider\.secretsPath is /.*/secrets\.yaml, which does not exist`, `acme/backups_secret`}},
	{"no secretsPath", func(_ *testing.T, _ map[string]any, n *node) { n.SecretsPath = nil },
		[]string{`provider\.secretsPath is not set, and environments on node-a make backups`, `acme/backups_secret`}},
	{"secrets in JSON", func(t *testing.T, _ map[string]any, n *node) {
		file := write(t, "secrets.json", `{"sops": {}}`)
		n.SecretsPath = &file
	}, []string{`provider\.secretsPath is /.*/secrets\.json: sops-nix finds no keys below other keys in JSON`}},
	{"secrets in plain text", func(t *testing.T, _ map[string]any, n *node) {
		file := write(t, "secrets.yaml", "acme:\n  backups_env: hunter2\n")
		n.SecretsPath = &file
	}, []string{`secrets\.yaml: is not encrypted by sops`, "sops --encrypt"}},
	{"no sops-nix", func(_ *testing.T, _ map[string]any, n *node) { n.Sops = false },
		[]string{`the environments site-main-b7ea262 on node-a make backups, whose secrets need sops-nix`, `inputs\.sops-nix\.url`}},
	{"backups of an unknown environment", withModule(`{ hostenv.backups.users = [ "absent" ]; }`),
		[]string{`hostenv\.backups\.users names absent, and node-a has no such environment`}},

	// Deploying.
	{"deploys as root", func(_ *testing.T, plan map[string]any, _ *node) { plan["deployUser"] = "root" },
		[]string{`hostenv\.deploy\.user is root`, `provider\.deployUser`}},
	{"deploys as an environment", func(_ *testing.T, plan map[string]any, _ *node) { plan["deployUser"] = user },
		[]string{`hostenv\.deploy\.user is site-main-b7ea262, which is an environment of this node`}},
	{"shared tempPath", connected("tempPath", "/tmp"),
		[]string{`hostenv\.deploy\.tempPath is /tmp, which other programs use`, `provider\.nodes\.<node>\.tempPath`}},
	{"tempPath with a space", connected("tempPath", "/run/a b"),
		[]string{`option .hostenv\.deploy\.tempPath. is not of type`, `generated/plan\.json`}},
	{"another tempPath than the plan's", withModule(`{ hostenv.deploy.tempPath = "/persist/deploy"; }`),
		[]string{`option .hostenv\.deploy\.tempPath. has conflicting definition values`, `generated/plan\.json`, `own\.nix`}},
	{"no sudo", withModule(`{ security.sudo.execWheelOnly = true; }`),
		[]string{`cannot deploy without sudo: .*security\.sudo\.execWheelOnly = false`}},
	{"no key can log in", ofProvider("deployPublicKeys", []string{}),
		[]string{`Neither the root account nor any wheel user has a password or SSH authorized key`}},

	// The provider's files.
	{"no configuration of the machine", func(t *testing.T, _ map[string]any, n *node) {
		dir := t.TempDir()
		n.NodesPath = &dir
	}, []string{`node node-a: there is no /.*/node-a/configuration\.nix`, `hint: .*provider\.nodesPath = null`}},
	{"no such node", func(_ *testing.T, plan map[string]any, _ *node) { delete(path(plan, "nodes"), nodeName) },
		[]string{`node node-a: generated/plan\.json has no such node`, `hint: .*mage plan`}},
}

// TestRefused breaks a valid plan in one way at a time. It expects no system, and
// an error that names the file and the option.
func TestRefused(t *testing.T) {
	dir := scenario(t, "001")
	slots := make(chan struct{}, 2)
	for _, b := range breakages {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			plan := read(t, filepath.Join(dir, "plan.json"))
			n := node{Node: nodeName, Provider: provider(t, dir), Sops: true, SecretsPath: secrets(t, plan)}
			b.change(t, plan, &n)
			n.Plan = write(t, "plan.json", encode(t, plan))
			answers, err := evaluate[system](t, "system", map[string]node{"broken": n})
			report := strings.Join(answers["broken"].Assertions, "\n")
			if err != nil {
				report = err.Error()
			} else if report == "" {
				t.Fatal("it evaluates to a system")
			}
			for _, pattern := range b.says {
				if !regexp.MustCompile("(?s)" + pattern).MatchString(report) {
					t.Errorf("no match of %q in:\n%s", pattern, report)
				}
			}
			if strings.Contains(report, "hunter2") {
				t.Errorf("a secret is in the error:\n%s", report)
			}
		})
	}
}

// TestUnbroken makes a system of the unchanged plan of TestRefused, under every
// Nix at hand: so the changes of TestRefused cause its errors.
func TestUnbroken(t *testing.T) {
	dir := scenario(t, "001")
	file, err := filepath.Abs(filepath.Join(dir, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	machines := t.TempDir()
	if err := os.Mkdir(filepath.Join(machines, nodeName), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(machines, nodeName, "configuration.nix"), []byte(`{ time.timeZone = "Europe/London"; }`), 0o666); err != nil {
		t.Fatal(err)
	}
	good := node{Plan: file, Node: nodeName, Provider: provider(t, dir), Sops: true, SecretsPath: secrets(t, read(t, file)), NodesPath: &machines}
	for _, binary := range testenv.NixBinaries(t) {
		answers, err := evaluateBy[system](t, binary, "system", map[string]node{"good": good})
		if err != nil {
			t.Fatalf("%s: %v", binary, err)
		}
		if a := answers["good"]; a.Toplevel == "" {
			t.Errorf("%s: failed assertions: %q", binary, a.Assertions)
		}
	}
}
