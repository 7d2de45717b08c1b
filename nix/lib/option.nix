# Options of one pattern, for nix/options and nix/modules. `lib` is nixpkgs's.
{ lib }:
{
  # required type example description: an option without a default.
  required = type: example: description: lib.mkOption { inherit type example description; };

  # nullable type example description: an option that is null unless it is set.
  nullable = type: example: description: lib.mkOption {
    type = lib.types.nullOr type;
    default = null;
    inherit example description;
  };
}
