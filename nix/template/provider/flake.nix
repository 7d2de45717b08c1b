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

    # sops-nix decrypts secrets on the nodes; deploy-rs copies and activates systems.
    sops-nix = {
      url = "github:Mic92/sops-nix";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    deploy-rs = {
      url = "github:serokell/deploy-rs";
      inputs.nixpkgs.follows = "nixpkgs";
    };

    # The customers' projects, named organisation__project. Each is a repository
    # with the project in its folder .hostenv. The branch in the URL defines which
    # environments exist; each environment has its own branch. With `flake = false`
    # locking reads no flake.nix of a customer, who could name any file of this
    # machine and any repository that your keys open. Give each customer a deploy
    # key of their own.
    #
    # acme__site.url = "git+ssh://git@git.example/acme/site.git?dir=.hostenv&ref=main";
    # acme__site.flake = false;
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

      # The public ssh keys of the operators who may deploy.
      deployPublicKeys = [ ];

      # A node has its own NixOS configuration in nodes/<node>/configuration.nix.
      nodes.sample = {
        system = "x86_64-linux";
        # address = "192.0.2.10"; # without one sample.hosting.example
      };

      # The node for each type of environment (production, testing, development).
      # `placement` sets it for one organisation, project or environment.
      nodeFor.default = "sample";

      # Choose a range outside of the UIDs that NixOS, its build users and systemd
      # assign. Users that already have a UID keep it.
      uidRange = { min = 40000; max = 59999; };

      # A new host name needs a proof that its domain is the customer's: the TXT
      # record that `mage domains` prints, or your word here.
      requireDomainProof = true;
      # domains."acme.example" = "acme";

      # A plan without customers is refused, because usually an input was
      # forgotten. Set this if you have no customers yet.
      # allowEmpty = true;
    };
  };
}
