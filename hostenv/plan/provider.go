package plan

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/checks"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Provider holds the provider's own options.
type Provider struct {
	HostenvHostname  string // normalised
	LetsEncrypt      LetsEncrypt
	DeployPublicKeys []string
	DeployUser       string
	// NodeFor names a node by the type of an environment, and by "default".
	// A value may be null, as Nix gives it for an option that is not set.
	NodeFor canonjson.Object
	// Placement names a node by organisation__project/environment,
	// organisation__project or organisation.
	Placement map[string]string
	// Nodes are the provider's nodes; it is empty if the provider does not list them.
	Nodes    map[string]*NodeOptions
	UIDRange state.UIDRange
	Limits   Limits
	// ActivationTimeout limits the activations of systems and environments.
	ActivationTimeout ActivationTimeout
	Moved             []state.Moved
	Transfers         []state.Transfer
	// Hold has the reasons why projects stay as the last plan has them, by input.
	Hold       map[string]string
	AllowEmpty bool
	Waves      *Waves // nil if all nodes are one wave
	FrontDoor  FrontDoor
	Cloudflare *Cloudflare
	Wildcard   WildcardOptions
	NixSigning *NixSigning
	// Domains are the organisations of domains, by normalised name.
	Domains domains.Owners
	// RequireDomainProof refuses a new name of a domain that is not known to be the
	// organisation's.
	RequireDomainProof bool
	// PrivateNetworks are networks that are not public and may be dialled, sorted.
	PrivateNetworks []string
	// Notify is the program, and its arguments, that a deploy notifies by; nil for none.
	Notify []string

	notProjects []string // inputs that are no projects on purpose
}

// LetsEncrypt holds the options for NixOS' security.acme.
type LetsEncrypt struct {
	AcceptTerms bool
	AdminEmail  string
	// Profile is the certificate profile that orders name, "" for none.
	Profile CertificateProfile

	declined bool // acceptTerms is set to false
}

// NodeOptions say how to reach a node and how to deploy to it.
type NodeOptions struct {
	System  string // such as aarch64-linux
	Address string // host name or IP address; "" means <node>.<hostenvHostname>
	fields  canonjson.Object
}

// mailbox matches a mail address that an ACME account may have.
var mailbox = regexp.MustCompile(`^[^\s@<>,;:"]+@[^\s@<>,;:"]+$`)

func (r *reader) provider(from canonjson.Object) Provider {
	const where = "provider"
	r.options(from, where, providerOptions...)
	p := Provider{
		DeployPublicKeys: unique(r.deployKeys(from)),
		notProjects:      r.texts(from, where, "notProjects"),
		DeployUser:       r.text(from, where, "deployUser", "deploy"),
		NodeFor:          r.optionalObject(from, where, "nodeFor"),
		AllowEmpty:       r.boolean(from, where, "allowEmpty", false),
		Cloudflare:       r.cloudflare(from),
		NixSigning:       r.nixSigning(from),
		FrontDoor:        r.frontDoor(r.optionalObject(from, where, "frontDoor")),
		Nodes:            map[string]*NodeOptions{},
		Placement:        map[string]string{},
	}
	if _, err := names.ParseUser(p.DeployUser); err != nil {
		r.wrong(where, "deployUser", "is %q: %v", p.DeployUser, err)
	}
	if name := r.text(from, where, "hostenvHostname", required); name != "" {
		host, err := names.ParseHost(name)
		if err != nil {
			r.wrong(where, "hostenvHostname", "is %q: %v", name, err)
		}
		p.HostenvHostname = string(host)
	}
	p.Wildcard = r.wildcard(from, p.HostenvHostname)
	p.LetsEncrypt = r.letsEncrypt(r.object(from, where, "letsEncrypt"))
	p.UIDRange = r.uidRange(r.optionalObject(from, where, "uidRange"))
	p.Limits = r.limits(r.optionalObject(from, where, "limits"))
	p.ActivationTimeout = r.activationTimeout(r.optionalObject(from, where, "activationTimeout"))
	for name, object := range r.members(from, where, "nodes") {
		p.Nodes[name] = r.node(name, object)
	}
	r.machines(&p)
	p.Wildcard.check(r, p.HostenvHostname, p.Nodes)
	p.Domains = r.domains(from)
	p.RequireDomainProof = r.boolean(from, where, "requireDomainProof", false)
	p.PrivateNetworks = r.networks(from, where, "privateNetworks")
	p.Notify = r.command(from, where, "notify")
	placement := r.optionalObject(from, where, "placement")
	for _, m := range placement {
		if node := r.text(placement, where+".placement", m.Name, required); node != "" {
			p.Placement[m.Name] = node
		}
	}
	p.Hold = r.hold(from)
	p.Waves = r.waves(from)
	for i, object := range r.list(from, where, "moved") {
		at := fmt.Sprintf("provider.moved[%d]", i)
		p.Moved = append(p.Moved, state.Moved{From: r.text(object, at, "from", required), To: r.text(object, at, "to", required)})
	}
	for i, object := range r.list(from, where, "transfers") {
		at := fmt.Sprintf("provider.transfers[%d]", i)
		t := state.Transfer{Host: r.text(object, at, "host", required), From: r.text(object, at, "from", required), To: r.text(object, at, "to", required)}
		host, err := names.ParseHost(t.Host)
		if err != nil && t.Host != "" {
			r.wrong(at, "host", "is %q: %v", t.Host, err)
		}
		t.Host = string(host)
		p.Transfers = append(p.Transfers, t)
	}
	return p
}

// members yields the members of an object whose members are objects.
func (r *reader) members(from canonjson.Object, where, option string) iter.Seq2[string, canonjson.Object] {
	return func(yield func(string, canonjson.Object) bool) {
		object := r.optionalObject(from, where, option)
		for _, m := range object {
			if member := r.object(object, where+"."+option, m.Name); !yield(m.Name, member) {
				return
			}
		}
	}
}

// list returns a list of objects. It reports an element that is not an object, and
// leaves it nil.
func (r *reader) list(from canonjson.Object, where, option string) []canonjson.Object {
	v := from.Get(option)
	list, ok := canonjson.ListOf(v)
	if !ok && !canonjson.IsNull(v) {
		r.wrong(where, option, "is not a list")
	}
	objects := make([]canonjson.Object, len(list))
	for i, v := range list {
		if objects[i], ok = canonjson.ObjectOf(v); !ok {
			r.wrong(fmt.Sprintf("%s.%s[%d]", where, option, i), "", "is not an object")
		}
	}
	return objects
}

// networks returns a list of networks, nil if it is null, missing or empty.
func (r *reader) networks(from canonjson.Object, where, option string) []string {
	var networks []string
	for _, text := range r.texts(from, where, option) {
		network, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			r.remedied(where, option, `write a network such as "10.20.0.0/16"`, "holds %q, which is not a network", text)
		case network != network.Masked():
			r.remedied(where, option, fmt.Sprintf("write %q", network.Masked()), "holds %q, which is an address within a network", text)
		default:
			networks = append(networks, network.String())
		}
	}
	slices.Sort(networks)
	return slices.Compact(networks)
}

// command reads a program and its arguments, nil for none.
func (r *reader) command(from canonjson.Object, where, option string) []string {
	words := r.texts(from, where, option)
	if len(words) == 0 {
		return nil
	}
	if words[0] == "" {
		r.remedied(where, option, `write the program and its arguments: [ "./notify" "ops@hosting.example" ]`, "is no command")
	}
	return words
}

func (r *reader) letsEncrypt(from canonjson.Object) LetsEncrypt {
	const where = "provider.letsEncrypt"
	r.options(from, where, "acceptTerms", "adminEmail", "enable", "profile")
	l := LetsEncrypt{AdminEmail: r.text(from, where, "adminEmail", required)}
	if accept, ok := canonjson.Bool(from.Get("acceptTerms")); ok {
		l.AcceptTerms, l.declined = accept, !accept
	} else if from != nil {
		r.remedied(where, "acceptTerms", "read Let's Encrypt's terms of service, and set it to true", "is missing, and Let's Encrypt issues no certificate without it")
	}
	if l.AdminEmail != "" && !mailbox.MatchString(l.AdminEmail) {
		r.wrong(where, "adminEmail", "is %q, which is not a mail address", l.AdminEmail)
	}
	l.Profile = CertificateProfile(r.text(from, where, "profile", ""))
	if l.Profile != "" && !slices.Contains(CertificateProfiles(), l.Profile) {
		r.remedied(where, "profile", "write classic, tlsserver or shortlived, or leave it out", "is %q, which is no certificate profile of Let's Encrypt", string(l.Profile))
	}
	return l
}

func (r *reader) uidRange(from canonjson.Object) state.UIDRange {
	const where = "provider.uidRange"
	r.options(from, where, "min", "max")
	return state.UIDRange{ // [state.State.Next] checks it
		Min: r.number(from, where, "min", state.DefaultUIDRange.Min, 0, 1<<31-1),
		Max: r.number(from, where, "max", state.DefaultUIDRange.Max, 0, 1<<31-1),
	}
}

// cloudflare reads the options for Cloudflare. It refuses values that would put a
// token into the plan or the Nix store.
func (r *reader) cloudflare(from canonjson.Object) *Cloudflare {
	const where = "provider.cloudflare"
	const remedy = "name a key of the sops file with provider.cloudflare.apiTokenSecret, or set CF_API_TOKEN where the gate runs"
	c := r.optionalObject(from, "provider", "cloudflare")
	if c == nil {
		return &Cloudflare{Enable: new(bool)}
	}
	if !canonjson.IsNull(c.Get("apiToken")) {
		r.remedied(where, "apiToken", remedy, "holds a secret, and the plan is committed")
	}
	if file := r.text(c, where, "apiTokenFile", ""); strings.HasPrefix(file, "/nix/store/") {
		r.remedied(where, "apiTokenFile", remedy, "is a path literal, which copies the token into the world-readable store")
	}
	r.boolean(c, where, "enable", false)
	r.text(c, where, "zoneId", "")
	r.text(c, where, "apiTokenSecret", "")
	options := &Cloudflare{}
	canonjson.Fill(c, options)
	return options
}

func (r *reader) nixSigning(from canonjson.Object) *NixSigning {
	options := r.optionalObject(from, "provider", "nixSigning")
	r.trustedKeys(r.texts(options, "provider.nixSigning", "trustedPublicKeys"))
	signing := &NixSigning{}
	canonjson.Fill(options, signing)
	return signing
}

// deployKeys returns the keys of those who deploy. A line that sshd does not read would
// lock them out.
func (r *reader) deployKeys(from canonjson.Object) []string {
	keys := r.keys(from, "provider", "deployPublicKeys")
	for _, key := range keys {
		if err := names.CheckAuthorizedKey(key); err != nil {
			r.remedied("provider", "deployPublicKeys", "write the whole line of a file such as ~/.ssh/id_ed25519.pub", "holds %q: %v", key, err)
		}
	}
	return keys
}

// trustedKeys refuses keys that Nix does not read, and two keys of one name: Nix takes
// the last one, and refuses the signatures of the other.
func (r *reader) trustedKeys(keys []string) {
	const where, option = "provider.nixSigning", "trustedPublicKeys"
	byName := map[string]string{}
	for _, key := range keys {
		name, text, _ := strings.Cut(key, ":")
		_, err := names.ParseKeyName(name)
		if raw, wrong := base64.StdEncoding.DecodeString(text); err == nil && (wrong != nil || len(raw) != 32) {
			err = errors.New("after the colon is no key of 32 bytes in base64")
		}
		if err != nil {
			r.remedied(where, option, "write the line that `nix key convert-secret-to-public` prints, name:key", "holds %q: %v", key, err)
		} else if other, taken := byName[name]; taken && other != text {
			r.remedied(where, option, "keep the key that signs; a new key needs a new name, such as "+name+"-2", "holds two keys named %q, of which Nix uses one", name)
		}
		byName[name] = text
	}
}

func (r *reader) node(name string, from canonjson.Object) *NodeOptions {
	where := "provider.nodes." + quoteAttribute(name)
	if _, err := names.ParseNode(name); err != nil {
		r.wrong(where, "", "is no name for a node: %v", err)
	}
	r.options(from, where, "system", "address", "sshPort", "sshOpts", "hostKey", "remoteBuild", "magicRollback", "autoRollback", "tempPath", "activations", "checks")
	n := &NodeOptions{
		System:  r.text(from, where, "system", defaultSystem),
		Address: r.text(from, where, "address", ""),
		fields:  from,
	}
	if _, err := names.ParseSystem(n.System); err != nil {
		r.wrong(where, "system", "is %q: %v", n.System, err)
	}
	if n.Address != "" {
		address, err := names.ParseAddress(n.Address)
		if err != nil {
			r.wrong(where, "address", "is %q: %v", n.Address, err)
		}
		n.Address = string(address)
	}
	r.number(from, where, "sshPort", 22, 1, 65535)
	r.number(from, where, "activations", 1, 1, 1000)
	for _, option := range r.texts(from, where, "sshOpts") {
		if strings.ContainsFunc(option, unicode.IsSpace) || hasControl(option) {
			r.remedied(where, "sshOpts", `write the option and its value as two items, [ "-o" "Option=value" ]; or put the option into a file and name that, [ "-F" "/path/to/ssh_config" ]`,
				"holds %q, which is not one word", option)
		}
	}
	if key := r.text(from, where, "hostKey", ""); key != "" {
		parsed, err := names.ParsePublicKey(key)
		if err == nil {
			err = parsed.Check()
		}
		if err != nil {
			r.remedied(where, "hostKey", "write what the node has in /etc/ssh/ssh_host_ed25519_key.pub", "is %q: %v", key, err)
		}
	}
	if path := r.text(from, where, "tempPath", ""); path != "" {
		if _, err := names.ParsePlainPath(path); err != nil {
			r.wrong(where, "tempPath", "is %q: %v", path, err)
		}
	}
	for _, p := range checks.ReadNode(from.Get("checks"), nil).Problems {
		r.wrong(where, "", "has a check that cannot be made: %s", p)
	}
	for _, flag := range []string{"remoteBuild", "magicRollback", "autoRollback"} {
		r.boolean(from, where, flag, false)
	}
	return n
}

// machines refuses two nodes with one address or one host key: they are one
// machine, and a deploy would replace the first with the second.
func (r *reader) machines(p *Provider) {
	byAddress, byKey := map[string]string{}, map[string]string{}
	for _, node := range slices.Sorted(maps.Keys(p.Nodes)) {
		c := p.connection(node)
		host := c.Hostname
		if ip, err := netip.ParseAddr(host); err == nil {
			host = ip.Unmap().String()
		}
		where := "provider.nodes." + quoteAttribute(node)
		at := fmt.Sprintf("%s, port %d", host, cmp.Or(c.SSHPort, sshPort))
		if other, taken := byAddress[at]; taken {
			r.remedied(where, "", "correct address or sshPort of one of the two, or remove one",
				"is the same machine as the node %s: both are at %s", quoteAttribute(other), at)
			continue // one machine has one key: do not report that as well
		}
		byAddress[at] = node
		key, err := names.ParsePublicKey(c.HostKey)
		if err != nil {
			continue
		}
		if other, taken := byKey[key.Bare()]; taken {
			r.remedied(where, "", "correct hostKey of one of the two; remove one, if they are one machine; or give each copy of an image its own host key",
				"has the host key of the node %s, %s: they are one machine, or copies of one image", quoteAttribute(other), key.Bare())
			continue
		}
		byKey[key.Bare()] = node
	}
}

// defaultSystem is the platform of a node without `system`.
const defaultSystem = "x86_64-linux"

// sshPort is the default port of ssh. It is not written to the plan: there it would
// override ~/.ssh/config.
const sshPort = 22

// nodeNames returns the nodes by host name. An environment must not have one of
// these names.
func (p *Provider) nodeNames() map[string]string {
	hosts := map[string]string{}
	for node := range p.Nodes {
		p.addNodeName(hosts, node)
	}
	for _, m := range p.NodeFor {
		if node, _ := canonjson.Text(m.Value); node != "" {
			p.addNodeName(hosts, node)
		}
	}
	return hosts
}

func (p *Provider) addNodeName(hosts map[string]string, node string) {
	if host, err := names.ParseHost(node + "." + p.HostenvHostname); err == nil {
		hosts[string(host)] = node
	}
}

// connection returns the connection of a node: its options in provider.nodes, and
// defaults for the others. The default address is the node's host name. Readers of
// the plan have no defaults of their own.
func (p *Provider) connection(node string) Connection {
	c := Connection{System: defaultSystem}
	if n, ok := p.Nodes[node]; ok {
		set := slices.DeleteFunc(n.fields.Without("address"), func(m canonjson.Member) bool { return canonjson.IsNull(m.Value) })
		canonjson.Fill(set, &c)
		c.System = n.System
		c.Hostname = n.Address
	}
	c.ProfileLink = systemProfile
	c.TempPath = cmp.Or(c.TempPath, defaultTempPath)
	c.RemoteBuild = cmp.Or(c.RemoteBuild, new(bool))
	rollback := true // as deploy-rs does by itself
	c.AutoRollback = cmp.Or(c.AutoRollback, &rollback)
	c.MagicRollback = cmp.Or(c.MagicRollback, &rollback)
	c.ActivationTimeout = p.ActivationTimeout.System
	if c.Hostname == "" {
		c.Hostname = node + "." + p.HostenvHostname
		if host, err := names.ParseHost(c.Hostname); err == nil {
			c.Hostname = string(host) // a node's name may have upper case
		}
	}
	return c
}
