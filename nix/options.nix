# The options of a provider: options/<name>.nix makes the option provider.<name>, of
# these arguments.
{ lib }:
let
  arguments = {
    inherit lib;
    inherit (lib) mkOption types;
    inherit (import ./lib/option.nix { inherit lib; }) nullable required;
    defaults = import ./lib/provider-defaults.nix;
  };
in
lib.mapAttrs'
  (file: _: lib.nameValuePair (lib.removeSuffix ".nix" file) (import (./options + "/${file}") arguments))
  (builtins.readDir ./options)
