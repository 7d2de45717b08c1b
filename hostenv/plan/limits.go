package plan

import (
	"regexp"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// Limits are the default limits of a project, and the exceptions. Those of its slice
// are in the words of systemd.resource-control(5).
type Limits struct {
	Default       Limit
	Organisations map[string]Limit // by sanitised name
	Projects      map[string]Limit // by input
	// Retire is the percentage of all environments that one plan may retire or move,
	// see fewEnvironments.
	Retire int
}

// A Limit is what one project may use. For an empty field the next wider limit
// applies: the organisation's, then the default.
type Limit struct {
	Slice
	Quota
}

// A Slice is what the environments of a project may use together on a node.
type Slice struct {
	CPUQuota  string // such as 200%, of one CPU
	MemoryMax string // bytes, with K, M, G or T; or a percentage; or infinity
}

// defaultLimit equals the limit of the legacy generator, which has no quotas.
var defaultLimit = Limit{Slice{CPUQuota: "200%", MemoryMax: "12G"}, defaultQuota}

var (
	cpuQuota  = regexp.MustCompile(`^[1-9][0-9]{0,6}%$`)
	memoryMax = regexp.MustCompile(`^([1-9][0-9]{0,17}[KMGT]?|[1-9][0-9]?%|100%|infinity)$`)
)

func (r *reader) limits(from canonjson.Object) Limits {
	const where = "provider.limits"
	r.options(from, where, append(limitOptions(), "organisations", "projects", "retire")...)
	l := Limits{Retire: r.number(from, where, "retire", 30, 0, 100), Default: r.limit(from, where).or(defaultLimit), Organisations: map[string]Limit{}, Projects: map[string]Limit{}}
	for name, object := range r.members(from, where, "organisations") {
		where := where + ".organisations." + quoteAttribute(name)
		r.options(object, where, limitOptions()...)
		l.Organisations[name] = r.limit(object, where)
	}
	for name, object := range r.members(from, where, "projects") {
		where := where + ".projects." + quoteAttribute(name)
		r.options(object, where, limitOptions()...)
		l.Projects[name] = r.limit(object, where)
	}
	return l
}

// limitOptions returns the names of the options of a limit.
func limitOptions() []string {
	all := []string{"cpuQuota", "memoryMax"}
	for _, o := range (&Quota{}).options() {
		all = append(all, o.name)
	}
	return all
}

func (r *reader) limit(from canonjson.Object, where string) Limit {
	l := Limit{Slice{CPUQuota: r.text(from, where, "cpuQuota", ""), MemoryMax: r.text(from, where, "memoryMax", "")}, r.quota(from, where)}
	if l.CPUQuota != "" && !cpuQuota.MatchString(l.CPUQuota) {
		r.remedied(where, "cpuQuota", "write a percentage of one CPU, such as \"200%\"", "is %q, which CPUQuota= does not accept", l.CPUQuota)
	}
	if l.MemoryMax != "" && !memoryMax.MatchString(l.MemoryMax) {
		r.remedied(where, "memoryMax", "write a size such as \"12G\", a percentage, or \"infinity\"", "is %q, which MemoryMax= does not accept", l.MemoryMax)
	}
	return l
}

func (l Limit) or(wider Limit) Limit {
	if l.CPUQuota == "" {
		l.CPUQuota = wider.CPUQuota
	}
	if l.MemoryMax == "" {
		l.MemoryMax = wider.MemoryMax
	}
	l.Quota = l.Quota.or(wider.Quota)
	return l
}

// of returns the limits of a project.
func (l Limits) of(input, organisation string) Limit {
	return l.Projects[input].or(l.Organisations[organisation]).or(l.Default)
}
