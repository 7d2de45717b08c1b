// Package golden holds the list of differences from the generator that this
// project replaces, for programs that are to know it; the scenarios beside it
// are read by tests alone.
package golden

import _ "embed"

// Parity is parity.json, the rows that package parity reads.
//
//go:embed parity.json
var Parity []byte
