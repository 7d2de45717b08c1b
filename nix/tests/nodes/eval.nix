# Evaluates nodes of plans as whole systems, with NixOS's real modules and
# sops-nix, and a stand-in for packages.
#
#   root   the folder of HOSTENV_TEST_NIXOS_EVAL: nixpkgs/{lib,nixos}, sops-nix,
#          stub-pkgs.nix and pkgs-names.json
#   cases  a JSON file: by name, of
#            plan, node         the path of a plan, and the name of a node
#            provider           the provider's options, as data
#            sops               whether the provider has the input sops-nix
#            modules            paths of provider.nodeModules
#            nodesPath, secretsPath  paths, or null
#   what   "system": the whole system and its assertions; "values": the values that
#          the tests check, without the whole system; "options": the options that
#          the modules add; "doors": the names of NixOS's options of a virtual host and
#          of a location
{ root, cases, what }:
let
  lib = import (root + "/nixpkgs/lib");
  nodes = import ../../lib/nodes.nix;
  names = builtins.fromJSON (builtins.readFile (root + "/pkgs-names.json"));
  # The stand-ins, changed so that the tests can read the text of files.
  pkgsFor = system:
    let
      stubs = import (root + "/stub-pkgs.nix") { inherit lib names system; };
      legible = write: name: text: write name text // { inherit text; };
      pkgs = stubs // {
        inherit pkgs;
        __splicedPackages = pkgs;
        appendOverlays = _: pkgs;
        extend = _: pkgs;
        writeText = legible stubs.writeText;
        writeTextDir = legible stubs.writeTextDir;
        writeTextFile = file: stubs.writeTextFile file // { inherit (file) text; };
        writers = stubs.writers // { writeNginxConfig = legible stubs.writers.writeNginxConfig; };
      };
    in
    pkgs;
  # One set of packages for all cases of a run.
  packages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] pkgsFor;

  path = text: if text == null then null else /. + text;

  evaluate = case:
    let
      plan = builtins.fromJSON (builtins.readFile (path case.plan));
      inputs = lib.optionalAttrs case.sops { sops-nix.nixosModules.sops = root + "/sops-nix/modules/sops"; };
    in
    import (root + "/nixpkgs/nixos/lib/eval-config.nix") {
      system = null;
      inherit lib;
      specialArgs = { inherit inputs; };
      modules = [
        { nixpkgs.pkgs = packages.${plan.nodeConnections.${case.node}.system}; }
      ] ++ nodes.modulesOf {
        inherit plan inputs;
        inherit (case) node;
        self.outPath = dirOf case.plan;
        provider = (import ../../lib/provider-defaults.nix).plain // case.provider // {
          nodeModules = [ ./machine.nix ] ++ map path case.modules;
          nodesPath = path case.nodesPath;
          secretsPath = path case.secretsPath;
        };
      };
    };

  # The name of a file that was copied to the store without its folder.
  copied = path:
    let match = builtins.match "${builtins.storeDir}/[a-z0-9]{32}-([^/]+)" (builtins.unsafeDiscardStringContext "${path}"); in
    if match == null then "no copy: ${path}" else lib.head match;

  failed = c: map (a: a.message) (builtins.filter (a: ! a.assertion) c.assertions);

  system = nixos:
    let c = nixos.config; in
    {
      assertions = failed c;
      toplevel = if failed c == [ ] then c.system.build.toplevel.outPath else null;
      inherit (c) warnings;
    };

  values = nixos:
    let
      c = nixos.config;
      hasSops = nixos.options ? sops;
      people = lib.filterAttrs (_: u: u.isNormalUser || lib.elem u.name [ "root" c.hostenv.deploy.user ]) c.users.users;
    in
    {
      assertions = failed c;
      inherit (c) warnings;
      inherit (c.networking) hostName;
      revision = c.system.configurationRevision;
      users = lib.mapAttrs (_: u: { inherit (u) uid group home isNormalUser isSystemUser extraGroups; keys = u.openssh.authorizedKeys.keys; }) people;
      inherit (c.users) mutableUsers allowNoPasswordLogin;
      groups = lib.mapAttrs (_: g: g.gid) (lib.filterAttrs (n: _: people ? ${n}) c.users.groups);
      slices = lib.mapAttrs (_: s: s.sliceConfig) (lib.filterAttrs (n: _: lib.hasPrefix "user-" n) c.systemd.slices);
      tmpfiles = lib.concatMapAttrs (_: lib.mapAttrs (_: kinds: "${kinds.d.mode} ${kinds.d.user} ${kinds.d.group}"))
        (lib.mapAttrs (_: lib.filterAttrs (_: kinds: kinds ? d)) (lib.filterAttrs (n: _: lib.hasPrefix "10-hostenv" n) c.systemd.tmpfiles.settings));
      # The files that systemd-tmpfiles writes for challenges, by their path.
      challenge = lib.mapAttrs (_: kinds: kinds."f+".argument) (lib.filterAttrs (_: kinds: kinds ? "f+") (c.systemd.tmpfiles.settings."20-hostenv-challenge" or { }));
      upstreams = lib.mapAttrs (_: u: lib.attrNames u.servers) c.services.nginx.upstreams;
      nginx = { inherit (c.systemd.services.nginx) restartIfChanged; execStart = toString c.systemd.services.nginx.serviceConfig.ExecStart; inherit (c.services.nginx) enable enableReload recommendedProxySettings recommendedTlsSettings clientMaxBodySize proxyTimeout serverNamesHashBucketSize; };
      virtualHosts = lib.mapAttrs (_: v: { inherit (v) extraConfig forceSSL enableACME useACMEHost; locations = lib.mapAttrs (_: l: l.extraConfig) v.locations; }) c.services.nginx.virtualHosts;
      certificates = lib.mapAttrs
        (name: x: {
          inherit (x) group webroot reloadServices dnsProvider domain extraDomainNames credentialFiles extraLegoRunFlags extraLegoRenewFlags validMinDays;
          # The units that start its order, by a setting of theirs or of its unit.
          startedBy =
            let
              order = c.systemd.services."acme-${name}";
              of = kind: units: lib.concatMap (unit: lib.optional (lib.elem "acme-${name}.service" (units.${unit}.wants ++ units.${unit}.requires)) "${unit}.${kind}") (lib.attrNames units);
            in
            order.wantedBy ++ order.requiredBy ++ of "service" c.systemd.services ++ of "target" c.systemd.targets;
        })
        c.security.acme.certs;
      firstOrder = c.systemd.services ? hostenv-wildcard;
      # The units that start the targets that start an order, and the units that nginx
      # waits for.
      reached = lib.mapAttrs (_: t: t.wantedBy ++ t.requiredBy) (lib.filterAttrs (n: _: lib.hasPrefix "acme-" n) c.systemd.targets);
      nginxWants = c.systemd.services.nginx.wants;
      reloadAfter = c.systemd.services.nginx-config-reload.after;
      sudoers = c.security.sudo.configFile;
      canMove = lib.any (p: p.name == "hostenv-move") c.environment.systemPackages;
      # Whether hostenv-users runs before NixOS creates users.
      usersActivation = { inherit (c.system.activationScripts.users) deps; dry = c.system.activationScripts.hostenv-users.supportsDryActivation; };
      firewall = { inherit (c.networking.firewall) enable; ports = c.networking.firewall.allowedTCPPorts; };
      ssh = { inherit (c.services.openssh) enable ports; inherit (c.services.openssh.settings) PasswordAuthentication KbdInteractiveAuthentication PermitRootLogin; };
      nix = { inherit (c.nix.settings) allowed-users trusted-public-keys trusted-users require-sigs substituters; netrc-file = c.nix.settings.netrc-file or null; gc = { inherit (c.nix.gc) automatic options; }; };
      apart = {
        proc = c.boot.specialFileSystems."/proc".options;
        # The users whom D-Bus lets ask nothing about processes.
        asks = lib.concatMap (p: let found = builtins.filter builtins.isList (builtins.split "<policy user=\"([^\"]*)\">" (p.text or "")); in map lib.head found) c.services.dbus.packages;
        dmesg = c.boot.kernel.sysctl."kernel.dmesg_restrict";
        mounts = map (m: "${m.where} ${m.options}") c.systemd.mounts;
        polkit = c.users.users.polkituser.extraGroups or [ ];
        daemon = c.systemd.services.nix-daemon.serviceConfig.Slice;
        builds = lib.mapAttrs (_: toString) c.systemd.slices.hostenv-nix.sliceConfig;
      };
      # Files of /etc, and the files in the store that they refer to.
      etc = lib.genAttrs (builtins.filter (name: c.environment.etc ? ${name}) [ "bashrc" "hostenv/nginx" "hostenv/nginx-unit" "hostenv/slices" "nginx/nginx.conf" "nix/nix.conf" "pam.d/sshd" "pam.d/sudo" "pam.d/systemd-user" "pam/environment" "security/namespace.conf" "profile" "set-environment" ])
        (name: let file = c.environment.etc.${name}; in if file.text != null then file.text else file.source.text or file.source);
      setEnvironment = c.system.build.setEnvironment.outPath;
      inherit (c.environment) profiles sessionVariables;
      programs = map (p: p.pname or p.name) c.environment.systemPackages;
      monitoring = {
        inherit (c.services.prometheus.exporters.node) enable listenAddress port extraFlags;
        metrics = toString (c.systemd.services.hostenv-metrics.serviceConfig.ExecStart or "");
        watched = c.systemd.paths.hostenv-metrics.pathConfig.PathChanged or [ ];
      };
      sopsSecrets = if hasSops then lib.mapAttrs (_: s: { inherit (s) owner group mode key path; file = copied s.sopsFile; }) c.sops.secrets else null;
      sopsTemplates = if hasSops then lib.mapAttrs (_: t: { inherit (t) owner group mode path restartUnits; content = lib.replaceStrings (lib.attrValues c.sops.placeholder) (map (name: "<${name}>") (lib.attrNames c.sops.placeholder)) t.content; }) c.sops.templates else null;
      sopsKeys = if hasSops then c.sops.age.sshKeyPaths else null;
      backups = c.hostenv.backups.users;
    };

  # What is missing from the options, by their names: a type, a description, an example
  # or a default. Options of an environment that the plan must set need no default.
  undocumented = nixos:
    let
      lacks = outer: option:
        builtins.filter (attribute: ! option ? ${attribute}) [ "type" "description" "example" ]
        ++ lib.optional (outer && ! option ? default && ! option ? defaultText) "default";
      walk = outer: path: set:
        if lib.isOption set
        then { ${lib.concatStringsSep "." path} = lacks outer set; } // walk false path (set.type.getSubOptions path)
        else lib.concatMapAttrs (name: walk outer (path ++ [ name ])) (removeAttrs set [ "_module" "_freeformOptions" ]);
    in
    walk true [ "hostenv" ] nixos.options.hostenv;

  doors = nixos:
    let
      hosts = nixos.options.services.nginx.virtualHosts.type;
      of = type: lib.attrNames (removeAttrs (type.getSubOptions [ ]) [ "_module" "_freeformOptions" ]);
    in
    { virtualHost = of hosts; location = of (hosts.getSubOptions [ ]).locations.type; };
in
lib.mapAttrs (_: case: { inherit system values doors; options = undocumented; }.${what} (evaluate case))
  (builtins.fromJSON (builtins.readFile cases))
