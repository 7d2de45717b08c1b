{ lib, mkOption, types, ... }:
mkOption {
  type = types.nullOr (types.functionTo types.raw);
  defaultText = lib.literalExpression "system: inputs.deploy-rs.lib.\${system}.activate";
  description = "deploy-rs's activation for a platform: a set with the functions `nixos` and `custom`.";
}
