package deploy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Each problem has its own code and a hint, and a node without a problem has no
// finding.
func TestPreflight(t *testing.T) {
	const key = "hosting.example-1:AAAA"
	type situation struct {
		node    deploy.Node
		seen    deploy.Observation
		push    bool
		signing deploy.Signing
	}
	good := func() situation {
		n := fleet(1, 1)[0]
		return situation{n, deploy.Observation{OS: "nixos", Nix: "2.34", TrustedKeys: []string{key}, Profiles: map[string]deploy.Observed{
			"system":  {Active: n.Profiles[0].Path, Activated: n.Profiles[0].Path, Temp: deploy.TempPrivate},
			"env1-n1": {Active: "/nix/store/0-env", Temp: deploy.TempPrivate, UID: 1000, UIDOwner: "env1-n1"},
		}}, true, deploy.Signing{PublicKey: key, InPlan: []string{key}}}
	}
	environment := func(change func(*deploy.Observed)) func(*situation) {
		return func(s *situation) {
			seen := s.seen.Profiles["env1-n1"]
			change(&seen)
			s.seen.Profiles["env1-n1"] = seen
		}
	}
	systemBehind := func(s *situation) {
		s.seen.Profiles["system"] = deploy.Observed{Active: "/nix/store/0-system", Temp: deploy.TempPrivate}
	}
	formerly := func(s *situation, name string) {
		s.node.Profiles[1].Formerly = []string{name}
	}
	flake := func(keys []string, err error) func() ([]string, error) {
		return func() ([]string, error) { return keys, err }
	}
	tests := []struct {
		reason string
		change func(*situation)
		code   string // code of the only finding, "" for none
		level  deploy.Level
		hint   string
	}{
		{"all is well", func(*situation) {}, "", "", ""},
		{"another system", func(s *situation) { s.seen.OS = "debian" }, deploy.FindingNotNixOS, deploy.Failure, "address"},
		{"a shell that prints", func(s *situation) { s.seen.Printed = "Welcome to n1!\x1b[2J" }, deploy.FindingShellPrints, deploy.Failure, "`ssh deploy@192.0.2.1 true` must print nothing"},
		{"no rule of sudo, and none for others", func(s *situation) { s.seen.Sudo = "sudo: a password is required" }, deploy.FindingSudo, deploy.Failure, "/etc/sudoers.d/first-deploy"},
		{"a sudo that wants a terminal", func(s *situation) { s.seen.Sudo = "sudo: sorry, you must have a tty to run sudo" }, deploy.FindingSudo, deploy.Failure, "requiretty"},
		{"no rule that we know", func(s *situation) { s.seen.Sudo = "no rule of sudo allows it" }, deploy.FindingSudo, deploy.Warning, "hostenv.deploy.sudoCommands"},
		{"no Nix", func(s *situation) { s.seen.Nix = "" }, deploy.FindingNoNix, deploy.Failure, "nix"},
		{"a node that is older than the plan", func(s *situation) { s.seen.TrustedKeys = nil }, deploy.FindingKeyNotOnNode, deploy.Failure, "-remoteBuild -env=system -node=n1"},
		{"a plan that is older than the flake", func(s *situation) {
			s.seen.TrustedKeys, s.signing.InPlan, s.signing.InFlake = nil, nil, flake([]string{key}, nil)
		}, deploy.FindingKeyNotInPlan, deploy.Failure, "mage plan"},
		{"a flake without the key", func(s *situation) {
			s.seen.TrustedKeys, s.signing.InPlan, s.signing.InFlake = nil, nil, flake(nil, nil)
		}, deploy.FindingKeyNotInFlake, deploy.Failure,
			`provider.nixSigning.trustedPublicKeys = [ "hosting.example-1:AAAA" ];`},
		{"a flake that cannot be asked", func(s *situation) {
			s.seen.TrustedKeys, s.signing.InPlan, s.signing.InFlake = nil, nil, flake(nil, errors.New("broken"))
		}, deploy.FindingKeyNotInFlake, deploy.Failure, "-remoteBuild"},
		{"nothing is pushed", func(s *situation) { s.seen.TrustedKeys, s.push = nil, false }, "", "", ""},
		{"the node trusts the deploy user", func(s *situation) { s.seen.TrustedKeys, s.seen.TrustsUser = nil, true }, "", "", ""},
		{"no host key", func(s *situation) { s.node.HostKey = "" }, deploy.FindingNoHostKey, deploy.Warning, "ssh-keyscan"},
		{"no host key, and a port of its own", func(s *situation) { s.node.HostKey, s.node.Port = "", 2222 }, deploy.FindingNoHostKey, deploy.Warning, "ssh-keyscan -t ed25519 -p 2222 192.0.2.1"},
		{"hidden processes", func(s *situation) { s.seen.ProcessesHidden = true }, deploy.FindingHidden, deploy.Warning, "gid="},
		{"no folder for the canary", environment(func(o *deploy.Observed) { o.Temp = deploy.TempMissing }), deploy.FindingTempMissing, deploy.Failure, "install -d -o env1-n1 -m 0700"},
		{"one that others can write to", environment(func(o *deploy.Observed) { o.Temp = deploy.TempOpen }), deploy.FindingTempOpen, deploy.Failure, "install -d"},
		{"one above it that others can write to", environment(func(o *deploy.Observed) { o.Temp, o.TempOpenAt = deploy.TempOpen, "/srv/all" }), deploy.FindingTempOpen, deploy.Failure, "chmod go-w /srv/all"},
		{"a link on the way to it", environment(func(o *deploy.Observed) { o.Temp, o.TempOpenAt = deploy.TempLinked, "/var/run" }), deploy.FindingTempOpen, deploy.Failure, "tempPath to a path without links"},
		{"one that cannot be looked at", environment(func(o *deploy.Observed) { o.Temp = deploy.TempUnknown }), "", "", ""},
		{"one that the new system makes", func(s *situation) {
			systemBehind(s)
			environment(func(o *deploy.Observed) { o.Temp = deploy.TempMissing })(s)
		}, "", "", ""},
		{"another's UID", environment(func(o *deploy.Observed) { o.UID, o.UIDOwner = 0, "postgres" }), deploy.FindingUIDTaken, deploy.Failure, "UID"},
		{"an environment's UID that never was its own", environment(func(o *deploy.Observed) { o.UID, o.UIDOwner = 0, "env0-n1" }), deploy.FindingUIDTaken, deploy.Failure, "state.json"},
		{"a UID that was another environment's", environment(func(o *deploy.Observed) { o.UID, o.UIDOwner, o.UIDNames = 0, "", []string{"env0-n1"} }), deploy.FindingUIDTaken, deploy.Failure, "Restore a state"},
		{"and one that was its own", func(s *situation) {
			systemBehind(s)
			environment(func(o *deploy.Observed) { o.UID, o.UIDOwner, o.UIDNames = 0, "", []string{"env1-n1"} })(s)
		}, "", "", ""},
		{"a former name, by the plan", func(s *situation) {
			systemBehind(s)
			formerly(s, "env0-n1")
			environment(func(o *deploy.Observed) { o.UID, o.UIDOwner = 0, "env0-n1" })(s)
		}, deploy.FindingRenamed, deploy.Warning, ""},
		{"a former name, by the node", func(s *situation) {
			systemBehind(s)
			environment(func(o *deploy.Observed) {
				o.UID, o.UIDOwner, o.UIDNames = 0, "env0-n1", []string{"env0-n1", "env1-n1"}
			})(s)
		}, deploy.FindingRenamed, deploy.Warning, ""},
		{"its UID with another's name since", func(s *situation) {
			systemBehind(s)
			environment(func(o *deploy.Observed) { o.UID, o.UIDOwner, o.UIDNames = 0, "postgres", []string{"env1-n1"} })(s)
		}, deploy.FindingUIDTaken, deploy.Failure, "a user of the node itself"},
		{"a former name, and no system that gives the new one", func(s *situation) {
			formerly(s, "env0-n1")
			environment(func(o *deploy.Observed) { o.UID, o.UIDOwner = 0, "env0-n1" })(s)
		}, deploy.FindingUserMissing, deploy.Failure, "-node=n1"},
		{"another UID", environment(func(o *deploy.Observed) { o.UID, o.UIDOwner = 4711, "" }), deploy.FindingUIDDiffers, deploy.Failure, "`enable = false`"},
		{"another UID, of an environment that had the name before", func(s *situation) {
			systemBehind(s)
			s.node.Profiles = append(s.node.Profiles, deploy.Profile{Node: "n1", Name: "env2-n1", User: "env2-n1", UID: 4711, Formerly: []string{"env1-n1"}})
			s.seen.Profiles["env2-n1"] = deploy.Observed{UIDOwner: "env2-n1", UID: 4711, Temp: deploy.TempPrivate}
			environment(func(o *deploy.Observed) { o.UID, o.UIDOwner, o.HomeOwner = 4711, "", 4711 })(s)
		}, "", "", ""},
		{"another's home", func(s *situation) {
			systemBehind(s)
			environment(func(o *deploy.Observed) { o.UID, o.UIDOwner, o.HomeOwner = 0, "", 4711 })(s)
		}, deploy.FindingHomeSetAside, deploy.Warning, ""},
		{"no user, and no system that makes it", environment(func(o *deploy.Observed) { o.UID, o.UIDOwner = 0, "" }), deploy.FindingUserMissing, deploy.Failure, "-node=n1"},
		{"no user yet", func(s *situation) {
			systemBehind(s)
			environment(func(o *deploy.Observed) { o.UID, o.UIDOwner = 0, "" })(s)
		}, "", "", ""},
		{"no user yet, as an older system runs", func(s *situation) {
			system := s.seen.Profiles["system"]
			system.Running = "/nix/store/0-nixos"
			s.seen.Profiles["system"] = system
			environment(func(o *deploy.Observed) { o.UID, o.UIDOwner = 0, "" })(s)
		}, "", "", ""},
		{"no user yet, as the switch was cut off", func(s *situation) {
			system := s.seen.Profiles["system"]
			system.Activated = ""
			s.seen.Profiles["system"] = system
			environment(func(o *deploy.Observed) { o.UID, o.UIDOwner = 0, "" })(s)
		}, "", "", ""},
		{"no profile of Nix", environment(func(o *deploy.Observed) { o.Linked = "/home/x" }), deploy.FindingForeign, deploy.Failure, "rm "},
		{"a running activation", environment(func(o *deploy.Observed) { o.Activating = []string{"4711 /nix/store/x"} }), deploy.FindingActivating, deploy.Failure, "wait"},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			s := good()
			test.change(&s)
			found := deploy.Preflight(s.node, s.seen, s.push, s.signing)
			if test.code == "" {
				if len(found) > 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Code != test.code || found[0].Level != test.level || !strings.Contains(found[0].Hint, test.hint) || !strings.Contains(found[0].Message, "n1") {
				t.Errorf("found %+v, want %s with a hint that has %q", found, test.code, test.hint)
			}
		})
	}
}
