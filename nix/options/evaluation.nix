{ mkOption, types, defaults, ... }:
let
  inherit (defaults.plain) evaluation;

  allowedUris = default: more: mkOption {
    type = types.listOf types.str;
    inherit default;
    example = [ "git+ssh://git@git.example/acme/" "https://git.example/" ];
    description = ''
      Where sources that a customer's own flake.lock names may come from, as URIs
      or their beginnings (Nix's `allowed-uris`): `github:acme/`,
      `git+https://git.example/`. An archive of a forge on a host of its own is
      `https://host/owner/repo`. ${more} Folders and files of this machine,
      submodules, hosts that are not public, and repositories of other customers
      stay refused.
    '';
  };

  limit = name: example: description: mkOption {
    type = types.ints.positive;
    default = evaluation.${name};
    inherit example description;
  };
in
{
  time = limit "time" 300 "How long the evaluation of one project may take, in seconds.";
  memory = limit "memory" 4096 "How much memory the evaluation of one project may use, in MB.";
  output = limit "output" 4194304 "How long the result of one project, and what its evaluation prints, may be, in bytes.";
  allowedUris = allowedUris evaluation.allowedUris "They are fetched without credentials.";
  leftOut = mkOption {
    type = types.listOf (types.strMatching "[^/].*[^/]|[^/]");
    default = evaluation.leftOut;
    example = [ "README.md" "docs" ".github" ];
    description = ''
      Files and folders of the provider's flake, relative to its folder, that no node
      reads. `mage deploy` evaluates a node anew if a file of the flake has changed
      that the node may read, and so not after a change of these.
    '';
  };
  organisations = mkOption {
    type = types.attrsOf (types.submodule {
      options.allowedUris = allowedUris [ ] "For the projects of this organisation; they are fetched with the operator's credentials.";
    });
    default = { };
    example = { acme.allowedUris = [ "git+ssh://git@git.example/acme/" ]; };
    description = "Further sources for the projects of an organisation.";
  };
}
