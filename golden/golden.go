// Package golden embeds the list of deliberate differences from the legacy
// generator. Only tests read the scenarios beside it.
package golden

import _ "embed"

// Parity is parity.json, the rows that package parity reads.
//
//go:embed parity.json
var Parity []byte
