package cloudflare

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// Plan returns the batches that point every wanted name at its target, and the outcome
// of each name if they are written, sorted by name. It needs the records of the zones
// that [Assign] returns. The order of its input does not matter.
func Plan(zones []ZoneRecords, wanted []Want, cfg Config) ([]Batch, []Outcome) {
	bare := make([]Zone, len(zones))
	byID := map[string][]Record{}
	for i, z := range zones {
		bare[i] = z.Zone
		byID[z.ID] = z.Records
	}
	assigned, outcomes := Assign(bare, wanted, cfg)
	var batches []Batch
	for _, a := range assigned {
		b, o := planZone(ZoneRecords{a.Zone, byID[a.Zone.ID]}, a.Wanted, cfg, func(string) int { return MaxOperations })
		batches = append(batches, b...)
		outcomes = append(outcomes, o...)
	}
	sortOutcomes(outcomes)
	return batches, outcomes
}

func sortOutcomes(outcomes []Outcome) {
	slices.SortFunc(outcomes, func(a, b Outcome) int { return cmp.Compare(a.Host, b.Host) })
}

// An Assignment is a zone with its wanted names.
type Assignment struct {
	Zone   Zone
	Wanted []Want
}

// Assign returns the zones with their wanted names, normalised, sorted by zone and
// name. The zone of a name is the one with its longest suffix. Names that have no zone,
// or that no zone allows to write, get their outcome now.
func Assign(zones []Zone, wanted []Want, cfg Config) ([]Assignment, []Outcome) {
	byName := map[string]Zone{}
	for _, z := range slices.SortedFunc(slices.Values(zones), func(a, b Zone) int { return cmp.Compare(a.ID, b.ID) }) {
		if cfg.ZoneID != "" && z.ID != cfg.ZoneID {
			continue
		}
		z.Name = normal(z.Name)
		if other, ok := byName[z.Name]; !ok || !other.usable() {
			byName[z.Name] = z
		}
	}
	_, badOwner := names.ParseHost(cfg.Owner)

	var outcomes []Outcome
	found := map[string]*Assignment{}
	for _, w := range single(wanted, &outcomes) {
		z, ok := longestSuffix(byName, w.Host)
		o := Outcome{Host: w.Host, Target: w.Target, Zone: z.Name, Kind: Refused}
		switch {
		case badOwner != nil:
			o.Reason = ReasonOwnerInvalid
		case strings.HasPrefix(w.Host, "*."):
			o.Reason = ReasonWildcard
		case w.Host == w.Target:
			o.Reason = ReasonOwnTarget
		case !ok:
			o.Kind = NotOurs
		case z.Status != "" && z.Status != "active":
			o.Reason, o.Detail = ReasonZoneInactive, "the zone is "+z.Status
		case z.Type != "" && z.Type != "full":
			o.Reason, o.Detail = ReasonZoneNotEditable, "the zone is "+z.Type
		default:
			if found[z.Name] == nil {
				found[z.Name] = &Assignment{Zone: z}
			}
			found[z.Name].Wanted = append(found[z.Name].Wanted, w)
			continue
		}
		if w.AdoptOnly { // without a record to adopt, the name needs no write
			o = Outcome{Host: w.Host, Target: w.Target, Zone: z.Name, Kind: Unchanged}
		}
		outcomes = append(outcomes, o)
	}
	var assigned []Assignment
	for _, name := range slices.Sorted(maps.Keys(found)) {
		assigned = append(assigned, *found[name])
	}
	return assigned, outcomes
}

func (z Zone) usable() bool {
	return (z.Status == "" || z.Status == "active") && (z.Type == "" || z.Type == "full")
}

// single returns the wanted names, normalised and sorted, each once. Invalid names, and
// names with two targets, become outcomes.
func single(wanted []Want, outcomes *[]Outcome) []Want {
	byHost := map[string]Want{}
	refused := map[string]Outcome{}
	for _, w := range wanted {
		name, err := names.ParseHost(w.Host)
		if err != nil {
			refused[w.Host] = Outcome{Host: w.Host, Target: w.Target, Kind: Refused, Reason: ReasonNameInvalid, Detail: err.Error()}
			continue
		}
		parsed, err := names.ParseHost(w.Target)
		if err == nil && parsed.Wildcard() {
			err = errWildcardTarget
		}
		host, target := string(name), string(parsed)
		switch prior, twice := byHost[host]; {
		case err != nil:
			refused[host] = Outcome{Host: host, Target: w.Target, Kind: Refused, Reason: ReasonTargetInvalid, Detail: err.Error()}
		case twice && prior.Target != target:
			// The outcome does not depend on the order of the input.
			refused[host] = Outcome{Host: host, Target: min(prior.Target, target), Kind: Refused, Reason: ReasonTwoTargets}
		default:
			byHost[host] = Want{Host: host, Target: target, AdoptOnly: w.AdoptOnly && (!twice || prior.AdoptOnly)}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(refused)) {
		delete(byHost, host)
		*outcomes = append(*outcomes, refused[host])
	}
	return slices.SortedFunc(maps.Values(byHost), func(a, b Want) int { return cmp.Compare(a.Host, b.Host) })
}

// longestSuffix returns the lowest zone that holds a name.
func longestSuffix(zones map[string]Zone, host string) (Zone, bool) {
	for name := host; name != ""; name = parent(name) {
		if z, ok := zones[name]; ok {
			return z, true
		}
	}
	return Zone{}, false
}

// parent returns a name without its first label.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}
