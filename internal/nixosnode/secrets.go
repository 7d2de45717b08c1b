package nixosnode

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// SecretsFile is provider.secretsPath within the provider's repository.
const SecretsFile = "secrets/secrets.yaml"

// Secrets writes [SecretsFile]: values by folder and name, which sops encrypts
// for the host keys of these nodes, or of all nodes if none is named. Commit the
// provider afterwards.
func (p *Provider) Secrets(t testing.TB, values map[string]map[string]string, nodes ...*Node) {
	t.Helper()
	if nodes == nil {
		nodes = p.lab.Nodes
	}
	o := p.lab.Operator
	var recipients []string
	for _, n := range nodes {
		cmd := o.Command("ssh-to-age")
		cmd.Stdin = strings.NewReader(n.HostKey + "\n")
		recipient, err := output(cmd)
		must(t, err)
		recipients = append(recipients, recipient)
	}
	// JSON is also YAML. The clear text stays in memory, outside the repository.
	data, err := json.Marshal(values)
	must(t, err)
	o.Write(t, "/tmp/clear.yaml", string(data))
	encrypted := o.Run(t, "sops", "encrypt", "--age", strings.Join(recipients, ","), "--input-type", "yaml", "--output-type", "yaml", "/tmp/clear.yaml")
	p.Write(t, SecretsFile, encrypted+"\n")
	o.Run(t, "rm", "/tmp/clear.yaml")
	p.Set(t, "secretsPath", "./"+filepath.ToSlash(SecretsFile))
}
