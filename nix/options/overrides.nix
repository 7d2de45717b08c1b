{ lib, mkOption, types, defaults, ... }:
mkOption {
  type = types.attrsOf types.raw;
  default = defaults.plain.overrides;
  example = lib.literalExpression ''
    {
      "drupal/nixpkgs" = inputs.nixpkgs;
      phps = null;
    }
  '';
  description = ''
    Inputs of the customers' flakes that the provider replaces, by input path,
    as `follows` would. `hostenv`, `nixpkgs`, `flake-parts` and `phps` are
    replaced by the provider's own inputs of these names, if it has them;
    `null` keeps the input of the customer's flake.lock. An input that a flake
    does not have is ignored.
  '';
}
