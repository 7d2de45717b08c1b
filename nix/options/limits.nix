{ lib, ... }:
let
  inherit (lib) mkOption types;

  limits = wider: {
    cpuQuota = mkOption {
      type = types.nullOr (types.strMatching "[1-9][0-9]*%");
      default = wider.cpuQuota;
      example = "400%";
      description = "CPU time, as a percentage of one CPU (systemd's `CPUQuota=`).${wider.otherwise}";
    };

    memoryMax = mkOption {
      type = types.nullOr types.str;
      default = wider.memoryMax;
      example = "24G";
      description = "Memory, in bytes with K, M, G or T, as a percentage, or `infinity` (systemd's `MemoryMax=`).${wider.otherwise}";
    };
  };

  own = description: example: mkOption {
    type = types.attrsOf (types.submodule {
      options = limits {
        cpuQuota = null;
        memoryMax = null;
        otherwise = " `null` for the next wider limit.";
      };
    });
    default = { };
    inherit description example;
  };
in
{
  options.provider.limits = limits { cpuQuota = "200%"; memoryMax = "12G"; otherwise = ""; } // {
    organisations = own
      "Other limits for the projects of an organisation; they hold for each project separately."
      { acme.memoryMax = "24G"; };
    projects = own
      "Other limits for a project, by `organisation__project`."
      { acme__site.cpuQuota = "400%"; };
  };
}
