package examples

import (
	"context"
	"fmt"
	"strings"
)

// MakeLarge makes a provider of many customers, as [Make] does, for
// measurements: `projects` repositories, each of an organisation of its own,
// with `environments` branches and as many environments.
func MakeLarge(ctx context.Context, dest string, projects, environments int, opts Options) error {
	if projects < 1 || environments < 1 {
		return fmt.Errorf("make a large example: %d projects of %d environments, want at least one of each", projects, environments)
	}
	content, err := opts.contentOf("projects/acme-site")
	if err != nil {
		return fmt.Errorf("make a large example: %w", err)
	}
	var inputs strings.Builder
	customers := map[string][]branch{}
	for p := range projects {
		organisation := fmt.Sprintf("org%03d", p)
		fmt.Fprintf(&inputs, "    %s__site = { url = \"git+%s/%s?dir=.hostenv&ref=main\"; flake = false; };\n", organisation, Placeholder, organisation)

		names := []string{"main"}
		for e := 1; e < environments; e++ {
			names = append(names, fmt.Sprintf("feature-%03d", e))
		}
		own := map[string]string{
			".hostenv/evaluate.nix":     content[".hostenv/evaluate.nix"],
			".hostenv/flake.nix":        strings.ReplaceAll(content[".hostenv/flake.nix"], `"acme"`, `"`+organisation+`"`),
			".hostenv/flake.lock":       content[".hostenv/flake.lock"],
			".hostenv/environments.nix": largeEnvironments(organisation, names),
			"web/index.html":            content["web/index.html"],
		}
		customers[organisation] = withBranches(own, names)
	}
	provider := map[string]string{"flake.nix": fmt.Sprintf(largeFlake, Placeholder, inputs.String())}
	if err := build(ctx, dest, provider, customers, opts); err != nil {
		return fmt.Errorf("make a large example in %s: %w", dest, err)
	}
	return nil
}

const largeFlake = `{
  inputs = {
    hostenv-provider.url = "git+%[1]s/hostenv-provider";
    nixpkgs.url = "git+%[1]s/nixpkgs";
    deploy-rs.url = "git+%[1]s/deploy-rs";
%[2]s  };

  outputs = inputs: inputs.hostenv-provider.lib.mkProvider {
    inherit inputs;
    provider = {
      hostenvHostname = "hosting.example";
      letsEncrypt = { acceptTerms = true; adminEmail = "ops@hosting.example"; };
      deployPublicKeys = [ ];
      nodesPath = null;
      nodes = { node-a = { }; node-b = { }; };
      nodeFor = { production = "node-a"; default = "node-b"; };
      uidRange = { min = 40000; max = 59999; };
    };
  };
}
`

// largeEnvironments writes an environments.nix: the first is production, and
// each has two names of its own.
func largeEnvironments(organisation string, names []string) string {
	var b strings.Builder
	b.WriteString("{\n  defaultEnvironment = \"main\";\n  users = { };\n")
	for i, name := range names {
		kind := "development"
		if i == 0 {
			kind = "production"
		}
		host := name + "." + organisation + ".example"
		fmt.Fprintf(&b, "  environments.%q = {\n    type = %q;\n    primary = %q;\n    virtualHosts = { %q = { }; %q = { }; };\n  };\n",
			name, kind, host, host, "api."+host)
	}
	b.WriteString("}\n")
	return b.String()
}
