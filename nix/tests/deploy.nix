let
  deploy = import ../lib/deploy.nix;

  environment = { node ? "n1", uid ? 1002, enable ? true, hostenv ? { } }: user: {
    inherit enable node uid;
    hostenv = { userName = user; stateDir = "/home/${user}/.local/state"; } // hostenv;
  };

  # A plan with environments of users, and the node n1 with this connection.
  planOf = { environments ? { }, connection ? { }, nodes ? { n1 = { }; }, deployUser ? "deploy" }: {
    inherit nodes deployUser;
    environments = builtins.mapAttrs (user: extra: environment extra user) environments;
    profiles = builtins.mapAttrs (user: _: { profileLink = "/nix/var/nix/profiles/per-user/${user}/hostenv"; tempPath = "/run/hostenv/deploy/${user}"; activationTimeout = 900; }) environments;
    nodeConnections = builtins.mapAttrs (node: _: { hostname = "${node}.hosting.example"; system = "x86_64-linux"; profileLink = "/nix/var/nix/profiles/system"; tempPath = "/run/hostenv/deploy"; remoteBuild = false; autoRollback = true; magicRollback = true; activationTimeout = 3600; } // connection) nodes;
  };

  # The stand-ins for deploy-rs's functions return their arguments as text.
  activate = platform: {
    nixos = base: "${platform}:nixos:${base.name}";
    custom = base: script: "${platform}:custom:${base}";
  };
  specOf = plan: extra: (deploy.specOf ({
    inherit plan activate;
    systems = builtins.mapAttrs (name: _: { inherit name; config = { }; }) plan.nodes;
    packages = builtins.mapAttrs (user: _: "package-of-${user}") plan.environments;
  } // extra)).nodes;
  n1 = plan: (specOf (planOf plan) { }).n1;
  connected = connection: n1 { inherit connection; };

  # The scripts of the environment shop-main and of the system.
  scriptOf = extra: (specOf (planOf { environments.shop-main = extra; }) {
    activate = _: { custom = _: script: script; };
  }).n1.profiles.shop-main.path;
  systemScript = config: (specOf (planOf { }) {
    systems.n1.config = { system.build.toplevel = "toplevel"; } // config;
    activate = _: {
      nixos = throw "not asked for";
      custom = { __functor = self: base: script: "${base}|${self.dryActivate}|${self.boot}|${script}"; };
    };
  }).n1.profiles.system.path;
  has = part: text: builtins.replaceStrings [ part ] [ "" ] text != text;
in
{
  whole = {
    expr = specOf
      (planOf {
        nodes = { n1 = { }; n2 = { }; };
        environments = { shop-main = { }; blog-main = { uid = 1003; }; old = { uid = 1004; enable = false; }; elsewhere = { uid = 1005; node = "n2"; }; };
      })
      { provider = throw "not asked for"; };
    expected =
      let
        system = name: {
          user = "root";
          sshUser = "deploy";
          profilePath = "/nix/var/nix/profiles/system";
          tempPath = "/run/hostenv/deploy";
          path = "x86_64-linux:nixos:${name}";
        };
        profile = user: {
          inherit user;
          sshUser = "deploy";
          profilePath = "/nix/var/nix/profiles/per-user/${user}/hostenv";
          tempPath = "/run/hostenv/deploy/${user}";
          path = "x86_64-linux:custom:package-of-${user}";
        };
      in
      {
        n1 = {
          hostname = "n1.hosting.example";
          sshOpts = [ ];
          autoRollback = true;
          magicRollback = true;
          profilesOrder = [ "system" "blog-main" "shop-main" ];
          profiles = { system = system "n1"; blog-main = profile "blog-main"; shop-main = profile "shop-main"; };
        };
        n2 = {
          hostname = "n2.hosting.example";
          sshOpts = [ ];
          autoRollback = true;
          magicRollback = true;
          profilesOrder = [ "system" "elsewhere" ];
          profiles = { system = system "n2"; elsewhere = profile "elsewhere"; };
        };
      };
  };
  node-without-environments = { expr = (n1 { }).profilesOrder; expected = [ "system" ]; };
  no-nodes = { expr = specOf (planOf { nodes = { }; }) { }; expected = { }; };

  node-options = {
    expr = removeAttrs (connected { system = "aarch64-linux"; sshPort = 2222; sshOpts = [ "-o" "ConnectTimeout=5" ]; autoRollback = false; magicRollback = true; remoteBuild = true; tempPath = "/run/private"; future = 1; }) [ "profilesOrder" ];
    expected = {
      hostname = "n1.hosting.example";
      sshOpts = [ "-p" "2222" "-o" "ConnectTimeout=5" ];
      autoRollback = false;
      magicRollback = true;
      remoteBuild = true;
      profiles.system = {
        user = "root";
        sshUser = "deploy";
        profilePath = "/nix/var/nix/profiles/system";
        tempPath = "/run/private";
        path = "aarch64-linux:nixos:n1";
      };
    };
  };
  remote-build-unless = { expr = connected { remoteBuild = false; } ? remoteBuild; expected = false; };

  address4 = { expr = (connected { hostname = "192.0.2.7"; }).hostname; expected = "192.0.2.7"; };
  address6 = {
    # `nix copy --to` gets the name n1, because in ssh://deploy@2001:db8::7 it would read
    # 7 as the port.
    expr = { inherit (connected { hostname = "2001:db8::7"; }) hostname sshOpts; };
    expected = { hostname = "n1"; sshOpts = [ "-o" "HostName=2001:db8::7" ]; };
  };
  address6-with-zone = { expr = (connected { hostname = "fe80::7%eth0"; }).sshOpts; expected = [ "-o" "HostName=fe80::7%%eth0" ]; };
  host-key = {
    expr =
      let
        opts = (connected { hostKey = "ssh-ed25519 AAAAHOST root@n1"; sshOpts = [ "-o" "StrictHostKeyChecking=no" ]; }).sshOpts;
        file = builtins.elemAt opts 3;
      in
      {
        opts = map (option: if option == file then "file" else option) opts;
        file = builtins.readFile (builtins.substring 19 (-1) file);
        option = builtins.substring 0 19 file;
      };
    expected = {
      opts = [ "-o" "HostKeyAlias=n1" "-o" "file" "-o" "GlobalKnownHostsFile=/dev/null" "-o" "StrictHostKeyChecking=yes" "-o" "UpdateHostKeys=no" "-o" "StrictHostKeyChecking=no" ];
      file = "n1 ssh-ed25519 AAAAHOST root@n1\n";
      option = "UserKnownHostsFile=";
    };
  };

  lazy-sibling = {
    expr = (specOf (planOf { environments = { a = { }; b = { uid = 1003; }; }; }) { packages = { a = throw "a is broken"; b = "b"; }; }).n1.profiles.b.path;
    expected = "x86_64-linux:custom:b";
  };
  lazy-system = {
    expr = (specOf (planOf { environments.a = { }; }) { systems = throw "no systems"; }).n1.profiles.a.path;
    expected = "x86_64-linux:custom:package-of-a";
  };
  lazy-options = {
    # A node's connection needs no system and no customer.
    expr = let node = (specOf (planOf { environments.a = { }; }) { systems = throw "x"; packages = throw "y"; activate = throw "z"; }).n1; in
      [ node.hostname node.sshOpts node.profilesOrder node.profiles.a.profilePath (builtins.attrNames node.profiles) ];
    expected = [ "n1.hosting.example" [ ] [ "system" "a" ] "/nix/var/nix/profiles/per-user/a/hostenv" [ "a" "system" ] ];
  };
  broken = {
    expr = (specOf (planOf { environments.a = { }; }) { packages.a = throw "a is broken"; }).n1.profiles.a.path;
    error = [ "while evaluating the profile of environment a on node n1" "a is broken" ];
  };
  broken-system = {
    expr = (specOf (planOf { }) { systems.n1 = throw "n1 is broken"; }).n1.profiles.system.path;
    error = [ "while evaluating the profile of node n1" "n1 is broken" ];
  };

  user-root = { expr = n1 { environments.root = { }; }; error = "environment \"root\" on node n1: an environment cannot be the user root"; };
  user-system = { expr = n1 { environments.system = { }; }; error = "an environment cannot be the user system"; };
  user-deploy = { expr = n1 { environments.ops = { }; deployUser = "ops"; }; error = "an environment cannot be the user ops"; };
  no-profile = {
    expr = (specOf (planOf { environments.a = { }; } // { profiles = { }; }) { }).n1;
    error = "environment \"a\" on node n1: the plan has no profile of it.*hint: run `mage plan`";
  };
  no-connection = { expr = specOf (planOf { } // { nodeConnections = { }; }) { }; error = "node n1: the plan does not say how it is reached.*hint: run `mage plan`"; };
  no-system = { expr = specOf (planOf { }) { systems = { }; }; error = "node n1: there is no NixOS configuration for it.*hint: the systems must have every node of the plan: n1"; };
  no-package = { expr = specOf (planOf { environments.a = { }; }) { packages = { }; }; error = "environment \"a\" on node n1: there is no package of it"; };
  host-key-bad = { expr = connected { hostKey = "AAAA"; }; error = "node n1: hostKey is \"AAAA\", which is not a public key.*hint: .*ssh-keyscan"; };
  host-key-lines = { expr = connected { hostKey = "ssh-ed25519 AAAA\n* ssh-ed25519 BBBB"; }; error = "node n1: hostKey is"; };
  ssh-option-of-words = {
    expr = connected { sshOpts = [ "-o" "ProxyCommand=ssh -W %h:%p jump" "-v" ]; };
    error = "node n1: sshOpts holds \"ProxyCommand=ssh -W %h:%p jump\", and Nix splits ssh's options at every space.*hint: write .*\"-F\"";
  };

  script-of-environment = {
    expr = let script = scriptOf { hostenv.stateDir = "/home/it's/state"; }; in
      map (part: has part script) [ "\"\${coreutils}tee\" -p -- \"$log\"" "\"$PROFILE/bin/activate\"" "uid=1002\n" "HOME=~shop-main\n" "state='/home/it'\\''s/state'" "wait \"$reader\"\n" ];
    expected = [ true true true true true true ];
  };
  script-without-paths-of-hostenv = {
    expr = has "cache=''\n" (scriptOf { });
    expected = true;
  };
  script-of-system = {
    expr =
      let
        script = systemScript { };
        start = ''toplevel|"$PROFILE/bin/switch-to-configuration" dry-activate|"$PROFILE/bin/switch-to-configuration" boot|# shellcheck'';
      in
      [ (builtins.substring 0 (builtins.stringLength start) script == start) ]
      ++ map (part: has part script) [ "tee\" -p" "\"$PROFILE/bin/switch-to-configuration\" switch || status=$?\n" "logs=\"/var/log/hostenv/activation\"" "loader.conf\n" "EUID" ];
    expected = [ true true true true false false ];
  };
  script-of-system-with-systemd-boot = {
    expr = has "loader='/boot/loader/loader.conf' " (systemScript { boot.loader = { systemd-boot.enable = true; efi.efiSysMountPoint = "/boot"; }; });
    expected = true;
  };
  script-with-nixpkgs = {
    expr = has "coreutils='/store/coreutils-aarch64-linux/bin/'\n" (specOf (planOf { environments.u = { }; connection.system = "aarch64-linux"; }) {
      activate = _: { custom = _: script: script; };
      pkgsFor = system: { coreutils = "/store/coreutils-${system}"; };
    }).n1.profiles.u.path;
    expected = true;
  };
}
