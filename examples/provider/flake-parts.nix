{
  description = "The same provider with flake-parts, which checks the types of its options";

  inputs = {
    hostenv-provider.url = "git+file:///srv/example/hostenv-provider";

    # Stand-ins, for the example runs without a network: a provider has
    # github:NixOS/nixpkgs/nixos-unstable and github:serokell/deploy-rs here.
    nixpkgs.url = "git+file:///srv/example/nixpkgs";
    deploy-rs.url = "git+file:///srv/example/deploy-rs";

    # Beside a whole nixpkgs, `flake-parts.inputs.nixpkgs-lib.follows = "nixpkgs"`.
    flake-parts.url = "github:hercules-ci/flake-parts";
    flake-parts.inputs.nixpkgs-lib.url = "github:nix-community/nixpkgs.lib";

    # The customers: organisation__project, each a repository with a hostenv
    # project in its folder .hostenv. The branch named here is the one that says
    # which environments there are. With `flake = false`, `nix flake lock` does not
    # read the customer's flake.nix, and locks nothing that it names.
    acme__site = { url = "git+file:///srv/example/acme-site?dir=.hostenv&ref=main"; flake = false; };
    beta__portal = { url = "git+file:///srv/example/beta-portal?dir=.hostenv&ref=production"; flake = false; };
  };

  outputs = inputs: inputs.flake-parts.lib.mkFlake { inherit inputs; } {
    systems = [ "x86_64-linux" "aarch64-linux" ];

    imports = [ inputs.hostenv-provider.flakeModules.default ];

    provider = {
      hostenvHostname = "hosting.example";

      letsEncrypt = {
        acceptTerms = true;
        adminEmail = "ops@hosting.example";
      };

      deployUser = "deploy";
      deployPublicKeys = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIpV594cTdpe+o1y0IiFHricBDmVkjMpBQoyJeYIqCeo deploy@hosting.example"
      ];

      nodes = {
        node-a = { system = "x86_64-linux"; address = "192.0.2.10"; };
        node-b = { system = "x86_64-linux"; address = "192.0.2.20"; };
      };

      # Production has a node to itself.
      nodeFor = {
        production = "node-a";
        default = "node-b";
      };

      # Clear of the UIDs that NixOS and systemd give away themselves.
      uidRange = { min = 40000; max = 59999; };

      limits.organisations.beta.memoryMax = "4G";
    };
  };
}
