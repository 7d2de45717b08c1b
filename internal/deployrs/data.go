package deployrs

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// settings can be at all three levels of the data.
type settings struct {
	SSHUser           *string `json:"sshUser"`
	User              *string `json:"user"`
	SSHOpts           list    `json:"sshOpts"`
	FastConnection    *bool   `json:"fastConnection"`
	AutoRollback      *bool   `json:"autoRollback"`
	ConfirmTimeout    *uint16 `json:"confirmTimeout"`
	ActivationTimeout *uint16 `json:"activationTimeout"`
	TempPath          *string `json:"tempPath"`
	MagicRollback     *bool   `json:"magicRollback"`
	Sudo              *string `json:"sudo"`
	RemoteBuild       *bool   `json:"remoteBuild"`
	InteractiveSudo   *bool   `json:"interactiveSudo"`
}

// A list may be missing, but not null.
type list []string

func (l *list) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return errors.New("null, where a list is expected")
	}
	return json.Unmarshal(text, (*[]string)(l))
}

type profile struct {
	settings
	Path        *string `json:"path"`
	ProfilePath *string `json:"profilePath"`
}

type node struct {
	settings
	Hostname      *string             `json:"hostname"`
	Profiles      map[string]*profile `json:"profiles"`
	ProfilesOrder list                `json:"profilesOrder"`
}

type data struct {
	settings
	Nodes map[string]*node `json:"nodes"`
}

func decode(text []byte) (*data, error) {
	var d data
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	if d.Nodes == nil {
		return nil, errors.New("missing field `nodes`")
	}
	for name, n := range d.Nodes {
		if n == nil || n.Hostname == nil || n.Profiles == nil {
			return nil, fmt.Errorf("node %s: missing field `hostname` or `profiles`", name)
		}
		for name, p := range n.Profiles {
			if p == nil || p.Path == nil {
				return nil, fmt.Errorf("profile %s: missing field `path`", name)
			}
		}
	}
	return &d, nil
}

// A job is one profile to deploy, with its settings from all levels.
type job struct {
	settings
	repo, nodeName, profileName string
	hostname, path              string
	profilePath                 string
	opts                        []string
	sshUser, sudo               string
}

// first returns the first value that is set.
func first[T any](values ...*T) *T {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}

func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// merged returns the settings of a profile: from the command line, or else the
// profile, the node, the top. Options of ssh add up.
func merged(levels ...settings) (s settings, opts []string) {
	for _, l := range levels {
		s = settings{
			SSHUser:           first(s.SSHUser, l.SSHUser),
			User:              first(s.User, l.User),
			FastConnection:    first(s.FastConnection, l.FastConnection),
			AutoRollback:      first(s.AutoRollback, l.AutoRollback),
			ConfirmTimeout:    first(s.ConfirmTimeout, l.ConfirmTimeout),
			ActivationTimeout: first(s.ActivationTimeout, l.ActivationTimeout),
			TempPath:          first(s.TempPath, l.TempPath),
			MagicRollback:     first(s.MagicRollback, l.MagicRollback),
			Sudo:              first(s.Sudo, l.Sudo),
			RemoteBuild:       first(s.RemoteBuild, l.RemoteBuild),
			InteractiveSudo:   first(s.InteractiveSudo, l.InteractiveSudo),
		}
		opts = append(opts, l.SSHOpts...)
	}
	return s, opts
}

// jobs returns the jobs of a target, in order: profilesOrder, then the others.
func (d *data) jobs(t target, o *overrides, whoami string) ([]job, error) {
	nodes := []string{t.node}
	if t.node == "" {
		nodes = slices.Sorted(maps.Keys(d.Nodes))
	}
	var all []job
	for _, nodeName := range nodes {
		n := d.Nodes[nodeName]
		if n == nil {
			return nil, fmt.Errorf("no node named `%s` was found", nodeName)
		}
		profiles := append(slices.Clone(n.ProfilesOrder), slices.Sorted(maps.Keys(n.Profiles))...)
		if t.profile != "" {
			profiles = []string{t.profile}
		}
		seen := map[string]bool{}
		for _, name := range profiles {
			p := n.Profiles[name]
			if p == nil {
				return nil, fmt.Errorf("no profile named `%s` was found", name)
			}
			if seen[name] {
				continue
			}
			seen[name] = true
			j := job{repo: t.repo, nodeName: nodeName, profileName: name, path: *p.Path, hostname: or(o.hostname, *n.Hostname)}
			below, opts := merged(p.settings, n.settings, d.settings)
			j.settings, _ = merged(o.settings, below)
			// --temp-path and --sudo are read and not used.
			j.TempPath, j.Sudo = below.TempPath, below.Sudo
			if j.opts = opts; o.SSHOpts != nil {
				j.opts = o.SSHOpts
			}
			j.sshUser = or(j.SSHUser, whoami)
			if j.User == nil && j.SSHUser == nil {
				return nil, fmt.Errorf("neither `user` nor `sshUser` are set for profile %s of node %s", name, nodeName)
			}
			if j.User != nil && *j.User != j.sshUser {
				j.sudo = or(j.Sudo, "sudo -u") + " " + *j.User + " "
			}
			j.profilePath = "--profile-user " + *first(j.User, j.SSHUser) + " --profile-name " + name
			if p.ProfilePath != nil {
				j.profilePath = "--profile-path '" + *p.ProfilePath + "'"
			}
			all = append(all, j)
		}
	}
	return all, nil
}

// overrides returns the settings of the command line, which hold for every profile.
type overrides struct {
	settings
	hostname *string
}

func overridesOf(p *parsed) *overrides {
	text := func(name string) *string {
		if !p.has(name) {
			return nil
		}
		value := p.get(name)
		return &value
	}
	boolean := func(name string) *bool {
		if !p.has(name) {
			return nil
		}
		value := p.get(name) == "true"
		return &value
	}
	number := func(name string) *uint16 {
		if !p.has(name) {
			return nil
		}
		n, _ := strconv.ParseInt(p.get(name), 10, 64) // isUint16
		value := uint16(n)
		return &value
	}
	o := &overrides{hostname: text("hostname"), settings: settings{
		SSHUser:           text("ssh-user"),
		User:              text("profile-user"),
		FastConnection:    boolean("fast-connection"),
		AutoRollback:      boolean("auto-rollback"),
		ConfirmTimeout:    number("confirm-timeout"),
		ActivationTimeout: number("activation-timeout"),
		MagicRollback:     boolean("magic-rollback"),
		InteractiveSudo:   boolean("interactive-sudo"),
	}}
	if opts := text("ssh-opts"); opts != nil {
		o.SSHOpts = strings.Split(*opts, " ")
	}
	if p.has("remote-build") {
		yes := true
		o.RemoteBuild = &yes
	}
	return o
}
