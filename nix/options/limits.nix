{ mkOption, types, nullable, ... }:
let
  limits = cpuQuota: memoryMax: {
    cpuQuota = nullable (types.strMatching "[1-9][0-9]*%") "400%"
      "CPU time, as a percentage of one CPU (systemd's `CPUQuota=`). `null` for ${cpuQuota}.";
    memoryMax = nullable types.str "24G"
      "Memory, in bytes with K, M, G or T, as a percentage, or `infinity` (systemd's `MemoryMax=`). `null` for ${memoryMax}.";
  };

  own = description: example: mkOption {
    type = types.attrsOf (types.submodule { options = limits "the next wider limit" "the next wider limit"; });
    default = { };
    inherit description example;
  };
in
limits "200%" "12G" // {
  retire = nullable (types.ints.between 0 100) 10
    ''
      How many of all environments one plan may retire or move to another node,
      as a percentage; five always. A plan of more needs `mage plan -allowMany`:
      most often an input or an option is mistyped. `null` for 30.
    '';
  organisations = own
    "Other limits for the projects of an organisation; they hold for each project separately."
    { acme.memoryMax = "24G"; };
  projects = own
    "Other limits for a project, by `organisation__project`."
    { acme__site.cpuQuota = "400%"; };
}
