{ lib, mkOption, types, ... }:
mkOption {
  type = types.path;
  defaultText = lib.literalMD "`generated` beside flake.nix";
  example = lib.literalExpression "./plans/production";
  description = ''
    The folder of state.json and plan.json, from which Nix makes the nodes.
    `mage plan -out=` must name the same folder.
  '';
}
