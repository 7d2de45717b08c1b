package deploy

// Arrived returns the node where each environment was last known to be at its
// planned path, by user. Outcomes are in their order.
func Arrived(outcomes []Outcome) map[string]string {
	nodes := map[string]string{}
	for _, o := range outcomes {
		for user, node := range o.Deployed() {
			nodes[user] = node
		}
	}
	return nodes
}

// ReadArrived does so from the journals in a folder.
func ReadArrived(runs string) (map[string]string, error) {
	ids, err := Runs(runs)
	if err != nil {
		return nil, err
	}
	var outcomes []Outcome
	for _, id := range ids {
		events, err := ReadJournal(runs, id)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, OutcomeOf(events))
	}
	return Arrived(outcomes), nil
}

// comes reports whether an environment comes to a node from another one by this
// run. What the node has of it, from a time when it was there before, is then no
// reason to leave it alone: its user, its services and its data are not what
// they were. Without a journal that knows, it comes.
func (it *run) comes(n *nodeRun, p Profile) bool {
	for _, m := range it.Moves {
		if m.User == p.Name && m.To == n.Name {
			return it.Arrived[m.User] != n.Name
		}
	}
	return false
}
