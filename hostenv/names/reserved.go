package names

import (
	"slices"
	"strings"
)

// reserved are the attribute names that NixOS's module system or Nix interprets
// wherever they stand in a value (nixpkgs: lib/modules.nix and lib/types.nix; Nix
// manual: "Attribute sets").
var reserved = []string{"_class", "_file", "_module", "_type", "disabledModules", "freeformType", "imports", "outPath"}

// IsReserved reports whether NixOS's module system or Nix interprets an attribute
// of this name, wherever it stands in a value. Names that begin with __ are Nix's.
// A value with such an attribute is code: it could replace values of others, or
// import a file.
//
// nix/lib/reserved.nix has the same rule. Tests of both read
// testdata/reserved.json.
func IsReserved(attribute string) bool {
	return strings.HasPrefix(attribute, "__") || slices.Contains(reserved, attribute)
}
