# Options of one pattern, for nix/options and nix/modules. `lib` is nixpkgs's.
{ lib }:
{
  # nullable type example description: an option that is null unless it is set.
  nullable = type: example: description: lib.mkOption {
    type = lib.types.nullOr type;
    default = null;
    inherit example description;
  };
}
