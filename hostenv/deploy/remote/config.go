package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// A Config is the ssh_config of a run.
type Config struct {
	// Path is the file, for `ssh -F Path <name of a node>`. It contains no blank,
	// because Nix before 2.26 splits NIX_SSHOPTS at blanks.
	Path string
	// Unpinned are the nodes whose host key the provider does not set. ssh trusts
	// the first key that it sees, and keeps it in the user's known_hosts.
	Unpinned []string

	dir string
}

// Write writes the ssh_config of nodes into a private folder that it makes in
// parent; "" means a folder for temporary files. The error holds, with a hint,
// every value of a node that the file cannot have, and every sshOpts that ssh does
// not understand.
//
// ssh takes the first value of each option. The order is: what a deploy depends
// on, the plan, the node's sshOpts, our defaults, and then ~/.ssh/config and
// /etc/ssh/ssh_config, which ssh does not read by itself because of -F. If the
// node's sshOpts have -F, that file takes the place of these two. In these files
// `Host` matches the node's name, and `Match host` its address.
func Write(ctx context.Context, parent string, nodes []deploy.Node) (*Config, error) {
	var errs []error
	options := make([][]setting, len(nodes))
	seen := map[string]bool{}
	for i, n := range nodes {
		var err error
		if err = checkNode(n); err == nil {
			options[i], err = settingsOf(n)
		}
		if folded := strings.ToLower(n.Name); seen[folded] {
			errs = append(errs, refused(n.Name, "two nodes have this name", "give one of them another name"))
		} else {
			seen[folded] = true
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	dir, err := privateDir(parent)
	if err != nil {
		return nil, fmt.Errorf("make a folder for the ssh_config: %w", err)
	}
	c := &Config{Path: filepath.Join(dir, "ssh_config"), dir: dir}
	var config, known bytes.Buffer
	lines := []string{} // the node that each line belongs to
	for i, n := range nodes {
		if n.HostKey == "" {
			c.Unpinned = append(c.Unpinned, n.Name)
		} else {
			key, err := names.ParsePublicKey(n.HostKey)
			if err != nil {
				return nil, fmt.Errorf("the host key of node %s: %w", n.Name, err)
			}
			fmt.Fprintf(&known, "%s %s\n", strings.ToLower(n.Name), key.Bare())
		}
		writeNode(&config, dir, n, options[i])
		for len(lines) < bytes.Count(config.Bytes(), []byte("\n")) {
			lines = append(lines, n.Name)
		}
	}
	writeOthers(&config, nodes, options)
	if err := errors.Join(
		os.WriteFile(c.Path, config.Bytes(), 0o600),
		os.WriteFile(filepath.Join(dir, "known_hosts"), known.Bytes(), 0o600),
	); err != nil {
		return nil, errors.Join(fmt.Errorf("write the ssh_config: %w", err), c.Close())
	}
	if len(nodes) > 0 {
		if err := c.check(ctx, nodes[0].Name, lines); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Close removes the folder. Call it only after the last deploy-rs has ended: it
// starts ssh many times, and each ssh reads the file at its start.
func (c *Config) Close() error { return os.RemoveAll(c.dir) }

// privateDir makes a folder that only this user can enter. Its path is a single
// word for ssh, Nix and a shell.
func privateDir(parent string) (string, error) {
	candidates := []string{parent}
	if parent == "" {
		candidates = []string{os.TempDir(), os.Getenv("XDG_RUNTIME_DIR"), "/tmp"}
	}
	for _, candidate := range candidates {
		if candidate, err := filepath.Abs(candidate); err == nil && isPlainPath(candidate) {
			return os.MkdirTemp(candidate, "hostenv-ssh-")
		}
	}
	return "", fmt.Errorf("the path %q holds characters other than letters, digits and . _ - /", candidates[0])
}

func writeNode(b *bytes.Buffer, dir string, n deploy.Node, options []setting) {
	write := func(keyword, value string) { fmt.Fprintf(b, "  %s %s\n", keyword, value) }
	// ssh compares the name before it converts it to lower case.
	fmt.Fprintf(b, "Host %s\n", n.Name)
	write("HostName", names.Address(n.Address).SSH())
	write("User", n.User)
	write("BatchMode", "yes")
	write("ControlMaster", "no")
	write("ControlPath", "none")
	write("RequestTTY", "no")
	write("RemoteCommand", "none")
	write("ClearAllForwardings", "yes")
	write("LogLevel", "INFO") // QUIET would hide the cause
	write("UpdateHostKeys", "no")
	if n.HostKey != "" {
		write("HostKeyAlias", strings.ToLower(n.Name))
		write("UserKnownHostsFile", filepath.Join(dir, "known_hosts"))
		write("GlobalKnownHostsFile", "/dev/null")
		write("StrictHostKeyChecking", "yes")
		// DNS or a command must not confirm another key.
		write("VerifyHostKeyDNS", "no")
		write("KnownHostsCommand", "none")
	}
	if n.Port != 0 {
		write("Port", strconv.Itoa(n.Port))
	}
	for _, s := range options {
		if s.keyword != "Include" {
			write(s.keyword, s.value)
		}
	}
	if n.HostKey == "" {
		write("StrictHostKeyChecking", "accept-new")
	}
	write("ForwardAgent", "no")
	write("ConnectTimeout", "10")
	// A minute of silence is allowed: the activation of a system may restart the
	// network.
	write("ServerAliveInterval", "10")
	write("ServerAliveCountMax", "6")
	for _, s := range options {
		if s.keyword == "Include" && s.value != noFile {
			write(s.keyword, s.value)
		}
	}
}

// writeOthers includes ssh's usual files, except for nodes whose sshOpts name
// another file.
func writeOthers(b *bytes.Buffer, nodes []deploy.Node, options [][]setting) {
	b.WriteString("Host *")
	for i, n := range nodes {
		for _, s := range options[i] {
			if s.keyword == "Include" {
				b.WriteString(" !" + n.Name)
				break
			}
		}
	}
	// ssh ignores an Include of a file that does not exist.
	b.WriteString("\n  Include ~/.ssh/config\n  Include /etc/ssh/ssh_config\n")
}

var badLine = regexp.MustCompile(`(?m)^(.*) line (\d+): (.*)$`)

// check lets ssh read the file. One option that ssh does not know would make it
// fail for every node.
func (c *Config) check(ctx context.Context, node string, lines []string) error {
	cmd := exec.CommandContext(ctx, "ssh", "-F", c.Path, "-G", "--", node)
	var stderr tail
	cmd.Stderr = &stderr
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var errs []error
	for _, m := range badLine.FindAllStringSubmatch(stderr.String(), -1) {
		line, _ := strconv.Atoi(m[2])
		if m[1] == c.Path+":" || m[1] == c.Path {
			if line >= 1 && line <= len(lines) {
				errs = append(errs, refused(lines[line-1], "ssh does not understand its sshOpts: "+m[3],
					fmt.Sprintf("correct provider.nodes.%q.sshOpts, and run `mage plan`", lines[line-1])))
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return fmt.Errorf("ssh does not read its configuration: %w: %s", err, stderr.String())
}
