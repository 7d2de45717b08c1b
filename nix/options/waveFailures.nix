{ mkOption, types, ... }:
mkOption {
  type = types.ints.unsigned;
  default = 0;
  example = 2;
  description = ''
    How many profiles of a wave may fail. More end the deploy: the profiles
    of later waves stay as they are. What could not be evaluated or built
    does not count, because it reached no node.
  '';
}
