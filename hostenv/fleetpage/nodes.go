package fleetpage

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A Node is one node with its load.
type Node struct {
	ID, Name, Address, System string
	Environments              []Link // those that run
	Disabled                  int    // environments that are planned on it and do not run
	Share                     int    // of all environments that run, in percent
	FirstUID, LastUID         int    // 0 if it has none
	Projects                  int    // slices with limits
	CPU, Memory               Load
	Names, Off                int // virtual hosts, and those whose certificate is off
	Leftovers                 []string
	Badges                    []Badge
	Deploy                    *Deploy // of its system
	Attention                 bool
}

// A Load is the sum of what the projects of a node may use together.
type Load struct {
	Text    string
	Without int // projects without a limit in these units
}

func (c *facts) nodes(environments []Environment, names []Name) []Node {
	rows := make([]Node, 0, len(c.Plan.Nodes))
	at := map[string]int{}
	for i, name := range c.Plan.NodeNames() {
		connection := c.Plan.NodeConnections[name]
		row := Node{ID: c.ids.node[name], Name: name, Address: address(connection), System: connection.System, Deploy: c.deployOf(name + "/" + deploy.SystemProfile)}
		row.Projects, row.CPU, row.Memory = loadOf(c.slices[name])
		at[name] = i
		rows = append(rows, row)
	}
	running := 0
	drift := map[string]int{}
	for _, e := range environments {
		i, ok := at[e.Node]
		if !ok {
			continue
		}
		n := &rows[i]
		if n.FirstUID == 0 || e.UID < n.FirstUID {
			n.FirstUID = e.UID
		}
		n.LastUID = max(n.LastUID, e.UID)
		if !c.Plan.Environments[e.User].Runs() {
			n.Disabled++
			continue
		}
		running++
		n.Environments = append(n.Environments, Link{e.User, e.ID})
		if s, asked := c.statuses[e.Node+"/"+e.User]; asked && s.Standing != deploy.StandingInSync {
			drift[e.Node]++
		}
	}
	for _, n := range names {
		if i, ok := at[n.Node]; ok {
			rows[i].Names++
			if n.Off {
				rows[i].Off++
			}
		}
	}
	if c.Asked != nil {
		for _, l := range c.Asked.Leftovers {
			if i, ok := at[l.Node]; ok {
				rows[i].Leftovers = append(rows[i].Leftovers, limited(fmt.Sprintf("%s (UID %d): %s", l.User, l.UID, l.Why)))
			}
		}
	}
	for i := range rows {
		n := &rows[i]
		if running > 0 {
			n.Share = 100 * len(n.Environments) / running
		}
		c.nodeBadges(n, drift[n.Name])
	}
	return rows
}

func (c *facts) nodeBadges(n *Node, drift int) {
	add := func(tone Tone, word string) {
		n.Badges = append(n.Badges, Badge{tone, word})
		n.Attention = n.Attention || tone == Bad || tone == Warn || tone == Unknown
	}
	status, asked := c.statuses[n.Name+"/"+deploy.SystemProfile]
	if asked {
		tone, word := standing(status.Standing)
		if status.Standing == deploy.StandingUnreachable {
			add(tone, word)
			return
		}
		add(tone, "system "+word)
	}
	if drift > 0 {
		add(Warn, counted(drift, "environment not in sync", "environments not in sync"))
	}
	if n.Deploy != nil && n.Deploy.Failed != nil {
		add(Bad, "last deploy of the system "+n.Deploy.Failed.State)
	}
	if n.Off > 0 {
		add(Warn, counted(n.Off, "certificate off", "certificates off"))
	}
	if len(n.Badges) == 0 {
		add(Plain, "not asked")
	}
}

// address is how a node is reached, with a port that is not ssh's own.
func address(c plan.Connection) string {
	host := c.Hostname
	if c.SSHPort == 0 || c.SSHPort == 22 {
		return host
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(c.SSHPort)
}

// A limit is what the environments of one slice may use together, in systemd's words.
type limit struct {
	CPUQuota  string `json:"CPUQuota"`
	MemoryMax string `json:"MemoryMax"`
}

func (l limit) text() string {
	return "CPU " + cmp.Or(l.CPUQuota, "without limit") + ", memory " + cmp.Or(l.MemoryMax, "without limit")
}

// systemd is what the page reads of a node's module.
type systemd struct {
	Slices map[string]struct {
		Config limit `json:"sliceConfig"`
	} `json:"slices"`
	Services map[string]struct {
		Config struct {
			Slice string `json:"Slice"`
		} `json:"serviceConfig"`
	} `json:"services"`
}

// limitsOf returns the limits of each slice of environments, by node and slice. A
// slice without limits is only the parent of others.
func limitsOf(d plan.Document) map[string]map[string]limit {
	all := map[string]map[string]limit{}
	for name, node := range d.Nodes {
		all[name] = map[string]limit{}
		var units systemd
		// A value of another type than ours leaves the rest as it is.
		_ = json.Unmarshal(node.Carried.Get("systemd"), &units)
		for slice, unit := range units.Slices {
			if unit.Config != (limit{}) {
				all[name][slice] = unit.Config
			}
		}
		for service, unit := range units.Services {
			uid, isUser := strings.CutPrefix(service, "user@")
			if slice, ok := strings.CutSuffix(unit.Config.Slice, "-"+uid+".slice"); isUser && ok {
				if l, limited := all[name][slice]; limited {
					all[name]["user@"+uid] = l
				}
			}
		}
	}
	return all
}

// limitOf returns the limit of an environment's slice.
func (c *facts) limitOf(e plan.Environment) (limit, bool) {
	l, ok := c.slices[e.Node]["user@"+strconv.Itoa(e.UID)]
	return l, ok
}

// loadOf sums the limits of the slices of a node.
func loadOf(slices map[string]limit) (projects int, cpu, memory Load) {
	var percent, bytes float64
	for name, l := range slices {
		if strings.HasPrefix(name, "user@") {
			continue
		}
		projects++
		if n, ok := cpus(l.CPUQuota); ok {
			percent += n
		} else {
			cpu.Without++
		}
		if n, ok := size(l.MemoryMax); ok {
			bytes += n
		} else {
			memory.Without++
		}
	}
	cpu.Text = trimmed(percent/100) + " CPUs"
	memory.Text = trimmed(bytes/(1<<30)) + " GiB"
	return projects, cpu, memory
}

func trimmed(n float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0")
}

// cpus reads a CPUQuota, in percent of one CPU.
func cpus(quota string) (float64, bool) {
	text, ok := strings.CutSuffix(quota, "%")
	n, err := strconv.ParseUint(text, 10, 32)
	return float64(n), ok && err == nil
}

// size reads a MemoryMax in bytes. A percentage of the node's memory and infinity are
// no sizes.
func size(text string) (float64, bool) {
	factor := 1.0
	if i := strings.IndexAny(text, "KMGT"); i >= 0 && i == len(text)-1 {
		factor = float64(uint64(1) << (10 * (1 + strings.IndexByte("KMGT", text[i]))))
		text = text[:i]
	}
	n, err := strconv.ParseUint(text, 10, 63)
	return float64(n) * factor, err == nil
}
