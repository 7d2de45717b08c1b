package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// A setting is one line of an ssh_config.
type setting struct{ keyword, value string }

// The options of ssh(1) that a node's sshOpts may have, with the same setting in
// ssh_config(5). All others are refused: those for a command, a terminal,
// forwardings, or the output of ssh itself.
var (
	flags = map[byte]setting{
		'4': {"AddressFamily", "inet"},
		'6': {"AddressFamily", "inet6"},
		'A': {"ForwardAgent", "yes"},
		'a': {"ForwardAgent", "no"},
		'C': {"Compression", "yes"},
		'T': {"RequestTTY", "no"},
		'x': {"ForwardX11", "no"},
	}
	flagsWithValue = map[byte]string{
		'B': "BindInterface",
		'b': "BindAddress",
		'c': "Ciphers",
		'F': "Include",
		'i': "IdentityFile",
		'I': "PKCS11Provider",
		'J': "ProxyJump",
		'l': "User",
		'm': "MACs",
		'p': "Port",
	}
)

// fixed are keywords that a deploy depends on, with the values that sshOpts may
// set. Connections must not be shared: deploy-rs confirms an activation by a new
// connection, to show that the node still accepts one.
var fixed = map[string][]string{
	"host": nil, "match": nil, "hostname": nil, "hostkeyalias": nil,
	"batchmode":               {"yes"},
	"controlmaster":           {"no"},
	"controlpath":             {"none"},
	"controlpersist":          {"no", "0"},
	"requesttty":              {"no"},
	"remotecommand":           {"none"},
	"sessiontype":             {"default"},
	"stdinnull":               {"no"},
	"forkafterauthentication": {"no"},
	"loglevel":                {"INFO"},
	"clearallforwardings":     {"yes"},
}

var (
	keywordPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
	// One word, without the quotes and comments of ssh_config(5).
	valuePattern = regexp.MustCompile(`^[^\s\pC"'\\#=][^\s\pC"'\\]*$`)
)

// settingsOf translates a node's sshOpts into settings.
func settingsOf(n deploy.Node) ([]setting, error) {
	var settings []setting
	words := n.SSHOptions
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if len(word) < 2 || word[0] != '-' || word == "--" {
			return nil, badOptions(n, "hold %q, which is not an option", word)
		}
		// Options are combined as in getopt(3): -4C -p22 -p 22.
		for i := 1; i < len(word); i++ {
			if s, ok := flags[word[i]]; ok {
				settings = append(settings, s)
				continue
			}
			value := word[i+1:]
			keyword, known := flagsWithValue[word[i]]
			if !known && word[i] != 'o' {
				return nil, badOptions(n, "hold -%c, which a deploy does not support", word[i])
			}
			if value == "" {
				if len(words) == 0 {
					return nil, badOptions(n, "end with -%c, which needs a value", word[i])
				}
				value, words = words[0], words[1:]
			}
			if word[i] == 'o' {
				keyword, value, _ = strings.Cut(value, "=")
			}
			s, err := checkSetting(n, keyword, value)
			if err != nil {
				return nil, err
			}
			if s != nil {
				settings = append(settings, *s)
			}
			break
		}
	}
	return settings, nil
}

func badOptions(n deploy.Node, format string, args ...any) error {
	return refused(n.Name, "its sshOpts "+fmt.Sprintf(format, args...),
		fmt.Sprintf("write provider.nodes.%q.sshOpts as [ \"-o\" \"Option=value\" ], or put the option into a file and name that: [ \"-F\" \"/path/to/ssh_config\" ]; then run `mage plan`", n.Name))
}

// checkSetting returns the setting for an option, nil if every deploy has it.
func checkSetting(n deploy.Node, keyword, value string) (*setting, error) {
	if !keywordPattern.MatchString(keyword) {
		return nil, badOptions(n, "hold -o %q, which is not Option=value", keyword)
	}
	if !valuePattern.MatchString(value) {
		return nil, badOptions(n, "set %s to %q, which an ssh_config cannot hold", keyword, value)
	}
	if harmless, ok := fixed[strings.ToLower(keyword)]; ok {
		if !slices.ContainsFunc(harmless, func(entry string) bool { return strings.EqualFold(entry, value) }) {
			return nil, badOptions(n, "set %s to %q, which a deploy cannot work with", keyword, value)
		}
		return nil, nil
	}
	if strings.EqualFold(keyword, "User") && value != n.User {
		return nil, refused(n.Name, fmt.Sprintf("its sshOpts log in as %q, and the deploy user is %q", value, n.User),
			fmt.Sprintf("remove the user from provider.nodes.%q.sshOpts; provider.deployUser sets it", n.Name))
	}
	if strings.EqualFold(keyword, "Include") {
		path, err := includePath(value)
		if err != nil {
			return nil, badOptions(n, "name a file that cannot be read: %v", err)
		}
		return &setting{"Include", path}, nil
	}
	return &setting{keyword, value}, nil
}

const noFile = "none" // the argument of ssh's -F that means no file

// includePath returns the absolute path of the file that -F names. Include would
// look for a relative path in ~/.ssh, and would ignore a missing file.
func includePath(path string) (string, error) {
	if path == noFile {
		return noFile, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if !isPlainPath(path) {
		return "", fmt.Errorf("%q holds characters other than letters, digits and . _ - /", path)
	}
	_, err = os.Stat(path)
	return path, err
}
