{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.generatedPath = mkOption {
    type = types.path;
    defaultText = lib.literalMD "`generated` beside flake.nix";
    example = lib.literalExpression "./plans/production";
    description = ''
      The folder that `mage plan` writes state.json and plan.json to, and the
      nodes are made from. `mage plan -out=` must name the same.
    '';
  };
}
