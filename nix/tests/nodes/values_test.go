package nodes_test
type value struct{}
