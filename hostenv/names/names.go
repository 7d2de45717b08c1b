// Package names is the one vocabulary of names: of nodes, users, hosts, paths,
// keys. What reaches the plan, a command line on a node, a configuration of ssh
// or a Nix expression is parsed here first, and is then printed as it is.
//
// Parse accepts or refuses; where a name has several spellings (a host, an
// address), it returns the one that every comparison uses, and accepts that one
// again unchanged. Of each type but [Ref], which git allows almost everything,
// a value
//
//   - has no blank (but in the comment of a [PublicKey]), control character,
//     quote, backslash, dollar or semicolon, so that it stands in a Nix string
//     and in a line of ssh_config as it is;
//   - does not begin with a hyphen, and so is no option of a command;
//   - is one word for a shell. Only a wildcard [Host] (*) and a [StorePath] (?)
//     may hold a character that a shell expands.
//
// An error is a reason that continues "the name is refused:", such as "it is
// empty". The caller knows where the name was written and says what to do.
//
// nix/lib/is.nix has the same rules in Nix. Both are held to the accepted and
// refused names of testdata/.
package names

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A Node names a machine in the provider's flake, in the plan, in `Host` lines
// of ssh_config and in `.#"node"."profile"` of deploy-rs. Before the provider's
// domain it is the machine's host name: labels as in RFC 1123, section 2.1,
// that may be upper case, with dots between them, and a letter in one of them,
// for deploy-rs and Nix read a number as one.
type Node string

// A User names a Unix user of a node: an environment's, or the deploy user.
//
// It has 1 to 31 characters (NixOS refuses 32, as utmp and systemd do) of a-z,
// 0-9, - and _, which are those that both useradd of shadow and systemd's strict
// rule allow. Unlike theirs it may begin with a digit, for hostenv makes it of
// the project's name; it is no number, which ssh, chown and systemd read as a
// UID. It does not begin with _, for such keys of state.json are the file's own.
type User string

// A System is what Nix calls a platform: the processor and the kernel, as in
// x86_64-linux.
type System string

// A KeyName names a key that signs store paths. It stands before a colon in
// nix.conf, where blanks part keys.
type KeyName string

const label = `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`

var (
	node    = regexp.MustCompile(`^` + label + `(\.` + label + `)*$`)
	letter  = regexp.MustCompile(`[A-Za-z]`)
	user    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,30}$`)
	system  = regexp.MustCompile(`^[a-z0-9_]+-[a-z0-9]+$`)
	keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+@-]*$`)
)

// ParseNode parses the name of a node.
func ParseNode(s string) (Node, error) {
	switch {
	case len(s) > maxHost:
		return "", tooLong(s)
	case !node.MatchString(s):
		return "", errors.New("it is not made of labels of letters, digits and hyphens with dots between them")
	case !letter.MatchString(s):
		return "", errors.New("it has no letter, and would be read as a number")
	}
	return Node(s), nil
}

// ParseUser parses the name of a user.
func ParseUser(s string) (User, error) {
	switch {
	case !user.MatchString(s):
		return "", errors.New("it is not made of a-z, 0-9, - and _, at most 31, with a letter or digit first")
	case strings.Trim(s, "0123456789") == "":
		return "", errors.New("it is a number, which ssh and systemd would read as a UID")
	}
	return User(s), nil
}

// ParseSystem parses the name of a platform.
func ParseSystem(s string) (System, error) {
	if len(s) > maxWord || !system.MatchString(s) {
		return "", errors.New("it is no platform such as x86_64-linux")
	}
	return System(s), nil
}

// ParseKeyName parses the name of a key that signs store paths.
func ParseKeyName(s string) (KeyName, error) {
	if len(s) > maxHost+10 || !keyName.MatchString(s) {
		return "", errors.New("it is not made of letters, digits and . _ + @ -, with a letter or digit first")
	}
	return KeyName(s), nil
}

// maxWord is what a file name may have in Linux.
const maxWord = 255

func tooLong(s string) error {
	return fmt.Errorf("it has %d characters, and %d is the most", len(s), maxHost)
}
