package deploy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The codes of findings.
const (
	FindingUnreachable   = "unreachable"
	FindingLocked        = "locked"
	FindingSSH           = "ssh"          // any other error of a connection
	FindingHostKey       = "host-key"     // the node shows another host key
	FindingNoHostKey     = "no-host-key"  // the provider sets no host key
	FindingSameMachine   = "same-machine" // two nodes have one host key
	FindingNotNixOS      = "not-nixos"
	FindingNoNix         = "no-nix"
	FindingKeyNotInFlake = "key-not-in-flake"
	FindingKeyNotInPlan  = "key-not-in-plan"
	FindingKeyNotOnNode  = "key-not-on-node"
	FindingTempMissing   = "temp-missing"
	FindingTempOpen      = "temp-open"
	FindingUIDTaken      = "uid-taken"
	FindingUIDDiffers    = "uid-differs"
	FindingUserMissing   = "user-missing"
	FindingRenamed       = "renamed"        // the deploy gives its user the new name
	FindingHomeSetAside  = "home-set-aside" // the deploy renames another user's folder
	FindingForeign       = "foreign-profile"
	FindingActivating    = "activating"
	FindingHidden        = "processes-hidden"
	FindingShellPrints   = "shell-prints"      // at a log-in, where Nix expects its protocol
	FindingSudo          = "sudo"              // sudo does not let the deploy user activate
	FindingOlderPlan     = "older-plan"        // the node has a newer plan
	FindingOtherPlan     = "other-plan"        // the node has another plan with the same serial
	FindingNotKept       = "plan-not-recorded" // of an older plan the node would not know
	FindingNotRecorded   = "deploy-not-recorded"
	FindingDiskShort     = "disk-short"   // a file system of the node has too little room
	FindingDiskUnknown   = "disk-unknown" // whether it has is unknown
	FindingNoRoots       = "no-roots"     // a garbage collection could remove what is copied
	FindingMove          = "move"         // the node with the data is unclear or unreachable
	FindingMoveFirst     = "move-first"   // an environment would leave its old node too early
	FindingMoveCycle     = "move-cycle"
)

// Signing describes the key that signs closures.
type Signing struct {
	PublicKey string   // in the form of nix.conf: name:base64
	InPlan    []string // provider.nixSigning.trustedPublicKeys of the plan
	// InFlake returns those of the current flake. It is called only if a node lacks
	// the key.
	InFlake func() ([]string, error)
}

// Preflight returns what should be known, or must be corrected, before a deploy to
// a node that answered. n has the profiles of the run; push is true if closures
// are copied to it.
func Preflight(n Node, o Observation, push bool, signing Signing) []*Finding {
	var found []*Finding
	add := func(f *Finding) {
		if f != nil {
			found = append(found, f)
		}
	}
	if o.OS != "nixos" {
		add(finding(Failure, FindingNotNixOS, "deploy only to NixOS; check whether provider.nodes."+n.Name+".address leads to another machine",
			"node %s runs %s, not NixOS", n.Name, cmp.Or(o.OS, "a system without /etc/os-release")))
	}
	if o.Nix == "" {
		add(finding(Failure, FindingNoNix, "NixOS has it at /run/current-system/sw/bin/nix", "node %s has no nix that its user %s can run", n.Name, n.User))
	}
	if push && !o.TrustsUser && !slices.Contains(o.TrustedKeys, signing.PublicKey) {
		add(signing.missing(n))
	}
	if n.HostKey == "" {
		add(NoHostKey(n))
	}
	if o.Printed != "" {
		add(finding(Failure, FindingShellPrints, "remove the command that prints from what the shell reads at every start (~/.bashrc, ~/.zshenv, /etc/bash.bashrc), or let it print only if there is a terminal: `[ -t 1 ] &&`; `ssh "+n.User+"@"+n.Address+" true` must print nothing",
			"node %s: the shell of %s prints at log-in, where Nix expects its own protocol: %s", n.Name, n.User, plain(o.Printed, maxLogWidth)))
	}
	add(sudoFinding(n, o.Sudo))
	if o.ProcessesHidden {
		add(finding(Warning, FindingHidden, "add "+n.User+" to the group of /proc's gid= mount option",
			"node %s hides processes from its user %s, so a running activation cannot be seen", n.Name, n.User))
	}
	system, systemSelected := n.Profile(SystemProfile)
	seenSystem := o.Profiles[SystemProfile]
	systemPending := systemSelected && (seenSystem.Active != system.Path || seenSystem.Activated != system.Path || seenSystem.Running != "")
	for _, p := range n.Profiles {
		seen := o.Profiles[p.Name]
		if seen.Linked != "" {
			add(finding(Failure, FindingForeign, "find out what made it; after `rm "+p.Link+"` on the node, the deploy makes its own",
				"node %s: %s leads to %s, which is not a Nix profile", n.Name, p.Link, seen.Linked))
		}
		if len(seen.Activating) > 0 {
			add(finding(Failure, FindingActivating, "wait for it to end: the node reverts it if it is not confirmed; `ps` on the node shows it",
				"node %s: an activation of %s is running: %s", n.Name, p.Name, strings.Join(seen.Activating, ", ")))
		}
		if !p.IsSystem() {
			add(userFinding(n, p, seen, systemPending))
		}
		// A new system makes the folders of the environments' users.
		if p.IsSystem() || seen.UID == p.UID && !systemPending {
			add(tempFinding(n, p, seen))
		}
	}
	return found
}

// NoTTY is the hint for a sudo that wants a terminal.
const NoTTY = "a deploy has no terminal: remove `Defaults requiretty` from the node's sudoers, or add `Defaults:USER !requiretty` for the deploy user"

// sudoRefuses matches what sudo prints if it refuses for certain. A listing that only
// has no such rule is a warning: a rule may have another form.
var sudoRefuses = regexp.MustCompile(`there is no sudo|password is required|must have a tty|may not run sudo|not in the sudoers|not allowed to (run|execute)|authentication is required`)

func sudoFinding(n Node, why string) *Finding {
	if why == "" {
		return nil
	}
	level := Warning
	if sudoRefuses.MatchString(why) {
		level = Failure
	}
	fix := "the configuration of the node has the rules (hostenv.deploy.sudoCommands); for its first deploy write as root on the node: echo '" + n.User + " ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/first-deploy, and remove that file afterwards"
	if strings.Contains(why, "must have a tty") {
		fix = NoTTY
	}
	return finding(level, FindingSudo, fix, "node %s: sudo does not let %s activate %s: %s", n.Name, n.User, n.Profiles[0].Name, plain(why, maxLogWidth))
}

func finding(level Level, code, hint, format string, args ...any) *Finding {
	return &Finding{Level: level, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// lostState is the hint for a UID that two environments have.
const lostState = "a plan never gives one UID to two environments: was generated/state.json lost, or replaced by an older one? See \"Restore a state\" in docs/provider.md"

// userFinding compares the user of an environment, as the node has it, with the
// plan: first the owner of its UID, then the user of its name.
func userFinding(n Node, p Profile, seen Observed, systemPending bool) *Finding {
	if f, ok := ownerFinding(n, p, seen, systemPending); ok {
		return f
	}
	switch {
	case seen.UID != 0 && seen.UID != p.UID && !n.renames(p.User, seen.UID):
		return finding(Failure, FindingUIDDiffers, "NixOS does not change UIDs. If both are the same environment, "+lostState+". If another environment had this name (provider.moved), deploy the node once without "+p.User+", so that the old user is removed: set `enable = false` for it, or place it on another node",
			"node %s: %s has UID %d, but its UID in the plan is %d", n.Name, p.User, seen.UID, p.UID)
	case seen.UID == 0 && !systemPending:
		return finding(Failure, FindingUserMissing, withSystem(n), "node %s has no user %s", n.Name, p.User)
	case seen.HomeOwner != 0 && seen.HomeOwner != p.UID && systemPending && !n.renames(p.User, seen.HomeOwner):
		return finding(Warning, FindingHomeSetAside, "", "node %s: %s, the future home of %s, belongs to UID %d: the deploy renames it to %[2]s.%[4]d", n.Name, "/home/"+p.User, p.User, seen.HomeOwner)
	}
	return nil
}

// ownerFinding compares the owner of the environment's UID with the plan, and
// reports whether the UID has or had another name than the environment's.
func ownerFinding(n Node, p Profile, seen Observed, systemPending bool) (f *Finding, ok bool) {
	own := func(name string) bool { return name == p.User || slices.Contains(p.Formerly, name) }
	// The names that the node knows of a UID are of one environment. If none of
	// them is this one's, it is another, whose files this one could read.
	linked := slices.ContainsFunc(seen.UIDNames, own)
	owner := seen.UIDOwner
	switch {
	case owner == p.User:
		return nil, false
	case owner == "" && (len(seen.UIDNames) == 0 || linked):
		return nil, false
	case owner == "":
		return finding(Failure, FindingUIDTaken, lostState,
			"node %s: the plan gives UID %d to %s, but it belonged to %s, whose files may remain", n.Name, p.UID, p.User, strings.Join(seen.UIDNames, ", ")), true
	case !own(owner) && (!linked || !slices.Contains(seen.UIDNames, owner)):
		return finding(Failure, FindingUIDTaken, "if it belongs to a user of the node itself, change that user's UID in the node's configuration and on the node, or remove the user. If it belongs to an environment, "+lostState,
			"node %s: the plan gives UID %d to %s, but it belongs to %s", n.Name, p.UID, p.User, owner), true
	case !systemPending:
		return finding(Failure, FindingUserMissing, withSystem(n), "node %s has the user of %s under its former name %s", n.Name, p.User, owner), true
	}
	return finding(Warning, FindingRenamed, "", "node %s: the user %s is renamed to %s: its processes are stopped and started under the new name, and its home moves with it", n.Name, owner, p.User), true
}

func withSystem(n Node) string { return "deploy the node's system with it: -node=" + n.Name }

// renames reports whether the environment with this UID has another name by the
// plan than this, which it had before.
func (n Node) renames(name string, uid int) bool {
	return slices.ContainsFunc(n.Profiles, func(p Profile) bool { return p.UID == uid && slices.Contains(p.Formerly, name) })
}

// NoHostKey returns the finding for a node without a host key in the plan.
func NoHostKey(n Node) *Finding {
	scan := "ssh-keyscan -t ed25519 "
	if n.Port != 0 && n.Port != 22 {
		scan += fmt.Sprintf("-p %d ", n.Port) // another sshd may be at 22
	}
	return finding(Warning, FindingNoHostKey, "set it to what `"+scan+n.Address+"` prints after the host, compared on the node's console",
		"provider.nodes.%s has no hostKey: the first key that the node shows is accepted", n.Name)
}

func tempFinding(n Node, p Profile, seen Observed) *Finding {
	owner, mode := "root", "0711"
	if !p.IsSystem() {
		owner, mode = p.User, "0700"
	}
	fix := fmt.Sprintf("run as root on the node: install -d -o %s -m %s %s; from then on the node's configuration makes it at every start", owner, mode, p.Temp)
	option := fmt.Sprintf("provider.nodes.%q.tempPath", n.Name)
	above := seen.TempOpenAt
	switch {
	case seen.Temp == TempMissing:
		return finding(Failure, FindingTempMissing, fix, "node %s: %s, where deploy-rs confirms an activation, does not exist", n.Name, p.Temp)
	case seen.Temp == TempOpen && above != "" && above != p.Temp:
		return finding(Failure, FindingTempOpen, "run as root on the node: chown root "+above+" && chmod go-w "+above+", or set "+option+" to a folder below /run",
			"node %s: other users can write to %s, so they could replace %s, where deploy-rs confirms an activation", n.Name, above, p.Temp)
	case seen.Temp == TempOpen:
		return finding(Failure, FindingTempOpen, fix, "node %s: other users can write to %s, so they could block or fake the confirmation of an activation", n.Name, p.Temp)
	case seen.Temp == TempLinked:
		return finding(Failure, FindingTempOpen, "set "+option+" to a path without links, and run `mage plan`; or remove the link from the node",
			"node %s: %s, on the path to where deploy-rs confirms an activation, is a symbolic link, which a deploy does not follow", n.Name, above)
	}
	return nil
}

// missing returns the finding for a node that does not trust the key. Its hint
// depends on where the key is missing: the flake, the plan or the node's system.
func (s Signing) missing(n Node) *Finding {
	const around = "; until then the node can build for itself: -remoteBuild"
	key, _, _ := strings.Cut(s.PublicKey, ":")
	if slices.Contains(s.InPlan, s.PublicKey) {
		return finding(Failure, FindingKeyNotOnNode, "deploy its system once with -remoteBuild -env=system -node="+n.Name+", or add the key to nix.settings.trusted-public-keys there by hand",
			"node %s does not trust the key %s yet: its system is older than the plan that has it", n.Name, key)
	}
	if s.InFlake != nil {
		if keys, err := s.InFlake(); err == nil && slices.Contains(keys, s.PublicKey) {
			return finding(Failure, FindingKeyNotInPlan, "run `mage plan`, and deploy the system"+around,
				"node %s does not trust the key %s, which is in the flake and not in the plan", n.Name, key)
		}
	}
	return finding(Failure, FindingKeyNotInFlake, fmt.Sprintf("put this line into flake.nix, run `mage plan`, and deploy the system: provider.nixSigning.trustedPublicKeys = [ %q ];%s", s.PublicKey, around),
		"node %s does not trust the key %s, and the provider's flake does not name it", n.Name, key)
}
