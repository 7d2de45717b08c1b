{ mkOption, types, nullable, ... }:
let
  seconds = types.ints.between 10 21600;
in
{
  default = nullable seconds 1800
    "How long the activation of an environment may take, in seconds. One that restores data from another node may take at least an hour. `null` for 900.";
  system = nullable seconds 7200
    "How long the activation of a node's system may take, in seconds. `null` for 3600.";
  environments = mkOption {
    type = types.attrsOf seconds;
    default = { };
    example = { acme = 1200; "acme__site/main" = 3600; };
    description = ''
      Other limits for one environment (`organisation__project/environment`), a
      project (`organisation__project`) or an organisation. The most specific
      entry holds.
    '';
  };
}
