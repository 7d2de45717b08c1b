# The templates of this flake: outputs.templates = import ./nix/template;
let
  provider = {
    path = ./provider;
    description = "A hosting provider's repository: plan, gate and deploy customers' hostenv projects";
    welcomeText = ''
      # A hosting provider's repository

      Next: run `git init` if this is not a repository yet, and follow the first
      steps of README.md.
    '';
  };
in
{
  inherit provider;
  default = provider;
}
