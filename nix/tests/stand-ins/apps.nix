# Stands for nix/apps.nix.
{ pkgs, package }:
builtins.mapAttrs
  (name: description: {
    type = "app";
    program = "${pkgs.writeShellScript name "exec ${package} ${name}"}";
    meta = { inherit description; };
  })
  { plan = "make a plan"; dns-gate = "check DNS"; deploy = "deploy"; }
