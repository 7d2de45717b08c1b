# docs/options.md: the options of the flake module, as text.
#
#   lib  nixpkgs's; nothing else of nixpkgs is needed
{ lib }:
let
  inherit (lib) concatMapStrings concatStringsSep filter hasInfix optionalString removeSuffix;

  evaluated = lib.evalModules {
    modules = [{ options.provider = import ./options.nix { inherit lib; }; }];
  };

  documented = filter (option: option.visible && ! option.internal)
    (lib.optionAttrSetToDocList { inherit (evaluated.options) provider; });

  # A value, in the same line if it has one line.
  value = { _type, text }:
    let plain = removeSuffix "\n" text; in
    if _type == "literalMD" then " ${plain}"
    else if hasInfix "\n" plain then "\n\n```nix\n${plain}\n```"
    else " `${plain}`";

  line = label: text: "- ${label}:${text}\n";

  section = option: ''

    ## ${option.name}

    ${removeSuffix "\n" option.description}

  '' + concatStringsSep "" [
    (line "type" " `${option.type}`")
    (if option ? default then line "default" (value option.default) else line "required" " there is no default")
    (optionalString (option ? example) (line "example" (value option.example)))
  ];
in
''
  # Options

  The options of a provider's flake, below `provider`: options of the flake-parts module
  `flakeModules.default`, or attributes of `mkProvider`'s argument `provider`, which checks no types and
  takes `system` and `lockFile` as separate arguments. `go test ./nix/tests/flakes -run TestOptionsDoc
  -update` writes this file.
'' + concatMapStrings section documented
