package nix

import (
	"path"
	"strings"
)

// hashLength is that of the hash before the name of a store path.
const hashLength = 32

// splitName parts a package's name from its version at the first dash that no
// letter follows, as Nix itself does (builtins.parseDrvName).
func splitName(name string) (pname, version string) {
	for i := range len(name) - 1 {
		if c := name[i+1]; name[i] == '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// outputs are the suffixes by which nixpkgs names the outputs of one package.
var outputs = map[string]bool{
	"bin": true, "data": true, "debug": true, "dev": true, "devdoc": true, "devman": true, "dist": true, "doc": true,
	"info": true, "lib": true, "man": true, "modules": true, "out": true, "py": true, "scripts": true, "static": true, "terminfo": true,
}

// PackageOf returns the package that a store path belongs to, for any of its
// outputs. Without a version, the name of an output stays part of the name.
func PackageOf(storePath string) (name, version string) {
	base := path.Base(storePath)
	if len(base) <= hashLength+1 {
		return base, ""
	}
	name, version = splitName(base[hashLength+1:])
	if at := strings.LastIndexByte(version, '-'); at >= 0 && outputs[version[at+1:]] {
		version = version[:at]
	}
	return name, version
}
