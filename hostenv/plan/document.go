package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"

	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// Carried holds the members of an object that this program does not interpret, in
// their order and in compact canonical form. Encode writes them as they were read.
// Documents share it: use its methods to make a changed copy.
type Carried = canonjson.Object

// A Document is a plan.json: the desired contents of the nodes. Documents share
// their maps: clone a map before you change it.
//
// Encode leaves out a field with the zero value, unless the document that was
// read had it.
type Document struct {
	FormatVersion   int                    `json:"formatVersion,omitzero"`
	StateDigest     string                 `json:"stateDigest,omitzero"` // of the state that it was made from
	Serial          Serial                 `json:"serial,omitzero"`
	HostenvHostname string                 `json:"hostenvHostname,omitzero"`
	DeployUser      string                 `json:"deployUser,omitzero"`
	Environments    map[string]Environment `json:"environments,omitzero"` // by user name
	Profiles        map[string]Profile     `json:"profiles,omitzero"`     // of the environments, by user name
	Nodes           map[string]Node        `json:"nodes,omitzero"`
	// NodeConnections holds the nodes of Nodes, and the previous nodes of
	// environments.
	NodeConnections map[string]Connection `json:"nodeConnections,omitzero"`
	// DNSGate is what the DNS gate decided, by virtual host.
	DNSGate    map[string]GateEntry `json:"dnsGate,omitzero"`
	Cloudflare *Cloudflare          `json:"cloudflare,omitzero"`
	NixSigning *NixSigning          `json:"nixSigning,omitzero"`
	// Wildcards are the certificates by DNS-01, sorted by node and name.
	Wildcards []Wildcard `json:"wildcards,omitzero"`
	// CertificateProfile is the profile that nodes name in their orders, "" for none.
	CertificateProfile CertificateProfile `json:"certificateProfile,omitzero"`
	// Domains are the organisations of domains, see hostenv/domains.
	Domains domains.Owners `json:"domains,omitzero"`
	// PrivateNetworks are networks of the provider that are not public, and that
	// checks and DNS may lead to nevertheless.
	PrivateNetworks []string `json:"privateNetworks,omitzero"`
	// Notify is the command that a deploy runs, see hostenv/deploy/notify.
	Notify []string `json:"notify,omitzero"`
	// HeldBack are the projects that the plan has as the last one had them, by flake
	// input. [Document.Held] returns them.
	HeldBack map[string]HeldBack `json:"heldBack,omitzero"`
	// Certificates are the quotas of new certificates within a week, by flake input, of
	// projects that have another than the default. [Document.CertificateQuota] has all.
	Certificates map[string]int `json:"certificates,omitzero"`
	// OnHold are the reasons of provider.hold, by flake input. [Document.Holds] returns
	// them.
	OnHold map[string]string `json:"hold,omitzero"`
	// Waves are the options about the order of a deploy, nil if all nodes are one wave.
	// [Document.InWaves] applies them.
	Waves *Waves `json:"waves,omitzero"`

	Carried Carried `json:",inline"`
}

// An Environment is one environment of a plan.
type Environment struct {
	Enable    *bool  `json:"enable,omitzero"` // see Runs
	UID       int    `json:"uid,omitzero"`
	Node      string `json:"node,omitzero"`
	Placement string `json:"placement,omitzero"` // the option that chose the node
	// PreviousNode is the node of the last deploy, "" if that is Node.
	PreviousNode string `json:"previousNode,omitzero"`
	// FormerNames are the earlier user names of the environment.
	FormerNames    []string               `json:"formerNames,omitzero"`
	AuthorizedKeys []string               `json:"authorizedKeys,omitzero"`
	Hostenv        Identity               `json:"hostenv,omitzero"`
	VirtualHosts   map[string]VirtualHost `json:"virtualHosts,omitzero"` // by normalised name
	Migrations     []string               `json:"migrations,omitzero"`   // see Backups
	Source         *Source                `json:"source,omitzero"`       // nil if it is not locked
	Repo           jsontext.Value         `json:"repo,omitzero"`         // the input's reference, at the environment's git ref
	// Verification is deploymentVerification as the project wrote it. Package
	// checks reads it.
	Verification jsontext.Value `json:"deploymentVerification,omitzero"`

	Carried Carried `json:",inline"`
}

// A Profile says where the deploy of an environment puts it on its node.
type Profile struct {
	ProfileLink string `json:"profileLink,omitzero"` // the link to the generations
	TempPath    string `json:"tempPath,omitzero"`    // where deploy-rs confirms an activation
	// ActivationTimeout is how long its activation may take, in seconds.
	ActivationTimeout int `json:"activationTimeout,omitzero"`

	Carried Carried `json:",inline"`
}

// Runs reports whether an environment is enabled, which is the default.
func (e Environment) Runs() bool { return e.Enable == nil || *e.Enable }

// Backups returns the names of the backups that carry the environment's data in a
// move, each once: those of migrations, or if it is not set, of
// hostenv.migrations.
func (e Environment) Backups() []string {
	if e.Migrations == nil {
		return unique(e.Hostenv.Migrations)
	}
	return unique(e.Migrations)
}

// An Identity holds hostenv's names for an environment.
type Identity struct {
	Organisation    string   `json:"organisation,omitzero"`
	Project         string   `json:"project,omitzero"`
	EnvironmentName string   `json:"environmentName,omitzero"`
	UserName        string   `json:"userName,omitzero"`
	Hostname        string   `json:"hostname,omitzero"`
	Migrations      []string `json:"migrations,omitzero"` // see Environment.Backups

	Carried Carried `json:",inline"`
}

// A VirtualHost is a virtual host of an environment, or of a node's nginx with
// the options of NixOS.
type VirtualHost struct {
	EnableACME *bool  `json:"enableACME,omitzero"`
	ForceSSL   *bool  `json:"forceSSL,omitzero"`
	ServerName string `json:"serverName,omitzero"` // "" for the name of the virtual host
	// UseACMEHost is the name of the certificate by DNS-01 that the host uses, see [Wildcard].
	UseACMEHost   string   `json:"useACMEHost,omitzero"`
	ServerAliases []string `json:"serverAliases,omitzero"`

	Carried Carried `json:",inline"`
}

// TLS says whether a virtual host has a certificate by HTTP-01, or which one by DNS-01,
// and whether it redirects to HTTPS.
type TLS struct {
	EnableACME, ForceSSL bool
	Shared               string // see VirtualHost.UseACMEHost; "" for none
}

// TLS returns the virtual host's.
func (v VirtualHost) TLS() TLS {
	return TLS{EnableACME: v.EnableACME != nil && *v.EnableACME, ForceSSL: v.ForceSSL != nil && *v.ForceSSL, Shared: v.UseACMEHost}
}

// WithTLS returns the virtual host with another TLS.
func (v VirtualHost) WithTLS(tls TLS) VirtualHost {
	if v.EnableACME, v.ForceSSL = &tls.EnableACME, &tls.ForceSSL; v.UseACMEHost != tls.Shared {
		v.UseACMEHost, v.Carried = tls.Shared, v.Carried.Without("useACMEHost")
	}
	return v
}

// A Node is the NixOS module of a node.
type Node struct {
	Services Services `json:"services,omitzero"`

	Carried Carried `json:",inline"`
}

// Services are the services of a node's module.
type Services struct {
	Nginx Nginx `json:"nginx,omitzero"`

	Carried Carried `json:",inline"`
}

// Nginx is the front door of a node.
type Nginx struct {
	VirtualHosts map[string]VirtualHost `json:"virtualHosts,omitzero"`

	Carried Carried `json:",inline"`
}

// A Connection says how to reach a node and how to deploy to it.
type Connection struct {
	Hostname      string   `json:"hostname,omitzero"` // a host name or an IP address
	System        string   `json:"system,omitzero"`   // such as x86_64-linux
	SSHPort       int      `json:"sshPort,omitzero"`
	SSHOpts       []string `json:"sshOpts,omitzero"`
	HostKey       string   `json:"hostKey,omitzero"`
	ProfileLink   string   `json:"profileLink,omitzero"` // the system's profile on the node
	TempPath      string   `json:"tempPath,omitzero"`    // where deploy-rs confirms the activation of the system
	RemoteBuild   *bool    `json:"remoteBuild,omitzero"`
	AutoRollback  *bool    `json:"autoRollback,omitzero"`
	MagicRollback *bool    `json:"magicRollback,omitzero"`
	// ActivationTimeout is how long the activation of the system may take, in seconds.
	ActivationTimeout int `json:"activationTimeout,omitzero"`
	// Activations is how many environments of the node are activated at once, 0 for the
	// default of a deploy.
	Activations int `json:"activations,omitzero"`
	// Checks are those of the node's system, see [Document.NodeChecks].
	Checks jsontext.Value `json:"checks,omitzero"`

	Carried Carried `json:",inline"`
}

// A Source is a locked source: the arguments of builtins.fetchTree, and dir.
type Source struct {
	Rev          string `json:"rev,omitzero"`
	NarHash      string `json:"narHash,omitzero"`
	LastModified *int64 `json:"lastModified,omitzero"`

	Attrs Carried `json:",inline"`
}

// A GateEntry is the DNS gate's decision on one virtual host. The gate writes it
// when a verdict begins, and keeps it unchanged while the verdict lasts.
type GateEntry struct {
	Asked    Asked      `json:"asked,omitzero"`
	Decision string     `json:"decision"` // GateOn or GateOff
	Node     string     `json:"node"`     // the node that the verdict is about
	Verdict  string     `json:"verdict"`
	Reason   string     `json:"reason"`
	Name     string     `json:"name,omitzero"` // the name of the certificate that decided
	Evidence []Evidence `json:"evidence,omitzero"`
	Fix      string     `json:"fix,omitzero"`
	Since    string     `json:"since,omitzero"`
	// Ordered is the time since which the node orders the certificate of OrderedNames;
	// "" if it did so before the first run of the gate, or if the certificate is off.
	Ordered string `json:"ordered,omitzero"`
	// OrderedNames are the names of that certificate as A-labels, sorted; nil if they
	// are not known, or if the certificate is off.
	OrderedNames []string `json:"orderedNames,omitzero"`
	// Profile is the profile that the order named, "" for none.
	Profile CertificateProfile `json:"profile,omitzero"`
	// FormerOrders are those before Ordered, the oldest first, as long as they may
	// count for Let's Encrypt.
	FormerOrders []Order `json:"formerOrders,omitzero"`
	// KeepUntil is set if the verdict is a failure and browsers open the host over TLS
	// alone (HSTS): the end of the validity of the node's certificate, in RFC 3339. It
	// stays on until then, and the host is out of reach after that.
	KeepUntil string `json:"keepUntil,omitzero"`

	Carried Carried `json:",inline"`
}

// An Order is a certificate that a node ordered, and orders no more.
type Order struct {
	Names   []string `json:"names,omitzero"` // as A-labels, sorted; nil if they are not known
	Node    string   `json:"node"`
	Ordered string   `json:"ordered,omitzero"` // "" before the first run of the gate
	Until   string   `json:"until"`            // since when the node orders another certificate, or none
	// Profile is the profile that the order named, "" for none.
	Profile CertificateProfile `json:"profile,omitzero"`

	Carried Carried `json:",inline"`
}

// The decisions of the DNS gate.
const (
	GateOn  = "on"
	GateOff = "off"
)

// Asked is what an environment asks for its virtual host, before the gate decides.
type Asked struct {
	EnableACME bool `json:"enableACME"`
	ForceSSL   bool `json:"forceSSL"`
	// UseACMEHost is the certificate by DNS-01 of the virtual host, see [Wildcard].
	UseACMEHost string `json:"useACMEHost,omitzero"`

	Carried Carried `json:",inline"`
}

// TLS returns the TLS that the environment asks for.
func (a Asked) TLS() TLS {
	return TLS{EnableACME: a.EnableACME, ForceSSL: a.ForceSSL, Shared: a.UseACMEHost}
}

// Evidence is one fact that a verdict is based on.
type Evidence struct {
	Name   string `json:"name,omitzero"`
	Type   string `json:"type,omitzero"`
	Server string `json:"server,omitzero"`
	Saw    string `json:"saw"`

	Carried Carried `json:",inline"`
}

// Cloudflare holds the provider's options for its zones at Cloudflare.
type Cloudflare struct {
	Enable         *bool  `json:"enable,omitzero"`
	ZoneID         string `json:"zoneId,omitzero"`
	APITokenSecret string `json:"apiTokenSecret,omitzero"` // a key of the sops file

	Carried Carried `json:",inline"`
}

// NixSigning says which signatures nodes trust.
type NixSigning struct {
	TrustedPublicKeys []string `json:"trustedPublicKeys,omitzero"`

	Carried Carried `json:",inline"`
}

// Private returns PrivateNetworks, without what is no network.
func (d Document) Private() []netip.Prefix {
	var networks []netip.Prefix
	for _, text := range d.PrivateNetworks {
		if network, err := netip.ParsePrefix(text); err == nil {
			networks = append(networks, network)
		}
	}
	return networks
}

// byHand is the hint for a plan that this program did not write.
const byHand = "restore it (git checkout HEAD -- generated/plan.json), and run `mage plan`, which writes the file"

// Encode returns the canonical bytes of plan.json.
func (d Document) Encode() []byte { return canonjson.Encode(d) }

// DecodeDocument reads a plan.json of this format version strictly. Its error
// holds every mistake, with its line and place.
func DecodeDocument(data []byte) (Document, error) {
	var d Document
	errs := problem.List(canonjson.Read(data, &d, byHand))
	if len(errs) == 0 && d.FormatVersion != FormatVersion {
		errs.Addf("plan.formatVersion", "run `mage plan`", "is not %d, the one that this program reads", FormatVersion)
	}
	if err := errs.Err(); err != nil {
		return Document{}, err
	}
	return d, nil
}

// CheckFresh refuses a plan that was made from another state than s, with a
// *StaleError: another environment may have its UIDs or host names by now.
func CheckFresh(plan []byte, s state.State) error {
	if !gjson.ValidBytes(plan) {
		_, err := canonjson.Parse(plan) // its error has the line of a syntax error
		return err
	}
	want, got := s.Digest(), gjson.GetBytes(plan, "stateDigest").String()
	if got != want {
		return &StaleError{Plan: got, State: want}
	}
	return nil
}

// Users returns the number of environments in a plan, 0 if the text is not a plan.
func Users(plan []byte) int {
	if !gjson.ValidBytes(plan) {
		return 0
	}
	return len(gjson.GetBytes(plan, "environments").Map())
}

// Digest names a plan.json by its bytes, as sha256sum does. A review shows it, and
// a deploy of what was reviewed compares it.
func Digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
