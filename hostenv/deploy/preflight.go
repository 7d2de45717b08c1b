package deploy

import (
	"fmt"
	"slices"
	"strings"
)

// The codes of findings.
const (
	FindingUnreachable   = "unreachable"
	FindingLocked        = "locked"
	FindingSSH           = "ssh"          // connected, and something else went wrong
	FindingHostKey       = "host-key"     // it shows another one
	FindingNoHostKey     = "no-host-key"  // the provider names none
	FindingSameMachine   = "same-machine" // two nodes have one host key
	FindingNotNixOS      = "not-nixos"    //
	FindingNoNix         = "no-nix"       //
	FindingKeyNotInFlake = "key-not-in-flake"
	FindingKeyNotInPlan  = "key-not-in-plan"
	FindingKeyNotOnNode  = "key-not-on-node"
	FindingTempMissing   = "temp-missing"
	FindingTempOpen      = "temp-open"
	FindingUIDTaken      = "uid-taken"
	FindingUIDDiffers    = "uid-differs"
	FindingUserMissing   = "user-missing"
	FindingRenamed       = "renamed"        // its user has a former name, and gets the new one
	FindingHomeSetAside  = "home-set-aside" // another's home is where its own will be
	FindingForeign       = "foreign-profile"
	FindingActivating    = "activating"
	FindingHidden        = "processes-hidden"
	FindingMove          = "move"       // where data is cannot be told, or not reached
	FindingMoveFirst     = "move-first" // an environment would lose its old node before it has its new one
	FindingMoveCycle     = "move-cycle"
)

// Signing is what is known of the key that closures are signed with.
type Signing struct {
	PublicKey string   // as nix.conf has it: name:base64
	InPlan    []string // provider.nixSigning.trustedPublicKeys of the plan
	// InFlake returns those of the flake as it is now. It is asked only where a
	// key is missing.
	InFlake func() ([]string, error)
}

// Preflight returns what speaks against deploying to a node that answered.
// Profiles are those of the run; push says whether closures are copied to it.
func Preflight(n Node, o Observation, push bool, signing Signing) []Finding {
	var found []Finding
	fail := func(code, hint, format string, args ...any) {
		found = append(found, Finding{Level: Failure, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if o.OS != "nixos" {
		fail(FindingNotNixOS, "deploy only to NixOS; check whether provider.nodes."+n.Name+".address leads to another machine", "node %s runs %s, not NixOS", n.Name, orNothing(o.OS))
	}
	if o.Nix == "" {
		fail(FindingNoNix, "NixOS has it at /run/current-system/sw/bin/nix", "node %s has no nix that its user %s can run", n.Name, n.User)
	}
	if push && !o.TrustsUser && !slices.Contains(o.TrustedKeys, signing.PublicKey) {
		found = append(found, signing.missing(n))
	}
	if n.HostKey == "" {
		found = append(found, NoHostKey(n))
	}
	if o.ProcessesHidden {
		found = append(found, Finding{Level: Warning, Code: FindingHidden,
			Message: "node " + n.Name + " hides processes from its user " + n.User + ", so a running activation cannot be seen",
			Hint:    "add " + n.User + " to the group of /proc's gid= mount option"})
	}
	system, systemSelected := n.Profile(SystemProfile)
	seenSystem := o.Profiles[SystemProfile]
	systemPending := systemSelected && (seenSystem.Active != system.Path || seenSystem.Activated != system.Path || seenSystem.Running != "")
	for _, p := range n.Profiles {
		seen := o.Profiles[p.Name]
		if seen.Linked != "" {
			fail(FindingForeign, "find out what made it; after `rm "+p.Link+"` on the node, the deploy makes its own", "node %s: %s leads to %s, which is not a Nix profile", n.Name, p.Link, seen.Linked)
		}
		if len(seen.Activating) > 0 {
			fail(FindingActivating, "wait for it to end: the node reverts it if it is not confirmed; `ps` on the node shows it", "node %s: an activation of %s is running: %s", n.Name, p.Name, strings.Join(seen.Activating, ", "))
		}
		if p.IsSystem() {
			found = append(found, tempFinding(n, p, seen)...)
			continue
		}
		found = append(found, userFindings(n, p, seen, systemPending)...)
		switch {
		case seen.UID != 0 && seen.UID != p.UID:
		case seen.UID != 0:
			// If there is no user yet, the system that brings it brings the folder, too.
			if !systemPending {
				found = append(found, tempFinding(n, p, seen)...)
			}
		}
	}
	return found
}

// lostState is the hint for a UID of two environments.
const lostState = "a plan never gives one UID to two environments: was generated/state.json lost, or replaced by an older one? See \"Restore a state\" in docs/provider.md"

// userFindings compares the user of an environment, as the node has it, with the
// plan: first the owner of its UID, then the user of its name.
func userFindings(n Node, p Profile, seen Observed, systemPending bool) []Finding {
	if found, ok := ownerFinding(n, p, seen, systemPending); ok {
		return found
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
func ownerFinding(n Node, p Profile, seen Observed, systemPending bool) (found []Finding, ok bool) {
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

func finding(level Level, code, hint, format string, args ...any) []Finding {
	return []Finding{{Level: level, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

func withSystem(n Node) string { return "deploy the node's system with it: -node=" + n.Name }

// renames reports whether the environment with this UID has another name by the
// plan than this, which it had before.
func (n Node) renames(name string, uid int) bool {
	return slices.ContainsFunc(n.Profiles, func(p Profile) bool { return p.UID == uid && slices.Contains(p.Formerly, name) })
}

func orNothing(os string) string {
	if os == "" {
		return "a system without /etc/os-release"
	}
	return os
}

// NoHostKey is what is said of a node that names no host key.
func NoHostKey(n Node) Finding {
	scan := "ssh-keyscan -t ed25519 "
	if n.Port != 0 && n.Port != 22 {
		scan += fmt.Sprintf("-p %d ", n.Port) // another sshd may be at 22
	}
	return Finding{Level: Warning, Code: FindingNoHostKey,
		Message: "provider.nodes." + n.Name + " has no hostKey: the first key that the node shows is accepted",
		Hint:    "set it to what `" + scan + n.Address + "` prints after the host, compared on the node's console"}
}

func tempFinding(n Node, p Profile, seen Observed) []Finding {
	owner, mode := "root", "0711"
	if !p.IsSystem() {
		owner, mode = p.User, "0700"
	}
	mend := fmt.Sprintf("run as root on the node: install -d -o %s -m %s %s; from then on the node's configuration makes it at every start", owner, mode, p.Temp)
	switch seen.Temp {
	case TempMissing:
		return []Finding{{Failure, FindingTempMissing, fmt.Sprintf("node %s: %s, where deploy-rs confirms an activation, does not exist", n.Name, p.Temp), mend}}
	case TempOpen:
		if above := seen.TempOpenAt; above != "" && above != p.Temp {
			return []Finding{{Failure, FindingTempOpen, fmt.Sprintf("node %s: other users can write to %s, so they could replace %s, where deploy-rs confirms an activation", n.Name, above, p.Temp),
				"run as root on the node: chown root " + above + " && chmod go-w " + above + ", or set " + tempOption(n) + " to a folder below /run"}}
		}
		return []Finding{{Failure, FindingTempOpen, fmt.Sprintf("node %s: other users can write to %s, so they could block or fake the confirmation of an activation", n.Name, p.Temp), mend}}
	case TempLinked:
		return []Finding{{Failure, FindingTempOpen, fmt.Sprintf("node %s: %s, on the path to where deploy-rs confirms an activation, is a symbolic link, which a deploy does not follow", n.Name, seen.TempOpenAt),
			"set " + tempOption(n) + " to a path without links, and run `mage plan`; or remove the link from the node"}}
	case TempPrivate, TempUnknown:
	}
	return nil
}

func tempOption(n Node) string { return fmt.Sprintf("provider.nodes.%q.tempPath", n.Name) }

// missing tells apart where the key is missing: the node may be right, and the
// flake or the plan wrong.
func (s Signing) missing(n Node) Finding {
	f := Finding{Level: Failure}
	line := fmt.Sprintf("provider.nixSigning.trustedPublicKeys = [ %q ];", s.PublicKey)
	const around = "; until then the node can build for itself: -remoteBuild"
	if slices.Contains(s.InPlan, s.PublicKey) {
		f.Code = FindingKeyNotOnNode
		f.Message = fmt.Sprintf("node %s does not trust the key %s yet: its system is older than the plan that has it", n.Name, name(s.PublicKey))
		f.Hint = "deploy its system once with -remoteBuild -env=system -node=" + n.Name + ", or add the key to nix.settings.trusted-public-keys there by hand"
		return f
	}
	inFlake := []string(nil)
	if s.InFlake != nil {
		if keys, err := s.InFlake(); err == nil {
			inFlake = keys
		}
	}
	if slices.Contains(inFlake, s.PublicKey) {
		f.Code = FindingKeyNotInPlan
		f.Message = fmt.Sprintf("node %s does not trust the key %s, which is in the flake and not in the plan", n.Name, name(s.PublicKey))
		f.Hint = "run `mage plan`, and deploy the system" + around
		return f
	}
	f.Code = FindingKeyNotInFlake
	f.Message = fmt.Sprintf("node %s does not trust the key %s, and the provider's flake does not name it", n.Name, name(s.PublicKey))
	f.Hint = "put this line into flake.nix, run `mage plan`, and deploy the system: " + line + around
	return f
}

// name is the part of a public key that people know it by.
func name(key string) string {
	before, _, _ := strings.Cut(key, ":")
	return before
}
