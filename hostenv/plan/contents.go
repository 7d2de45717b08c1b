package plan

import (
	"maps"
	"slices"
)

// Nodes returns the names of the plan's nodes, sorted.
func (d Document) Nodes() []string {
	nodes, _ := d.value["nodes"].(map[string]any)
	return slices.Sorted(maps.Keys(nodes))
}

// Running returns the users of the environments that run on a node, sorted. A
// disabled environment runs nowhere.
func (d Document) Running(node string) []string {
	environments, _ := d.value["environments"].(map[string]any)
	var users []string
	for user, v := range environments {
		if environment, _ := v.(map[string]any); environment["node"] == node && environment["enable"] != false {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// System returns the platform of a node, as in "x86_64-linux", or "" where the
// provider says nothing about the node.
func (d Document) System(node string) string {
	connections, _ := d.value["nodeConnections"].(map[string]any)
	connection, _ := connections[node].(map[string]any)
	system, _ := connection["system"].(string)
	return system
}

// TrustedPublicKeys returns provider.nixSigning.trustedPublicKeys: the keys that
// the plan's nodes trust once they are deployed.
func (d Document) TrustedPublicKeys() []string {
	signing, _ := d.value["nixSigning"].(map[string]any)
	list, _ := signing["trustedPublicKeys"].([]any)
	var keys []string
	for _, v := range list {
		if key, ok := v.(string); ok {
			keys = append(keys, key)
		}
	}
	return keys
}
