package nodes_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// values are the options of a node, as eval.nix returns them.
type values struct {
	Assertions, Warnings []string
	HostName             string
	Revision             *string
	Users                map[string]struct {
		UID               *int
		Group, Home       string
		IsNormalUser      bool
		IsSystemUser      bool
		ExtraGroups, Keys []string
	}
	MutableUsers, AllowNoPasswordLogin bool
	Groups                             map[string]*int
	Slices                             map[string]map[string]string
	Tmpfiles                           map[string]string // path: mode, user and group
	Upstreams                          map[string][]string
	Nginx                              struct {
		Enable, EnableReload, RecommendedProxySettings, RecommendedTLSSettings bool
		ClientMaxBodySize, ProxyTimeout                                        string
		ServerNamesHashBucketSize                                              int
		RestartIfChanged                                                       bool
		ExecStart                                                              string
	}
	VirtualHosts map[string]struct {
		ExtraConfig          string
		ForceSSL, EnableACME bool
		UseACMEHost          string
		Locations            map[string]string
	}
	Certificates map[string]struct {
		Group, Webroot            string
		ReloadServices, StartedBy []string
		DNSProvider, Domain       string
		ExtraDomainNames          []string
		CredentialFiles           map[string]string
		ExtraLegoRunFlags         []string
		ExtraLegoRenewFlags       []string
		ValidMinDays              int
	}
	FirstOrder              bool                // a switch waits for the first order of a certificate
	Reached                 map[string][]string // the units that start the targets of certificates
	NginxWants, ReloadAfter []string
	Sudoers                 string
	CanMove                 bool // whether the node has hostenv-move
	// UsersActivation has the activation scripts that run before NixOS creates users,
	// and whether a dry activation runs hostenv-users.
	UsersActivation struct {
		Deps []string
		Dry  bool
	}
	Firewall struct {
		Enable bool
		Ports  []int
	}
	SSH struct {
		Enable                                               bool
		Ports                                                []int
		PasswordAuthentication, KbdInteractiveAuthentication bool
		PermitRootLogin                                      string
	}
	Nix struct {
		TrustedPublicKeys []string `json:"trusted-public-keys"`
		TrustedUsers      []string `json:"trusted-users"`
		AllowedUsers      []string `json:"allowed-users"`
		RequireSigs       bool     `json:"require-sigs"`
		Substituters      []string
		NetrcFile         string `json:"netrc-file"`
		GC                struct {
			Automatic bool
			Options   string
		}
	}
	// Apart is what keeps users of a node apart.
	Apart struct {
		Proc, Asks, Mounts, Polkit []string
		Dmesg                      int
		Daemon                     string            // the slice of nix-daemon
		Builds                     map[string]string // its limits
	}
	Monitoring struct {
		Enable              bool
		ListenAddress       string
		Port                int
		Metrics             string // what writes them, "" for nothing
		ExtraFlags, Watched []string
	}
	Challenge          map[string]string // the files of challenges that systemd-tmpfiles writes
	Etc                map[string]string // files of /etc
	SetEnvironment     string            // the target of /etc/set-environment
	Profiles, Programs []string
	SessionVariables   map[string]string
	SopsSecrets        map[string]secret
	SopsTemplates      map[string]struct {
		Owner, Group, Mode, Path, Content string
		RestartUnits                      []string
	}
	SopsKeys []string
	Backups  []string
}

type secret struct{ Owner, Group, Mode, Key, Path, File string }

// rich returns the plan of scenario 001 with a virtual host that has headers.
func rich(t *testing.T) map[string]any {
	plan := read(t, filepath.Join(scenario(t, "001"), "plan.json"))
	environment := path(plan, "environments", user)
	hosts := path(environment, "virtualHosts")
	www := path(hosts, "www.acme.test")
	www["hsts"] = true
	www["security"] = map[string]any{
		"csp": `default-src 'self'; report-uri /$csp`, "cspMode": "report-only", "cspReportTo": "csp",
		"reportTo":       `{"group":"csp"}`,
		"referrerPolicy": "no-referrer", "xFrameOptions": "DENY", "xContentTypeOptions": true, "hsts": true,
	}
	// Inside of a project's location, nginx ignores the headers outside of it.
	own := "add_header X-Frame-Options SAMEORIGIN;\n"
	path(www, "locations", "/embed")["extraConfig"] = own
	path(plan, "nodes", nodeName, "services", "nginx", "virtualHosts", "www.acme.test", "locations", "/embed")["extraConfig"] = own
	// Over plain HTTP.
	pending := path(hosts, "pending.acme.test")
	pending["hsts"] = true
	pending["security"] = map[string]any{"xFrameOptions": "DENY", "hsts": true}
	return plan
}

// withWildcard gives a plan of scenario 001 a certificate of generated names on node-a, as
// plan.Compute does.
func withWildcard(plan map[string]any) {
	const name, host = "_wildcard.hostenv.sh", user + ".hostenv.sh"
	plan["wildcards"] = []any{map[string]any{
		"apiTokenSecret": "cloudflare/acme_token", "certificate": name, "names": []string{"*.hostenv.sh", "node-a.certificate.hostenv.sh"}, "node": nodeName,
	}}
	for _, v := range []map[string]any{path(plan, "environments", user, "virtualHosts", host), path(plan, "nodes", nodeName, "services", "nginx", "virtualHosts", host)} {
		v["enableACME"], v["forceSSL"], v["useACMEHost"] = false, true, name
	}
}

// withZone gives a plan of scenario 001 a virtual host with a wildcard of a customer's zone
// on node-a, and one on node-b.
func withZone(plan map[string]any) {
	list, _ := plan["wildcards"].([]any)
	for node, domain := range map[string]string{nodeName: "acme.test", "node-b": "beta.test"} {
		list = append(list, map[string]any{"apiTokenSecret": "zone_" + domain[:4] + "/token", "certificate": "_wildcard._." + domain, "names": []string{"*." + domain}, "node": node})
	}
	plan["wildcards"] = list
	path(plan, "nodes", nodeName, "services", "nginx", "virtualHosts")["*.acme.test"] = map[string]any{
		"enableACME": false, "forceSSL": true, "useACMEHost": "_wildcard._.acme.test", "globalRedirect": nil, "locations": map[string]any{"/": map[string]any{"return": "410"}}, "redirectCode": 301,
	}
}

// TestValues checks the options of nodes, each from its own plan.
func TestValues(t *testing.T) {
	dir := scenario(t, "001")
	plan := rich(t)
	base := node{Plan: write(t, "plan.json", encode(t, plan)), Node: nodeName, Provider: provider(t, dir), Sops: true}
	keys := sopsFile(t, "acme", "acme_site", user)
	base.SecretsPath = &keys

	with := func(change func(n *node)) node {
		n := base
		n.Provider = provider(t, dir)
		change(&n)
		return n
	}
	module := func(text string) node {
		return with(func(n *node) { n.Modules = []string{write(t, "own.nix", text)} })
	}
	of := func(change func(plan map[string]any)) string {
		plan := rich(t)
		change(plan)
		return write(t, "plan.json", encode(t, plan))
	}
	backupsIn := func(places ...string) func(n *node) {
		return func(n *node) {
			file := sopsFile(t, places...)
			n.SecretsPath = &file
		}
	}

	wildcard := func(n *node) {
		n.Plan = of(func(plan map[string]any) { withWildcard(plan) })
		file := withSecret(t, keys, "cloudflare/acme_token")
		n.SecretsPath = &file
	}

	zone := func(n *node) {
		n.Plan = of(func(plan map[string]any) { withZone(plan) })
		file := withSecret(t, keys, "zone_acme/token")
		n.SecretsPath = &file
	}

	tests := []struct {
		name  string
		node  node
		check func(t *testing.T, v values)
	}{
		{"defaults", base, func(t *testing.T, v values) {
			equal(t, "host name", v.HostName, "node-a")
			equal(t, "revision", v.Revision, (*string)(nil))
			equal(t, "warnings", v.Warnings, []string{})
			u := v.Users[user]
			equal(t, "uid", *u.UID, 1003)
			equal(t, "gid", *v.Groups[user], 1003)
			equal(t, "keys of an environment", u.Keys, []string{"ssh-ed25519 AAAAALICE1 alice@laptop", "ssh-ed25519 AAAAALICE2 alice@desktop", "ssh-ed25519 AAAABOB bob@laptop"})
			deploy := v.Users["deploy"]
			equal(t, "deploy keys", deploy.Keys, []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIpV594cTdpe+o1y0IiFHricBDmVkjMpBQoyJeYIqCeo deploy@provider"})
			equal(t, "deploy user is a system user", []bool{deploy.IsSystemUser, deploy.IsNormalUser}, []bool{true, false})
			equal(t, "groups of the deploy user", deploy.ExtraGroups, []string{"root"})
			equal(t, "mutable users", v.MutableUsers, false)
			equal(t, "hostenv-move", v.CanMove, true)
			equal(t, "hostenv-users", slices.Contains(v.Programs, "hostenv-users"), true)
			equal(t, "what runs before NixOS makes users", v.UsersActivation.Deps, []string{"hostenv-users"})
			equal(t, "and in dry activations", v.UsersActivation.Dry, true)
			equal(t, "profiles", v.Profiles, []string{
				"$HOME/.nix-profile", "${XDG_STATE_HOME}/nix/profile", "$HOME/.local/state/nix/profile", "/etc/profiles/per-user/$USER",
				"/nix/var/nix/profiles/per-user/$USER/hostenv", "/nix/var/nix/profiles/default", "/run/current-system/sw",
			})
			equal(t, "folder of an environment's configuration", v.SessionVariables["XDG_CONFIG_HOME"], "$HOME/.config")
			equal(t, "programs for hostenv deploy", []bool{slices.Contains(v.Programs, "git"), slices.Contains(v.Programs, "rsync")}, []bool{true, true})
			equal(t, "slice", v.Slices["user-acme-site"]["MemoryMax"], "12G")
			equal(t, "the slices of users", v.Etc["hostenv/slices"], user+" user-acme-site-1003.slice 7800\n")
			// After logind put the session into a slice without limits.
			equal(t, "the PAM rules of an ssh session", sessionRules(v.Etc["pam.d/sshd"], "pam_systemd", "pam_exec"), []string{
				"session optional pam_systemd.so",
				"session required pam_exec.so quiet seteuid type=open_session hostenv-enter-slice",
			})
			equal(t, "the PAM rules of sudo", sessionRules(v.Etc["pam.d/sudo"], "pam_systemd", "pam_exec"), []string{
				"session required pam_exec.so quiet seteuid type=open_session hostenv-enter-slice",
			})
			equal(t, "sessions of systemd itself", sessionRules(v.Etc["pam.d/systemd-user"], "pam_exec"), []string(nil))
			equal(t, "tmpfiles", v.Tmpfiles, map[string]string{
				"/run/hostenv":                                     "0755 root root",
				"/run/hostenv/nginx":                               "0755 root root",
				"/run/hostenv/user":                                "0755 root root",
				"/run/hostenv/nginx/site-main-b7ea262":             "2770 site-main-b7ea262 nginx",
				"/run/hostenv/user/site-main-b7ea262":              "2700 site-main-b7ea262 users",
				"/run/hostenv/deploy":                              "0711 root root",
				"/run/hostenv/deploy/site-main-b7ea262":            "0700 site-main-b7ea262 site-main-b7ea262",
				"/nix/var/nix/profiles/per-user/site-main-b7ea262": "0755 site-main-b7ea262 site-main-b7ea262",
				"/var/lib/hostenv/tmp":                             "0000 root root",
			})
			for _, service := range []string{"sshd", "sudo", "systemd-user"} {
				equal(t, "the /tmp of a session by "+service, sessionRules(v.Etc["pam.d/"+service], "pam_namespace"), []string{"session required pam_namespace.so mount_private no_unmount_on_close"})
			}
			equal(t, "who has a /tmp", v.Etc["security/namespace.conf"], "/tmp /var/lib/hostenv/tmp/tmp- user ~"+user+"\n/var/tmp /var/lib/hostenv/tmp/var-tmp- user ~"+user+"\n")
			equal(t, "/proc", v.Apart.Proc, []string{"nosuid", "noexec", "nodev", "hidepid=2", "gid=0"})
			equal(t, "who may not ask systemd", v.Apart.Asks, []string{user})
			equal(t, "who reads the kernel's log", v.Apart.Dmesg, 1)
			equal(t, "links at sockets", slices.Contains(v.Apart.Mounts, "/run/hostenv/nginx bind,nosymfollow,nosuid,nodev,noexec"), true)
			equal(t, "the users of Nix", v.Nix.AllowedUsers, []string{"root", "deploy"})
			equal(t, "the slice of Nix", v.Apart.Daemon, "hostenv-nix.slice")
			equal(t, "limits of builds", v.Apart.Builds, map[string]string{"CPUWeight": "20", "IOWeight": "20", "MemoryHigh": "50%", "MemoryMax": "60%", "TasksMax": "8192"})
			equal(t, "upstreams", v.Upstreams, map[string][]string{
				"site-main-b7ea262_upstream": {"unix:/run/hostenv/nginx/site-main-b7ea262/in.sock"},
			})
			equal(t, "firewall", v.Firewall.Ports, []int{22, 80, 443})
			equal(t, "firewall is on", v.Firewall.Enable, true)
			equal(t, "ssh", []any{v.SSH.Enable, v.SSH.PasswordAuthentication, v.SSH.KbdInteractiveAuthentication, v.SSH.PermitRootLogin}, []any{true, false, false, "no"})
			equal(t, "the trusted users of Nix", v.Nix.TrustedUsers, []string{"root"})
			equal(t, "signing key is trusted", slices.Contains(v.Nix.TrustedPublicKeys, "hosting.example-1:VpyNRlfoLMTuZrSzZZZqEYxcZJ7MPkbbL2tBGGGQrQ4="), true)
			equal(t, "key of the cache is trusted", len(v.Nix.TrustedPublicKeys), 2)
			equal(t, "signatures are required", v.Nix.RequireSigs, true)
			equal(t, "garbage is collected", v.Nix.GC.Automatic, true)
			equal(t, "nginx", []any{v.Nginx.Enable, v.Nginx.EnableReload, v.Nginx.RecommendedProxySettings, v.Nginx.RecommendedTLSSettings, v.Nginx.ClientMaxBodySize, v.Nginx.ProxyTimeout, v.Nginx.ServerNamesHashBucketSize}, []any{true, true, true, true, "2G", "600s", 128})
			www := v.Certificates["www.acme.test"]
			equal(t, "group of certificates", []string{www.Group, www.Webroot}, []string{"nginx", "/var/lib/acme/acme-challenge"})
			// A switch does not start this target: only an operator does.
			equal(t, "what starts an order", www.StartedBy, []string{"acme-finished-www.acme.test.target"})
			for name, by := range v.Reached {
				equal(t, "what starts "+name, by, []string{})
			}
			equal(t, "a new certificate is read", www.ReloadServices, []string{"nginx.service"})
			equal(t, "the targets that nginx wants", v.NginxWants, []string{"hostenv-certificate-files.target"})
			equal(t, "what a reload waits for", v.ReloadAfter, []string{"hostenv-certificate-files.target"})
			equal(t, "key of the host", v.SopsKeys, []string{"/etc/ssh/ssh_host_ed25519_key"})
			equal(t, "monitoring", []any{v.Monitoring.Enable, v.Monitoring.Metrics, v.Tmpfiles["/var/lib/prometheus-node-exporter"]}, []any{false, "", ""})
		}},
		{"orders within switches", module(`{ hostenv.certificates.outsideOfSwitches = false; }`), func(t *testing.T, v values) {
			if by := v.Certificates["www.acme.test"].StartedBy; !slices.Contains(by, "multi-user.target") {
				t.Errorf("an order is started by %v alone", by)
			}
			if !slices.Contains(v.NginxWants, "acme-finished-www.acme.test.target") || !slices.Contains(v.ReloadAfter, "acme-www.acme.test.service") {
				t.Errorf("nginx wants %v, and a reload waits for %v", v.NginxWants, v.ReloadAfter)
			}
			equal(t, "assertions", v.Assertions, []string{})
		}},
		{"headers", base, func(t *testing.T, v values) {
			www := v.VirtualHosts["www.acme.test"]
			equal(t, "www.acme.test", strings.Split(strings.TrimSpace(www.ExtraConfig), "\n"), []string{
				`add_header X-Robots-Tag "noindex" always;`,
				``,
				`proxy_hide_header Content-Security-Policy-Report-Only;`,
				`proxy_hide_header Report-To;`,
				`proxy_hide_header Referrer-Policy;`,
				`proxy_hide_header X-Frame-Options;`,
				`proxy_hide_header X-Content-Type-Options;`,
				`proxy_hide_header Strict-Transport-Security;`,
				`add_header Content-Security-Policy-Report-Only "default-src 'self'; report-uri /${hostenv_dollar}csp; report-to csp" always;`,
				`add_header Report-To "{\"group\":\"csp\"}" always;`,
				`add_header Referrer-Policy "no-referrer" always;`,
				`add_header X-Frame-Options "DENY" always;`,
				`add_header X-Content-Type-Options "nosniff" always;`,
				`add_header Strict-Transport-Security "max-age=31536000" always;`,
			})
			equal(t, "a location without headers", www.Locations["/old"], "")
			embed := www.Locations["/embed"]
			equal(t, "a location's own header, once", strings.Count(embed, "X-Frame-Options"), 1)
			for _, repeated := range []string{`Referrer-Policy "no-referrer"`, `X-Robots-Tag "noindex"`, "Strict-Transport-Security"} {
				equal(t, "a location repeats "+repeated, strings.Count(embed, "add_header "+repeated), 1)
			}
			pending := v.VirtualHosts["pending.acme.test"]
			equal(t, "over plain HTTP", pending.ExtraConfig, "proxy_hide_header X-Frame-Options;\nadd_header X-Frame-Options \"DENY\" always;\n")
			equal(t, "an environment without headers", v.VirtualHosts["acme.test"].ExtraConfig, "")
		}},
		{"no environments", with(func(n *node) {
			n.Plan = of(func(plan map[string]any) {
				plan["environments"], path(plan, "nodes")[nodeName] = map[string]any{}, map[string]any{}
			})
			n.SecretsPath, n.Sops = nil, false
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "the PAM rules of an ssh session", sessionRules(v.Etc["pam.d/sshd"], "pam_exec"), []string(nil))
		}},
		{"headers off", module(`{ hostenv.securityHeaders.enable = false; }`), func(t *testing.T, v values) {
			equal(t, "www.acme.test", v.VirtualHosts["www.acme.test"].ExtraConfig, "add_header X-Robots-Tag \"noindex\" always;\n")
		}},
		{"tls off", with(func(n *node) {
			n.Plan = of(func(plan map[string]any) {
				www := path(plan, "nodes", nodeName, "services", "nginx", "virtualHosts", "www.acme.test")
				www["forceSSL"], www["enableACME"] = false, false
			})
		}), func(t *testing.T, v values) {
			equal(t, "as the gate leaves it", strings.Contains(v.VirtualHosts["www.acme.test"].ExtraConfig, "Strict-Transport-Security"), false)
		}},

		{"secrets of the environment", base, func(t *testing.T, v values) {
			equal(t, "secrets", v.SopsSecrets, map[string]secret{
				user + "/backups_secret": {user, user, "0400", user + "/backups_secret", "/run/secrets/" + user + "/backups_secret", "secrets.yaml"},
				user + "/backups_env":    {user, user, "0400", user + "/backups_env", "/run/secrets/" + user + "/backups_env", "secrets.yaml"},
			})
		}},
		{"secrets of the project", with(backupsIn("acme", "acme_site", "beta")), func(t *testing.T, v values) {
			equal(t, "key", v.SopsSecrets[user+"/backups_env"].Key, "acme_site/backups_env")
		}},
		{"secrets of the organisation", with(backupsIn("acme", "acme_shop", "site-staging-d6e4934")), func(t *testing.T, v values) {
			equal(t, "key", v.SopsSecrets[user+"/backups_env"].Key, "acme/backups_env")
		}},
		{"secrets from the option", with(func(n *node) {
			backupsIn("beta")(n)
			n.Modules = []string{write(t, "own.nix", `{ hostenv.secrets.keys = [ "acme/backups_secret" "acme/backups_env" ]; }`)}
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "key", v.SopsSecrets[user+"/backups_env"].Key, "acme/backups_env")
		}},
		{"no backups", with(func(n *node) {
			n.Plan = of(func(plan map[string]any) { path(plan, "environments", user, "hostenv")["backupsRepoHost"] = nil })
			n.SecretsPath, n.Sops = nil, false
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "backups", v.Backups, []string{})
		}},

		{"access tokens", with(func(n *node) {
			keys := sopsFile(t, user, "access_tokens")
			n.SecretsPath = &keys
			n.Provider["accessTokensSecret"] = "access_tokens"
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "secret", v.SopsSecrets["access_tokens"], secret{"root", "root", "0400", "access_tokens", "/run/secrets/access_tokens", "secrets.yaml"})
			tokens := v.SopsTemplates["hostenv-access-tokens"]
			equal(t, "line of nix.conf", tokens.Content, "extra-access-tokens = <access_tokens>")
			equal(t, "owner, group and mode", []string{tokens.Owner, tokens.Group, tokens.Mode}, []string{"root", "root", "0400"})
			equal(t, "what is restarted", tokens.RestartUnits, []string{"nix-daemon.service"})
			equal(t, "nix.conf has it", strings.Contains(v.Etc["nix/nix.conf"], "\n!include "+tokens.Path+"\n"), true)
		}},
		{"a wildcard certificate", with(wildcard), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "warnings", v.Warnings, []string{})
			const name = "_wildcard.hostenv.sh"
			c := v.Certificates[name]
			equal(t, "names", append([]string{c.Domain}, c.ExtraDomainNames...), []string{"*.hostenv.sh", "node-a.certificate.hostenv.sh"})
			equal(t, "challenge, and group", []string{c.DNSProvider, c.Webroot, c.Group}, []string{"cloudflare", "", "nginx"})
			equal(t, "credentials", c.CredentialFiles, map[string]string{"CF_DNS_API_TOKEN_FILE": "/run/secrets/hostenv-wildcard/_wildcard.hostenv.sh"})
			equal(t, "secret", v.SopsSecrets["hostenv-wildcard/"+name], secret{"root", "root", "0400", "cloudflare/acme_token", "/run/secrets/hostenv-wildcard/" + name, "secrets.yaml"})
			equal(t, "what is reloaded", c.ReloadServices, []string{"nginx.service"})
			equal(t, "a switch waits for its order", v.FirstOrder, true)
			host := v.VirtualHosts["site-main-b7ea262.hostenv.sh"]
			equal(t, "the host", []any{host.EnableACME, host.ForceSSL, host.UseACMEHost}, []any{false, true, name})
			if _, own := v.Certificates["site-main-b7ea262.hostenv.sh"]; own {
				t.Error("the host has a certificate of its own too")
			}
			equal(t, "another host", v.VirtualHosts["www.acme.test"].EnableACME, true)
			// NixOS serves no challenges for a certificate by DNS-01, and the token is among them.
			for name, own := range map[string]bool{"site-main-b7ea262.hostenv.sh": true, "www.acme.test": false} {
				if _, got := v.VirtualHosts[name].Locations["= "+dnsgate.ChallengePath+dnsgate.Token]; got != own {
					t.Errorf("%s has a location for the node's token: %v", name, got)
				}
			}
		}},
		{"no certificate profile", base, func(t *testing.T, v values) {
			c := v.Certificates["www.acme.test"]
			equal(t, "flags", append(c.ExtraLegoRunFlags, c.ExtraLegoRenewFlags...), []string{})
			equal(t, "validMinDays", c.ValidMinDays, 30)
		}},
		{"a certificate profile", with(func(n *node) {
			n.Plan = of(func(plan map[string]any) { plan["certificateProfile"] = "shortlived" })
			n.Modules = []string{write(t, "own.nix", `{ security.acme.defaults.extraLegoRunFlags = [ "--preferred-chain" "ISRG Root X1" ]; }`)}
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			c := v.Certificates["www.acme.test"]
			slices.Sort(c.ExtraLegoRunFlags)
			equal(t, "flags of the first order", c.ExtraLegoRunFlags, []string{"--preferred-chain", "--profile", "ISRG Root X1", "shortlived"})
			equal(t, "flags of renewals", c.ExtraLegoRenewFlags, []string{"--profile", "shortlived"})
			equal(t, "validMinDays", c.ValidMinDays, 3)
		}},
		{"a wildcard certificate without a host", with(func(n *node) {
			wildcard(n)
			n.Node = "node-b"
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			if _, ordered := v.Certificates["_wildcard.hostenv.sh"]; ordered {
				t.Error("a node without such a host orders it")
			}
		}},
		{"a wildcard of a customer", with(zone), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "warnings", v.Warnings, []string{})
			const name = "_wildcard._.acme.test"
			c := v.Certificates[name]
			equal(t, "names", append([]string{c.Domain}, c.ExtraDomainNames...), []string{"*.acme.test"})
			equal(t, "challenge, and group", []string{c.DNSProvider, c.Webroot, c.Group}, []string{"cloudflare", "", "nginx"})
			equal(t, "credentials", c.CredentialFiles, map[string]string{"CF_DNS_API_TOKEN_FILE": "/run/secrets/hostenv-wildcard/" + name})
			equal(t, "secret", v.SopsSecrets["hostenv-wildcard/"+name], secret{"root", "root", "0400", "zone_acme/token", "/run/secrets/hostenv-wildcard/" + name, "secrets.yaml"})
			equal(t, "what is reloaded", c.ReloadServices, []string{"nginx.service"})
			equal(t, "what starts its order", c.StartedBy, []string{"acme-finished-" + name + ".target"})
			equal(t, "a switch waits for its order", v.FirstOrder, false)
			equal(t, "the host's certificate", v.VirtualHosts["*.acme.test"].UseACMEHost, name)
			for secret := range v.SopsSecrets {
				if strings.Contains(secret, "beta.test") {
					t.Errorf("the node has the token of another node's zone: %s", secret)
				}
			}
		}},
		{"a wildcard of a customer, beside that of generated names", with(func(n *node) {
			n.Plan = of(func(plan map[string]any) { withWildcard(plan); withZone(plan) })
			file := withSecret(t, withSecret(t, keys, "hosting/token"), "cloudflare/acme_token")
			n.SecretsPath = &file
			n.Modules = []string{write(t, "own.nix", `{ hostenv.wildcards."_wildcard._.acme.test".apiTokenSecret = "hosting/token"; }`)}
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			for name, key := range map[string]string{"_wildcard.hostenv.sh": "cloudflare/acme_token", "_wildcard._.acme.test": "hosting/token"} {
				equal(t, "the token of "+name, v.SopsSecrets["hostenv-wildcard/"+name].Key, key)
			}
			equal(t, "a switch waits for an order", v.FirstOrder, true)
		}},
		{"a wildcard of a customer that the gate turned off", with(func(n *node) {
			zone(n)
			n.Plan = of(func(plan map[string]any) {
				withZone(plan)
				off := path(plan, "nodes", nodeName, "services", "nginx", "virtualHosts", "*.acme.test")
				off["forceSSL"] = false
				delete(off, "useACMEHost")
			})
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			if _, ordered := v.Certificates["_wildcard._.acme.test"]; ordered {
				t.Error("the node orders it")
			}
			if _, given := v.SopsSecrets["hostenv-wildcard/_wildcard._.acme.test"]; given {
				t.Error("the node has its token")
			}
		}},
		{"a cache with a password", with(func(n *node) {
			n.Modules = []string{write(t, "own.nix", `{ hostenv.secrets.keys = [ "acme/backups_secret" "acme/backups_env" "cache/password" ]; }`)}
			n.Provider["cache"] = map[string]any{"url": "https://cache.hosting.test:8443/nodes", "publicKey": "cache-1:VpyN", "login": "nodes", "passwordSecret": "cache/password", "netrcSecret": nil}
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "caches", v.Nix.Substituters, []string{"https://cache.hosting.test:8443/nodes?priority=10", "https://cache.nixos.org/"})
			equal(t, "keys", len(v.Nix.TrustedPublicKeys), 3)
			equal(t, "the cache's key", slices.Contains(v.Nix.TrustedPublicKeys, "cache-1:VpyN"), true)
			equal(t, "the others' key", slices.ContainsFunc(v.Nix.TrustedPublicKeys, func(key string) bool { return strings.HasPrefix(key, "cache.nixos.org-1:") }), true)
			equal(t, "secret", v.SopsSecrets["hostenv/cache_password"], secret{"root", "root", "0400", "cache/password", "/run/secrets/hostenv/cache_password", "secrets.yaml"})
			netrc := v.SopsTemplates["hostenv-cache-netrc"]
			equal(t, "netrc", netrc.Content, "machine cache.hosting.test login nodes password <hostenv/cache_password>")
			equal(t, "owner, group and mode", []string{netrc.Owner, netrc.Group, netrc.Mode}, []string{"root", "root", "0400"})
			equal(t, "nix.conf has it", strings.Contains(v.Etc["nix/nix.conf"], "\nnetrc-file = "+netrc.Path+"\n"), true)
		}},
		{"a cache with a netrc file", with(func(n *node) {
			keys := sopsFile(t, user, "cache_netrc")
			n.SecretsPath = &keys
			n.Provider["cache"] = map[string]any{"url": "https://cache.hosting.test?priority=5", "publicKey": "cache-1:VpyN", "netrcSecret": "cache_netrc"}
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "caches", v.Nix.Substituters, []string{"https://cache.hosting.test?priority=5", "https://cache.nixos.org/"})
			equal(t, "secret", v.SopsSecrets["hostenv/cache_netrc"], secret{"root", "root", "0400", "cache_netrc", "/run/secrets/hostenv/cache_netrc", "secrets.yaml"})
			equal(t, "netrc", v.Nix.NetrcFile, "/run/secrets/hostenv/cache_netrc")
		}},
		{"a cache without a password", with(func(n *node) {
			n.Provider["cache"] = map[string]any{"url": "s3://cache?region=eu", "publicKey": "cache-1:VpyN"}
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "caches", v.Nix.Substituters, []string{"s3://cache?region=eu&priority=10", "https://cache.nixos.org/"})
			equal(t, "netrc", v.Nix.NetrcFile, "")
		}},

		{"a disabled environment", with(func(n *node) {
			n.Plan = of(func(plan map[string]any) {
				path(plan, "environments", user)["enable"] = false
				path(plan, "nodes")[nodeName] = map[string]any{}
			})
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "upstreams", v.Upstreams, map[string][]string{})
			equal(t, "secrets", len(v.SopsSecrets), 0)
			equal(t, "folders", len(v.Tmpfiles), 4)
			equal(t, "who has a /tmp", sessionRules(v.Etc["pam.d/sshd"], "pam_namespace"), []string(nil))
		}},
		{"an environment elsewhere", with(func(n *node) {
			n.Plan = of(func(plan map[string]any) {
				path(plan, "nodes")["empty"] = map[string]any{}
				path(plan, "nodeConnections")["empty"] = map[string]any{"system": "x86_64-linux", "profileLink": "/nix/var/nix/profiles/system", "tempPath": "/run/hostenv/deploy", "sshPort": 2222, "remoteBuild": true}
			})
			n.Node = "empty"
			n.Provider["nixSigning"] = map[string]any{}
			n.SecretsPath, n.Sops = nil, false
		}), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "warnings", v.Warnings, []string{})
			equal(t, "upstreams", v.Upstreams, map[string][]string{})
			equal(t, "ports of sshd", v.SSH.Ports, []int{22, 2222})
			equal(t, "firewall", v.Firewall.Ports, []int{22, 80, 443, 2222})
		}},

		{"nothing is trusted", with(func(n *node) { delete(n.Provider, "nixSigning") }), func(t *testing.T, v values) {
			equal(t, "warning", strings.Contains(strings.Join(v.Warnings, ""), "set provider.nixSigning.trustedPublicKeys"), true)
		}},
		{"the deploy user is trusted", module(`{ hostenv.deploy.trusted = true; }`), func(t *testing.T, v values) {
			equal(t, "the trusted users of Nix", slices.Compact(v.Nix.TrustedUsers), []string{"root", "deploy"})
		}},
		{"customers with Nix", module(`{ hostenv.nix.customers = [ "acme" ]; security.polkit.enable = true; }`), func(t *testing.T, v values) {
			equal(t, "the users of Nix", v.Nix.AllowedUsers, []string{"root", "deploy", user})
			equal(t, "the groups of polkit", v.Apart.Polkit, []string{"root"})
		}},
		{"a project with Nix, and administrators", module(`{ hostenv.nix.customers = [ "acme__site" ]; nix.settings.allowed-users = [ "@wheel" ]; }`), func(t *testing.T, v values) {
			slices.Sort(v.Nix.AllowedUsers)
			equal(t, "the users of Nix", v.Nix.AllowedUsers, []string{"@wheel", "deploy", "root", user})
		}},
		{"other customers with Nix", module(`{ hostenv.nix.customers = [ "beta" "acme__shop" "site" ]; }`), func(t *testing.T, v values) {
			equal(t, "the users of Nix", v.Nix.AllowedUsers, []string{"root", "deploy"})
		}},
		{"processes seen by all", module(`{ hostenv.processes.hidden = false; }`), func(t *testing.T, v values) {
			equal(t, "/proc", v.Apart.Proc, []string{"nosuid", "noexec", "nodev", "hidepid=0", "gid=0"})
			equal(t, "who may not ask systemd", v.Apart.Asks, []string{})
		}},
		{"an administrator without uid", module(`{ users.users.alice.isNormalUser = true; }`), func(t *testing.T, v values) {
			equal(t, "warning", strings.Contains(strings.Join(v.Warnings, ""), "users.users.alice on node-a has no uid"), true)
		}},
		{"another deploy user and folder", with(func(n *node) {
			n.Plan = of(func(plan map[string]any) {
				plan["deployUser"] = "ops"
				path(plan, "nodeConnections", nodeName)["tempPath"] = "/var/lib/hostenv.d"
				path(plan, "profiles", user)["tempPath"] = "/var/lib/hostenv.d/" + user
			})
		}), func(t *testing.T, v values) {
			equal(t, "folder", v.Tmpfiles["/var/lib/hostenv.d"], "0711 root root")
			equal(t, "an environment's", v.Tmpfiles["/var/lib/hostenv.d/"+user], "0700 "+user+" "+user)
			equal(t, "keys", len(v.Users["ops"].Keys), 1)
			equal(t, "sudo", strings.Contains(v.Sudoers, "\nops     ALL=(root)    NOPASSWD:NOSETENV: "), true)
			equal(t, "sudo takes the dot for a dot", strings.Contains(v.Sudoers, "--temp-path /var/lib/hostenv[.]d "), true)
		}},
		{"monitoring", module(`{ hostenv.monitoring.enable = true; }`), func(t *testing.T, v values) {
			equal(t, "monitoring", []any{v.Monitoring.Enable, v.Monitoring.ListenAddress, v.Monitoring.Port}, []any{true, "127.0.0.1", 9100})
			equal(t, "firewall", v.Firewall.Ports, []int{22, 80, 443})
			const folder = "/var/lib/prometheus-node-exporter"
			equal(t, "the exporter's folder", v.Monitoring.ExtraFlags, []string{"--collector.textfile.directory=" + folder})
			equal(t, "the folder", v.Tmpfiles[folder], ":0755 :root :root")
			equal(t, "the metrics", strings.HasSuffix(v.Monitoring.Metrics, `/bin/hostenv-metrics "/var/lib/deploy/.hostenv-deploy" "`+folder+`/hostenv.prom"`), true)
			equal(t, "what is watched", v.Monitoring.Watched, []string{"/var/lib/deploy/.hostenv-deploy/deploys", "/var/lib/deploy/.hostenv-deploy/plan"})
		}},
		// Another exporter reads them, and the deploy user lives elsewhere.
		{"metrics alone", module(`{
			hostenv.monitoring.textfile = { enable = true; folder = "/srv/metrics"; };
			users.users.deploy.home = "/srv/deploy";
		}`), func(t *testing.T, v values) {
			equal(t, "monitoring", []any{v.Monitoring.Enable, v.Tmpfiles["/srv/metrics"], len(v.Monitoring.ExtraFlags)}, []any{false, ":0755 :root :root", 0})
			equal(t, "the metrics", strings.HasSuffix(v.Monitoring.Metrics, `/bin/hostenv-metrics "/srv/deploy/.hostenv-deploy" "/srv/metrics/hostenv.prom"`), true)
		}},
		{"a revision", module(`{ hostenv.revision = "2026-11"; }`), func(t *testing.T, v values) {
			equal(t, "revision", v.Revision, new("2026-11"))
		}},
		{"a revision of NixOS", module(`{ hostenv.revision = "2026-11"; system.configurationRevision = "mine"; }`), func(t *testing.T, v values) {
			equal(t, "revision", v.Revision, new("mine"))
		}},

		// Plain definitions, without mkForce, win over every default.
		{"overridden", module(`{
			networking.hostName = "other";
			users.mutableUsers = true;
			environment.sessionVariables.XDG_CACHE_HOME = "/scratch";
			users.users.deploy.home = "/srv/deploy";
			services.openssh.ports = [ 2200 ];
			services.openssh.settings = { PasswordAuthentication = true; KbdInteractiveAuthentication = true; PermitRootLogin = "prohibit-password"; };
			networking.firewall.enable = false;
			hostenv.firewall.allowedTCPPorts = [ 443 ];
			nix.settings.require-sigs = false;
			nix.gc = { automatic = false; options = "--delete-older-than 1d"; };
			services.nginx = { enableReload = false; recommendedProxySettings = false; clientMaxBodySize = "1g"; serverNamesHashBucketSize = 256; };
			security.acme.defaults.group = "acme";
			systemd.tmpfiles.settings."10-hostenv"."/run/hostenv/nginx/site-main-b7ea262".d.mode = "2750";
			sops.age.sshKeyPaths = [ "/persist/key" ];
			sops.secrets."site-main-b7ea262/backups_env".mode = "0440";
			hostenv.deploy.sudoCommands.root = [ "/bin/true" ];
			hostenv.securityHeaders.maxAge = 5;
			hostenv.monitoring.enable = true;
			services.prometheus.exporters.node.listenAddress = "10.0.0.1";
		}`), func(t *testing.T, v values) {
			equal(t, "assertions", v.Assertions, []string{})
			equal(t, "host name", v.HostName, "other")
			equal(t, "mutable users", v.MutableUsers, true)
			equal(t, "folder of caches", v.SessionVariables["XDG_CACHE_HOME"], "/scratch")
			equal(t, "home", v.Users["deploy"].Home, "/srv/deploy")
			equal(t, "ssh", []any{v.SSH.Ports, v.SSH.PasswordAuthentication, v.SSH.KbdInteractiveAuthentication, v.SSH.PermitRootLogin}, []any{[]int{2200}, true, true, "prohibit-password"})
			equal(t, "firewall", []any{v.Firewall.Enable, v.Firewall.Ports}, []any{false, []int{443, 2200}})
			equal(t, "nix", []any{v.Nix.RequireSigs, v.Nix.GC.Automatic, v.Nix.GC.Options}, []any{false, false, "--delete-older-than 1d"})
			equal(t, "nginx", []any{v.Nginx.EnableReload, v.Nginx.RecommendedProxySettings, v.Nginx.ClientMaxBodySize, v.Nginx.ServerNamesHashBucketSize}, []any{false, false, "1g", 256})
			equal(t, "tmpfiles", v.Tmpfiles["/run/hostenv/nginx/"+user], "2750 "+user+" nginx")
			equal(t, "sudo to an environment", strings.Contains(v.Sudoers, "ALL=("+user+")"), false)
			equal(t, "key of the host", v.SopsKeys, []string{"/persist/key"})
			equal(t, "mode of a secret", v.SopsSecrets[user+"/backups_env"].Mode, "0440")
			equal(t, "sudo", strings.Contains(v.Sudoers, "deploy     ALL=(root)    NOPASSWD:NOSETENV: /bin/true\n"), true)
			equal(t, "hsts", strings.Contains(v.VirtualHosts["www.acme.test"].ExtraConfig, "max-age=5\""), true)
			equal(t, "monitoring", v.Monitoring.ListenAddress, "10.0.0.1")
		}},
	}
	nodes := map[string]node{}
	for _, test := range tests {
		nodes[test.name] = test.node
	}
	got, err := evaluate[values](t, "values", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := got[test.name]
			slices.Sort(v.Firewall.Ports)
			v.Firewall.Ports = slices.Compact(v.Firewall.Ports)
			test.check(t, v)
		})
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestOptions checks that each option of the modules, also inside of submodules,
// has a type, a description and an example, and has a default unless the plan sets
// it.
func TestOptions(t *testing.T) {
	dir := scenario(t, "001")
	file, err := filepath.Abs(filepath.Join(dir, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	lacks, err := evaluate[map[string][]string](t, "options", map[string]node{"": {Plan: file, Node: nodeName, Provider: map[string]any{}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(lacks[""]) < 25 {
		t.Errorf("only these options were found: %v", lacks[""])
	}
	for option, missing := range lacks[""] {
		if len(missing) > 0 {
			text, _ := json.Marshal(missing)
			t.Errorf("%s lacks %s", option, text)
		}
	}
}

// sessionRules are the rules of a PAM service for sessions that have one of these
// modules, without the folders and comments.
func sessionRules(text string, modules ...string) []string {
	var rules []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " #")
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "session" {
			continue
		}
		for i, word := range words {
			words[i] = filepath.Base(word)
			if _, name, ofStore := strings.Cut(words[i], "-"); ofStore && strings.HasPrefix(word, "/nix/store/") {
				words[i] = name
			}
		}
		if slices.ContainsFunc(modules, func(module string) bool { return words[2] == module+".so" }) {
			rules = append(rules, strings.Join(words, " "))
		}
	}
	return rules
}
