package parity

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// These proofs are for plans of hostenv's newest generator. Those have more below
// "nodes" than ours, and less below "environments".

// host returns the virtual host that contains d, on each side.
func (c *Comparison) host(d Difference) (before, after map[string]any) {
	i := slices.Index(d.Path, "virtualHosts")
	path := d.Path[:i+2]
	return object(c.before.Plan, path...), object(c.after.Plan, path...)
}

// virtualHost returns the user name of the environment that has a virtual host on
// a node in our plan, and that virtual host.
func (c *Comparison) virtualHost(node, host string) (user string, virtualHost map[string]any) {
	environments := object(c.after.Plan, "environments")
	for _, user := range slices.Sorted(maps.Keys(environments)) {
		if h := object(environments[user], "virtualHosts", host); h != nil && get(environments[user], "node") == node {
			return user, h
		}
	}
	return "", nil
}

// certificateName: NixOS's options have the value that enableLetsEncrypt had.
func (c *Comparison) certificateName(d Difference) bool {
	before, after := c.host(d)
	asked, ok := before["enableLetsEncrypt"].(bool)
	return ok && after["enableACME"] == asked && after["forceSSL"] == asked
}

// gatedCertificate: the older plan turned the certificate and TLS of the host off,
// and ours turns both on, as the environment asks.
func (c *Comparison) gatedCertificate(d Difference) bool {
	before, after := c.host(d)
	if after["enableACME"] != true || after["forceSSL"] != true {
		return false
	}
	if d.Path[0] == "nodes" {
		_, host := c.virtualHost(d.Path[1], d.Path[len(d.Path)-2])
		return before["enableACME"] == false && before["forceSSL"] == false && host["enableACME"] == true
	}
	if asked, ok := before["enableLetsEncrypt"]; ok {
		return asked == false
	}
	return before["enableACME"] == false && before["forceSSL"] == false
}

// sameProxy: the node had the same location before.
func (c *Comparison) sameProxy(d Difference) bool {
	user, host, location := d.Path[1], d.Path[3], d.Path[5]
	node, _ := get(c.before.Plan, "environments", user, "node").(string)
	had := get(c.before.Plan, "nodes", node, "services", "nginx", "virtualHosts", host, "locations", location)
	return had != nil && equal(had, d.After)
}

// connection: the connection is the same, but has the port in its own field.
func (c *Comparison) connection(d Difference) bool {
	before, after := object(c.before.Plan, "nodeConnections", d.Path[1]), object(c.after.Plan, "nodeConnections", d.Path[1])
	if _, isList := after["sshOpts"].([]any); after["sshOpts"] != nil && !isList {
		return false
	}
	options := texts(after["sshOpts"])
	if port, ok := after["sshPort"].(int64); ok && (port != 22 || !slices.Equal(options, texts(before["sshOpts"]))) {
		options = append([]string{"-p", strconv.FormatInt(port, 10)}, options...)
	}
	return before != nil && before["sshPort"] == nil && slices.Equal(texts(before["sshOpts"]), options)
}

// nodeOptions: no connection of the older plan has this field.
func (c *Comparison) nodeOptions(d Difference) bool {
	field := d.Path[2]
	for _, connection := range object(c.before.Plan, "nodeConnections") {
		if _, says := object(connection)[field]; says {
			return false
		}
	}
	return field != "remoteBuild" || object(c.before.Plan, "nodeRemoteBuild") == nil
}

// paths: every environment has a profile with a limit of time, and its paths are its own:
// the link is named after the user, and the folder lies in that of the node.
func (c *Comparison) paths(d Difference) bool {
	profiles, environments := object(d.After), object(c.after.Plan, "environments")
	for user := range environments {
		node, _ := get(environments[user], "node").(string)
		temp, ok := get(c.after.Plan, "nodeConnections", node, "tempPath").(string)
		if !ok { // a node with disabled environments alone
			temp = "/run/hostenv/deploy"
		}
		want := map[string]any{"profileLink": "/nix/var/nix/profiles/per-user/" + user + "/hostenv", "tempPath": temp + "/" + user}
		profile := object(profiles[user])
		if limit, ok := profile["activationTimeout"].(int64); !ok || limit <= 0 { // the older plan has none
			return false
		}
		for name, value := range profile {
			if name != "activationTimeout" && want[name] != value {
				return false
			}
			delete(want, name)
		}
		if len(want) > 0 {
			return false
		}
	}
	return len(profiles) == len(environments)
}

// remoteBuild: the same nodes build their own profiles.
func (c *Comparison) remoteBuild(d Difference) bool {
	older, ok := c.before.Plan["nodeRemoteBuild"].(map[string]any)
	if !ok {
		return false
	}
	connections := object(c.after.Plan, "nodeConnections")
	for _, nodes := range []map[string]any{older, connections} {
		for node := range nodes {
			builds, _ := get(connections, node, "remoteBuild").(bool)
			if built, _ := older[node].(bool); built != builds {
				return false
			}
		}
	}
	return true
}

// nodeProvider: the deploy user, its keys and the trusted keys are those of the
// provider's options.
func (c *Comparison) nodeProvider(d Difference) bool {
	before := object(d.Before)
	keys, ok := before["deployPublicKeys"].([]any)
	if !ok || before["deployUser"] != c.after.Plan["deployUser"] || !equal(before["nixSigning"], c.after.Plan["nixSigning"]) {
		return false
	}
	for member := range before {
		if !slices.Contains([]string{"deployPublicKeys", "deployUser", "nixSigning"}, member) {
			return false
		}
	}
	for _, key := range keys {
		if text, _ := key.(string); !slices.Contains(c.after.DeployPublicKeys, text) {
			return false
		}
	}
	return true
}

// nodeModules: nix/modules gives every node the same.
func (c *Comparison) nodeModules(d Difference) bool {
	switch member := d.Path[len(d.Path)-1]; member {
	case "enable", "recommendedProxySettings":
		return d.Before == true
	case "networking":
		ports, ok := get(d.Before, "firewall", "allowedTCPPorts").([]any)
		only := map[string]any{"firewall": map[string]any{"allowedTCPPorts": ports}}
		return ok && equal(d.Before, only) && !slices.ContainsFunc(ports, func(port any) bool {
			return port != int64(22) && port != int64(80) && port != int64(443)
		})
	case "upstreams":
		made := map[string]any{}
		for user, environment := range object(c.after.Plan, "environments") {
			if get(environment, "node") == d.Path[1] && get(environment, "enable") != false {
				made[user+"_upstream"] = map[string]any{"servers": map[string]any{"unix:/run/hostenv/nginx/" + user + "/in.sock": map[string]any{}}}
			}
		}
		return equal(d.Before, made)
	}
	return false
}

// addHeader matches a line that sends one header.
var addHeader = regexp.MustCompile(`^add_header ([A-Za-z-]+) ("[^"\\$]*"|'[^'\\$]*') always;$`)

// securityHeaders: the older plan sends exactly the headers that the environment
// asks for, with the same values. Our plan has at most the line that forbids
// indexing. The max-age of Strict-Transport-Security may differ.
func (c *Comparison) securityHeaders(d Difference) bool {
	node, name := d.Path[1], d.Path[5]
	_, virtualHost := c.virtualHost(node, name)
	before, _ := d.Before.(string)
	asked := headers(virtualHost)
	if virtualHost == nil || len(asked) == 0 {
		return false
	}
	after, _ := d.After.(string)
	if virtualHost["allowIndexing"] == false && after == noIndexing {
		asked["X-Robots-Tag"] = "noindex"
	} else if after != "" {
		return false
	}
	for line := range strings.SplitSeq(strings.TrimSpace(before), "\n") {
		match := addHeader.FindStringSubmatch(line)
		if match == nil {
			return false
		}
		header, value := match[1], match[2][1:len(match[2])-1]
		want, wanted := asked[header]
		if header == hsts {
			wanted, want = wanted && strings.HasPrefix(value, "max-age="), value
		}
		if !wanted || value != want {
			return false
		}
		delete(asked, header)
	}
	if older, _ := c.host(d); older["forceSSL"] == false {
		delete(asked, hsts) // only valid with TLS
	}
	return len(asked) == 0
}

const hsts = "Strict-Transport-Security"

// headers returns the headers that a virtual host of an environment asks for, by
// the rules of nix/lib/security-headers.nix.
func headers(virtualHost map[string]any) map[string]string {
	security := object(virtualHost, "security")
	asked := map[string]string{}
	text := func(header, field string) {
		if value, ok := security[field].(string); ok {
			asked[header] = value
		}
	}
	policy := "Content-Security-Policy"
	if security["cspMode"] == "report-only" {
		policy += "-Report-Only"
	}
	text(policy, "csp")
	if group, ok := security["cspReportTo"].(string); ok && asked[policy] != "" {
		asked[policy] = strings.TrimRight(asked[policy], "; ") + "; report-to " + group
	}
	text("Report-To", "reportTo")
	text("Referrer-Policy", "referrerPolicy")
	text("X-Frame-Options", "xFrameOptions")
	if security["xContentTypeOptions"] == true {
		asked["X-Content-Type-Options"] = "nosniff"
	}
	if security != nil && virtualHost["hsts"] != false && security["hsts"] != false && (virtualHost["hsts"] == true || security["hsts"] == true) {
		asked[hsts] = ""
	}
	return asked
}
