{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.provider.uidRange = {
    min = mkOption {
      type = types.ints.unsigned;
      default = 1002;
      example = 40000;
      description = ''
        The lowest UID that an environment may get. NixOS, nixbld and systemd
        themselves use no UID from 40000 to 59999.
      '';
    };

    max = mkOption {
      type = types.ints.unsigned;
      default = 29999;
      example = 59999;
      description = "The highest UID that an environment may get. A UID is never used again.";
    };
  };
}
