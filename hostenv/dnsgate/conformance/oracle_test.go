package conformance

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmhodges/clock"
	"golang.org/x/net/idna"
	"google.golang.org/grpc"

	"github.com/letsencrypt/boulder/bdns"
	"github.com/letsencrypt/boulder/core"
	corepb "github.com/letsencrypt/boulder/core/proto"
	"github.com/letsencrypt/boulder/iana"
	"github.com/letsencrypt/boulder/identifier"
	"github.com/letsencrypt/boulder/metrics"
	"github.com/letsencrypt/boulder/policy"
	"github.com/letsencrypt/boulder/va"
	vapb "github.com/letsencrypt/boulder/va/proto"
)

// Account is the ACME account of the laboratory's nodes.
const (
	accountPrefix = "https://acme-v02.api.letsencrypt.org/acme/acct/"
	accountID     = 4711
	Account       = accountPrefix + "4711"
)

// Oracle is Let's Encrypt: Boulder's validation authority with five remote
// perspectives, each with a resolver of its own if there are enough. Four of the five
// have to agree with the primary one.
type Oracle struct {
	web    *Web
	policy *policy.AuthorityImpl
	va     *va.ValidationAuthorityImpl
	limit  time.Duration // of a request
}

// NewOracle makes an oracle that asks the resolvers over HTTPS.
func NewOracle(web *Web, resolvers []*Unbound, roots *x509.CertPool, how waits) (*Oracle, error) {
	client := func(i int) (bdns.Client, error) {
		provider, err := bdns.NewStaticProvider([]string{resolvers[i%len(resolvers)].HTTPS})
		if err != nil {
			return nil, err
		}
		return bdns.New(how.lookup, provider, metrics.NoopRegisterer, clock.New(), 3, "conformance", silence{}, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}), nil
	}
	authority := func(i int, perspective, registry string, remotes []va.RemoteVA) (*va.ValidationAuthorityImpl, error) {
		resolver, err := client(i)
		if err != nil {
			return nil, err
		}
		return va.NewValidationAuthorityImpl(resolver, remotes, "conformance", "letsencrypt.org", metrics.NoopRegisterer, clock.New(), silence{},
			[]string{accountPrefix}, perspective, registry, iana.IsReservedAddr, 0, false, nil, 0, 0)
	}
	var remotes []va.RemoteVA
	for i, registry := range []string{"ARIN", "RIPE", "APNIC", "LACNIC", "AFRINIC"} {
		perspective := "remote-" + registry
		impl, err := authority(i+1, perspective, registry, nil)
		if err != nil {
			return nil, err
		}
		remotes = append(remotes, va.RemoteVA{
			RemoteClients: va.RemoteClients{VAClient: inProcess{impl}, CAAClient: inProcess{impl}},
			Address:       perspective, Perspective: perspective, RIR: registry,
		})
	}
	primary, err := authority(0, va.PrimaryPerspective, "ARIN", remotes)
	if err != nil {
		return nil, err
	}
	pa, err := policy.New(
		map[identifier.IdentifierType]bool{identifier.TypeDNS: true},
		map[core.AcmeChallenge]bool{core.ChallengeTypeHTTP01: true, core.ChallengeTypeDNS01: true}, silence{})
	if err != nil {
		return nil, err
	}
	return &Oracle{web: web, policy: pa, va: primary, limit: how.request}, nil
}

// Decision is the answer of Let's Encrypt for a name.
type Decision struct {
	Issued bool
	Stage  string // name, dcv or caa: where it was refused
	Type   string // the ACME error
	Detail string
}

// Ordered returns a host as an ACME client orders it: A-labels in lower case,
// without a final dot. It returns a host without such a form unchanged.
func Ordered(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ascii, err := idna.Punycode.ToASCII(host); err == nil {
		return ascii
	}
	return host
}

// Ask asks for a certificate for the host while the node holds the challenge.
// It returns an error if the oracle cannot decide.
func (o *Oracle) Ask(ctx context.Context, host, node string) (Decision, error) {
	host = Ordered(host)
	if err := policy.ValidDomain(host); err != nil {
		return Decision{Stage: "name", Type: "rejectedIdentifier", Detail: err.Error()}, nil
	}
	name := identifier.NewDNS(host)
	challenges, err := o.policy.ChallengeTypesFor(name)
	if err != nil {
		return Decision{}, err
	}
	if !slices.Contains(challenges, core.ChallengeTypeHTTP01) {
		return Decision{Stage: "name", Type: "malformed", Detail: "no HTTP-01 challenge is offered"}, nil
	}
	random := make([]byte, 64)
	_, _ = rand.Read(random) // never fails
	token := base64.RawURLEncoding.EncodeToString(random[:32])
	key := token + "." + base64.RawURLEncoding.EncodeToString(random[32:])
	defer o.web.Hold(node, token, key)()

	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	validation, err := o.va.DoDCV(ctx, &vapb.PerformValidationRequest{
		Identifier:               name.ToProto(),
		Challenge:                &corepb.Challenge{Type: "http-01", Status: "pending", Token: token},
		Authz:                    &vapb.AuthzMeta{Id: 1, RegID: accountID},
		ExpectedKeyAuthorization: key,
	})
	if err != nil {
		return Decision{}, fmt.Errorf("validate %s: %w", host, err)
	}
	if problem := validation.GetProblem(); problem != nil {
		return Decision{Stage: "dcv", Type: problem.ProblemType, Detail: problem.Detail}, nil
	}
	caa, err := o.va.DoCAA(ctx, &vapb.IsCAAValidRequest{Identifier: name.ToProto(), ValidationMethod: "http-01", AccountURIID: accountID, AuthzID: 1})
	if err != nil {
		return Decision{}, fmt.Errorf("check CAA of %s: %w", host, err)
	}
	if problem := caa.GetProblem(); problem != nil {
		return Decision{Stage: "caa", Type: problem.ProblemType, Detail: problem.Detail}, nil
	}
	return Decision{Issued: true}, nil
}

// inProcess is a remote perspective in this process.
type inProcess struct{ *va.ValidationAuthorityImpl }

func (p inProcess) DoDCV(ctx context.Context, request *vapb.PerformValidationRequest, _ ...grpc.CallOption) (*vapb.ValidationResult, error) {
	return p.ValidationAuthorityImpl.DoDCV(ctx, request)
}

func (p inProcess) DoCAA(ctx context.Context, request *vapb.IsCAAValidRequest, _ ...grpc.CallOption) (*vapb.IsCAAValidResponse, error) {
	return p.ValidationAuthorityImpl.DoCAA(ctx, request)
}

// silence is a log that keeps nothing.
type silence struct{}

func (silence) Err(string)                             {}
func (silence) Errf(string, ...any)                    {}
func (silence) Warning(string)                         {}
func (silence) Warningf(string, ...any)                {}
func (silence) Info(string)                            {}
func (silence) Infof(string, ...any)                   {}
func (silence) InfoObject(string, any)                 {}
func (silence) Debug(string)                           {}
func (silence) Debugf(string, ...any)                  {}
func (silence) AuditInfo(string, any)                  {}
func (silence) AuditErr(string, error, map[string]any) {}
