{ mkOption, types, ... }:
mkOption {
  type = types.listOf types.str;
  default = [ ];
  example = [ "testing" ];
  description = ''
    Types of environments that are activated first in each wave, each a wave
    of its own: `testing` before all others, for example.
  '';
}
