let
  pkgs = {
    writeShellScript = name: text: "/store/${name}";
    mkShell = shell: shell;
    stdenv.hostPlatform.system = "x86_64-linux";
    go = "go";
    mage = "mage";
    nix = "nix";
    git = "git";
    openssh = "openssh";
    deploy-rs = "nixpkgs' deploy-rs";
    sops = "sops";
    age = "age";
    dig = "dig";
  };
  package = { outPath = "/store/hostenv-provider"; meta.description = "Plans"; };
  apps = import ../apps.nix { inherit pkgs package; };
  shell = arguments: (import ../dev-shell.nix ({ inherit pkgs; } // arguments)).packages;
in
{
  programs = {
    expr = builtins.mapAttrs (_: app: app.program) apps;
    expected = {
      default = "/store/hostenv-provider/bin/hostenv-provider";
      hostenv-provider = "/store/hostenv-provider/bin/hostenv-provider";
      plan = "/store/hostenv-provider-plan";
      dns-gate = "/store/hostenv-provider-dns-gate";
      deploy = "/store/hostenv-provider-deploy";
    };
  };
  # An app has only the attributes that `nix flake check` accepts.
  shape = {
    expr = builtins.attrValues (builtins.mapAttrs (_: app: builtins.attrNames app ++ builtins.attrNames app.meta ++ [ app.type ]) apps);
    expected = builtins.genList (_: [ "meta" "program" "type" "description" "app" ]) 5;
  };

  shell = { expr = shell { }; expected = [ "go" "mage" "nix" "git" "nixpkgs' deploy-rs" "openssh" "sops" "age" "dig" ]; };
  shell-with-input = {
    expr = builtins.elemAt (shell { pkgs = pkgs // { deploy-rs = throw "not asked for"; }; inputs.deploy-rs.packages.x86_64-linux.deploy-rs = "the input's"; }) 4;
    expected = "the input's";
  };
  shell-with-input-of-another-platform = {
    expr = builtins.elemAt (shell { inputs.deploy-rs.packages.riscv64-linux.deploy-rs = "the input's"; }) 4;
    expected = "nixpkgs' deploy-rs";
  };
  shell-with-package = { expr = builtins.elemAt (shell { inherit package; }) 9; expected = "/store/hostenv-provider"; };
}
