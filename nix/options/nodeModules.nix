{ lib, mkOption, types, defaults, ... }:
mkOption {
  type = types.listOf types.deferredModule;
  default = defaults.plain.nodeModules;
  example = lib.literalExpression "[ ./nodes/common.nix inputs.disko.nixosModules.disko ]";
  description = "NixOS modules of all nodes. A node's own module can override what they set by default.";
}
