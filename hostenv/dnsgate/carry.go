package dnsgate

// Carry takes what was decided about certificates over from the old plan into
// a new one, both decoded, and returns the new one with it: so that planning
// anew after the gate changes nothing, and no certificate that was turned off is
// ordered only because of a new plan. Virtual hosts that are gone, or ask for no
// certificate any more, are left behind. It leaves both as they are; without an
// old plan, or one that was gated, it returns the new one itself.
//
// The state is not concerned: its digest in the plan stays right.
func Carry(old, new map[string]any) map[string]any {
	entries := objectAt(old, "dnsGate")
	if len(entries) == 0 {
		return new
	}
	e := edit(new)
	gate := map[string]any{}
	for _, c := range wanted(new) {
		v, was := entries[c.Host]
		last := readEntry(v)
		if !was || last == nil {
			continue
		}
		if last.Asked != c.Asked {
			v = withAsked(v, c.Asked)
		}
		gate[c.Host] = v
		if !last.On {
			e.order(c, false)
		}
	}
	e.doc["dnsGate"] = gate
	return e.doc
}

func withAsked(v any, asked Asked) map[string]any {
	e := edit(object(v))
	e.doc["asked"] = map[string]any{"enableACME": asked.EnableACME, "forceSSL": asked.ForceSSL}
	return e.doc
}
