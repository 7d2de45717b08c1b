// Package names parses the names of nodes, users, hosts, paths and keys. Every
// name is parsed here before it enters the plan, a command line on a node, a
// configuration of ssh or a Nix expression, and is printed there unchanged.
//
// Where a name has several spellings (a host, an address), its parser returns
// the one that every comparison uses, and parses that one to itself. A value of
// any type
//
//   - has no blank (except in the comment of a [PublicKey]), control character,
//     quote, backslash, dollar or semicolon, so that a Nix string and a line of
//     ssh_config take it without escapes;
//   - does not begin with a hyphen, so that no command reads it as an option;
//   - is one word of a shell. Only a wildcard [Host] (*) and a [StorePath] (?)
//     may hold a character that a shell expands.
//
// An error is a reason that continues "the name is refused:", such as "it is
// empty". The caller adds where the name stands and what to do.
//
// nix/lib/is.nix has the same rules in Nix. The tests of both read the accepted
// and refused names in testdata/.
package names

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A Node names a machine in the provider's flake, in the plan, in `Host` lines
// of ssh_config and in `.#"node"."profile"` of deploy-rs. Followed by the
// provider's domain it is the machine's host name, so it consists of labels as in
// RFC 1123, section 2.1, in either case, with dots between them. It has at least
// one letter, because deploy-rs and Nix read digits alone as a number.
type Node string

// A User names a Unix user of a node: an environment's, or the deploy user.
//
// It has 1 to 31 characters (NixOS, utmp and systemd refuse 32) of a-z, 0-9, -
// and _, which both useradd and systemd's strict rule allow. Unlike theirs it may
// begin with a digit, because hostenv begins it with the project's name. It is
// not a number, because ssh, chown and systemd read a number as a UID. It does
// not begin with _, which marks the keys of state.json that are no environments.
type User string

// A System is what Nix calls a platform: the processor and the kernel, as in
// x86_64-linux.
type System string

// A KeyName names a key that signs store paths. In nix.conf a colon follows it,
// and blanks separate keys.
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
		return "", errors.New("it must be labels of letters, digits and hyphens with dots between them")
	case !letter.MatchString(s):
		return "", errors.New("it has no letter, so deploy-rs and Nix read it as a number")
	}
	return Node(s), nil
}

// ParseUser parses the name of a user.
func ParseUser(s string) (User, error) {
	switch {
	case !user.MatchString(s):
		return "", errors.New("it must be 1 to 31 of a-z, 0-9, - and _, with a letter or digit first")
	case strings.Trim(s, "0123456789") == "":
		return "", errors.New("it is a number, which ssh and systemd read as a UID")
	}
	return User(s), nil
}

// ParseSystem parses the name of a platform.
func ParseSystem(s string) (System, error) {
	if len(s) > maxWord || !system.MatchString(s) {
		return "", errors.New("it is not a platform such as x86_64-linux")
	}
	return System(s), nil
}

// ParseKeyName parses the name of a key that signs store paths.
func ParseKeyName(s string) (KeyName, error) {
	if len(s) > maxWord || !keyName.MatchString(s) {
		return "", errors.New("it must be letters, digits and . _ + @ -, with a letter or digit first")
	}
	return KeyName(s), nil
}

// maxWord is the longest file name of Linux, in bytes.
const maxWord = 255

func tooLong(s string) error {
	return fmt.Errorf("it has %d characters, and the limit is %d", len(s), maxHost)
}
