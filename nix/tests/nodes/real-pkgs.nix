# The stand-in for packages of HOSTENV_TEST_NIXOS_EVAL, changed so that each derivation
# depends on everything that it is made from. It cannot be built, but has at least the
# requisites of the real derivation.
#
#   root  the folder with nixpkgs/lib, stub-pkgs.nix and pkgs-names.json
{ root, system }:
let
  lib = import (root + "/lib");
  stub = import (root + "/stub-pkgs.nix") {
    inherit lib system;
    names = builtins.fromJSON (builtins.readFile (root + "/pkgs-names.json"));
  };

  # The value as text, with all of its string context.
  text = value:
    if builtins.isString value || builtins.isPath value then "${value}"
    else if builtins.isList value then lib.concatMapStringsSep " " text value
    else if lib.isFunction value then "function"
    else if ! builtins.isAttrs value then builtins.toJSON value
    else if value ? outPath then "${value}"
    else lib.concatStrings (lib.mapAttrsToList (name: v: "${name}=${text v};") (removeAttrs value [ "meta" "passthru" "tests" ]));

  made = stand: arguments:
    let
      derived = derivation {
        name = lib.strings.sanitizeDerivationName (stand.name or "made");
        inherit system;
        builder = "/bin/sh";
        arguments = text arguments;
      };
      self = stand // { inherit (derived) outPath drvPath; } // lib.genAttrs [ "out" "bin" "lib" "dev" "man" "doc" ] (_: self);
    in
    self;

  ofOne = name: argument: made (stub.${name} argument) argument;
  ofTwo = name: first: second: made (stub.${name} first second) [ first second ];
  ofThree = name: first: second: third: made (stub.${name} first second third) [ first second third ];

  self = stub // lib.genAttrs [ "buildEnv" "concatTextFile" "makeInitrd" "makeInitrdNG" "makeModulesClosure" "replaceVarsWith" "substituteAll" "symlinkJoin" "writeShellApplication" "writeTextFile" ] ofOne
    // lib.genAttrs [ "concatText" "linkFarm" "replaceVars" "writeScript" "writeScriptBin" "writeShellScript" "writeShellScriptBin" "writeText" "writeTextDir" ] ofTwo
    // lib.genAttrs [ "runCommand" "runCommandLocal" "runCommandCC" ] ofThree
    // {
    stdenv = stub.stdenv // { inherit mkDerivation; };
    stdenvNoCC = stub.stdenv // { inherit mkDerivation; };
    writers = stub.writers // lib.genAttrs [ "writeBash" "writeBashBin" "writeJSON" "writeNginxConfig" "writeText" "writeTOML" "writeYAML" ]
      (name: file: value: made (stub.writers.${name} file value) [ file value ]);
    formats = lib.mapAttrs
      (_: of:
        let
          ofFormat = format: format // { generate = name: value: made (format.generate name value) [ name value ]; };
        in
        if lib.isFunction of then options: ofFormat (of options) else ofFormat of)
      stub.formats;
    pkgs = self;
    __splicedPackages = self;
    buildPackages = self;
    pkgsBuildBuild = self;
    pkgsBuildHost = self;
    pkgsHostTarget = self;
    targetPackages = self;
    appendOverlays = _: self;
    extend = _: self;
  };
  mkDerivation = argument: made (stub.stdenv.mkDerivation argument) (removeAttrs (if lib.isFunction argument then lib.fix argument else argument) [ "meta" "passthru" ]);
in
self
