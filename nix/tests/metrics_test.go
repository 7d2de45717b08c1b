package nix_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A metricsNode is what hostenv-metrics reads on a node.
type metricsNode struct {
	t                         *testing.T
	program                   string
	state, acme, file, orders string
}

func newMetricsNode(t *testing.T, environments, certificates []string) *metricsNode {
	t.Helper()
	testenv.Need(t, "jq")
	testenv.Need(t, "openssl")
	bash := testenv.Need(t, "bash")
	dir := t.TempDir()
	n := &metricsNode{t: t, state: filepath.Join(dir, "state"), acme: filepath.Join(dir, "acme"), file: filepath.Join(dir, "metrics", "hostenv.prom"), orders: filepath.Join(dir, "orders")}
	text, err := os.ReadFile("../modules/metrics.sh")
	if err != nil {
		t.Fatal(err)
	}
	node, err := json.Marshal(map[string]any{"environments": environments, "certificates": certificates})
	if err != nil {
		t.Fatal(err)
	}
	n.program = filepath.Join(dir, "hostenv-metrics")
	filled := strings.NewReplacer("@path@", dir+"/bin:"+os.Getenv("PATH"), "@node@", filepath.Join(dir, "node.json"), "@acme@", n.acme).Replace(string(text))
	n.write(n.program, "#!"+bash+"\n"+filled, 0o777)
	n.write(filepath.Join(dir, "node.json"), string(node), 0o666)
	n.write(filepath.Join(dir, "bin", "hostenv-certificates"), "#!/bin/sh\nif [ -e "+n.state+"/later ]; then mv "+n.state+"/later "+n.state+"/deploys; fi\ncat "+n.orders+"\n", 0o777)
	n.write(n.orders, "[]", 0o666)
	return n
}

func (n *metricsNode) write(file, text string, mode os.FileMode) {
	n.t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		n.t.Fatal(err)
	}
}

// certificate puts a certificate in place.
func (n *metricsNode) certificate(name, issuer string, expiry time.Time) {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, NotBefore: expiry.AddDate(0, -3, 0), NotAfter: expiry}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		n.t.Fatal(err)
	}
	n.write(filepath.Join(n.acme, name, "fullchain.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o600)
}

var (
	metricName = `[a-z_]+`
	metricLine = regexp.MustCompile(`^(# HELP ` + metricName + ` [^\n]+|# TYPE ` + metricName + ` gauge|` + metricName +
		`(\{[a-z]+="([^"\\\n]|\\[\\"n])*"(,[a-z]+="([^"\\\n]|\\[\\"n])*")*\})? -?[0-9]+)$`)
)

// metrics runs the program, and returns the samples that it wrote. The format is the
// text format of Prometheus; its own parser reads it too, if it is installed.
func (n *metricsNode) metrics() []string {
	n.t.Helper()
	if out, err := exec.CommandContext(n.t.Context(), n.program, n.state, n.file).CombinedOutput(); err != nil || len(out) > 0 {
		n.t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(n.file)
	if err != nil {
		n.t.Fatal(err)
	}
	var samples []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSuffix(line, "\n"); !metricLine.MatchString(line) {
			n.t.Errorf("this is no metric: %q", line)
		}
		if !strings.HasPrefix(line, "#") {
			samples = append(samples, strings.TrimPrefix(line, "hostenv_"))
		}
	}
	if others, _ := filepath.Glob(filepath.Join(filepath.Dir(n.file), "*")); len(others) != 1 {
		n.t.Errorf("the folder has %q", others)
	}
	if info, err := os.Stat(n.file); err != nil || info.Mode() != 0o644 {
		n.t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	return samples
}

// TestMetrics: a node's metrics are of what its record says of the profiles that it has,
// and of the certificates in place. No record can bring the format, or the program, down.
func TestMetrics(t *testing.T) {
	n := newMetricsNode(t, []string{"shop-main-1111111", "blog-main-2222222", "wiki-main-3333333"}, []string{"shop.example", "new.example", "blog.example"})
	if got := n.metrics(); len(got) != 0 {
		t.Errorf("a new node has %q", got)
	}

	expiry := time.Date(2027, 2, 3, 4, 5, 6, 0, time.UTC)
	n.certificate("shop.example", "Let's Encrypt", expiry)
	n.certificate("blog.example", "minica root ca 123456", expiry.AddDate(0, 1, 0))
	n.certificate("other.example", "of no virtual host", expiry)
	n.write(n.orders, `[{"name":"blog.example","failed":{"times":3,"said":"a customer's \"text\""}},{"name":"shop.example"}]`, 0o666)
	n.write(n.state+"/plan", "12 "+strings.Repeat("0a", 32)+" abc1234 2026-11-29T07:00:00Z alice@ci\nheld blog-main-2222222 former\n", 0o600)
	at := time.Date(2026, 11, 29, 7, 0, 1, 5, time.UTC)
	var deploys strings.Builder
	for i, profiles := range [][]deploy.Deployed{
		{{Profile: "system", State: deploy.StateFailed}, {Profile: "shop-main-1111111", State: deploy.StateSkipped}},
		{{Profile: "system", State: deploy.StateActive}, {Profile: "shop-main-1111111", State: deploy.StateActive, Error: "it's \\ \"%s\" \u202e"}, {Profile: "former", State: deploy.StateActive}},
		{{Profile: "shop-main-1111111", State: deploy.StateFailed, Reason: deploy.ReasonBuild}, {Profile: "blog-main-2222222", State: deploy.StateActive, Checks: "failed"}},
	} {
		d := deploy.Deployment{Node: "n1", Run: "r", Time: at.Add(time.Duration(i) * time.Hour), Profiles: profiles}
		deploys.Write(append(d.Encode(), '\n'))
	}
	n.write(n.state+"/deploys", deploys.String(), 0o600)
	second := func(hours int) int64 { return at.Add(time.Duration(hours) * time.Hour).Unix() }
	want := []string{
		"plan_serial 12",
		fmt.Sprintf("plan_timestamp_seconds %d", at.Unix()-1),
		fmt.Sprintf(`deploy_timestamp_seconds{profile="system"} %d`, second(1)),
		fmt.Sprintf(`deploy_timestamp_seconds{profile="shop-main-1111111"} %d`, second(2)),
		fmt.Sprintf(`deploy_timestamp_seconds{profile="blog-main-2222222"} %d`, second(2)),
		`deploy_success{profile="system"} 1`,
		`deploy_success{profile="shop-main-1111111"} 0`,
		`deploy_success{profile="blog-main-2222222"} 0`,
		`environment_held_back{environment="shop-main-1111111"} 0`,
		`environment_held_back{environment="blog-main-2222222"} 1`,
		`environment_held_back{environment="wiki-main-3333333"} 0`,
		fmt.Sprintf(`certificate_expiry_timestamp_seconds{certificate="shop.example",issuer="ca"} %d`, expiry.Unix()),
		fmt.Sprintf(`certificate_expiry_timestamp_seconds{certificate="blog.example",issuer="self-signed"} %d`, expiry.AddDate(0, 1, 0).Unix()),
		`certificate_order_failed{certificate="blog.example"} 1`,
		`certificate_order_failed{certificate="shop.example"} 0`,
	}
	if diff := cmp.Diff(want, n.metrics()); diff != "" {
		t.Errorf("the metrics are (-want +got):\n%s", diff)
	}
	t.Run("promtool", func(t *testing.T) {
		promtool := testenv.Need(t, "promtool")
		text, err := os.Open(n.file)
		if err != nil {
			t.Fatal(err)
		}
		defer text.Close()
		cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		cmd.Stdin = text
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %s", err, out)
		}
	})

	// A deploy ends while they are written.
	last := deploy.Deployment{Node: "n1", Run: "r", Time: at.Add(5 * time.Hour), Profiles: []deploy.Deployed{{Profile: "system", State: deploy.StateUnknown}}}
	n.write(n.state+"/later", deploys.String()+string(last.Encode())+"\n", 0o600)
	if got := strings.Join(n.metrics(), "\n"); !strings.Contains(got, `deploy_success{profile="system"} 0`) {
		t.Errorf("of a deploy meanwhile it has\n%s", got)
	}

	// What is no record, and what a CA or a customer says, is skipped or escaped.
	broken := map[string]string{
		"plan":    "-1 x y z a\nheld \" { \\\n",
		"deploys": deploys.String() + "{\n[]\n{\"time\":\"now\",\"profiles\":[1]}\n{\"time\":\"2026-11-29T07:00:00Z\",\"profiles\":[{\"profile\":\"a\\nb\"},3,{\"profile\":{}}]}\n\x00\xff\n",
	}
	for name, text := range broken {
		n.write(n.state+"/"+name, text, 0o600)
	}
	n.write(n.orders, `[{"name":"a\"b\\c\nd{}","failed":{}}, 3]`, 0o666)
	got := strings.Join(n.metrics(), "\n")
	if strings.Contains(got, "plan_serial") || !strings.Contains(got, `deploy_success{profile="system"} 1`) || !strings.Contains(got, `order_failed{certificate="a\"b\\c\nd{}"} 1`) {
		t.Errorf("of broken records it has\n%s", got)
	}
	n.write(n.orders, "no JSON", 0o666)
	n.metrics()

	// A folder that cannot be written to keeps the old file.
	before, err := os.ReadFile(n.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(n.file+".new", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), n.program, n.state, n.file).Run(); err == nil {
		t.Error("it succeeds without a place to write to")
	}
	if after, err := os.ReadFile(n.file); err != nil || string(after) != string(before) {
		t.Errorf("the file is\n%s, %v", after, err)
	}
}
