module github.com/woolwichweb/hostenv-provider

go 1.26.0

tool github.com/magefile/mage

// What embedders of hostenv/ have.
require (
	github.com/go-json-experiment/json v1.27.2
	github.com/gofrs/flock v0.13.1
	github.com/tidwall/gjson v1.20.1
	github.com/weppos/publicsuffix-go v0.50.4-0.20260821095816-b0fdb5c2d345
	golang.org/x/net v0.62.0
	golang.org/x/sync v0.24.0
	golang.org/x/sys v0.49.0
)

// The command line.
require (
	github.com/magefile/mage v1.17.2
	github.com/rogpeppe/go-internal v1.16.0
	golang.org/x/term v0.47.0
)

// Tests alone.
require (
	github.com/google/go-cmp v0.7.0
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
)

// hostenv/dnsgate/cloudflare, hostenv/dnsgate/resolver and dnsgate, and no other.
require (
	github.com/cloudflare/cloudflare-go/v7 v7.9.0
	github.com/miekg/dns v1.1.73
	golang.org/x/text v0.43.0
)

require (
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	golang.org/x/tools v0.51.0 // indirect
)
