{
  description = "A hosting provider";

  inputs = {
    hostenv-provider.url = "github:woolwichweb/hostenv-provider";

    # One nixpkgs and one hostenv for the nodes and for all customers' projects.
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    flake-parts = {
      url = "github:hercules-ci/flake-parts";
      inputs.nixpkgs-lib.follows = "nixpkgs";
    };
    phps = {
      url = "github:fossar/nix-phps";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    hostenv = {
      url = "gitlab:woolwichweb/hostenv";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.flake-parts.follows = "flake-parts";
      inputs.phps.follows = "phps";
      inputs.sops-nix.follows = "sops-nix";
      inputs.deploy-rs.follows = "deploy-rs";
    };

    # The nodes' secrets, and what brings a system to a node.
    sops-nix = {
      url = "github:Mic92/sops-nix";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    deploy-rs = {
      url = "github:serokell/deploy-rs";
      inputs.nixpkgs.follows = "nixpkgs";
    };

    # The customers: organisation__project, each a repository whose folder
    # .hostenv holds its project. The branch named here says which environments
    # there are; each of them has a branch of its own. A customer's flake is not
    # locked for its inputs: `follows` is not needed here.
    #
    # acme__site.url = "git+ssh://git@git.example/acme/site.git?dir=.hostenv&ref=main";
  };

  outputs = inputs: inputs.flake-parts.lib.mkFlake { inherit inputs; } {
    systems = [ "x86_64-linux" "aarch64-linux" ];

    imports = [ inputs.hostenv-provider.flakeModules.provider ];

    provider = {
      # Environments are <userName>.hosting.example, nodes <node>.hosting.example.
      hostenvHostname = "hosting.example";

      letsEncrypt = {
        acceptTerms = false; # true, once you have read https://letsencrypt.org/repository/
        adminEmail = "ops@hosting.example";
      };

      # Who may deploy: the public part of an ssh key.
      deployPublicKeys = [ ];

      # A node has its own NixOS configuration in nodes/<node>/configuration.nix.
      nodes.sample = {
        system = "x86_64-linux";
        # address = "192.0.2.10"; # without one sample.hosting.example
      };

      # By type (production, testing, development), or by `placement` for a
      # single organisation, project or environment.
      nodeFor.default = "sample";

      # Clear of the UIDs that NixOS, its build users and systemd give away.
      # Where users have UIDs already, they keep them.
      uidRange = { min = 40000; max = 59999; };

      # Without a customer there is nothing to plan, and most often an input is
      # merely missing: so that is refused, unless it is meant.
      # allowEmpty = true;
    };
  };
}
