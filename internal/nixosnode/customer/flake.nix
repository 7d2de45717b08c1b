{
  description = "A customer's project on the nodes of tests";

  # The provider has its own in place of this one.
  inputs.nixpkgs.url = "path:/srv/nixpkgs";

  # project.json has { organisation; project; hostenvHostname; declared; }, and
  # evaluate.nix takes the place of hostenv: see examples/projects.
  outputs = { nixpkgs, ... }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      this = builtins.fromJSON (builtins.readFile ./project.json);

      evaluated = import ./evaluate.nix
        { inherit (this) organisation project hostenvHostname; root = ../.; }
        this.declared;

      # The options of an environment that evaluate.nix does not have.
      project = evaluated // {
        environments = builtins.mapAttrs
          (name: environment:
            let declared = this.declared.environments.${name}; in
            environment // { hostenv = environment.hostenv // declared.hostenv or { }; }
            // (if declared ? deploymentVerification then { inherit (declared) deploymentVerification; } else { }))
          evaluated.environments;
      };

      # What an environment's user runs: a web server on the socket where the
      # front door looks for it, and the backups that the project has.
      packageOf = name: environment: pkgs.runCommand "environment-${environment.hostenv.userName}"
        {
          text = builtins.readFile ../content.txt;
          site = pkgs.prebuilt "site";
          inherit (pkgs) coreutils systemd runtimeShell;
          backups = this.backups;
          passAsFile = [ "text" ];
        } (''
        mkdir -p $out/bin $out/share
        cp "$textPath" $out/share/content.txt
        substitute ${./activate.sh} $out/bin/activate \
          --subst-var runtimeShell --subst-var coreutils --subst-var systemd --subst-var site --subst-var backups --subst-var out
        chmod +x $out/bin/activate
      '' + pkgs.lib.optionalString (this.backups != [ ]) ''
        for program in backup restore ${pkgs.lib.concatMapStringsSep " " (backup: "restic-${backup}") this.backups}; do
          substitute ${./.}/''${program%%-*}.sh $out/bin/$program \
            --subst-var runtimeShell --subst-var coreutils --subst-var out \
            --subst-var-by restic ${pkgs.restic} --subst-var-by jq ${pkgs.jq} --subst-var-by repository ${environment.hostenv.backupsRepoHost}
          chmod +x $out/bin/$program
        done
      '');
    in
    {
      packages.${system} = builtins.mapAttrs packageOf project.environments;
      lib.hostenv.${system} = project;
    };
}
