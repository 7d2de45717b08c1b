# A node of a plan, as the NixOS modules that it is made of.
#
# First ../modules/common.nix, for every node; then the provider's own modules, the
# machine's own configuration, and last the plan's module. This file needs no
# nixpkgs: a module is data until NixOS evaluates it.
let
  inherit (import ./strings.nix) dropPrefix hasPrefix;
  inherit (builtins) attrValues elem filter listToAttrs;
  inherit (import ./attrs.nix) default only select;
  fail = import ./fail.nix;

  # The name of the plan in errors of NixOS.
  planFile = "generated/plan.json";

  # orElse fallback value: the value, or the fallback for null.
  orElse = fallback: value: if value == null then fallback else value;

  # shown self path: the path relative to the provider's flake, for errors.
  shown = self: path:
    let
      text = builtins.unsafeDiscardStringContext (toString path);
      root = if self ? outPath then builtins.unsafeDiscardStringContext (toString self.outPath) + "/" else "";
    in
    if root != "" && hasPrefix root text then dropPrefix root text else text;

  # environmentsOn plan node: the enabled environments of the node, from the plan,
  # with the paths of their profiles. They are without their sources and what is only for
  # `mage deploy`: a new commit of a customer's changes no system.
  environmentsOn = plan: node:
    builtins.mapAttrs (user: e: removeAttrs e [ "deploymentVerification" "repo" "source" ] // (plan.profiles.${user} or { }))
      (select (e: (e.node or null) == node && e.enable or true) (plan.environments or { }));

  # disabledOn plan node: the UIDs of the disabled environments of the node, by user.
  disabledOn = plan: node:
    builtins.mapAttrs (_: e: e.uid)
      (select (e: (e.node or null) == node && ! (e.enable or true)) (plan.environments or { }));

  # wildcardsOn plan node: the certificates by DNS-01 that virtual hosts of the node use,
  # by name. The gate may have turned a virtual host off.
  wildcardsOn = plan: node:
    let
      used = map (host: host.useACMEHost or null) (attrValues plan.nodes.${node}.services.nginx.virtualHosts);
    in
    listToAttrs (map
      (w: {
        name = w.certificate;
        value = {
          inherit (w) names;
          apiTokenSecret = default w.apiTokenSecret;
          # That of generated names replaces certificates that sites have.
          beforeSites = default (elem "*.${plan.hostenvHostname}" w.names);
        };
      })
      (filter (w: w.node == node && elem w.certificate used) (plan.wildcards or [ ])));

  # planned plan node: the node's module in the plan.
  planned = plan: node:
    if (plan.nodes or { }) ? ${node} then plan.nodes.${node}
    else
      fail {
        subject = "node ${node}";
        problem = "${planFile} has no such node";
        hint = "the plan is older than provider.nodes: run `mage plan`";
      };

  # machine: the module of the machine's own configuration, if the provider has any.
  machine = { provider, node, self }:
    let
      file = provider.nodesPath + "/${node}/configuration.nix";
    in
    if provider.nodesPath == null then [ ]
    else if builtins.pathExists file then [
      # NixOS keeps the names of its modules. A name with the string context of the
      # provider's repository would copy the whole repository to the node, so we import
      # the file here and name it by plain text.
      {
        _file = shown self file;
        key = shown self file;
        imports = [ (import file) ];
      }
    ]
    else
      fail {
        subject = "node ${node}";
        problem = "there is no ${shown self file}";
        hint = "write the machine's own configuration there (disks, boot loader, system.stateVersion) and `git add` it, because a flake sees only files that git knows; or set provider.nodesPath = null and configure it by provider.nodeModules";
      };

  # The provider's options, as options of ../modules.
  ofProvider = { provider, node }: {
    nodeName = node;
    deploy.publicKeys = provider.deployPublicKeys;
    deploy.trustedPublicKeys = orElse [ ] (provider.nixSigning.trustedPublicKeys or null);
    secrets.file = default provider.secretsPath;
    accessTokens = builtins.mapAttrs (_: default) (select (value: value != null) { secret = provider.accessTokensSecret; });
    cache = builtins.mapAttrs (_: default) (select (value: value != null) provider.cache);
  };

  # The plan's values for the node, as options of ../modules. The connection is that of
  # the plan, because `mage deploy` uses it.
  ofPlan = plan: node:
    let
      connection = import ./connection.nix plan node;
    in
    {
      environments = environmentsOn plan node;
      disabled = disabledOn plan node;
      wildcards = wildcardsOn plan node;
      certificates.profile = default (plan.certificateProfile or null);
      challengeToken.name = default "${node}.${plan.hostenvHostname}";
      deploy.user = default plan.deployUser;
      deploy = { inherit (connection) profileLink tempPath; };
      deploy.remoteBuild = default connection.remoteBuild;
      # sshd keeps its port 22: the plan's port can be one that another machine
      # forwards to it.
      ssh.ports = default ([ 22 ] ++ filter (port: port != 22) (attrValues (only [ "sshPort" ] connection)));
    };
in
{
  inherit environmentsOn planFile;

  # modulesOf: the list of modules, for nixosSystem.
  #
  #   plan      the decoded plan.json
  #   provider  the provider's options, completed by provider-defaults.nix
  #   node      the node's name
  #   inputs    the provider's flake inputs; only a node with secrets needs
  #             sops-nix among them
  #   self      the provider's flake, for the names of files in errors
  modulesOf = { plan, provider, node, inputs ? { }, self ? null }:
    [
      ../modules/common.nix
      {
        _file = "provider";
        config.hostenv = ofProvider { inherit provider node; };
      }
    ]
    ++ (if inputs ? sops-nix then [ inputs.sops-nix.nixosModules.sops ] else [ ])
    ++ provider.nodeModules
    ++ machine { inherit provider node self; }
    ++ [
      {
        _file = planFile;
        config.hostenv = ofPlan plan node;
      }
      {
        _file = planFile;
        config = planned plan node;
      }
    ];
}
