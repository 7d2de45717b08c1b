# The templates of this flake: outputs.templates = import ./nix/template;
let
  provider = {
    path = ./provider;
    description = "A hosting provider's repository: plan, gate and deploy customers' hostenv projects";
    welcomeText = ''
      # A hosting provider's repository

      Next: `git init` if this is no repository yet, then README.md from its
      first step on.
    '';
  };
in
{
  inherit provider;
  default = provider;
}
