{ mkOption, types, nullable, ... }:
let
  # limits wider: the options of a limit; `wider` says what holds for null.
  limits = wider: {
    cpuQuota = nullable (types.strMatching "[1-9][0-9]*%") "400%"
      "CPU time, as a percentage of one CPU (systemd's `CPUQuota=`). `null` for ${wider "200%"}.";
    memoryMax = nullable types.str "24G"
      "Memory, in bytes with K, M, G or T, as a percentage, or `infinity` (systemd's `MemoryMax=`). `null` for ${wider "12G"}.";
    environments = quota 40
      "Environments of a project. A project that has more than one of these quotas is held back: it stays as in the last plan. `null` for ${wider "20"}.";
    virtualHosts = quota 200
      "Virtual hosts of all environments of a project. `null` for ${wider "100"}.";
    names = quota 1000
      "Host names that all environments of a project claim, aliases included. `null` for ${wider "500"}.";
    uids = quota 400
      "UIDs that a project ever had. Those of its former environments count, because no UID is used again. A project that has more gets no new environment. `null` for ${wider "200"}.";
    planBytes = quota 4194304
      "Size of all environments of a project in the plan, in bytes of compact JSON. `null` for ${wider "1048576"}.";
    checks = quota 40
      "Checks after a deploy (`deploymentVerification`) of all environments of a project. `null` for ${wider "20"}.";
    certificates = quota 100
      "New certificates of a project within a week. The DNS gate keeps those off that are more, until they fit. `null` for ${wider "50"}.";
  };
  quota = nullable types.ints.positive;

  own = description: example: mkOption {
    type = types.attrsOf (types.submodule { options = limits (_: "the next wider limit"); });
    default = { };
    inherit description example;
  };
in
limits (default: default) // {
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
